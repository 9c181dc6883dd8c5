//! What an event has beside its payload.

use factlog_codec::layout::{FRAME_HEADER, ITEM_HEADER, MAX_CATEGORY, MAX_KEY, align_up};
use factlog_codec::{ExtensionError, Sequence, Source, StreamKey, StreamNumber, StreamVersion};

use crate::log::cursor::EventRef;

/// The version that a stream must be at for an event to be appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Expected {
    /// Any.
    #[default]
    Any,
    /// Exactly this; [`StreamVersion::NONE`] says that the stream must not have begun.
    Version(StreamVersion),
}

impl Expected {
    /// The stream must not have begun.
    pub const NEW: Self = Self::Version(StreamVersion::NONE);
}

/// A stream, by its key, or by its number where that is known.
#[derive(Debug, Clone, Copy)]
pub(super) enum StreamName<'a> {
    Key(&'a StreamKey),
    Number(StreamNumber),
}

/// What an event has beside its payload: stream, causes, metadata.
///
/// ```
/// # use factlog::{Meta, Expected, StreamKey, Sequence};
/// let account = StreamKey::new("account", 7_u64)?;
/// let meta = Meta::new().stream(&account, Expected::NEW).metadata(b"from the import");
/// # let _ = meta;
/// # Ok::<(), factlog::StreamKeyError>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Meta<'a> {
    pub(super) stream: Option<(StreamName<'a>, Expected)>,
    pub(super) further: &'a [(&'a StreamKey, Expected)],
    pub(super) invalidates: Option<Sequence>,
    pub(super) cause: Option<Sequence>,
    pub(super) correlation: Option<Sequence>,
    pub(super) metadata: &'a [u8],
    /// The event of another log that it was made from.
    pub(super) source: Option<&'a Source>,
}

impl<'a> Meta<'a> {
    /// Nothing.
    pub const fn new() -> Self {
        Self {
            stream: None,
            further: &[],
            invalidates: None,
            cause: None,
            correlation: None,
            metadata: &[],
            source: None,
        }
    }

    /// Whether it says nothing but the event's own stream.
    #[inline]
    pub(super) fn has_stream_only(&self) -> bool {
        let Self { stream: _, further, invalidates, cause, correlation, metadata, source } = self;
        let named = invalidates.or(*cause).or(*correlation).is_some() || source.is_some();
        !named && further.is_empty() && metadata.is_empty()
    }

    /// The event belongs to `stream`, which must be at the expected version.
    #[must_use]
    pub const fn stream(mut self, stream: &'a StreamKey, expected: Expected) -> Self {
        self.stream = Some((StreamName::Key(stream), expected));
        self
    }

    /// The event belongs to a stream whose number is known, at any version.
    #[must_use]
    pub(crate) const fn numbered(mut self, stream: StreamNumber) -> Self {
        self.stream = Some((StreamName::Number(stream), Expected::Any));
        self
    }

    /// The event belongs to these streams as well, each of which must be at its expected version:
    /// at most seven, all of them others than its own and than each other. It needs a stream of its
    /// own.
    #[must_use]
    pub const fn further(mut self, streams: &'a [(&'a StreamKey, Expected)]) -> Self {
        self.further = streams;
        self
    }

    /// The event corrects an earlier one, which must belong to a stream, must not have been corrected
    /// yet, and to all streams of which this one must belong too. It is a link, which no reader
    /// follows by itself: what was corrected stays in the log, and is marked in
    /// [`Log::corrections`](crate::Log::corrections).
    ///
    /// To check that costs reading what the stream has had since.
    #[must_use]
    pub const fn invalidates(mut self, sequence: Sequence) -> Self {
        self.invalidates = Some(sequence);
        self
    }

    /// The event that caused this one: in the log, or earlier in the same transaction.
    #[must_use]
    pub const fn cause(mut self, sequence: Sequence) -> Self {
        self.cause = Some(sequence);
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

    /// The event at the root of the conversation.
    #[must_use]
    pub const fn correlation(mut self, sequence: Sequence) -> Self {
        self.correlation = Some(sequence);
        self
    }

    /// Bytes of the application: at most some 4,000, less what the links take.
    #[must_use]
    pub const fn metadata(mut self, bytes: &'a [u8]) -> Self {
        self.metadata = bytes;
        self
    }

    /// The event was made from one of another log.
    #[must_use]
    pub(in crate::log) const fn source(mut self, source: &'a Source) -> Self {
        self.source = Some(source);
        self
    }

    /// Whether there is nothing that would need an extension.
    #[inline]
    pub(super) const fn is_empty(&self) -> bool {
        self.stream.is_none()
            && self.cause.is_none()
            && self.correlation.is_none()
            && self.further.is_empty()
            && self.invalidates.is_none()
            && self.metadata.is_empty()
            && self.source.is_none()
    }

    /// Most bytes that the frame of one event with a payload of `size` takes, if its type is
    /// known to the log.
    pub(super) fn frame_bound(&self, size: usize) -> usize {
        // Link, and a STREAM item for each.
        let item = ITEM_HEADER + align_up(4 + MAX_CATEGORY + MAX_KEY);
        let further = match self.further.len() {
            0 => 0,
            count => 16 + count * (24 + item),
        };
        let invalidates = if self.invalidates.is_some() { 16 } else { 0 };
        let source = if self.source.is_some() { 48 } else { 0 };
        let stream = if self.stream.is_some() { 16 + item + further } else { 0 };
        FRAME_HEADER
            + ITEM_HEADER
            + align_up(size)
            + stream
            + 32
            + invalidates
            + source
            + align_up(4 + self.metadata.len())
    }
}
