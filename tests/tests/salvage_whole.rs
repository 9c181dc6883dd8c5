//! Is what is salvaged what was there: right names or none, nothing invented, and what is missing
//! said?
//!
//! Method: logs whose beginning, end or names are lost, that retention has shortened, that a repair
//! has cut, or that are damaged at random; what is given is held against what was appended, and
//! written into a new log.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use factlog::{
    EventType, Expected, Meta, Opaque, Recovery, Retention, Salvage, SalvageReport, Sequence,
    StreamKey, Writer,
};
use factlog_tests::damaged::{Damage, append, log, stream_of};
use factlog_tests::surgery::{Inventory, SegmentFile, copy_directory, segment_path};
use factlog_tests::{Random, Seen, read_all, small};

/// An event as it was salvaged.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Taken {
    sequence: u64,
    ts: u64,
    epoch: u32,
    event_type: Option<(String, u16)>,
    stream: Option<StreamKey>,
    version: Option<u64>,
    payload: Vec<u8>,
    metadata: Vec<u8>,
    in_log: bool,
}

fn take(salvage: &Salvage) -> (Vec<Taken>, SalvageReport) {
    let mut taken = Vec::new();
    let report = salvage.run(|event| {
        let known = event.event_type();
        taken.push(Taken {
            sequence: event.sequence.get(),
            ts: event.ts,
            epoch: event.epoch.get(),
            event_type: known.map(|known| (known.name().to_owned(), known.version())),
            stream: event.stream().cloned(),
            version: event.stream_version().map(|version| version.get()),
            payload: event.payload().to_vec(),
            metadata: event.metadata().to_vec(),
            in_log: event.in_log,
        });
        ControlFlow::Continue(())
    });
    (taken, report.expect("it can be listed"))
}

/// Whether a salvaged event is `seen`, as far as names are known.
fn is_same(taken: &Taken, seen: &Seen) -> bool {
    let name = seen.stream.as_ref().map(|stream| &stream.0);
    (taken.sequence, taken.ts, taken.epoch) == (seen.sequence, seen.ts, seen.epoch)
        && taken.payload == seen.payload
        && taken.metadata == seen.metadata
        && taken.version == seen.stream.as_ref().map(|stream| stream.1)
        && taken.event_type.as_ref().is_none_or(|known| *known == seen.event_type)
        && taken.stream.as_ref().is_none_or(|known| Some(known) == name)
}

fn missing(report: &SalvageReport) -> Vec<(u64, u64)> {
    let missing = report.holes.iter().filter_map(|hole| hole.missing);
    missing.map(|(first, last)| (first.get(), last.get())).collect()
}

#[test]
fn is_a_lost_end_said() {
    let (directory, events) = log(3, true);
    let first = Damage::Missing(3).apply(directory.path());
    let total = events.len() as u64;
    let (taken, report) = take(&Salvage::of(directory.path()));
    assert_eq!(taken.len() as u64, first - 1);
    assert!(taken.iter().zip(&events).all(|(taken, seen)| is_same(taken, seen) && taken.in_log));
    assert_eq!(missing(&report), [(first, total)], "{report}");
    // The last frame alone, and then everything.
    let (directory, events) = log(1, true);
    let total = events.len() as u64;
    Damage::Tail(1, 1).apply(directory.path());
    assert_eq!(missing(&take(&Salvage::of(directory.path())).1), [(total, total)]);
    Damage::Missing(1).apply(directory.path());
    let (taken, report) = take(&Salvage::of(directory.path()));
    assert_eq!((taken.len(), missing(&report)), (0, vec![(1, total)]), "{report}");
}

#[test]
fn is_a_lost_beginning_said() {
    let (directory, events) = log(4, true);
    let next = SegmentFile::read(directory.path(), 2).frames()[0].sequence.get();
    let tables = directory.path().join("seg");
    let kept: Vec<_> = fs::read_dir(&tables)
        .expect("listed")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "streams"))
        .map(|path| (fs::read(&path).expect("readable"), path))
        .collect();
    Damage::Missing(1).apply(directory.path());
    let (taken, report) = take(&Salvage::of(directory.path()));
    assert_eq!(missing(&report), [(1, next - 1)], "{report}");
    let behind = &events[next as usize - 1..];
    assert_eq!(taken.len(), behind.len());
    for (taken, seen) in taken.iter().zip(behind) {
        assert!(is_same(taken, seen) && !taken.in_log, "{}", seen.sequence);
        // Names of streams were in the segment that is gone.
        assert!(taken.stream.is_none() && taken.event_type.is_some());
    }
    // A stream table has them as well.
    if !kept.is_empty() {
        for (bytes, path) in kept {
            fs::write(path, bytes).expect("put back");
        }
        let (taken, _) = take(&Salvage::of(directory.path()));
        assert!(taken.iter().all(|event| event.stream == Some(stream_of(event.sequence))));
    }
}

