//! What becomes of frames that verify, but cannot be right?
//!
//! Method: frames are changed and their checks repaired, or made from nothing, so that they get
//! past checksums. Each lie has its exact outcome: cut where nothing was promised, refused where
//! frames contradict each other; never a panic, and never an event that was not written.

use std::fs;

use factlog::{
    Clock, DamageReason, Epoch, EventType, Expected, ExtensionError, FrameError, ItemError,
    ItemFault, Meta, Opaque, OpenError, Options, Position, Recovery, RecoveryOutcome, SegmentId,
    Sequence, Stop, StopReason, StreamKey,
};
use factlog_codec::layout::{FRAME_HEADER, ITEM_HEADER};
use factlog_codec::{FrameDraft, FrameFlags, FrameHeader, FrameKind};
use factlog_tests::surgery::{Inventory, SegmentFile};
use factlog_tests::{Random, Seen, read_all, small};
use tempfile::TempDir;

static BLOCK: EventType = EventType::opaque("block", 1);

/// The same times in every run.
struct Steps(u64);

impl Clock for Steps {
    fn now(&mut self) -> u64 {
        self.0 += 1_000;
        self.0
    }
}

/// Twenty frames of one event each, in one stream, dropped or closed.
fn log(close: bool) -> (TempDir, Vec<Seen>) {
    let directory = tempfile::tempdir().expect("a directory");
    let options = small().clock(Steps(1_000_000));
    let mut writer = options.open(directory.path()).expect("a log");
    let stream = StreamKey::new("block", 1_u64).expect("a name");
    for number in 0..20_u64 {
        let payload = number.to_le_bytes();
        let meta = Meta::new().stream(&stream, Expected::Any);
        writer.append_with(&Opaque::new(&BLOCK, &payload), meta).expect("appended");
    }
    let events = read_all(&writer.log());
    if close {
        writer.close().expect("closed");
    }
    (directory, events)
}

type Edit = fn(&FrameHeader, &mut [u8]);

fn put(frame: &mut [u8], at: usize, bytes: &[u8]) {
    frame[at..at + bytes.len()].copy_from_slice(bytes);
}

/// The reason for which the frame that `edit` made of the last one is refused: as what it is
/// behind a drop, where it is cut, and behind a close, where it is damage.
fn stops(edit: Edit) -> StopReason {
    let mut reasons = Vec::new();
    for close in [false, true] {
        let (directory, events) = log(close);
        let mut segment = SegmentFile::read(directory.path(), 1);
        let last = *segment.data_frames().last().expect("frames");
        segment.edit_frame(last.offset, |frame| edit(&last, frame));
        segment.write();
        let log = small().open_read_only(directory.path()).expect("up to there");
        assert_eq!(read_all(&log), events[..19]);
        if close {
            let before = Inventory::of(directory.path());
            let error = small().open(directory.path()).expect_err("damaged");
            before.assert_unchanged(directory.path());
            let OpenError::Damaged(damage) = error else { panic!("{error}") };
            let DamageReason::Lost(Stop { offset, reason }) = damage.reason else {
                panic!("{damage}")
            };
            assert_eq!(offset, last.offset);
            reasons.push(reason);
        } else {
            let writer = small().open(directory.path()).expect("torn");
            let report = writer.recovery();
            assert_eq!(report.outcome, RecoveryOutcome::Torn, "{report}");
            reasons.push(report.cut.as_ref().expect("reported").stop.reason);
            assert_eq!(read_all(&writer.log()), events[..19]);
            assert!(writer.epoch().get() > 1);
        }
    }
    assert_eq!(reasons[0], reasons[1]);
    reasons[0]
}

