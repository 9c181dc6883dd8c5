//! What can be got out of a damaged log?
//!
//! Method: a log of several segments with types, streams, causes and metadata; one thing is damaged.
//! What verifies is given, also behind the damage, and compared with what was appended; what does not
//! is named with its place and its sequences. Nothing is written.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use factlog::{
    EventType, Expected, Meta, Opaque, Recovery, Salvage, SalvageReport, Sequence, StreamKey,
};
use factlog_codec::FrameKind;
use factlog_tests::surgery::{Inventory, SegmentFile, segment_path};
use factlog_tests::{Seen, digest, read_all, small};
use tempfile::TempDir;

static BLOCK: EventType = EventType::opaque("block", 1);
static NOTE: EventType = EventType::opaque("note", 2);

/// A log of four segments, and its events.
fn log() -> (TempDir, Vec<Seen>) {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = small().open(directory.path()).expect("a log");
    let mut number = 0_u64;
    while writer.log().stats().rollovers < 3 {
        number += 1;
        let stream = StreamKey::new("account", number % 7).expect("a name");
        let mut meta = Meta::new().metadata(b"beside it");
        if !number.is_multiple_of(3) {
            meta = meta.stream(&stream, Expected::Any);
        }
        if number > 1 {
            meta = meta.cause(Sequence::new(number - 1));
        }
        let payload = vec![number as u8; 40_000 + number as usize];
        let kind = if number.is_multiple_of(2) { &BLOCK } else { &NOTE };
        writer.append_with(&Opaque::new(kind, &payload), meta).expect("appended");
    }
    let events = read_all(&writer.log());
    writer.close().expect("closed");
    (directory, events)
}

/// What is taken out: payloads by sequence, and whether the log leads to them.
type Taken = BTreeMap<u64, (u64, bool)>;

fn take(salvage: &Salvage) -> (Taken, SalvageReport) {
    let mut taken = Taken::new();
    let report = salvage.run(|event| {
        let known = event.event_type().expect("types stand in each segment");
        let number = event.sequence.get();
        let name = if number.is_multiple_of(2) { "block" } else { "note" };
        assert_eq!(known.name(), name);
        assert_eq!(event.metadata(), b"beside it");
        assert_eq!(event.cause().map_or(0, Sequence::get), number - 1);
        assert_eq!(event.stream_number().get() != 0, !number.is_multiple_of(3));
        if let Some(stream) = event.stream() {
            assert_eq!(*stream, StreamKey::new("account", number % 7).expect("a name"));
        }
        taken.insert(number, (digest(event.payload()), event.in_log));
        ControlFlow::Continue(())
    });
    (taken, report.expect("it can be listed"))
}

/// All events but those in `missing`, unchanged; those behind the first missing one are not led to.
fn assert_all_but(taken: &Taken, events: &[Seen], missing: std::ops::Range<u64>) {
    for event in events {
        let expected = (digest(&event.payload), event.sequence < missing.start);
        let found = taken.get(&event.sequence);
        if missing.contains(&event.sequence) {
            assert_eq!(found, None, "event {}", event.sequence);
        } else {
            assert_eq!(found, Some(&expected), "event {}", event.sequence);
        }
    }
    assert_eq!(taken.len() as u64, events.len() as u64 - (missing.end - missing.start));
}

fn flip(directory: &Path, number: u32, at: u32) {
    let path = segment_path(directory, number);
    let mut bytes = fs::read(&path).expect("there");
    bytes[at as usize] ^= 4;
    fs::write(path, bytes).expect("written");
}

#[test]
fn is_everything_taken_out_of_a_log_that_is_whole() {
    let (directory, events) = log();
    let before = Inventory::of(directory.path());
    let (taken, report) = take(&Salvage::of(directory.path()));
    let none = events.len() as u64 + 1;
    assert_all_but(&taken, &events, none..none);
    assert_eq!((report.events, report.segments), (events.len() as u64, 4));
    assert!(report.holes.is_empty() && report.unreadable.is_empty(), "{report}");
    before.assert_unchanged(directory.path());
}

#[test]
fn is_what_stands_behind_damage_taken_out() {
    for (number, nth) in [(1, 5), (2, 1), (2, 40)] {
        let (directory, events) = log();
        let frames = SegmentFile::read(directory.path(), number).frames();
        let frame = frames[nth];
        flip(directory.path(), number, frame.offset + 60);
        let before = Inventory::of(directory.path());
        let (taken, report) = take(&Salvage::of(directory.path()));
        let lost = frame.sequence.get();
        assert_all_but(&taken, &events, lost..lost + 1);
        let [hole] = report.holes[..] else { panic!("{report}") };
        assert_eq!((hole.place.segment.get(), hole.place.offset), (number, frame.offset));
        assert_eq!(hole.bytes, frame.span);
        assert_eq!(hole.missing, Some((frame.sequence, frame.sequence)));
        assert!(report.to_string().contains("are missing"), "{report}");
        before.assert_unchanged(directory.path());
    }
}

