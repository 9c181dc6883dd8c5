//! Is rot found while the log is open, at its place, and with the events that it has taken?
//!
//! Method: bits are flipped in the files of a log that is open and being appended to, behind its
//! back; each kind of damage has its exact finding, and is taken back afterwards.

use std::cell::Cell;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use factlog::{
    EventType, FrameError, HeaderError, Log, Opaque, Place, RecoveryOutcome, Remedy, Retention,
    Scrub, ScrubError, ScrubFinding, ScrubReason, ScrubReport, SealError, SegmentId, Sequence,
    Start, StopReason, ThreadOptions, WaitStrategy, Writer,
};
use factlog_codec::layout::{FIRST_FRAME, FRAME_HEADER};
use factlog_tests::small;
use factlog_tests::surgery::{SegmentFile, segment_path, used_segments};
use tempfile::TempDir;

static BLOCK: EventType = EventType::opaque("block", 1);
const SIZE: u64 = 4 << 20;
const SEAL: u32 = (4 << 20) - 4096;

/// One frame with one event; its body does not end at a multiple of 16.
fn append(writer: &mut Writer, bytes: usize) {
    let number = writer.next_sequence().get();
    let event = vec![number as u8 | 1; bytes];
    writer.append(&Opaque::new(&BLOCK, &event)).expect("appended");
}

/// Appends until so many segments are in use, and makes all durable.
fn fill(writer: &mut Writer, directory: &Path, segments: u32, bytes: usize) {
    let next = SegmentId::new(segments);
    while writer.log().visible().1.segment(22) < next {
        append(writer, bytes);
    }
    writer.sync().expect("synced");
    assert_eq!(used_segments(directory).len(), segments as usize);
}

/// A log with so many segments in use, the last of which is still written.
fn log(segments: u32) -> (TempDir, Writer) {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = small().open(directory.path()).expect("opens");
    fill(&mut writer, directory.path(), segments, 20_001);
    (directory, writer)
}

fn scrub(log: &Log, segment: u32) -> ScrubReport {
    let report = log.scrub_segment(SegmentId::new(segment), Scrub::new()).expect("begun");
    assert_eq!(report.checked, 1, "{report}");
    report
}

/// The only finding of a scrub of `segment`.
fn finding(log: &Log, segment: u32) -> ScrubFinding {
    let report = scrub(log, segment);
    assert_eq!((report.findings.len(), report.more), (1, 0), "{report}");
    assert!(!log.is_closed(), "nothing is poisoned");
    report.findings[0].clone()
}

fn place(segment: u32, offset: u32) -> Place {
    Place { segment: SegmentId::new(segment), offset }
}

#[test]
fn is_a_clean_log_without_findings_and_every_frame_counted() {
    let (directory, writer) = log(5);
    let report = writer.log().scrub(Scrub::new()).expect("begun");
    assert!(report.is_clean() && report.more == 0 && report.stopped.is_none(), "{report}");
    assert_eq!((report.checked, report.open, report.skipped, report.unsealed), (4, 1, 0, 0));
    let frames: usize =
        (1..5).map(|number| SegmentFile::read(directory.path(), number).frames().len()).sum();
    assert_eq!(report.frames, frames as u64);
    let glances = 4 * (64 << 10);
    assert!((4 * SIZE..=4 * SIZE + glances).contains(&report.bytes), "{report}");
    assert!(report.direct == 0 || report.direct == 4, "all or none: {report}");
    // Other names are only told.
    let other = directory.path().join("other");
    fs::hard_link(segment_path(directory.path(), 2), other).expect("linked");
    let report = writer.log().scrub(Scrub::new()).expect("begun");
    assert_eq!((report.is_clean(), report.linked), (true, 1));
    // From somewhere on.
    let second = SegmentFile::read(directory.path(), 2).data_frames()[3].sequence;
    for scrub in [Scrub::new().from_segment(SegmentId::new(2)), Scrub::new().from_sequence(second)]
    {
        assert_eq!(writer.log().scrub(scrub).expect("begun").checked, 3);
    }
    writer.close().expect("closed");
    // One that is open for reading only, and has no writer.
    let log = small().open_read_only(directory.path()).expect("opens");
    let report = log.scrub(Scrub::new()).expect("begun");
    assert_eq!((report.checked, report.open, report.is_clean()), (4, 1, true), "{report}");
    assert_eq!(report.frames, frames as u64);
}