#[test]
fn is_a_frame_that_does_not_go_on_from_the_one_before_refused() {
    let sequence =
        |found| StopReason::Sequence { expected: Sequence::new(20), found: Sequence::new(found) };
    assert_eq!(stops(|_, frame| put(frame, 8, &21_u64.to_le_bytes())), sequence(21));
    assert_eq!(stops(|_, frame| put(frame, 8, &19_u64.to_le_bytes())), sequence(19));
    assert_eq!(stops(|_, frame| put(frame, 8, &u64::MAX.to_le_bytes())), sequence(u64::MAX));
    let (before, found) = (Epoch::new(1), Epoch::new(0));
    assert_eq!(stops(|_, frame| put(frame, 32, &[0; 4])), StopReason::Epoch { before, found });
    let time = stops(|_, frame| put(frame, 16, &1_u64.to_le_bytes()));
    assert!(matches!(time, StopReason::Time { found: 1, .. }), "{time:?}");
    assert_eq!(stops(|_, frame| frame[38] = 2), StopReason::SegOpen);
    assert_eq!(stops(|_, frame| frame[38] = 5), StopReason::Count(FrameKind::Pad));
    assert_eq!(stops(|_, frame| frame[38] = 0), StopReason::Frame(FrameError::Kind(0)));
    assert_eq!(stops(|_, frame| frame[38] = 99), StopReason::Frame(FrameError::Kind(99)));
    assert_eq!(stops(|_, frame| frame[39] = 2), StopReason::Frame(FrameError::Flags(2)));
    let gap = stops(|_, frame| {
        frame[38] = 6;
        put(frame, 36, &[0; 2]);
    });
    assert_eq!(gap, StopReason::Body(FrameKind::Gap));
}

#[test]
fn are_lengths_that_lie_refused() {
    let span = |span| StopReason::Frame(FrameError::Span(span));
    assert_eq!(stops(|_, frame| put(frame, 40, &[0; 4])), span(0));
    assert_eq!(stops(|_, frame| put(frame, 40, &[16, 0, 0, 0])), span(16));
    assert_eq!(stops(|_, frame| put(frame, 40, &[0xFF; 4])), span(u32::MAX));
    let beyond = stops(|_, frame| put(frame, 40, &(8_u32 << 20).to_le_bytes()));
    assert_eq!(beyond, StopReason::Frame(FrameError::Beyond(8 << 20)));
    let len = stops(|_, frame| put(frame, 4, &u32::MAX.to_le_bytes()));
    assert!(matches!(len, StopReason::Frame(FrameError::Span(_))), "{len:?}");
    // A body that ends before the payload: what follows is no filler.
    let shorter = stops(|header, frame| put(frame, 4, &(header.len - 8).to_le_bytes()));
    assert_eq!(shorter, StopReason::Frame(FrameError::Filler));
}

/// Behind the tail stand headers that hold, as many as fit, each of which claims all the rest. What
/// they say is not followed to the end: nobody knows then whether one bears witness, so the log is
/// refused, which loses nothing.
#[test]
fn is_a_segment_full_of_lying_lengths_refused_in_bounded_work() {
    let (directory, events) = log(false);
    let mut segment = SegmentFile::read(directory.path(), 1);
    segment.fill_with_lies(segment.end());
    segment.write();
    let before = Inventory::of(directory.path());
    let error = small().open(directory.path()).expect_err("undecided");
    let OpenError::Damaged(damage) = error else { panic!("{error}") };
    assert_eq!(damage.reason, DamageReason::Undecided, "{damage}");
    let log = small().open_read_only(directory.path()).expect("up to there");
    assert_eq!(read_all(&log), events);
    before.assert_unchanged(directory.path());
}

/// The fault that `edit` of frame `index` makes: it contradicts what stands before it, which is
/// damage whoever promised what.
fn fault(index: usize, edit: Edit) -> ItemFault {
    let mut faults = Vec::new();
    for close in [false, true] {
        let (directory, events) = log(close);
        let mut segment = SegmentFile::read(directory.path(), 1);
        let header = segment.data_frames()[index];
        segment.edit_frame(header.offset, |frame| edit(&header, frame));
        segment.write();
        let before = Inventory::of(directory.path());
        let error = small().open(directory.path()).expect_err("it contradicts");
        before.assert_unchanged(directory.path());
        let OpenError::Damaged(damage) = error else { panic!("{error}") };
        assert_eq!(damage.place.offset, header.offset, "{damage}");
        let DamageReason::Fault(fault) = damage.reason else { panic!("{damage}") };
        faults.push(fault);
        let log = small().open_read_only(directory.path()).expect("up to there");
        assert_eq!(read_all(&log), events[..index]);
    }
    assert_eq!(faults[0], faults[1]);
    faults[0]
}