#[test]
fn is_a_log_without_manifest_or_segment_taken_apart() {
    let (directory, events) = log();
    for name in ["MANIFEST-a", "MANIFEST-b", "LOCK"] {
        fs::remove_file(directory.path().join(name)).expect("removed");
    }
    let frames = SegmentFile::read(directory.path(), 3).frames();
    let first = frames[0].sequence.get();
    let next = SegmentFile::read(directory.path(), 4).frames()[0].sequence.get();
    // A header that is gone takes its segment along.
    flip(directory.path(), 3, 41);
    let (taken, report) = take(&Salvage::of(directory.path()));
    assert_all_but(&taken, &events, first..next);
    assert_eq!(report.unreadable.len(), 1, "{report}");
    let missing = Some((Sequence::new(first), Sequence::new(next - 1)));
    assert_eq!(report.holes[0].missing, missing);
    fs::remove_file(segment_path(directory.path(), 3)).expect("removed");
    let (taken, report) = take(&Salvage::of(directory.path()));
    assert_all_but(&taken, &events, first..next);
    assert_eq!((report.unreadable.len(), report.holes[0].missing), (0, missing));
    // The same from single files.
    let paths = [1, 2, 4].map(|number| segment_path(directory.path(), number));
    assert_eq!(take(&Salvage::files(paths)).0, taken);
}

#[test]
fn is_what_a_repair_puts_aside_taken_out() {
    let (directory, events) = log();
    let frame = SegmentFile::read(directory.path(), 2).frames()[9];
    flip(directory.path(), 2, frame.offset + 100);
    let writer = small().recovery(Recovery::Repair).open(directory.path()).expect("repaired");
    let report = writer.recovery().clone();
    let (first, last) = report.lost.expect("something is lost");
    assert_eq!((first, last.get()), (frame.sequence, events.len() as u64), "{report}");
    writer.close().expect("closed");
    let (taken, report) = take(&Salvage::of(directory.path()));
    let behind = events.len() as u64 + 1;
    assert_all_but(&taken, &events, first.get()..behind);
    assert!(report.holes.is_empty(), "a repaired log is whole: {report}");
    // What stands behind the cut, and in the segments that were put aside.
    let all = Salvage::of(directory.path()).with_quarantine().behind_ends();
    let (taken, _) = take(&all);
    assert_all_but(&taken, &events, first.get()..first.get() + 1);
}

/// A repair whose GAP did not come onto the medium has not happened: it ends no segment.
#[test]
fn is_nothing_left_out_for_a_repair_that_was_cut_short() {
    let (directory, events) = log();
    let frame = SegmentFile::read(directory.path(), 2).frames()[9];
    flip(directory.path(), 2, frame.offset + 100);
    drop(small().recovery(Recovery::Repair).open(directory.path()).expect("repaired"));
    // Of the successor, a power cut has left the SEGOPEN.
    let mut segment = SegmentFile::read(directory.path(), 3);
    let gap = segment.frames()[1];
    assert_eq!(gap.kind, FrameKind::Gap);
    segment.bytes[gap.offset as usize..].fill(0);
    segment.write();
    let lost = frame.sequence.get();
    let (taken, report) = take(&Salvage::of(directory.path()).with_quarantine());
    assert_all_but(&taken, &events, lost..lost + 1);
    let hole = report.holes[0];
    assert_eq!((hole.place.offset, hole.bytes), (frame.offset, frame.span), "{report}");
}

#[test]
fn do_lying_lengths_cost_little() {
    let (directory, _) = log();
    // The last one: of those before it, it is known where their frames end.
    let mut segment = SegmentFile::read(directory.path(), 4);
    segment.fill_with_lies(8192);
    segment.write();
    let report = Salvage::of(directory.path()).run(|_| ControlFlow::Continue(()));
    let report = report.expect("listed");
    assert!(report.events > 0 && !report.holes.is_empty(), "{report}");
    assert!(report.exhausted, "all of them were followed: {report}");
}

#[test]
fn does_it_stop_when_told() {
    let (directory, _) = log();
    let mut seen = 0;
    let report = Salvage::of(directory.path()).run(|_| {
        seen += 1;
        if seen == 5 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!((seen, report.expect("listed").events), (5, 5));
    let error = Salvage::of(directory.path().join("none")).run(|_| ControlFlow::Continue(()));
    assert!(error.expect_err("there is none").to_string().contains("none"));
}
