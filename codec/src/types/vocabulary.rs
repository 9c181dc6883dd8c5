//! Vocabularies: what an aggregate or a reader knows; and events of earlier versions, made newer ones:
//! what is stored stays, what is read is of today.

use core::fmt;

use super::encode::{EncodeError, Scratch, encode_growing};
use super::event::{Encode, Event};
use super::event_type::{EventType, TypeKey};
use super::view::ViewError;

/// Some event types together: an enum, under [`#[vocabulary]`](crate::vocabulary).
///
/// The enum is never stored. Each event is stored as its own type, so that a vocabulary may grow
/// without a change to anything stored.
pub trait Vocabulary: Encode + Sized + 'static {
    /// One of the events, in place.
    type View<'a>;

    /// The types, in the order of the variants; then the earlier versions of them.
    fn types() -> Vec<&'static EventType>;

    /// Reads a payload of type `key` in place; `None` if the type is not in the vocabulary.
    ///
    /// # Errors
    ///
    /// The payload is not one of its type, it is not aligned, or the type was stored with another
    /// shape.
    fn view(key: TypeKey, payload: &[u8]) -> Result<Option<Self::View<'_>>, ViewError>;

    /// Makes the event newer, if it is of an earlier version that the vocabulary names, and gives
    /// what it becomes to `see`; how many that are, or `None` if it is no such event.
    ///
    /// # Errors
    ///
    /// The payload is not one of its type, the type was stored with another shape, or what it becomes
    /// cannot be archived.
    fn upcast(
        key: TypeKey,
        payload: &[u8],
        upcasts: &mut Upcasts,
        see: &mut dyn FnMut(Self::View<'_>),
    ) -> Result<Option<u32>, UpcastError> {
        let _ = (key, payload, upcasts, see);
        Ok(None)
    }
}

/// An event of an earlier version, which becomes events of a vocabulary: one, several or none.
///
/// The vocabulary names it: `#[vocabulary(earlier(PriceSetV1))]`. Whoever folds it sees the newer
/// events, read from an archive as always. It must be total, and come to the same from the same event:
/// no clock, no randomness.
///
/// ```
/// use factlog_codec::types::{Newer, Upcast, Upcasts, Vocabulary};
/// # use factlog_codec::types::{Encode, Event, Scratch};
///
/// /// As it was stored until last year: in dollars.
/// #[factlog_codec::event(name = "price-set", version = 1, crate = factlog_codec)]
/// pub struct PriceSetV1 {
///     pub cents: u32,
/// }
///
/// #[factlog_codec::event(name = "price-set", version = 2, crate = factlog_codec)]
/// pub struct PriceSet {
///     pub cents: u64,
///     pub currency: String,
/// }
///
/// #[factlog_codec::vocabulary(earlier(PriceSetV1), crate = factlog_codec)]
/// pub enum PriceEvent {
///     Set(PriceSet),
/// }
///
/// impl Upcast<PriceEvent> for PriceSetV1 {
///     fn upcast(old: &PriceSetV1View, newer: &mut Newer<'_, PriceEvent>) {
///         newer.push(PriceSet { cents: old.cents().into(), currency: "USD".into() });
///     }
/// }
/// # let mut space = [0_u128; 4];
/// # let space: &mut [u8] = bytemuck::cast_slice_mut(&mut space);
/// # let len = PriceSetV1 { cents: 5 }.encode(space, &mut Scratch::new())?;
/// # let mut seen = Vec::new();
/// # PriceEvent::upcast(PriceSetV1::static_type().key(), &space[..len], &mut Upcasts::new(), &mut |view| {
/// #     let PriceEventView::Set(set) = view;
/// #     seen.push((set.cents(), set.currency().to_owned()));
/// # })?;
/// # assert_eq!(seen, [(5, "USD".to_owned())]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is an earlier version, and nothing says what it becomes",
    note = "implement `Upcast<{V}>` for it"
)]
pub trait Upcast<V: Vocabulary>: Event {
    /// Says what it becomes: `newer.push(PriceSet { .. })`.
    fn upcast(old: &Self::View, newer: &mut Newer<'_, V>);
}

/// Space in which newer events are archived: make one, use it for all of them. It grows to what
/// the largest of them needs, and then allocates no more.
#[derive(Debug, Default)]
pub struct Upcasts {
    scratch: Scratch,
    /// One for each event in a chain.
    spaces: Vec<Vec<u128>>,
}

impl Upcasts {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    fn with<T>(
        &mut self,
        event: &impl Encode,
        look: impl FnOnce(&mut Self, &[u8]) -> T,
    ) -> Result<T, EncodeError> {
        let mut space = self.spaces.pop().unwrap_or_default();
        let scratch = &mut self.scratch;
        let archived = encode_growing(&mut space, MOST, |out| event.encode(out, scratch));
        let looked = archived.map(|len| {
            let bytes: &[u8] = bytemuck::cast_slice(&space);
            look(self, bytes.get(..len).unwrap_or(&[]))
        });
        self.spaces.push(space);
        looked
    }
}

/// Most bytes of one event.
const MOST: usize = 1 << 24;

/// Most steps of a chain. Versions that become each other would else end the process by its stack.
const STEPS: u32 = 256;

/// Where the newer events go.
pub struct Newer<'n, V: Vocabulary> {
    upcasts: &'n mut Upcasts,
    see: &'n mut dyn FnMut(V::View<'_>),
    count: u32,
    /// Chains that this stands in.
    depth: u32,
    error: Option<UpcastError>,
}

