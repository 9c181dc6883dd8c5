//! Fields of foreign types, that only rkyv knows.

use factlog_codec::__private::rkyv;
use factlog_codec::types::{Encode, Event, render};

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
