//! Do many producers and one writer's thread lose nothing, and tell everybody what became of it?
//!
//! Method: threads submit to a real log, slow or failing on purpose where that matters, and what
//! they were told is held against what is read back, in this process and after reopening.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use factlog::{
    AppendError, Clock, Draft, Encode, EncodeError, EventType, Expected, Options, Refusal, Scratch,
    Sequence, Start, StreamKey, StreamVersion, SubmitError, ThreadOptions, WaitStrategy,
};
use factlog_tests::{Gate, small};

const SOON: Duration = Duration::from_secs(20);

#[factlog::event(name = "ticked", version = 1)]
#[derive(Debug)]
struct Ticked {
    producer: u32,
    number: u64,
}

/// An event whose serialisation does something unexpected.
struct Odd(fn(&mut [u8]) -> Result<usize, EncodeError>);

static ODD: EventType = EventType::opaque("odd", 1);

impl Encode for Odd {
    fn event_type(&self) -> &'static EventType {
        &ODD
    }
    fn fixed_size(&self) -> Option<usize> {
        None
    }
    fn encode(&self, room: &mut [u8], _: &mut Scratch) -> Result<usize, EncodeError> {
        (self.0)(room)
    }
}

/// Holds the writer's thread until the gate is opened.
struct Held(Arc<Gate>);

impl Encode for Held {
    fn event_type(&self) -> &'static EventType {
        &ODD
    }
    fn fixed_size(&self) -> Option<usize> {
        None
    }
    fn encode(&self, room: &mut [u8], _: &mut Scratch) -> Result<usize, EncodeError> {
        self.0.pass();
        room[0] = 1;
        Ok(1)
    }
}

/// Producer and number of all events, in the order of the log; every sequence is there once.
fn read(directory: &std::path::Path) -> Vec<(u32, u64)> {
    let log = Options::new().open_read_only(directory).expect("opens");
    let mut cursor = log.cursor(Start::Oldest).expect("a cursor");
    let mut seen = Vec::new();
    let mut next = 1;
    while let Some(event) = cursor.next_event().expect("readable") {
        assert_eq!(event.sequence().get(), next);
        next += 1;
        if let Some(ticked) = event.get::<Ticked>().expect("valid") {
            seen.push((ticked.producer(), ticked.number()));
        }
    }
    seen
}

#[test]
fn is_everything_accepted_written_once_and_in_each_producers_order() {
    let directory = tempfile::tempdir().expect("a directory");
    let thread = small().open(directory.path()).expect("opens");
    let service = thread.spawn(ThreadOptions::new().queue(64)).expect("a thread");
    let told: Vec<BTreeMap<u64, Sequence>> = thread::scope(|scope| {
        let producers: Vec<_> = (0..4)
            .map(|producer| {
                let handle = service.producer();
                scope.spawn(move || {
                    let mut told = BTreeMap::new();
                    let mut waiting = Vec::new();
                    for number in 0..20_000 {
                        let event = Ticked { producer, number };
                        waiting.push((number, handle.submit(event, SOON).expect("accepted")));
                        if waiting.len() == 100 {
                            for (number, answer) in waiting.drain(..) {
                                let receipt = answer.wait().expect("written");
                                assert_eq!(receipt.events, 1);
                                told.insert(number, receipt.first);
                            }
                        }
                    }
                    told
                })
            })
            .collect();
        producers.into_iter().map(|producer| producer.join().expect("no panic")).collect()
    });
    service.close().expect("closed");
    let seen = read(directory.path());
    assert_eq!(seen.len(), 80_000);
    for (producer, told) in (0..).zip(&told) {
        assert_eq!(told.len(), 20_000);
        for (number, sequence) in told {
            assert_eq!(seen[sequence.get() as usize - 1], (producer, *number));
        }
        // In the order in which they were submitted.
        assert!(told.values().collect::<Vec<_>>().is_sorted());
    }
}

