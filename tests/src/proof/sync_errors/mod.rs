//! G5: after a failed sync nothing later is acknowledged, and reopening does not bring back as
//! durable what was lost.
//!
//! - `story`: what is done to a log, until it is over or the log has failed
//! - `simulated`: the n-th sync fails on a simulated disk, and what it should have synced is lost
//! - `traced`: the n-th sync of a real process fails, by `strace`
//! - `device`: a real file system really fails: ext4 on a device that is too small for it

#[cfg(target_os = "linux")]
mod device;
#[cfg(unix)]
mod simulated;
#[cfg(unix)]
mod story;
#[cfg(target_os = "linux")]
mod traced;

use super::{Request, Row};

/// Tries it.
pub fn run(request: &Request) -> Row {
    Row::of("G5", request, |row| all(request, row))
}

#[cfg(not(unix))]
fn all(_: &Request, row: &mut Row) -> Result<(), String> {
    row.skipped = Some("the simulated disk needs a Unix".to_owned());
    Ok(())
}

#[cfg(unix)]
fn all(request: &Request, row: &mut Row) -> Result<(), String> {
    on_simulated_disks(request, row)?;
    #[cfg(target_os = "linux")]
    {
        let mut skipped = Vec::new();
        traced::run(request, row, &mut skipped)?;
        device::run(request, row, &mut skipped)?;
        row.skipped = (!skipped.is_empty()).then(|| skipped.join("; "));
    }
    #[cfg(not(target_os = "linux"))]
    {
        row.skipped = Some("syncs of a real process: strace and ext4 need Linux".to_owned());
    }
    Ok(())
}

/// Does not return in a process that was started for this promise.
pub fn child() {
    #[cfg(target_os = "linux")]
    traced::child();
    #[cfg(target_os = "linux")]
    device::child();
}

#[cfg(unix)]
fn on_simulated_disks(request: &Request, row: &mut Row) -> Result<(), String> {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::{Mutex, PoisonError};
    use std::time::{Duration, Instant};

    use simulated::Seen;
    use story::Ending;

    let times = request.times(100, 2_400);
    let next = AtomicU64::new(0);
    let total = Mutex::new((Seen::default(), None::<String>));
    std::thread::scope(|scope| {
        for worker in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            let (next, total) = (&next, &total);
            scope.spawn(move || {
                let mut told = Instant::now();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= times {
                        return;
                    }
                    let seed = request.seed;
                    let tried = std::panic::catch_unwind(|| simulated::attempt(seed, number));
                    let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
                    match tried {
                        Ok(Ok(seen)) => total.0.join(seen),
                        Ok(Err(error)) => {
                            next.store(times, Ordering::Relaxed);
                            total.1.get_or_insert(error);
                        }
                        Err(_) => {
                            next.store(times, Ordering::Relaxed);
                            total.1.get_or_insert(format!("case {number}: a panic"));
                        }
                    }
                    drop(total);
                    if worker == 0 && told.elapsed() > Duration::from_secs(10) {
                        told = Instant::now();
                        eprintln!("failed syncs, simulated: {number} of {times}");
                    }
                }
            });
        }
    });
    let (seen, failure) = total.into_inner().unwrap_or_else(PoisonError::into_inner);
    row.tried += seen.tried;
    let of = |ending: &Ending| seen.endings.get(ending).copied().unwrap_or(0);
    let endings: Vec<_> = Ending::ALL
        .iter()
        .filter(|ending| of(ending) > 0)
        .map(|ending| format!("{} {}", ending.name(), of(ending)))
        .collect();
    row.counts.push(format!(
        "simulated, n-th sync: {} logs: {}, over before it {}; {} power cuts, {} of them took \
         events that were not acknowledged",
        seen.tried,
        endings.join(", "),
        seen.missed,
        seen.images,
        seen.lost
    ));
    if let Some(error) = failure {
        return Err(format!("simulated: {error}"));
    }
    for ending in [Ending::Stopped, Ending::NotOpened, Ending::Finished] {
        if of(&ending) == 0 {
            return Err(format!("the counts flatter: of no log was it seen: {}", ending.name()));
        }
    }
    if seen.lost == 0 {
        return Err("the counts flatter: nothing was ever lost".to_owned());
    }
    Ok(())
}
