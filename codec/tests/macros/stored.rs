//! Events written and read in place.

use factlog_codec::event;
use factlog_codec::types::{
    Encode, EncodeError, Event, List, Scratch, TypeKey, ViewError, Vocabulary,
};
use proptest::strategy::{Strategy, ValueTree};

use super::random::everything;
use super::*;

#[test]
fn are_getters_native() {
    #[event(name = "getters", version = 1, crate = factlog_codec)]
    struct Getters {
        number: u64,
        name: String,
        bytes: Vec<u8>,
        seats: Vec<Seat>,
        maybe: Option<String>,
        boxed: Box<Seat>,
        class: Class,
        payment: Payment,
        span: Span,
        price: Price,
    }
    let event = Getters {
        number: 1,
        name: "gate 12, late".into(),
        bytes: vec![1, 2],
        seats: vec![seat_1a(); 3],
        maybe: None,
        boxed: Box::new(seat_1a()),
        class: Class::Business,
        payment: Payment::Card(3, "x".into()),
        span: Span(-1, "y".into()),
        price: Price(9),
    };
    with_payload(&event, |payload| {
        let view = Getters::view(payload).unwrap();
        let (number, name, maybe): (u64, &str, Option<&str>) =
            (view.number(), view.name(), view.maybe());
        assert_eq!((number, name, maybe), (1, "gate 12, late", None));
        let bytes: List<'_, u8> = view.bytes();
        assert_eq!((bytes.as_bytes(), bytes.get(1), bytes.get(2)), (&[1, 2][..], Some(2), None));
        assert_eq!(bytes, [1, 2]);
        assert_eq!(view.seats().iter().rev().map(|seat| seat.row()).sum::<u8>(), 3);
        assert_eq!(view.seats().partition_point(|seat| seat.row() < 2), 3);
        assert_eq!(view.boxed().get().letter(), 'A');
        assert_eq!(view.class(), Class::Business);
        assert!(matches!(view.payment(), PaymentView::Card(3, "x")));
        assert_eq!((view.span().get_0(), view.span().get_1(), view.price().get()), (-1, "y", 9));
        assert!(format!("{view:?}").starts_with("Getters { number: 1, name: \"gate 12, late\", "));
    });
}

#[test]
fn is_a_fixed_size_what_is_written() {
    let size = |event: &dyn Encode| {
        let mut space = [0; 128];
        (event.fixed_size(), event.encode(&mut space, &mut Scratch::new()))
    };
    assert_eq!(size(&flat()), (Some(88), Ok(88)));
    assert_eq!(size(&Nothing), (Some(0), Ok(0)));
    assert_eq!(Nothing::view(&[]).unwrap().to_owned(), Nothing);
}

#[test]
fn is_too_little_space_refused_at_every_length() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let event = everything().new_tree(&mut runner).unwrap().current();
    let len = with_payload(&event, |payload| payload.len());
    let mut space = vec![0_u128; len / 16 + 1];
    let space: &mut [u8] = bytemuck::cast_slice_mut(&mut space);
    let mut scratch = Scratch::new();
    for short in 0..len {
        assert_eq!(event.encode(&mut space[..short], &mut scratch), Err(EncodeError::NoSpace));
    }
    assert_eq!(event.encode(&mut space[..len], &mut scratch), Ok(len));
    // Too little scratch space for lists is no other case.
    let many =
        Everything { payments: vec![Payment::Card(1, "long enough a name".into()); 50], ..event };
    let mut space = vec![0; 1 << 16];
    assert_eq!(many.encode(&mut space, &mut Scratch::with_size(64)), Err(EncodeError::NoSpace));
}

#[test]
fn is_a_misaligned_or_short_payload_refused() {
    with_payload(&flat(), |payload| {
        assert_eq!(Flat::view(&payload[..87]).err(), Some(ViewError::Invalid));
        assert_eq!(Flat::view(&payload[..80]).err(), Some(ViewError::Invalid));
        assert_eq!(Flat::view(&payload[1..]).err(), Some(ViewError::Misaligned));
        assert!(Flat::view(&[]).is_err());
    });
}

#[test]
fn does_a_vocabulary_know_its_events() {
    let event = Words::from(flat());
    assert_eq!(event.event_type().name(), "flat");
    let types = Words::types();
    assert_eq!(
        types.iter().map(|t| (t.name(), t.version())).collect::<Vec<_>>(),
        [("flat", 1), ("everything", 3), ("nothing.at-all", 65535)]
    );
    assert!(types[0].slot() != types[1].slot() && types[0].slot() == Flat::static_type().slot());
    with_payload(&event, |payload| {
        let view = Words::view(Flat::static_type().key(), payload).unwrap().unwrap();
        assert!(matches!(view, WordsView::Flat(flat) if flat.ids() == [7; 9]));
        assert_eq!(view.to_owned(), event);
        assert!(Words::view(TypeKey::new("flat", 2, 0), payload).unwrap().is_none());
        assert!(Words::view(TypeKey::new("other", 1, 0), payload).unwrap().is_none());
    });
}
