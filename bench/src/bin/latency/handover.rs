//! From before an append to the hand of a reader on another thread.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use factlog::{Durability, EventType, Opaque, Options, Start};
use factlog_bench::settle;
use hdrhistogram::Histogram;

use crate::Failure;
use crate::arguments::Arguments;
use crate::pace::{Timer, histogram};
use crate::report::{Report, Row};

static EVENT: EventType = EventType::opaque("handed", 1);
const RATES: [u64; 2] = [100_000, 1_000_000];

pub(crate) fn measure(
    arguments: &Arguments,
    timer: &Timer,
    report: &mut Report,
) -> Result<(), Failure> {
    const NAME: &str = "append to cursor";
    const LIMIT: &str = "append to cursor: limit, an atomic store";
    for rate in RATES {
        if arguments.wants(NAME) {
            let found = appended(arguments, timer, rate)?;
            let limit = stored(timer, rate, arguments.time)?;
            let ratio = found.value_at_quantile(0.5) as f64 / limit.value_at_quantile(0.5) as f64;
            report.add(Row::new(NAME.into(), rate), &found);
            report.add(Row::new(LIMIT.into(), rate), &limit);
            report.note(format!("the median is {ratio:.2} times that of the atomic store"));
        }
    }
    Ok(())
}

/// The payload begins with the time before the append; the reader looks at its own.
fn appended(arguments: &Arguments, timer: &Timer, rate: u64) -> Result<Histogram<u64>, Failure> {
    let directory = tempfile::tempdir_in(&arguments.directory)?;
    let mut writer = Options::new()
        .segment_size(512 << 20)
        .prefault(512 << 20)
        .durability(Durability::None)
        .open(directory.path())?;
    settle();
    let mut cursor = writer.log().cursor(Start::End)?;
    let stop = AtomicBool::new(false);
    let mut found = histogram()?;
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                while let Ok(Some(event)) = cursor.next_event() {
                    let now = timer.raw();
                    if let Some(stamp) = event.payload().first_chunk() {
                        let stamp = u64::from_le_bytes(*stamp);
                        found.saturating_record(timer.between(stamp, now));
                    }
                }
                std::hint::spin_loop();
            }
            found
        });
        let mut payload = [0xA5_u8; 64];
        let done = timer.pace(rate, arguments.time, |_| {
            payload[..8].copy_from_slice(&timer.raw().to_le_bytes());
            writer.append(&Opaque::new(&EVENT, &payload)).map(drop)
        });
        stop.store(true, Ordering::Relaxed);
        let found = reader.join().map_err(|_| "the reader panicked")?;
        done?;
        Ok(found)
    })
}

/// The same with a bare atomic: what the processor takes to show one thread what another did.
fn stored(timer: &Timer, rate: u64, time: Duration) -> Result<Histogram<u64>, Failure> {
    let (stamp, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let mut found = histogram()?;
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut last = 0;
            while !stop.load(Ordering::Relaxed) {
                let seen = stamp.load(Ordering::Acquire);
                if seen != last {
                    let now = timer.raw();
                    found.saturating_record(timer.between(seen, now));
                    last = seen;
                }
                std::hint::spin_loop();
            }
            found
        });
        let done = timer.pace(rate, time, |_| -> Result<(), Failure> {
            stamp.store(timer.raw(), Ordering::Release);
            Ok(())
        });
        stop.store(true, Ordering::Relaxed);
        let found = reader.join().map_err(|_| "the reader panicked")?;
        done?;
        Ok(found)
    })
}