#[test]
fn does_ending_the_thread_drain_what_was_accepted() {
    for close in [true, false] {
        let directory = tempfile::tempdir().expect("a directory");
        let writer = small().open(directory.path()).expect("opens");
        let service = writer.spawn(ThreadOptions::new().queue(1000)).expect("a thread");
        let producer = service.producer();
        let late = service.producer();
        let gate = Arc::new(Gate::default());
        let held = producer.try_submit(Held(Arc::clone(&gate))).expect("accepted");
        gate.wait_reached();
        let answers: Vec<_> = (0..500)
            .map(|number| producer.try_submit(Ticked { producer: 0, number }).expect("accepted"))
            .collect();
        let ending = thread::spawn(move || {
            if close {
                service.close().expect("closed");
            } else {
                drop(service);
            }
        });
        // Accepted until the end has come, and refused with the event from then on.
        let mut accepted = 500;
        let refused = loop {
            match late.submit(Ticked { producer: 1, number: accepted }, Duration::ZERO) {
                Ok(answer) => {
                    accepted += 1;
                    drop(answer);
                }
                Err(SubmitError::Closed(draft)) => break draft.event.number,
                Err(SubmitError::Full(_)) => thread::yield_now(),
                Err(error) => panic!("{error}"),
            }
        };
        assert_eq!(refused, accepted);
        gate.open();
        ending.join().expect("ended");
        assert_eq!(held.wait().expect("written").first, Sequence::new(1));
        for answer in answers {
            answer.wait().expect("written");
        }
        assert_eq!(read(directory.path()).len() as u64, accepted);
    }
}

#[test]
fn is_a_full_queue_told_at_once_or_when_the_time_is_over() {
    let directory = tempfile::tempdir().expect("a directory");
    let writer = small().open(directory.path()).expect("opens");
    let service = writer.spawn(ThreadOptions::new().queue(2)).expect("a thread");
    let producer = service.producer();
    let gate = Arc::new(Gate::default());
    let held = producer.try_submit(Held(Arc::clone(&gate))).expect("accepted");
    gate.wait_reached();
    let mut waiting = Vec::new();
    for number in 0..2 {
        waiting.push(producer.try_submit(Ticked { producer: 0, number }).expect("room"));
    }
    assert_eq!(producer.queue(), (2, 2));
    match producer.try_submit(Ticked { producer: 0, number: 2 }) {
        Err(SubmitError::Full(draft)) => assert_eq!(draft.event.number, 2),
        other => panic!("{other:?}"),
    }
    match producer.submit(Ticked { producer: 0, number: 3 }, Duration::from_millis(30)) {
        Err(error @ SubmitError::Full(_)) => {
            assert!(error.to_string().contains("full"));
            assert_eq!(error.into_content().event.number, 3);
        }
        other => panic!("{other:?}"),
    }
    // Those who wait get in as soon as there is room.
    let others: Vec<_> = (10..14)
        .map(|number| {
            let producer = producer.clone();
            thread::spawn(move || {
                let answer = producer.submit(Ticked { producer: 1, number }, SOON);
                answer.expect("room came").wait().expect("written");
            })
        })
        .collect();
    thread::sleep(Duration::from_millis(20));
    gate.open();
    held.wait().expect("written");
    for other in others {
        other.join().expect("no panic");
    }
    for answer in waiting {
        answer.wait().expect("written");
    }
    service.close().expect("closed");
    assert_eq!(read(directory.path()).len(), 6);
}

#[test]
fn does_a_bad_submission_fail_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let writer = small().open(directory.path()).expect("opens");
    let service = writer.spawn(ThreadOptions::new().queue(1000)).expect("a thread");
    let producer = service.producer();
    let gate = Arc::new(Gate::default());
    let held = producer.try_submit(Held(Arc::clone(&gate))).expect("accepted");
    gate.wait_reached();
    // All of these are drained into one frame.
    let stream = StreamKey::new("ticks", 1_u64).expect("a key");
    let tick = |number| Draft::new(Ticked { producer: 0, number });
    let on = |number, expected| tick(number).stream(stream.clone(), expected);
    let one = producer.try_submit_drafts(on(1, Expected::NEW)).expect("accepted");
    let panics = producer.try_submit(Odd(|room| {
        room[..100].fill(0xEE);
        panic!("on purpose")
    }));
    let lies = producer.try_submit(Odd(|room| Ok(room.len() + 1)));
    let conflict = producer.try_submit_drafts(on(2, Expected::NEW)).expect("accepted");
    let half = vec![tick(3), on(4, Expected::NEW), tick(5)];
    let half = producer.try_submit_drafts(half).expect("accepted");
    let version = StreamVersion::new(1);
    let three = vec![tick(6), on(7, Expected::Version(version)), tick(8)];
    let three = producer.try_submit_drafts(three).expect("accepted");
    let none = producer.try_submit_drafts(Vec::<Draft<Ticked>>::new()).expect("accepted");
    gate.open();
    held.wait().expect("written");
    assert_eq!(one.wait().expect("written").first, Sequence::new(2));
    let refused = panics.expect("accepted").wait().expect_err("it panicked");
    assert!(matches!(&refused.reason, Refusal::Panicked(message) if message == "on purpose"));
    assert!(refused.content.is_some() && refused.to_string().contains("on purpose"));
    let refused = lies.expect("accepted").wait().expect_err("it lied");
    assert!(matches!(refused.reason, Refusal::Append(AppendError::TooLarge { .. })));
    let refused = conflict.wait().expect_err("a conflict");
    assert!(
        matches!(refused.reason, Refusal::Append(AppendError::Conflict { actual, .. }) if actual == version)
    );
    assert_eq!(refused.content.expect("given back").event.number, 2);
    let refused = half.wait().expect_err("a conflict in the middle");
    assert_eq!(refused.content.expect("given back").len(), 3);
    let receipt = three.wait().expect("written");
    assert_eq!((receipt.first, receipt.events), (Sequence::new(3), 3));
    assert_eq!(none.wait().expect("nothing to write").events, 0);
    let log = service.log();
    service.close().expect("closed");
    let numbers: Vec<_> = read(directory.path()).into_iter().map(|(_, number)| number).collect();
    assert_eq!(numbers, [1, 6, 7, 8]);
    // The boundaries of the submissions stand in the log.
    let mut cursor = log.cursor(Start::Oldest).expect("a cursor");
    let mut ends = Vec::new();
    while let Some(event) = cursor.next_event().expect("readable") {
        ends.push(event.ends_submission());
    }
    assert_eq!(ends, [true, true, false, false, true]);
    assert_eq!(log.stream_version(&stream), StreamVersion::new(2));
}

