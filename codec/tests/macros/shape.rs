//! Shapes: their descriptions, their fingerprints, and how a changed one is noticed.

use factlog_codec::types::{Description, DescriptionError, Event, ViewError, Vocabulary};

use super::{Everything, Flat, Nothing, Words, flat, with_payload};

#[test]
fn is_another_shape_of_a_version_noticed() {
    mod changed {
        #[factlog_codec::event(name = "flat", version = 1, crate = factlog_codec)]
        pub(super) struct Flat {
            pub(super) ids: [u64; 9],
            pub(super) uuid: uuid::Uuid,
        }
        #[factlog_codec::event(name = "flat", version = 1, crate = factlog_codec)]
        pub(super) struct Renamed {
            pub(super) ids: [u64; 9],
            pub(super) id: uuid::Uuid,
        }
    }
    let (stored, declared) = (changed::Flat::static_type().key(), Flat::static_type());
    let drift = declared.matches(stored).unwrap_err();
    assert_eq!((drift.name, drift.version), ("flat", 1));
    assert_eq!((drift.declared, drift.stored), (declared.fingerprint(), stored.fingerprint));
    assert!(drift.to_string().contains("Write `version = 2`"), "{drift}");
    with_payload(&flat(), |payload| {
        assert_eq!(Words::view(stored, payload).err(), Some(ViewError::Drift(drift)));
    });
    // The Rust name of an event is no part of its shape.
    assert_eq!(declared.matches(changed::Renamed::static_type().key()), Ok(true));
    assert_eq!(declared.matches(Nothing::static_type().key()), Ok(false));
}

/// The parts of a small description: one struct with a `u64` and a list of it.
const SMALL: [&[u8]; 4] = [
    &[1, 3, 0],
    &[26, 16, 0, 0, 0, 8, 0, 2, 0, 1, b'a', 0, 0, 0, 0, 1, 0, 1, b'b', 8, 0, 0, 0, 2, 0],
    &[8, 8, 0, 0, 0, 8],
    &[22, 8, 0, 0, 0, 4, 1, 0],
];

#[test]
fn are_canonical_forms_as_they_were() {
    // These are in files. A change here is a change of the format.
    let flat = Flat::static_type();
    let nodes: [&[u8]; 5] = [
        &[1, 4, 0],
        // A struct of 88 bytes, "ids" at 0 is node 1, "id" at 72 is node 3.
        b"\x1a\x58\0\0\0\x08\0\x02\0\x03ids\0\0\0\0\x01\0\x02id\x48\0\0\0\x03\0",
        // An array of 72 bytes: 9 times node 2.
        b"\x15\x48\0\0\0\x08\x02\0\x09\0\0\0",
        b"\x08\x08\0\0\0\x08",
        b"\x11\x10\0\0\0\x01",
    ];
    assert_eq!(flat.description().expect("described").as_bytes(), nodes.concat());
    // Computed by another program from the text of the format.
    let key = flat.key();
    assert_eq!((key.name_version, key.fingerprint), (0x20d0_4ee0_69c4_a548, 0x6bf8_9eac_8af1_c5a1));
    assert_eq!(Everything::static_type().fingerprint(), EVERYTHING);
}

/// The fingerprint that holds one of each kind of node.
const EVERYTHING: u64 = 0xdbf1_beb3_ea36_9a0f;

#[test]
fn are_payloads_as_they_were() {
    let event = Stored {
        name: "eight by".into(),
        long: "nine byte".into(),
        list: vec![0x0102, 0x0304],
        maybe: Some(5),
        choice: Choice::Here { at: 6 },
        boxed: Box::new(7),
    };
    // Behind the pointers first, in the order of the fields, each where it is aligned.
    let behind: [&[u8]; 3] = [b"nine byte\0", b"\x02\x01\x04\x03", b"\0\0\x07\0\0\0"];
    let root: [&[u8]; 6] = [
        b"eight by",
        // A length of 9 with bits 7-6 set to 10; 28 bytes back to the text.
        b"\x89\0\0\0\xe4\xff\xff\xff",
        // 26 bytes back to the elements, two of them.
        b"\xe6\xff\xff\xff\x02\0\0\0",
        b"\x01\0\0\0\x05\0\0\0",
        b"\x01\0\x06\0",
        // 40 bytes back.
        b"\xd8\xff\xff\xff",
    ];
    with_payload(&event, |payload| {
        assert_eq!(payload, [behind.concat(), root.concat()].concat());
    });
}

