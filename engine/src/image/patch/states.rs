//! What differs between two states of one instance.

use std::fmt;

use factlog_codec::BlockError;
use factlog_codec::types::{Description, RenderError, Scratch, render};

use super::change::Patch;
use super::compare::compare;
use crate::image::state::State;

/// Most bytes of JSON that one state may come to.
const MOST: usize = 256 << 20;

/// Why it cannot be told what differs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DiffError {
    /// Instances of this kind are not stored: set [`State::STORED`].
    NotStored(&'static str),
    /// Nothing describes what is stored of this kind: give the description in
    /// [`Stored`](crate::Stored).
    NotDescribed(&'static str),
    /// An instance of this kind takes more than 256 MiB, or is nested too deeply.
    TooLarge(&'static str),
    /// An instance of this kind cannot be shown: why.
    Shown(&'static str, RenderError),
    /// Instances of this kind stand in a snapshot only, and that is damaged.
    Damaged(&'static str, BlockError),
    /// The images do not hold the same kinds: one of them lacks this one.
    NoKind(&'static str),
}

impl fmt::Display for DiffError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStored(kind) => {
                write!(f, "states of `{kind}` cannot be compared: set `STORED` in its `State`")
            }
            Self::NotDescribed(kind) => write!(
                f,
                "states of `{kind}` cannot be compared: `Stored` is implemented by hand for what is \
                 stored, and gives no description"
            ),
            Self::TooLarge(kind) => write!(
                f,
                "a state of `{kind}` cannot be compared: it takes more than 256 MiB, or is nested too \
                 deeply"
            ),
            Self::Shown(kind, error) => write!(f, "a state of `{kind}` cannot be shown: {error}"),
            Self::Damaged(kind, error) => {
                write!(f, "instances of `{kind}` stand in a snapshot only, and that: {error}")
            }
            Self::NoKind(kind) => write!(f, "one of the images does not hold `{kind}`"),
        }
    }
}

impl std::error::Error for DiffError {}

/// A kind whose states can be shown.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(super) kind: &'static str,
    pub(super) description: Description,
}

impl Shown {
    /// Appends a stored state as JSON.
    pub(super) fn put(&self, archive: &[u8], out: &mut String) -> Result<(), DiffError> {
        render(&self.description, archive, out, MOST)
            .map_err(|error| DiffError::Shown(self.kind, error))
    }
}

/// A state as JSON.
pub(crate) fn show<S: State>(state: &S) -> Result<String, DiffError> {
    let stored = S::STORED.ok_or(DiffError::NotStored(S::NAME))?;
    let description = stored.description().ok_or(DiffError::NotDescribed(S::NAME))?;
    let (mut space, mut scratch) = (Vec::new(), Scratch::new());
    let archive = stored.store(state, &mut space, &mut scratch);
    let archive = archive.ok_or(DiffError::TooLarge(S::NAME))?;
    let mut out = String::new();
    Shown { kind: S::NAME, description }.put(archive, &mut out)?;
    Ok(out)
}

impl Patch {
    /// What makes of the state `before` what `after` is. Paths begin at the state.
    ///
    /// ```
    /// # #[factlog::event(name = "counted", version = 1)]
    /// # pub struct Counted { pub by: u64 }
    /// # #[factlog::vocabulary]
    /// # pub enum CounterEvent { Counted(Counted) }
    /// #[factlog::value]
    /// #[derive(Default)]
    /// pub struct Counter { sum: u64, last: Option<u64> }
    /// # impl factlog::State for Counter {
    /// #     const NAME: &'static str = "counter";
    /// #     type Key = u64;
    /// #     type Event = CounterEvent;
    /// #     const STORED: Option<factlog::StoredState<Self>> = factlog::StoredState::new(1);
    /// #     fn evolve(&mut self, event: CounterEventView<'_>) {}
    /// # }
    ///
    /// let before = Counter { sum: 3, last: None };
    /// let after = Counter { sum: 3, last: Some(3) };
    /// let patch = factlog::Patch::between(&before, &after)?;
    /// assert_eq!(patch.to_string(), r#"[{"op":"replace","path":"/last","value":3}]"#);
    /// # Ok::<(), factlog::DiffError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// States of this kind are not stored or not described, or one is too large.
    pub fn between<S: State>(before: &S, after: &S) -> Result<Self, DiffError> {
        Ok(compare("", &show(before)?, &show(after)?))
    }
}
