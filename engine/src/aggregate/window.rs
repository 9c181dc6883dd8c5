//! Idempotency keys, and what was answered: a command that is sent twice is done once.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use factlog_codec::{CommandItem, CommandOutcome, Sequence, StreamVersion};
use xxhash_rust::xxh3::xxh3_128_with_seed;

/// How long idempotency keys are remembered: the last so many, and none that is older.
///
/// A key that is older is forgotten: a command that comes with it is done again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdempotencyWindow {
    /// Most keys: 1,000,000 by default. By the size of its tables each takes up to 200 bytes, beside
    /// its reply.
    pub keys: usize,
    /// Most age, by the time of frames: 24 hours by default.
    pub age: Duration,
}

impl Default for IdempotencyWindow {
    fn default() -> Self {
        Self { keys: 1_000_000, age: Duration::from_secs(24 * 60 * 60) }
    }
}

/// What was answered to a command with a key.
#[derive(Debug, Clone)]
pub(super) struct Remembered {
    pub(super) outcome: CommandOutcome,
    pub(super) events: u32,
    pub(super) digest: u64,
    pub(super) first: Sequence,
    pub(super) version: StreamVersion,
    pub(super) reply: Box<[u8]>,
    ts: u64,
}

/// Keys by their hash, with a seed of this process: nobody can look for two that have the same.
pub(super) struct Window {
    limits: IdempotencyWindow,
    seed: u64,
    by_hash: HashMap<u128, Remembered, foldhash::fast::RandomState>,
    /// From the oldest to the newest.
    order: VecDeque<u128>,
    /// Of these the last belong to a frame that is not published yet.
    staged: usize,
}

impl Window {
    pub(super) fn new(limits: IdempotencyWindow, seed: u64) -> Self {
        Self { limits, seed, by_hash: HashMap::default(), order: VecDeque::new(), staged: 0 }
    }

    /// What was answered to the command with this key.
    pub(super) fn find(&self, key: &[u8]) -> Option<&Remembered> {
        self.by_hash.get(&xxh3_128_with_seed(key, self.seed))
    }

    /// Remembers what is answered, as the log has it, and forgets what is too old.
    pub(super) fn remember(&mut self, item: &CommandItem<'_>, ts: u64) {
        if item.key.is_empty() || self.limits.keys == 0 {
            return;
        }
        let hash = xxh3_128_with_seed(item.key, self.seed);
        let CommandItem { outcome, events, digest, first, version, reply, .. } = *item;
        let reply = reply.into();
        let new = Remembered { outcome, events, digest, first, version, reply, ts };
        if self.by_hash.insert(hash, new).is_none() {
            self.order.push_back(hash);
            self.staged += 1;
        }
        let age = u64::try_from(self.limits.age.as_nanos()).unwrap_or(u64::MAX);
        while let Some(oldest) = self.order.front() {
            let old = self.by_hash.get(oldest).is_none_or(|old| ts.saturating_sub(old.ts) > age);
            if self.order.len() <= self.limits.keys && !old {
                break;
            }
            if self.order.len() <= self.staged {
                // What this frame has remembered can still be taken back.
                break;
            }
            self.by_hash.remove(oldest);
            self.order.pop_front();
        }
    }

    /// The frame was published: what it has remembered stays.
    pub(super) fn keep(&mut self) {
        self.staged = 0;
    }

    /// The frame came to nothing.
    pub(super) fn take_back(&mut self) {
        for _ in 0..std::mem::take(&mut self.staged) {
            if let Some(hash) = self.order.pop_back() {
                self.by_hash.remove(&hash);
            }
        }
    }

    /// Number of keys.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(key: &[u8]) -> CommandItem<'_> {
        CommandItem {
            outcome: CommandOutcome::Accepted,
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
        assert!(window.find(b"a").is_none() && window.find(b"b").is_some());
        // By age.
        window.remember(&item(b"e"), 102);
        window.keep();
        assert!(window.find(b"b").is_none() && window.find(b"c").is_some());
    }

    #[test]
    fn is_what_came_to_nothing_forgotten() {
        let mut window = window(2);
        window.remember(&item(b"a"), 1);
        window.keep();
        window.remember(&item(b"b"), 2);
        window.remember(&item(b"c"), 2);
        window.take_back();
        assert!(window.find(b"a").is_some() || window.len() <= 1);
        assert!(window.find(b"b").is_none() && window.find(b"c").is_none());
    }
}
