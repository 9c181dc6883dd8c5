//! Is each reason for which bytes are refused given, by the bytes that deserve it?
//!
//! Valid bytes are made with the crate, one thing is changed, checksums are mended where the
//! change should get past them, and the exact reason is expected.

use factlog_codec::layout::{FRAME_HEADER, PAGE, seal_offset};
use factlog_codec::types::{Description, DescriptionError};
use factlog_codec::{
    Encoding, Epoch, EventExtensions, ExtensionError, Fold, Frame, FrameDraft, FrameError,
    FrameFlags, FrameKind, HeaderError, HistoryId, ItemError, ItemFlags, ItemHeader, ItemKind,
    Items, Link, LogId, Manifest, ManifestError, Position, Predecessor, Seal, SealError, SegOpen,
    SegOpenError, SegmentHeader, SegmentId, SegmentKey, Sequence, StopReason, StreamItemError,
    StreamKey, StreamKeyError, StreamNumber, StreamVersion, Succession, TypeItem, TypeItemError,
    TypeNumber, Walk, WriteWay, find_residue, seal_frame,
};
use uuid::Uuid;

const AT: u32 = 4096;

fn key() -> SegmentKey {
    SegmentKey::new(99, SegmentId::FIRST)
}

fn draft(kind: FrameKind, sequence: u64, ts: u64) -> FrameDraft {
    FrameDraft {
        kind,
        flags: FrameFlags::NONE,
        sequence: Sequence::new(sequence),
        count: 0,
        ts,
        durable: Position::ZERO,
        epoch: Epoch::new(1),
    }
}

/// A frame with `body` at `at`.
fn frame(at: u32, draft: &FrameDraft, body: &[u8]) -> Vec<u8> {
    let mut space = vec![0; (FRAME_HEADER + body.len()).next_multiple_of(16)];
    space[FRAME_HEADER..FRAME_HEADER + body.len()].copy_from_slice(body);
    seal_frame(key(), at, draft, &mut space, body.len());
    space
}

/// Makes both checks hold again.
fn mend(at: u32, space: &mut [u8]) {
    let len = u32::from_le_bytes(space[4..8].try_into().unwrap()) as usize;
    let mut header: [u8; FRAME_HEADER] = space[..FRAME_HEADER].try_into().unwrap();
    let hsum = key().at(at).hsum(&header);
    header[44..].copy_from_slice(&hsum.to_le_bytes());
    space[..FRAME_HEADER].copy_from_slice(&header);
    if let Some(checked) = space.get(4..FRAME_HEADER + len) {
        let crc = key().at(at).crc(checked);
        space[..4].copy_from_slice(&crc.to_le_bytes());
    }
}

#[test]
fn is_each_reason_against_a_frame_given() {
    let good = frame(AT, &draft(FrameKind::Data, 1, 1), b"body");
    let reason = |bytes: &[u8]| Frame::parse(key(), AT, bytes).unwrap_err();
    assert!(Frame::parse(key(), AT, &good).is_ok());
    assert_eq!(reason(&good[..47]), FrameError::NoRoom);
    assert_eq!(reason(&[0; 64]), FrameError::Empty);
    let changed = |at: usize, to: &[u8]| {
        let mut bytes = good.clone();
        bytes[at..at + to.len()].copy_from_slice(to);
        mend(AT, &mut bytes);
        reason(&bytes)
    };
    assert_eq!(changed(38, &[0]), FrameError::Kind(0));
    assert_eq!(changed(38, &[7]), FrameError::Kind(7));
    assert_eq!(changed(39, &[0x80]), FrameError::Flags(0x80));
    assert_eq!(changed(40, &50_u32.to_le_bytes()), FrameError::Span(50));
    assert_eq!(changed(40, &48_u32.to_le_bytes()), FrameError::Span(48));
    assert_eq!(changed(40, &80_u32.to_le_bytes()), FrameError::Beyond(80));
    assert_eq!(changed(4, &u32::MAX.to_le_bytes()), FrameError::Span(64));
    assert_eq!(changed(60, &[1]), FrameError::Filler);
    let mut bytes = good.clone();
    bytes[50] ^= 1;
    assert_eq!(reason(&bytes), FrameError::Checksum);
    // Every single bit.
    for bit in 0..good.len() * 8 {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let expected = match bit / 8 {
            0..4 | 48..52 => FrameError::Checksum,
            4..48 => FrameError::HeaderSum,
            _ => FrameError::Filler,
        };
        assert_eq!(reason(&bytes), expected, "bit {bit}");
    }
    // The right bytes in another place, segment, or generation.
    assert_eq!(Frame::parse(key(), AT + 16, &good).unwrap_err(), FrameError::HeaderSum);
    for other in [SegmentKey::new(99, SegmentId::new(2)), SegmentKey::new(98, SegmentId::FIRST)] {
        assert_eq!(Frame::parse(other, AT, &good).unwrap_err(), FrameError::HeaderSum);
    }
}

