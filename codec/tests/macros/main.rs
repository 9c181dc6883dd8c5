//! Events as the macros make them: stored, read in place, described and shown.
#![forbid(unsafe_code)]
#![deny(missing_docs, unreachable_pub)]

use core::time::Duration;

use factlog_codec::types::{Encode, Scratch};
use factlog_codec::{event, value, vocabulary};
use uuid::Uuid;

mod deep;
mod expected;
mod large;
mod names;
mod opaque;
mod random;
mod shape;
mod stored;

/// A seat.
#[value(crate = factlog_codec)]
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Seat {
    pub(crate) row: u8,
    pub(crate) letter: char,
}

#[value(crate = factlog_codec, name = "price-in-cents")]
#[derive(Debug, Clone, PartialEq)]
struct Price(u64);

#[value(crate = factlog_codec)]
#[derive(Debug, Clone, PartialEq)]
struct Span(i16, String);

#[value(crate = factlog_codec)]
#[derive(Debug, Clone, Copy, PartialEq)]
enum Class {
    Economy = 3,
    Business,
}

#[value(crate = factlog_codec)]
#[derive(Debug, Clone, PartialEq)]
enum Payment {
    Cash,
    Card(u16, String),
    Voucher { r#type: u8, seat: Option<Seat> },
}

/// All views are numbers.
#[value(crate = factlog_codec)]
#[derive(Debug, Clone, PartialEq)]
enum Gate {
    None,
    Some(u8),
}

/// Contains itself.
#[value(crate = factlog_codec)]
#[derive(Debug, Clone, PartialEq)]
enum Rule {
    Always,
    Not(Box<Rule>),
    All { rules: Vec<Rule>, name: String },
}

/// Every supported type.
#[event(name = "everything", version = 3, crate = factlog_codec)]
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Everything {
    /// Documented.
    pub(crate) flag: bool,
    unsigned: (u8, u16, u32, u64, u128),
    signed: (i8, i16, i32, i64, i128),
    single: f32,
    double: f64,
    letter: char,
    text: String,
    boxed_text: Box<str>,
    bytes: Vec<u8>,
    names: Vec<String>,
    slice: Box<[u32]>,
    array: [u16; 3],
    seats: [Seat; 2],
    maybe: Option<u64>,
    maybe_text: Option<String>,
    boxed: Box<Seat>,
    unit: (),
    id: Uuid,
    wait: Duration,
    price: Price,
    span: Span,
    class: Class,
    payment: Payment,
    gate: Gate,
    rule: Rule,
    payments: Vec<Payment>,
    r#type: u8,
}

/// 88 bytes, all of them in place.
#[event(name = "flat", version = 1, crate = factlog_codec)]
#[derive(Debug, Clone, PartialEq)]
struct Flat {
    ids: [u64; 9],
    id: Uuid,
}

#[event(name = "nothing.at-all", version = 65535, crate = factlog_codec)]
#[derive(Debug, Clone, PartialEq)]
struct Nothing;

#[allow(clippy::large_enum_variant, reason = "one of each size is what is tested")]
#[vocabulary(crate = factlog_codec)]
#[derive(Debug, Clone, PartialEq)]
enum Words {
    Flat(Flat),
    Everything(Everything),
    Nothing(Nothing),
}

/// Encodes at a multiple of 16, as the log does.
fn with_payload<T>(event: &impl Encode, read: impl FnOnce(&mut [u8]) -> T) -> T {
    let mut space = vec![0_u128; 4096];
    let space: &mut [u8] = bytemuck::cast_slice_mut(&mut space);
    let len = event.encode(space, &mut Scratch::new()).expect("it fits");
    read(&mut space[..len])
}

fn seat_1a() -> Seat {
    Seat { row: 1, letter: 'A' }
}

fn flat() -> Flat {
    Flat { ids: [7; 9], id: Uuid::from_u128(5) }
}
