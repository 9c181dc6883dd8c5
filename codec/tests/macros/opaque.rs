//! Fields of foreign types, that only rkyv knows.

use factlog_codec::__private::rkyv;
use factlog_codec::types::{Encode, EncodeError, Event, MAX_POINTERS, Scratch, render};

use super::with_payload;

/// As if from another crate: it has rkyv's traits and nothing else.
#[derive(rkyv::Archive, rkyv::Serialize, rkyv::Deserialize, PartialEq, Clone)]
#[rkyv(crate = rkyv)]
struct Angle {
    degrees: u16,
}

/// One that holds a pointer.
#[derive(rkyv::Archive, rkyv::Serialize, PartialEq, Clone)]
#[rkyv(crate = rkyv)]
struct Label {
    text: String,
}

fn label(archived: &ArchivedLabel) -> Label {
    Label { text: archived.text.as_str().into() }
}

#[factlog_codec::value(crate = factlog_codec)]
#[derive(PartialEq)]
enum Mark {
    Turn(#[fact(opaque = "angle@1")] Angle),
}

#[factlog_codec::event(name = "marked", version = 1, crate = factlog_codec)]
#[derive(PartialEq)]
struct Marked {
    #[fact(opaque = "angle@1")]
    angle: Angle,
    #[fact(opaque = "label@2", owned = label)]
    label: Label,
    mark: Mark,
}

#[test]
fn is_a_foreign_field_kept_and_shown_as_bytes() {
    let event = Marked {
        angle: Angle { degrees: 0x1234 },
        label: Label { text: "N".into() },
        mark: Mark::Turn(Angle { degrees: 90 }),
    };
    assert_eq!(event.fixed_size(), None);
    with_payload(&event, |payload| {
        let view = Marked::view(payload).unwrap();
        assert_eq!(view.angle().degrees.to_native(), 0x1234);
        assert!(matches!(view.mark(), MarkView::Turn(angle) if angle.degrees == 90));
        assert!(view.to_owned() == event);
        assert_eq!(
            format!("{view:?}"),
            "Marked { angle: <angle@1>, label: <label@2>, mark: Turn(<angle@1>) }"
        );
        let mut shown = String::new();
        render(Marked::static_type().description().expect("described"), payload, &mut shown, 1000)
            .unwrap();
        let expected =
            r#"{"angle":"3412","label":"4effffffffffffff","mark":{"Turn":{"0":"5a00"}}}"#;
        assert_eq!(shown, expected);
    });
}

/// A foreign type that contains itself.
#[derive(rkyv::Archive, rkyv::Serialize, PartialEq, Clone)]
#[rkyv(
    crate = rkyv,
    serialize_bounds(
        __S: rkyv::ser::Writer + rkyv::ser::Allocator,
        __S::Error: rkyv::rancor::Source,
    ),
    bytecheck(bounds(__C: rkyv::validation::ArchiveContext, __C::Error: rkyv::rancor::Source)),
)]
struct Chain {
    #[rkyv(omit_bounds)]
    next: Option<Box<Chain>>,
}

fn unchained(_: &ArchivedChain) -> Chain {
    Chain { next: None }
}

#[factlog_codec::value(crate = factlog_codec)]
#[derive(PartialEq)]
enum Chained {
    None,
    To(#[fact(opaque = "chain@1", owned = unchained)] Chain),
}

#[factlog_codec::event(name = "chains", version = 1, crate = factlog_codec)]
#[derive(PartialEq)]
struct Chains {
    all: Vec<Option<Box<Chained>>>,
    name: String,
}

#[test]
fn is_a_foreign_value_that_is_too_deep_for_readers_not_written() {
    let chain = |boxes| {
        (0..boxes).fold(Chain { next: None }, |next, _| Chain { next: Some(Box::new(next)) })
    };
    // The list and the box are pointers, too.
    let event = |boxes| Chains {
        all: vec![Some(Box::new(Chained::To(chain(boxes)))), None, Some(Box::new(Chained::None))],
        name: "behind a pointer".into(),
    };
    let deepest = event(MAX_POINTERS - 2);
    with_payload(&deepest, |payload| {
        assert!(Chains::view(payload).expect("it was written").to_owned().all.len() == 3);
    });
    let mut space = vec![0_u128; 4096];
    let space: &mut [u8] = bytemuck::cast_slice_mut(&mut space);
    for start in [0, 1] {
        let mut encode = |event: Chains| event.encode(&mut space[start..], &mut Scratch::new());
        assert!(encode(event(MAX_POINTERS - 2)).is_ok());
        assert_eq!(encode(event(MAX_POINTERS - 1)), Err(EncodeError::TooDeep));
        assert_eq!(encode(event(200)), Err(EncodeError::TooDeep));
    }
}
