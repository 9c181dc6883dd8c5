//! From records to a file, on a thread of its own.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use factlog_codec::{
    BlockBuilder, BlockError, CursorPlace, IndexBuilder, SectionBlock, Sequence, SnapshotEntry,
    SnapshotHeader,
};

use super::file::Base;
use super::ladder::Ladder;
use super::record::{LEFT_OUT, Record, Records};
use super::thin::thin_out;
use crate::log::{IoError, LEFT_OUT_NAME, LOST, Log, ReadError, SnapshotFile, SyncError, Waited};
use crate::sync::atomic::{AtomicBool, Ordering as AtomicOrdering};
use crate::sync::{Arc, Mutex, MutexGuard, TryLockError, mpsc};

/// Bytes that are written at once.
const CHUNK: usize = 1 << 20;
/// How long it sleeps at most before it looks whether it is to end.
const LOOK: Duration = Duration::from_millis(20);

/// A snapshot that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotTaken {
    /// The event up to which everything is folded into it.
    pub sequence: Sequence,
    /// Bytes of its file.
    pub bytes: u64,
    /// Instances in it, of all kinds.
    pub instances: u64,
    /// Instances that are suspended, and so not in it: they are folded from the log at each start. As
    /// long as there are any, retention leaves the whole log.
    pub left_out: u64,
    /// How long it took.
    pub took: Duration,
    /// Older snapshots that were removed, since newer ones do in their place.
    pub removed: Vec<Sequence>,
}

/// Why no snapshot was taken. The log and the state are as they were.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum SnapshotTrouble {
    /// It cannot be written.
    Io(Arc<IoError>),
    /// What is before it cannot be read.
    Read(Arc<ReadError>),
    /// An instance of this kind cannot be stored: it takes more than 256 MiB, or is nested too
    /// deeply.
    TooLarge(&'static str),
    /// An instance of this kind cannot be stored: its [`Stored::store`](crate::Stored::store) panics, with
    /// what it said.
    Panicked(&'static str, String),
    /// Instances stand in the snapshot before it only, and that is damaged: their kind. Remove it, and
    /// start anew.
    Damaged(String, BlockError),
    /// The log has failed: its event will not become durable.
    NotDurable(Arc<SyncError>),
    /// Instances of this kind cannot be stored: see [`State::STORED`](crate::State::STORED).
    NotStored(&'static str),
    /// The replica does not know idempotency keys, so no engine could begin with it: take it from
    /// one that was made by [`Client::replica`](crate::Client::replica).
    NoKeys,
    /// The log does not go back to its beginning, and whoever was to take it began with none of the
    /// snapshots that are there: it would lack what stands in them, and push them out. Remove them to go
    /// on with what is left.
    BeginningGone,
    /// There is no event yet.
    Nothing,
    /// One is being taken already.
    Busy,
    /// The engine ended meanwhile, or its state was folded anew.
    Ended,
    /// This process is a forked child of the one that started the engine.
    Forked,
}

impl fmt::Display for SnapshotTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Read(error) => write!(f, "the log cannot be read: {error}"),
            Self::TooLarge(kind) => write!(
                f,
                "an instance of `{kind}` cannot be stored: it takes more than 256 MiB, or is nested \
                 too deeply"
            ),
            Self::Panicked(kind, said) => {
                write!(f, "an instance of `{kind}` cannot be stored: that panics: {said}")
            }
            Self::Damaged(kind, error) => write!(
                f,
                "instances of `{kind}` stand in an earlier snapshot only, which is damaged \
                 ({error}): remove it and start anew, they are folded from the log then"
            ),
            Self::NotDurable(error) => write!(f, "its event does not become durable: {error}"),
            Self::NotStored(kind) => {
                write!(f, "instances of `{kind}` cannot be stored: set `STORED` in its `State`")
            }
            Self::NoKeys => write!(
                f,
                "this replica knows no idempotency keys, so no engine could begin with its \
                 snapshots: make it with `Client::replica`"
            ),
            Self::BeginningGone => write!(
                f,
                "the log does not go back to its beginning, and none of the snapshots that are there \
                 was begun with: one of what is left would push them out; start with one of them, or \
                 remove them"
            ),
            Self::Nothing => write!(f, "there is no event yet"),
            Self::Busy => write!(f, "a snapshot is being taken already"),
            Self::Ended => write!(f, "the engine ended meanwhile, or its state was folded anew"),
            Self::Forked => write!(f, "a forked child of the engine's process takes no snapshots"),
        }
    }
}

