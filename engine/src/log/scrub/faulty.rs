//! Is everything found on a medium that cannot be read in places, with bounded work?
//!
//! Method: a segment in memory, of which pages fail and bits are flipped; a model that knows which
//! frames they touch.

use std::collections::BTreeSet;
use std::io;
use std::ops::ControlFlow;
use std::path::PathBuf;

use factlog_codec::layout::{FIRST_FRAME, FRAME_HEADER, PAGE, seal_offset, segment_size};
use factlog_codec::{
    Epoch, Fold, FrameDraft, FrameFlags, FrameHeader, FrameKind, HistoryId, LogId, Position,
    Predecessor, Seal, SegOpen, SegmentHeader, SegmentId, Sequence, StreamNumber, Succession,
    TypeNumber, Walk, WriteWay, seal_frame,
};

use super::check::{Successor, Target, inside};
use super::medium::{CHUNK, Medium};
use super::pace::{Pace, SystemTimer};
use super::report::{Remedy, ScrubReason, ScrubReport};
use super::window::{View, Window};

const BITS: u8 = 22;
const SIZE: usize = segment_size(BITS);
const SEAL: usize = seal_offset(BITS);

struct Faulty {
    bytes: Vec<u8>,
    bad: BTreeSet<usize>,
    /// How often a page that fails was asked for.
    failures: usize,
}

impl Medium for Faulty {
    fn read(&mut self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let offset = usize::try_from(offset).expect("small");
        assert!(offset.is_multiple_of(PAGE) && into.len().is_multiple_of(PAGE), "whole pages");
        assert!(into.as_ptr().align_offset(PAGE) == 0, "at the address of a page");
        let pages = offset / PAGE..(offset + into.len()) / PAGE;
        if self.bad.range(pages).next().is_some() {
            self.failures += 1;
            return Err(io::Error::from_raw_os_error(5));
        }
        let there = self.bytes.get(offset..).unwrap_or(&[]);
        let count = there.len().min(into.len());
        into[..count].copy_from_slice(&there[..count]);
        Ok(count)
    }
}

struct Made {
    target: Target,
    after: (FrameHeader, SegOpen),
    bytes: Vec<u8>,
    frames: Vec<FrameHeader>,
}

/// A segment of frames with one event each and bodies of about `len` bytes, which ends somewhere
/// in the middle.
fn made(len: usize, until: usize) -> Made {
    let log = LogId::default();
    let id = SegmentId::new(3);
    let head = SegmentHeader { log, segment: id, bits: BITS, generation: 1, salt: 99 };
    let key = head.key();
    let mut bytes = vec![0; SIZE];
    bytes[..PAGE].copy_from_slice(&head.encode());
    let open = SegOpen {
        history: HistoryId::default(),
        before: Predecessor {
            segment: SegmentId::new(2),
            end: 5000,
            fold: Fold::default(),
            why: Succession::Full,
        },
        wall_clock: 1,
        next_stream: StreamNumber::FIRST,
        next_type: Some(TypeNumber::FIRST),
        types: 0,
        way: WriteWay::Mapped,
    };
    let mut draft = FrameDraft {
        kind: FrameKind::SegOpen,
        flags: FrameFlags::NONE,
        sequence: Sequence::new(100),
        count: 0,
        ts: 10,
        durable: Position::ZERO,
        epoch: Epoch::new(1),
    };
    let mut at = FIRST_FRAME as usize;
    open.encode(&mut bytes[at + FRAME_HEADER..]);
    at += seal_frame(key, FIRST_FRAME, &draft, &mut bytes[at..], SegOpen::LEN).span as usize;
    (draft.kind, draft.count) = (FrameKind::Data, 1);
    while at < until {
        draft.ts += 1;
        let body = len + at / 16 % 7;
        bytes[at + FRAME_HEADER..][..body].fill(0xD5);
        at += seal_frame(key, at as u32, &draft, &mut bytes[at..], body).span as usize;
        draft.sequence = draft.sequence.after(1);
    }
    let mut walk = Walk::new(key, &bytes[..SEAL], None);
    let frames: Vec<_> = std::iter::from_fn(|| Some(walk.next_frame().ok()?.header)).collect();
    let state = *walk.state();
    let seal = Seal {
        end: state.offset,
        first_sequence: Sequence::new(100),
        next_sequence: draft.sequence,
        first_ts: 10,
        last_ts: state.ts,
        fold: state.fold,
        frames: state.frames,
        epoch: state.epoch,
        chain: [0; 32],
    };
    bytes[SEAL..].copy_from_slice(&seal.encode(key, SEAL as u32));
    let before =
        Predecessor { segment: id, end: state.offset, fold: state.fold, why: Succession::Full };
    let header =
        FrameHeader { sequence: draft.sequence, ts: state.ts + 1, epoch: state.epoch, ..frames[0] };
    let next = Successor {
        key,
        path: PathBuf::new(),
        first: draft.sequence,
        frozen: FIRST_FRAME,
        ended: false,
    };
    let target = Target {
        log,
        key,
        bits: BITS,
        path: PathBuf::from("segment"),
        first: Sequence::new(100),
        end: state.offset,
        next,
        elsewhere: false,
    };
    Made { target, after: (header, SegOpen { before, ..open }), bytes, frames }
}

