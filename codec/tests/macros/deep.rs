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
