//! From nodes to text that people compare.

use core::fmt::{self, Write};

use super::{Description, Field, NodeId, Scalar, Shape};

/// What is shown of one inside another: what may contain itself does so by name.
const DEEPEST: usize = 64;

/// Most values that are shown. Each may stand in several others, and a description may come from any
/// log: without a bound, thirty that hold each other twice would be a billion.
const MOST: usize = 8192;

/// The fields of an event, one a line, in the order in which they lie in its archive; what is no
/// struct stands in one line. It says less than the description: no sizes and no offsets, and of
/// what is very large the beginning.
impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut show = Show { of: self, open: Vec::new(), left: MOST };
        match self.nodes().first().map(|node| &node.shape) {
            Some(Shape::Struct { fields, .. }) => {
                show.open.push(NodeId::new(0));
                for (at, field) in fields.iter().enumerate() {
                    if at > 0 {
                        f.write_char('\n')?;
                    }
                    show.field(f, field)?;
                }
                Ok(())
            }
            _ => show.node(f, NodeId::new(0)),
        }
    }
}

struct Show<'d> {
    of: &'d Description,
    /// The nodes that this one stands in.
    open: Vec<NodeId>,
    /// How many more are shown.
    left: usize,
}

impl Show<'_> {
    fn field(&mut self, f: &mut fmt::Formatter<'_>, field: &Field) -> fmt::Result {
        write!(f, "{}: ", field.name)?;
        self.node(f, field.node)
    }

    fn fields(&mut self, f: &mut fmt::Formatter<'_>, fields: &[Field]) -> fmt::Result {
        f.write_str("{ ")?;
        for (at, field) in fields.iter().enumerate() {
            if at > 0 {
                f.write_str(", ")?;
            }
            if self.left == 0 {
                f.write_str("..")?;
                break;
            }
            self.field(f, field)?;
        }
        f.write_str(" }")
    }

    fn node(&mut self, f: &mut fmt::Formatter<'_>, id: NodeId) -> fmt::Result {
        let Some(node) = self.of.node(id) else { return f.write_str("?") };
        let again = self.open.contains(&id);
        let Some(left) = self.left.checked_sub(1).filter(|_| self.open.len() < DEEPEST) else {
            return f.write_str("..");
        };
        self.left = left;
        self.open.push(id);
        match &node.shape {
            Shape::Scalar(scalar) => f.write_str(name_of(*scalar)),
            Shape::Option { value, .. } => self.wrapped(f, "Option<", *value, ">"),
            Shape::Array { element, count } => {
                self.wrapped(f, "[", *element, "; ")?;
                write!(f, "{count}]")
            }
            Shape::List { element } => self.wrapped(f, "Vec<", *element, ">"),
            Shape::Box { target } => self.wrapped(f, "Box<", *target, ">"),
            Shape::Opaque { name } => write!(f, "opaque {name}"),
            // The event itself has no name.
            Shape::Struct { name, .. } | Shape::Enum { name, .. } if again => {
                f.write_str(if name.is_empty() { "itself" } else { name })
            }
            Shape::Struct { name, fields } => {
                if !name.is_empty() {
                    write!(f, "{name} ")?;
                }
                self.fields(f, fields)
            }
            Shape::Enum { name, variants } => {
                write!(f, "{name} [")?;
                for (at, variant) in variants.iter().enumerate() {
                    write!(f, "{}{}", if at > 0 { ", " } else { "" }, variant.name)?;
                    if !variant.fields.is_empty() {
                        f.write_char(' ')?;
                        self.fields(f, &variant.fields)?;
                    }
                }
                f.write_char(']')
            }
        }?;
        self.open.pop();
        Ok(())
    }

    fn wrapped(
        &mut self,
        f: &mut fmt::Formatter<'_>,
        before: &str,
        id: NodeId,
        after: &str,
    ) -> fmt::Result {
        f.write_str(before)?;
        self.node(f, id)?;
        f.write_str(after)
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
}