fn item(kind: ItemKind, len: u32, units: u8) -> ItemHeader {
    ItemHeader {
        len,
        type_number: TypeNumber::FIRST,
        flags: ItemFlags { kind, last: false },
        extension_units: units,
        stream: StreamNumber::NONE,
    }
}

#[test]
fn is_each_reason_against_items_and_extensions_given() {
    let reason = |body: &[u8]| Items::new(body).last().unwrap().unwrap_err();
    let good = item(ItemKind::Event, 0, 0).encode();
    assert!(Items::new(&good).all(|item| item.is_ok()));
    assert_eq!(reason(&good[..15]), ItemError::Header);
    let mut bad = good;
    bad[6] = 0x08 | 1;
    assert_eq!(reason(&bad), ItemError::Flags(9));
    bad[6] = 0;
    assert_eq!(reason(&bad), ItemError::Flags(0));
    assert_eq!(reason(&item(ItemKind::Event, 1, 0).encode()), ItemError::Beyond);
    assert_eq!(reason(&item(ItemKind::Event, u32::MAX, 0).encode()), ItemError::Beyond);
    assert_eq!(reason(&item(ItemKind::Event, 0, 1).encode()), ItemError::Beyond);

    let with = |extension: &[u8]| {
        let units = u8::try_from(extension.len() / 16).unwrap();
        [&item(ItemKind::Event, 0, units).encode()[..], extension].concat()
    };
    let link = |body: &[u8]| Items::new(body).next().unwrap().unwrap().extensions.link();
    let mut unknown = [0; 16];
    unknown[..2].copy_from_slice(&[77, 1]);
    assert_eq!(link(&with(&unknown)), Ok(None), "an unknown extension can be skipped");
    unknown[0] = 0x88;
    assert_eq!(link(&with(&unknown)), Err(ExtensionError::Unknown(0x88)));
    unknown[..2].copy_from_slice(&[5, 0]);
    assert_eq!(link(&with(&unknown)), Err(ExtensionError::Length(5)));
    unknown[1] = 2;
    assert_eq!(link(&with(&unknown)), Err(ExtensionError::Length(5)));

    // All extensions there and back, and one byte of metadata too much.
    let metadata = vec![7; 4_000];
    let extensions = EventExtensions {
        link: Some(Link {
            version: StreamVersion::MAX,
            previous: Position::from_raw(Link::MAX_POSITION),
            index: 65_534,
        }),
        cause: Some(Sequence::new(3)),
        metadata: &metadata,
        ..EventExtensions::default()
    };
    let mut bytes = vec![0; extensions.encoded_len().unwrap()];
    extensions.encode(&mut bytes);
    let body = with(&bytes);
    let read = Items::new(&body).next().unwrap().unwrap().extensions;
    assert_eq!(read.link(), Ok(extensions.link));
    assert_eq!(read.cause(), Ok(extensions.cause));
    assert_eq!(read.metadata(), Ok(&metadata[..]));
    let metadata = vec![7; 4_080];
    let extensions = EventExtensions { metadata: &metadata, ..EventExtensions::default() };
    assert_eq!(extensions.encoded_len().unwrap_err().needed, 4_096);
}

