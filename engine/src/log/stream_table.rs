//! The streams of a log: what their numbers stand for, and the last event of each.
//!
//! One structure serves the writer and all readers: an append-only list of entries, and over it
//! a hash index of numbers that is built anew at twice the size when it fills up. One thread adds;
//! any number looks up, without locks.

use std::hash::BuildHasher;

use factlog_codec::{Key, Position, StreamKey, StreamNumber, StreamVersion};

use super::append_only::AppendOnly;
use super::frontier::Pair;
use crate::sync::OnceLock;
use crate::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Smallest hash index, as a power of two.
const FIRST_BITS: u32 = 8;
const GENERATIONS: usize = 40;
/// Bits of a place in an index that hold the number; those above are of its name's hash.
const NUMBER_BITS: u32 = 40;
const NUMBER: u64 = (1 << NUMBER_BITS) - 1;

#[derive(Debug)]
struct Entry {
    name: StreamKey,
    /// Version and frame of the last visible event.
    head: Pair,
}

/// All streams of a log.
#[derive(Debug)]
pub(crate) struct StreamTable {
    entries: AppendOnly<Entry>,
    len: AtomicU64,
    /// Hash indexes, each twice as large as the one before; 0 is a free place. Older ones stay,
    /// since somebody may be looking into them: half of the newest in all.
    ///
    /// Beside each number stand bits of its name's hash: names that differ are hardly ever fetched
    /// from memory to be compared.
    indexes: Box<[OnceLock<Box<[AtomicU64]>>]>,
    newest: AtomicUsize,
    hasher: foldhash::fast::RandomState,
}

impl Default for StreamTable {
    fn default() -> Self {
        Self {
            entries: AppendOnly::default(),
            len: AtomicU64::new(0),
            indexes: (0..GENERATIONS).map(|_| OnceLock::new()).collect(),
            newest: AtomicUsize::new(0),
            hasher: foldhash::fast::RandomState::default(),
        }
    }
}

/// What a look into an index has come to.
enum Probed {
    /// The name is there.
    There(StreamNumber),
    /// It is not, and would stand at this place.
    Free(usize),
}

fn entry_index(number: StreamNumber) -> Option<usize> {
    usize::try_from(number.get()).ok()?.checked_sub(1)
}

impl StreamTable {
    /// With an index for so many streams from the start, so that it need not grow up to there.
    pub(crate) fn for_streams(count: usize) -> Self {
        let bits = count.saturating_mul(2).checked_next_power_of_two().map_or(0, usize::ilog2);
        let newest = (bits.saturating_sub(FIRST_BITS) as usize).min(GENERATIONS - 1);
        Self { newest: AtomicUsize::new(newest), ..Self::default() }
    }

    pub(crate) fn len(&self) -> u64 {
        self.len.load(Ordering::Acquire)
    }

    fn entry(&self, number: StreamNumber) -> Option<&Entry> {
        self.entries.get(entry_index(number)?)
    }

    /// What a number stands for.
    pub(crate) fn name(&self, number: StreamNumber) -> Option<&StreamKey> {
        Some(&self.entry(number)?.name)
    }

    /// Version and frame of the stream's last visible event; (0, 0) if there is none.
    pub(crate) fn head(&self, number: StreamNumber) -> (StreamVersion, Position) {
        let (version, position) = self.entry(number).map_or((0, 0), |entry| entry.head.load());
        (StreamVersion::new(version), Position::from_raw(position))
    }

    /// Publishes the last event of a stream. Only the writer, after the event became visible.
    #[inline]
    pub(crate) fn set_head(&self, number: StreamNumber, version: StreamVersion, frame: Position) {
        if let Some(entry) = self.entry(number) {
            entry.head.store(version.get(), frame.raw());
        }
    }

    fn hash(&self, category: &str, key: &Key) -> u64 {
        self.hasher.hash_one((category, key))
    }

    /// The number of a stream.
    pub(crate) fn find(&self, name: &StreamKey) -> Option<StreamNumber> {
        let hash = self.hash(name.category(), name.key());
        match self.probe(self.index()?, hash, name) {
            Probed::There(number) => Some(number),
            Probed::Free(_) => None,
        }
    }

    /// Adds a stream that has the next number and is not there yet; whether that was so.
    pub(crate) fn add(&self, number: StreamNumber, name: StreamKey) -> bool {
        let hash = self.hash(name.category(), name.key());
        self.add_hashed(number, name, hash)
    }

    /// Adds streams that have the next numbers, from `first` on, each with version and frame of its
    /// last event; whether none of them was there.
    pub(crate) fn add_all(
        &self,
        first: StreamNumber,
        streams: &mut Vec<(StreamKey, StreamVersion, Position)>,
    ) -> bool {
        // One step for all of them before the next one, which waits for memory.
        let hash = |(name, ..): &(StreamKey, _, _)| self.hash(name.category(), name.key());
        let hashes: Vec<_> = streams.iter().map(hash).collect();
        if let Some(index) = self.index() {
            for hash in &hashes {
                let place = index.get(*hash as usize & (index.len() - 1));
                std::hint::black_box(place.map(|place| place.load(Ordering::Relaxed)));
            }
        }
        let numbers = (first.get()..).map(StreamNumber::new);
        numbers.zip(hashes).zip(streams.drain(..)).all(|((number, hash), stream)| {
            let (name, version, position) = stream;
            let added = self.add_hashed(number, name, hash);
            self.set_head(number, version, position);
            added
        })
    }

