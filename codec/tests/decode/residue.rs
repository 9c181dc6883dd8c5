//! Is everything found that verifies behind the end, in bounded work?
//!
//! Frames at random places among zeros and noise, beside a model that knows where they are. The
//! bound: headers that verify and claim lengths up to the end, whose bodies do not. The work is
//! counted by a model of the budget, and a whole frame just before and just behind where it runs
//! out shows that the budget is what the search obeys.

use factlog_codec::{Epoch, Position, Residue, Sequence, find_residue};
use proptest::prelude::*;

use super::walk::Segment;
use super::{Fields, KEY};

const BITS: u8 = 22;
const END: u32 = 4096;
const EXPECTED: Sequence = Sequence::new(100);

fn find(bytes: &[u8]) -> Residue {
    find_from(bytes, END)
}

/// In a segment that is `bytes`.
fn find_from(bytes: &[u8], from: u32) -> Residue {
    find_in(bytes.get(from as usize..).unwrap_or(&[]), from, EXPECTED)
}

/// In what is left of a segment, of a log that took nothing over.
fn find_in(rest: &[u8], from: u32, sequence: Sequence) -> Residue {
    find_residue(KEY, rest, from, BITS, sequence, Epoch::new(0))
}

fn plausible() -> Fields {
    Fields { sequence: 100, ..Fields::data(0) }
}

#[test]
fn is_nothing_found_where_nothing_stands() {
    let zero = Residue { zero: true, ..Residue::default() };
    assert_eq!(find(&[0; 8192]), zero);
    for from in [0, 4096, 8192, u32::MAX] {
        assert_eq!(find_in(&[0; 4096], from, EXPECTED), zero);
        assert_eq!(find_in(&[], from, EXPECTED), zero);
        // There it has no room at all.
        let last = find_in(&[1; 4096], from, EXPECTED);
        assert_eq!(last, Residue::default());
    }
    let mut bytes = [0; 8192];
    bytes[8191] = 1;
    assert_eq!(find(&bytes), Residue::default());
}

#[test]
fn are_only_plausible_frames_counted() {
    let own = Position::new(KEY.segment(), END, BITS).raw();
    let count = |fields: Fields| find(&Segment::new().with(fields, &[]).bytes).frames;
    let reach = 100 + (1 << BITS);
    for (fields, counted) in [
        (plausible(), 1),
        (Fields { durable: own, ..plausible() }, 1),
        (Fields { durable: own + 1, ..plausible() }, 0),
        (Fields { sequence: 99, ..plausible() }, 1),
        (Fields { sequence: 98, ..plausible() }, 0),
        (Fields { sequence: reach, ..plausible() }, 1),
        (Fields { sequence: reach + 1, ..plausible() }, 0),
        (Fields { kind: 0, ..plausible() }, 0),
    ] {
        assert_eq!(count(fields), counted, "{fields:?}");
    }
}

/// Frames that were taken over bear no witness, also with one behind them that was not; all else
/// counts of them.
#[test]
fn does_no_frame_speak_for_others_beside_it() {
    let own = Position::new(KEY.segment(), END, BITS).raw();
    let taken = Fields { epoch: 7, durable: own, ..plausible() };
    let since = Fields { epoch: 8, durable: own - 96, ..plausible() };
    for (frames, durable) in [
        (vec![taken], 0),
        (vec![taken, since], own - 96),
        (vec![since, taken], own - 96),
        (vec![Fields { epoch: 8, ..taken }], own),
    ] {
        let segment = frames.iter().fold(Segment::new(), |made, fields| made.with(*fields, &[]));
        let rest = &segment.bytes[END as usize..];
        let found = find_residue(KEY, rest, END, BITS, EXPECTED, Epoch::new(7));
        assert_eq!(found.durable.raw(), durable, "{frames:?}");
        assert_eq!(found.frames as usize, frames.len());
        let epoch = frames.iter().map(|fields| fields.epoch).max();
        assert_eq!(Some(found.epoch.get()), epoch);
    }
}

/// An end that is no multiple of 16 is where the search begins, rounded up.
#[test]
fn is_the_place_rounded_up_to_where_frames_can_stand() {
    let segment = Segment::new().with(plausible(), &[]);
    for (from, first) in [(END - 15, Some(END)), (END, Some(END)), (END + 1, None)] {
        let found = find_from(&segment.bytes, from);
        assert_eq!(found.first, first);
    }
}

/// A header at each 48th byte; `whole` says which of them is of a frame that is whole. All others
/// claim everything up to the end.
fn lying(slots: u32, whole: Option<u32>) -> Vec<u8> {
    let mut bytes = vec![0; END as usize];
    let end = END + slots * 48;
    for slot in 0..slots {
        let offset = END + slot * 48;
        let mut header = if whole == Some(slot) {
            plausible().frame(KEY, offset, &[])
        } else {
            let span = end - offset;
            Fields { span, len: span - 48, ..plausible() }.header(KEY, offset).to_vec()
        };
        header.resize(48, 0);
        bytes.extend(header);
    }
    bytes
}