/// Flips a bit, expects exactly this finding, and flips it back.
fn expect_rot(
    log: &Log,
    file: &SegmentFile,
    offset: u32,
    expected: (u32, u64, Option<(u64, u64)>, Remedy),
) -> ScrubReason {
    file.rot(offset);
    let found = finding(log, file.header.segment.get());
    file.rot(offset);
    let events = (!found.events.is_empty())
        .then(|| (found.events.start.get(), found.events.end.before().get()));
    let at = found.place;
    assert_eq!(at.segment, file.header.segment);
    assert_eq!((at.offset, found.bytes, events, found.remedy), expected, "{found}");
    found.reason
}

fn every_kind_of_rot(log: &Log, file: &SegmentFile) {
    let frames = file.frames();
    let (open, middle, last) = (frames[0], frames[frames.len() / 2], frames[frames.len() - 1]);
    let wrong = |reason: ScrubReason| match reason {
        ScrubReason::Frame(StopReason::Frame(error)) => error,
        other => panic!("{other}"),
    };
    let early = Remedy::RestoreBeforeClosing;
    for offset in [0, 40, 1000, 4095] {
        let reason = expect_rot(log, file, offset, (0, 4096, None, early));
        let of_magic = offset == 0;
        assert!(match reason {
            ScrubReason::Header(HeaderError::Magic) => of_magic,
            ScrubReason::Header(HeaderError::Checksum) => !of_magic,
            _ => false,
        });
    }
    let at = |frame: &factlog_codec::FrameHeader, events: Option<(u64, u64)>| {
        (frame.offset, u64::from(frame.span), events, events.map_or(early, |_| Remedy::Restore))
    };
    let own =
        |frame: &factlog_codec::FrameHeader| Some((frame.sequence.get(), frame.sequence.get()));
    let body = FRAME_HEADER as u32;
    let reason = expect_rot(log, file, FIRST_FRAME + body + 20, at(&open, None));
    assert_eq!(wrong(reason), FrameError::Checksum);
    for frame in [&middle, &last] {
        for (offset, error) in [
            (frame.offset, FrameError::Checksum),
            (frame.offset + 9, FrameError::HeaderSum),
            (frame.offset + 44, FrameError::HeaderSum),
            (frame.offset + body + 17_000, FrameError::Checksum),
            (frame.offset + body + frame.len, FrameError::Filler),
        ] {
            assert_eq!(wrong(expect_rot(log, file, offset, at(frame, own(frame)))), error);
        }
    }
    let reason = expect_rot(log, file, SEAL + 2000, (SEAL, 4096, None, Remedy::Move));
    assert!(matches!(reason, ScrubReason::Seal(SealError::Checksum)));
    let end = file.end();
    assert!(end + 100 < SEAL);
    for offset in [end, end + 77, SEAL - 1] {
        let reason = expect_rot(log, file, offset, (offset, 1, None, Remedy::Move));
        assert!(matches!(reason, ScrubReason::NotZero));
    }
}

#[test]
fn is_every_kind_of_rot_found_at_its_place_while_the_log_is_written() {
    let (directory, writer) = log(4);
    let file = SegmentFile::read(directory.path(), 2);
    let first_of_3 = SegmentFile::read(directory.path(), 3).data_frames()[0].sequence;
    let service = writer.spawn(ThreadOptions::new()).expect("a thread");
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let producer = service.producer();
            while !done.load(Ordering::SeqCst) {
                let answer =
                    producer.submit(Opaque::new(&BLOCK, &[3; 500]), Duration::from_secs(60));
                answer.expect("accepted").wait().expect("appended");
            }
        });
        scope.spawn(|| {
            let mut cursor = service.log().cursor(Start::Sequence(first_of_3)).expect("a cursor");
            let mut next = first_of_3.get();
            while !done.load(Ordering::SeqCst) {
                cursor.wait(WaitStrategy::Park, Duration::from_millis(50));
                while let Some(event) = cursor.next_event().expect("readable") {
                    assert_eq!(event.sequence().get(), next);
                    next += 1;
                }
            }
            assert!(next > first_of_3.get());
        });
        let result =
            thread::scope(|inner| inner.spawn(|| every_kind_of_rot(&service.log(), &file)).join());
        done.store(true, Ordering::SeqCst);
        result.expect("every finding as expected");
    });
    assert!(scrub(&service.log(), 2).is_clean());
    service.close().expect("closed");
}

