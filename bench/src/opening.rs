//! Logs to be opened, and the limit that opening is held against: the same files by bare calls.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use factlog::{Options, Writer};
use factlog_codec::layout::{PAGE, seal_offset};
use factlog_tests::forge::Forge;
use tempfile::TempDir;

/// Segments of forged logs are as small as can be.
const BITS: u8 = 22;

/// How a log of [`forged`] is opened.
pub fn options() -> Options {
    Options::new().segment_size(1 << BITS).spare_segments(1)
}

/// A log of so many segments, closed, the last of them with room: all but that one sparse, with one
/// event each. Its streams stand in a table that the engine wrote, beside the last segment but one.
///
/// # Panics
///
/// When the log cannot be made, or opening it would not go by the table.
pub fn forged(within: &Path, segments: u32, streams: u64) -> TempDir {
    let directory = tempfile::tempdir_in(within).expect("a directory");
    let mut forge = Forge::begin(directory.path(), 0);
    forge.claim_streams(streams);
    for _ in 3..segments {
        forge.add();
    }
    forge.add_with_table();
    // The last segment was sealed: the engine begins the next one, and writes a table before it.
    let writer = open(directory.path());
    assert_eq!(writer.log().streams(), streams);
    let table = segment_path(directory.path(), segments - 1).with_extension("streams");
    let deadline = Instant::now() + Duration::from_secs(60);
    while !table.exists() {
        assert!(Instant::now() < deadline, "the engine writes no table");
        std::thread::sleep(Duration::from_millis(5));
    }
    writer.close().expect("closed");
    let writer = open(directory.path());
    let report = writer.recovery();
    assert_eq!((report.segments, report.walked), (segments, 1), "{report}");
    writer.close().expect("closed");
    directory
}

/// Opens a log of [`forged`] for writing.
///
/// # Panics
///
/// When it cannot be opened.
pub fn open(directory: &Path) -> Writer {
    options().open(directory).expect("it opens")
}

fn segment_path(directory: &Path, number: u32) -> PathBuf {
    directory.join("seg").join(format!("{number:010}.log"))
}

/// Opens segments 1 to `segments` one after the other, reads their first two pages and the last,
/// and closes them; how many bytes were read.
///
/// # Errors
///
/// A file cannot be read.
pub fn bare_segments(directory: &Path, segments: u32) -> io::Result<usize> {
    let (mut first, mut last) = ([0; 2 * PAGE], [0; PAGE]);
    let mut bytes = 0;
    for number in 1..=segments {
        let file = File::open(segment_path(directory, number))?;
        bytes += file.read_at(&mut first, 0)?;
        bytes += file.read_at(&mut last, seal_offset(BITS) as u64)?;
    }
    Ok(bytes)
}

/// The newest stream table.
///
/// # Errors
///
/// There is none, or it cannot be read.
pub fn bare_table(directory: &Path) -> io::Result<Vec<u8>> {
    let mut newest: Option<PathBuf> = None;
    for entry in fs::read_dir(directory.join("seg"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "streams") {
            newest = newest.max(Some(path));
        }
    }
    fs::read(newest.ok_or(io::ErrorKind::NotFound)?)
}
