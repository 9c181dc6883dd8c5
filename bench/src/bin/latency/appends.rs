//! A single append of 64 bytes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use factlog::{Durability, EventType, Opaque, Options, Start, Writer};
use factlog_bench::settle;
use hdrhistogram::Histogram;

use crate::Failure;
use crate::arguments::Arguments;
use crate::pace::{Timer, histogram};
use crate::report::{Report, Row};

static EVENT: EventType = EventType::opaque("latency", 1);
const PAYLOAD: [u8; 64] = [0xA5; 64];
/// So long is not measured at the beginning.
const WARM: Duration = Duration::from_millis(200);

/// What happens meanwhile.
#[derive(Debug, Clone, Copy)]
struct Situation {
    name: &'static str,
    segment: u64,
    durability: Durability,
    reader: bool,
    rates: &'static [u64],
}

const SITUATIONS: [Situation; 4] = [
    Situation {
        name: "append, quiet",
        segment: 512 << 20,
        durability: Durability::None,
        reader: false,
        rates: &[100_000, 1_000_000],
    },
    Situation {
        name: "append, a reader at its heels",
        segment: 512 << 20,
        durability: Durability::None,
        reader: true,
        rates: &[100_000, 1_000_000],
    },
    Situation {
        name: "append, across rollovers",
        segment: 32 << 20,
        durability: Durability::None,
        reader: false,
        rates: &[1_000_000],
    },
    Situation {
        name: "append, during background syncs",
        segment: 512 << 20,
        durability: Durability::Interval(Duration::from_millis(1)),
        reader: false,
        rates: &[100_000, 1_000_000],
    },
];

/// From the intended start, in itself, and of those that rolled over.
struct Latencies {
    intended: Histogram<u64>,
    service: Histogram<u64>,
    rollover: Histogram<u64>,
}

pub(crate) fn measure(
    arguments: &Arguments,
    timer: &Timer,
    report: &mut Report,
) -> Result<(), Failure> {
    for situation in SITUATIONS.iter().filter(|situation| arguments.wants(situation.name)) {
        for rate in situation.rates {
            let found = one(arguments, timer, *situation, *rate)?;
            let row = |what: &str| Row::new(format!("{}{what}", situation.name), *rate);
            report.add(row(""), &found.intended);
            report.add(row(": the call itself"), &found.service);
            if !found.rollover.is_empty() {
                report.add(row(": calls that rolled over"), &found.rollover);
            }
        }
    }
    Ok(())
}

fn one(
    arguments: &Arguments,
    timer: &Timer,
    situation: Situation,
    rate: u64,
) -> Result<Latencies, Failure> {
    let directory = tempfile::tempdir_in(&arguments.directory)?;
    let prefault = situation.segment as usize;
    let mut writer = Options::new()
        .segment_size(situation.segment)
        .spare_segments(1)
        .prefault(prefault)
        .durability(situation.durability)
        .open(directory.path())?;
    settle();
    let stop = AtomicBool::new(false);
    let log = writer.log();
    std::thread::scope(|scope| {
        if situation.reader {
            let mut cursor = log.cursor(Start::End)?;
            let stop = &stop;
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    while let Ok(Some(event)) = cursor.next_event() {
                        std::hint::black_box(event.payload());
                    }
                    std::hint::spin_loop();
                }
            });
        }
        let found = append(&mut writer, timer, situation, rate, arguments.time);
        stop.store(true, Ordering::Relaxed);
        found
    })
}

fn append(
    writer: &mut Writer,
    timer: &Timer,
    situation: Situation,
    rate: u64,
    time: Duration,
) -> Result<Latencies, Failure> {
    let event = Opaque::new(&EVENT, &PAYLOAD);
    timer.pace(rate, WARM, |_| writer.append(&event).map(drop))?;
    let mut found =
        Latencies { intended: histogram()?, service: histogram()?, rollover: histogram()? };
    let log = writer.log();
    let mut segment = log.visible().1.raw() / situation.segment;
    timer.pace(rate, time, |intended| -> Result<(), Failure> {
        let begin = timer.raw();
        writer.append(&event)?;
        let end = timer.raw();
        let service = timer.between(begin, end);
        found.intended.saturating_record(timer.between(intended, end));
        found.service.saturating_record(service);
        let now = log.visible().1.raw() / situation.segment;
        if now != segment {
            segment = now;
            found.rollover.saturating_record(service);
        }
        Ok(())
    })?;
    Ok(found)
}
