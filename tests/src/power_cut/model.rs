//! What was appended.

use std::collections::HashMap;

use factlog::{EventType, Expected, Log, Meta, Opaque, Start, StreamKey};

use super::Breach;
use crate::Random;

pub(crate) static FACT: EventType = EventType::opaque("fact", 1);

/// One event: all of it follows from these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fact {
    /// Never used twice, so that what was lost is known when it comes back.
    pub(crate) serial: u64,
    pub(crate) len: usize,
    /// 0 is none.
    pub(crate) stream: u64,
}

impl Fact {
    /// Most are short; with `long`, some need more than a quarter of a small segment.
    pub(crate) fn draw(random: &mut Random, serial: u64, long: bool) -> Self {
        let len = match random.below(12) {
            0 => 5_000 + random.below(30_000),
            1 if long => 100_000 + random.below(150_000),
            _ => 8 + random.below(600),
        };
        Self { serial, len: len as usize, stream: random.below(5) }
    }

    pub(crate) fn payload(&self) -> Vec<u8> {
        let mut random = Random::new(self.serial);
        let mut bytes = Vec::with_capacity(self.len + 8);
        bytes.extend(self.serial.to_le_bytes());
        while bytes.len() < self.len {
            bytes.extend(random.next().to_le_bytes());
        }
        bytes.truncate(self.len.max(8));
        bytes
    }

    pub(crate) fn key(&self) -> Option<StreamKey> {
        (self.stream != 0).then(|| StreamKey::new("stream", self.stream).expect("a name"))
    }

    /// Appends it with `append`.
    pub(crate) fn put<T>(&self, append: impl FnOnce(&Opaque<'_>, Meta<'_>) -> T) -> T {
        let (payload, key) = (self.payload(), self.key());
        let meta = key.as_ref().map_or(Meta::new(), |key| Meta::new().stream(key, Expected::Any));
        append(&Opaque::new(&FACT, &payload), meta)
    }
}

/// What a log was found to have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found {
    /// How many events, those included that retention dropped.
    pub(crate) count: usize,
    /// How many were read and compared.
    pub(crate) read: u64,
}

/// All events in order; the first has sequence 1.
#[derive(Debug, Clone, Default)]
pub(crate) struct Model {
    pub(crate) facts: Vec<Fact>,
    /// Digests of their payloads.
    digests: Vec<u32>,
    /// Retention may have dropped what is before this sequence.
    pub(crate) floor: u64,
}

impl Model {
    pub(crate) fn add(&mut self, fact: Fact) {
        self.digests.push(crc32fast::hash(&fact.payload()));
        self.facts.push(fact);
    }

    /// The first `count` events.
    pub(crate) fn first(&self, count: usize) -> Self {
        let mut first = self.clone();
        first.truncate(count);
        first
    }

    pub(crate) fn truncate(&mut self, count: usize) {
        self.facts.truncate(count);
        self.digests.truncate(count);
    }

    /// Versions of streams after so many events.
    pub(crate) fn versions(&self, count: usize) -> HashMap<u64, u64> {
        let mut versions = HashMap::new();
        for fact in self.facts.iter().take(count).filter(|fact| fact.stream != 0) {
            *versions.entry(fact.stream).or_insert(0) += 1;
        }
        versions
    }

    /// Holds a log against the model: from its oldest event on it has what was appended, in order,
    /// unchanged.
    pub(crate) fn compare(&self, log: &Log) -> Result<Found, Breach> {
        let (lost, altered) = (Breach::Lost, Breach::Altered);
        let mut cursor =
            log.cursor(Start::Oldest).map_err(|error| lost(format!("no cursor: {error}")))?;
        let first = cursor.next_sequence().get();
        let kept = self.floor.max(1);
        if first > kept {
            return Err(lost(format!("begins with {first}, but {kept} was to be kept")));
        }
        let mut next = first;
        loop {
            let event = match cursor.next_event() {
                Ok(Some(event)) => event,
                Ok(None) => break,
                Err(error) => return Err(lost(format!("event {next} cannot be read: {error}"))),
            };
            let at = usize::try_from(next - 1).map_err(|error| error.to_string())?;
            let Some(fact) = self.facts.get(at) else {
                return Err(altered(format!("event {next} was never appended")));
            };
            if event.sequence().get() != next {
                let found = event.sequence();
                return Err(altered(format!("event {found} where {next} was expected")));
            }
            if Some(&crc32fast::hash(event.payload())) != self.digests.get(at) {
                let was = event.payload().first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
                let serial = fact.serial;
                return Err(altered(format!("event {next} is {was:?}, but {serial} was appended")));
            }
            next += 1;
        }
        let count = usize::try_from(next - 1).map_err(|error| error.to_string())?;
        Ok(Found { count, read: next - first })
    }
}
