//! Snapshots: a memory image in a file, as of one sequence.
//!
//! ```text
//! header (256 bytes) | blocks, each with its checksum | index, with its checksum
//! ```
//!
//! Sections stand one after the other, one for each kind of state. Their entries are in the order
//! of their keys, in blocks that say their first key in the index: one entry is found through the
//! index and one block, and no other block need be good for it.
//!
//! - `header`: which log it is of, and as of which event
//! - `block`: entries, and finding one of them
//! - `index`: which sections there are, and where their blocks stand

mod block;
mod header;
mod index;

pub use block::{Block, BlockBuilder, BlockError, SnapshotEntry};
pub use header::{SnapshotError, SnapshotHeader};
pub use index::{IndexBuilder, IndexError, Section, SectionBlock, Sections};
