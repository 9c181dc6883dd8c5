//! Are header, SEAL, manifest and cursor accepted only as they were written?
//!
//! Every reason by its bytes, with the checksum repaired; every bit turned, which is always found;
//! every bit turned and the checksum repaired, which is refused or changes what the page says, so
//! that no bit is without a meaning; random pages there and back.

use std::fmt::Debug;

use factlog_codec::layout::{MAX_LINEAGE, PAGE, seal_offset};
use factlog_codec::{
    Ancestor, CursorName, CursorPlace, CursorSlot, CursorSlotError, Epoch, Fold, HeaderError,
    HistoryId, LogId, Manifest, ManifestError, Owner, Position, Seal, SealError, SegmentHeader,
    SegmentId, Sequence,
};
use proptest::prelude::*;
use uuid::Uuid;

use super::{KEY, assert_all_provoked, flipped};

const SEAL_AT: u32 = (1 << 26) - 4096;

fn header() -> SegmentHeader {
    SegmentHeader {
        log: LogId::new(Uuid::from_u128(1)),
        segment: SegmentId::new(3),
        bits: 26,
        generation: 1,
        salt: 7,
    }
}

fn seal() -> Seal {
    Seal {
        end: 8192,
        first_sequence: Sequence::new(10),
        next_sequence: Sequence::new(20),
        first_ts: 1,
        last_ts: 2,
        fold: Fold::from_raw(3),
        frames: 4,
        epoch: Epoch::new(5),
        chain: [0; 32],
    }
}

fn ancestor(number: u128) -> Ancestor {
    Ancestor {
        log: LogId::new(Uuid::from_u128(number)),
        history: HistoryId::new(Uuid::from_u128(number << 64)),
        last_sequence: Sequence::new(u64::MAX),
        end: Position::new(SegmentId::new(number as u32), 8192, 22),
    }
}

fn manifest(lineage: usize) -> Manifest {
    Manifest {
        generation: 9,
        log: LogId::new(Uuid::from_u128(1)),
        history: HistoryId::new(Uuid::from_u128(2)),
        bits: 22,
        epoch: Epoch::new(3),
        floor: SegmentId::FIRST,
        checkpoint: Position::from_raw(4096),
        checkpoint_sequence: Sequence::FIRST,
        clean: true,
        taken_over: Epoch::new(2),
        lineage: (1..=lineage as u128).map(ancestor).collect(),
    }
}

fn cursor() -> CursorSlot {
    CursorSlot {
        generation: 9,
        name: CursorName::new("board-2.x_y").expect("a name"),
        place: CursorPlace {
            log: LogId::new(Uuid::from_u128(1)),
            sequence: Sequence::new(41),
            next: Sequence::new(42),
            position: Position::from_raw(4096),
            frame_crc: 0x0BAD_CAFE,
            epoch: Epoch::new(3),
            history: HistoryId::new(Uuid::from_u128(2)),
        },
    }
}

/// Writes the checksum of a page, with this function for it, to `at`.
fn repair(page: &mut [u8], at: usize, crc: impl Fn(&[u8]) -> u32) {
    page[at..at + 4].fill(0);
    let crc = crc(page);
    page[at..at + 4].copy_from_slice(&crc.to_le_bytes());
}

fn repair_header(page: &mut [u8]) {
    repair(page, 12, crc32fast::hash);
}

fn repair_manifest(page: &mut [u8]) {
    repair(page, 8, crc32fast::hash);
}

fn repair_seal(page: &mut [u8]) {
    repair(page, 8, |page| KEY.at(SEAL_AT).crc(page));
}

fn read_seal(page: &[u8]) -> Result<Seal, SealError> {
    Seal::decode(KEY, SEAL_AT, page)
}

/// What becomes of `page` with `bytes` at `at` and the checksum repaired.
fn with(page: &[u8], at: usize, bytes: &[u8], repair: impl Fn(&mut [u8])) -> Vec<u8> {
    let mut page = page.to_vec();
    page[at..at + bytes.len()].copy_from_slice(bytes);
    repair(&mut page);
    page
}

