//! A snapshot that is there: mapped, and looked into. A block is verified when it is first touched.

use std::collections::HashMap;

use factlog_codec::{
    Block, BlockError, IndexError, Key, Sections, Sequence, SnapshotEntry, SnapshotError,
    SnapshotHeader, StreamKey,
};

use crate::log::{LEFT_OUT_NAME, LOST, StillFile};
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

    /// The instances that it leaves out, since they were suspended, each with whether its beginning
    /// was gone already.
    ///
    /// If that cannot be read, nobody knows what is missing: to whom an instance is not there, it is as
    /// if it had no event.
    pub(crate) fn left_out(&self) -> Result<Vec<(StreamKey, bool)>, BlockError> {
        let Some((section, _)) = self.section(LEFT_OUT_NAME) else { return Ok(Vec::new()) };
        let blocks = self.sections.get(usize::from(section)).map_or(0, |found| found.blocks.len());
        let mut all = Vec::new();
        for block in 0..blocks {
            let block = self.block(section, block)?;
            for at in 0..block.len() {
                let entry = block.entry(at)?;
                let name = name_of(entry.key).ok_or(BlockError::Entry)?;
                all.push((name, entry.value == LOST));
            }
        }
        Ok(all)
    }

    /// Whether it has all instances whose events the log had when it was taken.
    pub(crate) fn is_whole(&self) -> bool {
        self.left_out().is_ok_and(|all| all.iter().all(|(_, lost)| *lost))
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

/// The stream of an instance that was left out of a snapshot: name of its kind, a zero, key.
fn name_of(key: &[u8]) -> Option<StreamKey> {
    let zero = key.iter().position(|byte| *byte == 0)?;
    let (category, key) = key.split_at_checked(zero)?;
    let key = Key::from_ordered(key.get(1..)?)?;
    StreamKey::new(std::str::from_utf8(category).ok()?, key).ok()
}
