//! Logs with named cursors.

use std::path::{Path, PathBuf};

use factlog::{EventType, Log, NamedCursor, Opaque, Start, Writer};
use tempfile::TempDir;

use crate::small;

static NOTE: EventType = EventType::opaque("note", 1);
static BLOCK: EventType = EventType::opaque("block", 1);

/// Appends so many events with these bytes, and makes them durable.
///
/// # Panics
///
/// When the log fails.
pub fn append(writer: &mut Writer, count: u64, bytes: &[u8]) {
    for _ in 0..count {
        writer.append(&Opaque::new(&NOTE, bytes)).expect("appended");
    }
    writer.sync().expect("synced");
}

/// Appends until so many rollovers have happened since opening, and a little more.
///
/// # Panics
///
/// When the log fails.
pub fn fill(writer: &mut Writer, rollovers: u64) {
    while writer.log().stats().rollovers < rollovers {
        writer.append(&Opaque::new(&BLOCK, &[7; 100_000])).expect("appended");
    }
    append(writer, 3, b"last");
}

/// Reads so many events.
///
/// # Panics
///
/// When they are not there, or not in order.
pub fn read(cursor: &mut NamedCursor, count: u64) {
    for _ in 0..count {
        let expected = cursor.next_sequence();
        let event = cursor.next_event().expect("readable").expect("there is one");
        assert_eq!(event.sequence(), expected);
    }
}

/// Where the cursor of this name goes on.
///
/// # Panics
///
/// When it does not.
pub fn next(log: &Log, name: &str) -> u64 {
    log.named_cursor(name).expect("it goes on").next_sequence().get()
}

/// The path of a cursor.
pub fn cursor_path(directory: &Path, name: &str) -> PathBuf {
    directory.join("cursors").join(name)
}

/// A log of ten events, with a cursor "a" that has saved two places: behind the third event, then
/// behind the sixth.
///
/// # Panics
///
/// When the log fails.
pub fn saved() -> TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = small().open(directory.path()).expect("opens");
    append(&mut writer, 10, b"first");
    let mut cursor = writer.log().named_cursor_from("a", Start::Oldest).expect("registered");
    for _ in 0..2 {
        read(&mut cursor, 3);
        cursor.save().expect("saved");
    }
    drop(cursor);
    writer.close().expect("closed");
    directory
}
