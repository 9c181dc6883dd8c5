//! Does nobody sleep for ever, and does it cost nothing to those who publish?

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use factlog::{Start, WaitStrategy, Waited, Writer};
use factlog_tests::small;

const SOON: Duration = Duration::from_secs(60);

#[factlog::event(name = "rang", version = 1)]
struct Rang {
    number: u64,
}

fn open() -> (tempfile::TempDir, Writer) {
    let directory = tempfile::tempdir().expect("a directory");
    let writer = small().open(directory.path()).expect("opens");
    (directory, writer)
}

/// How many rounds; more by `FACTLOG_ROUNDS`.
fn rounds(least: u64) -> u64 {
    let asked = std::env::var("FACTLOG_ROUNDS").ok().and_then(|rounds| rounds.parse().ok());
    asked.unwrap_or(least)
}

#[test]
fn is_a_parked_cursor_woken_for_each_event() {
    let (_directory, mut writer) = open();
    let log = writer.log();
    let seen = AtomicU64::new(0);
    let rounds = rounds(20_000);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut cursor = log.cursor(Start::Oldest).expect("a cursor");
            loop {
                match cursor.wait(WaitStrategy::Park, SOON) {
                    Waited::Ready => {}
                    Waited::Closed => break,
                    Waited::TimedOut => panic!("it was forgotten"),
                }
                while let Some(event) = cursor.next_event().expect("readable") {
                    let rang = event.get::<Rang>().expect("valid").expect("it rang");
                    seen.store(rang.number(), Ordering::Release);
                }
            }
        });
        for number in 1..=rounds {
            writer.append(&Rang { number }).expect("appended");
            // The next one only when it has seen this one: it sleeps in between.
            let began = Instant::now();
            while seen.load(Ordering::Acquire) != number {
                assert!(began.elapsed() < SOON, "event {number} was not seen");
                thread::yield_now();
            }
        }
        writer.close().expect("closed");
    });
    println!("{rounds} times parked and woken");
}

#[test]
fn are_all_woken_by_publication_and_by_the_end() {
    for dropped in [false, true] {
        let (_directory, mut writer) = open();
        let log = writer.log();
        let asleep = AtomicU64::new(0);
        thread::scope(|scope| {
            let sleepers: Vec<_> = (0..20)
                .map(|_| {
                    scope.spawn(|| {
                        let mut cursor = log.cursor(Start::End).expect("a cursor");
                        asleep.fetch_add(1, Ordering::SeqCst);
                        assert_eq!(cursor.wait(WaitStrategy::Park, SOON), Waited::Ready);
                        assert!(cursor.next_event().expect("readable").is_some());
                        asleep.fetch_add(1, Ordering::SeqCst);
                        assert_eq!(cursor.wait(WaitStrategy::Park, SOON), Waited::Closed);
                    })
                })
                .collect();
            while asleep.load(Ordering::SeqCst) < 20 {
                thread::yield_now();
            }
            thread::sleep(Duration::from_millis(20));
            writer.append(&Rang { number: 1 }).expect("appended");
            while asleep.load(Ordering::SeqCst) < 40 {
                thread::yield_now();
            }
            if dropped {
                drop(writer);
            } else {
                writer.close().expect("closed");
            }
            for sleeper in sleepers {
                sleeper.join().expect("no panic");
            }
        });
    }
}

#[test]
fn does_a_wait_end_when_its_time_is_over() {
    let (_directory, writer) = open();
    let cursor = writer.log().cursor(Start::End).expect("a cursor");
    for strategy in [WaitStrategy::Spin, WaitStrategy::Yield, WaitStrategy::Park] {
        let began = Instant::now();
        let timeout = Duration::from_millis(20);
        assert_eq!(cursor.wait(strategy, timeout), Waited::TimedOut);
        assert!(began.elapsed() >= timeout, "{strategy:?} gave up too early");
        assert_eq!(cursor.wait(strategy, Duration::ZERO), Waited::TimedOut);
    }
    drop(writer);
    for strategy in [WaitStrategy::Spin, WaitStrategy::Yield, WaitStrategy::Park] {
        assert_eq!(cursor.wait(strategy, SOON), Waited::Closed);
    }
}

/// Cursors come and go, in different ways of waiting, while the writer goes on.
#[test]
fn do_many_cursors_come_and_go() {
    let seconds: u64 =
        std::env::var("FACTLOG_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(2);
    let (_directory, mut writer) = open();
    let log = writer.log();
    let stop = AtomicBool::new(false);
    let (read, opened) = (AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        for reader in 0..64_u64 {
            let (log, stop, read, opened) = (&log, &stop, &read, &opened);
            scope.spawn(move || {
                let mut random = reader + 1;
                while !stop.load(Ordering::Relaxed) {
                    random = random.wrapping_mul(6364136223846793005).wrapping_add(1);
                    let strategy = match random >> 62 {
                        0 => WaitStrategy::Yield,
                        _ => WaitStrategy::Park,
                    };
                    opened.fetch_add(1, Ordering::Relaxed);
                    let mut cursor = log.cursor(Start::End).expect("a cursor");
                    let mut next = cursor.next_sequence();
                    for _ in 0..(random >> 32) % 50 {
                        match cursor.wait(strategy, Duration::from_millis(50)) {
                            Waited::Closed => return,
                            Waited::TimedOut | Waited::Ready => {}
                        }
                        while let Some(event) = cursor.next_event().expect("readable") {
                            assert_eq!(event.sequence(), next);
                            let rang = event.get::<Rang>().expect("valid").expect("it rang");
                            assert_eq!(rang.number(), next.get());
                            next = next.after(1);
                            read.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
        let began = Instant::now();
        let mut number = 0;
        while began.elapsed() < Duration::from_secs(seconds) {
            for _ in 0..number % 7 + 1 {
                number += 1;
                writer.append(&Rang { number }).expect("appended");
            }
            if number % 50 < 7 {
                thread::sleep(Duration::from_micros(200));
            }
        }
        stop.store(true, Ordering::Relaxed);
        let stats = log.stats();
        println!(
            "{number} events, {} cursors, {} read",
            opened.load(Ordering::Relaxed),
            read.load(Ordering::Relaxed)
        );
        assert_eq!(stats.events, number);
        assert!(stats.cursors <= 64);
        writer.close().expect("closed");
    });
    assert_eq!(log.stats().cursors, 0);
    assert!(read.load(Ordering::Relaxed) > 1000);
}
