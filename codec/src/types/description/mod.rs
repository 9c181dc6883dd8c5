//! What the archived form of a type looks like, in a canonical form that can be stored.
//!
//! A description is a list of nodes; node 0 is the root. Nodes refer to each other by number, so
//! that a type may contain itself. `FORMAT.md` has the bytes.
//!
//! | file | what it does |
//! |---|---|
//! | `shape` | what a node can be |
//! | `error` | why bytes are no description |
//! | `build` | from types to nodes |
//! | `write` | from nodes to bytes |
//! | `decode` | from any bytes to nodes |
//! | `check` | which nodes make sense together |
//! | `show` | from nodes to text that people compare |

mod build;
mod check;
mod decode;
mod error;
mod shape;
mod show;
mod write;

use core::fmt;

use super::hash::Fnv;

pub use build::{DescriptionBuilder, FieldDraft, VariantDraft};
pub use error::DescriptionError;
pub(super) use shape::offset_u32;
pub use shape::{Field, Node, NodeId, Scalar, Shape, Variant};

/// Most nodes in a description.
pub const MAX_NODES: u16 = 4096;

/// Most bytes in a description.
pub const MAX_DESCRIPTION: usize = 60 * 1024;

/// Version of the canonical form.
const FORM: u8 = 1;

/// What the payloads of a type look like.
///
/// It was checked: every number of a node is one of its nodes, every part lies inside its whole,
/// and a value contains itself only behind a pointer.
#[derive(Clone, PartialEq, Eq)]
pub struct Description {
    bytes: Box<[u8]>,
    nodes: Box<[Node]>,
}

impl Description {
    /// The canonical bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Hash of the canonical bytes.
    pub fn fingerprint(&self) -> u64 {
        Fnv::new().with(&self.bytes).finish()
    }

    /// All nodes, the root first.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The node of that number, if there is one.
    pub fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(usize::from(id.get()))
    }
}

impl fmt::Debug for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.nodes.iter()).finish()
    }
}
