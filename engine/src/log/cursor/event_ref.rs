//! One event, borrowed from the mapping that it stands in.

use std::fmt;

use factlog_codec::types::{Event, UpcastError, Upcasts, Vocabulary};
use factlog_codec::{
    Epoch, ExtensionError, Extensions, Item, ItemHeader, Sequence, Source, StreamKey, StreamNumber,
    StreamVersion,
};

use crate::log::error::AccessError;
use crate::log::shared::Shared;
use crate::log::type_table::LogType;

/// An event in the log, valid as long as its cursor is not moved.
#[derive(Clone, Copy)]
pub struct EventRef<'a> {
    pub(super) shared: &'a Shared,
    pub(super) header: ItemHeader,
    pub(super) extensions: Extensions<'a>,
    pub(super) payload: &'a [u8],
    pub(super) sequence: Sequence,
    pub(super) ts: u64,
    pub(super) epoch: Epoch,
}

impl<'a> EventRef<'a> {
    #[inline]
    pub(super) fn new(
        shared: &'a Shared,
        item: Item<'a>,
        sequence: Sequence,
        ts: u64,
        epoch: Epoch,
    ) -> Self {
        let Item { header, extensions, payload } = item;
        Self { shared, header, extensions, payload, sequence, ts, epoch }
    }

    /// Its number in the log.
    #[inline]
    pub fn sequence(&self) -> Sequence {
        self.sequence
    }

    /// When it was committed: nanoseconds since the Unix epoch.
    #[inline]
    pub fn ts(&self) -> u64 {
        self.ts
    }

    /// The epoch in which it was written.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Its type; `None` only for a log that somebody made up, in a segment that opening could pass
    /// over, and only until a type is declared under that number.
    #[inline]
    pub fn event_type(&self) -> Option<&'a LogType> {
        self.shared.types.get(self.header.type_number)
    }

    /// Its payload as bytes, aligned to 16.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// The event, if it is an `E`; `None` if it is of another type or version.
    ///
    /// The payload is validated at each call, which costs some ten nanoseconds.
    ///
    /// # Errors
    ///
    /// The type stands in the log with another shape, or the payload is not valid.
    #[inline]
    pub fn get<E: Event>(&self) -> Result<Option<&'a E::View>, AccessError> {
        let Some(known) = self.event_type() else { return Ok(None) };
        if E::static_type().matches(known.key()).map_err(AccessError::Drift)? {
            E::view(self.payload).map(Some)
        } else {
            Ok(None)
        }
    }

    /// The event as one of a vocabulary; `None` if it is none of those types.
    ///
    /// # Errors
    ///
    /// The type stands in the log with another shape, or the payload is not valid.
    #[inline]
    pub fn view<V: Vocabulary>(&self) -> Result<Option<V::View<'a>>, AccessError> {
        let Some(known) = self.event_type() else { return Ok(None) };
        V::view(known.key(), self.payload)
    }

    /// The event as those of a vocabulary that it is today: itself, or what it becomes if it is of an
    /// earlier version that the vocabulary names. Each is given to `see`; how many that were, or `None`
    /// if it is none of these types. One `upcasts` does for all events.
    ///
    /// # Errors
    ///
    /// The type stands in the log with another shape, the payload is not valid, or what it becomes
    /// cannot be archived.
    pub fn newest<V: Vocabulary>(
        &self,
        upcasts: &mut Upcasts,
        mut see: impl FnMut(V::View<'_>),
    ) -> Result<Option<u32>, UpcastError> {
        let Some(known) = self.event_type() else { return Ok(None) };
        match V::view(known.key(), self.payload)? {
            Some(view) => {
                see(view);
                Ok(Some(1))
            }
            None => V::upcast(known.key(), self.payload, upcasts, &mut see),
        }
    }

    /// Whether it is the last event of its submission, in a frame that holds several; see
    /// [`WriterThread`](crate::WriterThread).
    #[inline]
    pub fn ends_submission(&self) -> bool {
        self.header.flags.last
    }

    /// The stream that it belongs to, if it belongs to one.
    pub fn stream(&self) -> Option<&'a StreamKey> {
        self.shared.streams.name(self.header.stream)
    }

    /// Its version in that stream.
    ///
    /// # Errors
    ///
    /// The extensions cannot be read.
    pub fn stream_version(&self) -> Result<Option<StreamVersion>, ExtensionError> {
        if self.header.stream == StreamNumber::NONE {
            return Ok(None);
        }
        Ok(self.extensions.link()?.map(|link| link.version))
    }

    /// The event that caused it.
    ///
    /// # Errors
    ///
    /// The extensions cannot be read.
    pub fn cause(&self) -> Result<Option<Sequence>, ExtensionError> {
        self.extensions.cause()
    }

    /// The event at the root of its conversation.
    ///
    /// # Errors
    ///
    /// The extensions cannot be read.
    pub fn correlation(&self) -> Result<Option<Sequence>, ExtensionError> {
        self.extensions.correlation()
    }

    /// The root of the conversation that an event caused by it belongs to: its own root, or itself
    /// where it has none.
    ///
    /// # Errors
    ///
    /// The extensions cannot be read.
    pub fn conversation(&self) -> Result<Sequence, ExtensionError> {
        Ok(self.correlation()?.unwrap_or(self.sequence))
    }

    /// The earlier event that it corrects.
    ///
    /// # Errors
    ///
    /// The extensions cannot be read.
    pub fn invalidates(&self) -> Result<Option<Sequence>, ExtensionError> {
        self.extensions.invalidates()
    }

    /// The streams that it belongs to beside its own, and its version in each: at most seven.
    ///
    /// # Errors
    ///
    /// The extensions cannot be read.
    pub fn further_streams(&self) -> Result<Vec<(&'a StreamKey, StreamVersion)>, ExtensionError> {
        let named = |further: &factlog_codec::FurtherLink| {
            Some((self.shared.streams.name(further.stream)?, further.link.version))
        };
        Ok(self.extensions.further()?.iter().filter_map(named).collect())
    }

    /// The event of another log that it was made from: so it is with what a
    /// [`WhatIf`](crate::WhatIf) has appended again.
    ///
    /// # Errors
    ///
    /// The extensions cannot be read.
    pub fn source(&self) -> Result<Option<Source>, ExtensionError> {
        self.extensions.source()
    }

    /// Bytes that the application put beside it.
    ///
    /// # Errors
    ///
    /// The extensions cannot be read.
    pub fn metadata(&self) -> Result<&'a [u8], ExtensionError> {
        self.extensions.metadata()
    }
}

impl fmt::Debug for EventRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventRef")
            .field("sequence", &self.sequence)
            .field("type", &self.event_type().map(|known| (known.name(), known.version())))
            .field("stream", &self.stream().map(ToString::to_string))
            .field("payload_bytes", &self.payload.len())
            .finish_non_exhaustive()
    }
}
