//! Which nodes make sense together. Sizes and offsets are added in `u64`: nothing overflows.

use super::error::DescriptionError;
use super::shape::{BOX, Field, LIST, Node, NodeId, Shape};

/// Most values inside one another, not counting those behind pointers.
const MAX_NESTING: u32 = 64;

/// Largest alignment of anything archived.
const MAX_ALIGN: u8 = 16;

/// Checks every node, and that they are in canonical order.
pub(super) fn nodes(nodes: &[Node]) -> Result<(), DescriptionError> {
    for (number, node) in (0..).zip(nodes) {
        Check { nodes, number }.node(node)?;
    }
    order(nodes)?;
    nesting(nodes)
}

struct Check<'a> {
    nodes: &'a [Node],
    number: u16,
}

impl Check<'_> {
    fn layout(&self, holds: bool) -> Result<(), DescriptionError> {
        if holds { Ok(()) } else { Err(DescriptionError::Layout(self.number)) }
    }

    fn get(&self, id: NodeId) -> Result<&Node, DescriptionError> {
        self.nodes.get(usize::from(id.get())).ok_or(DescriptionError::Reference(self.number))
    }

    fn element(&self, id: NodeId) -> Result<&Node, DescriptionError> {
        let node = self.get(id)?;
        if node.size == 0 { Err(DescriptionError::EmptyElement(self.number)) } else { Ok(node) }
    }

    fn node(&self, node: &Node) -> Result<(), DescriptionError> {
        let layout = (node.size, node.align);
        self.layout(node.align.is_power_of_two() && node.align <= MAX_ALIGN)?;
        self.layout(node.size.is_multiple_of(u32::from(node.align)))?;
        match &node.shape {
            Shape::Scalar(scalar) => self.layout(layout == scalar.layout()),
            Shape::Option { value, offset } => {
                self.element(*value)?;
                self.part(node, *value, *offset, 1).map(|_| ())
            }
            Shape::Array { element, count } => {
                let element = self.element(*element)?;
                let size = u64::from(element.size) * u64::from(*count);
                self.layout(size == u64::from(node.size) && element.align == node.align)
            }
            Shape::List { element } => {
                self.element(*element)?;
                self.layout(layout == LIST)
            }
            Shape::Box { target } => {
                self.get(*target)?;
                self.layout(layout == BOX)
            }
            Shape::Struct { fields, .. } => self.fields(node, fields, 0),
            Shape::Enum { variants, .. } => {
                let mut seen = [false; 256];
                for variant in variants {
                    let seen = seen.get_mut(usize::from(variant.discriminant));
                    if seen.is_none_or(|seen| core::mem::replace(seen, true)) {
                        return Err(DescriptionError::Discriminant(self.number));
                    }
                    self.fields(node, &variant.fields, 1)?;
                }
                if variants.is_empty() {
                    return Err(DescriptionError::Discriminant(self.number));
                }
                self.layout(node.size > 0)
            }
            Shape::Opaque { .. } => Ok(()),
        }
    }

    /// Fields from byte `from` of `node` on, one behind the other.
    fn fields(&self, node: &Node, fields: &[Field], from: u64) -> Result<(), DescriptionError> {
        let mut from = from;
        for field in fields {
            from = self.part(node, field.node, field.offset, from)?;
        }
        Ok(())
    }

    /// A part of `node` at `offset`, not before `from`. Gives its end.
    fn part(
        &self,
        node: &Node,
        part: NodeId,
        offset: u32,
        from: u64,
    ) -> Result<u64, DescriptionError> {
        let part = self.get(part)?;
        let end = u64::from(offset) + u64::from(part.size);
        self.layout(u64::from(offset) >= from && end <= u64::from(node.size))?;
        self.layout(part.align <= node.align)?;
        self.layout(part.align != 0 && offset.is_multiple_of(u32::from(part.align)))?;
        Ok(end)
    }
}

/// The nodes that a node refers to, in the order in which they are described.
fn references(shape: &Shape) -> Vec<NodeId> {
    match shape {
        Shape::Scalar(_) | Shape::Opaque { .. } => Vec::new(),
        Shape::Option { value: id, .. }
        | Shape::Array { element: id, .. }
        | Shape::List { element: id }
        | Shape::Box { target: id } => vec![*id],
        Shape::Struct { fields, .. } => fields.iter().map(|field| field.node).collect(),
        Shape::Enum { variants, .. } => {
            variants.iter().flat_map(|v| v.fields.iter().map(|field| field.node)).collect()
        }
    }
}

/// Numbers are those in which nodes are first met, from the root on, each before its parts.
///
/// With that, equal shapes have equal bytes.
fn order(nodes: &[Node]) -> Result<(), DescriptionError> {
    let mut met = 1_u16;
    let mut open = vec![references(root(nodes)?).into_iter()];
    while let Some(last) = open.last_mut() {
        let Some(id) = last.next() else {
            open.pop();
            continue;
        };
        if id.get() > met {
            return Err(DescriptionError::Order(id.get()));
        }
        if id.get() == met {
            let node = nodes.get(usize::from(met)).ok_or(DescriptionError::Reference(met))?;
            open.push(references(&node.shape).into_iter());
            met = met.saturating_add(1);
        }
    }
    if usize::from(met) == nodes.len() { Ok(()) } else { Err(DescriptionError::Order(met)) }
}

fn root(nodes: &[Node]) -> Result<&Shape, DescriptionError> {
    nodes.first().map(|node| &node.shape).ok_or(DescriptionError::Short)
}

/// A value contains others only so deep, and itself only behind a pointer.
fn nesting(nodes: &[Node]) -> Result<(), DescriptionError> {
    // How deep each node is, as far as is known. A round adds a level; what still grows after the
    // last allowed round is too deep, or contains itself.
    let inside: Vec<Vec<NodeId>> = nodes
        .iter()
        .map(|node| match node.shape {
            Shape::List { .. } | Shape::Box { .. } => Vec::new(),
            _ => references(&node.shape),
        })
        .collect();
    let mut depth = vec![0_u32; nodes.len()];
    for _ in 0..=MAX_NESTING {
        let deeper: Vec<u32> = inside
            .iter()
            .map(|parts| {
                let parts = parts.iter().filter_map(|id| depth.get(usize::from(id.get())));
                parts.max().map_or(0, |deepest| deepest.saturating_add(1))
            })
            .collect();
        if deeper == depth {
            return Ok(());
        }
        depth = deeper;
    }
    Err(DescriptionError::Nesting)
}