#[test]
fn is_each_reason_against_a_header_given() {
    let page = header().encode();
    let decode =
        |at, bytes: &[u8]| SegmentHeader::decode(&with(&page, at, bytes, repair_header)).err();
    let expected = [
        (SegmentHeader::decode(&page[..PAGE - 1]).err(), HeaderError::Short),
        (SegmentHeader::decode(&[]).err(), HeaderError::Short),
        (SegmentHeader::decode(&[0; PAGE]).err(), HeaderError::Magic),
        (decode(0, b"\xFActlog\n\n"), HeaderError::Magic),
        (SegmentHeader::decode(&flipped(&page, 500 * 8)).err(), HeaderError::Checksum),
        (decode(8, &[0, 0]), HeaderError::Version(0)),
        (decode(8, &[2, 0]), HeaderError::Version(2)),
        (decode(48, &[2]), HeaderError::Descriptor),
        (decode(54, &[9]), HeaderError::Descriptor),
        (decode(10, &[21]), HeaderError::Bits(21)),
        (decode(10, &[31]), HeaderError::Bits(31)),
        (decode(11, &[1]), HeaderError::Reserved),
        (decode(32, &[0; 4]), HeaderError::Reserved),
        (decode(36, &[0; 4]), HeaderError::Reserved),
        (decode(56, &[1]), HeaderError::Reserved),
        (decode(PAGE - 1, &[1]), HeaderError::Reserved),
    ];
    for (found, reason) in expected {
        assert_eq!(found, Some(reason));
    }
    let reasons = expected.map(|(_, reason)| reason);
    assert_all_provoked(include_str!("../../src/segment/header.rs"), "HeaderError", &reasons);
    for bits in [22, 30] {
        let header = SegmentHeader { bits, ..header() };
        assert_eq!(SegmentHeader::decode(&header.encode()), Ok(header));
    }
}

#[test]
fn is_each_reason_against_a_seal_given() {
    let page = seal().encode(KEY, SEAL_AT);
    let expected = [
        (read_seal(&page[..PAGE - 1]), SealError::Short),
        (read_seal(&[0; PAGE]), SealError::Absent),
        (read_seal(&with(&page, 0, b"\xFActseal\n", repair_seal)), SealError::Magic),
        (read_seal(&with(&[0; PAGE], PAGE - 1, &[1], repair_seal)), SealError::Magic),
        (read_seal(&flipped(&page, 12 * 8)), SealError::Checksum),
        (read_seal(&with(&page, 96, &[1], repair_seal)), SealError::Checksum),
        (read_seal(&with(&page, PAGE - 1, &[1], repair_seal)), SealError::Checksum),
        (read_seal(&with(&page, 64, &[1], repair_seal)), SealError::Reserved),
        (read_seal(&with(&page, 95, &[1], repair_seal)), SealError::Reserved),
        (Seal::decode(KEY, SEAL_AT - 4096, &page), SealError::Checksum),
    ];
    for (found, reason) in expected {
        assert_eq!(found, Err(reason));
    }
    let reasons = expected.map(|(_, reason)| reason);
    assert_all_provoked(include_str!("../../src/segment/seal.rs"), "SealError", &reasons);
}

#[test]
fn is_each_reason_against_a_manifest_given() {
    let page = manifest(2).encode();
    let decode =
        |at, bytes: &[u8]| Manifest::decode(&with(&page, at, bytes, repair_manifest)).err();
    let expected = [
        (Manifest::decode(&page[..PAGE - 1]).err(), ManifestError::Short),
        (decode(0, b"\xFActlog\r\n"), ManifestError::Magic),
        (Manifest::decode(&flipped(&page, 100)).err(), ManifestError::Checksum),
        (decode(12, &[0, 1]), ManifestError::Version(256)),
        (decode(56, &[2]), ManifestError::Descriptor),
        (decode(14, &[21]), ManifestError::Bits(21)),
        (decode(14, &[31]), ManifestError::Bits(31)),
        (decode(15, &[2]), ManifestError::Reserved),
        (decode(88, &[1]), ManifestError::Reserved),
        (decode(88, &[33]), ManifestError::Reserved),
        (decode(88, &[0xFF; 4]), ManifestError::Reserved),
        (decode(96 + 96, &[1]), ManifestError::Reserved),
        (decode(96 + 40, &[1]), ManifestError::Lineage),
        (decode(PAGE - 1, &[1]), ManifestError::Reserved),
    ];
    for (found, reason) in expected {
        assert_eq!(found, Some(reason));
    }
    let reasons = expected.map(|(_, reason)| reason);
    assert_all_provoked(include_str!("../../src/manifest.rs"), "ManifestError", &reasons);
}