#[test]
fn does_a_submission_that_fills_a_frame_get_one_of_its_own() {
    let directory = tempfile::tempdir().expect("a directory");
    let writer = small().open(directory.path()).expect("opens");
    let service = writer.spawn(ThreadOptions::new().queue(100)).expect("a thread");
    let producer = service.producer();
    let gate = Arc::new(Gate::default());
    let held = producer.try_submit(Held(Arc::clone(&gate))).expect("accepted");
    gate.wait_reached();
    let large = |room: &mut [u8]| {
        let len = (1 << 20) - 4096;
        if room.len() < len {
            return Err(EncodeError::NoSpace);
        }
        room[..len].fill(7);
        Ok(len)
    };
    let small_one = producer.try_submit(Ticked { producer: 0, number: 1 }).expect("accepted");
    let large_one = producer.try_submit(Odd(large)).expect("accepted");
    let too_large = producer.try_submit(Odd(|_| Err(EncodeError::NoSpace))).expect("accepted");
    let last = producer.try_submit(Ticked { producer: 0, number: 2 }).expect("accepted");
    gate.open();
    held.wait().expect("written");
    assert_eq!(small_one.wait().expect("written").first, Sequence::new(2));
    assert_eq!(large_one.wait().expect("in a frame of its own").first, Sequence::new(3));
    let refused = too_large.wait().expect_err("too large for any");
    assert!(matches!(refused.reason, Refusal::Append(AppendError::TooLarge { .. })));
    assert_eq!(last.wait().expect("written").first, Sequence::new(4));
    service.close().expect("closed");
}

#[test]
fn does_a_panicking_clock_refuse_and_the_thread_go_on() {
    struct Moody(u64, Arc<AtomicBool>);
    impl Clock for Moody {
        fn now(&mut self) -> u64 {
            assert!(!self.1.load(Ordering::SeqCst), "the clock is broken");
            self.0 += 1;
            self.0
        }
    }
    let broken = Arc::new(AtomicBool::new(false));
    let directory = tempfile::tempdir().expect("a directory");
    let clock = Moody(0, Arc::clone(&broken));
    let writer = small().clock(clock).open(directory.path()).expect("opens");
    let service = writer.spawn(ThreadOptions::new()).expect("a thread");
    let producer = service.producer();
    let tick = |number| producer.try_submit(Ticked { producer: 0, number }).expect("accepted");
    tick(1).wait().expect("written");
    broken.store(true, Ordering::SeqCst);
    let refused = tick(2).wait().expect_err("the clock is broken");
    assert!(matches!(refused.reason, Refusal::Panicked(_)));
    broken.store(false, Ordering::SeqCst);
    assert_eq!(tick(3).wait().expect("written").first, Sequence::new(2));
    service.close().expect("closed");
    assert_eq!(read(directory.path()), [(0, 1), (0, 3)]);
}

/// A waker that counts, and an executor of one task.
struct Counting(AtomicU64, thread::Thread);

impl Wake for Counting {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
        self.1.unpark();
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Arc::new(Counting(AtomicU64::new(0), thread::current()));
    let task = Waker::from(Arc::clone(&waker));
    let mut future = pin!(future);
    loop {
        let woken = waker.0.load(Ordering::SeqCst);
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&task)) {
            return output;
        }
        while waker.0.load(Ordering::SeqCst) == woken {
            thread::park();
        }
    }
}