#[test]
fn are_items_that_contradict_the_log_damage() {
    // Behind the frame's 48 bytes: item header of 16 (len, type, flags, units, stream), then the
    // link (tag, units, index, version of 5 bytes, position of 7).
    assert_eq!(fault(7, |_, frame| put(frame, 36, &[2, 0])), ItemFault::Count(2));
    assert_eq!(fault(7, |_, frame| put(frame, 36, &[0, 0])), ItemFault::Count(0));
    assert_eq!(fault(7, |_, frame| put(frame, 48 + 4, &[9, 0])), ItemFault::UnknownType(9));
    assert_eq!(fault(7, |_, frame| put(frame, 48 + 4, &[0, 0])), ItemFault::UnknownType(0));
    assert_eq!(fault(7, |_, frame| frame[48 + 8] = 2), ItemFault::UnknownStream(2));
    assert_eq!(fault(7, |_, frame| frame[48 + 16 + 4] = 9), ItemFault::Link(9));
    assert_eq!(fault(7, |_, frame| frame[48 + 16 + 9] ^= 1), ItemFault::Link(8));
    assert_eq!(fault(7, |_, frame| frame[48 + 16 + 2] = 1), ItemFault::Link(8));
    assert_eq!(fault(7, |_, frame| put(frame, 48, &[0xFF; 4])), ItemFault::Item(ItemError::Beyond));
    assert_eq!(fault(7, |_, frame| frame[48 + 6] = 7), ItemFault::Item(ItemError::Flags(7)));
    assert_eq!(fault(7, |_, frame| frame[48 + 7] = 200), ItemFault::Item(ItemError::Beyond));
    let extension = fault(7, |_, frame| frame[48 + 16 + 1] = 0);
    assert!(matches!(extension, ItemFault::Extension(_)), "{extension}");
    let extension = fault(7, |_, frame| frame[48 + 16] = 0xC0);
    assert_eq!(extension, ItemFault::Extension(ExtensionError::Unknown(0xC0)));
    // The first frame brings type and stream along.
    assert_eq!(fault(0, |_, frame| put(frame, 48 + 4, &[2, 0])), ItemFault::TypeNumber(2));
    assert!(matches!(fault(0, |_, frame| frame[48 + 16 + 15] = 3), ItemFault::Type(_)));
    assert_eq!(fault(0, |_, frame| frame[48 + 16 + 32 + 8] = 5), ItemFault::StreamNumber(5));
}

#[test]
fn is_a_frame_no_witness_of_what_comes_after_it() {
    // Only its own writer could know, and that had written nothing there yet.
    let (directory, events) = log(false);
    let mut segment = SegmentFile::read(directory.path(), 1);
    let last = *segment.data_frames().last().expect("frames");
    let after = Position::new(SegmentId::new(1), last.offset + 16, 22);
    let beyond = Position::new(SegmentId::new(9), 4096, 22);
    for lie in [after, beyond] {
        let lie = lie.raw().to_le_bytes();
        segment.edit_frame(last.offset, |frame| put(frame, 24, &lie));
        segment.write();
        let log = small().open_read_only(directory.path()).expect("all of it");
        assert_eq!(log.recovery().outcome, RecoveryOutcome::Clean);
        assert_eq!(read_all(&log), events);
    }
}

#[test]
fn are_frames_behind_the_end_counted_but_never_taken() {
    for durable in [false, true] {
        let (directory, events) = log(false);
        let mut segment = SegmentFile::read(directory.path(), 1);
        let end = segment.end();
        let witness =
            if durable { Position::new(SegmentId::FIRST, end + 16, 22) } else { Position::ZERO };
        let mut draft = FrameDraft {
            kind: FrameKind::Data,
            flags: FrameFlags::NONE,
            sequence: Sequence::new(21),
            count: 1,
            ts: u64::MAX / 4,
            durable: witness,
            epoch: Epoch::new(1),
        };
        let mut at = end + 4096;
        for sequence in 22..30 {
            at = segment.put_frame(at, &draft, &[0; 16]) + 32;
            draft.sequence = Sequence::new(sequence);
        }
        segment.write();
        let opened = small().open(directory.path());
        if durable {
            assert!(matches!(opened, Err(OpenError::Damaged(_))));
            continue;
        }
        let writer = opened.expect("torn");
        let cut = writer.recovery().cut.as_ref().expect("reported");
        assert_eq!((cut.place.offset, cut.frames), (end, 8));
        assert_eq!(read_all(&writer.log()), events);
    }
}

