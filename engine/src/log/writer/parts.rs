//! Frames of several submissions: what one of them has added can be marked, looked at, taken back.

use factlog_codec::layout::{FRAME_HEADER, align_up};
use factlog_codec::{
    Item, ItemFlags, ItemHeader, ItemKind, Items, Sequence, StreamKey, StreamNumber, StreamVersion,
};

use super::Transaction;
use super::stage::Savepoint;

/// What a transaction was like at some moment, to go back to.
#[derive(Debug)]
pub(crate) struct Point {
    stage: Savepoint,
    body_end: usize,
    count: usize,
    commands: usize,
    last_item: usize,
}

/// For frames of several submissions.
impl Transaction<'_> {
    /// Bytes of a frame with nothing in it.
    pub(crate) const EMPTY: usize = FRAME_HEADER;

    pub(crate) fn savepoint(&self) -> Point {
        let Self { body_end, count, commands, last_item, .. } = *self;
        let stage = self.writer.stage.savepoint();
        Point { stage, body_end, count, commands, last_item }
    }

    /// Takes back everything since `point`, also where code of the user's panicked.
    #[cold]
    pub(crate) fn roll_back(&mut self, point: &Point) {
        self.writer.stage.go_back(point.stage);
        self.spoilt = self.spoilt.max(self.used());
        self.body_end = point.body_end;
        (self.count, self.last_item) = (point.count, point.last_item);
        self.commands = point.commands;
        self.wipe(self.used());
    }

    /// Marks the last event since `point` as the last of its submission; how many there are.
    pub(crate) fn end_submission(&mut self, point: &Point) -> u64 {
        let events = self.count - point.count;
        if events > 0 {
            let at = self.last_item + ItemHeader::FLAGS_AT;
            if let Some(flags) = self.writer.active.space(at + 1).get_mut(at) {
                *flags = ItemFlags { kind: ItemKind::Event, last: true }.bits();
            }
        }
        events as u64
    }

    /// Touches what an event of this stream will need.
    #[inline]
    pub(crate) fn warm(&self, stream: StreamNumber) {
        std::hint::black_box(self.writer.stage.head(stream).version);
        std::hint::black_box(self.writer.shared.streams.head(stream).0);
    }

    /// Bytes of the frame so far.
    pub(crate) fn bytes(&self) -> usize {
        self.used()
    }

    /// The sequence that the next event would have.
    pub(crate) fn next_sequence(&self) -> Sequence {
        self.writer.next.after(self.count as u64)
    }

    /// The events that were added since `point`, in order.
    pub(crate) fn added_events(&mut self, point: &Point) -> impl Iterator<Item = Item<'_>> {
        let used = self.used();
        let bytes: &[u8] = self.writer.active.space(used);
        let items =
            Items::new(bytes.get(align_up(point.body_end)..).unwrap_or(&[])).filter_map(Result::ok);
        items.filter(|item| item.header.flags.kind == ItemKind::Event)
    }

    /// The version of a stream behind what was added so far.
    pub(crate) fn version_of(&self, name: &StreamKey) -> StreamVersion {
        let stage = &self.writer.stage;
        let known = stage.find_stream(&self.writer.shared, name);
        known.map_or(StreamVersion::NONE, |number| stage.head(number).version)
    }
}
