//! The thread that writes stream tables, so that opening does not have to read what ended long ago.
//!
//! A table says which streams there were at the end of a segment, and where each had come to. The
//! tables in memory have gone on by then, so this thread has heads of its own: it reads each
//! segment once that has ended and is durable. A log without streams is not read.
//!
//! A table is derived: what goes wrong here costs nothing but time at the next opening.

use std::io;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use factlog_codec::layout::FIRST_FRAME;
use factlog_codec::{
    Catalog, Frame, FrameKind, ItemKind, Items, Position, SegmentId, StreamNumber,
};

use super::disk::{TableFile, remove_tables_below};
use super::recovery::Head;
use super::segment::Segment;
use super::shared::Shared;
use crate::sync::Arc;
use crate::sync::atomic::{AtomicU8, Ordering};

/// How often it looks whether a segment has ended.
const NAP: Duration = Duration::from_millis(50);
/// A table is written when so many times its bytes have come since the last one.
const WORTH: u64 = 4;

/// The writer's end of the thread.
#[derive(Debug)]
pub(crate) struct TableKeeper {
    stop: Arc<AtomicU8>,
    thread: Option<JoinHandle<()>>,
}

impl TableKeeper {
    /// Starts the thread. `heads` are those of all streams at `from`; `last` is the segment with the
    /// newest table that there is.
    pub(crate) fn start(
        shared: &Arc<Shared>,
        heads: Vec<Head>,
        from: Position,
        last: Option<SegmentId>,
    ) -> io::Result<Self> {
        let stop = Arc::new(AtomicU8::new(0));
        let (inside, shared) = (Arc::clone(&stop), Arc::clone(shared));
        let mut work = Work { heads, from, last, table_bytes: 0, since: u64::MAX };
        let thread = thread::Builder::new().name("factlog-tables".into()).spawn(move || {
            while inside.load(Ordering::Acquire) == 0 {
                match work.go_on(&shared, &inside) {
                    Some(true) => {}
                    Some(false) => thread::park_timeout(NAP),
                    // It cannot go on from here; opening will.
                    None => break,
                }
            }
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }

    pub(crate) fn stop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        self.stop.store(1, Ordering::Release);
        thread.thread().unpark();
        drop(thread.join());
    }

    /// In a forked child the thread does not exist: nothing to end.
    pub(crate) fn forget(&mut self) {
        self.thread = None;
    }
}

impl Drop for TableKeeper {
    fn drop(&mut self) {
        self.stop();
    }
}

#[derive(Debug)]
struct Work {
    /// By stream number less one, as of `from`.
    heads: Vec<Head>,
    from: Position,
    /// The last segment behind which a table was written.
    last: Option<SegmentId>,
    table_bytes: u64,
    /// Bytes of the log since then.
    since: u64,
}

impl Work {
    /// Takes in the next segment if it has ended and is durable; whether there was one. `None` if
    /// it cannot be read.
    fn go_on(&mut self, shared: &Shared, stop: &AtomicU8) -> Option<bool> {
        let bits = shared.bits;
        let id = self.from.segment(bits);
        let Some(segment) = shared.segments.get(id) else {
            // Retention was faster: its streams are not known here any more.
            return if id < shared.segments.floor() { None } else { Some(false) };
        };
        let Some(next) = segment.end().and_then(|_| segment.next()) else { return Some(false) };
        let end = segment.end()?;
        if shared.frontier.durable() < Position::new(id, end, bits) {
            return Some(false);
        }
        if shared.streams.len() > 0 && !self.take_in(shared, &segment, end, stop)? {
            return Some(false);
        }
        self.from = Position::new(next.id(), FIRST_FRAME, bits);
        self.since = self.since.saturating_add(u64::from(end));
        if self.since / WORTH >= self.table_bytes {
            // A failure is no loss: the next segment brings another table.
            drop(self.write(shared, &segment, end, &next));
        }
        Some(true)
    }

    /// Takes in the frames of a segment; whether it came to the end, or has to go on later.
    fn take_in(
        &mut self,
        shared: &Shared,
        segment: &Segment,
        end: u32,
        stop: &AtomicU8,
    ) -> Option<bool> {
        // It is tried again: there may be too many open files, or too little memory, just now.
        let Ok(mapping) = segment.mapping(&shared.directory) else { return Some(false) };
        let bytes = segment.frozen(&mapping, shared.frontier.visible());
        let mut offset = self.from.offset(shared.bits);
        while offset < end {
            if stop.load(Ordering::Relaxed) != 0 {
                return Some(false);
            }
            let rest = bytes.get(offset as usize..)?;
            let frame = Frame::parse(segment.key(), offset, rest).ok()?;
            let place = segment.place(offset).position(shared.bits);
            if frame.header.kind == FrameKind::Data {
                self.absorb(&frame, place)?;
            }
            offset = frame.header.next_offset();
            self.from = segment.place(offset).position(shared.bits);
        }
        Some(true)
    }

