//! Makes images of power cuts, mounts them, opens their logs, and holds these against what was told.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use factlog::{Log, OpenError, RecoveryOutcome};

use super::medium::Medium;
use super::writes::Writes;
use super::{Breach, Tally, Told, options};
use crate::Random;
use crate::power_cut::model::{Fact, Model};

/// Looks at so many images of the record in `folder`, and prints what it counted, or what does not
/// hold.
///
/// # Errors
///
/// There is no record, or no image can be made.
pub(super) fn look(seed: u64, images: u64, lies: bool, folder: &Path) -> Result<(), String> {
    let read = |name: &str| fs::read(folder.join(name)).map_err(|error| format!("{name}: {error}"));
    let told = Told::read(&String::from_utf8_lossy(&read("report")?))?;
    let writes = Writes::read(read("writes")?)?;
    let medium = Medium::read(&folder.join("before"), lies);
    let mut medium = medium.map_err(|error| error.to_string())?;
    let ends = medium.clone().ends_as(&writes, &folder.join("disk"));
    if !ends.map_err(|error| error.to_string())? {
        return Err("the record is not what the device has".to_owned());
    }
    let mut random = Random::new(seed ^ 0xC07);
    let mut tally = told.counts.clone();
    tally.add("records", 1);
    tally.add("recorded requests", writes.entries.len() as u64);
    let flushes = writes.entries.iter().filter(|entry| entry.flushes()).count();
    tally.add("recorded flushes", flushes as u64);

    let mut cuts: Vec<_> = (0..images).map(|_| draw(&writes, &told, &mut random)).collect();
    cuts.sort_unstable();
    let mut look = Look { seed, folder, file: None };
    // Where no image is chosen to be gone on with, the next log begins with an empty device.
    super::clear(folder)?;
    for count in cuts {
        medium.advance(&writes, count);
        let file = look.image()?;
        let made = medium.cut(&writes, count, &mut random, file, &mut tally);
        made.map_err(|error| format!("an image: {error}"))?;
        let recorded = writes.recorded(count);
        tally.add("images", 1);
        if let Err(breach) = look.hold(&told, recorded, &mut random, &mut tally) {
            let (word, what) = match breach {
                Breach::Lost(what) => ("G2, lost", what),
                Breach::Altered(what) => ("G3, altered", what),
                Breach::Broken(what) => ("broken", what),
            };
            print!("{tally}");
            let durable = medium.durable();
            let what = what.replace('\n', " ");
            println!("breach {word}: cut behind request {count}, flushed up to {durable}: {what}");
            return Ok(());
        }
    }
    print!("{tally}");
    println!("end");
    Ok(())
}

/// Behind which request the power is cut: right behind an acknowledgement, shortly after or before
/// one, or anywhere. Where nothing was acknowledged just then, mostly before a flush, so that
/// something is left to be torn.
fn draw(writes: &Writes, told: &Told, random: &mut Random) -> usize {
    let all = writes.entries.len() as u64;
    let own: Vec<_> = told.durable.iter().filter(|(bytes, _)| *bytes > 0).collect();
    let pick = random.below(if own.is_empty() { 1 } else { 4 });
    let (least, count) = if pick == 0 {
        (0, random.below(all + 1))
    } else {
        // The first ones are of a log that has just been made, or recovered.
        let of = own.len() as u64;
        let of = if random.below(5) == 0 { of.min(3) } else { of };
        let (bytes, _) = own[random.below(of) as usize];
        let at = writes.entries_at(*bytes) as u64;
        match pick {
            1 => (at, at),
            2 => (at, at + 1 + random.below(12)),
            _ => (0, at.saturating_sub(random.below(4))),
        }
    };
    let flush = |count: u64| {
        let last = count.checked_sub(1).and_then(|last| writes.entries.get(last as usize));
        last.is_some_and(super::writes::Entry::flushes)
    };
    let mut count = count.min(all);
    while count > least && flush(count) && random.below(4) > 0 {
        count -= 1;
    }
    count as usize
}

struct Look<'f> {
    seed: u64,
    folder: &'f Path,
    file: Option<File>,
}

