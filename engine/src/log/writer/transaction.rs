//! Events into claimed space, all of them visible at once.
//!
//! Events are serialised straight to where they will stay, above the tail. Until the commit
//! nobody else can see them; if anything fails, the space is zeroed again.

use factlog_codec::layout::{FRAME_HEADER, ITEM_HEADER, MAX_EVENTS, align_up, max_type_table};
use factlog_codec::types::{Encode, EventType};
use factlog_codec::{
    EventExtensions, FrameDraft, FrameFlags, FrameKind, ItemFlags, ItemHeader, ItemKind, Link,
    Position, SegOpen, Sequence, StreamKey, StreamNumber, StreamVersion, TypeNumber,
};

use super::stage::Savepoint;
use super::{Expected, Meta, Writer};
use crate::log::error::AppendError;
use crate::log::fault::IoError;
use crate::log::recovery::Head;
use crate::log::shared::Shared;
use crate::log::type_table::LogType;
use crate::sync::Arc;

/// Where a transaction came to stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// Sequence of its first event.
    pub first: Sequence,
    /// Number of its events.
    pub events: u64,
    /// Whether it was made durable before this was given: see [`Durability`](crate::Durability).
    pub durable: bool,
}

impl Receipt {
    /// Sequence of its last event; the one before the first if it has none.
    pub fn last(&self) -> Sequence {
        Sequence::new((self.first.get() + self.events).saturating_sub(1))
    }
}

/// Events that become visible together, or not at all.
///
/// Dropping it takes everything back. An error of one append takes back that event only: the
/// transaction can go on without it.
#[derive(Debug)]
pub struct Transaction<'w> {
    writer: &'w mut Writer,
    start: Savepoint,
    /// Bytes of the frame that stand, header included; the next item goes behind them.
    used: usize,
    /// Where the last payload ends: the frame's exact end.
    body_end: usize,
    count: usize,
    /// Where the item of the last event begins.
    last_item: usize,
    /// Bytes behind this are zero.
    high: usize,
    /// Code of the user's is at work, or has panicked.
    dirty: bool,
    committed: bool,
}

impl<'w> Transaction<'w> {
    /// Built where it stays: to move it, right after its fields were written one by one, would wait
    /// for the stores.
    #[inline(always)]
    pub(super) fn new(writer: &'w mut Writer) -> Self {
        if std::mem::replace(&mut writer.in_transaction, true) {
            Self::take_back_leaked(writer);
        }
        Self {
            writer,
            start: Savepoint::default(),
            used: FRAME_HEADER,
            body_end: FRAME_HEADER,
            count: 0,
            last_item: 0,
            high: FRAME_HEADER,
            dirty: false,
            committed: false,
        }
    }

    /// The one before was leaked, neither committed nor dropped: what it has left is unknown.
    #[cold]
    #[inline(never)]
    fn take_back_leaked(writer: &mut Writer) {
        writer.in_transaction = false;
        let mut leaked = Transaction::new(writer);
        leaked.high = usize::MAX;
        drop(leaked);
        writer.in_transaction = true;
    }

    /// Number of events so far.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds an event, and gives the sequence that it will have.
    ///
    /// # Errors
    ///
    /// The event is not in the transaction; see [`AppendError`].
    #[inline]
    pub fn append(&mut self, event: &impl Encode) -> Result<Sequence, AppendError> {
        self.add(event, None).map_err(|error| *error)
    }

    /// Adds an event to a stream, with causes or with metadata.
    ///
    /// # Errors
    ///
    /// The event is not in the transaction; see [`AppendError`].
    #[inline]
    pub fn append_with(
        &mut self,
        event: &impl Encode,
        meta: Meta<'_>,
    ) -> Result<Sequence, AppendError> {
        self.add(event, Some(&meta)).map_err(|error| *error)
    }

    /// Adds an event. What is on the hot path goes by reference or in registers: an error in a box,
    /// and no `Meta` where there is none.
    #[inline]
    pub(super) fn add(
        &mut self,
        event: &impl Encode,
        meta: Option<&Meta<'_>>,
    ) -> Result<Sequence, Box<AppendError>> {
        if self.dirty {
            // Code of the user's panicked on the way, and was caught.
            self.wipe(self.used);
        }
        let (point, used) = (self.writer.stage.savepoint(), self.used);
        self.dirty = true;
        let put = self.put(event, meta.filter(|meta| !meta.is_empty()));
        if put.is_err() {
            self.writer.stage.go_back(point);
            self.used = used;
            self.wipe(used);
        }
        self.dirty = false;
        put
    }

