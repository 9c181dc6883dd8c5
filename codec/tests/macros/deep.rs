//! Types that contain themselves: as deep as is allowed, and no deeper.

use factlog_codec::__private::rkyv;
use factlog_codec::types::{
    EncodeError, Event, MAX_POINTERS, RenderReason, Scratch, ViewError, encode, render,
};

use super::with_payload;

/// A chain of boxes.
#[factlog_codec::event(name = "chain", version = 1, crate = factlog_codec)]
#[derive(Debug, PartialEq)]
struct Chain {
    next: Option<Box<Chain>>,
}

/// A box with many values around it.
type Wrapped = (((Option<Box<Padded>>,),),);

/// A chain with many values around each box.
#[factlog_codec::event(name = "padded", version = 1, crate = factlog_codec)]
struct Padded {
    next: (Wrapped,),
}

fn chain(boxes: u32) -> Chain {
    (0..boxes).fold(Chain { next: None }, |next, _| Chain { next: Some(Box::new(next)) })
}

fn padded(boxes: u32) -> Padded {
    let end = Padded { next: ((((None,),),),) };
    (0..boxes).fold(end, |next, _| Padded { next: ((((Some(Box::new(next)),),),),) })
}

#[test]
fn is_the_deepest_value_read_and_a_deeper_one_refused() {
    let deepest = chain(MAX_POINTERS);
    with_payload(&deepest, |payload| {
        let view = Chain::view(payload).unwrap();
        assert_eq!(view.to_owned(), deepest);
        let mut shown = String::new();
        render(Chain::static_type().description().expect("described"), payload, &mut shown, 10_000)
            .unwrap();
        assert_eq!(shown.matches("next").count(), 129);
    });
    let mut space = [0; 4096];
    let deeper = encode(&chain(MAX_POINTERS + 1), &mut space, &mut Scratch::new());
    assert_eq!(deeper, Err(EncodeError::TooDeep));
}

#[test]
fn is_a_deep_payload_of_others_refused() {
    // Written by rkyv itself, that asks for no depth.
    let payload = rkyv::to_bytes::<rkyv::rancor::Failure>(&chain(1000)).unwrap();
    assert_eq!(Chain::view(&payload).err(), Some(ViewError::Invalid));
    let mut shown = String::new();
    let error = render(
        Chain::static_type().description().expect("described"),
        &payload,
        &mut shown,
        1 << 20,
    );
    assert_eq!(error.unwrap_err().reason, RenderReason::TooDeep);
}

#[test]
fn does_nesting_fit_the_stack_of_a_thread() {
    let payload = rkyv::to_bytes::<rkyv::rancor::Failure>(&padded(MAX_POINTERS)).unwrap();
    assert!(Padded::view(&payload).is_ok());
    let mut shown = String::new();
    let error = render(
        Padded::static_type().description().expect("described"),
        &payload,
        &mut shown,
        1 << 20,
    );
    assert_eq!(error.unwrap_err().reason, RenderReason::TooDeep);
}

#[test]
fn does_a_pointer_to_itself_end() {
    with_payload(&chain(1), |payload| {
        // The option of the root: its box points to the root.
        let len = payload.len();
        payload[len - 4..].copy_from_slice(&(-4_i32).to_le_bytes());
        assert_eq!(Chain::view(payload).err(), Some(ViewError::Invalid));
        let mut shown = String::new();
        let error = render(
            Chain::static_type().description().expect("described"),
            payload,
            &mut shown,
            1 << 20,
        );
        assert_eq!(error.unwrap_err().reason, RenderReason::TooDeep);
        let error = render(
            Chain::static_type().description().expect("described"),
            payload,
            &mut shown,
            100,
        );
        assert_eq!(error.unwrap_err().reason, RenderReason::TooLong);
        assert_eq!(shown, "");
    });
}

#[test]
fn is_what_contains_itself_shown_once() {
    let description = Chain::static_type().description().expect("described");
    assert_eq!(description.to_string(), "next: Option<Box<itself>>");
}

/// What is, or may be, a pointer itself.
#[factlog_codec::value(crate = factlog_codec)]
#[derive(Clone)]
enum End {
    String(String),
    Text(Box<str>),
    List(Vec<u8>),
}

/// A chain of boxes with something at its end.
#[factlog_codec::event(name = "ending", version = 1, crate = factlog_codec)]
struct Ending {
    end: Option<End>,
    next: Option<Box<Ending>>,
}

fn ending(boxes: u32, end: End) -> Ending {
    let last = Ending { end: Some(end), next: None };
    (0..boxes).fold(last, |next, _| Ending { end: None, next: Some(Box::new(next)) })
}

#[test]
fn do_texts_and_empty_lists_count_as_pointers_for_views_and_when_shown() {
    let description = Ending::static_type().description().expect("described");
    // What stands at the end, and whether it is a pointer.
    let ends = [
        (End::String("short".into()), 0),
        (End::String("behind a pointer".into()), 1),
        (End::Text("".into()), 1),
        (End::List(vec![]), 1),
        (End::List(vec![1]), 1),
    ];
    for (at, (end, pointers)) in ends.into_iter().enumerate() {
        for (boxes, fits) in [(MAX_POINTERS - pointers, true), (MAX_POINTERS - pointers + 1, false)]
        {
            let event = ending(boxes, end.clone());
            let payload = rkyv::to_bytes::<rkyv::rancor::Failure>(&event).unwrap();
            assert_eq!(Ending::view(&payload).is_ok(), fits, "end {at}, {boxes} boxes");
            let mut shown = String::new();
            let error = render(description, &payload, &mut shown, 1 << 20).err();
            let reason = error.map(|error| error.reason);
            assert_eq!(reason, (!fits).then_some(RenderReason::TooDeep), "end {at}, {boxes} boxes");
        }
    }
}

/// Only what the format says of pointers.
#[factlog_codec::event(name = "two-lists", version = 1, crate = factlog_codec)]
struct Lists {
    one: Vec<u32>,
    two: Vec<u32>,
}

#[test]
fn are_targets_disjoint_and_in_order_also_of_empty_lists() {
    // 16 bytes, then a root of 16: where each list begins, in words from the start, and its length.
    let view = |one: (i32, u32), two: (i32, u32)| {
        let mut words = [0_u128; 2];
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut words);
        for (at, (target, len)) in [(16, one), (24, two)] {
            let distance = target * 4 - at;
            let at = at as usize;
            bytes[at..at + 4].copy_from_slice(&distance.to_le_bytes());
            bytes[at + 4..at + 8].copy_from_slice(&len.to_le_bytes());
        }
        Lists::view(bytes).is_ok()
    };
    assert!(view((0, 2), (2, 2)) && view((0, 1), (3, 1)) && view((4, 0), (4, 0)));
    assert!(view((0, 0), (0, 4)) && view((0, 4), (4, 0)) && view((2, 0), (2, 0)));
    // One on the other, one before the other, an empty one among them.
    assert!(!view((0, 2), (1, 2)) && !view((2, 2), (0, 2)));
    assert!(!view((2, 0), (1, 0)) && !view((0, 2), (1, 0)) && !view((2, 0), (0, 1)));
    // At or behind the root, empty or not.
    assert!(!view((4, 1), (4, 0)) && !view((5, 0), (5, 0)) && !view((0, 0), (6, 0)));
}
