//! Many lives, on all processors.

use std::panic::catch_unwind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{available_parallelism, scope};
use std::time::{Duration, Instant};

use super::{Breach, Report, live};

/// Images of one life.
const PER_LIFE: u64 = 120;

/// What many lives are asked for.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// Of the first life; the next one has the next.
    pub first: u64,
    /// As many lives at most.
    pub lives: u64,
    /// When it is enough.
    pub enough: &'a (dyn Fn(&Report) -> bool + Sync),
    /// Breaches after which there is no need to go on.
    pub fatal: &'a (dyn Fn(&Breach) -> bool + Sync),
}

/// What many lives came to.
#[derive(Debug, Clone, Default)]
pub struct Lives {
    /// Of those in which everything held.
    pub report: Report,
    /// How many there were.
    pub lived: u64,
    /// What did not hold.
    pub breaches: Vec<Breach>,
}

impl Lives {
    /// As many lives as it may take for so many images, some of which do not count.
    pub const fn needed_for(images: u64) -> u64 {
        16 + images / PER_LIFE * 4
    }
}

/// Lives lives until it is enough, or a fatal breach is found. `progress` is told now and then.
///
/// # Panics
///
/// `progress` does.
pub fn many(asked: Asked<'_>, progress: &(dyn Fn(&Lives) + Sync)) -> Lives {
    let next = AtomicU64::new(0);
    let total = Mutex::new((Lives::default(), Instant::now()));
    let workers = available_parallelism().map_or(2, usize::from);
    let work = || {
        loop {
            let life = next.fetch_add(1, Ordering::Relaxed);
            {
                let (lives, _) = &*total.lock().expect("no panic");
                let fatal = lives.breaches.iter().any(asked.fatal);
                if life >= asked.lives || fatal || (asked.enough)(&lives.report) {
                    return;
                }
            }
            let seed = asked.first.wrapping_add(life);
            let lived = catch_unwind(|| live(seed, PER_LIFE))
                .unwrap_or_else(|_| Err(Breach::Broken(format!("seed {seed}: a panic"))));
            let (lives, told) = &mut *total.lock().expect("no panic");
            match lived {
                Ok(report) => lives.report.add(&report),
                Err(breach) => lives.breaches.push(breach),
            }
            lives.lived += 1;
            if told.elapsed() > Duration::from_secs(10) {
                *told = Instant::now();
                progress(lives);
            }
        }
    };
    scope(|scope| {
        for _ in 0..workers {
            scope.spawn(work);
        }
    });
    total.into_inner().expect("no panic").0
}
