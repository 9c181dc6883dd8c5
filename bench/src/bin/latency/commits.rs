//! Durable commits of 64 events of 64 bytes, and of as many raw bytes.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use factlog::{Durability, EventType, Opaque, Options};
use hdrhistogram::Histogram;

use crate::Failure;
use crate::arguments::Arguments;
use crate::pace::{Timer, histogram};
use crate::report::{Report, Row};

static EVENT: EventType = EventType::opaque("committed", 1);
const PAYLOAD: [u8; 64] = [0xA5; 64];
const EVENTS: usize = 64;
/// What such a commit takes on the medium: a frame of 5,168 bytes, padded to whole pages.
const BYTES: usize = 8192;
const SPACE: usize = 64 << 20;
/// Commits a second: below what a disk with a cache takes, so that no queue builds up.
const RATE: u64 = 500;

pub(crate) fn measure(
    arguments: &Arguments,
    timer: &Timer,
    report: &mut Report,
) -> Result<(), Failure> {
    let ways = [
        ("durable commit, group", Durability::Group),
        ("durable commit, always", Durability::Always),
    ];
    let mut any = false;
    for (name, durability) in ways {
        if arguments.wants(name) {
            any = true;
            let found = committed(arguments, timer, durability)?;
            report.add(Row::new(name.into(), RATE), &found);
        }
    }
    if any {
        let name = "durable commit: limit, pwrite and fdatasync";
        report.add(Row::new(name.into(), RATE), &raw(arguments, timer)?);
    }
    Ok(())
}

fn committed(
    arguments: &Arguments,
    timer: &Timer,
    durability: Durability,
) -> Result<Histogram<u64>, Failure> {
    let directory = tempfile::tempdir_in(&arguments.directory)?;
    let options = Options::new().segment_size(256 << 20).durability(durability);
    let mut writer = options.open(directory.path())?;
    // Spares are being written, which has no pages to look at.
    std::thread::sleep(Duration::from_secs(2));
    let mut found = histogram()?;
    for measured in [false, true] {
        let time = if measured { arguments.time } else { Duration::from_millis(200) };
        timer.pace(RATE, time, |intended| -> Result<(), Failure> {
            let mut transaction = writer.begin()?;
            for _ in 0..EVENTS {
                transaction.append(&Opaque::new(&EVENT, &PAYLOAD))?;
            }
            if !transaction.commit()?.durable {
                return Err("a commit was not durable".into());
            }
            if measured {
                found.saturating_record(timer.between(intended, timer.raw()));
            }
            Ok(())
        })?;
    }
    Ok(found)
}

/// Space that was written and synced before, as the log's is.
fn prepared(arguments: &Arguments) -> Result<(tempfile::TempDir, File), Failure> {
    let directory = tempfile::tempdir_in(&arguments.directory)?;
    let path = directory.path().join("raw");
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
    file.write_all_at(&vec![0; SPACE], 0)?;
    file.sync_all()?;
    Ok((directory, file))
}

fn raw(arguments: &Arguments, timer: &Timer) -> Result<Histogram<u64>, Failure> {
    let (_directory, file) = prepared(arguments)?;
    let (bytes, mut at) = (vec![0xA5_u8; BYTES], 0);
    let mut found = histogram()?;
    timer.pace(RATE, arguments.time, |intended| -> io::Result<()> {
        file.write_all_at(&bytes, at)?;
        file.sync_data()?;
        at = (at + BYTES as u64) % SPACE as u64;
        found.saturating_record(timer.between(intended, timer.raw()));
        Ok(())
    })?;
    Ok(found)
}
