//! What is watched: a writer, a follower and a replaying reader, each on a thread of its own.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use factlog::{Cursor, Log, Options, Start, Writer};
use factlog_bench::{TradeExecuted, settle};

use crate::Failure;
use crate::calls::Works;

const WRITER: &str = "hot-writer";
const FOLLOWER: &str = "hot-follower";
const REPLAY: &str = "hot-replay";

/// What each thread does between its marks, and whether it must not call the system.
pub(crate) const WORKS: [Works; 3] = [
    Works { thread: WRITER, works: &[("append, one a call", true), ("append, 64 a call", true)] },
    Works { thread: FOLLOWER, works: &[("follow what is appended, by poll", true)] },
    Works {
        thread: REPLAY,
        works: &[
            ("replay by poll", true),
            ("replay by next_event", true),
            ("closing the log, opening it for reading", false),
            ("replay of a log opened anew, nothing mapped", false),
        ],
    },
];

const SEGMENT: u64 = 64 << 20;
const BATCH: u64 = 64;
/// More than an event takes one a call, and 64 a call, together.
const BYTES: u64 = 384;
const MOST_SPARES: u64 = 16;

/// How many events are taken, in words.
pub(crate) const EVENTS: &str = "from 500000 to 2400000";

/// Whether there are rollovers, and all segments can be ready before the first append.
pub(crate) fn fits(events: u64) -> bool {
    (500_000..=2_400_000).contains(&events)
}

/// All segments that are needed, and one in reserve, which the writer never takes.
fn spares(events: u64) -> u64 {
    (events * BYTES).div_ceil(SEGMENT) + 1
}

/// Makes a log, and does all works on it.
pub(crate) fn run(directory: &Path, events: u64) -> Result<(), Failure> {
    let spares = spares(events);
    if !fits(events) || spares > MOST_SPARES {
        return Err(format!("the number of events is {EVENTS}").into());
    }
    let options = || Options::new().segment_size(SEGMENT).spare_segments(spares as usize);
    let mut writer = options().open(directory)?;
    // The first event brings its type's description along, and memory for what comes.
    writer.append(&TradeExecuted::number(0))?;
    wait_for_segments(directory, spares + 1)?;
    settle();
    let log = writer.log();
    let expected = 1 + 2 * (events / BATCH) * BATCH;
    let cursor = log.cursor(Start::Oldest)?;
    let appended = AtomicBool::new(false);
    thread::scope(|scope| -> Result<(), Failure> {
        let appender = thread::Builder::new().name(WRITER.into());
        let appender = appender.spawn_scoped(scope, || {
            let done = append(&mut writer, events);
            // Whatever came of it: nobody is to wait for more.
            appended.store(true, Ordering::Release);
            done
        })?;
        let follower = thread::Builder::new().name(FOLLOWER.into());
        let follower = follower.spawn_scoped(scope, || follow(cursor, &appended, expected))?;
        appender.join().map_err(|_| "the writer panicked")??;
        follower.join().map_err(|_| "the follower panicked")?
    })?;
    let stats = log.stats();
    println!(
        "{} events, {} rollovers, {} of which had to wait for a segment",
        expected, stats.rollovers, stats.stalls
    );
    if stats.rollovers == 0 || stats.stalls > 0 {
        return Err("there are to be rollovers, and none of them is to wait".into());
    }
    thread::scope(|scope| -> Result<(), Failure> {
        let replaying = thread::Builder::new().name(REPLAY.into());
        let replaying = replaying.spawn_scoped(scope, || -> Result<(), Failure> {
            replay(&log, expected)?;
            writer.close()?;
            let anew = options().open_read_only(directory)?;
            let mut cursor = anew.cursor(Start::Oldest)?;
            mark();
            let read = read_by_poll(&mut cursor, &AtomicBool::new(true))?;
            mark();
            all_read(read, expected)
        })?;
        replaying.join().map_err(|_| "the reader panicked")?
    })
}

/// The first and the last thing a work does is a call that nobody else makes.
fn mark() {
    std::hint::black_box(rustix::process::getppid());
}

/// The conductor has made them all, so that no rollover has to wait while `strace` slows it down.
fn wait_for_segments(directory: &Path, count: u64) -> Result<(), Failure> {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let files = std::fs::read_dir(directory.join("seg"))?;
        let is_segment = |entry: &std::fs::DirEntry| {
            entry.path().extension().is_some_and(|extension| extension == "log")
        };
        if files.filter_map(Result::ok).filter(is_segment).count() as u64 >= count {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err("segments are not prepared".into());
        }
        thread::sleep(Duration::from_millis(10));
    }
}

fn append(writer: &mut Writer, events: u64) -> Result<(), Failure> {
    let calls = events / BATCH;
    mark();
    for number in 0..calls * BATCH {
        writer.append(&TradeExecuted::number(number))?;
    }
    mark();
    for call in 0..calls {
        let mut transaction = writer.begin()?;
        for number in 0..BATCH {
            transaction.append(&TradeExecuted::number(call * BATCH + number))?;
        }
        transaction.commit()?;
    }
    mark();
    Ok(())
}

/// On the heels of the writer, without sleeping.
fn follow(mut cursor: Cursor, appended: &AtomicBool, expected: u64) -> Result<(), Failure> {
    mark();
    let read = read_by_poll(&mut cursor, appended)?;
    mark();
    all_read(read, expected)
}

fn replay(log: &Log, expected: u64) -> Result<(), Failure> {
    let mut cursor = log.cursor(Start::Oldest)?;
    let mut again = log.cursor(Start::Oldest)?;
    mark();
    let by_poll = read_by_poll(&mut cursor, &AtomicBool::new(true))?;
    mark();
    let mut by_event = 0;
    while let Some(event) = again.next_event()? {
        by_event += u64::from(event.get::<TradeExecuted>()?.is_some_and(|view| view.venue() == 7));
    }
    mark();
    all_read(by_poll, expected)?;
    all_read(by_event, expected)
}

/// How many events there are of those that were appended, once no more come.
fn read_by_poll(cursor: &mut Cursor, appended: &AtomicBool) -> Result<u64, Failure> {
    let mut right = 0;
    loop {
        // Before the look: what was appended until then is seen by the look.
        let (all, mut any) = (appended.load(Ordering::Acquire), false);
        for event in cursor.poll()? {
            any = true;
            right +=
                u64::from(event?.get::<TradeExecuted>()?.is_some_and(|view| view.venue() == 7));
        }
        if all && !any {
            return Ok(right);
        }
        std::hint::spin_loop();
    }
}

fn all_read(read: u64, expected: u64) -> Result<(), Failure> {
    if read == expected {
        return Ok(());
    }
    Err(format!("{read} events were read instead of {expected}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn do_all_events_fit_into_the_spares() {
        assert!(fits(2_400_000) && spares(2_400_000) <= MOST_SPARES);
        assert!(!fits(2_400_001) && !fits(499_999));
    }
}
