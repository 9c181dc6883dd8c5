//! What an aggregate is: state, and what is decided on it.

use std::fmt::{Debug, Display};
use std::panic::resume_unwind;

use factlog_codec::types::{Encode, Stored};
use factlog_codec::{Key, Sequence, StreamKey, StreamKeyError, StreamVersion};
use uuid::Uuid;

use crate::image::{Images, InstanceKey, IntoKey, State, Suspension, Unseen};

/// The unit of consistency, failure and determinism: state, and what is decided on it.
///
/// `decide` is pure: it depends on state, command and context, and on nothing else; it changes
/// nothing. It runs on the thread that writes for everybody, so it must be bounded.
pub trait Aggregate: State {
    /// What it may be asked for: one struct under [`#[event]`](crate::event), or several under
    /// [`#[vocabulary]`](crate::vocabulary), with names in the imperative.
    type Command: Encode + Send + 'static;

    /// What an accepted command is answered; `()` for nothing.
    type Reply: Stored + Send + Clone + Debug;

    /// Why a command is refused.
    type Rejection: Stored + Send + Clone + Debug + Display;

    /// The events that the command leads to, or why it is refused.
    ///
    /// # Errors
    ///
    /// A rule forbids it. No event of it is in the log then.
    fn decide(
        &self,
        command: &Self::Command,
        context: &mut Context<'_, Self>,
    ) -> Result<Events<Self::Event>, Self::Rejection>;
}

/// The events of one command, in order: none, one without an allocation, or several.
#[derive(Debug)]
pub struct Events<E> {
    held: Held<E>,
    also: Option<Box<Also>>,
}

#[derive(Debug)]
enum Held<E> {
    None,
    One(E),
    Many(Vec<E>),
}

/// Which events belong to further instances, and which correct earlier ones, each with the number of
/// the event.
#[derive(Debug, Default)]
struct Also {
    streams: Vec<(usize, StreamKey)>,
    corrects: Vec<(usize, Sequence)>,
    /// A key that cannot name a stream.
    fault: Option<StreamKeyError>,
}

impl<E> Events<E> {
    /// Nothing happened: the command is accepted, and leaves no event.
    pub const fn none() -> Self {
        Self { held: Held::None, also: None }
    }

    /// One event.
    pub fn one(event: impl Into<E>) -> Self {
        Self { held: Held::One(event.into()), also: None }
    }

    /// These, and one more.
    #[must_use]
    pub fn and(self, event: impl Into<E>) -> Self {
        let event = event.into();
        let held = match self.held {
            Held::None => Held::One(event),
            Held::One(first) => Held::Many(vec![first, event]),
            Held::Many(mut events) => {
                events.push(event);
                Held::Many(events)
            }
        };
        Self { held, also: self.also }
    }

    /// The event that was added last belongs to this instance as well, and is folded into it: up to
    /// seven of them. Its kind of state must know the event. Without an event it does nothing.
    #[must_use]
    pub fn also_of<S: State>(mut self, key: impl IntoKey<S::Key>) -> Self {
        let Some(event) = self.as_slice().len().checked_sub(1) else { return self };
        let also = self.also.get_or_insert_default();
        match StreamKey::new(S::NAME, key.into_key().to_key()) {
            Ok(stream) => also.streams.push((event, stream)),
            Err(fault) => also.fault = Some(fault),
        }
        self
    }

    /// The event that was added last corrects an earlier one of this instance. `evolve` sees it as
    /// any other event; the link tells readers, see [`Log::corrections`](crate::Log::corrections).
    /// Without an event it does nothing.
    ///
    /// The command fails with [`AppendError::Correction`](crate::AppendError::Correction) if that
    /// event is of another instance, or was corrected before. Which event it is, a receipt has said,
    /// or a reader of the log: the command brings it.
    #[must_use]
    pub fn invalidating(mut self, earlier: Sequence) -> Self {
        let Some(event) = self.as_slice().len().checked_sub(1) else { return self };
        self.also.get_or_insert_default().corrects.push((event, earlier));
        self
    }