impl<V: Vocabulary> fmt::Debug for Newer<'_, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Newer").field("count", &self.count).finish_non_exhaustive()
    }
}

impl<'n, V: Vocabulary> Newer<'n, V> {
    /// Newer events are given to `see`, each as soon as it is there.
    pub fn new(upcasts: &'n mut Upcasts, see: &'n mut dyn FnMut(V::View<'_>)) -> Self {
        Self { upcasts, see, count: 0, depth: 0, error: None }
    }

    /// It becomes this event, and whatever else is pushed.
    pub fn push(&mut self, event: impl Into<V>) {
        if self.error.is_some() {
            return;
        }
        let event = event.into();
        let key = event.event_type().key();
        let see = &mut *self.see;
        let seen = self.upcasts.with(&event, |_, archive| {
            V::view(key, archive).map(|view| {
                if let Some(view) = view {
                    see(view);
                }
            })
        });
        match seen {
            Ok(Ok(())) => self.count += 1,
            Ok(Err(error)) => self.error = Some(UpcastError::View(error)),
            Err(error) => self.error = Some(UpcastError::Encode(error)),
        }
    }

    /// It becomes an event of a version that is not the newest either, and then what that becomes:
    /// so that a new version needs to know the one before it only.
    pub fn chain<E: Upcast<V>>(&mut self, event: &E) {
        if self.error.is_some() {
            return;
        }
        let depth = self.depth + 1;
        if depth > STEPS {
            self.error = Some(UpcastError::Circular);
            return;
        }
        let see = &mut *self.see;
        let chained = self.upcasts.with(event, |upcasts, archive| {
            let view = E::view(archive).map_err(UpcastError::View)?;
            let mut newer = Newer { upcasts, see, count: 0, depth, error: None };
            E::upcast(view, &mut newer);
            newer.finish()
        });
        match chained {
            Ok(Ok(count)) => self.count += count,
            Ok(Err(error)) => self.error = Some(error),
            Err(error) => self.error = Some(UpcastError::Encode(error)),
        }
    }

    /// How many there were.
    ///
    /// # Errors
    ///
    /// One of them could not be archived.
    pub fn finish(self) -> Result<u32, UpcastError> {
        match self.error {
            Some(error) => Err(error),
            None => Ok(self.count),
        }
    }
}

/// Why an event was not made newer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum UpcastError {
    /// It cannot be read.
    View(ViewError),
    /// What it becomes cannot be archived: it is nested too deeply, or takes more than 16 MiB.
    Encode(EncodeError),
    /// It became another version 256 times and was not of today yet: versions become each other.
    Circular,
}

impl fmt::Display for UpcastError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::View(error) => error.fmt(f),
            Self::Encode(error) => write!(f, "what it becomes cannot be archived: {error}"),
            Self::Circular => write!(f, "its versions become each other: {STEPS} steps"),
        }
    }
}

impl core::error::Error for UpcastError {}

impl From<ViewError> for UpcastError {
    fn from(error: ViewError) -> Self {
        Self::View(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What has always the same fault.
    struct Faulty(EncodeError);

    impl Encode for Faulty {
        fn event_type(&self) -> &'static EventType {
            static TYPE: EventType = EventType::opaque("faulty", 1);
            &TYPE
        }

        fn fixed_size(&self) -> Option<usize> {
            None
        }

        fn encode(&self, _: &mut [u8], _: &mut Scratch) -> Result<usize, EncodeError> {
            Err(self.0)
        }
    }

    #[test]
    fn does_space_grow_only_for_what_needs_it() {
        for (error, bytes) in [(EncodeError::TooDeep, 0), (EncodeError::NoSpace, MOST)] {
            let mut upcasts = Upcasts::new();
            assert_eq!(upcasts.with(&Faulty(error), |_, _| ()), Err(error));
            assert_eq!(upcasts.spaces.iter().map(|space| space.len() * 16).sum::<usize>(), bytes);
        }
    }
}
