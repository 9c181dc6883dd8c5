//! The way through a payload, from its root.

use core::fmt::{self, Write};

use uuid::Uuid;

use crate::types::description::{Description, Field, Node, NodeId, Scalar, Shape, Variant};
use crate::types::value::MAX_POINTERS;

use super::bytes::Payload;
use super::json::Json;
use super::{RenderError, RenderReason};

/// Most values inside one another, with those behind pointers. Bounds the stack.
const MAX_LEVELS: u32 = 640;

/// Renders the root: the last bytes of the payload.
pub(super) fn root(
    description: &Description,
    payload: &[u8],
    out: &mut String,
    limit: usize,
) -> Result<(), RenderError> {
    let id = NodeId::new(0);
    let size = description.node(id).and_then(|node| usize::try_from(node.size).ok());
    let offset = size.and_then(|size| payload.len().checked_sub(size));
    let outside = RenderError { offset: 0, reason: RenderReason::Outside };
    let place = Place { id, offset: offset.ok_or(outside)?, pointers: 0, levels: 0 };
    Walk { description, payload: Payload(payload), json: Json { out, limit } }.value(place)
}

/// A value: what it is, where it is, and how deep.
#[derive(Clone, Copy)]
struct Place {
    id: NodeId,
    offset: usize,
    /// Pointers followed to it.
    pointers: u32,
    /// Values around it.
    levels: u32,
}

impl Place {
    fn fail(self, reason: RenderReason) -> RenderError {
        RenderError { offset: self.offset, reason }
    }

    /// The output did not fit.
    fn full(self, _: fmt::Error) -> RenderError {
        self.fail(RenderReason::TooLong)
    }

    /// A value inside this one.
    fn inside(self, id: NodeId, offset: u32) -> Result<Self, RenderError> {
        let offset = usize::try_from(offset).ok().and_then(|o| self.offset.checked_add(o));
        let offset = offset.ok_or(self.fail(RenderReason::Outside))?;
        self.at(id, offset, self.pointers)
    }

    /// A text behind a pointer in this one.
    fn pointer(self) -> Result<(), RenderError> {
        if self.pointers < MAX_POINTERS { Ok(()) } else { Err(self.fail(RenderReason::TooDeep)) }
    }

    /// A value behind a pointer in this one.
    fn behind(self, id: NodeId, offset: usize) -> Result<Self, RenderError> {
        self.at(id, offset, self.pointers.saturating_add(1))
    }

    fn at(self, id: NodeId, offset: usize, pointers: u32) -> Result<Self, RenderError> {
        let levels = self.levels.saturating_add(1);
        if pointers > MAX_POINTERS || levels > MAX_LEVELS {
            return Err(self.fail(RenderReason::TooDeep));
        }
        Ok(Self { id, offset, pointers, levels })
    }
}

struct Walk<'a> {
    description: &'a Description,
    payload: Payload<'a>,
    json: Json<'a>,
}