#[test]
fn can_tasks_submit_and_follow() {
    let directory = tempfile::tempdir().expect("a directory");
    let writer = small().open(directory.path()).expect("opens");
    let service = writer.spawn(ThreadOptions::new()).expect("a thread");
    let log = service.log();
    let follower = thread::spawn(move || {
        block_on(async move {
            let mut cursor = log.cursor(Start::Oldest).expect("a cursor");
            let mut seen = BTreeSet::new();
            while cursor.readable().await == factlog::Waited::Ready {
                while let Some(event) = cursor.next_event().expect("readable") {
                    let ticked = event.get::<Ticked>().expect("valid").expect("a tick");
                    assert!(seen.insert(ticked.number()));
                }
            }
            seen.len()
        })
    });
    let producer = service.producer();
    block_on(async {
        for number in 0..2_000 {
            let answer = producer.submit(Ticked { producer: 0, number }, SOON).expect("accepted");
            assert_eq!(answer.await.expect("written").first.get(), number + 1);
        }
    });
    service.close().expect("closed");
    assert_eq!(follower.join().expect("no panic"), 2_000);
}

#[test]
fn can_a_log_be_followed_as_a_stream() {
    use futures_util::StreamExt;
    let directory = tempfile::tempdir().expect("a directory");
    let writer = small().open(directory.path()).expect("opens");
    let service = writer.spawn(ThreadOptions::new()).expect("a thread");
    let cursor = service.log().cursor(Start::Oldest).expect("a cursor");
    let stream = cursor.into_stream(|event| {
        event.get::<Ticked>().expect("valid").expect("a tick").to_owned().number
    });
    let follower = thread::spawn(move || {
        block_on(stream.map(|number| number.expect("readable")).collect::<Vec<u64>>())
    });
    let producer = service.producer();
    for number in 0..3_000 {
        let answer = producer.submit(Ticked { producer: 0, number }, SOON).expect("accepted");
        if number % 100 == 0 {
            answer.wait().expect("written");
        }
    }
    service.close().expect("closed");
    let seen = follower.join().expect("no panic");
    assert!(seen.into_iter().eq(0..3_000));
}

#[test]
fn is_an_answer_given_up_without_harm() {
    let directory = tempfile::tempdir().expect("a directory");
    let writer = small().open(directory.path()).expect("opens");
    let idle = ThreadOptions::new().idle(WaitStrategy::Yield);
    let service = writer.spawn(idle).expect("a thread");
    let producer = service.producer();
    let gate = Arc::new(Gate::default());
    let held = producer.try_submit(Held(Arc::clone(&gate))).expect("accepted");
    let answer = producer.try_submit(Ticked { producer: 0, number: 1 }).expect("accepted");
    let answer = answer.wait_for(Duration::from_millis(10)).expect_err("not yet");
    drop(producer.try_submit(Ticked { producer: 0, number: 2 }).expect("accepted"));
    gate.open();
    held.wait().expect("written");
    let receipt = answer.wait_for(SOON).expect("in time").expect("written");
    assert_eq!(receipt.first, Sequence::new(2));
    let mut writer = service.into_writer().expect("the writer");
    writer.append(&Ticked { producer: 0, number: 3 }).expect("appended by hand");
    writer.close().expect("closed");
    assert_eq!(read(directory.path()), [(0, 1), (0, 2), (0, 3)]);
}

/// Refusals do not keep the others waiting, however many there are.
#[test]
fn does_a_flood_of_conflicts_not_hold_up_those_who_were_written() {
    let directory = tempfile::tempdir().expect("a directory");
    let writer = small().open(directory.path()).expect("opens");
    let service = writer.spawn(ThreadOptions::new().queue(64)).expect("a thread");
    let stream = StreamKey::new("ticks", 1_u64).expect("a key");
    let stop = AtomicBool::new(false);
    let on =
        |number| Draft::new(Ticked { producer: 0, number }).stream(stream.clone(), Expected::NEW);
    let first = service.producer().try_submit_drafts(on(0)).expect("accepted");
    first.wait().expect("written");
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let producer = service.producer();
                while !stop.load(Ordering::Relaxed) {
                    drop(producer.submit_drafts(on(1), SOON).expect("accepted"));
                }
            });
        }
        let producer = service.producer();
        for number in 0..200 {
            let answer = producer.submit(Ticked { producer: 1, number }, SOON).expect("accepted");
            answer.wait_for(SOON).expect("in time").expect("written");
        }
        stop.store(true, Ordering::Relaxed);
    });
    service.close().expect("closed");
    assert_eq!(read(directory.path()).len(), 201);
}
