//! From types to nodes.

use core::any::TypeId;
use std::collections::BTreeMap;

use super::shape::{Field, Node, NodeId, Scalar, Shape, Variant, offset_u32};
use super::{Description, Fnv, MAX_NODES, write};
use rkyv::Archive;

/// [`MAX_NODES`], as a length.
const MOST: usize = MAX_NODES as usize;

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
///
/// Of nodes beyond those that a description may have, nothing is kept but a hash.
#[derive(Debug, Default)]
pub struct DescriptionBuilder {
    nodes: Vec<Node>,
    /// Types met so far, and their numbers; opaque ones together with their name.
    seen: BTreeMap<(TypeId, &'static str), usize>,
    /// More nodes were asked for than there may be: those beyond, and what refers to them.
    beyond: Option<Fnv>,
}

impl DescriptionBuilder {
    /// The node of `T`, described by `shape` when it is first met.
    pub fn node<T: Archive + 'static>(&mut self, shape: impl FnOnce(&mut Self) -> Shape) -> NodeId {
        let key = (TypeId::of::<T>(), "");
        if let Some(number) = self.seen.get(&key) {
            return self.refer(*number);
        }
        // The number is given before the parts are described: a part may be the type itself.
        let number = self.number(key);
        if number < MOST {
            self.nodes.push(Node::of::<T>(Shape::Scalar(Scalar::Unit)));
        }
        let shape = shape(self);
        match self.nodes.get_mut(number) {
            Some(node) => node.shape = shape,
            None => self.hash(&Node::of::<T>(shape)),
        }
        self.refer(number)
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
        if let Some(number) = self.seen.get(&key) {
            return self.refer(*number);
        }
        let node = Node::sized::<T::Archived>(Shape::Opaque { name: name.into() });
        let number = self.number(key);
        if number < MOST {
            self.nodes.push(node);
        } else {
            self.hash(&node);
        }
        self.refer(number)
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

    /// The next number, given to `key`.
    fn number(&mut self, key: (TypeId, &'static str)) -> usize {
        let number = self.seen.len();
        self.seen.insert(key, number);
        number
    }

    /// What other nodes call the node `number`. Those beyond all have one name, so that the hash
    /// takes which of them it is.
    fn refer(&mut self, number: usize) -> NodeId {
        match u16::try_from(number) {
            Ok(number) if number < MAX_NODES => NodeId::new(number),
            _ => {
                let hash = self.beyond.unwrap_or_else(Fnv::new);
                let number = u64::try_from(number).unwrap_or(u64::MAX);
                self.beyond = Some(hash.with(&number.to_le_bytes()));
                NodeId::new(u16::MAX)
            }
        }
    }

    /// Takes a node beyond those that are kept.
    fn hash(&mut self, node: &Node) {
        let mut bytes = Vec::new();
        write::node(&mut bytes, node);
        self.beyond = Some(self.beyond.unwrap_or_else(Fnv::new).with(&bytes));
    }
}

impl Description {
    /// The description of `T`, whose root is the first node that `describe` gives.
    ///
    /// A type too large to be described (more than 4,096 types in it, or 60 KiB, or values more
    /// than 64 deep) is opaque as a whole, under a name that still changes with its shape.
    pub(in super::super) fn built<T: Archive + 'static>(
        describe: impl FnOnce(&mut DescriptionBuilder) -> NodeId,
    ) -> Self {
        let mut builder = DescriptionBuilder::default();
        describe(&mut builder);
        let mut bytes = write::nodes(&builder.nodes);
        if let Some(beyond) = builder.beyond {
            bytes.extend(beyond.finish().to_le_bytes());
            return Self::undescribed::<T>(&bytes);
        }
        Self::decode(&bytes).unwrap_or_else(|_| Self::undescribed::<T>(&bytes))
    }

    /// In place of nodes that no description can hold: one opaque node, named after their hash.
    fn undescribed<T: Archive + 'static>(bytes: &[u8]) -> Self {
        let hash = Fnv::new().with(bytes).finish();
        let name = format!("undescribed {hash:016x}").into();
        let nodes = [Node::of::<T>(Shape::Opaque { name })];
        Self { bytes: write::nodes(&nodes).into(), nodes: nodes.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A type that contains itself.
    fn chain(builder: &mut DescriptionBuilder) -> NodeId {
        builder.node::<[u8; 2]>(|builder| Shape::Box { target: chain(builder) })
    }

    /// A struct of `count` opaque types, and one more field, which is a list of `last`.
    fn many(
        count: usize,
        last: impl FnOnce(&mut DescriptionBuilder) -> NodeId,
    ) -> impl FnOnce(&mut DescriptionBuilder) -> NodeId {
        move |builder| {
            builder.node::<()>(|builder| {
                let mut nodes: Vec<NodeId> = (0..count)
                    .map(|number| {
                        let name: &'static str = Box::leak(number.to_string().into_boxed_str());
                        builder.opaque::<u8>(name)
                    })
                    .collect();
                nodes.push(
                    builder.node::<[u8; 1]>(|builder| Shape::List { element: last(builder) }),
                );
                let field = |node| Field { name: "field".into(), offset: 0, node };
                Shape::Struct { name: "".into(), fields: nodes.into_iter().map(field).collect() }
            })
        }
    }

    fn fingerprint(count: usize, last: impl FnOnce(&mut DescriptionBuilder) -> NodeId) -> u64 {
        let description = Description::built::<()>(many(count, last));
        assert_eq!(description.nodes().len(), 1, "it is too large to be described");
        description.fingerprint()
    }

    #[test]
    fn does_a_type_in_itself_end_beyond_the_nodes_that_there_may_be() {
        assert_eq!(fingerprint(5000, chain), fingerprint(5000, chain));
        assert_ne!(fingerprint(5000, chain), fingerprint(5001, chain));
    }

    #[test]
    fn is_a_change_beyond_the_nodes_that_there_may_be_a_change() {
        let scalar = |scalar| {
            move |builder: &mut DescriptionBuilder| builder.node::<u64>(|_| Shape::Scalar(scalar))
        };
        for count in [4093, 4094, 4095, 4096, 5000, 70_000] {
            let unsigned = fingerprint(count, scalar(Scalar::U64));
            assert_ne!(unsigned, fingerprint(count, scalar(Scalar::I64)), "{count}");
        }
        // Which of them it is that stands there again.
        let again = |name| move |builder: &mut DescriptionBuilder| builder.opaque::<u8>(name);
        assert_ne!(fingerprint(5000, again("4998")), fingerprint(5000, again("4999")));
    }
}
