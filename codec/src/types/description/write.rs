//! From nodes to bytes.

use super::FORM;
use super::shape::{Field, Node, Shape};

/// Tags of the nodes that are no scalars.
pub(super) mod tag {
    pub(in super::super) const OPTION: u8 = 20;
    pub(in super::super) const ARRAY: u8 = 21;
    pub(in super::super) const LIST: u8 = 22;
    pub(in super::super) const BOX: u8 = 23;
    pub(in super::super) const STRUCT: u8 = 26;
    pub(in super::super) const ENUM: u8 = 27;
    pub(in super::super) const OPAQUE: u8 = 28;
}

/// The canonical bytes of `nodes`. What does not fit its field is cut, and refused by the decoder.
pub(super) fn nodes(nodes: &[Node]) -> Vec<u8> {
    let mut out = vec![FORM];
    count(&mut out, nodes.len());
    for node in nodes {
        self::node(&mut out, node);
    }
    out
}

/// The bytes of one node.
pub(super) fn node(out: &mut Vec<u8>, node: &Node) {
    out.push(match &node.shape {
        Shape::Scalar(scalar) => scalar.tag(),
        Shape::Option { .. } => tag::OPTION,
        Shape::Array { .. } => tag::ARRAY,
        Shape::List { .. } => tag::LIST,
        Shape::Box { .. } => tag::BOX,
        Shape::Struct { .. } => tag::STRUCT,
        Shape::Enum { .. } => tag::ENUM,
        Shape::Opaque { .. } => tag::OPAQUE,
    });
    out.extend(node.size.to_le_bytes());
    out.push(node.align);
    match &node.shape {
        Shape::Scalar(_) => {}
        Shape::Option { value, offset } => {
            out.extend(value.get().to_le_bytes());
            out.extend(offset.to_le_bytes());
        }
        Shape::Array { element, count } => {
            out.extend(element.get().to_le_bytes());
            out.extend(count.to_le_bytes());
        }
        Shape::List { element: target } | Shape::Box { target } => {
            out.extend(target.get().to_le_bytes());
        }
        Shape::Struct { name, fields } => {
            text(out, name);
            self::fields(out, fields);
        }
        Shape::Enum { name, variants } => {
            text(out, name);
            count(out, variants.len());
            for variant in variants {
                text(out, &variant.name);
                out.push(variant.discriminant);
                self::fields(out, &variant.fields);
            }
        }
        Shape::Opaque { name } => text(out, name),
    }
}

fn fields(out: &mut Vec<u8>, fields: &[Field]) {
    count(out, fields.len());
    for field in fields {
        text(out, &field.name);
        out.extend(field.offset.to_le_bytes());
        out.extend(field.node.get().to_le_bytes());
    }
}

fn count(out: &mut Vec<u8>, count: usize) {
    out.extend(u16::try_from(count).unwrap_or(u16::MAX).to_le_bytes());
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
    out.extend(text.bytes());
}
