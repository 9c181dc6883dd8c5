//! What was appended.

use std::collections::HashMap;

use factlog::{EventType, Expected, Log, Meta, Opaque, Start, StreamKey};

use crate::Random;

pub(super) static FACT: EventType = EventType::opaque("fact", 1);

/// One event: all of it follows from these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fact {
    /// Never used twice, so that what was lost is known when it comes back.
    pub(super) serial: u64,
    pub(super) len: usize,
    /// 0 is none.
    pub(super) stream: u64,
}

impl Fact {
    pub(super) fn payload(&self) -> Vec<u8> {
        let mut random = Random::new(self.serial);
        let mut bytes = Vec::with_capacity(self.len + 8);
        bytes.extend(self.serial.to_le_bytes());
        while bytes.len() < self.len {
            bytes.extend(random.next().to_le_bytes());
        }
        bytes.truncate(self.len.max(8));
        bytes
    }

    pub(super) fn key(&self) -> Option<StreamKey> {
        (self.stream != 0).then(|| StreamKey::new("stream", self.stream).expect("a name"))
    }

    /// Appends it with `append`.
    pub(super) fn put<T>(&self, append: impl FnOnce(&Opaque<'_>, Meta<'_>) -> T) -> T {
        let (payload, key) = (self.payload(), self.key());
        let meta = key.as_ref().map_or(Meta::new(), |key| Meta::new().stream(key, Expected::Any));
        append(&Opaque::new(&FACT, &payload), meta)
    }
}

/// All events in order; the first has sequence 1.
#[derive(Debug, Clone, Default)]
pub(super) struct Model {
    pub(super) facts: Vec<Fact>,
    /// Digests of their payloads.
    digests: Vec<u32>,
    /// Retention may have dropped what is before this sequence.
    pub(super) floor: u64,
}

impl Model {
    pub(super) fn add(&mut self, fact: Fact) {
        self.digests.push(crc32fast::hash(&fact.payload()));
        self.facts.push(fact);
    }

    /// The first `count` events.
    pub(super) fn first(&self, count: usize) -> Self {
        let mut first = self.clone();
        first.truncate(count);
        first
    }

    pub(super) fn truncate(&mut self, count: usize) {
        self.facts.truncate(count);
        self.digests.truncate(count);
    }

    /// Versions of streams after so many events.
    pub(super) fn versions(&self, count: usize) -> HashMap<u64, u64> {
        let mut versions = HashMap::new();
        for fact in self.facts.iter().take(count).filter(|fact| fact.stream != 0) {
            *versions.entry(fact.stream).or_insert(0) += 1;
        }
        versions
    }

    /// Holds a log against the model: from its oldest event on it has what was appended, in order,
    /// unchanged. Gives how many events there are, those included that retention dropped.
    pub(super) fn compare(&self, log: &Log) -> Result<usize, String> {
        let mut cursor =
            log.cursor(Start::Oldest).map_err(|error| format!("no cursor: {error}"))?;
        let mut next = cursor.next_sequence().get();
        if next > self.floor.max(1) {
            return Err(format!("begins with {next}, but {} was to be kept", self.floor.max(1)));
        }
        loop {
            let event = match cursor.next_event() {
                Ok(Some(event)) => event,
                Ok(None) => break,
                Err(error) => return Err(format!("event {next} cannot be read: {error}")),
            };
            let at = usize::try_from(next - 1).map_err(|error| error.to_string())?;
            let Some(fact) = self.facts.get(at) else {
                return Err(format!("event {next} was never appended"));
            };
            if event.sequence().get() != next {
                return Err(format!("event {} where {next} was expected", event.sequence()));
            }
            if Some(&crc32fast::hash(event.payload())) != self.digests.get(at) {
                let was = event.payload().first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
                return Err(format!("event {next} is {was:?}, but {} was appended", fact.serial));
            }
            next += 1;
        }
        usize::try_from(next - 1).map_err(|error| error.to_string())
    }
}
