//! The description that a type number stands for.

use core::fmt;

use crate::bytes::{Reader, put};
use crate::layout::MAX_TYPE_NAME;
use crate::raw::RawType;

/// What the payloads of a type are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Encoding {
    /// An rkyv archive of the described type.
    Archive,
    /// Bytes that only the application can read.
    Opaque,
}

/// A type as the log has it: borrowed from a TYPE item's payload, or to be written as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TypeItem<'a> {
    /// Name of the event.
    pub name: &'a str,
    /// Version of the event.
    pub version: u16,
    /// What its payloads are.
    pub encoding: Encoding,
    /// Hash of the description.
    pub fingerprint: u64,
    /// The description; empty for opaque bytes.
    pub description: &'a [u8],
}

/// Why a TYPE item cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TypeItemError {
    /// It ends too early.
    Short,
    /// The name is empty, too long, or no UTF-8.
    Name,
    /// The encoding is unknown.
    Encoding(u8),
    /// The version is 0.
    Version,
    /// There are bytes behind the description.
    Trailing,
}

impl fmt::Display for TypeItemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short => write!(f, "a TYPE item ends too early"),
            Self::Name => write!(f, "a TYPE item has an impossible name"),
            Self::Version => write!(f, "a TYPE item has version 0"),
            Self::Trailing => write!(f, "a TYPE item has bytes behind its description"),
            Self::Encoding(encoding) => write!(f, "a TYPE item has unknown encoding {encoding}"),
        }
    }
}

impl core::error::Error for TypeItemError {}

impl<'a> TypeItem<'a> {
    /// Bytes of the payload.
    pub fn encoded_len(&self) -> usize {
        size_of::<RawType>() + self.name.len() + self.description.len()
    }

    /// Writes the payload to `out`, [`encoded_len`](Self::encoded_len) bytes long.
    ///
    /// # Panics
    ///
    /// When `out` is shorter.
    pub fn encode(&self, out: &mut [u8]) {
        debug_assert!((1..=MAX_TYPE_NAME).contains(&self.name.len()));
        let raw = RawType {
            fingerprint: self.fingerprint,
            description_len: u32::try_from(self.description.len()).unwrap_or(u32::MAX),
            version: self.version,
            name_len: u8::try_from(self.name.len()).unwrap_or(u8::MAX),
            encoding: match self.encoding {
                Encoding::Archive => 1,
                Encoding::Opaque => 2,
            },
        };
        let rest = put(out, bytemuck::bytes_of(&raw));
        put(put(rest, self.name.as_bytes()), self.description);
    }

    /// From the payload of a TYPE item.
    ///
    /// # Errors
    ///
    /// The payload is not that of a TYPE item.
    pub fn decode(payload: &'a [u8]) -> Result<Self, TypeItemError> {
        let mut reader = Reader::new(payload);
        let raw: RawType = reader.pod().ok_or(TypeItemError::Short)?;
        let name = reader.take(usize::from(raw.name_len)).ok_or(TypeItemError::Short)?;
        let name = core::str::from_utf8(name).map_err(|_| TypeItemError::Name)?;
        if !(1..=MAX_TYPE_NAME).contains(&name.len()) {
            return Err(TypeItemError::Name);
        }
        let description = usize::try_from(raw.description_len).ok();
        let description =
            description.and_then(|len| reader.take(len)).ok_or(TypeItemError::Short)?;
        let encoding = match raw.encoding {
            1 => Encoding::Archive,
            2 => Encoding::Opaque,
            other => return Err(TypeItemError::Encoding(other)),
        };
        if raw.version == 0 {
            return Err(TypeItemError::Version);
        }
        if !reader.rest().is_empty() {
            return Err(TypeItemError::Trailing);
        }
        Ok(Self { name, version: raw.version, encoding, fingerprint: raw.fingerprint, description })
    }
}
