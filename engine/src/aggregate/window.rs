//! Idempotency keys, and what was answered: a command that is sent twice is done once.

use std::time::Duration;

use factlog_codec::{BlockError, CommandItem, SnapshotEntry, StreamVersion};
use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::answers::{Answers, Remembered};
use crate::image::{Base, Beside, Records, SectionOf, Snapshot};
use crate::log::{Entry, ItemFault, ReadError};
use crate::sync::Arc;

/// How long idempotency keys are remembered: the last so many, and none that is older.
///
/// A key that is older is forgotten: a command that comes with it is done again, also if none with a
/// key has come meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdempotencyWindow {
    /// Most keys: 1,000,000 by default, each of which takes some 80 bytes of memory beside its reply
    /// (measured with a million; tables grow by doubling, so that it may be up to twice as many). A
    /// key that stands in the snapshot with which an engine began takes none.
    pub keys: usize,
    /// Most age, by the time of frames: 24 hours by default.
    pub age: Duration,
}

impl Default for IdempotencyWindow {
    fn default() -> Self {
        Self { keys: 1_000_000, age: Duration::from_secs(24 * 60 * 60) }
    }
}

/// Keys by their hash, with a seed: nobody can look for two that have the same.
///
/// Each has a number, in the order in which they came. The older ones may stand in a snapshot only;
/// there they are looked up, and not loaded.
pub(super) struct Window {
    limits: IdempotencyWindow,
    seed: u64,
    answers: Answers,
    /// Of these the last belong to a frame that is not published yet.
    staged: usize,
    base: Option<Base>,
    /// Those of the snapshot from this number on are remembered, as far as the oldest that is here.
    kept: u64,
    /// Time of the newest.
    latest: u64,
    /// Numbers from here up to there are still to be taken into a snapshot.
    taking: Option<(u64, u64)>,
    /// Of these those that were forgotten before their turn had come: what has pushed them out may be
    /// lost with a power cut, and the snapshot is not.
    forgotten: Records,
    /// `kept`, as it was when the snapshot was begun.
    kept_then: u64,
}

/// What the section of the keys is called in a snapshot.
const SECTION: &str = "$idempotency";
/// Tells its values from those of another version of this program.
const FINGERPRINT: u64 = 1;
/// Most keys that are taken at once.
const AT_ONCE: u64 = 64;

impl Window {
    pub(super) fn new(limits: IdempotencyWindow, seed: u64) -> Self {
        Self {
            limits,
            seed,
            answers: Answers::default(),
            staged: 0,
            base: None,
            kept: 0,
            latest: 0,
            taking: None,
            forgotten: Records::default(),
            kept_then: 0,
        }
    }

    fn hash(&self, key: &[u8]) -> u128 {
        xxh3_128_with_seed(key, self.seed)
    }

    /// What was answered to the command with this key, if that is remembered at `now`.
    pub(super) fn find(&self, key: &[u8], now: u64) -> Option<Remembered> {
        let hash = self.hash(key);
        // Those that are too old are forgotten only when the next one comes.
        let (now, age) = (now.max(self.latest), self.age());
        let known = self.answers.find(hash).or_else(|| self.find_stored(hash));
        known.filter(|known| now.saturating_sub(known.ts) <= age)
    }

    /// Whether this very answer, of a frame of this time, is remembered. One like it that was too old by
    /// then is another one.
    fn knows(&self, item: &CommandItem<'_>, ts: u64) -> bool {
        !item.key.is_empty() && self.find(item.key, ts).is_some_and(|known| known.is(item))
    }

    fn find_stored(&self, hash: u128) -> Option<Remembered> {
        let entry = self.base.as_ref()?.find(&hash.to_be_bytes()).ok()??;
        let (number, stored) = Remembered::decode(entry.value)?;
        (number >= self.kept).then_some(stored)
    }

    fn age(&self) -> u64 {
        u64::try_from(self.limits.age.as_nanos()).unwrap_or(u64::MAX)
    }

