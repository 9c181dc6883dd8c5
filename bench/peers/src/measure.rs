//! The clock: calls in pieces, only they are timed, until there is enough of them.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::payload::Payloads;
use crate::subject::{Appender, Load, Outcome, Subject};

/// A measurement ends when it has taken so long,
pub const LONG_ENOUGH: Duration = Duration::from_millis(500);
/// or when so many bytes of payload have been taken.
pub const MUCH_ENOUGH: u64 = 256 << 20;
/// What is done before it, and not timed: so long at most,
const WARM_UP: Duration = Duration::from_millis(50);
/// and so many bytes at most.
const WARM_UP_BYTES: u64 = 32 << 20;
/// Opens that are timed, at least.
const OPENS: usize = 5;

/// Says what the constants above say.
pub const METHOD: &str = "each figure: a process of its own; 50 ms or 32 MiB of warm-up; then 500 ms \
or 256 MiB of payload, whichever comes first; new logs and their pages are made outside the timing";

/// Makes a new log to append to.
pub type Make<'a> = dyn FnMut(&Load<'_>) -> Outcome<Option<Box<dyn Appender>>> + 'a;

/// Events a second in calls of `batch`, each log in a new directory of `within`; `None` if the
/// subject cannot do it.
///
/// # Errors
///
/// The subject fails.
pub fn rate(
    make: &mut Make<'_>,
    within: &Path,
    payloads: &Payloads,
    batch: usize,
) -> Outcome<Option<f64>> {
    let bytes = (batch * payloads.size()) as u64;
    let Some(mut log) = Fresh::new(make, within, payloads, batch)? else { return Ok(None) };
    let (mut number, mut piece) = (0, 1);
    let mut timed = |log: &mut Fresh, piece: u64| -> Outcome<(u64, Duration)> {
        let calls = piece.min(log.appender.room());
        let began = Instant::now();
        log.appender.calls(payloads, number, calls)?;
        let took = began.elapsed();
        number += calls * batch as u64;
        Ok((calls, took))
    };

    let began = Instant::now();
    let mut warm = 0;
    while began.elapsed() < WARM_UP && warm * bytes < WARM_UP_BYTES && log.appender.room() > piece {
        let (calls, took) = timed(&mut log, piece)?;
        warm += calls;
        if took < Duration::from_millis(1) {
            piece *= 2;
        }
    }
    let (mut calls, mut took) = (0, Duration::ZERO);
    while took < LONG_ENOUGH && calls * bytes < MUCH_ENOUGH {
        if log.appender.room() == 0 {
            drop(log);
            let Some(new) = Fresh::new(make, within, payloads, batch)? else { return Ok(None) };
            log = new;
        }
        let (did, time) = timed(&mut log, piece)?;
        if did == 0 {
            return Err("a new log has no room for one call".into());
        }
        calls += did;
        took += time;
    }
    Ok(Some((calls * batch as u64) as f64 / took.as_secs_f64()))
}

/// A log in a directory of its own, which goes when this goes.
struct Fresh {
    // Before the directory: it may hold files of it.
    appender: Box<dyn Appender>,
    _directory: tempfile::TempDir,
}

impl Fresh {
    fn new(
        make: &mut Make<'_>,
        within: &Path,
        payloads: &Payloads,
        batch: usize,
    ) -> Outcome<Option<Self>> {
        let directory = tempfile::tempdir_in(within)?;
        let made = make(&Load { within: directory.path(), payloads, batch })?;
        Ok(made.map(|appender| Self { appender, _directory: directory }))
    }
}

/// Opens a second: of the median of as many as fit, the first of which is not counted.
///
/// # Errors
///
/// The log cannot be opened.
pub fn opens(subject: &dyn Subject, within: &Path) -> Outcome<Option<f64>> {
    let mut times: Vec<Duration> = Vec::new();
    let began = Instant::now();
    while times.len() <= OPENS || began.elapsed() < LONG_ENOUGH {
        let now = Instant::now();
        let Some(open) = subject.open(within)? else { return Ok(None) };
        times.push(now.elapsed());
        drop(open);
    }
    times.remove(0);
    times.sort();
    Ok(Some(1.0 / times[times.len() / 2].as_secs_f64()))
}