    /// The earlier event that an event corrects: the one that was named last.
    pub(super) fn corrected_by(&self, number: usize) -> Option<Sequence> {
        let corrects = &self.also.as_deref()?.corrects;
        corrects.iter().rev().find(|(of, _)| *of == number).map(|(_, earlier)| *earlier)
    }

    pub(super) fn as_slice(&self) -> &[E] {
        match &self.held {
            Held::None => &[],
            Held::One(event) => std::slice::from_ref(event),
            Held::Many(events) => events,
        }
    }

    /// Whether no event belongs to a further instance.
    pub(super) fn is_alone(&self) -> bool {
        self.also.as_deref().is_none_or(|also| also.streams.is_empty())
    }

    /// The further streams of the events: number of the event, stream.
    pub(super) fn further(&self) -> Result<&[(usize, StreamKey)], StreamKeyError> {
        match self.also.as_deref() {
            None => Ok(&[]),
            Some(Also { fault: Some(fault), .. }) => Err(*fault),
            Some(Also { streams, .. }) => Ok(streams),
        }
    }
}

impl<E> From<Vec<E>> for Events<E> {
    fn from(events: Vec<E>) -> Self {
        Self { held: Held::Many(events), also: None }
    }
}

/// Why a decision ends before it has come to something. It travels as a panic that no hook sees.
#[derive(Debug)]
pub(super) enum Stop {
    /// An instance that it looks at is in the snapshot only: decide anew once it is loaded.
    Load(u16, Key),
    /// An instance that it looks at is suspended.
    Suspended(Suspension),
    /// A kind that it looks at is not there.
    NotHeld(&'static str),
}

/// What a decision may know beside state and command: the only source of time, identities and
/// randomness.
pub struct Context<'a, A: Aggregate> {
    pub(super) key: &'a A::Key,
    pub(super) version: StreamVersion,
    pub(super) now: u64,
    pub(super) random: u64,
    pub(super) reply: Option<A::Reply>,
    pub(super) images: Option<&'a Images>,
}

impl<A: Aggregate> Debug for Context<'_, A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { key, version, now, .. } = self;
        let mut all = f.debug_struct("Context");
        all.field("key", key).field("version", version).field("now", now).finish_non_exhaustive()
    }
}

impl<'a, A: Aggregate> Context<'a, A> {
    /// The instance that decides.
    pub fn key(&self) -> &A::Key {
        self.key
    }

    /// Version of the last event of its stream.
    pub fn version(&self) -> StreamVersion {
        self.version
    }

    /// The time: nanoseconds since the Unix epoch. The same for all commands of a frame.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// A random number.
    pub fn random(&mut self) -> u64 {
        // SplitMix64 (Steele, Lea, Flood 2014).
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A new identity, of version 4.
    pub fn uuid(&mut self) -> Uuid {
        let (high, low) = (u128::from(self.random()), u128::from(self.random()));
        let bits = (high << 64 | low) & !(0xF << 76) & !(0x3 << 62);
        Uuid::from_u128(bits | 0x4 << 76 | 0x2 << 62)
    }

    /// The state of another instance, of this or of another kind, as all commands before this one
    /// have left it: what is decided on it is decided in one step with the rest. At the default if
    /// it has no event.
    ///
    /// Where that instance is suspended, the decision ends here, and the command is answered so.
    ///
    /// # Panics
    ///
    /// When the engine does not hold this kind of state: the command fails.
    pub fn state<S: State>(&self, key: impl IntoKey<S::Key>) -> &'a S {
        let key = key.into_key();
        let held = self.images.and_then(|images| Some((images, images.kind_of::<S>()?)));
        let held = held.and_then(|(images, kind)| Some((images.get::<S>(kind)?, kind)));
        let Some((instances, kind)) = held else { resume_unwind(Box::new(Stop::NotHeld(S::NAME))) };
        match instances.look(&key) {
            Ok(state) => state,
            Err(Unseen::Stored) => resume_unwind(Box::new(Stop::Load(kind, key.to_key()))),
            Err(Unseen::Suspended(why)) => resume_unwind(Box::new(Stop::Suspended(why))),
        }
    }

    /// What the command is answered, if it is accepted.
    pub fn reply(&mut self, reply: A::Reply) {
        self.reply = Some(reply);
    }
}
