//! One item into the space of a transaction: an event, what it needs before it, a command.

use factlog_codec::layout::{
    FRAME_HEADER, ITEM_HEADER, MAX_EVENTS, MAX_FURTHER_STREAMS, align_up, max_type_table,
};
use factlog_codec::types::{Encode, EventType, Scratch};
use factlog_codec::{
    CommandItem, EventExtensions, FurtherLink, ItemFlags, ItemHeader, ItemKind, Link,
    MetadataTooLong, Position, SegOpen, Sequence, StreamKey, StreamNumber, StreamVersion,
    TypeNumber,
};

use super::meta::StreamName;
use super::transaction::AtWork;
use super::{Expected, Meta, Transaction, Writer};
use crate::log::error::AppendError;
use crate::log::recovery::Head;
use crate::log::type_table::LogType;

/// Bytes that are fetched ahead for an event, at most: of a longer one, the processor sees by itself
/// where it goes.
const FETCHED: usize = 512;

/// An event has nothing beside its payload.
const NOTHING: (usize, fn(&mut [u8])) = (0, |_| ());

impl Transaction<'_> {
    pub(super) fn put(
        &mut self,
        event: &impl Encode,
        meta: Option<&Meta<'_>>,
    ) -> Result<Sequence, Box<AppendError>> {
        if self.count >= MAX_EVENTS {
            return Err(AppendError::TooManyEvents.into());
        }
        let sequence = self.writer.next.after(self.count as u64);
        if let Some(meta) = meta {
            check_causes(meta, sequence)?;
        }
        let event_type = event.event_type();
        let type_number = match self.writer.staged_type(event_type) {
            Some(number) => number,
            None => self.find_or_add_type(event_type)?,
        };
        self.put_as(type_number, meta, |room, scratch| event.encode(room, scratch).ok())?;
        Ok(sequence)
    }

    /// An event of a type that stands in the log or in this transaction.
    pub(super) fn put_as(
        &mut self,
        type_number: TypeNumber,
        meta: Option<&Meta<'_>>,
        encode: impl FnOnce(&mut [u8], &mut Scratch) -> Option<usize>,
    ) -> Result<(), Box<AppendError>> {
        let Some(meta) = meta else {
            return self.put_payload((type_number, StreamNumber::NONE), NOTHING, encode);
        };
        let mut stream = None;
        if let Some((name, expected)) = meta.stream {
            stream = Some(match name {
                StreamName::Key(key) => self.enter_stream(key, expected)?,
                StreamName::Number(number) => (number, self.next_link(number)?),
            });
        }
        match stream {
            Some(stream) if meta.has_stream_only() => self.put_linked(type_number, stream, encode),
            _ => self.put_with_extensions(type_number, stream, meta, encode),
        }
    }

    /// An event that has its stream and nothing else beside it.
    #[inline]
    fn put_linked(
        &mut self,
        type_number: TypeNumber,
        (stream, link): (StreamNumber, Link),
        encode: impl FnOnce(&mut [u8], &mut Scratch) -> Option<usize>,
    ) -> Result<(), Box<AppendError>> {
        let beside = (Link::EXTENSION, |space: &mut [u8]| space.copy_from_slice(&link.extension()));
        self.put_payload((type_number, stream), beside, encode)?;
        let (position, index) = (self.position(), (self.count - 1) as u16);
        let head = Head { version: link.version, position, index };
        self.writer.stage.set_head(stream, head);
        Ok(())
    }

    /// An event that has more beside it.
    fn put_with_extensions(
        &mut self,
        type_number: TypeNumber,
        entered: Option<(StreamNumber, Link)>,
        meta: &Meta<'_>,
        encode: impl FnOnce(&mut [u8], &mut Scratch) -> Option<usize>,
    ) -> Result<(), Box<AppendError>> {
        let stream = entered.map_or(StreamNumber::NONE, |(stream, _)| stream);
        let mut links = [FurtherLink::default(); MAX_FURTHER_STREAMS];
        let mut further = &[][..];
        if !meta.further.is_empty() {
            further = self.enter_further(stream, meta.further, &mut links)?;
        }
        let Meta { cause, correlation, invalidates, metadata, source, .. } = *meta;
        let extensions = EventExtensions {
            link: entered.map(|(_, link)| link),
            further,
            cause,
            correlation,
            invalidates,
            metadata,
            source: source.copied(),
            ..EventExtensions::default()
        };
        if let Some(target) = invalidates {
            self.check_correction(target, stream, &extensions)?;
        }
        let len = extensions.encoded_len().map_err(AppendError::Metadata)?;
        let beside = (len, |space: &mut [u8]| extensions.encode(space));
        self.put_payload((type_number, stream), beside, encode)?;
        let (position, index) = (self.position(), (self.count - 1) as u16);
        let head = |link: Link| Head { version: link.version, position, index };
        if let Some((stream, link)) = entered {
            self.writer.stage.set_head(stream, head(link));
        }
        for further in further {
            self.writer.stage.set_head(further.stream, head(further.link));
        }
        Ok(())
    }

    /// An event of a known type, and nothing beside it.
    #[inline(always)]
    pub(super) fn put_event(
        &mut self,
        event: &impl Encode,
        type_number: TypeNumber,
    ) -> Result<Sequence, Box<AppendError>> {
        let count = self.count;
        if count >= MAX_EVENTS {
            return Err(AppendError::TooManyEvents.into());
        }
        let item = (type_number, StreamNumber::NONE);
        let put = self.put_payload(item, NOTHING, |room, scratch| event.encode(room, scratch).ok());
        if let Err(error) = put {
            self.wipe(self.used());
            return Err(error);
        }
        Ok(self.writer.next.after(count as u64))
    }

    /// An event's item, behind what stands. After an error the space behind that is not clean.
    #[inline(always)]
    fn put_payload(
        &mut self,
        (type_number, stream): (TypeNumber, StreamNumber),
        (extensions_len, extensions): (usize, impl FnOnce(&mut [u8])),
        encode: impl FnOnce(&mut [u8], &mut Scratch) -> Option<usize>,
    ) -> Result<(), Box<AppendError>> {
        let (limit, item) = (self.limit, self.used());
        let payload = item + ITEM_HEADER + extensions_len;
        let Writer { active, scratch, .. } = &mut *self.writer;
        let space = active.space(limit);
        let Some(room) = space.get_mut(payload..) else { return Err(too_large(limit)) };
        let most = room.len();
        // The length is what code of the user's says: it is not to be trusted.
        let at_work = AtWork { spoilt: &mut self.spoilt, limit };
        let Some(len) = encode(room, scratch).filter(|len| *len <= most) else {
            return Err(too_large(limit));
        };
        at_work.done();
        let end = align_up(payload + len);
        if end != payload + len {
            space[payload + len..end].fill(0);
        }
        extensions(&mut space[item + ITEM_HEADER..payload]);
        let header = ItemHeader {
            len: len as u32,
            type_number,
            flags: ItemFlags { kind: ItemKind::Event, last: false },
            extension_units: (extensions_len / 16) as u8,
            stream,
        };
        space[item..item + ITEM_HEADER].copy_from_slice(&header.encode());
        active.fetch_ahead(item, (end - item).min(FETCHED));
        self.body_end = payload + len;
        self.count += 1;
        self.last_item = item;
        Ok(())
    }

    fn position(&self) -> Position {
        Position::new(self.writer.active.id(), self.writer.active.tail(), self.writer.shared.bits)
    }

    /// The stream's number and the link of its next event. A new stream gets a STREAM item.
    fn enter_stream(
        &mut self,
        name: &StreamKey,
        expected: Expected,
    ) -> Result<(StreamNumber, Link), AppendError> {
        let known = self.writer.stage.find_stream(&self.writer.shared, name);
        let head = known.map_or_else(Head::default, |number| self.writer.stage.head(number));
        if let Expected::Version(expected) = expected
            && expected != head.version
        {
            return Err(AppendError::Conflict {
                stream: name.clone(),
                expected,
                actual: head.version,
            });
        }
        let number = match known {
            Some(number) => number,
            None => self.put_stream(name)?,
        };
        Ok((number, self.next_link(number)?))
    }

    /// A new stream gets a number, and a STREAM item.
    fn put_stream(&mut self, name: &StreamKey) -> Result<StreamNumber, AppendError> {
        let number = self.writer.stage.add_stream(name);
        let item = (ItemKind::Stream, TypeNumber::NONE, number);
        self.put_item(item, name.encoded_len(), |payload| name.encode(payload))?;
        Ok(number)
    }

    /// The link of the next event of a stream.
    #[inline]
    fn next_link(&self, stream: StreamNumber) -> Result<Link, AppendError> {
        let head = self.writer.stage.head(stream);
        if head.position.raw() > Link::MAX_POSITION || head.version >= StreamVersion::MAX {
            return Err(AppendError::Exhausted);
        }
        Ok(Link { version: head.version.next(), previous: head.position, index: head.index })
    }

    /// The links of the next event in streams beside its own.
    #[cold]
    fn enter_further<'a>(
        &mut self,
        primary: StreamNumber,
        streams: &[(&StreamKey, Expected)],
        links: &'a mut [FurtherLink; MAX_FURTHER_STREAMS],
    ) -> Result<&'a [FurtherLink], AppendError> {
        if streams.len() > links.len() {
            let needed = MetadataTooLong { needed: 8 + 24 * streams.len() };
            return Err(AppendError::Metadata(needed));
        }
        for (at, (name, expected)) in streams.iter().enumerate() {
            let (stream, link) = self.enter_stream(name, *expected)?;
            let twice = links[..at].iter().any(|further| further.stream == stream);
            if primary == StreamNumber::NONE || stream == primary || twice {
                return Err(AppendError::Membership((*name).clone()));
            }
            links[at] = FurtherLink { stream, link };
        }
        Ok(&links[..streams.len()])
    }

    /// Puts what became of a command behind its events: of the stream with this number, or with this
    /// key where it may have none yet. It is recorded in full if `command` is an
    /// archive of type `of`.
    pub(crate) fn put_command(
        &mut self,
        stream: Result<StreamNumber, &StreamKey>,
        of: Option<&EventType>,
        command: &CommandItem<'_>,
    ) -> Result<(), AppendError> {
        if self.spoilt != 0 {
            self.wipe(self.used());
        }
        let point = self.savepoint();
        let put = self.try_put_command(stream, of, command);
        if put.is_err() {
            self.roll_back(&point);
        }
        put
    }

    fn try_put_command(
        &mut self,
        stream: Result<StreamNumber, &StreamKey>,
        of: Option<&EventType>,
        command: &CommandItem<'_>,
    ) -> Result<(), AppendError> {
        let type_number = match of.map(|of| (of, self.writer.staged_type(of))) {
            None => TypeNumber::NONE,
            Some((_, Some(number))) => number,
            Some((of, None)) => self.find_or_add_type(of)?,
        };
        let stream = match stream {
            Ok(number) => number,
            Err(name) => match self.writer.stage.find_stream(&self.writer.shared, name) {
                Some(number) => number,
                None => self.put_stream(name)?,
            },
        };
        let kind = (ItemKind::Command, type_number, stream);
        self.put_item(kind, command.encoded_len(), |payload| command.encode(payload))?;
        self.commands += 1;
        Ok(())
    }

    #[cold]
    #[inline(never)]
    fn find_or_add_type(&mut self, event: &EventType) -> Result<TypeNumber, AppendError> {
        let writer = &mut *self.writer;
        for entry in writer.shared.types.iter() {
            if event.matches(entry.key()).map_err(AppendError::Drift)? {
                let number = entry.number();
                writer.stage.remember_type(event, number);
                return Ok(number);
            }
        }
        if let Some(number) = writer.stage.find_new_type(event)? {
            return Ok(number);
        }
        let next = writer.shared.types.len() + writer.stage.new_types() + 1;
        let number = u16::try_from(next).map_err(|_| AppendError::Exhausted)?;
        let number = TypeNumber::new(number);
        let entry = LogType::from_event(number, event);
        let bytes = SegOpen::type_len(&entry.item());
        // The table stands in the SEGOPEN behind its fixed part and the frame header.
        let table = writer.stage.type_bytes() + bytes + SegOpen::LEN + FRAME_HEADER;
        if table > max_type_table(writer.shared.bits) {
            return Err(AppendError::TypeTableFull);
        }
        let item = entry.item();
        let kind = (ItemKind::Type, number, StreamNumber::NONE);
        let put = self.put_item(kind, item.encoded_len(), |payload| item.encode(payload));
        put?;
        self.writer.stage.add_type(event, entry, bytes);
        Ok(number)
    }

    /// Puts an item that is no event; one that is follows it, or it is taken back.
    pub(super) fn put_item(
        &mut self,
        (kind, type_number, stream): (ItemKind, TypeNumber, StreamNumber),
        len: usize,
        encode: impl FnOnce(&mut [u8]),
    ) -> Result<(), AppendError> {
        let (limit, start) = (self.limit, self.used());
        let payload = start + ITEM_HEADER;
        let end = align_up(payload + len);
        if end > limit {
            return Err(AppendError::TooLarge { limit });
        }
        let space = self.writer.active.space(limit);
        let header = ItemHeader {
            len: len as u32,
            type_number,
            flags: ItemFlags { kind, last: false },
            extension_units: 0,
            stream,
        };
        space[start..payload].copy_from_slice(&header.encode());
        encode(&mut space[payload..payload + len]);
        space[payload + len..end].fill(0);
        self.body_end = payload + len;
        Ok(())
    }
}

/// Made apart from where it may happen, which is on the hot path.
#[cold]
#[inline(never)]
fn too_large(limit: usize) -> Box<AppendError> {
    AppendError::TooLarge { limit }.into()
}

/// Causes must stand in the log already, or before the event in its transaction.
pub(super) fn check_causes(meta: &Meta<'_>, sequence: Sequence) -> Result<(), AppendError> {
    for named in [meta.cause, meta.correlation, meta.invalidates].into_iter().flatten() {
        if named >= sequence || named == Sequence::ZERO {
            return Err(AppendError::Unknown(named));
        }
    }
    Ok(())
}
