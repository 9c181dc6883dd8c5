//! Is everything folded when a segment without any event lies between two with events?
//!
//! Such a segment is left by two crashes in a row: the first one tears a tail, so that opening ends
//! that segment and begins the next; the second one comes before that one has an event.

use std::path::Path;
use std::time::Duration;

use factlog::{
    Aggregate, Context, Durability, Engine, Events, LocalEngine, Options, Replica, State,
};
use factlog_tests::scratch;
use factlog_tests::surgery::{SegmentFile, used_segments};

#[factlog::event(name = "count", version = 1)]
struct Count {}

#[factlog::event(name = "counted", version = 1)]
struct Counted {}

#[factlog::vocabulary]
enum CounterEvent {
    Counted(Counted),
}

#[derive(Debug, Default)]
struct Counter {
    sum: u64,
}

impl State for Counter {
    const NAME: &'static str = "counter";
    type Key = u64;
    type Event = CounterEvent;

    fn evolve(&mut self, _: CounterEventView<'_>) {
        self.sum += 1;
    }
}

impl Aggregate for Counter {
    type Command = Count;
    type Reply = u64;
    type Rejection = String;

    fn decide(
        &self,
        _: &Count,
        cx: &mut Context<'_, Self>,
    ) -> Result<Events<CounterEvent>, String> {
        cx.reply(self.sum);
        Ok(Events::one(Counted {}))
    }
}

fn options() -> Options {
    Options::new().segment_size(4 << 20).spare_segments(1).durability(Durability::None)
}

fn open(directory: &Path) -> LocalEngine {
    Engine::open(directory).options(options()).aggregate::<Counter>().start_local().expect("opened")
}

/// As if the process had been killed in the middle of a frame.
fn tear(directory: &Path) -> u32 {
    let last = *used_segments(directory).last().expect("a segment");
    let mut segment = SegmentFile::read(directory, last);
    let end = segment.end() as usize;
    segment.bytes[end..end + 100].fill(0xA5);
    segment.write();
    last
}

#[test]
fn is_what_follows_a_segment_without_events_folded() {
    let directory = scratch();
    let directory = directory.path();
    let mut engine = open(directory);
    engine.call::<Counter>(1_u64, Count {}).expect("accepted");
    drop(engine);
    assert_eq!(tear(directory), 1);
    drop(open(directory));
    assert_eq!(tear(directory), 2);
    let mut engine = open(directory);
    engine.call::<Counter>(1_u64, Count {}).expect("accepted");
    drop(engine);
    assert_eq!(used_segments(directory), [1, 2, 3]);
    assert!(SegmentFile::read(directory, 2).data_frames().is_empty());
    // Folded from the log.
    let mut engine = open(directory);
    assert_eq!(engine.look::<Counter, _>(1_u64, |counter| counter.sum).expect("a state"), 2);
    let accepted = engine.call::<Counter>(1_u64, Count {}).expect("accepted");
    assert_eq!(accepted.reply, Some(2));
    let replica = Replica::of(engine.log()).state::<Counter>().start().expect("a replica");
    replica.at_least(accepted.first, Duration::from_secs(60)).expect("there");
    assert_eq!(replica.with::<Counter, _>(&1_u64, |counter| counter.sum).expect("a state"), 3);
}
