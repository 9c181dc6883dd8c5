//! What an event of an earlier version costs, beside one of today: read in place, made newer one to
//! one, in a chain of two, one to two, and with a text; and through a trait over versions.
//!
//! Payloads only: what a cursor takes for each event, `replay` says.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use factlog::{Encode, Event, Newer, Scratch, Upcast, Upcasts, Vocabulary};

const EVENTS: u64 = 1_000;

/// Becomes version 3.
#[factlog::event(name = "price-set", version = 1)]
struct PriceSetV1 {
    cents: u32,
}

/// Becomes version 1, to make a chain of it.
#[factlog::event(name = "price-in-euros", version = 1)]
struct PriceInEuros {
    euros: u32,
}

/// Becomes two.
#[factlog::event(name = "prices-set", version = 1)]
struct PricesSet {
    cents: u32,
}

/// Becomes one with a text.
#[factlog::event(name = "price-noted", version = 1)]
struct PriceNotedV1 {
    cents: u32,
}

#[factlog::event(name = "price-set", version = 3)]
struct PriceSet {
    cents: u64,
    product: u64,
}

#[factlog::event(name = "price-noted", version = 2)]
struct PriceNoted {
    cents: u64,
    note: String,
}

#[factlog::vocabulary(earlier(PriceSetV1, PriceInEuros, PricesSet, PriceNotedV1))]
enum PriceEvent {
    Set(PriceSet),
    Noted(PriceNoted),
}

impl Upcast<PriceEvent> for PriceSetV1 {
    fn upcast(old: &PriceSetV1View, newer: &mut Newer<'_, PriceEvent>) {
        newer.push(PriceSet { cents: old.cents().into(), product: 0 });
    }
}

impl Upcast<PriceEvent> for PriceInEuros {
    fn upcast(old: &PriceInEurosView, newer: &mut Newer<'_, PriceEvent>) {
        newer.chain(&PriceSetV1 { cents: old.euros() * 100 });
    }
}

impl Upcast<PriceEvent> for PricesSet {
    fn upcast(old: &PricesSetView, newer: &mut Newer<'_, PriceEvent>) {
        newer.push(PriceSet { cents: old.cents().into(), product: 1 });
        newer.push(PriceSet { cents: old.cents().into(), product: 2 });
    }
}

impl Upcast<PriceEvent> for PriceNotedV1 {
    fn upcast(old: &PriceNotedV1View, newer: &mut Newer<'_, PriceEvent>) {
        let note = String::from("nobody has noted anything here");
        newer.push(PriceNoted { cents: old.cents().into(), note });
    }
}

#[factlog::vocabulary]
enum AnyPrice {
    One(PriceSetV1),
    Three(PriceSet),
}

#[factlog::versions(AnyPrice { One(old) => { cents: old.cents().into() }, Three })]
trait Price {
    fn cents(&self) -> u64;
}

/// Aligned as the log aligns payloads.
#[repr(align(16))]
struct Payload {
    bytes: [u8; 112],
    len: usize,
}

impl Payload {
    fn of(event: &impl Encode) -> Self {
        let mut payload = Self { bytes: [0; 112], len: 0 };
        let encoded = event.encode(&mut payload.bytes, &mut Scratch::new());
        payload.len = encoded.expect("it fits");
        payload
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

fn payloads<E: Event>(event: impl Fn(u32) -> E) -> Vec<Payload> {
    (0..EVENTS as u32).map(|number| Payload::of(&event(number))).collect()
}

/// As states are folded: today's version is looked for first.
fn fold<E: Event>(payloads: &[Payload], upcasts: &mut Upcasts) -> u64 {
    let key = E::static_type().key();
    let mut sum = 0_u64;
    let mut evolve = |view: PriceEventView<'_>| {
        sum = sum.wrapping_add(match view {
            PriceEventView::Set(set) => set.cents() ^ set.product(),
            PriceEventView::Noted(noted) => noted.cents() ^ noted.note().len() as u64,
        });
    };
    for payload in payloads {
        match PriceEvent::view(key, payload.bytes()).expect("valid") {
            Some(view) => evolve(view),
            None => {
                let made = PriceEvent::upcast(key, payload.bytes(), upcasts, &mut evolve);
                assert!(made.expect("made newer").is_some(), "a known one");
            }
        }
    }
    sum
}

fn in_place<E: Event>(payloads: &[Payload]) -> u64 {
    let key = E::static_type().key();
    let read = |payload: &Payload| {
        AnyPrice::view(key, payload.bytes()).expect("valid").expect("known").cents()
    };
    payloads.iter().fold(0, |sum, payload| sum.wrapping_add(read(payload)))
}

fn upcast(c: &mut Criterion) {
    let mut group = c.benchmark_group("upcast");
    group.throughput(Throughput::Elements(EVENTS));
    let mut upcasts = Upcasts::new();

    macro_rules! folded {
        ($name:literal, $type:ty, $event:expr) => {
            let all = payloads::<$type>($event);
            group.bench_function($name, |bencher| {
                bencher.iter(|| fold::<$type>(black_box(&all), &mut upcasts));
            });
        };
    }
    folded!("today", PriceSet, |n| PriceSet { cents: n.into(), product: 0 });
    folded!("one-to-one", PriceSetV1, |cents| PriceSetV1 { cents });
    folded!("chain-of-two", PriceInEuros, |euros| PriceInEuros { euros });
    folded!("one-to-two", PricesSet, |cents| PricesSet { cents });
    folded!("one-to-one-with-text", PriceNotedV1, |cents| PriceNotedV1 { cents });

    let old = payloads(|cents| PriceSetV1 { cents });
    let new = payloads(|n| PriceSet { cents: n.into(), product: 0 });
    group.bench_function("in-place-old", |bencher| {
        bencher.iter(|| in_place::<PriceSetV1>(black_box(&old)));
    });
    group.bench_function("in-place-new", |bencher| {
        bencher.iter(|| in_place::<PriceSet>(black_box(&new)));
    });
    group.finish();
}

fn config() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3))
}

criterion_group! { name = benches; config = config(); targets = upcast }
criterion_main!(benches);