    /// Remembers what is answered, as the log has it, and forgets what is too old.
    pub(super) fn remember(&mut self, item: &CommandItem<'_>, ts: u64) {
        if item.key.is_empty() || self.limits.keys == 0 {
            return;
        }
        self.answers.push(self.hash(item.key), item, ts);
        self.staged += 1;
        self.latest = self.latest.max(ts);
        self.forget(ts);
    }

    fn forget(&mut self, ts: u64) {
        // Those of the snapshot are older than all others.
        let (limit, front) = (self.limits.keys as u64, self.answers.front());
        let all = (front - self.kept).saturating_add(self.answers.len() as u64);
        self.kept += all.saturating_sub(limit).min(front - self.kept);
        let age = self.age();
        while let Some(oldest) = self.answers.oldest() {
            let old = ts.saturating_sub(oldest) > age;
            if self.answers.len() <= self.limits.keys && !old {
                break;
            }
            if self.answers.len() <= self.staged {
                // What this frame has remembered can still be taken back.
                break;
            }
            let number = self.answers.front();
            if self.taking.is_some_and(|(next, end)| (next..end).contains(&number)) {
                put(&self.answers, number, &mut self.forgotten);
            }
            self.answers.pop_front();
            // All that are older are forgotten too.
            self.kept = self.answers.front();
        }
    }

    /// The frame was published: what it has remembered stays.
    pub(super) fn keep(&mut self) {
        self.staged = 0;
    }

    /// The frame came to nothing.
    pub(super) fn take_back(&mut self) {
        for _ in 0..std::mem::take(&mut self.staged) {
            self.answers.pop_back();
        }
    }

    /// Number of keys.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.answers.len() + (self.answers.front() - self.kept) as usize
    }
}

impl Beside for Window {
    fn section(&self) -> (&'static str, u64) {
        (SECTION, FINGERPRINT)
    }

    fn begin_with(&mut self, snapshot: &Arc<Snapshot>) -> Result<(), BlockError> {
        let (section, _) = snapshot.section(SECTION).ok_or(BlockError::Place)?;
        let base = Base::new(snapshot, section);
        for block in 0..base.blocks() {
            base.block(block)?;
        }
        let head = base.find(&[])?.and_then(|head| head.value.first_chunk::<24>());
        let [seed, kept, front] = words(head.ok_or(BlockError::Entry)?);
        (self.seed, self.kept) = (seed, kept.min(front));
        self.answers.begin_at(front);
        self.base = Some(base);
        Ok(())
    }

    fn see(&mut self, entry: &Entry<'_>) -> Result<(), ReadError> {
        let command = entry.command().map_err(|fault: ItemFault| entry.unreadable(fault))?;
        // What has no events behind it may stand in the snapshot already: the log is read on from
        // the event that the snapshot is as of.
        let known = |item: &CommandItem<'_>| item.events == 0 && self.knows(item, entry.ts);
        if let Some(item) = command.filter(|item| !known(item)) {
            self.remember(&item, entry.ts);
            self.keep();
        }
        Ok(())
    }

    fn begin_taking(&mut self) -> SectionOf {
        self.taking = Some((self.answers.front(), self.answers.end()));
        let kept = self.kept;
        (self.forgotten, self.kept_then) = (Records::default(), kept);
        let wanted = move |entry: &SnapshotEntry<'_>| {
            Remembered::decode(entry.value).is_some_and(|(number, _)| number >= kept)
        };
        SectionOf {
            name: SECTION,
            fingerprint: FINGERPRINT,
            of_kind: false,
            base: self.base.clone(),
            wanted: Some(Box::new(wanted)),
        }
    }

    fn take(&mut self, section: u16, hand_over: &mut dyn FnMut(Records)) -> bool {
        let Some((next, end)) = self.taking else { return false };
        let mut records = std::mem::take(&mut self.forgotten);
        records.section = section;
        let last = next.saturating_add(AT_ONCE).min(end);
        // Those that were forgotten meanwhile were put aside.
        for number in next.max(self.answers.front())..last {
            put(&self.answers, number, &mut records);
        }
        if last < end {
            self.taking = Some((last, end));
            hand_over(records);
            return true;
        }
        self.taking = None;
        let head = [self.seed, self.kept_then, end].map(u64::to_le_bytes);
        records.push(StreamVersion::NONE, head.as_flattened(), |_| {});
        hand_over(records);
        false
    }

    fn end_taking(&mut self) {
        (self.taking, self.forgotten) = (None, Records::default());
    }
}

