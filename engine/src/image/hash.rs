//! Hashes of states: of one instance, and of a whole image. Two that are equal have the same states.

use std::fmt;
use std::str::FromStr;

use factlog_codec::BlockError;
use factlog_codec::types::Scratch;

use super::images::Images;
use super::kind::{Archived, Kind};
use super::looking::LOOKING;
use super::ordered::Ordered;
use super::state::State;

/// What is hashed first: so that a hash of one thing is none of another.
const ONE: &str = "factlog 1 state of one instance";
const IMAGE: &str = "factlog 1 states of an image";

/// A hash of states (BLAKE3, 256 bits): of one instance, or of a whole image in the order of its keys.
///
/// It is taken over what a snapshot would store, so it is the same on every machine, after every
/// restart, however the state was come by. States need [`State::STORED`].
///
/// ```
/// # #[factlog::event(name = "counted", version = 1)]
/// # pub struct Counted { pub by: u64 }
/// # #[factlog::vocabulary]
/// # pub enum CounterEvent { Counted(Counted) }
/// #[factlog::value]
/// #[derive(Default)]
/// pub struct Counter { sum: u64 }
/// # impl factlog::State for Counter {
/// #     const NAME: &'static str = "counter";
/// #     type Key = u64;
/// #     type Event = CounterEvent;
/// #     const STORED: Option<factlog::StoredState<Self>> = factlog::StoredState::new(1);
/// #     fn evolve(&mut self, event: CounterEventView<'_>) {
/// #         let CounterEventView::Counted(counted) = event;
/// #         self.sum += counted.by();
/// #     }
/// # }
///
/// let hash = factlog::StateHash::of(&Counter { sum: 7 })?;
/// assert_eq!(hash, factlog::StateHash::of(&Counter { sum: 7 })?);
/// assert_ne!(hash, factlog::StateHash::of(&Counter { sum: 8 })?);
/// assert_eq!(hash.to_string().parse(), Ok(hash));
/// # Ok::<(), factlog::StateHashError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StateHash([u8; 32]);

/// Why states were not hashed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StateHashError {
    /// Instances of this kind are not stored: set [`State::STORED`].
    NotStored(&'static str),
    /// An instance of this kind takes more than 256 MiB, or is nested too deeply.
    TooLarge(&'static str),
    /// Instances of this kind stand in a snapshot only, and that is damaged.
    Damaged(&'static str, BlockError),
    /// It was asked for from inside a look at the replica, which would wait for itself.
    Looking,
}

impl fmt::Display for StateHashError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStored(kind) => {
                write!(f, "instances of `{kind}` have no hash: set `STORED` in its `State`")
            }
            Self::TooLarge(kind) => write!(
                f,
                "an instance of `{kind}` has no hash: it takes more than 256 MiB, or is nested too \
                 deeply"
            ),
            Self::Damaged(kind, error) => {
                write!(f, "instances of `{kind}` stand in a snapshot only, and that: {error}")
            }
            Self::Looking => write!(f, "{LOOKING}"),
        }
    }
}

impl std::error::Error for StateHashError {}

impl StateHash {
    /// The hash of one state.
    ///
    /// # Errors
    ///
    /// It is not stored, or too large to be.
    pub fn of<S: State>(state: &S) -> Result<Self, StateHashError> {
        let stored = S::STORED.ok_or(StateHashError::NotStored(S::NAME))?;
        let (mut space, mut scratch) = (Vec::new(), Scratch::new());
        let archive = stored.store(state, &mut space, &mut scratch);
        let archive = archive.ok_or(StateHashError::TooLarge(S::NAME))?;
        Ok(Self::of_archive(S::NAME, archive))
    }

    /// The hash of a state as it is stored.
    pub(crate) fn of_archive(kind: &str, archive: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key(ONE);
        put(&mut hasher, kind.as_bytes());
        put(&mut hasher, archive);
        Self(hasher.finalize().into())
    }

    /// The hash of all instances of all kinds: kinds in the order of their names, instances in that of
    /// their keys. Of each its key, the version of its stream, and its state; of one that is suspended
    /// that it is, and the version of the last event that was folded.
    ///
    /// It takes time and memory in proportion to the image: all keys are brought into order.
    pub(crate) fn of_image(images: &Images) -> Result<Self, StateHashError> {
        let mut kinds: Vec<&dyn Kind> = images.kinds().collect();
        kinds.sort_unstable_by_key(|kind| kind.name());
        let mut hasher = blake3::Hasher::new_derive_key(IMAGE);
        for kind in kinds {
            let name = kind.name();
            if kind.fingerprint().is_none() {
                return Err(StateHashError::NotStored(name));
            }
            put(&mut hasher, name.as_bytes());
            let (mut count, mut all) = (0_u64, Ordered::of(kind));
            while let Some(one) =
                all.next().map_err(|error| StateHashError::Damaged(name, error))?
            {
                count += 1;
                put(&mut hasher, one.key);
                hasher.update(&one.version.get().to_le_bytes());
                match one.state {
                    Archived::Stored(archive) => {
                        hasher.update(&[1]);
                        put(&mut hasher, archive);
                    }
                    Archived::Suspended => drop(hasher.update(&[2])),
                    Archived::Unstorable => return Err(StateHashError::TooLarge(name)),
                }
            }
            // No key has so many bytes: instances do not run into the next kind.
            hasher.update(&u64::MAX.to_le_bytes());
            hasher.update(&count.to_le_bytes());
        }
        Ok(Self(hasher.finalize().into()))
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// From its bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

/// Bytes, of which it is clear where they end.
fn put(hasher: &mut blake3::Hasher, bytes: &[u8]) {
    hasher.update(&(bytes.len() as u64).to_le_bytes());
    hasher.update(bytes);
}

impl fmt::Display for StateHash {
    /// 64 hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for StateHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StateHash({self})")
    }
}

/// A text that is no hash: it has not 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoStateHash;

impl fmt::Display for NoStateHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a hash of states has 64 hexadecimal digits")
    }
}

impl std::error::Error for NoStateHash {}

impl FromStr for StateHash {
    type Err = NoStateHash;

    fn from_str(text: &str) -> Result<Self, NoStateHash> {
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return Err(NoStateHash);
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let digit = |at: usize| char::from(*pair.get(at)?).to_digit(16);
            let value = digit(0).zip(digit(1)).map(|(high, low)| high << 4 | low);
            *byte = value.and_then(|value| u8::try_from(value).ok()).ok_or(NoStateHash)?;
        }
        Ok(Self(bytes))
    }
}
