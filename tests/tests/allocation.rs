//! Do appending, following and replaying allocate?
//!
//! An allocator that counts, for each thread: after the first few events of each type and stream,
//! neither the writer's thread nor a reader's may allocate any more within a segment. What may be
//! allocated where one segment ends and the next begins:
//!
//! - the writer: one block for every 31 segments that have ended, in the queue that hands them over;
//! - a reader that follows: nothing, once the list of the mappings used last has its full length;
//! - a reader in a segment that nobody has mapped: always as much, for its path and its mapping.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use factlog::{Cursor, Expected, Meta, Options, Start, StreamKey, Writer};

#[factlog::event(name = "moved", version = 1)]
struct Moved {
    by: i64,
    why: String,
    path: Vec<u32>,
}

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: everything is passed on to the system's allocator; counting touches nothing else.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations() -> u64 {
    ALLOCATIONS.with(Cell::get)
}

/// Ended segments in one block of the queue that hands them over.
const BLOCK: u64 = 31;
/// What a rollover may take that had to wait for its segment.
const STALL: u64 = 64;
/// Segments that stay mapped in these tests, and how often a list of one more grows at most.
const MAPPED: usize = 4;
const GROWTHS: u64 = 4;
/// What mapping a segment may take.
const MAPPING: u64 = 8;

/// Segments are as small as can be.
fn options() -> Options {
    Options::new().segment_size(4 << 20).spare_segments(8).mapped_segments(MAPPED)
}

fn moved() -> Moved {
    Moved { by: 7, why: "a reason of some length".into(), path: vec![1, 2, 3] }
}

fn robot() -> StreamKey {
    StreamKey::new("robot", 1_u64).expect("a stream")
}

/// Appends one event alone, and 64 in a transaction.
fn round(writer: &mut Writer, event: &Moved, stream: &StreamKey) {
    let meta = Meta::new().stream(stream, Expected::Any).metadata(b"meta");
    writer.append_with(event, meta).expect("appended");
    let mut transaction = writer.begin().expect("a transaction");
    for _ in 0..63 {
        transaction.append(event).expect("appended");
    }
    transaction.append_with(event, meta).expect("appended");
    transaction.commit().expect("committed");
}

/// How many allocations `work` makes on this thread, and what comes of it.
fn counted<T>(work: impl FnOnce() -> T) -> (u64, T) {
    let before = allocations();
    let result = work();
    (allocations() - before, result)
}

/// Reads to the end of a segment; how many events, each validated.
fn poll(cursor: &mut Cursor) -> u64 {
    let events = cursor.poll().expect("readable");
    let seen = |event: factlog::EventRef<'_>| event.get::<Moved>().expect("valid").map(Moved::of);
    events.filter_map(|event| seen(event.expect("readable"))).sum()
}

/// Reads to the end of the log.
fn next_events(cursor: &mut Cursor) -> u64 {
    let mut seen = 0;
    while let Some(event) = cursor.next_event().expect("readable") {
        seen += event.get::<Moved>().expect("valid").map_or(0, Moved::of);
    }
    seen
}

impl Moved {
    /// One, for an event that is what was appended.
    fn of(view: &<Moved as factlog::Event>::View) -> u64 {
        u64::from(view.by() == 7 && view.path().len() == 3)
    }
}

/// A log of at least so many segments, and how many events it has.
fn filled(writer: &mut Writer, segments: u64) -> u64 {
    let (event, stream) = (moved(), robot());
    let mut events = 0;
    while writer.log().stats().rollovers + 1 < segments {
        round(writer, &event, &stream);
        events += 65;
    }
    events
}

#[test]
fn does_the_writer_allocate_once_it_is_warm() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = options().open(directory.path()).expect("a log");
    let (event, stream) = (moved(), robot());
    round(&mut writer, &event, &stream);
    assert!(allocations() > 0, "the counter counts");
    let log = writer.log();
    let (mut last, mut sum, mut allowed) = (log.stats(), 0, 1);
    while last.rollovers < 40 {
        let (count, ()) = counted(|| round(&mut writer, &event, &stream));
        let now = log.stats();
        let rolled = now.rollovers - last.rollovers;
        let stalls = now.stalls - last.stalls;
        assert!(count <= rolled + STALL * stalls, "{count} allocations, {rolled} rollovers");
        sum += count;
        allowed += STALL * stalls;
        last = now;
    }
    println!("{sum} allocations, {} rollovers, {} had to wait", last.rollovers, last.stalls);
    assert!(sum <= allowed + last.rollovers / BLOCK, "{sum} allocations");
}

