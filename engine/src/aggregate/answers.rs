//! What was answered, by the hash of the idempotency key, from the oldest to the newest.
//!
//! A table of a million answers is far larger than a cache. So it has nothing but their numbers, four
//! bytes each; the answers stand in a ring, in the order in which they came, and their replies in
//! another: to remember one, and to forget the oldest, goes on from where the last one ended, and only
//! the table is come to at random.

use std::collections::VecDeque;

use factlog_codec::{CommandItem, CommandOutcome, Sequence, StreamVersion};
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

/// What was answered to a command with a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Remembered {
    pub(super) outcome: CommandOutcome,
    pub(super) events: u32,
    pub(super) digest: u64,
    pub(super) first: Sequence,
    pub(super) version: StreamVersion,
    pub(super) ts: u64,
    pub(super) reply: Box<[u8]>,
}

impl Remembered {
    /// Bytes before the reply: number, digest, first, version, time, events, outcome.
    const HEAD: usize = 48;

    /// Whether it is what this says.
    pub(super) fn is(&self, item: &CommandItem<'_>) -> bool {
        (self.outcome, self.events, self.digest) == (item.outcome, item.events, item.digest)
            && (self.first, self.version) == (item.first, item.version)
    }

    /// In the form in which it stands in a snapshot, with its number.
    pub(super) fn encode(&self, number: u64) -> Vec<u8> {
        let Self { outcome, events, digest, first, version, reply, ts } = self;
        let mut bytes = Vec::with_capacity(Self::HEAD + reply.len());
        for word in [number, *digest, first.get(), version.get(), *ts] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(events.to_le_bytes());
        bytes.extend(u32::from(outcome.code()).to_le_bytes());
        bytes.extend(reply);
        bytes
    }

    /// From that form, with its number; `None` if it is none.
    pub(super) fn decode(bytes: &[u8]) -> Option<(u64, Self)> {
        let (head, reply) = bytes.split_at_checked(Self::HEAD)?;
        let (words, _) = head.as_chunks::<8>();
        let word = |at: usize| Some(u64::from_le_bytes(*words.get(at)?));
        let last = word(5)?;
        let outcome = CommandOutcome::from_code(u8::try_from(last >> 32).ok()?)?;
        let known = Self {
            outcome,
            events: last as u32,
            digest: word(1)?,
            first: Sequence::new(word(2)?),
            version: StreamVersion::new(word(3)?),
            reply: reply.into(),
            ts: word(4)?,
        };
        Some((word(0)?, known))
    }
}

/// The same, as it stands in the ring.
#[derive(Debug, Clone, Copy)]
struct Answer {
    hash: u128,
    digest: u64,
    first: Sequence,
    version: StreamVersion,
    ts: u64,
    /// Where its reply begins, counted from the first that there ever was.
    reply_at: u64,
    events: u32,
    /// Length of its reply, and above that its outcome.
    tail: u32,
}

/// Bits of a reply's length: a frame has no more than 2^20 bytes.
const LEN_BITS: u32 = 24;

impl Answer {
    fn reply_len(&self) -> usize {
        (self.tail & ((1 << LEN_BITS) - 1)) as usize
    }
}

/// Each has a number; those of the ring follow each other.
#[derive(Debug, Default)]
pub(super) struct Answers {
    /// Low 32 bits of their numbers.
    table: HashTable<u32>,
    ring: VecDeque<Answer>,
    replies: VecDeque<u8>,
    /// Bytes of replies that were forgotten.
    forgotten: u64,
    /// Number of the oldest.
    front: u64,
}

impl Answers {
    /// How many there are. One that was given anew counts twice until the first is forgotten.
    pub(super) fn len(&self) -> usize {
        self.ring.len()
    }

    /// Number of the oldest; of the next one, if there is none.
    pub(super) fn front(&self) -> u64 {
        self.front
    }

    /// Number of the next one.
    pub(super) fn end(&self) -> u64 {
        self.front + self.ring.len() as u64
    }

    /// Begins with this number. Only while it is empty.
    pub(super) fn begin_at(&mut self, number: u64) {
        debug_assert!(self.ring.is_empty(), "numbers follow each other");
        self.front = number;
    }