#[test]
fn is_each_reason_against_streams_and_types_given() {
    let stream = StreamKey::new("category", "key").unwrap();
    let mut good = vec![0; stream.encoded_len()];
    stream.encode(&mut good);
    assert_eq!(StreamKey::decode(&good), Ok(stream));
    let changed = |at: usize, to: u8| {
        let mut bytes = good.clone();
        bytes[at] = to;
        StreamKey::decode(&bytes).unwrap_err()
    };
    assert_eq!(StreamKey::decode(&good[..3]), Err(StreamItemError::Short));
    assert_eq!(changed(2, 200), StreamItemError::Short);
    assert_eq!(changed(0, 0), StreamItemError::Name(StreamKeyError::NoCategory));
    for kind in [0, 1, 2, 5] {
        assert_eq!(changed(1, kind), StreamItemError::Key(kind));
    }
    assert_eq!(changed(12, 0xFF), StreamItemError::Key(3));
    assert_eq!(StreamKey::new("", 1).unwrap_err(), StreamKeyError::NoCategory);
    let long = "x".repeat(256);
    assert_eq!(StreamKey::new(&long, 1).unwrap_err(), StreamKeyError::CategoryTooLong(256));
    assert_eq!(StreamKey::new("x", &*long).unwrap_err(), StreamKeyError::KeyTooLong(256));

    let item = TypeItem {
        name: "name",
        version: 1,
        encoding: Encoding::Opaque,
        fingerprint: 0,
        description: b"description",
    };
    let mut good = vec![0; item.encoded_len()];
    item.encode(&mut good);
    assert_eq!(TypeItem::decode(&good), Ok(item));
    assert_eq!(TypeItem::decode(&good[..20]).unwrap_err(), TypeItemError::Short);
    let changed = |at: usize, to: u8| {
        let mut bytes = good.clone();
        bytes[at] = to;
        TypeItem::decode(&bytes).unwrap_err()
    };
    assert_eq!(changed(14, 0), TypeItemError::Name);
    assert_eq!(changed(16, 0xFF), TypeItemError::Name);
    assert_eq!(changed(15, 3), TypeItemError::Encoding(3));
    assert_eq!(changed(12, 0), TypeItemError::Version);
    let longer = [&good[..], &[0]].concat();
    assert_eq!(TypeItem::decode(&longer).unwrap_err(), TypeItemError::Trailing);
    assert_eq!(Description::decode(&[1, 0, 0]), Err(DescriptionError::NodeCount(0)));
}

