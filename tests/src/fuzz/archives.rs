//! Hostile archives of events as the macros make them, traversed whole.

use std::fmt::Debug;

use factlog::{Description, Encode, Event, Scratch, ViewError, render};

use super::events::{Deep, Everything, Flat};
use super::input::Input;
use super::reached::Reached;

/// Output that is enough for every payload of this length that is no lie.
const MOST: usize = 1 << 20;

/// The first byte says of which type the rest is to be a payload, and how it is aligned.
///
/// # Panics
///
/// When what was accepted cannot be traversed, copied, written again and shown.
pub(super) fn run(bytes: &[u8], reached: &mut Reached) {
    let mut input = Input::new(bytes);
    let of = input.byte();
    // Payloads begin at multiples of 16; some of these do not.
    let shift = if of & 0x80 == 0 { 0 } else { usize::from(of >> 3 & 15) };
    let payload = input.rest();
    let mut aligned = vec![0_u128; (shift + payload.len()).div_ceil(16)];
    let space: &mut [u8] = bytemuck::cast_slice_mut(&mut aligned);
    space[shift..shift + payload.len()].copy_from_slice(payload);
    let payload = &space[shift..shift + payload.len()];
    match of & 7 {
        0 | 4 => {
            let view = Flat::view(payload).map(|view| (format!("{view:?}"), view.to_owned()));
            traversed("flat", payload, view, reached, |again| Flat::view(again).is_ok());
        }
        1 | 5 => {
            let view = Deep::view(payload).map(|view| (format!("{view:?}"), view.to_owned()));
            traversed("deep", payload, view, reached, |again| Deep::view(again).is_ok());
        }
        2 | 6 => {
            let view = Everything::view(payload).map(|view| (format!("{view:?}"), view.to_owned()));
            traversed("everything", payload, view, reached, |again| {
                Everything::view(again).is_ok()
            });
        }
        _ => described(payload, reached),
    }
}

fn traversed<E: Event + Encode + Debug>(
    name: &str,
    payload: &[u8],
    view: Result<(String, E), ViewError>,
    reached: &mut Reached,
    viewed_again: impl FnOnce(&[u8]) -> bool,
) {
    let description = E::static_type().description().expect("the macro describes it");
    let mut shown = String::new();
    let rendered = render(description, payload, &mut shown, MOST);
    reached.count("shown", u64::from(rendered.is_ok()));
    match view {
        Ok((written, owned)) => {
            reached.note(name);
            assert!(!written.is_empty());
            assert!(rendered.is_ok(), "read as an event, but not shown: {rendered:?}");
            let mut space = vec![0_u128; 4096 + payload.len()];
            let space: &mut [u8] = bytemuck::cast_slice_mut(&mut space);
            let len =
                owned.encode(space, &mut Scratch::new()).expect("what was read can be stored");
            assert!(viewed_again(&space[..len]), "stored again, it is not readable: {owned:?}");
        }
        Err(ViewError::Misaligned) => reached.note("misaligned"),
        Err(_) => reached.note("invalid"),
    }
}

/// A description, and behind it a payload of it.
pub(super) fn described(bytes: &[u8], reached: &mut Reached) {
    for split in [bytes.len(), bytes.len() / 2, bytes.len().saturating_sub(64)] {
        let (description, payload) = bytes.split_at(split);
        let Ok(description) = Description::decode(description) else { continue };
        reached.note("descriptions");
        let mut out = String::new();
        for payload in [payload, bytes] {
            let rendered = render(&description, payload, &mut out, 10_000);
            reached.count("shown", u64::from(rendered.is_ok()));
        }
        assert!(out.len() <= 20_000);
    }
}