#[test]
fn is_each_reason_against_a_cursor_given() {
    let page = cursor().encode();
    // Its checksum stands where that of a manifest does.
    let decode =
        |at, bytes: &[u8]| CursorSlot::decode(&with(&page, at, bytes, repair_manifest)).err();
    let next = |next| CursorSlotError::Next(Sequence::new(next));
    let expected = [
        (CursorSlot::decode(&page[..PAGE - 1]).err(), CursorSlotError::Short),
        (CursorSlot::decode(&[]).err(), CursorSlotError::Short),
        (CursorSlot::decode(&[0; PAGE]).err(), CursorSlotError::Magic),
        (decode(0, b"\xFActman\r\n"), CursorSlotError::Magic),
        (CursorSlot::decode(&flipped(&page, 100)).err(), CursorSlotError::Checksum),
        (decode(12, &[0, 1]), CursorSlotError::Version(256)),
        (decode(14, &[0]), CursorSlotError::Name),
        (decode(14, &[65]), CursorSlotError::Name),
        (decode(14, &[12]), CursorSlotError::Name),
        (decode(88, b"."), CursorSlotError::Name),
        (decode(88, b"/"), CursorSlotError::Name),
        (decode(88, &[0xFF]), CursorSlotError::Name),
        (decode(14, &[10]), CursorSlotError::Reserved),
        (decode(15, &[1]), CursorSlotError::Reserved),
        (decode(88 + 63, b"x"), CursorSlotError::Reserved),
        (decode(152, &[1]), CursorSlotError::Reserved),
        (decode(PAGE - 1, &[1]), CursorSlotError::Reserved),
        (decode(64, &[41]), next(41)),
        (decode(64, &[43]), next(43)),
        (decode(56, &[0xFF; 8]), next(42)),
        (decode(56, &[0; 16]), next(0)),
    ];
    for (found, reason) in expected {
        assert_eq!(found, Some(reason));
    }
    let reasons = expected.map(|(_, reason)| reason);
    assert_all_provoked(include_str!("../../src/cursor.rs"), "CursorSlotError", &reasons);
    // Nobody has processed anything yet: any event can be the next.
    assert_eq!(decode(56, &[0; 8]), None);
}

/// Turns each bit of `page`, which says `value`: without repair it is refused; with repair it is
/// refused or says something else.
fn turn_each_bit<T: PartialEq + Debug, E: Debug>(
    page: &[u8],
    crc_at: usize,
    value: &T,
    decode: impl Fn(&[u8]) -> Result<T, E>,
    repair: impl Fn(&mut [u8]),
) {
    for bit in 0..page.len() * 8 {
        let mut turned = flipped(page, bit);
        assert!(decode(&turned).is_err(), "bit {bit} was turned");
        // Behind the first kilobytes there is nothing but zeros: there a sample will do.
        let sampled = bit < 1500 * 8 || bit % 61 == 0;
        if sampled && !(crc_at..crc_at + 4).contains(&(bit / 8)) {
            repair(&mut turned);
            if let Ok(other) = decode(&turned) {
                assert_ne!(&other, value, "bit {bit} has no meaning");
            }
        }
    }
}

#[test]
fn does_every_bit_of_a_header_matter() {
    let page = header().encode();
    turn_each_bit(&page, 12, &header(), SegmentHeader::decode, repair_header);
}

#[test]
fn does_every_bit_of_a_seal_matter() {
    turn_each_bit(&seal().encode(KEY, SEAL_AT), 8, &seal(), read_seal, repair_seal);
}

#[test]
fn does_every_bit_of_a_manifest_matter() {
    let full = manifest(MAX_LINEAGE);
    turn_each_bit(&full.encode(), 8, &full, Manifest::decode, repair_manifest);
}