#[test]
fn are_the_events_of_several_frames_told() {
    let (directory, writer) = log(3);
    let (file, next) =
        (SegmentFile::read(directory.path(), 1), SegmentFile::read(directory.path(), 2));
    let frames = file.data_frames();
    let (one, two, far) = (frames[5], frames[6], frames[50]);
    for frame in [one, two, far] {
        file.rot(frame.offset + 100);
    }
    let report = scrub(&writer.log(), 1);
    let found: Vec<_> = report
        .findings
        .iter()
        .map(|found| (found.place, found.bytes, found.events.clone()))
        .collect();
    let end_of_two = two.next_sequence();
    let expected = [
        (place(1, one.offset), u64::from(one.span + two.span), one.sequence..end_of_two),
        (place(1, far.offset), u64::from(far.span), far.sequence..far.next_sequence()),
    ];
    assert_eq!(found, expected, "{report}");
    assert_eq!(report.frames, file.frames().len() as u64 - 3);
    // From one frame on nothing is left.
    let mut emptied = file.clone();
    emptied.bytes[one.offset as usize..].fill(0);
    emptied.write_in_place();
    let report = scrub(&writer.log(), 1);
    let events = one.sequence..next.frames()[0].sequence;
    assert_eq!(report.findings[0].events, events, "{report}");
    assert_eq!(report.findings[0].bytes, u64::from(file.end() - one.offset));
    assert_eq!((report.findings.len(), report.unsealed), (1, 1), "{report}");
    // The file ends there.
    let shorter = fs::OpenOptions::new().write(true).open(segment_path(directory.path(), 1));
    shorter.expect("opened").set_len(u64::from(one.offset) + 1000).expect("cut");
    let report = scrub(&writer.log(), 1);
    let len = u64::from(one.offset) + 1000;
    assert!(matches!(report.findings[0].reason, ScrubReason::Length(found) if found == len));
    assert_eq!(report.findings[0].bytes, SIZE - len);
    assert_eq!((&report.findings[1].events, report.findings.len()), (&events, 2), "{report}");
    file.write_in_place();
    assert_eq!(scrub(&writer.log(), 1).findings.len(), 0, "the file was written as it was");
    // It is gone.
    let path = segment_path(directory.path(), 1);
    fs::rename(&path, path.with_extension("away")).expect("moved");
    let found = finding(&writer.log(), 1);
    assert!(matches!(&found.reason, ScrubReason::Read(error) if error.path == path), "{found}");
    assert_eq!((found.remedy, found.events.end), (Remedy::Restore, events.end));
    // It is another one.
    fs::copy(segment_path(directory.path(), 2), &path).expect("copied");
    let report = scrub(&writer.log(), 1);
    assert!(matches!(report.findings[0].reason, ScrubReason::Foreign), "{report}");
    assert_eq!(report.findings[1].events, Sequence::FIRST..events.end, "{report}");
}

