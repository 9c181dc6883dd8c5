//! From nodes to text that people compare.

use core::fmt::{self, Write};

use super::{Description, Field, NodeId, Scalar, Shape};

/// What is shown of one inside another: what may contain itself does so by name.
const DEEPEST: usize = 64;

/// Most values that are shown. Each may stand in several others, and a description may come from any
/// log: without a bound, thirty that hold each other twice would be a billion.
const MOST: usize = 8192;

/// Most bytes of text: a value may have thousands of names, and may be shown thousands of times.
const LONGEST: usize = 256 * 1024;

/// The fields of an event, one a line, in the order in which they lie in its archive; what is no
/// struct stands in one line. It says less than the description: no sizes and no offsets, and of
/// what is very large the beginning.
impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut show = Show { of: self, open: Vec::new(), left: MOST, f, room: Some(LONGEST) };
        let shown = match self.nodes().first().map(|node| &node.shape) {
            Some(Shape::Struct { fields, .. }) => show.lines(fields),
            _ => show.node(NodeId::new(0)),
        };
        // What is full ends with an error that is none of the formatter.
        if show.room.is_none() { show.f.write_str("..") } else { shown }
    }
}

struct Show<'d, 'f, 'o> {
    of: &'d Description,
    /// The nodes that this one stands in.
    open: Vec<NodeId>,
    /// How many more are shown.
    left: usize,
    f: &'f mut fmt::Formatter<'o>,
    /// Bytes of text that are left; `None` once one did not fit.
    room: Option<usize>,
}

impl Write for Show<'_, '_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.room = self.room.and_then(|room| room.checked_sub(text.len()));
        if self.room.is_some() { self.f.write_str(text) } else { Err(fmt::Error) }
    }
}

impl Show<'_, '_, '_> {
    /// A name. It may come from any log, and go to a terminal.
    fn name(&mut self, name: &str) -> fmt::Result {
        write!(self, "{}", name.escape_debug())
    }

    fn lines(&mut self, fields: &[Field]) -> fmt::Result {
        self.open.push(NodeId::new(0));
        for (at, field) in fields.iter().enumerate() {
            if at > 0 {
                self.write_char('\n')?;
            }
            self.field(field)?;
        }
        Ok(())
    }

    fn field(&mut self, field: &Field) -> fmt::Result {
        self.name(&field.name)?;
        self.write_str(": ")?;
        self.node(field.node)
    }

    fn fields(&mut self, fields: &[Field]) -> fmt::Result {
        self.write_str("{ ")?;
        for (at, field) in fields.iter().enumerate() {
            if at > 0 {
                self.write_str(", ")?;
            }
            if self.left == 0 {
                self.write_str("..")?;
                break;
            }
            self.field(field)?;
        }
        self.write_str(" }")
    }

    fn node(&mut self, id: NodeId) -> fmt::Result {
        let Some(node) = self.of.node(id) else { return self.write_str("?") };
        let again = self.open.contains(&id);
        let Some(left) = self.left.checked_sub(1).filter(|_| self.open.len() < DEEPEST) else {
            return self.write_str("..");
        };
        self.left = left;
        self.open.push(id);
        match &node.shape {
            Shape::Scalar(scalar) => self.write_str(name_of(*scalar)),
            Shape::Option { value, .. } => self.wrapped("Option<", *value, ">"),
            Shape::Array { element, count } => {
                self.wrapped("[", *element, "; ")?;
                write!(self, "{count}]")
            }
            Shape::List { element } => self.wrapped("Vec<", *element, ">"),
            Shape::Box { target } => self.wrapped("Box<", *target, ">"),
            Shape::Opaque { name } => {
                self.write_str("opaque ")?;
                self.name(name)
            }
            // The event itself has no name.
            Shape::Struct { name, .. } | Shape::Enum { name, .. } if again => {
                self.name(if name.is_empty() { "itself" } else { name })
            }
            Shape::Struct { name, fields } => {
                if !name.is_empty() {
                    self.name(name)?;
                    self.write_char(' ')?;
                }
                self.fields(fields)
            }
            Shape::Enum { name, variants } => {
                self.name(name)?;
                self.write_str(" [")?;
                for (at, variant) in variants.iter().enumerate() {
                    self.write_str(if at > 0 { ", " } else { "" })?;
                    self.name(&variant.name)?;
                    if !variant.fields.is_empty() {
                        self.write_char(' ')?;
                        self.fields(&variant.fields)?;
                    }
                }
                self.write_char(']')
            }
        }?;
        self.open.pop();
        Ok(())
    }

    fn wrapped(&mut self, before: &str, id: NodeId, after: &str) -> fmt::Result {
        self.write_str(before)?;
        self.node(id)?;
        self.write_str(after)
    }
}