#[test]
fn is_a_log_that_retention_has_shortened_whole() {
    let (directory, _) = log(4, true);
    let archive = tempfile::tempdir().expect("a directory");
    let writer = small().open(directory.path()).expect("opens");
    let before = read_all(&writer.log());
    let retention = Retention::keep_segments(2).archive(archive.path());
    let retained = writer.retain(&retention).expect("dropped");
    assert_eq!(retained.dropped, 2);
    writer.close().expect("closed");
    let (taken, report) = take(&Salvage::of(directory.path()));
    assert!(report.holes.is_empty() && report.unreadable.is_empty(), "{report}");
    let (gone, left) = before.split_at(retained.oldest.get() as usize - 1);
    let whole = |taken: &[Taken], events: &[Seen]| {
        assert_eq!(taken.len(), events.len());
        for (taken, seen) in taken.iter().zip(events) {
            assert!(is_same(taken, seen) && taken.in_log, "{}", seen.sequence);
            assert!(taken.stream.is_some() && taken.event_type.is_some());
        }
    };
    whole(&taken, left);
    // And what it dropped, from the archive.
    let mut paths: Vec<PathBuf> = fs::read_dir(archive.path())
        .expect("listed")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    let (taken, report) = take(&Salvage::files(paths));
    assert!(report.holes.is_empty() && report.unreadable.is_empty(), "{report}");
    whole(&taken, gone);
}

static FIRST: EventType = EventType::opaque("first", 1);
static LOST: EventType = EventType::opaque("lost", 1);
static LATER: EventType = EventType::opaque("later", 1);

fn put(writer: &mut Writer, kind: &'static EventType, stream: &str, bytes: usize) {
    let name = StreamKey::new("name", stream).expect("a name");
    let mut payload = vec![7; bytes.max(16)];
    payload[..stream.len()].copy_from_slice(stream.as_bytes());
    payload[stream.len()] = 0;
    let meta = Meta::new().stream(&name, Expected::Any);
    writer.append_with(&Opaque::new(kind, &payload), meta).expect("appended");
}

/// Numbers of types and streams that were cut are given again: their names are not mixed up.
#[test]
fn are_names_of_what_was_cut_kept_apart() {
    for (rotten, known) in [(false, true), (true, false)] {
        let directory = tempfile::tempdir().expect("a directory");
        let mut writer = small().open(directory.path()).expect("a log");
        for _ in 0..5 {
            put(&mut writer, &FIRST, "common", 100);
        }
        while writer.log().stats().rollovers < 2 {
            put(&mut writer, &LOST, "cut-away", 200_000);
        }
        writer.close().expect("closed");
        let mut segment = SegmentFile::read(directory.path(), 1);
        let frames = segment.data_frames();
        // Before what names the stream, or just that.
        let at = if rotten { frames[5] } else { frames[3] };
        segment.bytes[at.offset as usize + 60] ^= 1;
        segment.write();
        let options = small().recovery(Recovery::Repair);
        let mut writer = options.open(directory.path()).expect("repaired");
        for _ in 0..5 {
            put(&mut writer, &LATER, "in-its-place", 100);
        }
        // A table of the new streams too.
        let rollovers = writer.log().stats().rollovers;
        while writer.log().stats().rollovers < rollovers + 2 {
            put(&mut writer, &LATER, "in-its-place", 200_000);
        }
        writer.close().expect("closed");
        let all = Salvage::of(directory.path()).with_quarantine().behind_ends();
        let (taken, report) = take(&all);
        let mut seen = BTreeMap::<&str, u32>::new();
        for event in &taken {
            let end = event.payload.iter().position(|byte| *byte == 0).expect("a zero");
            let says = std::str::from_utf8(&event.payload[..end]).expect("text");
            let (kind, must) = match says {
                "common" => ("first", true),
                "cut-away" => ("lost", known),
                _ => ("later", true),
            };
            let name = StreamKey::new("name", says).expect("a name");
            match &event.stream {
                Some(stream) => assert_eq!(*stream, name, "event {}", event.sequence),
                None => assert!(!must, "the name of {says} is known"),
            }
            match &event.event_type {
                Some((found, _)) => assert_eq!(found, kind, "event {}", event.sequence),
                None => assert!(!must),
            }
            let before = event.sequence < at.sequence.get();
            assert_eq!(event.in_log, before || says == "in-its-place", "event {}", event.sequence);
            *seen.entry(if says == "cut-away" { "cut" } else { "kept" }).or_default() += 1;
        }
        assert!(seen["cut"] > 20 && seen["kept"] > 20, "{seen:?}: {report}");
    }
}