#[test]
fn does_every_bit_of_a_cursor_matter() {
    let longest = CursorName::new(&"x".repeat(64)).expect("a name");
    for cursor in [cursor(), CursorSlot { name: longest, ..cursor() }] {
        turn_each_bit(&cursor.encode(), 8, &cursor, CursorSlot::decode, repair_manifest);
    }
}

#[test]
#[should_panic(expected = "lineage is bounded")]
fn is_a_lineage_of_more_than_32_refused() {
    let _ = manifest(MAX_LINEAGE + 1).encode();
}

/// Log, history, last sequence, segment, offset.
type Drawn = ([u8; 16], [u8; 16], u64, u32, u32);

/// In the order in which a lineage must be, for segments of this size.
fn lineage(bits: u8, ancestors: &[Drawn]) -> Vec<Ancestor> {
    let mut places: Vec<_> = ancestors
        .iter()
        .map(|(_, _, last, segment, offset)| {
            // The smallest segment's frames stand in all.
            let offset = 4112 + offset % ((1 << 22) - 2 * 4096) / 16 * 16;
            (Position::new(SegmentId::new((*segment).max(1)), offset, bits), Sequence::new(*last))
        })
        .collect();
    places.sort_unstable();
    let mut sequences: Vec<_> = places.iter().map(|place| place.1).collect();
    sequences.sort_unstable();
    let ancestor = |(at, drawn): (usize, &Drawn)| Ancestor {
        log: LogId::new(Uuid::from_bytes(drawn.0)),
        history: HistoryId::new(Uuid::from_bytes(drawn.1)),
        last_sequence: sequences[at],
        end: places[at].0,
    };
    ancestors.iter().enumerate().map(ancestor).collect()
}

fn ancestors() -> impl Strategy<Value = Vec<Drawn>> {
    prop_oneof![
        prop::collection::vec(any::<Drawn>(), 0..MAX_LINEAGE),
        prop::collection::vec(any::<Drawn>(), MAX_LINEAGE),
    ]
}

/// Whose is a segment, and where does it end? Held against going over the lineage from its end.
#[test]
fn does_a_segment_belong_to_the_ancestor_that_wrote_it() {
    let at = |number: u128, segment, offset| Ancestor {
        end: Position::new(SegmentId::new(segment), offset, 22),
        ..ancestor(number)
    };
    let lineage = vec![at(1, 3, 8192), at(2, 3, 8192), at(3, 5, 4128), at(4, 7, 9000 / 16 * 16)];
    let manifest = Manifest { log: LogId::new(Uuid::from_u128(9)), lineage, ..manifest(0) };
    let owners = [
        (1, 1, None),
        (2, 1, None),
        (3, 1, Some(8192)),
        (4, 3, None),
        (5, 3, Some(4128)),
        (6, 4, None),
        (7, 4, Some(8992)),
        (8, 9, None),
        (9, 9, None),
    ];
    for (segment, log, end) in owners {
        let owner = manifest.owner(SegmentId::new(segment));
        assert_eq!(
            owner,
            Owner { log: LogId::new(Uuid::from_u128(log)), end },
            "segment {segment}"
        );
    }
    assert_eq!(Manifest::decode(&manifest.encode()), Ok(manifest));
}

/// A lineage that goes back, or ends where no frame can, is none.
#[test]
fn is_a_lineage_that_contradicts_itself_refused() {
    let whole = |lineage| Manifest::decode(&Manifest { lineage, ..manifest(0) }.encode());
    let at = |segment: u32, offset| Ancestor {
        end: Position::new(SegmentId::new(segment), offset, 22),
        ..ancestor(1)
    };
    assert!(whole(vec![at(2, 8192), at(2, 8208)]).is_ok());
    let earlier = Ancestor { last_sequence: Sequence::new(7), ..at(3, 8192) };
    for lineage in [
        vec![at(2, 8208), at(2, 8192)],
        vec![at(3, 8192), at(2, 8192)],
        vec![at(2, 8192), earlier],
        vec![at(2, 8200)],
        vec![at(2, 4096)],
        vec![at(2, (1 << 22) - 4080)],
        vec![at(0, 8192)],
        vec![Ancestor { end: Position::from_raw(!15), ..at(1, 8192) }],
    ] {
        assert_eq!(whole(lineage.clone()), Err(ManifestError::Lineage), "{lineage:?}");
    }
}

