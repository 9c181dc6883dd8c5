//! Is a frame that comes in pieces held to the same checks as one that is there whole?
//!
//! The oracle is `Frame::parse` of the same bytes, whatever was done to them and wherever they are
//! cut. And candidates: the same as by asking at every 16th byte.

use factlog_codec::layout::{FRAME_HEADER, PAGE};
use factlog_codec::{Frame, FrameError, FrameHeader, FramePieces, SegmentKey, find_candidate};
use proptest::prelude::*;

use super::{Fields, KEY, flipped};

const AT: u32 = 4096;

fn in_pieces(key: SegmentKey, bytes: &[u8], cuts: &[usize]) -> Result<FrameHeader, FrameError> {
    let first = bytes.first_chunk::<FRAME_HEADER>().ok_or(FrameError::NoRoom)?;
    let mut pieces = FramePieces::begin(key, AT, first, bytes.len())?;
    let span = pieces.header().span as usize;
    let mut cuts = cuts.iter().copied().cycle();
    while pieces.missing() > 0 {
        let rest = &bytes[pieces.taken()..];
        let cut = cuts.next().unwrap_or(1).clamp(1, rest.len());
        let (before, missing) = (pieces.taken(), pieces.missing());
        let taken = pieces.take(&rest[..cut]);
        assert_eq!((taken, pieces.taken()), (cut.min(missing), before + taken));
    }
    assert_eq!((pieces.taken(), pieces.take(&[1; 99])), (span, 0), "what is behind is not its own");
    pieces.finish()
}

#[test]
fn is_a_frame_that_is_not_taken_whole_none() {
    let bytes = Fields::data(100).frame(KEY, AT, &[7; 100]);
    let first = bytes.first_chunk().expect("a header");
    for taken in 0..bytes.len() {
        let mut pieces = FramePieces::begin(KEY, AT, first, bytes.len()).expect("a header");
        assert_eq!(pieces.take(&bytes[..taken]), taken);
        assert_eq!(pieces.finish(), Err(FrameError::NoRoom));
    }
    let beyond = FramePieces::begin(KEY, AT, first, bytes.len() - 1).expect_err("no room");
    assert_eq!(beyond, FrameError::Beyond(bytes.len() as u32));
}

#[test]
fn is_each_bit_seen_wherever_it_is_cut() {
    let good = Fields::data(37).frame(KEY, AT, &[9; 37]);
    for bit in 0..good.len() * 8 {
        let bytes = flipped(&good, bit);
        let whole = Frame::parse(KEY, AT, &bytes).map(|frame| frame.header);
        assert!(whole.is_err());
        for cuts in [&[1][..], &[3, 1, 2], &[48], &[50, 2], &[1000]] {
            assert_eq!(in_pieces(KEY, &bytes, cuts), whole, "bit {bit}, {cuts:?}");
        }
    }
}

proptest! {
    #[test]
    fn is_it_the_same_as_of_the_whole(
        len in 0..3000_usize,
        more in 0..4_u32,
        noise in proptest::option::of((0..3200_usize, 1..=255_u8)),
        cuts in proptest::collection::vec(1..700_usize, 1..9),
    ) {
        let mut fields = Fields::data(len);
        fields.span += 16 * more;
        let mut bytes = fields.frame(KEY, AT, &vec![0x5A; len]);
        bytes.resize(fields.span as usize + 32, 0);
        if let Some((at, mask)) = noise && let Some(byte) = bytes.get_mut(at) {
            *byte ^= mask;
        }
        let whole = Frame::parse(KEY, AT, &bytes).map(|frame| frame.header);
        prop_assert_eq!(in_pieces(KEY, &bytes, &cuts), whole);
    }

    #[test]
    fn is_the_first_candidate_found(
        places in proptest::collection::vec((place(), prop_oneof![Just(0), 0..3000_usize]), 0..6),
        number in 0..2_u64,
        around in prop_oneof![Just(0xEE), Just(0)],
        cut in 0..20_100_usize,
        end in 0..20_200_u32,
    ) {
        let mut bytes = vec![around; 20_048];
        for (at, len) in places {
            let offset = AT + at * 16;
            // A header may begin with zeros, of which its own check knows nothing wrong.
            let fields = Fields { sequence: number, ts: number, ..Fields::data(len) };
            let header = fields.header(KEY, offset);
            bytes[at as usize * 16..][..FRAME_HEADER].copy_from_slice(&header);
        }
        let (bytes, end) = (&bytes[..cut.min(bytes.len())], AT + end);
        // By its own check, and with its lengths below the end, although they are not at hand.
        let slow = (0..bytes.len() / 16).find_map(|index| {
            let offset = AT + index as u32 * 16;
            let first = bytes[index * 16..].first_chunk::<FRAME_HEADER>()?;
            let mut room = vec![0; end.checked_sub(offset)? as usize];
            room.get_mut(..FRAME_HEADER)?.copy_from_slice(first);
            FrameHeader::parse(KEY, offset, &room).ok()
        });
        prop_assert_eq!(find_candidate(KEY, bytes, AT, end), slow);
    }
}

/// A place for a header, by sixteens: anywhere, or so that it ends at a page, crosses into it, or
/// begins there.
fn place() -> impl Strategy<Value = u32> {
    let at_page = (1..5_u32, 0..4_u32).prop_map(|(nth, before)| nth * PAGE as u32 / 16 - before);
    prop_oneof![0..1250_u32, at_page]
}
