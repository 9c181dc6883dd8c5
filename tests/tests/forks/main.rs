//! Is a fork a log of its own, and its origin as it was?
//!
//! Logs of several small segments with random transactions over streams are forked at random places.
//! What a fork must have is known from what the origin was asked to append, and from the frames that
//! stand in its files, read by the codec alone. Every file of the origin is digested before and
//! after.

mod interrupted;
mod lineage;
mod other_readers;
mod places;
mod refused;
mod used;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use factlog::{EventType, Expected, Log, Meta, Opaque, Options, Sequence, StreamKey, Writer};
use factlog_tests::surgery::{SegmentFile, used_segments};
use factlog_tests::{Random, Seen, digest, read_all, small};

static NOTED: EventType = EventType::opaque("noted", 1);

fn stream(number: u64) -> StreamKey {
    StreamKey::new("of", number).expect("a name")
}

/// Appends transactions of one to five events, until the log has gone on to `segments` further ones.
fn fill(writer: &mut Writer, random: &mut Random, segments: u64) {
    let until = writer.log().stats().rollovers + segments;
    while writer.log().stats().rollovers < until {
        transaction(writer, random, 90_000);
    }
    for _ in 0..10 {
        transaction(writer, random, 300);
    }
}

fn transaction(writer: &mut Writer, random: &mut Random, most: u64) {
    let mut transaction = writer.begin().expect("begun");
    for _ in 0..=random.below(4) {
        let bytes = vec![random.next() as u8; random.below(most) as usize];
        let (one, two) = (stream(random.below(7)), stream(7 + random.below(3)));
        let also = [(&two, Expected::Any)];
        let meta = Meta::new().stream(&one, Expected::Any).metadata(b"beside it");
        let meta = if random.below(3) == 0 { meta.further(&also) } else { meta };
        transaction.append_with(&Opaque::new(&NOTED, &bytes), meta).expect("appended");
    }
    transaction.commit().expect("committed");
}

/// A log with so many segments behind the first, synced; its writer, and what is in it.
fn origin(directory: &Path, random: &mut Random, segments: u64) -> (Writer, Vec<Seen>) {
    let mut writer = small().open(directory).expect("a log");
    fill(&mut writer, random, segments);
    writer.sync().expect("synced");
    let events = read_all(&writer.log());
    (writer, events)
}

/// The last sequence of each frame that has events, as the files have them.
fn ends(directory: &Path) -> Vec<u64> {
    let mut ends = Vec::new();
    for number in used_segments(directory) {
        let frames = SegmentFile::read(directory, number).frames();
        let with = frames.iter().filter(|frame| frame.count > 0);
        ends.extend(with.map(|frame| frame.next_sequence().get() - 1));
    }
    ends
}

/// Every file below a directory, but for the lock: its digest.
fn files(directory: &Path) -> BTreeMap<PathBuf, u64> {
    let mut all = BTreeMap::new();
    let mut folders = vec![directory.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().is_some_and(|name| name != "LOCK") {
                // What is being prepared may get its name meanwhile.
                let Ok(bytes) = fs::read(&path) else { continue };
                all.insert(path.strip_prefix(directory).expect("below it").into(), digest(&bytes));
            }
        }
    }
    all
}

/// The segments of a log in `directory` that are another log's as well, or were.
fn taken(directory: &Path) -> BTreeMap<PathBuf, u64> {
    let log = reading(directory);
    let last = log.lineage().last().map_or(0, |ancestor| ancestor.end.raw() >> 22);
    let path = |number| PathBuf::from(format!("seg/{number:010}.log"));
    let mut files = files(directory);
    files.retain(|name, _| (1..=last).any(|number| path(number) == *name));
    files
}

fn reading(directory: &Path) -> Log {
    Options::new().open_read_only(directory).expect("it opens")
}

fn sequence(number: u64) -> Sequence {
    Sequence::new(number)
}
