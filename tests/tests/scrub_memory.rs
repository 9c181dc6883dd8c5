//! Does a scrub need more memory than one piece, whatever the lengths in a segment say?
//!
//! An allocator that knows how much each thread holds, and the most that it ever held. The segment:
//! from one frame on it is full of headers whose own check holds, and that claim all that follows.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use factlog::{EventType, Opaque, Scrub, SegmentId};
use factlog_codec::FrameHeader;
use factlog_codec::layout::FRAME_HEADER;
use factlog_tests::small;
use factlog_tests::surgery::SegmentFile;

static BLOCK: EventType = EventType::opaque("block", 1);

thread_local! {
    /// Held now, and at most.
    static HELD: Cell<(isize, isize)> = const { Cell::new((0, 0)) };
}

struct Measuring;

fn note(bytes: isize) {
    HELD.with(|held| {
        let (now, most) = held.get();
        held.set((now + bytes, most.max(now + bytes)));
    });
}

// SAFETY: everything is passed on to the system's allocator; counting touches nothing else.
unsafe impl GlobalAlloc for Measuring {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size() as isize);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        note(-(layout.size() as isize));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Measuring = Measuring;

/// What this thread holds at most while `work` is done, beside what it held before.
fn most_held(work: impl FnOnce()) -> isize {
    let before = HELD.with(|held| {
        let (now, _) = held.get();
        held.set((now, now));
        now
    });
    work();
    HELD.with(|held| held.get().1) - before
}

#[test]
fn is_one_piece_enough_when_lengths_lie() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = small().open(directory.path()).expect("opens");
    while writer.log().visible().1.segment(22) == SegmentId::FIRST {
        // Most of them larger than what is read at once would be held, if frames were.
        writer.append(&Opaque::new(&BLOCK, &[7; 900_000])).expect("appended");
    }
    writer.sync().expect("synced");
    let log = writer.log();
    let scrub = |clean: bool| {
        let report = log.scrub_segment(SegmentId::FIRST, Scrub::new()).expect("begun");
        assert_eq!((report.checked, report.is_clean()), (1, clean), "{report}");
        report
    };
    let bound = (1 << 20) + (64 << 10);
    let held = most_held(|| drop(scrub(true)));
    assert!(((1 << 20)..bound).contains(&held), "{held}");

    let mut file = SegmentFile::read(directory.path(), 1);
    let frame: FrameHeader = file.data_frames()[1];
    let from = frame.offset as usize;
    let model: [u8; FRAME_HEADER] = *file.bytes[from..].first_chunk().expect("a header");
    let end = file.end() as usize;
    for at in (from..=end - FRAME_HEADER).step_by(FRAME_HEADER) {
        let mut header = model;
        let span = (end - at) as u32;
        header[4..8].copy_from_slice(&(span - 48).to_le_bytes());
        header[40..44].copy_from_slice(&span.to_le_bytes());
        let sum = file.key().at(at as u32).hsum(&header);
        header[44..].copy_from_slice(&sum.to_le_bytes());
        file.bytes[at..at + FRAME_HEADER].copy_from_slice(&header);
    }
    file.write_in_place();
    let held = most_held(|| {
        let report = scrub(false);
        assert_eq!(report.frames, 2, "the SEGOPEN, and one before them: {report}");
        assert_eq!(report.findings[0].place.offset, frame.offset);
        assert_eq!(report.findings[0].events.start, frame.sequence);
        assert!(report.bytes < 12 * (4 << 20), "{report}");
    });
    assert!(held < bound, "{held}");
}
