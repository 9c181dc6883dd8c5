//! What an aggregate is: state, and what is decided on it.

use std::fmt::{Debug, Display};

use factlog_codec::StreamVersion;
use factlog_codec::types::{Encode, Stored};
use uuid::Uuid;

use crate::image::State;

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
pub struct Events<E>(Held<E>);

#[derive(Debug)]
enum Held<E> {
    None,
    One(E),
    Many(Vec<E>),
}

impl<E> Events<E> {
    /// Nothing happened: the command is accepted, and leaves no event.
    pub const fn none() -> Self {
        Self(Held::None)
    }

    /// One event.
    pub fn one(event: impl Into<E>) -> Self {
        Self(Held::One(event.into()))
    }

    /// These, and one more.
    #[must_use]
    pub fn and(self, event: impl Into<E>) -> Self {
        let event = event.into();
        Self(match self.0 {
            Held::None => Held::One(event),
            Held::One(first) => Held::Many(vec![first, event]),
            Held::Many(mut events) => {
                events.push(event);
                Held::Many(events)
            }
        })
    }

    pub(super) fn as_slice(&self) -> &[E] {
        match &self.0 {
            Held::None => &[],
            Held::One(event) => std::slice::from_ref(event),
            Held::Many(events) => events,
        }
    }
}

impl<E> From<Vec<E>> for Events<E> {
    fn from(events: Vec<E>) -> Self {
        Self(Held::Many(events))
    }
}

/// What a decision may know beside state and command: the only source of time, identities and
/// randomness.
#[derive(Debug)]
pub struct Context<'a, A: Aggregate> {
    pub(super) key: &'a A::Key,
    pub(super) version: StreamVersion,
    pub(super) now: u64,
    pub(super) random: u64,
    pub(super) reply: Option<A::Reply>,
}

impl<A: Aggregate> Context<'_, A> {
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

    /// What the command is answered, if it is accepted.
    pub fn reply(&mut self, reply: A::Reply) {
        self.reply = Some(reply);
    }
}