/// What is salvaged goes into a new log, which then has all but what was lost.
#[test]
fn does_a_new_log_come_out_of_a_damaged_one() {
    let (directory, events) = log(4, true);
    let mut lost = vec![
        Damage::Flip(2, 9).apply(directory.path()),
        Damage::Flip(3, 3).apply(directory.path()),
        Damage::Flip(4, 0).apply(directory.path()),
    ];
    lost.dedup();
    let before = Inventory::of(directory.path());
    let home = tempfile::tempdir().expect("a directory");
    let mut writer = small().open(home.path()).expect("a new log");
    static BLOCK: EventType = EventType::opaque("block", 1);
    let mut error = None;
    let report = Salvage::of(directory.path()).run(|event| {
        let known = event.event_type().expect("each segment has its types");
        assert_eq!((known.name(), known.version()), ("block", 1));
        let from = event.sequence.get().to_le_bytes();
        let mut meta = Meta::new().metadata(&from);
        if let Some(name) = event.stream() {
            meta = meta.stream(name, Expected::Any);
        }
        match writer.append_with(&Opaque::new(&BLOCK, event.payload()), meta) {
            Ok(_) => ControlFlow::Continue(()),
            Err(failed) => {
                error = Some(failed);
                ControlFlow::Break(())
            }
        }
    });
    assert!(error.is_none(), "{error:?}");
    let report = report.expect("listed");
    before.assert_unchanged(directory.path());
    let expected: Vec<_> = events.iter().filter(|event| !lost.contains(&event.sequence)).collect();
    assert_eq!(report.events, expected.len() as u64);
    writer.close().expect("closed");
    let log = small().open_read_only(home.path()).expect("opens");
    let found = read_all(&log);
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found.payload, expected.payload);
        assert_eq!(found.metadata, expected.sequence.to_le_bytes());
        let name = |seen: &Seen| seen.stream.as_ref().map(|stream| stream.0.clone());
        assert_eq!(name(found), name(expected));
    }
}

#[factlog::event(name = "measured", version = 3)]
struct Measured {
    place: String,
    value: u64,
}

#[test]
fn can_what_is_salvaged_be_read_without_the_program_that_wrote_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = small().open(directory.path()).expect("a log");
    for value in 0..10 {
        writer.append(&Measured { place: format!("place {value}"), value }).expect("appended");
    }
    drop(writer);
    for name in ["MANIFEST-a", "MANIFEST-b"] {
        fs::remove_file(directory.path().join(name)).expect("removed");
    }
    let mut lines = Vec::new();
    let report = Salvage::of(directory.path()).run(|event| {
        let known = event.event_type().expect("known");
        let description = known.description().expect("described");
        let mut line = String::new();
        factlog::render(description, event.payload(), &mut line, 1_000).expect("rendered");
        lines.push(line);
        ControlFlow::Continue(())
    });
    assert_eq!(report.expect("listed").events, 10);
    assert_eq!(lines[7], r#"{"place":"place 7","value":7}"#);
}

/// Every file of a log, without those of the lock.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("listed") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if fs::metadata(&path).expect("there").len() > 0 {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[test]
fn is_nothing_invented_whatever_rots() {
    let mut random = Random::from_environment("rot");
    let (source, _) = log(3, true);
    let mut writer = small().open(source.path()).expect("opens");
    append(&mut writer, 100);
    let events = read_all(&writer.log());
    writer.close().expect("closed");
    for _ in 0..60 {
        let directory = tempfile::tempdir().expect("a directory");
        copy_directory(source.path(), directory.path());
        for _ in 0..=random.below(12) {
            let all = files(directory.path());
            let path = &all[random.below(all.len() as u64) as usize];
            let mut bytes = fs::read(path).expect("readable");
            let at = random.below(bytes.len() as u64) as usize;
            match random.below(5) {
                0 => bytes.truncate(at),
                1 => {
                    let end = (at + 5_000).min(bytes.len());
                    bytes[at..end].fill_with(|| random.next() as u8);
                }
                2 => bytes[at..].fill(0),
                _ => bytes[at.min(8_000)] ^= 1 << random.below(8),
            }
            fs::write(path, bytes).expect("written");
        }
        let all = Salvage::of(directory.path()).with_quarantine().behind_ends();
        let (taken, report) = take(&all);
        assert_eq!(report.events as usize, taken.len());
        assert!(taken.windows(2).all(|pair| pair[0].sequence < pair[1].sequence));
        for event in &taken {
            assert!(
                is_same(event, &events[event.sequence as usize - 1]),
                "event {}",
                event.sequence
            );
        }
        if taken.len() < events.len() {
            let whole = report.holes.is_empty() && report.unreadable.is_empty();
            // Only where the manifest rots with the end, nobody knows that something is missing.
            let cut = taken.iter().zip(1..).all(|(event, number)| event.sequence == number);
            assert!(!whole || cut, "{report}");
        }
    }
}

#[test]
fn do_files_of_another_log_or_none_do_no_harm() {
    let (directory, events) = log(3, true);
    let (foreign, _) = log(2, true);
    fs::copy(segment_path(foreign.path(), 2), segment_path(directory.path(), 9)).expect("copied");
    fs::write(segment_path(directory.path(), 10), b"short").expect("written");
    fs::create_dir(segment_path(directory.path(), 11)).expect("made");
    let (taken, report) = take(&Salvage::of(directory.path()));
    assert_eq!(taken.len(), events.len());
    assert!(taken.iter().zip(&events).all(|(taken, seen)| is_same(taken, seen) && taken.in_log));
    assert_eq!(report.unreadable.len(), 3, "{report}");
    let (one, _) = take(&Salvage::files([segment_path(directory.path(), 2)]));
    assert!(!one.is_empty() && one.iter().all(|event| event.in_log));
    let from = Sequence::new(one[0].sequence);
    assert_eq!(from, SegmentFile::read(directory.path(), 2).frames()[0].sequence);
}