impl<'a> Walk<'a> {
    fn node(&self, place: Place, id: NodeId) -> Result<&'a Node, RenderError> {
        // Descriptions are checked: the number is one of its nodes.
        self.description.node(id).ok_or(place.fail(RenderReason::Outside))
    }

    fn put(&mut self, place: Place, text: &str) -> Result<(), RenderError> {
        self.json.write_str(text).map_err(|error| place.full(error))
    }

    fn value(&mut self, place: Place) -> Result<(), RenderError> {
        let node = self.node(place, place.id)?;
        match &node.shape {
            Shape::Scalar(scalar) => self.scalar(place, *scalar),
            Shape::Option { value, offset } => match self.payload.take(place.offset)? {
                [0] => self.put(place, "null"),
                [1] => self.value(place.inside(*value, *offset)?),
                [_] => Err(place.fail(RenderReason::Option)),
            },
            Shape::Array { element, count } => {
                let first = place.inside(*element, 0)?;
                self.elements(place, first, usize::try_from(*count).unwrap_or(usize::MAX))
            }
            Shape::List { element } => {
                let count = self.payload.length(place.offset.saturating_add(4))?;
                let target = self.payload.target(place.offset, place.offset)?;
                self.elements(place, place.behind(*element, target)?, count)
            }
            Shape::Box { target } => {
                let offset = self.payload.target(place.offset, place.offset)?;
                self.value(place.behind(*target, offset)?)
            }
            Shape::Struct { fields, .. } => self.fields(place, fields),
            Shape::Enum { variants, .. } => {
                let [tag] = self.payload.take(place.offset)?;
                let variant = variants.iter().find(|variant| variant.discriminant == tag);
                self.variant(place, variant.ok_or(place.fail(RenderReason::Variant))?)
            }
            Shape::Opaque { .. } => {
                let size = usize::try_from(node.size).unwrap_or(usize::MAX);
                let bytes = self.payload.slice(place.offset, size)?;
                self.json.hex(bytes).map_err(|error| place.full(error))
            }
        }
    }

    fn elements(&mut self, place: Place, first: Place, count: usize) -> Result<(), RenderError> {
        let size = usize::try_from(self.node(place, first.id)?.size).unwrap_or(usize::MAX);
        self.put(place, "[")?;
        let mut element = first;
        for index in 0..count {
            if index > 0 {
                self.put(place, ",")?;
            }
            self.value(element)?;
            element.offset = element.offset.saturating_add(size);
        }
        self.put(place, "]")
    }

    fn fields(&mut self, place: Place, fields: &[Field]) -> Result<(), RenderError> {
        self.put(place, "{")?;
        for (index, field) in fields.iter().enumerate() {
            if index > 0 {
                self.put(place, ",")?;
            }
            self.json.text(&field.name).map_err(|error| place.full(error))?;
            self.put(place, ":")?;
            self.value(place.inside(field.node, field.offset)?)?;
        }
        self.put(place, "}")
    }

    fn variant(&mut self, place: Place, variant: &Variant) -> Result<(), RenderError> {
        if variant.fields.is_empty() {
            return self.json.text(&variant.name).map_err(|error| place.full(error));
        }
        self.put(place, "{")?;
        self.json.text(&variant.name).map_err(|error| place.full(error))?;
        self.put(place, ":")?;
        self.fields(place, &variant.fields)?;
        self.put(place, "}")
    }

    // Kept out of `value`, whose frames are stacked once for each level.
    #[inline(never)]
    fn scalar(&mut self, place: Place, scalar: Scalar) -> Result<(), RenderError> {
        let (payload, at) = (self.payload, place.offset);
        let json = &mut self.json;
        let written = match scalar {
            Scalar::Bool => match payload.take(at)? {
                [0] => json.write_str("false"),
                [1] => json.write_str("true"),
                [_] => return Err(place.fail(RenderReason::Bool)),
            },
            Scalar::U8 => write!(json, "{}", u8::from_le_bytes(payload.take(at)?)),
            Scalar::I8 => write!(json, "{}", i8::from_le_bytes(payload.take(at)?)),
            Scalar::U16 => write!(json, "{}", u16::from_le_bytes(payload.take(at)?)),
            Scalar::I16 => write!(json, "{}", i16::from_le_bytes(payload.take(at)?)),
            Scalar::U32 => write!(json, "{}", u32::from_le_bytes(payload.take(at)?)),
            Scalar::I32 => write!(json, "{}", i32::from_le_bytes(payload.take(at)?)),
            Scalar::U64 => write!(json, "{}", u64::from_le_bytes(payload.take(at)?)),
            Scalar::I64 => write!(json, "{}", i64::from_le_bytes(payload.take(at)?)),
            Scalar::U128 => write!(json, "\"{}\"", u128::from_le_bytes(payload.take(at)?)),
            Scalar::I128 => write!(json, "\"{}\"", i128::from_le_bytes(payload.take(at)?)),
            Scalar::F32 => {
                let value = f32::from_le_bytes(payload.take(at)?);
                json.float(value, value.is_finite())
            }
            Scalar::F64 => {
                let value = f64::from_le_bytes(payload.take(at)?);
                json.float(value, value.is_finite())
            }
            Scalar::Char => {
                let value = char::from_u32(u32::from_le_bytes(payload.take(at)?));
                let value = value.ok_or(place.fail(RenderReason::Char))?;
                json.text(value.encode_utf8(&mut [0; 4]))
            }
            Scalar::Unit => json.write_str("null"),
            Scalar::String => {
                if payload.is_out_of_place(at)? {
                    place.pointer()?;
                }
                json.text(payload.string(at)?)
            }
            Scalar::Text => {
                place.pointer()?;
                json.text(payload.text(at)?)
            }
            Scalar::Uuid => write!(json, "\"{}\"", Uuid::from_bytes(payload.take(at)?)),
            Scalar::Duration => {
                let secs = u64::from_le_bytes(payload.take(at)?);
                let nanos = u32::from_le_bytes(payload.take(at.saturating_add(8))?);
                if nanos >= 1_000_000_000 {
                    return Err(place.fail(RenderReason::Duration));
                }
                write!(json, "{{\"secs\":{secs},\"nanos\":{nanos}}}")
            }
        };
        written.map_err(|error| place.full(error))
    }
}
