//! Does appending allocate?
//!
//! An allocator that counts, for each thread: after the first few events of each type and stream,
//! the writer's thread must not allocate any more, over rollovers too.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use factlog::{Expected, Meta, Options, StreamKey};

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

#[test]
fn does_the_writer_allocate_once_it_is_warm() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = Options::new().segment_size(4 << 20).open(directory.path()).expect("a log");
    let event = Moved { by: 7, why: "a reason of some length".into(), path: vec![1, 2, 3] };
    let stream = StreamKey::new("robot", 1_u64).expect("a stream");
    let round = |writer: &mut factlog::Writer| {
        let meta = Meta::new().stream(&stream, Expected::Any).metadata(b"meta");
        writer.append_with(&event, meta).expect("appended");
        let mut transaction = writer.begin().expect("a transaction");
        for _ in 0..63 {
            transaction.append(&event).expect("appended");
        }
        transaction.append_with(&event, meta).expect("appended");
        transaction.commit().expect("committed");
    };
    round(&mut writer);
    let before = allocations();
    for _ in 0..2_000 {
        round(&mut writer);
    }
    let counted = allocations() - before;
    let factlog::Stats { rollovers, stalls, .. } = writer.log().stats();
    assert!(rollovers > 2, "the test must roll over");
    // A queue that takes ended segments over makes a block for every 31 of them.
    let allowed = 1 + rollovers / 31 + 64 * stalls;
    println!("{counted} allocations, {rollovers} rollovers, {stalls} of them had to wait");
    assert!(counted <= allowed, "{counted} allocations");
    assert!(before > 0, "the counter counts");
}
