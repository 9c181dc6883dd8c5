//! Is a SEGOPEN taken only if all of it can be read?
//!
//! Every reason by its bytes, in frames whose checks hold; every bit of the fixed part turned;
//! random tables of types there and back, changed and cut.

use factlog_codec::{
    Encoding, Fold, Frame, HistoryId, ItemError, ItemKind, Predecessor, SegOpen, SegOpenError,
    SegmentId, StreamNumber, Succession, TypeItem, TypeItemError, TypeNumber, WriteWay,
};
use proptest::prelude::*;
use uuid::Uuid;

use super::items::item;
use super::{Fields, KEY, assert_all_provoked, flipped};

const AT: u32 = 4096;
type Types = Vec<(TypeNumber, String, Vec<u8>)>;

fn open(types: u16) -> SegOpen {
    SegOpen {
        history: HistoryId::new(Uuid::from_u128(5)),
        before: Predecessor {
            segment: SegmentId::new(2),
            end: 8192,
            fold: Fold::from_raw(77),
            why: Succession::TornTail,
        },
        wall_clock: 99,
        next_stream: StreamNumber::new(4),
        next_type: Some(TypeNumber::new(types + 1)),
        types,
        way: WriteWay::Staged,
    }
}

fn type_item<'a>(name: &'a str, description: &'a [u8]) -> TypeItem<'a> {
    TypeItem { name, version: 1, encoding: Encoding::Archive, fingerprint: 3, description }
}

fn body(open: &SegOpen, types: &Types) -> Vec<u8> {
    let items: Vec<_> = types.iter().map(|(n, name, bytes)| (*n, type_item(name, bytes))).collect();
    let table: usize = items.iter().map(|(_, item)| SegOpen::type_len(item)).sum();
    let mut body = vec![0xEE; SegOpen::LEN + table];
    let mut rest = open.encode(&mut body);
    for (number, item) in &items {
        rest = SegOpen::encode_type(rest, *number, item);
    }
    assert!(rest.is_empty(), "lengths are exact");
    body
}

/// Decodes `body` as that of a frame of `kind`, whose checks hold.
fn decode_as(kind: u8, body: &[u8]) -> Result<(SegOpen, Types), SegOpenError> {
    let bytes = Fields { kind, ..Fields::data(body.len()) }.frame(KEY, AT, body);
    let frame = Frame::parse(KEY, AT, &bytes).expect("a frame");
    let (open, types) = SegOpen::decode(&frame)?;
    let types = types.map(|entry| {
        let (number, item) = entry.expect("it was looked at");
        assert_eq!(item, type_item(item.name, item.description));
        (number, item.name.to_owned(), item.description.to_vec())
    });
    Ok((open, types.collect()))
}

fn decode(body: &[u8]) -> Result<(SegOpen, Types), SegOpenError> {
    decode_as(2, body)
}

fn two_types() -> Types {
    vec![
        (TypeNumber::new(1), "one".into(), vec![1, 2, 3]),
        (TypeNumber::new(2), "two".into(), Vec::new()),
    ]
}