/// What is found, and how many bytes were read.
fn scrub(made: &Made, medium: &mut Faulty, chunk: usize) -> ScrubReport {
    let (mut timer, mut tell) = (SystemTimer::default(), |_| ControlFlow::Continue(()));
    let mut pace = Pace::new(None, &mut timer, &mut tell, 1);
    let mut window = Window::new(chunk);
    let mut report = ScrubReport::default();
    let len = medium.bytes.len() as u64;
    let path = made.target.path.clone();
    let mut view = View::new(&mut window, medium, &mut pace, &path, len, CHUNK);
    inside(&made.target, Some(&made.after), &mut view, &mut report).expect("nobody stops it");
    report.bytes = pace.bytes();
    report
}

fn faulty(made: &Made, bad: impl IntoIterator<Item = usize>) -> Faulty {
    Faulty { bytes: made.bytes.clone(), bad: bad.into_iter().collect(), failures: 0 }
}

#[test]
fn is_nothing_found_on_a_good_medium_and_nothing_read_twice() {
    let made = made(3_000, 3 << 20);
    for chunk in [PAGE, 2 * PAGE, 64 << 10, CHUNK] {
        let report = scrub(&made, &mut faulty(&made, []), chunk);
        assert!(report.is_clean() && report.unsealed == 0, "{report}");
        assert_eq!((report.frames, report.bytes), (made.frames.len() as u64, SIZE as u64));
    }
}

#[test]
fn is_each_page_that_fails_told_for_what_it_held() {
    let made = made(3_000, 3 << 20);
    let end = made.target.end as usize;
    let zero = end.next_multiple_of(PAGE);
    let early = Remedy::RestoreBeforeClosing;
    let cases =
        [(0, 0, early), (SEAL, SEAL, Remedy::Move), (zero + PAGE, zero + PAGE, Remedy::Move)];
    for (page, place, remedy) in cases {
        let report = scrub(&made, &mut faulty(&made, [page / PAGE]), CHUNK);
        assert_eq!(report.findings.len(), 1, "{report}");
        let found = &report.findings[0];
        assert!(matches!(found.reason, ScrubReason::Read(_)), "{found}");
        assert_eq!((found.place.offset as usize, found.remedy), (place, remedy));
        assert_eq!((found.bytes, report.frames), (PAGE as u64, made.frames.len() as u64));
        assert_eq!(report.bytes, (SIZE - PAGE) as u64, "what failed was not read");
    }
    // Everything: each page is asked for once or twice.
    let mut medium = faulty(&made, 0..SIZE / PAGE);
    let report = scrub(&made, &mut medium, CHUNK);
    assert_eq!((report.frames, report.findings.len()), (0, 4), "{report}");
    assert_eq!(report.bytes, 0);
    assert_eq!(report.findings[1].events, made.target.first..made.target.next.first);
    assert!(medium.failures <= SIZE / PAGE + 10, "{}", medium.failures);
}

