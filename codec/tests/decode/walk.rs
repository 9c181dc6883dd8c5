//! Does a walk give the frames that were written, and stop for the right reason?
//!
//! Segments are put together from frames with right checks and any fields. Every reason by such a
//! frame; random lists of frames beside a model of the rules; random damage, in which a walk still
//! goes forward and ends.

use factlog_codec::layout::FIRST_FRAME;
use factlog_codec::{
    Epoch, EpochBody, FrameError, FrameKind, GapBody, HistoryId, Sequence, Stop, StopReason, Walk,
};
use proptest::prelude::*;
use uuid::Uuid;

use super::{Fields, KEY, assert_all_provoked};

/// A segment up to where frames must end, and what stands in it.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    pub(crate) bytes: Vec<u8>,
    pub(crate) offsets: Vec<u32>,
}

impl Segment {
    /// With nothing in it.
    pub(crate) fn new() -> Self {
        Self { bytes: vec![0; FIRST_FRAME as usize], offsets: Vec::new() }
    }

    /// With one more frame.
    pub(crate) fn with(mut self, fields: Fields, body: &[u8]) -> Self {
        let offset = u32::try_from(self.bytes.len()).expect("small");
        self.bytes.extend(fields.frame(KEY, offset, body));
        self.offsets.push(offset);
        self
    }

    /// With a SEGOPEN at sequence 1, time 10, epoch 1, which the walk does not look into.
    fn opened() -> Self {
        Self::new().with(Fields { kind: 2, ts: 10, ..Fields::data(0) }, &[])
    }
}

/// The place where a walk from sequence 1 ends, which it does not leave.
fn stop(segment: &Segment) -> Stop {
    let mut walk = Walk::new(KEY, &segment.bytes, Some(Sequence::FIRST));
    let stop = loop {
        match walk.next_frame() {
            Ok(_) => {}
            Err(stop) => break stop,
        }
    };
    let state = *walk.state();
    assert_eq!(walk.next_frame().expect_err("it stays there"), stop);
    assert_eq!(*walk.state(), state);
    assert_eq!(state.offset, stop.offset);
    stop
}

#[test]
fn is_each_reason_given_for_its_frame() {
    let next = Fields { ts: 11, ..Fields::data(0) };
    let second = |fields: Fields, body: &[u8]| {
        let segment = Segment::opened().with(fields, body);
        let stop = stop(&segment);
        assert_eq!(stop.offset, segment.offsets[1], "{stop}");
        stop.reason
    };
    let first = |fields: Fields| stop(&Segment::new().with(fields, &[])).reason;
    assert_eq!(
        stop(&Segment::opened().with(next, &[])).reason,
        StopReason::Frame(FrameError::NoRoom)
    );

    let gap = GapBody { first: Sequence::new(1), last: Sequence::new(5) }.encode();
    let other_gap = GapBody { first: Sequence::new(2), last: Sequence::new(5) }.encode();
    let with =
        |kind: u8, body: &[u8]| second(Fields { kind, ts: 11, ..Fields::data(body.len()) }, body);
    let sequence = |expected, found| StopReason::Sequence {
        expected: Sequence::new(expected),
        found: Sequence::new(found),
    };
    let epoch = |found| StopReason::Epoch { before: Epoch::new(1), found: Epoch::new(found) };
    let begins = |body: &[u8]| {
        second(Fields { kind: 3, ts: 11, epoch: 2, ..Fields::data(body.len()) }, body)
    };
    let expected = [
        (stop(&Segment::new()).reason, StopReason::Frame(FrameError::NoRoom)),
        (second(Fields { kind: 9, ..next }, &[]), StopReason::Frame(FrameError::Kind(9))),
        (second(Fields { sequence: 2, ..next }, &[]), sequence(1, 2)),
        (second(Fields { sequence: 0, ..next }, &[]), sequence(1, 0)),
        (first(Fields { kind: 2, sequence: 7, ..next }), sequence(1, 7)),
        (second(Fields { epoch: 0, ..next }, &[]), epoch(0)),
        (second(Fields { epoch: 2, ..next }, &[]), epoch(2)),
        (second(Fields { epoch: 2, kind: 6, ..next }, &[]), epoch(2)),
        (with(3, &[1; 32]), epoch(1)),
        (second(Fields { ts: 10, ..next }, &[]), StopReason::Time { before: 10, found: 10 }),
        (second(Fields { ts: 0, ..next }, &[]), StopReason::Time { before: 10, found: 0 }),
        (first(Fields { kind: 2, ts: 0, ..next }), StopReason::Time { before: 0, found: 0 }),
        (first(next), StopReason::SegOpen),
        (second(Fields { kind: 2, ..next }, &[]), StopReason::SegOpen),
        (with(6, &gap[..15]), StopReason::Body(FrameKind::Gap)),
        (with(6, &other_gap), StopReason::Body(FrameKind::Gap)),
        (begins(&[0; 31]), StopReason::Body(FrameKind::Epoch)),
        (begins(&[1; 32]), StopReason::Body(FrameKind::Epoch)),
        (first(Fields { kind: 2, count: 1, ..next }), StopReason::Count(FrameKind::SegOpen)),
        (second(Fields { kind: 5, count: 1, ..next }, &[]), StopReason::Count(FrameKind::Pad)),
        (second(Fields { kind: 6, count: 9, ..next }, &[]), StopReason::Count(FrameKind::Gap)),
    ];
    for (found, reason) in expected {
        assert_eq!(found, reason);
    }
    let reasons = expected.map(|(found, _)| found);
    assert_all_provoked(include_str!("../../src/segment/walk.rs"), "StopReason", &reasons);
}

