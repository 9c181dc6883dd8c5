//! Random values, and random damage.

use core::time::Duration;

use factlog_codec::types::{Description, Event, Scalar, Shape, render};
use proptest::prelude::*;
use uuid::Uuid;

use super::{Class, Everything, Gate, Payment, Price, Rule, Seat, Span, expected, with_payload};

fn text() -> impl Strategy<Value = String> {
    // Short ones are inline, long ones are behind a pointer; control characters need escapes.
    prop_oneof!["\\PC{0,4}", "\\PC{7,30}", "[\"\\\\\n\r\t\u{1}é]{0,12}"]
}

fn seat() -> impl Strategy<Value = Seat> {
    any::<(u8, char)>().prop_map(|(row, letter)| Seat { row, letter })
}

fn payment() -> impl Strategy<Value = Payment> {
    prop_oneof![
        Just(Payment::Cash),
        (any::<u16>(), text()).prop_map(|(digits, name)| Payment::Card(digits, name)),
        (any::<u8>(), proptest::option::of(seat()))
            .prop_map(|(r#type, seat)| Payment::Voucher { r#type, seat }),
    ]
}

fn rule() -> impl Strategy<Value = Rule> {
    Just(Rule::Always).prop_recursive(5, 20, 4, |inner| {
        prop_oneof![
            inner.clone().prop_map(|rule| Rule::Not(Box::new(rule))),
            (proptest::collection::vec(inner, 0..4), text())
                .prop_map(|(rules, name)| Rule::All { rules, name }),
        ]
    })
}

pub(super) fn everything() -> impl Strategy<Value = Everything> {
    let numbers = any::<(bool, (u8, u16, u32, u64, u128), (i8, i16, i32, i64, i128), f32, f64)>();
    let texts = (any::<char>(), text(), text(), proptest::collection::vec(text(), 0..4));
    let lists = any::<(Vec<u8>, Vec<u32>, [u16; 3], Option<u64>, [u8; 16], u64, u32, u8)>();
    let values = (seat(), seat(), seat(), payment(), rule(), any::<bool>(), any::<i16>());
    (numbers, texts, lists, values, proptest::option::of(text())).prop_map(
        |((flag, unsigned, signed, single, double), (letter, a, b, names), lists, values, c)| {
            let (bytes, slice, array, maybe, id, secs, nanos, r#type) = lists;
            let (seat, other, third, payment, rule, which, start) = values;
            Everything {
                flag,
                unsigned,
                signed,
                letter,
                names,
                bytes,
                array,
                maybe,
                r#type,
                rule,
                // Not equal to itself, which the tests ask.
                single: if single.is_nan() { 0.5 } else { single },
                double: if double.is_nan() { f64::INFINITY } else { double },
                span: Span(start, a.clone()),
                text: a,
                boxed_text: b.into(),
                slice: slice.into(),
                seats: [seat, other],
                maybe_text: c,
                boxed: Box::new(third),
                unit: (),
                id: Uuid::from_bytes(id),
                wait: Duration::new(secs, nanos % 1_000_000_000),
                price: Price(secs),
                class: if which { Class::Economy } else { Class::Business },
                gate: if which { Gate::None } else { Gate::Some(r#type) },
                payments: vec![payment.clone(), Payment::Cash],
                payment,
            }
        },
    )
}

/// Views and shows `payload`: whatever it is, there is an answer.
fn probe(description: &Description, payload: &[u8]) {
    if let Ok(view) = Everything::view(payload) {
        let again = view.to_owned();
        with_payload(&again, |bytes| assert!(Everything::view(bytes).is_ok()));
    }
    let mut out = String::from("before ");
    if render(description, payload, &mut out, 10_000).is_err() {
        assert_eq!(out, "before ");
    }
    assert!(out.len() <= 10_007);
}

proptest! {
    #[test]
    fn does_every_value_come_back_and_show_as_expected(event in everything()) {
        with_payload(&event, |payload| {
            let view = Everything::view(payload).expect("just written");
            assert_eq!(view.to_owned(), event);
            let mut shown = String::new();
            let description = Everything::static_type().description().expect("described");
            render(description, payload, &mut shown, 1 << 20).expect("just written");
            assert_eq!(shown, expected::everything(&event));
        });
    }

    #[test]
    fn does_a_damaged_payload_have_an_answer(
        event in everything(), flips in proptest::collection::vec(any::<(usize, u8)>(), 1..8), cut: usize,
    ) {
        let description = Everything::static_type().description().expect("described");
        with_payload(&event, |payload| {
            let len = payload.len();
            for (at, bit) in flips {
                payload[at % len] ^= 1 << (bit % 8);
            }
            probe(description, payload);
            probe(description, &payload[..cut % len]);
        });
    }

    #[test]
    fn do_random_bytes_have_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let mut space = [0_u128; 38];
        let space: &mut [u8] = bytemuck::cast_slice_mut(&mut space);
        space[..bytes.len()].copy_from_slice(&bytes);
        probe(Everything::static_type().description().expect("described"), &space[..bytes.len()]);
        if let Ok(description) = Description::decode(&bytes) {
            assert_eq!(description.as_bytes(), bytes);
        }
        // Read as one value of each kind that has no parts: the last bytes are it.
        for tag in 1..=19 {
            let (size, align) = Scalar::from_tag(tag).expect("a scalar").layout();
            let node = [&[1, 1, 0, tag][..], &size.to_le_bytes(), &[align]].concat();
            let description = Description::decode(&node).expect("a description");
            probe(&description, &space[..bytes.len()]);
            let mut out = String::new();
            let shown = render(&description, &bytes, &mut out, 10_000).is_ok();
            let number = bytes.last_chunk().map(|last| u64::from_le_bytes(*last).to_string());
            if description.nodes()[0].shape == Shape::Scalar(Scalar::U64) {
                assert_eq!(shown.then_some(out), number);
            } else {
                assert!(!shown || bytes.len() >= size as usize);
            }
        }
        let size = u32::try_from(bytes.len()).expect("short").to_le_bytes();
        let opaque = [&[1, 1, 0, 28][..], &size, &[1, 1, b'x']].concat();
        let mut out = String::new();
        let description = Description::decode(&opaque).expect("a description");
        render(&description, &bytes, &mut out, 10_000).expect("bytes are bytes");
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(out, format!("\"{hex}\""));
    }

    #[test]
    fn does_a_damaged_description_have_an_answer(
        event in everything(), at: usize, to: u8, cut: usize,
    ) {
        let mut bytes = Everything::static_type().description().expect("described").as_bytes().to_vec();
        assert!(Description::decode(&bytes[..cut % bytes.len()]).is_err());
        let at = at % bytes.len();
        bytes[at] = to;
        if let Ok(description) = Description::decode(&bytes) {
            assert_eq!(description.as_bytes(), bytes);
            with_payload(&event, |payload| probe(&description, payload));
        }
    }
}
