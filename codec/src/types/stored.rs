//! Values that are stored by themselves: replies, reasons of refusals.

use rkyv::Portable;
use rkyv::bytecheck::CheckBytes;
use rkyv::rancor::Failure;

use super::description::Description;
use super::encode::{EncodeError, Encoder, Scratch, encode};
use super::value::Value;
use super::view::{ViewError, view};

/// A value that can be written by itself and read again: numbers, text, and what is under
/// [`#[value]`](crate::value).
///
/// Implemented for every [`Value`]. By hand it can be implemented for a type that is none: one with a
/// hash table, say, that is stored as a list.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be stored as a reply",
    note = "a type of your own: put `#[value]` on it"
)]
pub trait Stored: Sized + 'static {
    /// Writes it to the start of `out`, which begins at a multiple of 16; gives its length.
    ///
    /// # Errors
    ///
    /// It does not fit, or is nested too deeply.
    fn store(&self, out: &mut [u8], scratch: &mut Scratch) -> Result<usize, EncodeError>;

    /// Reads it from bytes that begin at a multiple of 16.
    ///
    /// # Errors
    ///
    /// They are no such value.
    fn restore(bytes: &[u8]) -> Result<Self, ViewError>;

    /// Tells what is stored from other things: it changes with the shape of the type.
    fn fingerprint() -> u64;

    /// What the stored bytes look like, if they are an archive that something describes: so that they
    /// can be shown, and differences be told. Who implements this by hand and stores a list, say, gives
    /// that list's.
    fn description() -> Option<Description> {
        None
    }
}

impl<T> Stored for T
where
    T: Value + for<'a> rkyv::Serialize<Encoder<'a>>,
    T::Archived: Portable + for<'a> CheckBytes<rkyv::api::low::LowValidator<'a, Failure>>,
{
    fn store(&self, out: &mut [u8], scratch: &mut Scratch) -> Result<usize, EncodeError> {
        encode(self, out, scratch)
    }

    fn restore(bytes: &[u8]) -> Result<Self, ViewError> {
        let archived = view::<T::Archived>(bytes)?;
        Ok(T::owned(T::view(archived)))
    }

    fn fingerprint() -> u64 {
        Description::of::<T>().fingerprint()
    }

    fn description() -> Option<Description> {
        Some(Description::of::<T>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there_and_back<T: Stored + PartialEq + core::fmt::Debug>(value: &T) {
        let mut space = [0_u128; 64];
        let space: &mut [u8] = bytemuck::cast_slice_mut(&mut space);
        let len = value.store(space, &mut Scratch::new()).expect("it fits");
        assert_eq!(&T::restore(&space[..len]).expect("the same"), value);
    }

    #[test]
    fn do_values_come_back() {
        there_and_back(&());
        there_and_back(&7_u64);
        there_and_back(&"a text that is too long to stand in place".to_owned());
        there_and_back(&Some(vec![(1_u8, "one".to_owned()), (2, "two".to_owned())]));
    }

    #[test]
    fn are_other_bytes_refused() {
        let space = [0x7F_u128; 4];
        let space: &[u8] = bytemuck::cast_slice(&space);
        assert_eq!(u64::restore(&space[..4]), Err(ViewError::Invalid));
        assert_eq!(u64::restore(&space[1..17]), Err(ViewError::Misaligned));
        // No value of this enum.
        assert_eq!(bool::restore(&space[..1]), Err(ViewError::Invalid));
    }
}