    fn add_hashed(&self, number: StreamNumber, name: StreamKey, hash: u64) -> bool {
        let len = self.len();
        let Some(at) = entry_index(number) else { return false };
        if number.get() != len + 1 || number.get() > NUMBER {
            return false;
        }
        let newest = self.newest.load(Ordering::Relaxed);
        let Some(index) = self.indexes.get(newest) else { return false };
        let index = index.get_or_init(|| empty(newest));
        let Probed::Free(place) = self.probe(index, hash, &name) else { return false };
        if !self.entries.set(at, Entry { name, head: Pair::default() }) {
            return false;
        }
        // At most half full.
        if len + 1 > index.len() as u64 / 2 && newest + 1 < GENERATIONS {
            self.grow(newest + 1, number);
        } else if let Some(place) = index.get(place) {
            // Release: whoever sees the number sees the entry.
            place.store(hash & !NUMBER | number.get(), Ordering::Release);
        }
        // Last: whoever counts a stream can find it.
        self.len.store(len + 1, Ordering::Release);
        true
    }

    fn index(&self) -> Option<&[AtomicU64]> {
        Some(self.indexes.get(self.newest.load(Ordering::Acquire))?.get()?)
    }

    /// Looks a name up in an index, which is never full.
    #[inline]
    fn probe(&self, index: &[AtomicU64], hash: u64, name: &StreamKey) -> Probed {
        let mask = index.len() - 1;
        let mut place = hash as usize & mask;
        loop {
            let found = index.get(place).map_or(0, |place| place.load(Ordering::Acquire));
            if found == 0 {
                return Probed::Free(place);
            }
            let number = StreamNumber::new(found & NUMBER);
            if found >> NUMBER_BITS == hash >> NUMBER_BITS && self.name(number) == Some(name) {
                return Probed::There(number);
            }
            place = (place + 1) & mask;
        }
    }

    fn grow(&self, generation: usize, last: StreamNumber) {
        let index = empty(generation);
        for number in (1..=last.get()).map(StreamNumber::new) {
            if let Some(name) = self.name(number) {
                insert(&index, self.hash(name.category(), name.key()), number);
            }
        }
        if self.indexes.get(generation).is_some_and(|slot| slot.set(index).is_ok()) {
            self.newest.store(generation, Ordering::Release);
        }
    }
}

fn empty(generation: usize) -> Box<[AtomicU64]> {
    (0..1_usize << (generation as u32 + FIRST_BITS)).map(|_| AtomicU64::new(0)).collect()
}

fn insert(index: &[AtomicU64], hash: u64, number: StreamNumber) {
    let mask = index.len() - 1;
    let mut place = hash as usize & mask;
    while let Some(slot) = index.get(place) {
        if slot.load(Ordering::Relaxed) == 0 {
            // Release: whoever sees the number sees the entry.
            slot.store(hash & !NUMBER | number.get(), Ordering::Release);
            return;
        }
        place = (place + 1) & mask;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every stream is found by its name, while the index grows under the reader's hands.
    #[test]
    fn is_every_stream_found_while_others_are_added() {
        let table = StreamTable::default();
        let name = |number: u64| StreamKey::new("account", number * 7).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while table.len() < 20_000 {
                    let len = table.len();
                    for number in (1..=len).rev().step_by(97) {
                        assert_eq!(table.find(&name(number)), Some(StreamNumber::new(number)));
                    }
                }
            });
            for number in 1..=20_000 {
                assert!(table.add(StreamNumber::new(number), name(number)));
                assert!(!table.add(StreamNumber::new(number), name(number)));
            }
        });
        assert_eq!(table.find(&StreamKey::new("account", 1_u64).unwrap()), None);
        assert_eq!(table.find(&StreamKey::new("other", 7_u64).unwrap()), None);
    }

    /// Streams that are added together are found with their heads; a name that is there twice, among
    /// them or from before, is not added.
    #[test]
    fn are_streams_that_are_added_together_found() {
        let table = StreamTable::for_streams(10);
        let name = |number: u64| StreamKey::new("account", number * 7).unwrap();
        let stream = |number: u64| (name(number), StreamVersion::new(number), Position::ZERO);
        for from in (1..=20_000).step_by(64) {
            let mut streams = (from..from + 64).map(stream).collect();
            assert!(table.add_all(StreamNumber::new(from), &mut streams) && streams.is_empty());
        }
        for number in 1..=table.len() {
            assert_eq!(table.find(&name(number)), Some(StreamNumber::new(number)));
            let head = table.head(StreamNumber::new(number));
            assert_eq!(head, (StreamVersion::new(number), Position::ZERO));
        }
        let next = table.len() + 1;
        assert!(!table.add_all(StreamNumber::new(next), &mut vec![stream(7)]));
        assert!(!table.add_all(StreamNumber::new(next), &mut vec![stream(next), stream(next)]));
        assert!(!table.add_all(StreamNumber::new(next), &mut vec![stream(next + 1)]));
        assert_eq!(table.len(), next, "one of the two");
    }
}
