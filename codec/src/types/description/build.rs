//! From types to nodes.

use core::any::TypeId;
use std::collections::BTreeMap;

use super::shape::{Field, Node, NodeId, Scalar, Shape, Variant, offset_u32};
use super::{Description, MAX_NODES, write};
use rkyv::Archive;

/// A field, as a type describes itself.
#[derive(Debug, Clone, Copy)]
pub struct FieldDraft {
    /// Its name.
    pub name: &'static str,
    /// Where it starts in the archived form, in bytes.
    pub offset: usize,
    /// Describes its type.
    pub describe: fn(&mut DescriptionBuilder) -> NodeId,
}

/// A variant, as a type describes itself.
#[derive(Debug, Clone, Copy)]
pub struct VariantDraft<'a> {
    /// Its name.
    pub name: &'static str,
    /// The first byte of the archived form.
    pub discriminant: u8,
    /// Its fields.
    pub fields: &'a [FieldDraft],
}

/// Collects nodes: each type once, numbered in the order in which they are first met.
#[derive(Debug, Default)]
pub struct DescriptionBuilder {
    nodes: Vec<Node>,
    /// Types met so far; opaque ones together with their name.
    seen: BTreeMap<(TypeId, &'static str), NodeId>,
    /// More nodes were asked for than there may be.
    overflow: bool,
}

impl DescriptionBuilder {
    /// The node of `T`, described by `shape` when it is first met.
    pub fn node<T: Archive + 'static>(&mut self, shape: impl FnOnce(&mut Self) -> Shape) -> NodeId {
        let key = (TypeId::of::<T>(), "");
        if let Some(id) = self.seen.get(&key) {
            return *id;
        }
        // The number is given before the parts are described: a part may be the type itself.
        let id = self.add(key, Node::of::<T>(Shape::Scalar(Scalar::Unit)));
        let shape = shape(self);
        if let Some(node) = self.nodes.get_mut(usize::from(id.get())) {
            node.shape = shape;
        }
        id
    }

    /// The node of a struct, its fields in memory order.
    pub fn structure<T: Archive + 'static>(&mut self, name: &str, fields: &[FieldDraft]) -> NodeId {
        let name = self.name(name);
        self.node::<T>(|builder| Shape::Struct { name, fields: builder.fields(fields) })
    }

    /// The node of an enum.
    pub fn variants<T: Archive + 'static>(
        &mut self,
        name: &str,
        variants: &[VariantDraft<'_>],
    ) -> NodeId {
        let name = self.name(name);
        self.node::<T>(|builder| Shape::Enum {
            name,
            variants: variants
                .iter()
                .map(|variant| Variant {
                    name: variant.name.into(),
                    discriminant: variant.discriminant,
                    fields: builder.fields(variant.fields),
                })
                .collect(),
        })
    }

    /// The node of a foreign type that is archived but not explained.
    pub fn opaque<T: rkyv::Archive + 'static>(&mut self, name: &'static str) -> NodeId {
        let key = (TypeId::of::<T>(), name);
        if let Some(id) = self.seen.get(&key) {
            return *id;
        }
        self.add(key, Node::sized::<T::Archived>(Shape::Opaque { name: name.into() }))
    }

    /// The root has no name: to rename an event's struct is no change of its shape.
    fn name(&self, name: &str) -> Box<str> {
        if self.nodes.is_empty() { Box::default() } else { name.into() }
    }

    fn fields(&mut self, drafts: &[FieldDraft]) -> Box<[Field]> {
        drafts
            .iter()
            .map(|draft| Field {
                name: draft.name.into(),
                offset: offset_u32(draft.offset),
                node: (draft.describe)(self),
            })
            .collect()
    }

    fn add(&mut self, key: (TypeId, &'static str), node: Node) -> NodeId {
        let number = u16::try_from(self.nodes.len()).ok().filter(|number| *number < MAX_NODES);
        let Some(number) = number else {
            self.overflow = true;
            return NodeId::new(u16::MAX);
        };
        let id = NodeId::new(number);
        self.seen.insert(key, id);
        self.nodes.push(node);
        id
    }

    fn finish(self) -> Vec<Node> {
        self.nodes
    }
}

impl Description {
    /// The description of `T`, whose root is the first node that `describe` gives.
    ///
    /// A type too large to be described (more than 4,096 types in it, or 60 KiB) is opaque as a
    /// whole, under a name that still changes with its shape.
    pub(in super::super) fn built<T: Archive + 'static>(
        describe: impl FnOnce(&mut DescriptionBuilder) -> NodeId,
    ) -> Self {
        let mut builder = DescriptionBuilder::default();
        describe(&mut builder);
        let overflow = builder.overflow;
        let nodes = builder.finish();
        let bytes = write::nodes(&nodes);
        match Self::decode(&bytes) {
            Ok(description) if !overflow => description,
            _ => Self::undescribed::<T>(&bytes),
        }
    }

    /// In place of nodes that no description can hold: one opaque node, named after their hash.
    fn undescribed<T: Archive + 'static>(bytes: &[u8]) -> Self {
        let hash = super::Fnv::new().with(bytes).finish();
        let name = format!("undescribed {hash:016x}").into();
        let nodes = [Node::of::<T>(Shape::Opaque { name })];
        Self { bytes: write::nodes(&nodes).into(), nodes: nodes.into() }
    }
}
