//! The concurrent log under load, for as long as one likes.
//!
//! Three parts: 64 cursors that come and go, in every way of waiting; two threads that park and wake
//! each other through the log, once for each event; four producers in a child process that is
//! killed, after which everything that was answered must be there. What does not hold is a panic;
//! what was counted is given.

use std::future::Future;
use std::io::{Read, Write};
use std::path::Path;
use std::pin::pin;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use factlog::{
    Aggregate, Cursor, Engine, Events, Options, Replica, Start, State, ThreadOptions, WaitStrategy,
    Waited,
};

use crate::{Random, small};

const CHILD: &str = "FACTLOG_STRESS_CHILD";
const PATIENCE: Duration = Duration::from_secs(60);

#[factlog::event(name = "stressed", version = 1)]
struct Stressed {
    producer: u32,
    number: u64,
}

/// Does not return in a child process of these: programs that stress a log call it first.
pub fn child() {
    if let Some(directory) = std::env::var_os(CHILD) {
        produce_until_killed(Path::new(&directory));
    }
}

/// 64 cursors come and go while a writer appends; each sees every event from where it began.
///
/// # Panics
///
/// One does not, or there is no disk.
pub fn come_and_go(seed: u64, each: Duration) -> Vec<String> {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = small().open(directory.path()).expect("opens");
    let log = writer.log();
    let stop = AtomicBool::new(false);
    let (opened, read) = (AtomicU64::new(0), AtomicU64::new(0));
    let mut number = 0;
    thread::scope(|scope| {
        for reader in 0..64 {
            let (log, stop, opened, read) = (&log, &stop, &opened, &read);
            scope.spawn(move || {
                let mut random = Random::new(seed.wrapping_add(reader));
                while !stop.load(Ordering::Relaxed) {
                    let strategy = match random.below(8) {
                        0 => WaitStrategy::Spin,
                        1 => WaitStrategy::Yield,
                        _ => WaitStrategy::Park,
                    };
                    let mut cursor = log.cursor(Start::End).expect("a cursor");
                    opened.fetch_add(1, Ordering::Relaxed);
                    let mut next = cursor.next_sequence();
                    for _ in 0..random.below(40) {
                        let timeout = Duration::from_micros(random.below(5_000));
                        if cursor.wait(strategy, timeout) == Waited::Closed {
                            return;
                        }
                        while let Some(event) = cursor.next_event().expect("readable") {
                            assert_eq!(event.sequence(), next, "an event was missed");
                            let stressed = event.get::<Stressed>().expect("valid");
                            assert_eq!(stressed.expect("stressed").number(), next.get());
                            next = next.after(1);
                            read.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
        let mut random = Random::new(seed.wrapping_add(64));
        let began = Instant::now();
        while began.elapsed() < each {
            for _ in 0..random.below(100) {
                number += 1;
                writer.append(&Stressed { producer: 0, number }).expect("appended");
            }
            if random.below(4) == 0 {
                thread::sleep(Duration::from_micros(random.below(2_000)));
            }
        }
        stop.store(true, Ordering::Relaxed);
        writer.close().expect("closed");
    });
    let (opened, read) = (opened.into_inner(), read.into_inner());
    assert!(opened > 64 && read > 0 && log.stats().cursors == 0);
    vec![format!("{number} events beside {opened} cursors that came and went, {read} reads")]
}

/// Two logs, two threads: each appends when it has seen the other's event, and sleeps until then.
/// They wait as tasks, which go to sleep at once, while a thread that parks looks for a moment.
///
/// # Panics
///
/// One is forgotten, or there is no disk.
pub fn ping_pong(each: Duration, rounds: Option<u64>) -> Vec<String> {
    let directory = tempfile::tempdir().expect("a directory");
    let open = |name: &str| small().open(directory.path().join(name)).expect("opens");
    let (mut one, mut other) = (open("one"), open("other"));
    let (from_one, from_other) = (one.log(), other.log());
    let began = Instant::now();
    let more = |round: u64| match rounds {
        Some(rounds) => round < rounds,
        None => began.elapsed() < each,
    };
    let answering = thread::spawn(move || {
        let mut cursor = from_one.cursor(Start::Oldest).expect("a cursor");
        let mut slept = 0;
        while sleep(&mut cursor, &mut slept) == Waited::Ready {
            while let Some(event) = cursor.next_event().expect("readable") {
                let number = event.sequence().get();
                other.append(&Stressed { producer: 1, number }).expect("appended");
            }
        }
        slept
    });
    let mut cursor = from_other.cursor(Start::Oldest).expect("a cursor");
    let (mut round, mut slept) = (0, 0);
    while more(round) {
        round += 1;
        one.append(&Stressed { producer: 0, number: round }).expect("appended");
        let answer = loop {
            assert_eq!(sleep(&mut cursor, &mut slept), Waited::Ready);
            // A new segment is something to read, but no event.
            if let Some(event) = cursor.next_event().expect("readable") {
                break event.sequence();
            }
        };
        assert_eq!(answer.get(), round);
    }
    let took = began.elapsed();
    one.close().expect("closed");
    let slept = slept + answering.join().expect("no panic");
    let each = took.as_secs_f64() * 1e6 / round.max(1) as f64;
    assert!(slept > 0);
    vec![format!("{round} ping-pongs, {slept} times asleep and woken, {each:.1} us each")]
}

/// Sleeps until the cursor has something to read; counts how often it really slept.
fn sleep(cursor: &mut Cursor, slept: &mut u64) -> Waited {
    struct Unpark(Thread, AtomicBool);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.1.store(true, Ordering::Release);
            self.0.unpark();
        }
    }
    let unpark = Arc::new(Unpark(thread::current(), AtomicBool::new(false)));
    let waker = Waker::from(Arc::clone(&unpark));
    let mut readable = pin!(cursor.readable());
    loop {
        if let Poll::Ready(waited) = readable.as_mut().poll(&mut Context::from_waker(&waker)) {
            return waited;
        }
        *slept += 1;
        let began = Instant::now();
        while !unpark.1.swap(false, Ordering::AcqRel) {
            assert!(began.elapsed() < PATIENCE, "it was forgotten");
            thread::park_timeout(PATIENCE);
        }
    }
}

/// The child: four producers submit, and say what was answered.
fn produce_until_killed(directory: &Path) -> ! {
    let writer = Options::new().segment_size(4 << 20).open(directory).expect("opens");
    let mut have = [0_u64; 4];
    let mut cursor = writer.log().cursor(Start::Oldest).expect("a cursor");
    while let Some(event) = cursor.next_event().expect("readable") {
        let stressed = event.get::<Stressed>().expect("valid").expect("stressed");
        have[stressed.producer() as usize] = stressed.number();
    }
    drop(cursor);
    let service = writer.spawn(ThreadOptions::new().queue(64)).expect("a thread");
    thread::scope(|scope| {
        for (producer, have) in (0..).zip(have) {
            let handle = service.producer();
            scope.spawn(move || {
                for number in have + 1.. {
                    let answer = handle.submit(Stressed { producer, number }, PATIENCE);
                    let receipt = answer.expect("accepted").wait().expect("written");
                    let mut record = [0; 24];
                    record[..8].copy_from_slice(&u64::from(producer).to_le_bytes());
                    record[8..16].copy_from_slice(&number.to_le_bytes());
                    record[16..].copy_from_slice(&receipt.first.get().to_le_bytes());
                    // One write, which a pipe has whole or not at all.
                    std::io::stdout().lock().write_all(&record).expect("the parent reads");
                    std::io::stdout().lock().flush().expect("the parent reads");
                }
            });
        }
    });
    unreachable!("it is killed")
}

/// Kills the child again and again; all that it said is there, and each producer's numbers are
/// without a gap.
///
/// # Panics
///
/// It is not, or there is no disk.
pub fn kill_producers(seed: u64, each: Duration) -> Vec<String> {
    let mut random = Random::new(seed);
    let directory = tempfile::tempdir().expect("a directory");
    let began = Instant::now();
    let (mut kills, mut answered) = (0, 0);
    while began.elapsed() < each || kills == 0 {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .env(CHILD, directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a child");
        let mut pipe = child.stdout.take().expect("piped");
        let reader = thread::spawn(move || {
            let mut bytes = Vec::new();
            pipe.read_to_end(&mut bytes).expect("readable");
            bytes
        });
        thread::sleep(Duration::from_millis(30 + random.below(200)));
        child.kill().expect("killed");
        child.wait().expect("gone");
        kills += 1;
        let said = reader.join().expect("read");
        let log = Options::new().open_read_only(directory.path());
        let log = match log {
            Ok(log) => log,
            Err(factlog::OpenError::NoLog(_)) if said.is_empty() => continue,
            Err(error) => panic!("after kill {kills}: {error}"),
        };
        let mut cursor = log.cursor(Start::Oldest).expect("a cursor");
        let mut events = vec![(u64::MAX, 0)];
        let mut last = [0_u64; 4];
        while let Some(event) = cursor.next_event().expect("readable") {
            let stressed = event.get::<Stressed>().expect("valid").expect("stressed");
            let (producer, number) = (stressed.producer(), stressed.number());
            assert_eq!(number, last[producer as usize] + 1, "a gap, or twice the same");
            last[producer as usize] = number;
            events.push((u64::from(producer), number));
        }
        for record in said.chunks_exact(24) {
            let word =
                |at: usize| u64::from_le_bytes(record[at..at + 8].try_into().expect("eight bytes"));
            let stands = events.get(word(16) as usize);
            assert_eq!(stands, Some(&(word(0), word(8))), "it was answered, and is not there");
            answered += 1;
        }
    }
    assert!(answered > 0);
    vec![format!("four producers, {kills} kills, {answered} answers, all of them there")]
}

#[factlog::event(name = "raise", version = 1)]
struct Raise {
    by: u64,
}

#[factlog::event(name = "raised", version = 1)]
struct Raised {
    by: u64,
}

#[factlog::vocabulary]
enum LevelEvent {
    Raised(Raised),
}

#[derive(Default)]
struct Level {
    sum: u64,
}

impl State for Level {
    const NAME: &'static str = "level";
    type Key = u64;
    type Event = LevelEvent;

    fn evolve(&mut self, event: LevelEventView<'_>) {
        let LevelEventView::Raised(raised) = event;
        self.sum += raised.by();
    }
}

impl Aggregate for Level {
    type Command = Raise;
    type Reply = u64;
    type Rejection = String;

    fn decide(
        &self,
        &Raise { by }: &Raise,
        context: &mut factlog::Context<'_, Self>,
    ) -> Result<Events<LevelEvent>, String> {
        context.reply(self.sum + by);
        Ok(Events::one(Raised { by }))
    }
}

/// Four threads write to a few instances that they share and read each back from a replica, at least as
/// new as the receipt: it is never older than the answer, nor than what the thread has seen before.
///
/// # Panics
///
/// One is, or there is no disk.
pub fn write_and_read(pairs: u64) -> Vec<String> {
    const THREADS: u64 = 4;
    const KEYS: u64 = 5;
    let directory = tempfile::tempdir().expect("a directory");
    let engine = Engine::open(directory.path()).options(small()).aggregate::<Level>();
    let engine = engine.start().expect("an engine");
    let replica = Replica::of(engine.log()).state::<Level>().start().expect("a replica");
    let (waited, newer) = (AtomicU64::new(0), AtomicU64::new(0));
    let began = Instant::now();
    thread::scope(|scope| {
        for number in 0..THREADS {
            let (engine, replica, waited, newer) = (&engine, &replica, &waited, &newer);
            scope.spawn(move || {
                let mut random = Random::new(number + 1);
                let mut seen = [0; KEYS as usize];
                for _ in 0..pairs.div_ceil(THREADS) {
                    let key = random.below(KEYS);
                    let done = engine.call::<Level>(key, Raise { by: 1 + random.below(3) });
                    let done = done.expect("accepted");
                    waited.fetch_add(u64::from(replica.at() < done.last()), Ordering::Relaxed);
                    replica.at_least(done.last(), PATIENCE).expect("it follows");
                    let sum = replica.with::<Level, _>(&key, |level| level.sum).expect("held");
                    let answered = done.reply.expect("a reply");
                    let before = std::mem::replace(&mut seen[key as usize], sum);
                    assert!(sum >= answered && sum >= before, "{sum} of {answered}, {before}");
                    newer.fetch_add(u64::from(sum > answered), Ordering::Relaxed);
                }
            });
        }
    });
    let pairs = pairs.div_ceil(THREADS) * THREADS;
    let (waited, newer) = (waited.into_inner(), newer.into_inner());
    assert!(pairs < 10_000 || waited > 0, "the replica was never behind: nothing was tried");
    vec![format!(
        "write and read: {pairs} pairs in {:.1} s, none was older; {waited} had to wait, {newer} \
         were newer",
        began.elapsed().as_secs_f64()
    )]
}