impl Look<'_> {
    /// The file in which images are made.
    fn image(&mut self) -> Result<&File, String> {
        if self.file.is_none() {
            let mut options = File::options();
            let options = options.read(true).write(true).create(true).truncate(true);
            let opened = options.open(self.folder.join("image"));
            self.file = Some(opened.map_err(|error| error.to_string())?);
        }
        self.file.as_ref().ok_or_else(|| "there is no image".to_owned())
    }

    /// Mounts the image, and holds its log against what was told when so much was recorded.
    fn hold(
        &mut self,
        told: &Told,
        recorded: u64,
        random: &mut Random,
        tally: &mut Tally,
    ) -> Result<(), Breach> {
        let broken = |error: std::io::Error| Breach::Broken(error.to_string());
        let may_go_on = random.below(4) == 0;
        let (image, kept) = (self.folder.join("image"), self.folder.join("kept"));
        if may_go_on {
            copy(&image, &kept).map_err(broken)?;
        }
        let mount = self.folder.join("mount");
        run(Command::new("mount")
            .args(["-t", "ext4", "-o", "loop,noatime"])
            .arg(&image)
            .arg(&mount))
        .map_err(|error| Breach::Broken(format!("ext4 does not mount: {error}")))?;
        let found = self.hold_log(&mount.join("log"), told, recorded, random, tally);
        unmount(&mount).map_err(Breach::Broken)?;
        let Some(count) = found? else { return Ok(()) };
        if may_go_on {
            fs::rename(&kept, self.folder.join("disk")).map_err(broken)?;
            let first = told.first(count, recorded);
            let heir = format!("{first}end\n");
            fs::write(self.folder.join("heir"), heir).map_err(broken)?;
        }
        Ok(())
    }

    /// How many events the log has, if there is one.
    fn hold_log(
        &self,
        log: &Path,
        told: &Told,
        recorded: u64,
        random: &mut Random,
        tally: &mut Tally,
    ) -> Result<Option<usize>, Breach> {
        let model = told.model_at(recorded);
        let acknowledged = told.durable_at(recorded);
        // Reading only first: it changes nothing, and opening for writing must say the same.
        let read = match options(self.seed).open_read_only(log) {
            Ok(read) => read,
            Err(OpenError::NoLog(_)) if acknowledged == 0 => {
                tally.add("no log yet", 1);
                return Ok(None);
            }
            Err(error) => return Err(Breach::Lost(format!("it does not open: {error}"))),
        };
        let recovery = read.recovery().clone();
        let count = compare(&model, &read).map_err(|breach| breach.with(&recovery))?;
        drop(read);
        if (count as u64) < acknowledged {
            let what = format!("{count} events, but {acknowledged} were acknowledged ({recovery})");
            return Err(Breach::Lost(what));
        }
        let verdict = match recovery.outcome {
            RecoveryOutcome::ClosedCleanly => "closed cleanly",
            RecoveryOutcome::Clean => "clean",
            RecoveryOutcome::Torn => "torn",
            _ => return Err(Breach::Lost(format!("a power cut is no damage: {recovery}"))),
        };
        tally.add(verdict, 1);
        tally.add("acknowledged events, all there", acknowledged);
        tally.add("images with acknowledged events", u64::from(acknowledged > 0));
        tally.add("images with more than was acknowledged", u64::from(count as u64 > acknowledged));
        tally.add("events compared", count as u64);
        self.go_on(log, &model, count, random.below(3) == 0)?;
        Ok(Some(count))
    }

    /// The log is opened for writing, and read again; perhaps something is appended to it between.
    fn go_on(&self, log: &Path, model: &Model, count: usize, append: bool) -> Result<(), Breach> {
        let broken =
            |what: &str, error: &dyn std::fmt::Display| Breach::Broken(format!("{what}: {error}"));
        let opened = options(self.seed).open(log);
        let mut writer = opened.map_err(|error| broken("for writing", &error))?;
        let recovery = writer.recovery().clone();
        let again = compare(model, &writer.log()).map_err(|breach| breach.with(&recovery))?;
        let next = writer.next_sequence().get();
        if again != count || next != count as u64 + 1 {
            let what = format!("{count} events when read; for writing {again}, and {next} is next");
            return Err(Breach::Altered(what).with(&recovery));
        }
        for (stream, version) in model.versions(count) {
            let key = Fact { serial: 0, len: 0, stream }.key();
            let key = key.ok_or_else(|| Breach::Broken("no stream".to_owned()))?;
            let found = writer.stream_version(&key).get();
            if found != version {
                let what = format!("stream {stream} is at {found}, not {version}");
                return Err(Breach::Altered(what).with(&recovery));
            }
        }
        let mut model = model.first(count);
        if append {
            let fact = Fact { serial: u64::MAX, len: 100, stream: 1 };
            let appended = fact.put(|event, meta| writer.append_with(event, meta));
            appended.map_err(|error| broken("appending", &error))?;
            model.add(fact);
        }
        writer.close().map_err(|error| broken("closing", &error))?;
        let log = options(self.seed).open_read_only(log);
        let log = log.map_err(|error| broken("reading again", &error))?;
        let found = compare(&model, &log)?;
        let wanted = count + usize::from(append);
        if found == wanted {
            return Ok(());
        }
        Err(Breach::Altered(format!("{found} events when opened once more, not {wanted}")))
    }
}

impl Breach {
    fn with(self, recovery: &factlog::RecoveryReport) -> Self {
        match self {
            Self::Lost(what) => Self::Lost(format!("{what} ({recovery})")),
            Self::Altered(what) => Self::Altered(format!("{what} ({recovery})")),
            Self::Broken(what) => Self::Broken(format!("{what} ({recovery})")),
        }
    }
}

fn compare(model: &Model, log: &Log) -> Result<usize, Breach> {
    model.compare(log).map(|found| found.count)
}

/// Copies a file, but not its holes.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    let done = run(Command::new("cp").arg("--sparse=always").arg(from).arg(to));
    done.map_err(std::io::Error::other)
}

/// Runs it, or says what it says.
fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
}

/// Unmounts; what a log's threads still hold is let go of soon.
fn unmount(mount: &Path) -> Result<(), String> {
    for _ in 0..200 {
        match rustix::mount::unmount(mount, rustix::mount::UnmountFlags::empty()) {
            Ok(()) => return Ok(()),
            Err(rustix::io::Errno::BUSY) => std::thread::sleep(Duration::from_millis(10)),
            Err(error) => return Err(format!("unmounting: {error}")),
        }
    }
    Err("it stays in use".to_owned())
}