#[test]
fn is_each_reason_against_pages_given() {
    let header = SegmentHeader {
        log: LogId::new(Uuid::from_u128(5)),
        segment: SegmentId::FIRST,
        bits: 22,
        generation: 1,
        salt: 99,
    };
    let good = header.encode();
    assert_eq!(SegmentHeader::decode(&good), Ok(header));
    let mended = |at: usize, to: u8| {
        let mut page = good;
        page[at] = to;
        page[12..16].fill(0);
        let crc = crc32fast::hash(&page);
        page[12..16].copy_from_slice(&crc.to_le_bytes());
        SegmentHeader::decode(&page).unwrap_err()
    };
    assert_eq!(SegmentHeader::decode(&good[..100]), Err(HeaderError::Short));
    assert_eq!(mended(0, 0), HeaderError::Magic);
    assert_eq!(mended(8, 2), HeaderError::Version(2));
    assert_eq!(mended(10, 21), HeaderError::Bits(21));
    assert_eq!(mended(11, 1), HeaderError::Reserved);
    assert_eq!(mended(32, 0), HeaderError::Reserved);
    assert_eq!(mended(36, 0), HeaderError::Reserved);
    assert_eq!(mended(49, 64), HeaderError::Descriptor);
    assert_eq!(mended(4095, 1), HeaderError::Reserved);

    let offset = u32::try_from(seal_offset(22)).unwrap();
    let seal = Seal {
        end: 8192,
        first_sequence: Sequence::new(1),
        next_sequence: Sequence::new(9),
        first_ts: 1,
        last_ts: 2,
        fold: Fold::from_raw(3),
        frames: 4,
        epoch: Epoch::new(1),
        chain: [0; 32],
    };
    let page = seal.encode(key(), offset);
    assert_eq!(Seal::decode(key(), offset, &page), Ok(seal));
    assert_eq!(Seal::decode(key(), offset, &page[..4000]), Err(SealError::Short));
    assert_eq!(Seal::decode(key(), offset, &[0; PAGE]), Err(SealError::Absent));
    assert_eq!(Seal::decode(key(), offset, &[1; PAGE]), Err(SealError::Magic));
    assert_eq!(Seal::decode(key(), 8192, &page), Err(SealError::Checksum));
    let chained = Seal { chain: [1; 32], ..seal }.encode(key(), offset);
    assert_eq!(Seal::decode(key(), offset, &chained), Err(SealError::Reserved));

    let manifest = Manifest {
        generation: 1,
        log: header.log,
        history: HistoryId::new(Uuid::from_u128(6)),
        bits: 22,
        epoch: Epoch::new(1),
        floor: SegmentId::FIRST,
        checkpoint: Position::ZERO,
        checkpoint_sequence: Sequence::FIRST,
        clean: true,
        taken_over: Epoch::new(0),
        lineage: Vec::new(),
    };
    let good = manifest.encode();
    assert_eq!(Manifest::decode(&good), Ok(manifest));
    let mended = |at: usize, to: u8| {
        let mut page = good;
        page[at] = to;
        page[8..12].fill(0);
        let crc = crc32fast::hash(&page);
        page[8..12].copy_from_slice(&crc.to_le_bytes());
        Manifest::decode(&page).unwrap_err()
    };
    assert_eq!(Manifest::decode(&good[..10]), Err(ManifestError::Short));
    assert_eq!(mended(0, 0), ManifestError::Magic);
    assert_eq!(mended(12, 9), ManifestError::Version(9));
    assert_eq!(mended(14, 40), ManifestError::Bits(40));
    assert_eq!(mended(15, 2), ManifestError::Reserved);
    assert_eq!(mended(57, 64), ManifestError::Descriptor);
    assert_eq!(mended(88, 33), ManifestError::Reserved);
    assert_eq!(mended(2000, 1), ManifestError::Reserved);
    for bit in 0..PAGE * 8 {
        let mut page = good;
        page[bit / 8] ^= 1 << (bit % 8);
        assert!(Manifest::decode(&page).is_err(), "bit {bit}");
    }
}

fn segopen(types: u16) -> Vec<u8> {
    let open = SegOpen {
        history: HistoryId::new(Uuid::from_u128(6)),
        before: Predecessor {
            segment: SegmentId::NONE,
            end: 0,
            fold: Fold::default(),
            why: Succession::First,
        },
        wall_clock: 0,
        next_stream: StreamNumber::FIRST,
        next_type: Some(TypeNumber::FIRST),
        types,
        way: WriteWay::Mapped,
    };
    let mut body = vec![0; SegOpen::LEN];
    open.encode(&mut body);
    body
}