impl std::error::Error for SnapshotTrouble {}

/// Says whether an entry is still wanted.
pub(crate) type Wanted = Box<dyn Fn(&SnapshotEntry<'_>) -> bool + Send>;

/// A section of the new snapshot.
pub(crate) struct SectionOf {
    pub(crate) name: &'static str,
    pub(crate) fingerprint: u64,
    /// Whether its entries are instances of a kind, and not something beside them.
    pub(crate) of_kind: bool,
    /// What was not loaded stands here only.
    pub(crate) base: Option<Base>,
    /// Which of that is still wanted.
    pub(crate) wanted: Option<Wanted>,
}

/// What is handed over.
pub(crate) enum Piece {
    Records(Records),
    /// That was all: without it there is no snapshot.
    End,
}

/// What is to be written.
pub(crate) struct Job {
    pub(crate) log: Log,
    pub(crate) place: CursorPlace,
    pub(crate) ts: u64,
    pub(crate) sections: Vec<SectionOf>,
    pub(crate) records: mpsc::Receiver<Piece>,
    /// Most bytes a second.
    pub(crate) rate: Option<u64>,
    pub(crate) ladder: Ladder,
    /// Somebody does not want it any more.
    pub(crate) ended: Arc<AtomicBool>,
}

/// Writes it, and puts it into place once its event is durable.
pub(crate) fn write(job: Job, pen: &Mutex<()>) -> Result<SnapshotTaken, SnapshotTrouble> {
    let began = Instant::now();
    let Job { log, place, ts, sections, records, rate, ladder, ended } = job;
    // Until everything was handed over, or the engine has ended.
    let mut pieces = Vec::new();
    loop {
        match records.recv() {
            Ok(Piece::Records(piece)) => pieces.push(piece),
            Ok(Piece::End) => break,
            Err(_) => return Err(SnapshotTrouble::Ended),
        }
    }
    let _pen = take_pen(pen, &ended)?;
    let sequence = place.sequence;
    let path = log.directory().join("snapshots");
    let trouble =
        |source| SnapshotTrouble::Io(Arc::new(IoError::new("write a snapshot in", &path, source)));
    let file = log.begin_snapshot(sequence).map_err(trouble)?;
    // What was not written while it was being taken, or while another was written, is not made up for.
    let pace = Pace { rate, began: Instant::now(), ended: &ended };
    let mut out = Out { file, pace, buffer: Vec::new(), sequence };
    let mut instances = 0;
    let mut index = IndexBuilder::default();
    for (number, section) in sections.iter().enumerate() {
        index.section(section.name, section.fingerprint);
        let entries = out.section(number as u16, section, &pieces, &mut index);
        let entries = entries.map_err(|stop| match stop {
            Stop::Io(source) => trouble(source),
            Stop::Ended => SnapshotTrouble::Ended,
            Stop::Damaged(error) => SnapshotTrouble::Damaged(section.name.to_owned(), error),
        })?;
        if section.of_kind {
            instances += entries;
        }
    }
    index.section(LEFT_OUT_NAME, 0);
    let left_out = out.left_out(sections.len() as u16, &sections, &pieces, &mut index);
    let left_out = left_out.map_err(|stop| match stop {
        Stop::Io(source) => trouble(source),
        Stop::Ended | Stop::Damaged(_) => SnapshotTrouble::Ended,
    })?;
    let Out { mut file, .. } = out;
    let index = index.finish();
    let index_offset = file.at();
    file.write(&index).map_err(trouble)?;
    let header = SnapshotHeader {
        place,
        ts,
        index_offset,
        index_len: index.len() as u64,
        index_crc: crc32fast::hash(&index),
        len: file.at(),
    };
    loop {
        match log.wait_durable(sequence, LOOK) {
            Ok(Waited::Ready) => break,
            Ok(Waited::Closed) => return Err(SnapshotTrouble::Ended),
            Ok(_) if ended.load(AtomicOrdering::Acquire) => return Err(SnapshotTrouble::Ended),
            Ok(_) => {}
            Err(error) => return Err(SnapshotTrouble::NotDurable(Arc::new(error))),
        }
    }
    let bytes = file.finish(&header.encode()).map_err(trouble)?;
    let kinds: Vec<_> = sections.iter().map(|one| (one.name, one.fingerprint)).collect();
    let removed = thin_out(&log, sequence, &kinds, ladder);
    Ok(SnapshotTaken { sequence, bytes, instances, left_out, took: began.elapsed(), removed })
}

enum Stop {
    Io(io::Error),
    Ended,
    Damaged(BlockError),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Waits until nobody else writes, unless it is not wanted any more.
fn take_pen<'a>(
    pen: &'a Mutex<()>,
    ended: &AtomicBool,
) -> Result<MutexGuard<'a, ()>, SnapshotTrouble> {
    loop {
        match pen.try_lock() {
            Ok(taken) => return Ok(taken),
            Err(TryLockError::Poisoned(taken)) => return Ok(taken.into_inner()),
            Err(TryLockError::WouldBlock) if ended.load(AtomicOrdering::Acquire) => {
                return Err(SnapshotTrouble::Ended);
            }
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOOK),
        }
    }
}

