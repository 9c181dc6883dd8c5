//! The key that a stream number stands for.

use core::fmt;

use uuid::Uuid;

use crate::bytes::{Reader, put};
use crate::layout::{MAX_CATEGORY, MAX_KEY};

/// The key of one aggregate instance among those of its category.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Key {
    /// A number.
    U64(u64),
    /// A UUID.
    Uuid(Uuid),
    /// A text.
    Text(Box<str>),
    /// Bytes.
    Bytes(Box<[u8]>),
}

impl From<u64> for Key {
    fn from(key: u64) -> Self {
        Self::U64(key)
    }
}
impl From<Uuid> for Key {
    fn from(key: Uuid) -> Self {
        Self::Uuid(key)
    }
}
impl From<&str> for Key {
    fn from(key: &str) -> Self {
        Self::Text(key.into())
    }
}
impl From<String> for Key {
    fn from(key: String) -> Self {
        Self::Text(key.into())
    }
}
impl From<&[u8]> for Key {
    fn from(key: &[u8]) -> Self {
        Self::Bytes(key.into())
    }
}

impl Key {
    /// In the form in which keys are ordered: a byte for the kind, then the key, a number with its
    /// greatest byte first. Appended to `out`.
    pub fn put_ordered(&self, out: &mut Vec<u8>) {
        let (kind, bytes): (u8, &[u8]) = match self {
            Self::U64(key) => {
                out.push(1);
                return out.extend_from_slice(&key.to_be_bytes());
            }
            Self::Uuid(key) => (2, key.as_bytes()),
            Self::Text(key) => (3, key.as_bytes()),
            Self::Bytes(key) => (4, key),
        };
        out.push(kind);
        out.extend_from_slice(bytes);
    }

    /// From that form; `None` if it is none.
    pub fn from_ordered(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        Some(match kind {
            1 => Self::U64(u64::from_be_bytes(rest.try_into().ok()?)),
            2 => Self::Uuid(Uuid::from_bytes(rest.try_into().ok()?)),
            3 => Self::Text(core::str::from_utf8(rest).ok()?.into()),
            4 => Self::Bytes(rest.into()),
            _ => return None,
        })
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::U64(key) => write!(f, "{key}"),
            Self::Uuid(key) => write!(f, "{key}"),
            // Escaped: a key must not be able to move a terminal's cursor.
            Self::Text(key) => write!(f, "{}", key.escape_debug()),
            Self::Bytes(key) => key.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
        }
    }
}

/// What a stream is called: category (the kind of aggregate) and key (which one).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamKey {
    category: Box<str>,
    key: Key,
}

/// Why a stream cannot be called that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StreamKeyError {
    /// The category is empty.
    NoCategory,
    /// The category is longer than 64 bytes: its length.
    CategoryTooLong(usize),
    /// The key is longer than 255 bytes: its length.
    KeyTooLong(usize),
}

impl fmt::Display for StreamKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCategory => write!(f, "a stream needs a category, such as \"flight\""),
            Self::CategoryTooLong(len) => {
                write!(f, "the category of a stream has {len} bytes, of at most {MAX_CATEGORY}")
            }
            Self::KeyTooLong(len) => {
                write!(f, "the key of a stream has {len} bytes, of at most {MAX_KEY}")
            }
        }
    }
}

impl core::error::Error for StreamKeyError {}

/// Why a STREAM item cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StreamItemError {
    /// It ends too early.
    Short,
    /// Category or key are not what a writer may write.
    Name(StreamKeyError),
    /// The kind of key is unknown, or the key has another length or no UTF-8.
    Key(u8),
    /// A reserved field is in use.
    Reserved,
    /// There are bytes behind the key.
    Trailing,
}

impl fmt::Display for StreamItemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short => write!(f, "a STREAM item ends too early"),
            Self::Name(error) => write!(f, "a STREAM item is wrong: {error}"),
            Self::Key(kind) => write!(f, "a STREAM item has an impossible key of kind {kind}"),
            Self::Reserved => write!(f, "a reserved field of a STREAM item is in use"),
            Self::Trailing => write!(f, "a STREAM item has bytes behind its key"),
        }
    }
}

