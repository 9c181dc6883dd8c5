//! The state that events lead to, pinned: so that a change of `evolve` is noticed that nobody meant, or
//! that no version announces.

use std::fmt;

use factlog_codec::types::{Encode, Scratch, Upcasts, encode_growing};
use factlog_codec::{Sequence, StreamVersion};

use crate::image::{Folded, Instances, State, StateHash, SuspensionCause};

/// Most bytes of one event.
const MOST: usize = 16 << 20;

/// The state that some events lead to, held against a hash that stands in the test: one line for each
/// story that matters.
///
/// ```
/// use factlog::testing::GoldenState;
/// # #[factlog::event(name = "counted", version = 1)]
/// # pub struct Counted { pub by: u64 }
/// # #[factlog::vocabulary]
/// # pub enum CounterEvent { Counted(Counted) }
/// # #[factlog::value]
/// # #[derive(Debug, Default)]
/// # pub struct Counter { sum: u64 }
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
/// GoldenState::<Counter>::new().event(Counted { by: 3 }).event(Counted { by: 4 }).hash(
///     "1:44886656ab370e8229c145cf65119eaf7840a747eae150574615ba595832a15a",
/// );
/// ```
///
/// The text is the version of the logic ([`State::STORED`]) and the hash. A test with an empty text
/// fails, and says what to write. When the hash is another one although the version is the same,
/// snapshots of programs in use would go on with states that the program of today would not come to:
/// the version has to be raised, or the change taken back.
///
/// Events of earlier versions can be given as well: what becomes of them is part of the logic.
#[must_use = "it checks with `hash`"]
pub struct GoldenState<S: State> {
    state: S,
    version: StreamVersion,
    upcasts: Upcasts,
    space: Vec<u128>,
    scratch: Scratch,
}

impl<S: State> fmt::Debug for GoldenState<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GoldenState").field("version", &self.version).finish_non_exhaustive()
    }
}

impl<S: State> Default for GoldenState<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: State> GoldenState<S> {
    /// An instance, to which nothing has happened so far.
    pub fn new() -> Self {
        Self {
            state: S::default(),
            version: StreamVersion::NONE,
            upcasts: Upcasts::new(),
            space: Vec::new(),
            scratch: Scratch::new(),
        }
    }

    /// This has happened to it: an event, of today's version or of an earlier one, or one of a
    /// vocabulary. It is folded from its archive, as it would be from a log.
    ///
    /// # Panics
    ///
    /// It cannot be folded.
    #[track_caller]
    pub fn event(mut self, event: impl Encode) -> Self {
        let Self { state, version, upcasts, space, scratch } = &mut self;
        let len = match encode_growing(space, MOST, |out| event.encode(out, scratch)) {
            Ok(len) => len,
            Err(error) => panic!("an event that is given: {error}"),
        };
        let archive: &[u8] = bytemuck::cast_slice(space);
        *version = version.next();
        let of = event.event_type();
        let folded = Folded {
            of: Some(of.key()),
            payload: archive.get(..len).unwrap_or(&[]),
            sequence: Sequence::new(version.get()),
            version: *version,
        };
        match Instances::fold_any(state, folded, upcasts) {
            Ok(()) => self,
            Err(SuspensionCause::Unknown { .. }) => {
                panic!("`{}` does not know event `{}`", S::NAME, of.name())
            }
            Err(cause) => panic!("event {version} (`{}`): {cause}", of.name()),
        }
    }

    /// These have happened to it, in this order.
    ///
    /// # Panics
    ///
    /// As [`GoldenState::event`].
    #[track_caller]
    pub fn events(mut self, events: impl IntoIterator<Item = impl Encode>) -> Self {
        for event in events {
            self = self.event(event);
        }
        self
    }

    /// Holds the state against what stands in the test.
    ///
    /// # Panics
    ///
    /// It is another one, or it is not stored.
    #[track_caller]
    pub fn hash(self, pinned: &str) {
        let (logic, hash) = match (S::STORED, StateHash::of(&self.state)) {
            (Some(stored), Ok(hash)) => (stored.logic(), hash),
            (_, Err(error)) => panic!("{error}"),
            (None, _) => panic!("`{}` is not stored", S::NAME),
        };
        let found = format!("{logic}:{hash}");
        if pinned == found {
            return;
        }
        let then: Option<u32> = pinned.split_once(':').and_then(|(logic, _)| logic.parse().ok());
        match then {
            None => panic!("nothing is pinned yet; it is \"{found}\""),
            Some(then) if then == logic => panic!(
                "these events lead to another state of `{}` than they did, though the version of its \
                 logic is {logic} as before: snapshots that programs have taken would go on with what \
                 this one would not come to. Raise the version in `STORED`, or take the change back. \
                 It is now \"{found}\"",
                S::NAME
            ),
            Some(then) => panic!(
                "the version of the logic of `{}` was {then} and is {logic}: if that is what was \
                 meant, write \"{found}\"",
                S::NAME
            ),
        }
    }
}
