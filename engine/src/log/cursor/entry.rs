//! Whatever stands in the log, for the floors above that need more than events.

use factlog_codec::types::TypeKey;
use factlog_codec::{
    CommandItem, FrameHeader, FurtherLink, Item, ItemKind, Link, Place, Sequence, StreamKey,
    StreamNumber,
};

use super::forward::Batch;
use crate::log::error::ReadError;
use crate::log::fault::ItemFault;
use crate::log::shared::Shared;

/// An item of a frame: an event, a command.
#[derive(Clone, Copy)]
pub(crate) struct Entry<'a> {
    shared: &'a Shared,
    pub(crate) item: Item<'a>,
    /// Its sequence; that of the next event, if it is none.
    pub(crate) sequence: Sequence,
    /// When its frame was committed.
    pub(crate) ts: u64,
    /// Where its frame stands.
    pub(crate) place: Place,
}

impl<'a> Entry<'a> {
    pub(crate) fn is_event(&self) -> bool {
        self.item.header.flags.kind == ItemKind::Event
    }

    /// What its payload is.
    #[inline]
    pub(crate) fn type_key(&self) -> Option<TypeKey> {
        Some(self.shared.types.get(self.item.header.type_number)?.key())
    }

    /// What its type is called, and which version it is.
    pub(crate) fn type_name(&self) -> Option<(&'a str, u16)> {
        let of = self.shared.types.get(self.item.header.type_number)?;
        Some((of.name(), of.version()))
    }

    /// The key of a stream.
    pub(crate) fn stream_key(&self, number: StreamNumber) -> Option<&'a StreamKey> {
        self.shared.streams.name(number)
    }

    /// Its link in its own stream, and those in further ones.
    #[inline]
    pub(crate) fn links(&self) -> Result<(Option<Link>, Vec<FurtherLink>), ItemFault> {
        let extensions = self.item.extensions;
        let link = extensions.link().map_err(ItemFault::Extension)?;
        let further = extensions.further().map_err(ItemFault::Extension)?;
        Ok((link, further))
    }

    /// It cannot be read.
    pub(crate) fn unreadable(&self, fault: ItemFault) -> ReadError {
        ReadError::Items(self.place, fault)
    }

    /// What became of a command, if it is one.
    pub(crate) fn command(&self) -> Result<Option<CommandItem<'a>>, ItemFault> {
        if self.item.header.flags.kind != ItemKind::Command {
            return Ok(None);
        }
        CommandItem::decode(self.item.payload).map(Some).map_err(ItemFault::Command)
    }
}

impl<'a> Batch<'a> {
    /// The next item, whatever it is.
    #[inline]
    pub(crate) fn next_entry(&mut self) -> Result<Option<Entry<'a>>, ReadError> {
        let shared = self.shared();
        let found = match self.advance_item() {
            Ok(found) => found,
            Err(error) => {
                self.fail(&error);
                return Err(error);
            }
        };
        Ok(found.map(|(item, sequence, header)| {
            let FrameHeader { ts, offset, .. } = header;
            Entry { shared, item, sequence, ts, place: self.place_of(offset) }
        }))
    }
}
