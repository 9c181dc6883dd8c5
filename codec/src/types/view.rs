//! Payload to view: all of it is checked, then read in place.

use core::fmt;
use core::num::NonZeroUsize;

use rkyv::Portable;
use rkyv::api::access_with_context;
use rkyv::api::low::LowValidator;
use rkyv::bytecheck::CheckBytes;
use rkyv::rancor::Failure;
use rkyv::validation::Validator;
use rkyv::validation::archive::ArchiveValidator;

use super::event_type::SchemaDrift;
use super::value::MAX_POINTERS;

/// Levels that rkyv counts: those behind pointers, the root, and one that it does not use up.
const LEVELS: Option<NonZeroUsize> = NonZeroUsize::new(MAX_POINTERS as usize + 2);

/// Why a payload cannot be read as an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ViewError {
    /// The payload does not stand at an address that its type needs; the log keeps all payloads at
    /// multiples of 16 bytes.
    Misaligned,
    /// The bytes are no payload of this type.
    Invalid,
    /// The type was stored with another shape.
    Drift(SchemaDrift),
}

impl fmt::Display for ViewError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Misaligned => write!(f, "the payload is not aligned for its type"),
            Self::Invalid => write!(f, "the bytes are no payload of this event type"),
            Self::Drift(_) => write!(f, "the stored event type has another shape"),
        }
    }
}

impl core::error::Error for ViewError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Drift(drift) => Some(drift),
            Self::Misaligned | Self::Invalid => None,
        }
    }
}

impl From<SchemaDrift> for ViewError {
    fn from(drift: SchemaDrift) -> Self {
        Self::Drift(drift)
    }
}

/// Reads the archived `T` at the end of `payload` in place, once all of it was checked.
///
/// # Errors
///
/// The bytes are not a `T`, or not aligned for one.
#[inline]
pub fn view<T>(payload: &[u8]) -> Result<&T, ViewError>
where
    T: Portable + for<'a> CheckBytes<LowValidator<'a, Failure>>,
{
    if !payload.as_ptr().addr().is_multiple_of(align_of::<T>()) {
        return Err(ViewError::Misaligned);
    }
    let mut validator = Validator::new(ArchiveValidator::with_max_depth(payload, LEVELS), ());
    access_with_context::<T, _, Failure>(payload, &mut validator).map_err(|_| ViewError::Invalid)
}