#[test]
fn is_the_work_bounded_where_lengths_lie() {
    const SLOTS: u32 = 4000;
    // What the format's search may spend: eight times the bytes.
    let budget = u64::from(SLOTS) * 48 * 8;
    let mut spent = 0;
    let out = (0..SLOTS).find(|slot| {
        spent += u64::from(SLOTS - slot) * 48;
        spent > budget
    });
    let out = out.expect("without a bound it would be 2000 times the bytes");
    let nothing = find(&lying(SLOTS, None));
    assert_eq!(nothing, Residue { exhausted: true, ..Residue::default() });
    let before = find(&lying(SLOTS, Some(out - 1)));
    assert_eq!((before.frames, before.exhausted), (1, true));
    // The whole frame costs next to nothing, so the next lie is the one that is too much.
    let behind = find(&lying(SLOTS, Some(out + 1)));
    assert_eq!((behind.frames, behind.exhausted), (0, true));
    // Few enough are looked through to the end.
    let few = find(&lying(8, Some(7)));
    assert_eq!((few.frames, few.exhausted), (1, false));
}

/// What comes next: whole frames, torn ones, lies, noise, zeros.
#[derive(Debug, Clone)]
enum Piece {
    Whole { sequence: u64, durable: u64, epoch: u32, count: u16, len: usize },
    Torn { len: usize },
    Lie { span: u32 },
    Noise(Vec<u8>),
    Zeros(usize),
}

fn piece() -> impl Strategy<Value = Piece> {
    let own = Position::new(KEY.segment(), 0, BITS).raw();
    prop_oneof![
        3 => (90_u64..200, own.saturating_sub(50)..own + 20_000, 0_u32..9, 0_u16..9, 0_usize..200)
            .prop_map(|(sequence, durable, epoch, count, len)| Piece::Whole {
                sequence, durable, epoch, count, len,
            }),
        1 => (1_usize..200).prop_map(|len| Piece::Torn { len }),
        1 => (3_u32..4000).prop_map(|units| Piece::Lie { span: units * 16 }),
        1 => prop::collection::vec(any::<u8>(), 1..100).prop_map(Piece::Noise),
        1 => (1_usize..10).prop_map(|units| Piece::Zeros(units * 16)),
        1 => (200_usize..900).prop_map(|units| Piece::Zeros(units * 16)),
    ]
}

fn put(bytes: &mut Vec<u8>, piece: &Piece, taken_over: Epoch, expected: &mut Residue) {
    let offset = u32::try_from(bytes.len()).expect("small");
    match piece {
        Piece::Whole { sequence, durable, epoch, count, len } => {
            let (sequence, durable, epoch) = (*sequence, *durable, *epoch);
            let fields = Fields { sequence, durable, epoch, count: *count, ..Fields::data(*len) };
            bytes.extend(fields.frame(KEY, offset, &vec![0x77; *len]));
            let own = Position::new(KEY.segment(), offset, BITS);
            if sequence >= 99 && durable <= own.raw() {
                expected.frames += 1;
                expected.first = expected.first.or(Some(offset));
                let speaks = epoch > taken_over.get();
                let witness = if speaks { Position::from_raw(durable) } else { Position::ZERO };
                expected.durable = expected.durable.max(witness);
                expected.epoch = expected.epoch.max(Epoch::new(epoch));
                let next = Sequence::new(sequence + u64::from(*count));
                expected.next_sequence = expected.next_sequence.max(next);
            }
        }
        Piece::Torn { len } => {
            let mut frame =
                Fields { sequence: 100, ..Fields::data(*len) }.frame(KEY, offset, &vec![1; *len]);
            frame[48] ^= 1;
            bytes.extend(frame);
        }
        Piece::Lie { span } => {
            bytes.extend(Fields { span: *span, ..plausible() }.header(KEY, offset));
        }
        Piece::Noise(noise) => bytes.extend(noise),
        Piece::Zeros(count) => bytes.resize(bytes.len() + count, 0),
    }
    bytes.resize(bytes.len().next_multiple_of(16), 0);
}

proptest! {
    #[test]
    fn is_each_whole_frame_found_wherever_it_stands(
        pieces in prop::collection::vec(piece(), 0..25), taken_over in 0_u32..9,
    ) {
        let taken_over = Epoch::new(taken_over);
        let mut bytes = vec![0; END as usize];
        let mut expected = Residue::default();
        for piece in &pieces {
            put(&mut bytes, piece, taken_over, &mut expected);
        }
        expected.zero = bytes.iter().all(|byte| *byte == 0);
        let rest = &bytes[END as usize..];
        let found = find_residue(KEY, rest, END, BITS, EXPECTED, taken_over);
        if found.exhausted {
            // Lies used the budget up: what was found until then is part of what stands there.
            prop_assert!(found.frames <= expected.frames);
            let lies = pieces.iter().filter(|piece| matches!(piece, Piece::Lie { .. })).count();
            prop_assert!(lies >= 8);
        } else {
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn do_any_bytes_have_an_answer(
        bytes in prop::collection::vec(any::<u8>(), 0..3000), from in 0_u32..3100, sequence: u64,
    ) {
        let rest = bytes.get(from as usize..).unwrap_or(&[]);
        let found = find_in(rest, from, Sequence::new(sequence));
        prop_assert_eq!(found.frames, 0);
        prop_assert_eq!(found.zero, bytes.iter().skip(from as usize).all(|byte| *byte == 0));
    }
}
