//! Appending what is not in the log yet, while others follow and watch.

use std::io::Write;
use std::time::{Duration, Instant};

use factlog::{Log, ThreadOptions, Writer};

use super::args::Policy;
use super::durable::{DurableWatch, let_settle};
use super::failure::Failure;
use super::follow::{Followers, Views};
use super::input::Input;
use super::latency::Latency;
use super::produce::produce;

/// Submissions that wait for the writer.
const QUEUE: usize = 64;
/// How long the log may take to become durable in the background.
const PATIENCE: Duration = Duration::from_secs(10);

/// What appending came to.
pub(crate) struct Appended {
    /// Events that were appended.
    pub(crate) events: u64,
    /// How long it took until the last of them was answered.
    pub(crate) took: Duration,
    /// The views that were folded meanwhile.
    pub(crate) live: Views,
    /// From an event's commit until the board had it.
    pub(crate) to_board: Option<Latency>,
    /// From handing a submission over until it was answered.
    pub(crate) to_answer: Option<Latency>,
    /// From an event's commit until it was durable.
    pub(crate) to_durable: Option<Latency>,
}

impl Appended {
    /// Everything was there already.
    pub(crate) fn nothing(live: Views) -> Self {
        let none = None;
        let took = Duration::ZERO;
        Self { events: 0, took, live, to_board: none, to_answer: none, to_durable: none }
    }
}

/// Appends what is not there yet, while three cursors follow and one watches what is durable. The
/// log was opened with `policy`.
pub(crate) fn append(
    writer: Writer,
    input: &Input,
    policy: Policy,
    crash: bool,
) -> Result<Appended, Failure> {
    let total = input.steps.len() as u64;
    let log = writer.log();
    let have = log.visible().0.get();
    let followers = Followers::start(&log, total, have);
    let durable = DurableWatch::start(&log, have);
    if crash {
        crash_at(&log, have + (total - have) / 2);
    }
    let thread = writer.spawn(ThreadOptions::new().queue(QUEUE))?;
    let began = Instant::now();
    let to_answer = produce(input, have, &thread.producer())?;
    let took = began.elapsed();
    let (live, to_board) = followers.join()?;
    if policy == Policy::Interval {
        // Closing would be a sync that comes before its time.
        let_settle(&log, total, PATIENCE);
    }
    thread.close()?;
    let to_durable = durable.finish()?;
    Ok(Appended { events: total - have, took, live, to_board, to_answer, to_durable })
}

/// Kills this process, without warning, when the log has come to `events`: from another thread,
/// so that the writer is hit wherever it is.
fn crash_at(log: &Log, events: u64) {
    let log = log.clone();
    std::thread::spawn(move || {
        while log.visible().0.get() < events {
            std::hint::spin_loop();
        }
        drop(writeln!(std::io::stderr(), "flights: killed after {events} events or a few more"));
        kill();
    });
}

#[cfg(unix)]
fn kill() {
    use rustix::process::{Signal, getpid, kill_process};
    let _ = kill_process(getpid(), Signal::KILL);
}

#[cfg(not(unix))]
fn kill() {
    std::process::abort();
}