#[test]
fn is_each_reason_to_stop_a_walk_given() {
    let first = frame(AT, &draft(FrameKind::SegOpen, 1, 10), &segopen(0));
    let at = AT + u32::try_from(first.len()).unwrap();
    let stop = |second: Vec<u8>| {
        let mut bytes = vec![0; PAGE];
        bytes.extend_from_slice(&first);
        bytes.extend_from_slice(&second);
        let mut walk = Walk::new(key(), &bytes, Some(Sequence::FIRST));
        walk.next_frame().expect("the SEGOPEN");
        let stop = walk.next_frame().map(|frame| frame.header).expect_err("stops");
        assert_eq!(stop.offset, at);
        assert_eq!(walk.next_frame().expect_err("stays"), stop);
        stop.reason
    };
    let data = |change: fn(&mut FrameDraft)| {
        let mut draft = draft(FrameKind::Data, 1, 11);
        change(&mut draft);
        stop(frame(at, &draft, b""))
    };
    assert_eq!(stop(vec![0; 64]), StopReason::Frame(FrameError::Empty));
    let (expected, found) = (Sequence::new(1), Sequence::new(2));
    assert_eq!(
        data(|draft| draft.sequence = Sequence::new(2)),
        StopReason::Sequence { expected, found }
    );
    let (before, found) = (Epoch::new(1), Epoch::new(0));
    assert_eq!(data(|draft| draft.epoch = Epoch::new(0)), StopReason::Epoch { before, found });
    assert_eq!(data(|draft| draft.ts = 10), StopReason::Time { before: 10, found: 10 });
    assert_eq!(data(|draft| draft.kind = FrameKind::SegOpen), StopReason::SegOpen);
    assert_eq!(data(|draft| draft.kind = FrameKind::Gap), StopReason::Body(FrameKind::Gap));
    let count = data(|draft| (draft.kind, draft.count) = (FrameKind::Epoch, 1));
    assert_eq!(count, StopReason::Count(FrameKind::Epoch));

    // What can be wrong with a SEGOPEN itself.
    let reason = |kind: FrameKind, body: &[u8]| {
        let bytes = frame(AT, &draft(kind, 1, 1), body);
        let parsed = Frame::parse(key(), AT, &bytes).expect("verifies");
        SegOpen::decode(&parsed).map(|_| ()).unwrap_err()
    };
    assert_eq!(reason(FrameKind::Data, &segopen(0)), SegOpenError::Kind);
    assert_eq!(reason(FrameKind::SegOpen, &segopen(0)[..60]), SegOpenError::Short);
    assert_eq!(reason(FrameKind::SegOpen, &segopen(1)), SegOpenError::Types(1));
    let with = |at: usize, to: u8| {
        let mut body = segopen(0);
        body[at] = to;
        reason(FrameKind::SegOpen, &body)
    };
    assert_eq!(with(52, 3), SegOpenError::Way(3));
    assert_eq!(with(53, 0), SegOpenError::Why(0));
    let followed = |rest: &[u8]| reason(FrameKind::SegOpen, &[&segopen(1)[..], rest].concat());
    assert_eq!(followed(&[0; 8]), SegOpenError::Item(ItemError::Header));
    let empty = item(ItemKind::Type, 0, 0).encode();
    assert_eq!(followed(&empty), SegOpenError::Type(TypeItemError::Short));
}

#[test]
fn is_looking_behind_the_end_bounded_however_lengths_lie() {
    // Every place claims a frame that reaches to the end, with a header that verifies: each would
    // cost a checksum over the rest.
    let mut bytes = vec![0_u8; 1 << 22];
    let limit = seal_offset(22);
    for at in (PAGE..limit - 64).step_by(48) {
        let at = at & !15;
        let len = u32::try_from(limit - at - FRAME_HEADER).unwrap();
        let span = len + 48;
        let mut header = [0; FRAME_HEADER];
        header[4..8].copy_from_slice(&len.to_le_bytes());
        header[38] = 1;
        header[40..44].copy_from_slice(&span.to_le_bytes());
        let hsum = key().at(u32::try_from(at).unwrap()).hsum(&header);
        header[44..].copy_from_slice(&hsum.to_le_bytes());
        bytes[at..at + FRAME_HEADER].copy_from_slice(&header);
    }
    let residue =
        find_residue(key(), &bytes[AT as usize..limit], AT, 22, Sequence::FIRST, Epoch::new(0));
    assert!(residue.exhausted && residue.frames == 0, "{residue:?}");
}