    #[inline]
    fn put(
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
        let (mut stream, mut extensions, mut extensions_len) = (StreamNumber::NONE, None, 0);
        if let Some(meta) = meta {
            let mut link = None;
            if let Some((name, expected)) = meta.stream {
                let entered = self.enter_stream(name, expected)?;
                (stream, link) = (entered.0, Some(entered.1));
            }
            let Meta { cause, correlation, metadata, .. } = *meta;
            let others = EventExtensions::default();
            let found = EventExtensions { link, cause, correlation, metadata, ..others };
            extensions_len = found.encoded_len().map_err(AppendError::Metadata)?;
            extensions = Some(found);
        }

        let limit = self.limit();
        let item = self.used;
        let payload = item + ITEM_HEADER + extensions_len;
        let Writer { active, scratch, .. } = &mut *self.writer;
        let space = active.space(limit);
        let Some(room) = space.get_mut(payload..) else {
            return Err(AppendError::TooLarge { limit }.into());
        };
        let most = room.len();
        // Until it says otherwise, it may have written anywhere.
        self.high = limit;
        // The length is what code of the user's says: it is not to be trusted.
        let Some(len) = event.encode(room, scratch).ok().filter(|len| *len <= most) else {
            return Err(AppendError::TooLarge { limit }.into());
        };
        let end = align_up(payload + len);
        if end != payload + len {
            space[payload + len..end].fill(0);
        }
        if let Some(extensions) = &extensions {
            extensions.encode(&mut space[item + ITEM_HEADER..payload]);
        }
        let header = ItemHeader {
            len: len as u32,
            type_number,
            flags: ItemFlags { kind: ItemKind::Event, last: false },
            extension_units: (extensions_len / 16) as u8,
            stream,
        };
        space[item..item + ITEM_HEADER].copy_from_slice(&header.encode());

        if let Some(link) = extensions.and_then(|extensions| extensions.link) {
            let head =
                Head { version: link.version, position: self.position(), index: self.count as u16 };
            self.writer.stage.set_head(stream, head);
        }
        self.used = end;
        self.high = end;
        self.body_end = payload + len;
        self.count += 1;
        self.last_item = item;
        Ok(sequence)
    }

