//! An event and what it has beside its payload, owned, so that it can go to another thread.

use std::num::NonZeroU64;

use factlog_codec::types::Encode;
use factlog_codec::{ExtensionError, Sequence, StreamKey};

use crate::log::cursor::EventRef;
use crate::log::error::AppendError;
use crate::log::writer::{Expected, Meta, Transaction};

/// An event to be appended, with stream, causes and metadata: what [`Meta`] is for a writer of
/// one's own.
#[derive(Debug, Clone)]
pub struct Draft<E> {
    /// The event.
    pub event: E,
    stream: Option<(StreamKey, Expected)>,
    cause: Option<Sequence>,
    correlation: Option<Sequence>,
    /// One more than the sequence: a draft is moved from hand to hand, so it is kept small.
    invalidates: Option<NonZeroU64>,
    metadata: Option<Box<[u8]>>,
}

impl<E> Draft<E> {
    /// The event alone.
    pub const fn new(event: E) -> Self {
        let (cause, correlation, invalidates) = (None, None, None);
        Self { event, stream: None, cause, correlation, invalidates, metadata: None }
    }

    /// The event belongs to `stream`, which must be at the expected version.
    #[must_use]
    pub fn stream(mut self, stream: StreamKey, expected: Expected) -> Self {
        self.stream = Some((stream, expected));
        self
    }

    /// The event in the log that caused this one.
    #[must_use]
    pub const fn cause(mut self, sequence: Sequence) -> Self {
        self.cause = Some(sequence);
        self
    }

    /// The event at the root of the conversation.
    #[must_use]
    pub const fn correlation(mut self, sequence: Sequence) -> Self {
        self.correlation = Some(sequence);
        self
    }

    /// The event was caused by that one, and belongs to its conversation.
    ///
    /// # Errors
    ///
    /// What stands beside that event cannot be read.
    pub fn caused_by(self, event: &EventRef<'_>) -> Result<Self, ExtensionError> {
        Ok(self.cause(event.sequence()).correlation(event.conversation()?))
    }

    /// The event corrects an earlier one: as [`Meta::invalidates`].
    #[must_use]
    pub const fn invalidates(mut self, sequence: Sequence) -> Self {
        // What saturates is in no log, either way.
        self.invalidates = NonZeroU64::new(sequence.get().saturating_add(1));
        self
    }

    /// Bytes of the application.
    #[must_use]
    pub fn metadata(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.metadata = Some(bytes.into().into_boxed_slice());
        self
    }

    fn meta(&self) -> Meta<'_> {
        let mut meta = Meta::new().metadata(self.metadata.as_deref().unwrap_or(&[]));
        if let Some((stream, expected)) = &self.stream {
            meta = meta.stream(stream, *expected);
        }
        if let Some(cause) = self.cause {
            meta = meta.cause(cause);
        }
        if let Some(correlation) = self.correlation {
            meta = meta.correlation(correlation);
        }
        if let Some(target) = self.invalidates {
            meta = meta.invalidates(Sequence::new(target.get() - 1));
        }
        meta
    }
}

/// What can be submitted: a [`Draft`], or several that become visible together or not at all.
pub trait Drafts: Send + 'static + sealed::Sealed {
    /// Puts it into a transaction.
    #[doc(hidden)]
    fn put(&self, transaction: &mut Transaction<'_>) -> Result<(), AppendError>;

    /// Bytes that the payloads take at least, as far as that is known.
    #[doc(hidden)]
    fn least_bytes(&self) -> usize;
}

impl<E: Encode + Send + 'static> Drafts for Draft<E> {
    fn put(&self, transaction: &mut Transaction<'_>) -> Result<(), AppendError> {
        transaction.append_with(&self.event, self.meta()).map(drop)
    }

    fn least_bytes(&self) -> usize {
        self.event.fixed_size().unwrap_or(0)
    }
}

impl<E: Encode + Send + 'static> Drafts for Vec<Draft<E>> {
    fn put(&self, transaction: &mut Transaction<'_>) -> Result<(), AppendError> {
        self.iter().try_for_each(|draft| draft.put(transaction))
    }

    fn least_bytes(&self) -> usize {
        self.iter().map(Drafts::least_bytes).fold(0, usize::saturating_add)
    }
}

mod sealed {
    use super::Draft;

    pub trait Sealed {}

    impl<E> Sealed for Draft<E> {}
    impl<E> Sealed for Vec<Draft<E>> {}
}