#[test]
fn does_a_walk_go_on_from_the_segment_before() {
    let segment = Segment::opened();
    let walk = |ts, epoch, sequence| {
        Walk::new(KEY, &segment.bytes, sequence).after(ts, Epoch::new(epoch)).next_frame().is_ok()
    };
    assert!(walk(9, 1, Some(Sequence::FIRST)) && walk(0, 0, None));
    assert!(!walk(10, 1, None) && !walk(9, 2, None) && !walk(9, 1, Some(Sequence::ZERO)));
}

#[test]
fn does_a_walk_end_at_the_greatest_numbers() {
    let last = Sequence::new(u64::MAX);
    let at_last = Fields { sequence: u64::MAX, ts: 1, ..Fields::data(0) };
    let gap = GapBody { first: last, last }.encode();
    let segment = Segment::new()
        .with(Fields { kind: 2, ..at_last }, &[])
        .with(Fields { kind: 6, ts: 2, sequence: u64::MAX, ..Fields::data(16) }, &gap)
        .with(Fields { count: u16::MAX, ts: u64::MAX, ..at_last }, &[]);
    let mut walk = Walk::new(KEY, &segment.bytes, None);
    for _ in 0..3 {
        walk.next_frame().expect("a frame");
    }
    assert_eq!(walk.state().sequence, Some(last));
}

/// A frame to come: what it adds to the numbers of the one before, and its kind.
#[derive(Debug, Clone, Copy)]
struct Step {
    kind: u8,
    count: u16,
    later: u64,
    epochs: u32,
    pad: usize,
}

fn step() -> impl Strategy<Value = Step> {
    let kind = prop_oneof![4 => Just(1_u8), 2 => 3_u8..7];
    (kind, 0_u16..300, 1_u64..1000, 0_u32..3, 0_usize..90).prop_map(
        |(kind, count, later, epochs, pad)| {
            // An EPOCH begins one, and nothing else does.
            let epochs = if kind == 3 { 1 + epochs } else { 0 };
            Step { kind, count, later, epochs, pad }
        },
    )
}