#[test]
fn does_any_change_with_repaired_checks_end_in_a_log_or_a_typed_error() {
    let mut random = Random::from_environment("repaired");
    let (mut whole, mut torn, mut damaged, mut refused) = (0, 0, 0, 0);
    let (original, events) = log(false);
    let source = SegmentFile::read(original.path(), 1);
    let frames = source.frames();
    for _ in 0..100 {
        let directory = tempfile::tempdir().expect("a directory");
        factlog_tests::surgery::copy_directory(original.path(), directory.path());
        let mut segment = SegmentFile::read(directory.path(), 1);
        for _ in 0..=random.below(3) {
            let frame = &frames[random.below(frames.len() as u64) as usize];
            // A frame that an earlier change has made unreadable stays as it is.
            let rest = &segment.bytes[frame.offset as usize..];
            if FrameHeader::parse(segment.key(), frame.offset, rest).is_err() {
                continue;
            }
            let span = u64::from(frame.span).min(160);
            let (at, value) = (4 + random.below(span - 4) as usize, random.next() as u8);
            segment.edit_frame(frame.offset, |bytes| {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = value;
                }
            });
        }
        segment.write();
        match Options::new().open_read_only(directory.path()) {
            Ok(log) => {
                match log.recovery().outcome {
                    RecoveryOutcome::Clean => whole += 1,
                    RecoveryOutcome::Torn => torn += 1,
                    RecoveryOutcome::Damaged => damaged += 1,
                    outcome => panic!("{outcome:?}"),
                }
                let mut cursor = log.cursor(factlog::Start::Oldest).expect("a cursor");
                let mut seen = 0;
                while let Ok(Some(event)) = cursor.next_event() {
                    assert!(event.payload().len() < 4 << 20 && event.metadata().is_ok());
                    seen += 1;
                }
                assert!(seen <= events.len());
            }
            Err(error) => {
                refused += 1;
                assert!(!error.to_string().is_empty());
            }
        }
    }
    println!("{whole} whole, {torn} torn, {damaged} damaged, {refused} not readable at all");
    assert!(torn > 0 && damaged > 0, "changes of one kind only: they do not get anywhere");
}

/// A frame that verifies, but whose second item makes no sense: what its first item says of a new
/// stream must not get into the next SEGOPEN, or the log could not be opened again.
#[test]
fn is_nothing_taken_in_of_a_frame_that_makes_no_sense() {
    for close in [false, true] {
        let directory = tempfile::tempdir().expect("a directory");
        let mut writer = small().open(directory.path()).expect("opens");
        writer.append(&Opaque::new(&BLOCK, b"first")).expect("appended");
        let stream = StreamKey::new("new", 1_u64).expect("a name");
        let meta = Meta::new().stream(&stream, Expected::NEW);
        writer.append_with(&Opaque::new(&BLOCK, b"second"), meta).expect("appended");
        if close {
            writer.close().expect("closed");
        } else {
            drop(writer);
        }
        let mut segment = SegmentFile::read(directory.path(), 1);
        let last = *segment.data_frames().last().expect("frames");
        segment.edit_frame(last.offset, |frame| {
            let stream = FRAME_HEADER + ITEM_HEADER;
            let len = u32::from_le_bytes(frame[FRAME_HEADER..][..4].try_into().expect("four"));
            let event = (stream + len as usize).next_multiple_of(16);
            put(frame, event + 4, &77_u16.to_le_bytes());
        });
        segment.write();
        let mut writer = small().recovery(Recovery::Repair).open(directory.path()).expect("opens");
        assert_eq!((writer.log().streams(), read_all(&writer.log()).len()), (0, 1));
        let stream = StreamKey::new("another", 1_u64).expect("a name");
        let meta = Meta::new().stream(&stream, Expected::NEW);
        writer.append_with(&Opaque::new(&BLOCK, b"third"), meta).expect("appended");
        drop(writer);
        for entry in fs::read_dir(directory.path().join("seg")).expect("segments") {
            let path = entry.expect("an entry").path();
            if path.extension().is_some_and(|ending| ending == "streams") {
                fs::remove_file(path).expect("removed");
            }
        }
        let log = small().open_read_only(directory.path()).expect("opens");
        assert_eq!(log.recovery().outcome, RecoveryOutcome::Clean, "{}", log.recovery());
        assert_eq!((log.streams(), log.stream_version(&stream).get()), (1, 1));
    }
}
