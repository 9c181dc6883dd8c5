//! Are the frames accepted exactly those that were written?
//!
//! Every reason by its bytes; every bit, and every pair of bits of a header, turned; frames at
//! any wrong place; random fields with repaired checks, held against the rules said a second time.

use factlog_codec::{
    Epoch, EpochBody, Frame, FrameDraft, FrameError, FrameFlags, FrameHeader, FrameKind, GapBody,
    HistoryId, Position, SegmentId, SegmentKey, Sequence, seal_frame,
};
use proptest::prelude::*;
use uuid::Uuid;

use super::{Fields, KEY, assert_all_provoked, flipped, repair_crc};

const AT: u32 = 4096;

fn error(bytes: &[u8]) -> FrameError {
    Frame::parse(KEY, AT, bytes).expect_err("no frame")
}

#[test]
fn is_each_reason_given_for_its_bytes() {
    let good = Fields::data(20).frame(KEY, AT, &[7; 20]);
    assert_eq!(Frame::parse(KEY, AT, &good).expect("a frame").body, [7; 20]);
    let with = |change: &dyn Fn(&mut Fields)| {
        let mut fields = Fields::data(20);
        change(&mut fields);
        error(&fields.frame(KEY, AT, &[7; 20]))
    };
    let body_changed = flipped(&good, 8 * 50);
    let mut filled = good.clone();
    filled[48 + 20 + 11] = 1;

    let expected = [
        (error(&good[..47]), FrameError::NoRoom),
        (error(&[]), FrameError::NoRoom),
        (error(&[0; 48]), FrameError::Empty),
        (error(&[0xFF; 4096]), FrameError::HeaderSum),
        (with(&|fields| fields.kind = 0), FrameError::Kind(0)),
        (with(&|fields| fields.kind = 7), FrameError::Kind(7)),
        (with(&|fields| fields.kind = 255), FrameError::Kind(255)),
        (with(&|fields| fields.flags = 2), FrameError::Flags(2)),
        (with(&|fields| fields.flags = 0x81), FrameError::Flags(0x81)),
        (with(&|fields| fields.span = 0), FrameError::Span(0)),
        (with(&|fields| fields.span = 64), FrameError::Span(64)),
        (with(&|fields| fields.span = 72), FrameError::Span(72)),
        (with(&|fields| fields.len = 33), FrameError::Span(80)),
        (with(&|fields| fields.len = u32::MAX), FrameError::Span(80)),
        (with(&|fields| fields.span = 96), FrameError::Beyond(96)),
        (with(&|fields| fields.span = 0xFFFF_FFF0), FrameError::Beyond(0xFFFF_FFF0)),
        (error(&good[..64]), FrameError::Beyond(80)),
        (error(&body_changed), FrameError::Checksum),
        (with(&|fields| fields.len = 19), FrameError::Checksum),
        (error(&filled), FrameError::Filler),
    ];
    for (found, reason) in expected {
        assert_eq!(found, reason);
    }
    let reasons = expected.map(|(found, _)| found);
    assert_all_provoked(include_str!("../../src/frame/parse.rs"), "FrameError", &reasons);
}

#[test]
fn does_every_bit_of_a_frame_matter_and_none_behind_it() {
    let mut fields = Fields::data(37);
    (fields.count, fields.flags, fields.durable) = (3, 1, 4096);
    let frame = fields.frame(KEY, AT, &[0xA5; 37]);
    let mut bytes = frame.clone();
    bytes.resize(frame.len() + 64, 0x3C);
    for bit in 0..bytes.len() * 8 {
        let found = Frame::parse(KEY, AT, &flipped(&bytes, bit)).map(drop);
        assert_eq!(found.is_ok(), bit / 8 >= frame.len(), "bit {bit}");
    }
    // Of the header alone: the check word guards all but the word in front of it.
    for bit in 0..48 * 8 {
        let found = FrameHeader::parse(KEY, AT, &flipped(&bytes, bit));
        assert_eq!(found.is_ok(), bit < 32, "bit {bit}");
    }
}

#[test]
fn are_any_two_turned_bits_of_a_header_found() {
    let frame = Fields::data(0).frame(KEY, AT, &[]);
    for one in 0..frame.len() * 8 {
        let once = flipped(&frame, one);
        for other in 0..one {
            assert!(Frame::parse(KEY, AT, &flipped(&once, other)).is_err(), "bits {one}, {other}");
        }
    }
}

#[test]
fn does_a_frame_hold_nowhere_else() {
    let frame = Fields::data(5).frame(KEY, AT, b"hello");
    for offset in (0..1 << 20).step_by(16).filter(|offset| *offset != AT) {
        assert_eq!(
            Frame::parse(KEY, offset, &frame).err(),
            Some(FrameError::HeaderSum),
            "{offset}"
        );
    }
    for bit in 0..32 {
        let segment = SegmentId::new(KEY.segment().get() ^ 1 << bit);
        let other = SegmentKey::new(0x5EED_0F5A_17ED_1A7E, segment);
        assert_eq!(Frame::parse(other, AT, &frame).err(), Some(FrameError::HeaderSum));
    }
    for bit in 0..64 {
        let other = SegmentKey::new(0x5EED_0F5A_17ED_1A7E ^ 1 << bit, KEY.segment());
        assert_eq!(Frame::parse(other, AT, &frame).err(), Some(FrameError::HeaderSum));
    }
}

