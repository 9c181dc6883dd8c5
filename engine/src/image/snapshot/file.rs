//! A snapshot that is there: mapped, and looked into. A block is verified when it is first touched.

use std::collections::HashMap;

use factlog_codec::{
    Block, BlockError, IndexError, Sections, Sequence, SnapshotEntry, SnapshotError, SnapshotHeader,
};

use crate::log::StillFile;
use crate::sync::Arc;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// A snapshot, mapped.
#[derive(Debug)]
pub(crate) struct Snapshot {
    file: StillFile,
    header: SnapshotHeader,
    sections: Vec<SectionFound>,
    by_name: HashMap<Box<str>, u16>,
    damaged: AtomicU64,
}

#[derive(Debug)]
struct SectionFound {
    fingerprint: u64,
    blocks: Vec<BlockFound>,
}

#[derive(Debug)]
struct BlockFound {
    place: (u64, u32),
    first: Box<[u8]>,
    verified: AtomicBool,
}

/// Why a file is no snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Broken {
    Header(SnapshotError),
    Index(IndexError),
}

impl Snapshot {
    pub(super) fn open(file: StillFile) -> Result<Self, Broken> {
        let bytes = file.bytes();
        let header = SnapshotHeader::decode(bytes, bytes.len() as u64).map_err(Broken::Header)?;
        let index = header.index(bytes).map_err(Broken::Header)?;
        let (mut sections, mut by_name) = (Vec::new(), HashMap::new());
        for section in Sections::new(index) {
            let section = section.map_err(Broken::Index)?;
            let found = |block: &factlog_codec::SectionBlock<'_>| BlockFound {
                place: (block.offset, block.len),
                first: block.first.into(),
                verified: AtomicBool::new(false),
            };
            by_name.insert(section.name.into(), sections.len() as u16);
            sections.push(SectionFound {
                fingerprint: section.fingerprint,
                blocks: section.blocks.iter().map(found).collect(),
            });
        }
        Ok(Self { file, header, sections, by_name, damaged: AtomicU64::new(0) })
    }

    pub(crate) fn header(&self) -> &SnapshotHeader {
        &self.header
    }

    /// The event up to which everything is folded into it.
    pub(crate) fn sequence(&self) -> Sequence {
        self.header.place.sequence
    }

    /// Blocks that were found to be damaged so far.
    pub(crate) fn damaged(&self) -> u64 {
        self.damaged.load(Ordering::Relaxed)
    }

    /// The number of a section, and the fingerprint of what is in it.
    pub(crate) fn section(&self, name: &str) -> Option<(u16, u64)> {
        let number = *self.by_name.get(name)?;
        Some((number, self.sections.get(usize::from(number))?.fingerprint))
    }

    fn block(&self, section: u16, number: usize) -> Result<Block<'_>, BlockError> {
        let found = self.sections.get(usize::from(section));
        let found = found.and_then(|found| found.blocks.get(number)).ok_or(BlockError::Place)?;
        let bytes = self.file.bytes();
        // Whoever sees the mark has the same bytes, which never change.
        if found.verified.load(Ordering::Relaxed) {
            return Block::verified(bytes, found.place);
        }
        let block = Block::verify(bytes, found.place, section, self.sequence());
        match block {
            Ok(_) => found.verified.store(true, Ordering::Relaxed),
            Err(_) => {
                self.damaged.fetch_add(1, Ordering::Relaxed);
            }
        }
        block
    }

    fn find(&self, section: u16, key: &[u8]) -> Result<Option<SnapshotEntry<'_>>, BlockError> {
        let Some(found) = self.sections.get(usize::from(section)) else { return Ok(None) };
        let behind = found.blocks.partition_point(|block| &*block.first <= key);
        match behind.checked_sub(1) {
            None => Ok(None),
            Some(number) => self.block(section, number)?.find(key),
        }
    }
}

/// One section of a snapshot, with which a kind of state begins.
#[derive(Debug, Clone)]
pub(crate) struct Base {
    pub(crate) snapshot: Arc<Snapshot>,
    section: u16,
}

impl Base {
    pub(crate) fn new(snapshot: &Arc<Snapshot>, section: u16) -> Self {
        Self { snapshot: Arc::clone(snapshot), section }
    }

    /// The entry with this key, in the form in which keys are ordered.
    pub(crate) fn find(&self, key: &[u8]) -> Result<Option<SnapshotEntry<'_>>, BlockError> {
        self.snapshot.find(self.section, key)
    }

    /// Number of blocks.
    pub(crate) fn blocks(&self) -> usize {
        let found = self.snapshot.sections.get(usize::from(self.section));
        found.map_or(0, |found| found.blocks.len())
    }

    /// One of them.
    pub(crate) fn block(&self, number: usize) -> Result<Block<'_>, BlockError> {
        self.snapshot.block(self.section, number)
    }
}