#[test]
fn is_a_contradiction_between_two_segments_found() {
    let (directory, writer) = log(3);
    let (file, mut next) =
        (SegmentFile::read(directory.path(), 1), SegmentFile::read(directory.path(), 2));
    let whole = next.clone();
    // The end, the fold, the number.
    for field in [28, 16, 24] {
        next.edit_frame(FIRST_FRAME, |frame| frame[FRAME_HEADER + field] ^= 0x20);
        next.write_in_place();
        let found = finding(&writer.log(), 1);
        assert!(matches!(found.reason, ScrubReason::Successor(id) if id.get() == 2), "{found}");
        assert_eq!(
            (found.place, found.remedy),
            (place(1, file.end()), Remedy::RestoreBeforeClosing)
        );
        next = whole.clone();
    }
    // One that rotted is found where it stands, once.
    whole.write_in_place();
    whole.rot(FIRST_FRAME + 8);
    let report = writer.log().scrub(Scrub::new()).expect("begun");
    assert_eq!(report.findings.len(), 1, "{report}");
    assert_eq!(report.findings[0].place, place(2, FIRST_FRAME));
    whole.rot(FIRST_FRAME + 8);
    // Also in the segment that is still written, which is not scrubbed itself.
    let last = SegmentFile::read(directory.path(), 3);
    last.rot(FIRST_FRAME + 60);
    let report = writer.log().scrub(Scrub::new()).expect("begun");
    assert_eq!((report.findings.len(), report.open), (1, 1), "{report}");
    assert_eq!(report.findings[0].place, place(3, FIRST_FRAME));
    last.rot(FIRST_FRAME + 60);
    // A SEAL that verifies, but of something else.
    let mut file = file;
    let seal = factlog_codec::Seal::decode(file.key(), SEAL, &file.bytes[SEAL as usize..]);
    let other = factlog_codec::Seal { frames: 7, ..seal.expect("a seal") };
    let page = other.encode(file.key(), SEAL);
    file.bytes[SEAL as usize..].copy_from_slice(&page);
    file.write_in_place();
    let found = finding(&writer.log(), 1);
    assert!(matches!(found.reason, ScrubReason::SealDiffers), "{found}");
    assert_eq!((found.place, found.remedy), (place(1, SEAL), Remedy::Move));
}

#[test]
fn may_anything_stand_behind_a_torn_tail() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = small().open(directory.path()).expect("opens");
    append(&mut writer, 1000);
    drop(writer);
    let mut file = SegmentFile::read(directory.path(), 1);
    let end = file.end() as usize;
    file.bytes[end..end + 90_000].fill(0xAB);
    file.bytes[SEAL as usize..].fill(0xCD);
    file.write();
    let mut writer = small().open(directory.path()).expect("opens");
    assert_eq!(writer.recovery().outcome, RecoveryOutcome::Torn);
    append(&mut writer, 1000);
    writer.sync().expect("synced");
    let report = scrub(&writer.log(), 1);
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.unsealed, report.frames), (1, 2));
    let event = file.data_frames()[0];
    file.rot(event.offset + 50);
    assert_eq!(finding(&writer.log(), 1).events, event.sequence..event.next_sequence());
}

#[test]
fn is_a_list_of_findings_bounded() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = small().open(directory.path()).expect("opens");
    fill(&mut writer, directory.path(), 2, 500);
    let mut file = SegmentFile::read(directory.path(), 1);
    let rotten: Vec<_> = file.data_frames().into_iter().step_by(2).collect();
    for frame in &rotten {
        file.bytes[frame.offset as usize + 60] ^= 1;
    }
    file.write_in_place();
    let report = scrub(&writer.log(), 1);
    assert_eq!((report.findings.len(), report.more), (1000, rotten.len() as u64 - 1000));
    for (found, frame) in report.findings.iter().zip(&rotten) {
        assert_eq!(found.place.offset, frame.offset);
        assert_eq!(found.events, frame.sequence..frame.next_sequence());
    }
    assert!(report.to_string().contains("and "));
}