    fn absorb(&mut self, frame: &Frame<'_>, position: Position) -> Option<()> {
        let mut index = 0;
        for item in Items::new(frame.body) {
            let item = item.ok()?;
            match item.header.flags.kind {
                ItemKind::Stream => self.heads.push(Head::default()),
                ItemKind::Event => {
                    if item.header.stream != StreamNumber::NONE {
                        let link = item.extensions.link().ok()??;
                        self.enter(item.header.stream, link.version, position, index)?;
                        for further in item.extensions.further().ok()? {
                            self.enter(further.stream, further.link.version, position, index)?;
                        }
                    }
                    index += 1;
                }
                _ => {}
            }
        }
        Some(())
    }

    fn enter(
        &mut self,
        stream: StreamNumber,
        version: factlog_codec::StreamVersion,
        position: Position,
        index: u16,
    ) -> Option<()> {
        let at = usize::try_from(stream.get()).ok()?.checked_sub(1)?;
        *self.heads.get_mut(at)? = Head { version, position, index };
        Some(())
    }

    /// Writes the table behind a segment, and forgets all but that before it.
    fn write(
        &mut self,
        shared: &Shared,
        segment: &Segment,
        end: u32,
        next: &Segment,
    ) -> io::Result<()> {
        let mapping = next.mapping(&shared.directory)?;
        let bytes = next.frozen(&mapping, shared.frontier.visible());
        let (open, sequence) = next.opening(bytes).map_err(io::Error::other)?;
        if open.before.segment != segment.id() || open.before.end != end {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut file = TableFile::create(&shared.directory, segment.id())?;
        for (number, head) in (1..).zip(&self.heads) {
            let name = shared.streams.name(StreamNumber::new(number));
            let Some(name) = name else { return Err(io::ErrorKind::InvalidData.into()) };
            file.add(&head.entry(name))?;
        }
        let table = Catalog {
            log: shared.log,
            floor: next.id(),
            sequence,
            before_end: end,
            before_fold: open.before.fold,
            streams: self.heads.len() as u64,
        };
        (self.table_bytes, self.since) = (file.finish(&table)?, 0);
        if let Some(last) = self.last.replace(segment.id()) {
            remove_tables_below(&shared.directory, last)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use factlog_codec::StreamKey;
    use factlog_codec::types::{EventType, Opaque};

    use super::*;
    use crate::{Expected, Meta, Options};

    static BLOCK: EventType = EventType::opaque("block", 1);

    /// Too many open files, say: the thread comes to it again, and writes the table then.
    #[test]
    fn is_a_segment_that_cannot_be_mapped_now_taken_in_later() {
        let directory = tempfile::tempdir().expect("a directory");
        let options = || Options::new().segment_size(4 << 20).spare_segments(1).prefault(0);
        let mut writer = options().open(directory.path()).expect("opens");
        let stream = StreamKey::new("account", 1_u64).expect("a key");
        while writer.log().stats().rollovers < 2 {
            let meta = Meta::new().stream(&stream, Expected::Any);
            writer.append_with(&Opaque::new(&BLOCK, &[7; 100_000]), meta).expect("appended");
        }
        writer.close().expect("closed");
        let log = options().open_read_only(directory.path()).expect("opens");
        let (shared, stop) = (log.shared(), AtomicU8::new(0));
        let from = Position::new(SegmentId::FIRST, FIRST_FRAME, shared.bits);
        let mut work = Work { heads: Vec::new(), from, last: None, table_bytes: 0, since: 0 };
        let (path, table) =
            (shared.directory.segment(SegmentId::FIRST), shared.directory.table(SegmentId::FIRST));
        drop(std::fs::remove_file(&table));
        let aside = directory.path().join("aside");
        std::fs::rename(&path, &aside).expect("aside");
        for _ in 0..2 {
            assert_eq!(work.go_on(shared, &stop), Some(false), "not now");
        }
        std::fs::rename(&aside, &path).expect("back");
        assert_eq!(work.go_on(shared, &stop), Some(true));
        assert!(table.is_file());
    }
}
