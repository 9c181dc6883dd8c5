//! An event that verified, and what is known of it.

use factlog_codec::{Epoch, Item, Place, Sequence, StreamKey, StreamNumber, StreamVersion};

use super::names::Names;
use crate::log::type_table::LogType;

/// An event that verified.
#[derive(Debug)]
pub struct Salvaged<'a> {
    pub(super) item: Item<'a>,
    pub(super) names: &'a Names,
    /// Its number in the log.
    pub sequence: Sequence,
    /// When it was committed: nanoseconds since the Unix epoch.
    pub ts: u64,
    /// The epoch in which it was written.
    pub epoch: Epoch,
    /// Where its frame stands.
    pub place: Place,
    /// The log leads to it: it is no frame behind damage, or behind a torn tail.
    pub in_log: bool,
}

impl<'a> Salvaged<'a> {
    /// Its type, if it is known: types stand at the beginning of each segment.
    pub fn event_type(&self) -> Option<&'a LogType> {
        self.names.event_type(self.item.header.type_number, self.epoch)
    }

    /// Its payload as bytes.
    pub fn payload(&self) -> &'a [u8] {
        self.item.payload
    }

    /// Number of its stream; [`StreamNumber::NONE`] if it has none.
    pub fn stream_number(&self) -> StreamNumber {
        self.item.header.stream
    }

    /// Name of its stream, if it is known.
    pub fn stream(&self) -> Option<&'a StreamKey> {
        self.names.stream(self.item.header.stream, self.epoch)
    }

    /// Its version in its stream.
    pub fn stream_version(&self) -> Option<StreamVersion> {
        self.item.extensions.link().ok()?.map(|link| link.version)
    }

    /// The event that caused it.
    pub fn cause(&self) -> Option<Sequence> {
        self.item.extensions.cause().ok()?
    }

    /// The event at the root of its conversation.
    pub fn correlation(&self) -> Option<Sequence> {
        self.item.extensions.correlation().ok()?
    }

    /// Bytes that the application put beside it.
    pub fn metadata(&self) -> &'a [u8] {
        self.item.extensions.metadata().unwrap_or(&[])
    }
}