proptest! {
    #[test]
    fn do_pages_come_back_as_they_were_written(
        ids: ([u8; 16], [u8; 16]), bits in 22_u8..31, numbers: (u32, u32, u32), words: [u64; 6],
        clean: bool, ancestors in ancestors(),
    ) {
        let log = LogId::new(Uuid::from_bytes(ids.0));
        let segment = SegmentId::new(numbers.0.max(1));
        let header = SegmentHeader { log, segment, bits, generation: numbers.1.max(1), salt: words[0] };
        prop_assert_eq!(SegmentHeader::decode(&header.encode()), Ok(header));

        let seal = Seal {
            end: numbers.1, first_sequence: Sequence::new(words[1]), frames: numbers.2,
            next_sequence: Sequence::new(words[2]), first_ts: words[3], last_ts: words[4],
            fold: Fold::from_raw(words[5]), epoch: Epoch::new(numbers.0), chain: [0; 32],
        };
        let at = seal_offset(bits) as u32;
        let page = seal.encode(header.key(), at);
        prop_assert_eq!(Seal::decode(header.key(), at, &page), Ok(seal));

        let manifest = Manifest {
            generation: words[0], log, history: HistoryId::new(Uuid::from_bytes(ids.1)), bits,
            epoch: Epoch::new(numbers.0), floor: SegmentId::new(numbers.1), clean,
            lineage: lineage(bits, &ancestors), taken_over: Epoch::new(numbers.2),
            checkpoint: Position::from_raw(words[1]), checkpoint_sequence: Sequence::new(words[2]),
        };
        prop_assert_eq!(Manifest::decode(&manifest.encode()), Ok(manifest));

        let sequence = Sequence::new(words[3] >> 1);
        let place = CursorPlace {
            log, sequence, next: sequence.after(1), position: Position::from_raw(words[1]),
            frame_crc: numbers.2, epoch: Epoch::new(numbers.0),
            history: HistoryId::new(Uuid::from_bytes(ids.1)),
        };
        let cursor = CursorSlot { generation: words[0], place, ..cursor() };
        prop_assert_eq!(CursorSlot::decode(&cursor.encode()), Ok(cursor));
    }

    #[test]
    fn is_only_accepted_what_could_have_been_written(
        changes in prop::collection::vec(any::<(prop::sample::Index, u8)>(), 0..6), lineage in 0_usize..33,
        whole: bool,
    ) {
        // Changes fall on the fields, where most of them mean something.
        let range = if whole { PAGE } else { 160 };
        let changed = |page: [u8; PAGE], repair: fn(&mut [u8])| {
            let mut page = page.to_vec();
            for (at, to) in &changes {
                page[at.index(range)] = *to;
            }
            repair(&mut page);
            page
        };
        let page = changed(header().encode(), repair_header);
        if let Ok(header) = SegmentHeader::decode(&page) {
            prop_assert_eq!(&header.encode()[..], &page[..]);
        }
        let page = changed(seal().encode(KEY, SEAL_AT), repair_seal);
        if let Ok(seal) = read_seal(&page) {
            prop_assert_eq!(&seal.encode(KEY, SEAL_AT)[..], &page[..]);
        }
        let page = changed(manifest(lineage).encode(), repair_manifest);
        if let Ok(manifest) = Manifest::decode(&page) {
            prop_assert_eq!(&manifest.encode()[..], &page[..]);
        }
        let page = changed(cursor().encode(), repair_manifest);
        if let Ok(cursor) = CursorSlot::decode(&page) {
            prop_assert_eq!(&cursor.encode()[..], &page[..]);
        }
    }

    #[test]
    fn do_any_bytes_have_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..5000)) {
        prop_assert!(SegmentHeader::decode(&bytes).is_err());
        prop_assert!(Manifest::decode(&bytes).is_err());
        prop_assert!(CursorSlot::decode(&bytes).is_err());
        prop_assert!(read_seal(&bytes).is_err());
    }
}