    /// Most bytes that this frame may take, header included.
    #[inline]
    fn limit(&self) -> usize {
        self.writer.max_transaction.min(self.writer.active.room())
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
        if head.position.raw() > Link::MAX_POSITION || head.version >= StreamVersion::MAX {
            return Err(AppendError::Exhausted);
        }
        let number = match known {
            Some(number) => number,
            None => {
                let number = self.writer.stage.add_stream(name);
                let item = (ItemKind::Stream, TypeNumber::NONE, number);
                self.put_item(item, name.encoded_len(), |payload| name.encode(payload))?;
                number
            }
        };
        let link =
            Link { version: head.version.next(), previous: head.position, index: head.index };
        Ok((number, link))
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
    fn put_item(
        &mut self,
        (kind, type_number, stream): (ItemKind, TypeNumber, StreamNumber),
        len: usize,
        encode: impl FnOnce(&mut [u8]),
    ) -> Result<(), AppendError> {
        let limit = self.limit();
        let start = self.used;
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
        self.used = end;
        self.high = self.high.max(end);
        Ok(())
    }

    /// Zeroes the claim from `from` on, as far as it may have been written to.
    #[cold]
    fn wipe(&mut self, from: usize) {
        let limit = self.limit().min(self.high);
        self.high = from.max(FRAME_HEADER);
        if let Some(dirty) = self.writer.active.space(limit).get_mut(from..) {
            // Only what is not zero, so that pages nobody touched stay as they are.
            for chunk in dirty.chunks_mut(4096) {
                if chunk.iter().any(|byte| *byte != 0) {
                    chunk.fill(0);
                }
            }
        }
        self.dirty = false;
    }

    /// Makes all events visible at once, and durable if that is the log's
    /// [`Durability`](crate::Durability). Without events there is nothing to commit.
    ///
    /// # Errors
    ///
    /// [`AppendError::NotDurable`]: the events are visible, but may not survive a power cut. After
    /// any other, none of them is in the log.
    #[inline]
    pub fn commit(mut self) -> Result<Receipt, AppendError> {
        let mut receipt = self.receipt();
        let time = self.writer.frame_time();
        self.finish(time).map_err(AppendError::Poisoned)?;
        if receipt.events > 0 && self.writer.shared.durability.is_acknowledged() {
            self.writer.acknowledge()?;
            receipt.durable = true;
        }
        Ok(receipt)
    }

    /// Makes all events visible at once. Whether they are durable is for the caller to see to.
    ///
    /// After an error none of them is.
    #[inline]
    pub(in crate::log) fn commit_visible(mut self) -> Result<Receipt, Arc<IoError>> {
        let receipt = self.receipt();
        let time = self.writer.frame_time();
        self.finish(time).map(|()| receipt)
    }

    /// What is to be said once this is committed.
    #[inline]
    fn receipt(&self) -> Receipt {
        Receipt { first: self.writer.next, events: self.count as u64, durable: false }
    }

    /// The commit, in place, of a frame of that time.
    #[inline]
    pub(super) fn finish(&mut self, (ts, flags): FrameTime) -> Result<(), Arc<IoError>> {
        let count = self.count as u64;
        let first = self.writer.next;
        if count == 0 {
            return Ok(());
        }
        if self.dirty {
            self.wipe(self.used);
        }
        let writer = &mut *self.writer;
        let draft = FrameDraft {
            kind: FrameKind::Data,
            flags,
            sequence: first,
            count: self.count as u16,
            ts,
            durable: writer.shared.frontier.durable(),
            epoch: writer.epoch,
        };
        let pad = writer.shared.pads();
        let sealed = writer.active.seal(&draft, self.body_end - FRAME_HEADER, pad);
        let span = sealed.map_err(|error| writer.fail(writer.active.id(), error))?;
        self.committed = true;
        writer.in_transaction = false;
        writer.last_ts = ts;
        writer.next = first.after(count);
        writer.shared.counters.count_frame(span as u64);
        let end = Position::new(writer.active.id(), writer.active.tail(), writer.shared.bits);
        let Shared { types, streams, frontier, .. } = &*writer.shared;
        writer.stage.publish(types, streams, frontier, (end, writer.next));
        Ok(())
    }
}

/// Causes must stand in the log already, or before the event in its transaction.
fn check_causes(meta: &Meta<'_>, sequence: Sequence) -> Result<(), AppendError> {
    for named in [meta.cause, meta.correlation].into_iter().flatten() {
        if named >= sequence || named == Sequence::ZERO {
            return Err(AppendError::Unknown(named));
        }
    }
    Ok(())
}

/// The time of a frame, and what is to be said of it.
pub(super) type FrameTime = (u64, FrameFlags);

impl Writer {
    /// The time of the next frame: what the clock says, but always later than the frame before.
    ///
    /// A clock of the user's may panic: nothing may have been done so far that cannot be left.
    #[inline]
    pub(super) fn frame_time(&mut self) -> FrameTime {
        let (now, last) = (self.clock.now(), self.last_ts);
        if now > last {
            return (now, FrameFlags::NONE);
        }
        let back = now.saturating_add(self.clock.resolution()) < last;
        let flags = if back { FrameFlags::CLOCK_BACK } else { FrameFlags::NONE };
        (last.saturating_add(1), flags)
    }
}

/// What a transaction was like at some moment, to go back to.
#[derive(Debug)]
pub(in crate::log) struct Point {
    stage: Savepoint,
    used: usize,
    body_end: usize,
    count: usize,
    last_item: usize,
}

/// For frames of several submissions.
impl Transaction<'_> {
    pub(in crate::log) fn savepoint(&self) -> Point {
        let Self { used, body_end, count, last_item, .. } = *self;
        Point { stage: self.writer.stage.savepoint(), used, body_end, count, last_item }
    }

    /// Takes back everything since `point`, also where code of the user's panicked.
    #[cold]
    pub(in crate::log) fn roll_back(&mut self, point: &Point) {
        self.writer.stage.go_back(point.stage);
        (self.used, self.body_end) = (point.used, point.body_end);
        (self.count, self.last_item) = (point.count, point.last_item);
        self.wipe(self.used);
    }

    /// Marks the last event since `point` as the last of its submission; how many there are.
    pub(in crate::log) fn end_submission(&mut self, point: &Point) -> u64 {
        let events = self.count - point.count;
        if events > 0 {
            let at = self.last_item + ItemHeader::FLAGS_AT;
            if let Some(flags) = self.writer.active.space(at + 1).get_mut(at) {
                *flags = ItemFlags { kind: ItemKind::Event, last: true }.bits();
            }
        }
        events as u64
    }

    /// Bytes of the frame so far.
    pub(in crate::log) fn bytes(&self) -> usize {
        self.used
    }

    /// The sequence that the next event would have.
    pub(in crate::log) fn next_sequence(&self) -> Sequence {
        self.writer.next.after(self.count as u64)
    }
}

impl Drop for Transaction<'_> {
    #[inline]
    fn drop(&mut self) {
        if !self.committed {
            self.abort();
        }
    }
}

impl Transaction<'_> {
    #[cold]
    fn abort(&mut self) {
        self.writer.stage.go_back(self.start);
        self.wipe(0);
        self.writer.in_transaction = false;
    }
}