#[test]
fn does_a_reader_allocate_that_follows_across_rollovers() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = options().open(directory.path()).expect("a log");
    let (event, stream) = (moved(), robot());
    round(&mut writer, &event, &stream);
    let log = writer.log();
    let cursors = [(); 2].map(|()| log.cursor(Start::Oldest).expect("a cursor"));
    let [mut polls, mut asks] = cursors;
    assert_eq!((poll(&mut polls), next_events(&mut asks)), (65, 65));
    let (mut warming, mut warm) = (0, 0);
    while log.stats().rollovers < 3 * MAPPED as u64 {
        let before = log.stats().rollovers;
        round(&mut writer, &event, &stream);
        let rolled = log.stats().rollovers > before;
        // A round that rolled over can have something at the end of one segment, and in the next.
        let (by_poll, seen) = counted(|| poll(&mut polls) + poll(&mut polls));
        assert_eq!(seen, 65);
        let (by_event, seen) = counted(|| next_events(&mut asks));
        assert_eq!(seen, 65);
        assert!(rolled || by_poll + by_event == 0, "{by_poll} and {by_event} allocations");
        let list_is_full = before > MAPPED as u64;
        *(if list_is_full { &mut warm } else { &mut warming }) += by_poll + by_event;
    }
    println!("{warming} allocations until the list of mappings had its length, then {warm}");
    assert!(warming <= GROWTHS, "{warming} allocations");
    assert_eq!(warm, 0);
}

#[test]
fn does_a_replay_allocate_where_all_is_mapped() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = options().open(directory.path()).expect("a log");
    let events = filled(&mut writer, MAPPED as u64);
    let log = writer.log();
    let cursors = [(); 3].map(|()| log.cursor(Start::Oldest).expect("a cursor"));
    let [mut first, mut second, mut third] = cursors;
    assert_eq!(next_events(&mut first), events);
    let (count, seen) = counted(|| next_events(&mut second));
    assert_eq!((count, seen), (0, events));
    let (count, seen) = counted(|| (0..MAPPED).map(|_| poll(&mut third)).sum::<u64>());
    assert_eq!((count, seen), (0, events));
}

/// Nothing is mapped but the segment that each cursor is in, and the few used last.
#[test]
fn does_a_replay_allocate_as_much_for_each_segment() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = options().open(directory.path()).expect("a log");
    let segments = 3 * MAPPED;
    let events = filled(&mut writer, segments as u64);
    writer.close().expect("closed");
    let log = options().open_read_only(directory.path()).expect("opens");
    let cursors = [(); 2].map(|()| log.cursor(Start::Oldest).expect("a cursor"));
    let [mut polls, mut asks] = cursors;
    let polled: Vec<_> = (0..segments).map(|_| counted(|| poll(&mut polls))).collect();
    assert_eq!(polled.iter().map(|(_, seen)| seen).sum::<u64>(), events);
    let counts: Vec<_> = polled.iter().map(|(count, _)| *count).collect();
    println!("allocations, by segment: {counts:?}");
    // The first segment was mapped when the cursor was made; then the list grows.
    assert_eq!(counts[0], 0);
    let each = counts[segments - 1];
    assert!((1..=MAPPING).contains(&each), "{each} allocations");
    assert!(counts[MAPPED + 1..].iter().all(|count| *count == each), "{counts:?}");
    assert!(counts[1..].iter().sum::<u64>() <= each * (segments as u64 - 1) + GROWTHS);
    drop(polls);
    let (count, seen) = counted(|| next_events(&mut asks));
    assert_eq!((count, seen), (each * (segments as u64 - 1), events));
}