impl core::error::Error for StreamItemError {}

impl StreamKey {
    /// The stream of `category` with `key`.
    ///
    /// # Errors
    ///
    /// The category is empty, or one of the two is too long.
    pub fn new(category: &str, key: impl Into<Key>) -> Result<Self, StreamKeyError> {
        let stream = Self { category: category.into(), key: key.into() };
        stream.check()?;
        Ok(stream)
    }

    fn check(&self) -> Result<(), StreamKeyError> {
        let key = match &self.key {
            Key::U64(_) => 8,
            Key::Uuid(_) => 16,
            Key::Text(key) => key.len(),
            Key::Bytes(key) => key.len(),
        };
        match self.category.len() {
            0 => Err(StreamKeyError::NoCategory),
            len if len > MAX_CATEGORY => Err(StreamKeyError::CategoryTooLong(len)),
            _ if key > MAX_KEY => Err(StreamKeyError::KeyTooLong(key)),
            _ => Ok(()),
        }
    }

    /// The kind of aggregate.
    pub fn category(&self) -> &str {
        &self.category
    }

    /// Which one.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Bytes of the STREAM item's payload.
    pub fn encoded_len(&self) -> usize {
        self.with_key(|_, key| 4 + self.category.len() + key.len())
    }

    /// Writes the STREAM item's payload to `out`, [`encoded_len`](Self::encoded_len) bytes long.
    ///
    /// # Panics
    ///
    /// When `out` is shorter.
    pub fn encode(&self, out: &mut [u8]) {
        self.with_key(|kind, key| {
            // The constructor has bounded both lengths.
            let [category_len, key_len] =
                [self.category.len(), key.len()].map(|len| u8::try_from(len).unwrap_or(u8::MAX));
            let rest = put(out, &[category_len, kind, key_len, 0]);
            put(put(rest, self.category.as_bytes()), key);
        });
    }

    fn with_key<T>(&self, use_it: impl FnOnce(u8, &[u8]) -> T) -> T {
        match &self.key {
            Key::U64(key) => use_it(1, &key.to_le_bytes()),
            Key::Uuid(key) => use_it(2, key.as_bytes()),
            Key::Text(key) => use_it(3, key.as_bytes()),
            Key::Bytes(key) => use_it(4, key),
        }
    }

    /// From the payload of a STREAM item.
    ///
    /// # Errors
    ///
    /// The payload is not that of a STREAM item.
    pub fn decode(payload: &[u8]) -> Result<Self, StreamItemError> {
        let mut reader = Reader::new(payload);
        let [category_len, kind, key_len, zero] =
            reader.pod::<[u8; 4]>().ok_or(StreamItemError::Short)?;
        if zero != 0 {
            return Err(StreamItemError::Reserved);
        }
        let category = reader.take(usize::from(category_len)).ok_or(StreamItemError::Short)?;
        let category = core::str::from_utf8(category).map_err(|_| StreamItemError::Key(kind))?;
        let key = reader.take(usize::from(key_len)).ok_or(StreamItemError::Short)?;
        let key = match kind {
            1 => key
                .first_chunk()
                .filter(|_| key.len() == 8)
                .map(|key| Key::U64(u64::from_le_bytes(*key))),
            2 => Uuid::from_slice(key).ok().map(Key::Uuid),
            3 => core::str::from_utf8(key).ok().map(Key::from),
            4 => Some(Key::from(key)),
            _ => None,
        };
        let key = key.ok_or(StreamItemError::Key(kind))?;
        let stream = Self::new(category, key).map_err(StreamItemError::Name)?;
        if reader.rest().is_empty() { Ok(stream) } else { Err(StreamItemError::Trailing) }
    }
}

impl fmt::Display for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.category.escape_debug(), self.key)
    }
}
