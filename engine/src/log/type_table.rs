//! The types of a log: what their numbers stand for.

use factlog_codec::types::{Description, EventType, TypeKey};
use factlog_codec::{Encoding, TypeItem, TypeNumber};

use super::append_only::AppendOnly;
use crate::sync::OnceLock;
use crate::sync::atomic::{AtomicUsize, Ordering};

/// A type that stands in the log.
#[derive(Debug)]
pub struct LogType {
    number: TypeNumber,
    key: TypeKey,
    name: Box<str>,
    version: u16,
    encoding: Encoding,
    description: Box<[u8]>,
    decoded: OnceLock<Option<Description>>,
}

impl LogType {
    /// Its number in this log.
    pub fn number(&self) -> TypeNumber {
        self.number
    }
    /// Name of the event.
    pub fn name(&self) -> &str {
        &self.name
    }
    /// Version of the event.
    pub fn version(&self) -> u16 {
        self.version
    }
    /// What its payloads are.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }
    /// Name, version and fingerprint in short.
    pub fn key(&self) -> TypeKey {
        self.key
    }
    /// The description of its payloads; `None` for opaque bytes, and for a description that
    /// cannot be read.
    pub fn description(&self) -> Option<&Description> {
        self.decoded.get_or_init(|| Description::decode(&self.description).ok()).as_ref()
    }

    /// As it is written.
    pub(crate) fn item(&self) -> TypeItem<'_> {
        TypeItem {
            name: &self.name,
            version: self.version,
            encoding: self.encoding,
            fingerprint: self.key.fingerprint,
            description: &self.description,
        }
    }

    pub(crate) fn from_item(number: TypeNumber, item: &TypeItem<'_>) -> Self {
        Self {
            number,
            key: TypeKey::new(item.name, item.version, item.fingerprint),
            name: item.name.into(),
            version: item.version,
            encoding: item.encoding,
            description: item.description.into(),
            decoded: OnceLock::new(),
        }
    }

    pub(crate) fn from_event(number: TypeNumber, event: &EventType) -> Self {
        Self {
            number,
            key: event.key(),
            name: event.name().into(),
            version: event.version(),
            encoding: event.encoding(),
            description: event.description().map_or(&[][..], Description::as_bytes).into(),
            decoded: OnceLock::new(),
        }
    }
}

/// All types of a log, in the order of their numbers. One thread appends, any number reads.
#[derive(Debug, Default)]
pub(crate) struct TypeTable {
    types: AppendOnly<LogType>,
    len: AtomicUsize,
}

impl TypeTable {
    /// The type with this number.
    #[inline]
    pub(crate) fn get(&self, number: TypeNumber) -> Option<&LogType> {
        self.types.get(usize::from(number.get()).checked_sub(1)?)
    }

    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }

    /// The number that the next type gets; `None` when all are used.
    pub(crate) fn next(&self) -> Option<TypeNumber> {
        u16::try_from(self.len() + 1).ok().map(TypeNumber::new)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &LogType> {
        (0..self.len()).filter_map(|index| self.types.get(index))
    }

    /// Adds a type that has the next number; whether it had.
    pub(crate) fn add(&self, entry: LogType) -> bool {
        let index = self.len();
        if self.next() != Some(entry.number) || !self.types.set(index, entry) {
            return false;
        }
        self.len.store(index + 1, Ordering::Release);
        true
    }
}