#[test]
fn is_each_reason_given_for_its_bytes() {
    let (open, types) = (open(2), two_types());
    let good = body(&open, &types);
    assert_eq!(decode(&good), Ok((open, types)));
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        decode(&bytes).err()
    };
    let event = [&good[..64], &item(1, 0, &[], &good[80..])].concat();
    let expected = [
        (decode_as(1, &good).err(), SegOpenError::Kind),
        (decode(&good[..63]).err(), SegOpenError::Short),
        (decode(&[]).err(), SegOpenError::Short),
        (with(52, 0), SegOpenError::Way(0)),
        (with(52, 3), SegOpenError::Way(3)),
        (with(53, 0), SegOpenError::Why(0)),
        (with(53, 6), SegOpenError::Why(6)),
        (with(54, 1), SegOpenError::Reserved),
        (with(63, 1), SegOpenError::Reserved),
        (with(50, 1), SegOpenError::Types(1)),
        (with(51, 1), SegOpenError::Types(258)),
        (decode(&good[..64]).err(), SegOpenError::Types(2)),
        (decode(&good[..70]).err(), SegOpenError::Item(ItemError::Header)),
        (decode(&good[..90]).err(), SegOpenError::Item(ItemError::Beyond)),
        (with(64 + 6, 0), SegOpenError::Item(ItemError::Flags(0))),
        (with(64 + 6, 4), SegOpenError::NoType(ItemKind::Stream)),
        (decode(&event).err(), SegOpenError::NoType(ItemKind::Event)),
        (with(80 + 15, 9), SegOpenError::Type(TypeItemError::Encoding(9))),
        (with(80 + 14, 0), SegOpenError::Type(TypeItemError::Name)),
    ];
    for (found, reason) in expected {
        assert_eq!(found, Some(reason));
    }
    let reasons = expected.map(|(_, reason)| reason);
    assert_all_provoked(include_str!("../../src/segment/open.rs"), "SegOpenError", &reasons);
}

#[test]
fn does_every_bit_of_the_fixed_part_matter() {
    let (open, types) = (open(2), two_types());
    let good = body(&open, &types);
    let mut accepted = 0;
    for bit in 0..SegOpen::LEN * 8 {
        if let Ok((other, _)) = decode(&flipped(&good, bit)) {
            assert_ne!(other, open, "bit {bit} has no meaning");
            accepted += 1;
        }
    }
    // Bytes 0 to 49 mean something with any value. So do a few of the way and the reason: from
    // staged (2) none, from a torn tail (3) the two others that are one bit away.
    assert_eq!(accepted, 50 * 8 + 2);
}

fn types() -> impl Strategy<Value = Types> {
    let entry = (any::<u16>(), "\\PC{1,30}", prop::collection::vec(any::<u8>(), 0..80));
    let entry = entry.prop_map(|(number, name, bytes)| (TypeNumber::new(number), name, bytes));
    prop::collection::vec(entry, 0..12)
}

proptest! {
    #[test]
    fn does_a_segopen_come_back(
        types in types(), history: [u8; 16], numbers: (u32, u32, u16), words: [u64; 3], way: bool,
        why in 0_usize..5,
    ) {
        use Succession::{First, Forked, Full, Repaired, TornTail};
        let open = SegOpen {
            history: HistoryId::new(Uuid::from_bytes(history)),
            before: Predecessor {
                segment: SegmentId::new(numbers.0),
                end: numbers.1,
                fold: Fold::from_raw(words[0]),
                why: [First, Full, TornTail, Repaired, Forked][why],
            },
            wall_clock: words[1],
            next_stream: StreamNumber::new(words[2]),
            next_type: Some(TypeNumber::new(numbers.2)).filter(|number| number.get() != 0),
            types: types.len() as u16,
            way: if way { WriteWay::Mapped } else { WriteWay::Staged },
        };
        prop_assert_eq!(decode(&body(&open, &types)), Ok((open, types)));
    }

    #[test]
    fn does_a_changed_segopen_have_an_answer(
        types in types(), cut: prop::sample::Index,
        changes in prop::collection::vec(any::<(prop::sample::Index, u8)>(), 1..8),
    ) {
        let mut bytes = body(&open(types.len() as u16), &types);
        for (at, to) in changes {
            let at = at.index(bytes.len());
            bytes[at] = to;
        }
        let frame = |body: &[u8]| Fields { kind: 2, ..Fields::data(body.len()) }.frame(KEY, AT, body);
        for body in [&bytes[..], &bytes[..cut.index(bytes.len())]] {
            let bytes = frame(body);
            let frame = Frame::parse(KEY, AT, &bytes).expect("a frame");
            if let Ok((open, types)) = SegOpen::decode(&frame) {
                prop_assert_eq!(types.clone().count(), usize::from(open.types));
                prop_assert!(types.flatten().count() == usize::from(open.types), "all readable");
            }
        }
    }
}
