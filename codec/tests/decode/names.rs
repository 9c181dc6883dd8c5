//! Are the names of streams and the descriptions of types what a writer may write?
//!
//! Every reason by its bytes; payloads cut at every length; random ones there and back; and any
//! bytes that are accepted must be those that encoding the answer gives.

use factlog_codec::{
    Encoding, Key, StreamItemError, StreamKey, StreamKeyError, TypeItem, TypeItemError,
};
use proptest::prelude::*;
use uuid::Uuid;

use super::assert_all_provoked;

fn stream_bytes(key: &StreamKey) -> Vec<u8> {
    let mut bytes = vec![0xEE; key.encoded_len()];
    key.encode(&mut bytes);
    bytes
}

fn type_bytes(item: &TypeItem<'_>) -> Vec<u8> {
    let mut bytes = vec![0xEE; item.encoded_len()];
    item.encode(&mut bytes);
    bytes
}

#[test]
fn is_each_reason_against_a_stream_given() {
    let long = "x".repeat(256);
    let names = [
        (StreamKey::new("", 1), StreamKeyError::NoCategory),
        (StreamKey::new(&long[..65], 1), StreamKeyError::CategoryTooLong(65)),
        (StreamKey::new("a", &long[..]), StreamKeyError::KeyTooLong(256)),
        (StreamKey::new("a", long.as_bytes()), StreamKeyError::KeyTooLong(256)),
    ];
    for (found, reason) in &names {
        assert_eq!(found.as_ref(), Err(reason));
    }
    let source = include_str!("../../src/item/stream.rs");
    assert_all_provoked(source, "StreamKeyError", &names.map(|(_, reason)| reason));
    assert!(StreamKey::new(&long[..64], &long[..255]).is_ok());

    // Kind, length and bytes of the key, in the category `c`.
    let key = |kind: u8, bytes: &[u8]| {
        let head = [1, kind, u8::try_from(bytes.len()).expect("short"), 0, b'c'];
        StreamKey::decode(&[&head[..], bytes].concat())
    };
    assert_eq!(
        key(1, &[5, 0, 0, 0, 0, 0, 0, 1]),
        StreamKey::new("c", (1_u64 << 56) + 5).map_err(StreamItemError::Name)
    );
    let category = |bytes: &[u8]| {
        let head = [u8::try_from(bytes.len()).expect("short"), 4, 0, 0];
        StreamKey::decode(&[&head[..], bytes].concat())
    };
    let expected = [
        (StreamKey::decode(&[]), StreamItemError::Short),
        (StreamKey::decode(&[1, 4, 0]), StreamItemError::Short),
        (StreamKey::decode(&[1, 4, 0, 0]), StreamItemError::Short),
        (StreamKey::decode(&[1, 4, 1, 0, b'c']), StreamItemError::Short),
        (category(b""), StreamItemError::Name(StreamKeyError::NoCategory)),
        (category(&[b'c'; 65]), StreamItemError::Name(StreamKeyError::CategoryTooLong(65))),
        (category(&[0xFF]), StreamItemError::Key(4)),
        (key(0, b""), StreamItemError::Key(0)),
        (key(5, b""), StreamItemError::Key(5)),
        (key(1, &[0; 7]), StreamItemError::Key(1)),
        (key(1, &[0; 9]), StreamItemError::Key(1)),
        (key(2, &[0; 15]), StreamItemError::Key(2)),
        (key(2, &[0; 17]), StreamItemError::Key(2)),
        (key(3, &[0xC0]), StreamItemError::Key(3)),
        (StreamKey::decode(&[1, 4, 0, 1, b'c']), StreamItemError::Reserved),
        (StreamKey::decode(&[1, 4, 0, 0, b'c', 0]), StreamItemError::Trailing),
    ];
    for (found, reason) in &expected {
        assert_eq!(found.as_ref(), Err(reason));
    }
    assert_all_provoked(source, "StreamItemError", &expected.map(|(_, reason)| reason));
}