/// No more bytes a second than there may be.
struct Pace<'a> {
    rate: Option<u64>,
    began: Instant,
    ended: &'a AtomicBool,
}

impl Pace<'_> {
    /// Waits until so many bytes may have been written.
    fn wait(&self, bytes: u64) -> Result<(), Stop> {
        loop {
            if self.ended.load(AtomicOrdering::Acquire) {
                return Err(Stop::Ended);
            }
            let due = match self.rate {
                Some(rate) => Duration::from_secs_f64(bytes as f64 / rate.max(1) as f64),
                None => return Ok(()),
            };
            match due.checked_sub(self.began.elapsed()) {
                None => return Ok(()),
                Some(left) => std::thread::sleep(left.min(LOOK)),
            }
        }
    }
}

struct Out<'a> {
    file: SnapshotFile,
    pace: Pace<'a>,
    buffer: Vec<u8>,
    sequence: Sequence,
}

/// The records of a section, in the order of their keys.
fn sorted(pieces: &[Records], section: u16) -> Vec<Record<'_>> {
    let of = pieces.iter().filter(|piece| piece.section == section);
    let mut all: Vec<_> =
        of.flat_map(|piece| (0..piece.count()).filter_map(|number| piece.get(number))).collect();
    all.sort_unstable_by_key(|record| record.key);
    all
}