    /// Time of the oldest.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.ring.front().map(|answer| answer.ts)
    }

    /// Place in the ring of the number with these low bits.
    fn place(&self, low: u32) -> usize {
        low.wrapping_sub(self.front as u32) as usize
    }

    fn place_of(&self, hash: u128) -> Option<usize> {
        let is = |low: &u32| self.ring.get(self.place(*low)).is_some_and(|one| one.hash == hash);
        self.table.find(hash as u64, is).map(|low| self.place(*low))
    }

    /// What was answered to the key with this hash.
    pub(super) fn find(&self, hash: u128) -> Option<Remembered> {
        self.remembered(self.ring.get(self.place_of(hash)?)?)
    }

    /// The answer of this number and the hash of its key, unless a later one has taken its place.
    pub(super) fn get(&self, number: u64) -> Option<(u128, Remembered)> {
        let place = usize::try_from(number.checked_sub(self.front)?).ok()?;
        let answer = self.ring.get(place)?;
        let newest = self.place_of(answer.hash) == Some(place);
        newest.then(|| Some((answer.hash, self.remembered(answer)?))).flatten()
    }

    fn remembered(&self, answer: &Answer) -> Option<Remembered> {
        let from = usize::try_from(answer.reply_at.checked_sub(self.forgotten)?).ok()?;
        let reply = self.replies.range(from..from + answer.reply_len()).copied().collect();
        let Answer { events, digest, first, version, ts, tail, .. } = *answer;
        let outcome = CommandOutcome::from_code((tail >> LEN_BITS) as u8)?;
        Some(Remembered { outcome, events, digest, first, version, ts, reply })
    }

    /// Remembers one more, in the place of an earlier one of the same key.
    pub(super) fn push(&mut self, hash: u128, item: &CommandItem<'_>, ts: u64) {
        let CommandItem { outcome, events, digest, first, version, reply, .. } = *item;
        let len = reply.len().min((1 << LEN_BITS) - 1);
        let reply_at = self.forgotten + self.replies.len() as u64;
        self.replies.extend(reply.get(..len).unwrap_or(&[]));
        let tail = len as u32 | u32::from(outcome.code()) << LEN_BITS;
        let low = self.end() as u32;
        let (front, ring) = (self.front as u32, &self.ring);
        let at = |low: u32| ring.get(low.wrapping_sub(front) as usize);
        let is = |low: &u32| at(*low).is_some_and(|one| one.hash == hash);
        let hash_of = |low: &u32| at(*low).map_or(0, |one| one.hash as u64);
        match self.table.entry(hash as u64, is, hash_of) {
            Entry::Occupied(mut found) => *found.get_mut() = low,
            Entry::Vacant(free) => drop(free.insert(low)),
        }
        let answer = Answer { hash, digest, first, version, ts, reply_at, events, tail };
        self.ring.push_back(answer);
    }

    /// Forgets the oldest.
    pub(super) fn pop_front(&mut self) {
        let low = self.front as u32;
        let Some(answer) = self.ring.front() else { return };
        let (hash, len) = (answer.hash, answer.reply_len());
        // A later one may have taken its place.
        if let Ok(found) = self.table.find_entry(hash as u64, |of| *of == low) {
            found.remove();
        }
        self.ring.pop_front();
        self.replies.drain(..len);
        self.forgotten += len as u64;
        self.front += 1;
    }

    /// Takes the newest back.
    pub(super) fn pop_back(&mut self) {
        let low = self.end().wrapping_sub(1) as u32;
        let Some(answer) = self.ring.pop_back() else { return };
        if let Ok(found) = self.table.find_entry(answer.hash as u64, |of| *of == low) {
            found.remove();
        }
        self.replies.truncate(self.replies.len() - answer.reply_len());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Random answers, some to the same key again, against a plain list; numbers pass 2^32.
    #[test]
    fn is_the_newest_answer_to_each_key_found() {
        let mut seed = 7_u64;
        let mut random = |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) % below
        };
        let mut answers = Answers::default();
        answers.begin_at((1 << 32) - 300);
        let mut list: Vec<(u64, u128, Vec<u8>)> = Vec::new();
        for step in 0..6_000_u64 {
            // It grows to some hundred, and is emptied again.
            match random(10) + step / 500 % 2 * 2 {
                0..=5 => {
                    // Few keys, of which some have the same low bits.
                    let key = u128::from(random(40)) << 64 | u128::from(random(20));
                    let reply = vec![step as u8; random(30) as usize];
                    let item = CommandItem {
                        outcome: CommandOutcome::Accepted,
                        prepared: false,
                        events: step as u32,
                        first: Sequence::FIRST,
                        version: StreamVersion::NONE,
                        digest: step,
                        now: 0,
                        seed: 0,
                        key: b"k",
                        reply: &reply,
                        command: b"",
                    };
                    list.push((answers.end(), key, reply.clone()));
                    answers.push(key, &item, step);
                }
                6..=10 => {
                    answers.pop_front();
                    list.drain(..list.len().min(1));
                }
                // One that came in the place of another is not taken back: that one is gone.
                _ => {
                    let fresh = list.last().is_some_and(|(_, last, _)| {
                        list.iter().filter(|(_, key, _)| key == last).count() == 1
                    });
                    if fresh {
                        answers.pop_back();
                        list.pop();
                    }
                }
            }
            if step % 7 > 0 {
                continue;
            }
            let newest: BTreeMap<_, _> =
                list.iter().map(|(number, key, reply)| (*key, (*number, reply))).collect();
            assert_eq!(answers.len(), list.len());
            let key = u128::from(random(40)) << 64 | u128::from(random(20));
            let found = answers.find(key).map(|found| found.reply.to_vec());
            assert_eq!(found.as_ref(), newest.get(&key).map(|(_, reply)| *reply), "step {step}");
            if let Some((number, key, reply)) = list.get(random(list.len().max(1) as u64) as usize)
            {
                let found = answers.get(*number);
                let stands = newest.get(key).is_some_and(|(newest, _)| newest == number);
                assert_eq!(found.is_some(), stands);
                assert!(found.is_none_or(|(of, found)| of == *key && *found.reply == **reply));
            }
        }
        assert!(answers.front() > 1 << 32, "numbers have passed 2^32");
    }
}