#[test]
fn are_the_bodies_of_engine_frames_taken_only_whole() {
    let epoch = EpochBody { history: HistoryId::new(Uuid::from_u128(9)), wall_clock: 77 };
    let gap = GapBody { first: Sequence::new(5), last: Sequence::new(9) };
    assert_eq!(EpochBody::decode(&epoch.encode()), Some(epoch));
    assert_eq!(GapBody::decode(&gap.encode()), Some(gap));
    let zeros = [0; 64];
    for len in 0..zeros.len() {
        assert_eq!(EpochBody::decode(&zeros[..len]).is_some(), len == EpochBody::LEN, "{len}");
        assert_eq!(GapBody::decode(&zeros[..len]).is_some(), len == GapBody::LEN, "{len}");
    }
    for bit in 0..EpochBody::LEN * 8 {
        let found = EpochBody::decode(&flipped(&epoch.encode(), bit));
        // Bytes 24 to 31 are zero.
        assert_eq!(found.is_some(), bit < 24 * 8, "bit {bit}");
        assert_ne!(found, Some(epoch), "bit {bit}");
    }
    let backwards = GapBody { first: gap.last, last: gap.first };
    assert_eq!(GapBody::decode(&backwards.encode()), None);
}

fn fields() -> impl Strategy<Value = Fields> {
    // Small lengths, so that many are possible.
    let small = prop_oneof![4 => 0_u32..200, 1 => any::<u32>()];
    let span = prop_oneof![4 => (0_u32..20).prop_map(|units| units * 16), 1 => any::<u32>()];
    let words = any::<(u64, u64, u64, u32, u16)>();
    (small, span, words, 0_u8..9, 0_u8..4).prop_map(|(len, span, words, kind, flags)| {
        let (sequence, ts, durable, epoch, count) = words;
        Fields { len, sequence, ts, durable, epoch, count, kind, flags, span }
    })
}

/// What must come of bytes that begin with a header of `fields` whose checks are right.
fn verdict(fields: &Fields, bytes: &[u8]) -> Result<(), FrameError> {
    let end = 48 + u64::from(fields.len);
    match () {
        () if !(1..=6).contains(&fields.kind) => Err(FrameError::Kind(fields.kind)),
        () if fields.flags > 1 => Err(FrameError::Flags(fields.flags)),
        () if !fields.span.is_multiple_of(16) || u64::from(fields.span) < end => {
            Err(FrameError::Span(fields.span))
        }
        () if fields.span as usize > bytes.len() => Err(FrameError::Beyond(fields.span)),
        () if bytes[end as usize..fields.span as usize].iter().any(|byte| *byte != 0) => {
            Err(FrameError::Filler)
        }
        () => Ok(()),
    }
}

proptest! {
    #[test]
    fn is_the_answer_that_of_the_rules(fields in fields(), tail in prop::collection::vec(0_u8..3, 0..400)) {
        // Zeros are likely behind the body: a tail of zeros and a few other bytes.
        let mut bytes = fields.header(KEY, AT).to_vec();
        bytes.extend(tail.iter().map(|byte| u8::from(*byte == 2) * 9));
        let end = (48 + fields.len as usize).min(bytes.len());
        if fields.kind % 2 == 0 {
            bytes[end..].fill(0);
        }
        repair_crc(KEY.at(AT), &mut bytes, end);
        let found = Frame::parse(KEY, AT, &bytes);
        prop_assert_eq!(found.map(drop), verdict(&fields, &bytes));
        if let Ok(frame) = found {
            prop_assert_eq!(frame.body, &bytes[48..end]);
            prop_assert_eq!(frame.header.next_offset(), AT + fields.span);
        }
    }

    #[test]
    fn does_a_frame_come_back_as_it_was_written(
        kind in 1_u8..7, back: bool, words: (u64, u64, u64, u32, u16), offset in 0_u32..1 << 26,
        body in prop::collection::vec(any::<u8>(), 0..300), dirt: u8,
    ) {
        let (sequence, ts, durable, epoch, count) = words;
        let offset = offset * 16;
        let draft = FrameDraft {
            kind: FrameKind::from_code(kind).expect("a kind"),
            flags: if back { FrameFlags::CLOCK_BACK } else { FrameFlags::NONE },
            sequence: Sequence::new(sequence),
            count,
            ts,
            durable: Position::from_raw(durable),
            epoch: Epoch::new(epoch),
        };
        let mut space = vec![dirt; (48 + body.len()).next_multiple_of(16)];
        space[48..48 + body.len()].copy_from_slice(&body);
        let sealed = seal_frame(KEY, offset, &draft, &mut space, body.len());

        // The same bytes as those that are put together by hand.
        let len = body.len() as u32;
        let fields = Fields {
            len, sequence, ts, durable, epoch, count, kind, flags: u8::from(back), span: sealed.span,
        };
        prop_assert_eq!(&fields.frame(KEY, offset, &body), &space);

        let frame = Frame::parse(KEY, offset, &space).expect("just written");
        prop_assert_eq!(frame.body, &body[..]);
        let expected = FrameHeader {
            offset, crc: sealed.crc, len, span: sealed.span, sequence: draft.sequence, count, ts,
            durable: draft.durable, epoch: draft.epoch, kind: draft.kind, flags: draft.flags,
        };
        prop_assert_eq!(frame.header, expected);
    }

    #[test]
    fn do_any_bytes_have_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..300), offset: u32) {
        prop_assert!(Frame::parse(KEY, offset, &bytes).is_err());
        let _ = (EpochBody::decode(&bytes), GapBody::decode(&bytes));
    }
}