/// Frames that no flipped bit and no bad page touches are all that is found, and the events of the
/// others are all that are told.
#[test]
fn are_exactly_the_frames_found_that_nothing_touches() {
    let mut seed = 7_u64;
    let mut random = |bound: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % bound
    };
    for round in 0..60 {
        let made = made([10, 700, 5_000, 300_000][round % 4], 1 << 20);
        let end = made.target.end as usize;
        let bad: Vec<usize> = (0..random(4)).map(|_| 1 + random(end / PAGE)).collect();
        let mut medium = faulty(&made, bad);
        let bits: Vec<usize> =
            (0..random(6)).map(|_| FIRST_FRAME as usize + random(end - 4096)).collect();
        for bit in &bits {
            medium.bytes[*bit] ^= 4;
        }
        // The same bit twice is none.
        let wrong = |at: usize| medium.bytes[at] != made.bytes[at];
        let touched = |frame: &FrameHeader| {
            let (from, to) = (frame.offset as usize, frame.next_offset() as usize);
            let bad = medium.bad.range(from / PAGE..to.div_ceil(PAGE)).next().is_some();
            bad || bits.iter().any(|bit| (from..to).contains(bit) && wrong(*bit))
        };
        let (lost, kept): (Vec<&FrameHeader>, Vec<&FrameHeader>) =
            made.frames.iter().partition(|frame| touched(frame));
        let lost: BTreeSet<u64> =
            lost.iter().filter(|frame| frame.count > 0).map(|frame| frame.sequence.get()).collect();
        let chunk = [PAGE, 2 * PAGE, 16 * PAGE, CHUNK][random(4)];
        let report = scrub(&made, &mut medium, chunk);
        let told: Vec<u64> = report
            .findings
            .iter()
            .flat_map(|found| found.events.start.get()..found.events.end.get())
            .collect();
        assert!(told.is_sorted(), "none is told twice: {report}");
        assert_eq!(told.into_iter().collect::<BTreeSet<_>>(), lost, "{report}");
        assert_eq!(report.frames, kept.len() as u64, "{report}");
        let most = 2 * SIZE + (medium.failures + 6) * CHUNK.min(8 * chunk);
        assert!(report.bytes <= most as u64, "{} bytes, {report}", report.bytes);
    }
}

/// Headers that verify and say whatever makes most work: what is read stays in bounds.
#[test]
fn is_the_work_bounded_when_lengths_lie() {
    let mut made = made(100, 4 << 20 >> 1);
    let key = made.target.key;
    made.target.end = SEAL as u32;
    for wanted in [64, 5_000, 70_000, 900_000, SIZE] {
        let mut medium = faulty(&made, []);
        let third = made.frames[3];
        let (mut at, mut header) = (third.next_offset() as usize, [0; FRAME_HEADER]);
        let draft = FrameDraft {
            kind: FrameKind::Data,
            flags: FrameFlags::NONE,
            sequence: third.next_sequence(),
            count: 1,
            ts: third.ts + 1,
            durable: Position::ZERO,
            epoch: third.epoch,
        };
        while at + FRAME_HEADER < SEAL {
            seal_frame(key, at as u32, &draft, &mut header, 0);
            let span = wanted.min(SEAL - at) as u32;
            header[4..8].copy_from_slice(&(span - FRAME_HEADER as u32).to_le_bytes());
            header[40..44].copy_from_slice(&span.to_le_bytes());
            let sum = key.at(at as u32).hsum(&header);
            header[44..].copy_from_slice(&sum.to_le_bytes());
            medium.bytes[at..at + FRAME_HEADER].copy_from_slice(&header);
            at += FRAME_HEADER;
        }
        let report = scrub(&made, &mut medium, CHUNK);
        assert_eq!(report.frames, 4, "{wanted}");
        assert_eq!(report.findings[0].events.end, made.target.next.first);
        assert!(report.bytes <= 12 * SIZE as u64, "{wanted}: {} bytes", report.bytes);
    }
}
