//! Opens an image, and says what became of it.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;

use factlog::{OpenError, Options, RecoveryOutcome, RecoveryReport};
use factlog_simdisk::Medium;

use super::model::{Fact, Model};
use super::watch::Captured;
use super::{Breach, Report};
use crate::Random;

/// What a log was opened with, as far as its promises depend on it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Promise {
    /// What was acknowledged also holds on a weak medium.
    pub(super) weak: bool,
}

/// Opens the image in `target`, where it is written first. Gives how many events it has, if it is a
/// log.
pub(super) fn check(
    captured: &Captured,
    model: &Model,
    promise: Promise,
    target: &Path,
    options: &dyn Fn() -> Options,
    random: &mut Random,
    report: &mut Report,
) -> Result<Option<usize>, Breach> {
    captured.image.write_to(target).map_err(|error| format!("the image: {error}"))?;
    let target = &target.join("log");
    report.images += 1;
    report.disk += captured.image.counts();
    report.opening += u64::from(captured.opening);
    let acknowledged = captured.acknowledged;
    let binding = captured.medium == Medium::PowerSafe || promise.weak;
    let allowed = |what: String| if binding { Err(Breach::Lost(what)) } else { Ok(None) };

    // Reading only first: it changes nothing, and must say the same.
    let read = match options().open_read_only(target) {
        Ok(log) => log,
        Err(OpenError::NoLog(_)) if acknowledged == 0 => {
            report.nothing += 1;
            return Ok(None);
        }
        Err(error) => {
            report.weak += u64::from(!binding);
            let (medium, opening) = (captured.medium, captured.opening);
            return allowed(format!(
                "it does not open ({medium:?} medium, opening {opening}, {acknowledged} durable): {error}"
            ));
        }
    };
    let recovery = read.recovery().clone();
    let found = model.compare(&read).map_err(|breach| breach.within(&recovery.to_string()))?;
    let count = found.count;
    drop(read);
    report.compared += 1;
    report.read += found.read;
    if (count as u64) < acknowledged {
        report.weak += u64::from(!binding);
        return allowed(format!("{count} events, but {acknowledged} were durable ({recovery})"));
    }
    match recovery.outcome {
        RecoveryOutcome::ClosedCleanly => report.closed += 1,
        RecoveryOutcome::Clean => report.clean += 1,
        RecoveryOutcome::Torn => report.torn += 1,
        _ => {
            report.weak += u64::from(!binding);
            return allowed(format!("a power cut is no damage: {recovery}"));
        }
    }
    report.acknowledged += u64::from(acknowledged > 0);
    report.held += acknowledged;
    report.beyond += u64::from(count as u64 > acknowledged);

    match random.below(4) {
        0 => {
            flip(target, &recovery, options, random, report)?;
            Ok(None)
        }
        1 => {
            go_on(target, model, count, options)?;
            Ok(Some(count))
        }
        _ => Ok(Some(count)),
    }
}

/// The log is opened for writing, appended to, closed and read again.
fn go_on(
    target: &Path,
    model: &Model,
    count: usize,
    options: &dyn Fn() -> Options,
) -> Result<(), Breach> {
    let mut writer = options().open(target).map_err(|error| format!("for writing: {error}"))?;
    let recovery = writer.recovery().clone();
    if writer.next_sequence().get() != count as u64 + 1 {
        let next = writer.next_sequence();
        let what = format!("{count} events when read, next is {next} for writing: {recovery}");
        return Err(Breach::Altered(what));
    }
    for (stream, version) in model.versions(count) {
        let key = Fact { serial: 0, len: 0, stream }.key().expect("a stream");
        let found = writer.stream_version(&key).get();
        if found != version {
            return Err(Breach::Altered(format!("stream {stream} is at {found}, not {version}")));
        }
    }
    let fact = Fact { serial: u64::MAX, len: 100, stream: 1 };
    let appended = fact.put(|event, meta| writer.append_with(event, meta));
    appended.map_err(|error| format!("after recovery: {error}"))?;
    writer.close().map_err(|error| format!("after recovery: {error}"))?;
    let mut with = model.first(count);
    with.add(fact);
    let log = options().open_read_only(target).map_err(|error| format!("again: {error}"))?;
    let again = with.compare(&log).map_err(|breach| breach.within("after recovery"))?.count;
    match again {
        _ if again == count + 1 => Ok(()),
        _ if again > count => Err(Breach::Altered(format!("{again} events, not {count} and one"))),
        _ => Err(Breach::Lost(format!("{again} events after {count} and one"))),
    }
}

/// A bit below a witness is flipped: then the log is damaged, and says so.
fn flip(
    target: &Path,
    recovery: &RecoveryReport,
    options: &dyn Fn() -> Options,
    random: &mut Random,
    report: &mut Report,
) -> Result<(), Breach> {
    const BITS: u8 = 22;
    let (segment, end) = (recovery.durable.segment(BITS).get(), recovery.durable.offset(BITS));
    // What retention has dropped is no part of the log, though its file may still be there.
    let oldest = recovery.end.segment.get() + 1 - recovery.segments.min(recovery.end.segment.get());
    if segment < oldest || end <= 4096 {
        return Ok(());
    }
    let path = target.join(format!("seg/{segment:010}.log"));
    let at = 4096 + random.below(u64::from(end) - 4096);
    let bit = 1 << random.below(8);
    let mut byte = [0];
    let done = OpenOptions::new().read(true).write(true).open(&path).and_then(|file| {
        file.read_exact_at(&mut byte, at)?;
        file.write_all_at(&[byte[0] ^ bit], at)
    });
    done.map_err(|error| format!("{}: {error}", path.display()))?;
    match options().verify(target) {
        Ok(found) if found.outcome == RecoveryOutcome::Damaged => {}
        Err(OpenError::Damaged(_)) => {}
        other => {
            let what = format!("bit {bit:#x} of byte {at} in segment {segment}: {other:?}");
            return Err(Breach::Altered(what));
        }
    }
    report.damaged += 1;
    Ok(())
}