impl Out<'_> {
    /// One section: what was taken, and what stands in the snapshot before it only. How many entries
    /// that makes.
    fn section(
        &mut self,
        number: u16,
        section: &SectionOf,
        pieces: &[Records],
        index: &mut IndexBuilder,
    ) -> Result<u64, Stop> {
        let left_out: HashSet<&[u8]> = pieces
            .iter()
            .filter(|piece| piece.section == LEFT_OUT)
            .flat_map(|piece| (0..piece.count()).filter_map(|at| piece.get(at)))
            .filter_map(|record| record.key.strip_prefix(&number.to_be_bytes()))
            .collect();
        let records = sorted(pieces, number);
        let mut records = records.into_iter().map(entry_of).peekable();
        let mut blocks = Blocks::new(number, index);
        for at in 0..section.base.as_ref().map_or(0, Base::blocks) {
            let Some(base) = &section.base else { break };
            let block = base.block(at).map_err(Stop::Damaged)?;
            for entry in (0..block.len()).map(|at| block.entry(at)) {
                let entry = entry.map_err(Stop::Damaged)?;
                while let Some(taken) = records.next_if(|taken| taken.key < entry.key) {
                    self.put(&mut blocks, taken)?;
                }
                let newer = records.peek().map(|taken| taken.key.cmp(entry.key));
                let wanted = section.wanted.as_ref().is_none_or(|wanted| wanted(&entry));
                if newer != Some(Ordering::Equal) && wanted && !left_out.contains(entry.key) {
                    self.put(&mut blocks, entry)?;
                }
            }
        }
        for taken in records {
            self.put(&mut blocks, taken)?;
        }
        self.finish(blocks)
    }

    /// The section of those that were left out: name of their kind, a zero, key. How many of them can
    /// be folded from what the log has.
    fn left_out(
        &mut self,
        number: u16,
        sections: &[SectionOf],
        pieces: &[Records],
        index: &mut IndexBuilder,
    ) -> Result<u64, Stop> {
        let mut named: Vec<_> = sorted(pieces, LEFT_OUT)
            .into_iter()
            .filter_map(|record| {
                let (section, key) = record.key.split_first_chunk()?;
                let section = sections.get(usize::from(u16::from_be_bytes(*section)))?;
                let name = [section.name.as_bytes(), &[0], key].concat();
                Some((name, record.version, record.value))
            })
            .collect();
        named.sort_unstable();
        let mut blocks = Blocks::new(number, index);
        for (key, version, value) in &named {
            self.put(&mut blocks, SnapshotEntry { key, version: *version, value })?;
        }
        self.finish(blocks)?;
        Ok(named.iter().filter(|(_, _, value)| *value != LOST).count() as u64)
    }

    fn put(&mut self, blocks: &mut Blocks<'_>, entry: SnapshotEntry<'_>) -> Result<(), Stop> {
        if blocks.builder.is_empty() {
            blocks.first.clear();
            blocks.first.extend_from_slice(entry.key);
        }
        blocks.entries += 1;
        if blocks.builder.push(entry) { self.end_block(blocks) } else { Ok(()) }
    }

    fn end_block(&mut self, blocks: &mut Blocks<'_>) -> Result<(), Stop> {
        let offset = self.file.at() + self.buffer.len() as u64;
        let before = self.buffer.len();
        blocks.builder.finish(blocks.section, offset, self.sequence, &mut self.buffer);
        let len = (self.buffer.len() - before) as u32;
        let block = SectionBlock { offset, len, first: &blocks.first };
        blocks.total += blocks.entries;
        blocks.index.block(block, std::mem::take(&mut blocks.entries));
        if self.buffer.len() >= CHUNK { self.write() } else { Ok(()) }
    }

    /// How many entries there are.
    fn finish(&mut self, mut blocks: Blocks<'_>) -> Result<u64, Stop> {
        if !blocks.builder.is_empty() {
            self.end_block(&mut blocks)?;
        }
        self.write()?;
        Ok(blocks.total)
    }

    fn write(&mut self) -> Result<(), Stop> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.pace.wait(self.file.at())?;
        self.file.write(&self.buffer)?;
        self.buffer.clear();
        // In small parts, so that no sync of the log has to wait for all of it.
        Ok(self.file.sync()?)
    }
}

/// The blocks of one section.
struct Blocks<'a> {
    section: u16,
    index: &'a mut IndexBuilder,
    builder: BlockBuilder,
    first: Vec<u8>,
    /// Entries of the block that is being made.
    entries: u64,
    /// Entries of the blocks before.
    total: u64,
}

impl<'a> Blocks<'a> {
    fn new(section: u16, index: &'a mut IndexBuilder) -> Self {
        let (builder, first) = (BlockBuilder::default(), Vec::new());
        Self { section, index, builder, first, entries: 0, total: 0 }
    }
}

fn entry_of(record: Record<'_>) -> SnapshotEntry<'_> {
    let Record { key, version, value } = record;
    SnapshotEntry { key, version, value }
}