/// The answer of this number as it stands in a snapshot, unless a later one has taken its place.
fn put(answers: &Answers, number: u64, records: &mut Records) {
    if let Some((hash, known)) = answers.get(number) {
        let value = known.encode(number);
        records.push(StreamVersion::NONE, &value, |key| key.extend(hash.to_be_bytes()));
    }
}

/// Little-endian words.
fn words(bytes: &[u8; 24]) -> [u64; 3] {
    let (words, _) = bytes.as_chunks::<8>();
    let word = |at: usize| words.get(at).map_or(0, |word| u64::from_le_bytes(*word));
    [word(0), word(1), word(2)]
}

#[cfg(test)]
mod tests {
    use factlog_codec::{CommandOutcome, Sequence};

    use super::*;

    fn item(key: &[u8]) -> CommandItem<'_> {
        CommandItem {
            outcome: CommandOutcome::Accepted,
            prepared: false,
            events: 1,
            first: Sequence::FIRST,
            version: StreamVersion::new(1),
            digest: 1,
            now: 0,
            seed: 0,
            key,
            reply: b"yes",
            command: b"",
        }
    }

    fn window(keys: usize) -> Window {
        Window::new(IdempotencyWindow { keys, age: Duration::from_nanos(100) }, 7)
    }

    #[test]
    fn are_the_last_keys_known() {
        let mut window = window(3);
        for (ts, key) in [b"a", b"b", b"c", b"d"].into_iter().enumerate() {
            window.remember(&item(key), ts as u64);
            window.keep();
        }
        assert_eq!(window.len(), 3);
        assert!(window.find(b"a", 3).is_none() && window.find(b"b", 3).is_some());
        // By age, whether another one comes or not.
        assert!(window.find(b"b", 101).is_some() && window.find(b"b", 102).is_none());
        window.remember(&item(b"e"), 102);
        window.keep();
        assert!(window.find(b"b", 0).is_none() && window.find(b"c", 0).is_some());
    }

    #[test]
    fn is_what_came_to_nothing_forgotten() {
        let mut window = window(2);
        window.remember(&item(b"a"), 1);
        window.keep();
        window.remember(&item(b"b"), 2);
        window.remember(&item(b"c"), 2);
        window.take_back();
        assert!(window.find(b"a", 2).is_some() || window.len() <= 1);
        assert!(window.find(b"b", 2).is_none() && window.find(b"c", 2).is_none());
    }

    /// What pushes out keys while a snapshot is taken may be lost, and the snapshot is not.
    #[test]
    fn are_keys_in_a_snapshot_that_are_forgotten_while_it_is_taken() {
        let mut window = window(3);
        for (ts, key) in [b"a", b"b", b"c"].into_iter().enumerate() {
            window.remember(&item(key), ts as u64);
            window.keep();
        }
        let _section = window.begin_taking();
        for key in [b"d", b"e"] {
            window.remember(&item(key), 4);
            window.keep();
        }
        assert!(window.find(b"a", 4).is_none() && window.find(b"b", 4).is_none());
        let mut taken = 0;
        while window.take(1, &mut |records| taken += records.count()) {}
        // With the head.
        assert_eq!(taken, 3 + 1);
        // Nothing is put aside any more.
        window.remember(&item(b"f"), 5);
        assert!(window.forgotten.is_empty());
    }
}
