//! Value to payload: an rkyv archive written straight to where it will stay.

use core::fmt;
use core::mem::MaybeUninit;

use rkyv::Portable;
use rkyv::api::low::{LowSerializer, LowValidator};
use rkyv::api::serialize_using;
use rkyv::bytecheck::CheckBytes;
use rkyv::rancor::Failure;
use rkyv::ser::allocator::SubAllocator;
use rkyv::ser::writer::Buffer;
use rkyv::ser::{Positional, Serializer};

use super::value::{Depth, MAX_POINTERS, Value};
use super::view::{ViewError, view};

/// The serializer of payloads: a fixed buffer, fixed scratch space, no shared pointers.
pub(super) type Encoder<'a> = LowSerializer<Buffer<'a>, SubAllocator<'a>, Failure>;

/// Most bytes that are written: relative pointers, and a string's length, have fewer than 31 bits.
const MAX_PAYLOAD: usize = 1 << 30;

/// Working space for values that hold lists; one for each thread that encodes.
///
/// Nothing is allocated for each event. The space is asked for once and not touched before it is
/// needed, so that it takes address space rather than memory.
pub struct Scratch {
    space: Box<[MaybeUninit<u8>]>,
}

/// Bytes of scratch space. A list needs a few for each of its elements that is not a plain number.
const SCRATCH: usize = 4 << 20;

impl Scratch {
    /// Space of 4 MiB.
    pub fn new() -> Self {
        Self::with_size(SCRATCH)
    }

    /// Space of `bytes` bytes.
    pub fn with_size(bytes: usize) -> Self {
        Self { space: Box::new_uninit_slice(bytes) }
    }

    /// Has at least so many bytes from now on, if there are so many: else it stays as it is.
    pub fn grow(&mut self, bytes: usize) {
        // Where there is no such space, asking for it otherwise would end the process.
        let there_is = || Vec::<u8>::new().try_reserve_exact(bytes).is_ok();
        if self.space.len() < bytes && there_is() {
            *self = Self::with_size(bytes);
        }
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Scratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scratch").field("bytes", &self.space.len()).finish()
    }
}

/// Why a value was not encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EncodeError {
    /// It did not fit the given space, or the scratch space.
    NoSpace,
    /// More than [`MAX_POINTERS`] boxes, lists or strings stand behind one another; or a foreign
    /// value was archived to what rkyv does not read again.
    TooDeep,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSpace => write!(f, "the event does not fit the space for its payload"),
            Self::TooDeep => write!(
                f,
                "the event has more than {MAX_POINTERS} boxes, lists or strings behind one another"
            ),
        }
    }
}

impl core::error::Error for EncodeError {}

/// Writes the archive of `value` to the start of `out`, and gives its length in bytes.
///
/// # Errors
///
/// It does not fit, or is nested too deeply.
#[inline]
pub fn encode<T>(value: &T, out: &mut [u8], scratch: &mut Scratch) -> Result<usize, EncodeError>
where
    T: Value + for<'a> rkyv::Serialize<Encoder<'a>>,
    T::Archived: for<'a> CheckBytes<LowValidator<'a, Failure>>,
{
    let depth = if T::INLINE { Depth::Within } else { value.within(MAX_POINTERS) };
    if depth == Depth::Beyond {
        return Err(EncodeError::TooDeep);
    }
    let room = out.len().min(MAX_PAYLOAD);
    let (out, _) = out.split_at_mut_checked(room).ok_or(EncodeError::NoSpace)?;
    let allocator = SubAllocator::new(&mut scratch.space);
    let mut serializer = Serializer::new(Buffer::from(&mut *out), allocator, ());
    let len = match serialize_using::<_, Failure>(value, &mut serializer) {
        Ok(_) => serializer.pos(),
        Err(Failure) => return Err(EncodeError::NoSpace),
    };
    if depth == Depth::Unknown && !out.get(..len).is_some_and(readable::<T::Archived>) {
        return Err(EncodeError::TooDeep);
    }
    Ok(len)
}

/// Whether what was written of a foreign value is not too deep to be read.
fn readable<T>(written: &[u8]) -> bool
where
    T: Portable + for<'a> CheckBytes<LowValidator<'a, Failure>>,
{
    match view::<T>(written) {
        // It was written to where it will not be read.
        Err(ViewError::Misaligned) => {
            let mut aligned = vec![0_u128; written.len().div_ceil(16)];
            let aligned: &mut [u8] = bytemuck::cast_slice_mut(&mut aligned);
            let Some(aligned) = aligned.get_mut(..written.len()) else { return false };
            aligned.copy_from_slice(written);
            view::<T>(aligned).is_ok()
        }
        viewed => viewed.is_ok(),
    }
}

/// Encodes into `space`, which grows as is needed, up to `most` bytes; the length of what stands at
/// its start.
///
/// # Errors
///
/// It does not fit, or more space would not help.
pub fn encode_growing(
    space: &mut Vec<u128>,
    most: usize,
    mut encode: impl FnMut(&mut [u8]) -> Result<usize, EncodeError>,
) -> Result<usize, EncodeError> {
    loop {
        match encode(bytemuck::cast_slice_mut(space)) {
            Err(EncodeError::NoSpace) if space.len() < most / 16 => {
                let more = space.len().saturating_mul(4).max(64).min(most / 16);
                space.resize(more, 0);
            }
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn does_space_grow_to_any_limit_and_not_beyond() {
        for most in [0, 15, 16, 100, 1000, 1024, 5000] {
            let mut space = Vec::new();
            let whole = encode_growing(&mut space, most, |out| {
                if out.len() < most / 16 * 16 { Err(EncodeError::NoSpace) } else { Ok(out.len()) }
            });
            assert_eq!(whole, Ok(most / 16 * 16));
            let beyond = encode_growing(&mut space, most, |_| Err(EncodeError::NoSpace));
            assert_eq!((beyond, space.len()), (Err(EncodeError::NoSpace), most / 16));
        }
    }
}
