//! What the frames of a log say: its types, its streams, and the last event of each.
//!
//! A frame that verifies was written as it is; whether it makes sense is asked here.

use factlog_codec::{
    CatalogEntries, CatalogEntry, CatalogError, CommandItem, Frame, FrameKind, Item, ItemKind,
    Items, Link, Position, SegOpen, SegOpenTypes, StreamKey, StreamNumber, StreamVersion, TypeItem,
};

use crate::log::fault::ItemFault;
use crate::log::stream_table::StreamTable;
use crate::log::type_table::{LogType, TypeTable};

/// The last event of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Head {
    /// Its version; none if the stream has no event.
    pub(crate) version: StreamVersion,
    /// Its frame.
    pub(crate) position: Position,
    /// Its index among the events of its frame.
    pub(crate) index: u16,
}

impl Head {
    /// As it stands in a catalog.
    pub(crate) fn entry(&self, name: &StreamKey) -> CatalogEntry {
        let Self { version, position, index } = *self;
        CatalogEntry { name: name.clone(), version, position, index }
    }
}

/// Streams of a catalog that are added together.
const AT_ONCE: usize = 64;

/// What the frames so far amount to.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    pub(crate) types: TypeTable,
    pub(crate) streams: StreamTable,
    /// By stream number less one.
    pub(crate) heads: Vec<Head>,
    /// The types stand in the next SEGOPEN, since what brought them is gone.
    types_to_come: bool,
}

impl Replay {
    /// Begins with the streams of a catalog, where the segments that named them are gone.
    pub(crate) fn begin_with(&mut self, entries: CatalogEntries<'_>) -> Result<(), CatalogError> {
        let most = entries.size_hint().1.unwrap_or(0);
        self.streams = StreamTable::for_streams(most);
        self.heads.reserve(most);
        let mut named = Vec::with_capacity(AT_ONCE);
        let mut entries = entries.peekable();
        while entries.peek().is_some() {
            let first = StreamNumber::new(self.heads.len() as u64 + 1);
            for entry in entries.by_ref().take(AT_ONCE) {
                let CatalogEntry { name, version, position, index } = entry?;
                named.push((name, version, position));
                self.heads.push(Head { version, position, index });
            }
            // Or a name is there twice.
            if !self.streams.add_all(first, &mut named) {
                return Err(CatalogError::Reserved);
            }
        }
        self.types_to_come = true;
        Ok(())
    }

    /// Whether streams are known, and the types that stand in the next SEGOPEN are not yet.
    pub(crate) fn lacks_types(&self) -> bool {
        self.types_to_come
    }

    /// Holds a SEGOPEN against what came before it. The first one behind a catalog gives the types.
    pub(crate) fn enter_segment(
        &mut self,
        open: &SegOpen,
        types: SegOpenTypes<'_>,
    ) -> Result<(), ItemFault> {
        if std::mem::take(&mut self.types_to_come) {
            for entry in types.clone() {
                let (number, item) = entry.map_err(|_| ItemFault::SegOpen)?;
                if !self.types.add(LogType::from_item(number, &item)) {
                    return Err(ItemFault::TypeNumber(number.get()));
                }
            }
        }
        agrees(&self.types, &self.streams, open, types)
    }

    /// Takes in a frame that stands at `position`.
    pub(crate) fn absorb(
        &mut self,
        frame: &Frame<'_>,
        position: Position,
    ) -> Result<(), ItemFault> {
        let Self { types, streams, heads, .. } = self;
        let streams = &*streams;
        let came = |stream, version| streams.set_head(stream, version, position);
        Absorbing { types, streams, heads, came }.absorb(frame, position)
    }
}

/// Holds a SEGOPEN against the types and streams that are known.
pub(crate) fn agrees(
    known: &TypeTable,
    streams: &StreamTable,
    open: &SegOpen,
    types: SegOpenTypes<'_>,
) -> Result<(), ItemFault> {
    let same_types = types.zip(known.iter()).all(|(entry, known)| {
        entry.is_ok_and(|(number, item)| number == known.number() && item == known.item())
    });
    let agrees = same_types
        && usize::from(open.types) == known.len()
        && open.next_type == known.next()
        && open.next_stream.get() == streams.len() + 1;
    if agrees { Ok(()) } else { Err(ItemFault::SegOpen) }
}