fn name_of(scalar: Scalar) -> &'static str {
    match scalar {
        Scalar::Bool => "bool",
        Scalar::U8 => "u8",
        Scalar::I8 => "i8",
        Scalar::U16 => "u16",
        Scalar::I16 => "i16",
        Scalar::U32 => "u32",
        Scalar::I32 => "i32",
        Scalar::U64 => "u64",
        Scalar::I64 => "i64",
        Scalar::U128 => "u128",
        Scalar::I128 => "i128",
        Scalar::F32 => "f32",
        Scalar::F64 => "f64",
        Scalar::Char => "char",
        Scalar::Unit => "()",
        Scalar::String => "String",
        Scalar::Uuid => "Uuid",
        Scalar::Duration => "Duration",
        Scalar::Text => "Box<str>",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown<T: crate::types::Value>() -> String {
        Description::of::<T>().to_string()
    }

    #[test]
    fn is_each_kind_of_field_shown() {
        assert_eq!(shown::<u64>(), "u64");
        assert_eq!(shown::<(u8, Option<String>)>(), "0: u8\n1: Option<String>");
        assert_eq!(shown::<Vec<[Box<i16>; 3]>>(), "Vec<[Box<i16>; 3]>");
        assert_eq!(shown::<Vec<(bool, ())>>(), "Vec<{ 0: bool, 1: () }>");
    }

    #[test]
    fn is_text_bounded_however_often_types_hold_each_other() {
        type Two<T> = (T, T);
        type Four<T> = Two<Two<Two<Two<T>>>>;
        // Sixteen thousand numbers, in 15 nodes.
        type Large = Four<Four<Four<Two<Two<u8>>>>>;
        let description = Description::of::<Large>();
        assert_eq!(description.nodes().len(), 15);
        let text = description.to_string();
        let numbers = text.matches("u8").count();
        assert!((MOST / 4..MOST).contains(&numbers), "{numbers} numbers are shown");
        assert!(text.contains(".."), "it says that something is left out");
    }

    /// A struct of 2,000 values, each of 200 variants of the same name.
    fn wide(name: &str) -> Description {
        let text =
            |text: &str| [&[u8::try_from(text.len()).unwrap_or(0)], text.as_bytes()].concat();
        let mut bytes = vec![1, 2, 0, 26];
        bytes.extend(2000_u32.to_le_bytes());
        bytes.extend([1, 0]);
        bytes.extend(2000_u16.to_le_bytes());
        for offset in 0..2000_u32 {
            bytes.extend(text("a"));
            bytes.extend(offset.to_le_bytes());
            bytes.extend([1, 0]);
        }
        bytes.extend([27, 1, 0, 0, 0, 1]);
        bytes.extend(text("Any"));
        bytes.extend(200_u16.to_le_bytes());
        for discriminant in 0..200 {
            bytes.extend(text(name));
            bytes.extend([discriminant, 0, 0]);
        }
        Description::decode(&bytes).expect("a description")
    }

    #[test]
    fn is_text_bounded_however_many_names_a_value_has() {
        let description = wide(&"x".repeat(200));
        let text = description.to_string();
        assert!((LONGEST - 300..LONGEST + 3).contains(&text.len()), "{} bytes", text.len());
        assert!(text.ends_with(".."), "it says that something is left out");
    }

    #[test]
    fn are_names_shown_without_what_a_terminal_obeys() {
        let text = wide("\u{1b}[2J\n").to_string();
        assert!(text.contains("Any [\\u{1b}[2J\\n, "), "{}", text.get(..80).unwrap_or(&text));
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()));
    }
}