#[factlog_codec::event(name = "stored", version = 1, crate = factlog_codec)]
struct Stored {
    name: String,
    long: String,
    list: Vec<u16>,
    maybe: Option<u32>,
    choice: Choice,
    boxed: Box<u32>,
}

#[factlog_codec::value(crate = factlog_codec)]
enum Choice {
    #[allow(dead_code, reason = "a variant without a value")]
    Nowhere,
    Here {
        at: u16,
    },
}

#[test]
fn do_descriptions_come_back() {
    for event in [Flat::static_type(), Everything::static_type(), Nothing::static_type()] {
        let description = event.description().expect("described");
        let again = Description::decode(description.as_bytes()).unwrap();
        assert_eq!(&again, description);
        assert_eq!(again.fingerprint(), event.fingerprint());
    }
    assert!(Description::decode(&SMALL.concat()).is_ok());
}

#[test]
fn is_every_damage_to_a_description_named() {
    // Part, byte in it, new value, what is said.
    let cases = [
        (0, 0, 2, DescriptionError::Form(2)),
        (0, 1, 0, DescriptionError::NodeCount(0)),
        (0, 2, 0xFF, DescriptionError::NodeCount(0xFF03)),
        (0, 1, 4, DescriptionError::Short),
        (0, 1, 2, DescriptionError::Trailing),
        (1, 0, 99, DescriptionError::Tag(0)),
        (1, 10, 0xFF, DescriptionError::Name(0)),
        // Size no multiple of the alignment, alignments that are none or too large.
        (1, 1, 17, DescriptionError::Layout(0)),
        (1, 5, 3, DescriptionError::Layout(0)),
        (1, 5, 0, DescriptionError::Layout(0)),
        (1, 5, 32, DescriptionError::Layout(0)),
        // A field outside, one that is not aligned, one on another.
        (1, 19, 16, DescriptionError::Layout(0)),
        (1, 19, 9, DescriptionError::Layout(0)),
        (1, 19, 4, DescriptionError::Layout(0)),
        (1, 15, 7, DescriptionError::Reference(0)),
        // A scalar and a list of other sizes.
        (2, 0, 6, DescriptionError::Layout(1)),
        (3, 0, 23, DescriptionError::Layout(2)),
        (3, 6, 3, DescriptionError::Reference(2)),
        // Not first met in this order; not met at all; a value in itself.
        (1, 15, 2, DescriptionError::Order(2)),
        (1, 23, 1, DescriptionError::Order(2)),
    ];
    for (part, at, to, error) in cases {
        let mut parts = SMALL.map(<[u8]>::to_vec);
        parts[part][at] = to;
        assert_eq!(Description::decode(&parts.concat()), Err(error), "{part} {at} {to}");
    }
    let decode = |bytes: &[u8]| Description::decode(bytes).err();
    // An enum in itself, without variants, with two that are the same; a list of nothing.
    let own = [1, 1, 0, 26, 8, 0, 0, 0, 8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(decode(&own), Some(DescriptionError::Nesting));
    let none = [1, 1, 0, 27, 1, 0, 0, 0, 1, 0, 0, 0];
    assert_eq!(decode(&none), Some(DescriptionError::Discriminant(0)));
    let twice = [1, 1, 0, 27, 1, 0, 0, 0, 1, 0, 2, 0, 0, 5, 0, 0, 0, 5, 0, 0];
    assert_eq!(decode(&twice), Some(DescriptionError::Discriminant(0)));
    let empty = [1, 2, 0, 22, 8, 0, 0, 0, 4, 1, 0, 15, 0, 0, 0, 0, 1];
    assert_eq!(decode(&empty), Some(DescriptionError::EmptyElement(0)));
    assert_eq!(decode(&vec![1; 61 * 1024]), Some(DescriptionError::TooLong));
}
