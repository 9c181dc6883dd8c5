//! Does the flights example measure durability without changing it?
//!
//! Goal: whatever makes facts durable, the log and its views are the same, and watching raises no
//! demand for a sync. Method: the built-in month under each policy, its views held against a
//! replay; a log that nobody syncs, watched; a histogram held against a sorted list.

#[allow(dead_code, reason = "the example uses what this test does not")]
#[path = "../../engine/examples/flights/append.rs"]
mod append;
#[allow(dead_code, reason = "the example uses what this test does not")]
#[path = "../../engine/examples/flights/args.rs"]
mod args;
#[path = "../../engine/examples/flights/durable.rs"]
mod durable;
#[path = "../../engine/examples/flights/events.rs"]
mod events;
#[allow(dead_code, reason = "the example uses what this test does not")]
#[path = "../../engine/examples/flights/failure.rs"]
mod failure;
#[path = "../../engine/examples/flights/follow.rs"]
mod follow;
#[allow(dead_code, reason = "the example uses what this test does not")]
#[path = "../../engine/examples/flights/input/mod.rs"]
mod input;
#[path = "../../engine/examples/flights/latency.rs"]
mod latency;
#[allow(dead_code, reason = "the example uses what this test does not")]
#[path = "../../engine/examples/flights/produce.rs"]
mod produce;
#[path = "../../engine/examples/flights/views.rs"]
mod views;

use std::time::Duration;

use append::{Appended, append};
use args::Policy;
use durable::DurableWatch;
use events::FlightFact;
use factlog::{Durability, EventType, Opaque, Options};
use follow::{Views, fold};
use latency::{Histogram, Latency, SAMPLE};
use views::Totals;

static NOTE: EventType = EventType::opaque("note", 1);

fn in_order(latency: Option<Latency>) -> Latency {
    let latency = latency.expect("something was measured");
    assert!(0.0 < latency.p50 && latency.p50 <= latency.p99 && latency.p99 <= latency.max);
    latency
}

#[test]
fn do_all_policies_give_the_same_totals() {
    let input = input::january().unwrap();
    let mut first: Option<Views> = None;
    for policy in Policy::ALL {
        let directory = tempfile::tempdir().unwrap();
        let options = Options::new().vocabulary::<FlightFact>();
        let writer = options.durability(policy.durability()).open(directory.path()).unwrap();
        let appended = append(writer, &input, policy, false).unwrap();
        let Appended { events, live, to_board, to_answer, to_durable, .. } = appended;
        assert_eq!(events, 80_491, "{policy:?}");
        for latency in [to_board, to_answer, to_durable] {
            in_order(latency);
        }
        let log = Options::new().open_read_only(directory.path()).unwrap();
        let replayed: Views = fold(&log, events, |_, _| {}).unwrap();
        assert_eq!(live, replayed, "{policy:?}");
        let totals = Totals::of(&live.airports, &live.carriers, &live.aircraft);
        assert_eq!((totals.flights, totals.departed), (27_004, 26_483), "{policy:?}");
        assert_eq!(totals.departure_delay_minutes, 265_801, "{policy:?}");
        assert_eq!(first.get_or_insert(live), &replayed, "{policy:?}");
    }
}

#[test]
fn does_watching_leave_the_log_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options::new().durability(Durability::None);
    let mut writer = options.open(directory.path()).unwrap();
    writer.append(&Opaque::new(&NOTE, b"old")).unwrap();
    let log = writer.log();
    let watch = DurableWatch::start(&log, 1);
    let before = log.durable();
    writer.append(&Opaque::new(&NOTE, b"new")).unwrap();
    std::thread::sleep(50 * SAMPLE);
    assert_eq!(log.durable(), before, "nobody has asked for a sync");
    writer.sync().unwrap();
    assert_eq!(log.durable().0.get(), 2);
    writer.close().unwrap();
    let latency = in_order(watch.finish().unwrap());
    assert!(latency.p50 >= 50_000.0, "it lay there for {latency:?}");

    // Nothing is new: nothing is measured.
    let writer = Options::new().open(directory.path()).unwrap();
    let watch = DurableWatch::start(&writer.log(), 2);
    writer.close().unwrap();
    assert_eq!(watch.finish().unwrap(), None);
}

#[test]
fn does_a_histogram_say_what_a_sorted_list_says() {
    assert_eq!(Histogram::default().latency(), None);
    let mut state = 7_u64;
    for (count, bits) in [(1_usize, 64), (2, 64), (99, 7), (100, 8), (101, 20), (5_000, 40)] {
        let mut histogram = Histogram::default();
        let mut sorted: Vec<u64> = (0..count)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state ^ state >> 29) >> (64 - bits)
            })
            .collect();
        sorted.iter().for_each(|value| histogram.record(*value));
        sorted.sort_unstable();
        let latency = histogram.latency().unwrap();
        let exact =
            |hundredths: usize| sorted[(count * hundredths).div_ceil(100) - 1] as f64 / 1000.0;
        for (said, exact) in [(latency.p50, exact(50)), (latency.p99, exact(99))] {
            assert!(exact <= said && said <= exact * (1.0 + 1.0 / 128.0), "{said} for {exact}");
        }
        assert_eq!(latency.max, exact(100));
    }
    for value in [0, 1, 127, 128, 129, 255, 256, 257, u64::MAX - 1, u64::MAX] {
        let mut histogram = Histogram::default();
        histogram.record(value);
        assert_eq!(histogram.latency().unwrap().p99, value as f64 / 1000.0);
    }
    let mut histogram = Histogram::default();
    histogram.record_duration(Duration::MAX);
    histogram.record_duration(Duration::from_micros(3));
    let latency = histogram.latency().unwrap();
    assert!((3.0..3.1).contains(&latency.p50) && latency.max > 1e15);
}