#[test]
fn is_each_reason_against_a_type_given() {
    let name = "n".repeat(129);
    let head = |name: u8, encoding: u8, description: u32| {
        let mut bytes = [0; 16];
        bytes[8..12].copy_from_slice(&description.to_le_bytes());
        bytes[12] = 1;
        bytes[14..].copy_from_slice(&[name, encoding]);
        bytes
    };
    let decode = |head: [u8; 16], rest: &[u8]| {
        TypeItem::decode(&[&head[..], rest].concat()).map(|item| item.encoded_len())
    };
    assert_eq!(decode(head(128, 1, 3), &[&name.as_bytes()[..128], b"abc"].concat()), Ok(147));
    let mut unversioned = head(1, 1, 0);
    unversioned[12] = 0;
    let expected = [
        (decode(head(1, 1, 0), b""), TypeItemError::Short),
        (decode(head(1, 1, 4), b"nabc"), TypeItemError::Short),
        (decode(head(1, 1, u32::MAX), b"nabc"), TypeItemError::Short),
        (TypeItem::decode(&[0; 15]).map(|item| item.encoded_len()), TypeItemError::Short),
        (decode(head(0, 1, 0), b""), TypeItemError::Name),
        (decode(head(129, 1, 0), name.as_bytes()), TypeItemError::Name),
        (decode(head(1, 1, 0), &[0xFF]), TypeItemError::Name),
        (decode(head(1, 0, 0), b"n"), TypeItemError::Encoding(0)),
        (decode(head(1, 3, 0), b"n"), TypeItemError::Encoding(3)),
        (decode(unversioned, b"n"), TypeItemError::Version),
        (decode(head(1, 1, 1), b"nde"), TypeItemError::Trailing),
    ];
    for (found, reason) in expected {
        assert_eq!(found, Err(reason));
    }
    let reasons = expected.map(|(_, reason)| reason);
    assert_all_provoked(include_str!("../../src/item/event_type.rs"), "TypeItemError", &reasons);
}

fn stream() -> impl Strategy<Value = StreamKey> {
    let key = prop_oneof![
        any::<u64>().prop_map(Key::from),
        any::<[u8; 16]>().prop_map(|bytes| Key::from(Uuid::from_bytes(bytes))),
        "\\PC{0,60}".prop_map(Key::from),
        prop::collection::vec(any::<u8>(), 0..256).prop_map(|bytes| Key::from(&bytes[..])),
    ];
    ("\\PC{1,16}", key).prop_map(|(category, key)| StreamKey::new(&category, key).expect("legal"))
}

proptest! {
    #[test]
    fn does_a_stream_come_back(key in stream()) {
        let bytes = stream_bytes(&key);
        prop_assert_eq!(StreamKey::decode(&bytes), Ok(key));
        for len in 0..bytes.len() {
            prop_assert_eq!(StreamKey::decode(&bytes[..len]), Err(StreamItemError::Short));
        }
    }

    #[test]
    fn does_a_type_come_back(
        name in "\\PC{1,32}", version in 1_u16.., opaque: bool, fingerprint: u64,
        description in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let encoding = if opaque { Encoding::Opaque } else { Encoding::Archive };
        let item = TypeItem { name: &name, version, encoding, fingerprint, description: &description };
        let bytes = type_bytes(&item);
        prop_assert_eq!(TypeItem::decode(&bytes), Ok(item));
        for len in 0..bytes.len() {
            prop_assert_eq!(TypeItem::decode(&bytes[..len]), Err(TypeItemError::Short));
        }
    }

    #[test]
    fn is_only_accepted_what_could_have_been_written(
        key in stream(), changes in prop::collection::vec(any::<(prop::sample::Index, u8)>(), 0..3),
        random in prop::collection::vec(any::<u8>(), 0..200), lens: (u8, u8), longer in 0_usize..3,
    ) {
        let mut changed = stream_bytes(&key);
        changed.resize(changed.len() + longer, 0);
        for (at, to) in changes {
            let at = at.index(changed.len());
            changed[at] = to;
        }
        // Half random: a head of possible lengths.
        let head = [&[lens.0 % 70, lens.1 % 6, lens.1 % 20, 0][..], &random].concat();
        for bytes in [&changed, &head, &random] {
            if let Ok(found) = StreamKey::decode(bytes) {
                prop_assert_eq!(&stream_bytes(&found), bytes);
            }
            if let Ok(found) = TypeItem::decode(bytes) {
                prop_assert_eq!(&type_bytes(&found), bytes);
            }
        }
    }
}