#[test]
fn does_it_stop_when_it_is_told_to_and_go_on_from_there() {
    let (_directory, writer) = log(5);
    let log = writer.log();
    let calls = Cell::new(0);
    let stop = |segment, after: u64| {
        Scrub::new().progress(move |progress| {
            assert!(progress.done < progress.of && progress.of == 5);
            let there = progress.segment == SegmentId::new(segment) && progress.bytes >= after;
            if there { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
    };
    let report = log.scrub(stop(1, 0)).expect("begun");
    assert_eq!((report.checked, report.bytes), (0, 0), "before anything was read");
    let report = log.scrub(stop(3, 2 * SIZE + (2 << 20))).expect("begun");
    assert_eq!(report.checked, 2, "{report}");
    let stopped = report.stopped.expect("stopped").segment;
    assert_eq!(stopped, SegmentId::new(3));
    let report = log.scrub(Scrub::new().from_segment(stopped)).expect("begun");
    assert_eq!((report.checked, report.open, report.stopped), (2, 1, None));
    // While it waits for a rate at which it would take months.
    let scrub = Scrub::new().rate(1).progress(|_| {
        calls.set(calls.get() + 1);
        if calls.get() > 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let report = log.scrub(scrub).expect("begun");
    assert_eq!((report.checked, report.bytes, calls.get()), (0, 4096, 4), "{report}");
    assert_eq!(log.scrub(Scrub::new().rate(0)).expect_err("no rate"), ScrubError::Rate);
    let none = SegmentId::new(77);
    let error = log.scrub_segment(none, Scrub::new()).expect_err("not there");
    assert_eq!(error, ScrubError::NoSegment(none));
}

#[test]
fn does_a_small_piece_find_the_same() {
    let (directory, writer) = log(3);
    let file = SegmentFile::read(directory.path(), 1);
    let frame = file.data_frames()[5];
    file.rot(frame.offset + 6_000);
    // Pieces of 64 KiB and of one page, at rates that are not waited for here.
    for rate in [20 * (64_u64 << 10), 20 * 4096 * 3] {
        let began = std::time::Instant::now();
        let scrub = Scrub::new().rate(rate).progress(|progress| {
            // Beyond the frame; for more it would have to be waited too long.
            let enough = progress.bytes > 330 << 10;
            if enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let report = writer.log().scrub_segment(SegmentId::FIRST, scrub).expect("begun");
        assert_eq!(report.findings.len(), 1, "{report} after {:?}", began.elapsed());
        assert_eq!(report.findings[0].place.offset, frame.offset);
        assert_eq!(report.findings[0].events, frame.sequence..frame.next_sequence());
    }
}

#[test]
fn is_what_is_read_held_against_retention_and_nothing_else() {
    let (directory, writer) = log(6);
    let log = writer.log();
    let mut dropped = Vec::new();
    let scrub = Scrub::new().progress(|progress| {
        // What is being read and what is behind it stays; what is before it may go.
        let retained = writer.retain(&Retention::keep_segments(1)).expect("no error");
        assert!(retained.held.is_some() && retained.left.is_empty());
        dropped.push((progress.segment.get(), retained.dropped));
        ControlFlow::Continue(())
    });
    let report = log.scrub(scrub).expect("begun");
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.checked, report.open, report.skipped), (5, 1, 0), "{report}");
    dropped.retain(|(_, count)| *count > 0);
    assert_eq!(dropped, [(2, 1), (3, 1), (4, 1), (5, 1)]);
    assert_eq!(used_segments(directory.path()), [5, 6]);
    // What is gone is skipped, or not even begun with.
    let report = log.scrub_segment(SegmentId::new(3), Scrub::new()).expect("begun");
    assert_eq!((report.skipped, report.checked, report.bytes), (1, 0, 0));
    let scrub = Scrub::new().from_sequence(Sequence::FIRST);
    let report = log.scrub(scrub).expect("begun");
    assert_eq!((report.checked, report.open, report.is_clean()), (1, 1, true));
}

#[test]
fn can_it_run_beside_writer_and_retention() {
    let (_directory, writer) = log(3);
    let service = writer.spawn(ThreadOptions::new()).expect("a thread");
    let done = AtomicBool::new(false);
    let mut checked = 0;
    thread::scope(|scope| {
        scope.spawn(|| {
            let producer = service.producer();
            while !done.load(Ordering::SeqCst) {
                let event = Opaque::new(&BLOCK, &[9; 30_000]);
                drop(producer.submit(event, Duration::from_secs(60)).expect("accepted"));
            }
        });
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                service.retain(&Retention::keep_segments(4)).expect("no error");
            }
        });
        let mut clean = true;
        for _ in 0..40 {
            let report = service.log().scrub(Scrub::new()).expect("begun");
            clean &= report.is_clean();
            if !clean {
                println!("{report}");
            }
            checked += report.checked;
        }
        done.store(true, Ordering::SeqCst);
        assert!(clean);
    });
    assert!(checked > 10, "{checked}");
}
