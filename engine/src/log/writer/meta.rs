//! What an event has beside its payload.

use factlog_codec::layout::{FRAME_HEADER, ITEM_HEADER, MAX_CATEGORY, MAX_KEY, align_up};
use factlog_codec::{Sequence, StreamKey, StreamVersion};

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
    pub(super) stream: Option<(&'a StreamKey, Expected)>,
    pub(super) cause: Option<Sequence>,
    pub(super) correlation: Option<Sequence>,
    pub(super) metadata: &'a [u8],
}

impl<'a> Meta<'a> {
    /// Nothing.
    pub const fn new() -> Self {
        Self { stream: None, cause: None, correlation: None, metadata: &[] }
    }

    /// The event belongs to `stream`, which must be at the expected version.
    #[must_use]
    pub const fn stream(mut self, stream: &'a StreamKey, expected: Expected) -> Self {
        self.stream = Some((stream, expected));
        self
    }

    /// The event that caused this one: in the log, or earlier in the same transaction.
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

    /// Bytes of the application: at most some 4,000, less what the links take.
    #[must_use]
    pub const fn metadata(mut self, bytes: &'a [u8]) -> Self {
        self.metadata = bytes;
        self
    }

    /// Whether there is nothing that would need an extension.
    #[inline]
    pub(super) const fn is_empty(&self) -> bool {
        self.stream.is_none()
            && self.cause.is_none()
            && self.correlation.is_none()
            && self.metadata.is_empty()
    }

    /// Most bytes that the frame of one event with a payload of `size` takes, if its type is
    /// known to the log.
    pub(super) fn frame_bound(&self, size: usize) -> usize {
        let stream = if self.stream.is_some() {
            // Link, and a STREAM item.
            16 + ITEM_HEADER + align_up(4 + MAX_CATEGORY + MAX_KEY)
        } else {
            0
        };
        FRAME_HEADER
            + ITEM_HEADER
            + align_up(size)
            + stream
            + 32
            + align_up(4 + self.metadata.len())
    }
}