/// The segment that `steps` lead through, and what comes behind each frame.
fn build(steps: &[Step]) -> (Segment, Vec<(u64, u64, u32)>) {
    let mut segment = Segment::opened();
    let (mut sequence, mut ts, mut epoch) = (1, 10, 1);
    let mut states = vec![(sequence, ts, epoch)];
    for step in steps {
        (ts, epoch) = (ts + step.later, epoch + step.epochs);
        let lost = u64::from(step.count);
        let (body, count) = match step.kind {
            1 => (vec![0x55; step.pad], step.count),
            3 => {
                let history = HistoryId::new(Uuid::from_u128(3));
                (EpochBody { history, wall_clock: ts }.encode().to_vec(), 0)
            }
            6 => {
                let last = Sequence::new(sequence + lost);
                (GapBody { first: Sequence::new(sequence), last }.encode().to_vec(), 0)
            }
            _ => (vec![0x55; step.pad], 0),
        };
        let len = body.len();
        let fields = Fields { kind: step.kind, sequence, ts, epoch, count, ..Fields::data(len) };
        segment = segment.with(fields, &body);
        sequence += if step.kind == 6 { lost + 1 } else { u64::from(count) };
        states.push((sequence, ts, epoch));
    }
    (segment, states)
}

proptest! {
    #[test]
    fn does_a_walk_give_what_was_written(steps in prop::collection::vec(step(), 0..40)) {
        let (mut segment, states) = build(&steps);
        segment.bytes.resize(segment.bytes.len() + 4096, 0);
        let mut walk = Walk::new(KEY, &segment.bytes, Some(Sequence::FIRST));
        let mut fold = KEY.empty_fold();
        for (offset, (sequence, ts, epoch)) in segment.offsets.iter().zip(&states) {
            let frame = walk.next_frame().expect("a frame");
            prop_assert_eq!(frame.header.offset, *offset);
            fold = fold.then(*offset, frame.header.crc);
            let state = walk.state();
            prop_assert_eq!(state.sequence, Some(Sequence::new(*sequence)));
            prop_assert_eq!((state.ts, state.epoch, state.fold), (*ts, Epoch::new(*epoch), fold));
        }
        let stop = walk.next_frame().expect_err("the end");
        prop_assert_eq!(stop.reason, StopReason::Frame(FrameError::Empty));
        prop_assert_eq!(walk.state().frames as usize, states.len());
    }

    #[test]
    fn does_a_walk_go_forward_and_end_in_any_bytes(
        steps in prop::collection::vec(step(), 1..20), raw: bool,
        changes in prop::collection::vec(any::<(prop::sample::Index, [u8; 3], bool)>(), 0..9),
    ) {
        let (mut segment, _) = build(&steps);
        let area = FIRST_FRAME as usize;
        for (at, [byte, field, to], repair) in changes {
            if repair && !raw {
                // Some byte of a header, and both checks repaired.
                let offset = segment.offsets[at.index(segment.offsets.len())];
                let frame = &mut segment.bytes[offset as usize..];
                frame[4 + usize::from(field) % 40] = to;
                let hsum = KEY.at(offset).hsum(frame.first_chunk().expect("a header"));
                frame[44..48].copy_from_slice(&hsum.to_le_bytes());
                let len = u32::from_le_bytes(*frame[4..].first_chunk().expect("a header"));
                let end = (48 + len as usize).min(frame.len());
                super::repair_crc(KEY.at(offset), frame, end);
            } else {
                let at = area + at.index(segment.bytes.len() - area);
                segment.bytes[at] = byte;
            }
        }
        let mut walk = Walk::new(KEY, &segment.bytes, None);
        let mut at = FIRST_FRAME;
        while let Ok(frame) = walk.next_frame() {
            prop_assert_eq!(frame.header.offset, at);
            at = walk.state().offset;
            prop_assert_eq!(at, frame.header.offset + frame.header.span);
            prop_assert!(frame.header.span >= 48 && at as usize <= segment.bytes.len());
        }
        prop_assert!(walk.state().frames as usize * 48 <= segment.bytes.len() - area);
        for len in [0, 1, area - 1, area + 47] {
            prop_assert!(Walk::new(KEY, &segment.bytes[..len], None).next_frame().is_err());
        }
    }
}