/// Takes frames in, into tables that others may be reading.
pub(crate) struct Absorbing<'t, F> {
    pub(crate) types: &'t TypeTable,
    pub(crate) streams: &'t StreamTable,
    pub(crate) heads: &'t mut Vec<Head>,
    /// Told which streams have come to which version.
    pub(crate) came: F,
}

impl<F: FnMut(StreamNumber, StreamVersion)> Absorbing<'_, F> {
    /// Takes in a frame that stands at `position`. One that is refused may have been taken in in
    /// part.
    pub(crate) fn absorb(
        &mut self,
        frame: &Frame<'_>,
        position: Position,
    ) -> Result<(), ItemFault> {
        if frame.header.kind != FrameKind::Data {
            return Ok(());
        }
        let mut events = 0_u32;
        for item in Items::new(frame.body) {
            let item = item.map_err(ItemFault::Item)?;
            match item.header.flags.kind {
                ItemKind::Type => self.add_type(&item)?,
                ItemKind::Stream => self.add_stream(&item)?,
                ItemKind::Event => {
                    // A frame that says at most 65,535 events is not asked about more.
                    let index =
                        u16::try_from(events).map_err(|_| ItemFault::Count(frame.header.count))?;
                    self.enter(&item, position, index)?;
                    events += 1;
                }
                ItemKind::Command => self.check_command(&item)?,
                _ => {}
            }
        }
        if events == u32::from(frame.header.count) {
            Ok(())
        } else {
            Err(ItemFault::Count(frame.header.count))
        }
    }

    fn add_type(&mut self, item: &Item<'_>) -> Result<(), ItemFault> {
        let number = item.header.type_number;
        let decoded = TypeItem::decode(item.payload).map_err(ItemFault::Type)?;
        if self.types.add(LogType::from_item(number, &decoded)) {
            Ok(())
        } else {
            Err(ItemFault::TypeNumber(number.get()))
        }
    }

    fn add_stream(&mut self, item: &Item<'_>) -> Result<(), ItemFault> {
        let number = item.header.stream;
        let name = StreamKey::decode(item.payload).map_err(ItemFault::Stream)?;
        if !self.streams.add(number, name) {
            return Err(ItemFault::StreamNumber(number.get()));
        }
        self.heads.push(Head::default());
        Ok(())
    }

    /// A command names only what the log knows.
    fn check_command(&self, item: &Item<'_>) -> Result<(), ItemFault> {
        let command = CommandItem::decode(item.payload).map_err(ItemFault::Command)?;
        let type_number = item.header.type_number;
        if !command.command.is_empty() && self.types.get(type_number).is_none() {
            return Err(ItemFault::UnknownType(type_number.get()));
        }
        let stream = item.header.stream;
        if stream != StreamNumber::NONE && self.streams.name(stream).is_none() {
            return Err(ItemFault::UnknownStream(stream.get()));
        }
        Ok(())
    }

    fn enter(&mut self, item: &Item<'_>, position: Position, index: u16) -> Result<(), ItemFault> {
        let type_number = item.header.type_number;
        if self.types.get(type_number).is_none() {
            return Err(ItemFault::UnknownType(type_number.get()));
        }
        item.extensions.check().map_err(ItemFault::Extension)?;
        if item.header.stream != StreamNumber::NONE {
            let link = item.extensions.link().map_err(ItemFault::Extension)?;
            let link = link.ok_or(ItemFault::Link(0))?;
            self.follow(item.header.stream, link, position, index)?;
            for further in item.extensions.further().map_err(ItemFault::Extension)? {
                self.follow(further.stream, further.link, position, index)?;
            }
        }
        Ok(())
    }

    fn follow(
        &mut self,
        stream: StreamNumber,
        link: Link,
        position: Position,
        index: u16,
    ) -> Result<(), ItemFault> {
        let at = usize::try_from(stream.get()).ok().and_then(|number| number.checked_sub(1));
        let head = at.and_then(|at| self.heads.get_mut(at));
        let head = head.ok_or(ItemFault::UnknownStream(stream.get()))?;
        let before =
            Link { version: head.version.next(), previous: head.position, index: head.index };
        if link != before {
            return Err(ItemFault::Link(link.version.get()));
        }
        *head = Head { version: link.version, position, index };
        (self.came)(stream, link.version);
        Ok(())
    }
}
