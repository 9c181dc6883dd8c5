//! Little space is left: a log is made, appended to, and must say so; then there is space again.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::PathBuf;
use std::process::Command;

use factlog::{
    AppendError, Durability, EventType, IoError, Log, Opaque, OpenError, Options, Start, WriteWay,
    Writer,
};

use crate::Random;

static FILL: EventType = EventType::opaque("fill", 1);

/// Bytes of an event.
const EVENT: usize = 60_000;
/// Bytes of a file that takes space.
const BALLAST: usize = 256 << 10;
/// Bytes that are taken at once, while there is much.
const MOST: usize = 4 << 20;

/// Where a log is made, and what space there is.
#[derive(Debug)]
pub(super) struct Space {
    pub(super) root: PathBuf,
    limited: bool,
}

impl Space {
    /// A whole file system.
    pub(super) fn all(root: PathBuf) -> Self {
        Self { root, limited: false }
    }

    /// A subvolume of btrfs that may have 40 MiB.
    pub(super) fn limited(root: PathBuf) -> Self {
        Self { root, limited: true }
    }

    pub(super) fn is_limited(&self) -> bool {
        self.limited
    }

    /// Takes all space but `free` bytes, about.
    fn take(&self, free: usize) -> Result<(), String> {
        let folder = self.root.join("taken");
        fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        // The file system may compress.
        let mut random = File::open("/dev/urandom").map_err(|error| error.to_string())?;
        let mut bytes = vec![0; MOST];
        random.read_exact(&mut bytes).map_err(|error| error.to_string())?;
        let (mut count, mut small) = (0_u64, 0_u64);
        let mut len = MOST;
        loop {
            let path = folder.join(count.to_string());
            let written = File::create(&path).and_then(|mut file| {
                file.write_all(&bytes[..len])?;
                file.sync_all()
            });
            match written {
                Ok(()) => {
                    count += 1;
                    small = if len == BALLAST { small + 1 } else { 0 };
                }
                Err(_) => {
                    drop(fs::remove_file(&path));
                    if len == BALLAST {
                        break;
                    }
                    len = BALLAST;
                }
            }
        }
        // The last ones are the small ones; with a large one there is more space than asked for.
        let wanted = (free / BALLAST) as u64;
        let many = small.min(wanted)
            + (wanted.saturating_sub(small) * BALLAST as u64).div_ceil(MOST as u64);
        for number in count.saturating_sub(many)..count {
            drop(fs::remove_file(folder.join(number.to_string())));
        }
        // What is removed is free when that is written.
        self.settle();
        Ok(())
    }

    /// Gives back what was taken.
    fn give_back(&self) -> Result<(), String> {
        self.limit("none")?;
        let folder = self.root.join("taken");
        if folder.exists() {
            fs::remove_dir_all(folder).map_err(|error| format!("giving back: {error}"))?;
        }
        self.settle();
        self.limit("40M")
    }

    /// Removes all but what was there from the beginning.
    pub(super) fn clear(&self) -> Result<(), String> {
        self.limit("none")?;
        let entries = fs::read_dir(&self.root).map_err(|error| error.to_string())?;
        for entry in entries {
            let path = entry.map_err(|error| error.to_string())?.path();
            let kept = ["ballast", "lost+found"].iter().any(|name| path.ends_with(name));
            let removed = match path.is_dir() {
                _ if kept => Ok(()),
                true => fs::remove_dir_all(&path),
                false => fs::remove_file(&path),
            };
            removed.map_err(|error| format!("clearing {}: {error}", path.display()))?;
        }
        self.settle();
        self.limit("40M")
    }

    fn settle(&self) {
        // Of this file system alone.
        drop(Command::new("sync").arg("-f").arg(&self.root).output());
    }

    fn limit(&self, size: &str) -> Result<(), String> {
        if !self.limited {
            return Ok(());
        }
        let words = ["-q", "qgroup", "limit", size];
        let ran = Command::new("btrfs").args(words).arg(&self.root).output();
        let ran = ran.map_err(|error| error.to_string())?;
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        if ran.status.success() { Ok(()) } else { Err(format!("the quota: {said}")) }
    }
}

/// Whether the system said that there is no space.
fn is_full(error: &IoError) -> bool {
    matches!(error.source.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

/// One try; what happened in it, as words for people.
///
/// # Errors
///
/// What does not hold.
pub(super) fn squeeze(
    space: &Space,
    copies: bool,
    number: u64,
    random: &mut Random,
) -> Result<Vec<String>, String> {
    let mut told = Vec::new();
    let way = if number.is_multiple_of(2) { WriteWay::Mapped } else { WriteWay::Staged };
    let durability = match random.below(3) {
        0 => Durability::None,
        1 => Durability::Group,
        _ => Durability::Interval(std::time::Duration::from_millis(2)),
    };
    let options = |way| {
        let options = Options::new().segment_size(4 << 20).spare_segments(1);
        options
            .prefault(if number.is_multiple_of(3) { 1 << 20 } else { 0 })
            .write_way(way)
            .durability(durability)
    };
    let directory = space.root.join("log");

    // Half of them at creation, from no space at all to enough for some segments.
    let at_creation = (number / 2).is_multiple_of(2);
    let free = random.below(if at_creation { 32 } else { 60 }) as usize * BALLAST;
    if at_creation {
        space.take(free)?;
    }
    let mut used = way;
    let opened = match options(way).open(&directory) {
        Err(OpenError::CopyOnWrite { .. }) if copies && way == WriteWay::Mapped => {
            told.push("Mapped refused".to_owned());
            used = WriteWay::Staged;
            options(used).open(&directory)
        }
        opened => opened,
    };
    let mut acknowledged = 0;
    let writer = match opened {
        Ok(writer) => Some(writer),
        Err(OpenError::Io(error)) if at_creation && is_full(&error) => {
            told.push("no space at creation".to_owned());
            None
        }
        Err(error) => return Err(format!("opening: {error}")),
    };
    if !at_creation {
        space.take(free)?;
    }
    let kept = match writer {
        Some(writer) => full(writer, copies, &mut acknowledged, &mut told)?,
        None => None,
    };

    // With space it goes on: as it is, or opened anew.
    space.give_back()?;
    let reopened = kept.is_none();
    let mut writer = match kept {
        Some(writer) => writer,
        None => options(used).open(&directory).map_err(|error| format!("with space: {error}"))?,
    };
    let there = events(&writer.log())?;
    if there < acknowledged {
        return Err(format!("{acknowledged} accepted, {there} there"));
    }
    let mut last = there;
    for _ in 0..90 {
        last = append(&mut writer).map_err(|error| format!("with space: {error}"))?;
    }
    writer.close().map_err(|error| format!("with space: {error}"))?;
    let log = Options::new().open_read_only(&directory).map_err(|error| error.to_string())?;
    let found = events(&log)?;
    if found != last || last != there + 90 {
        return Err(format!("{there} and 90 events, but {found} are there"));
    }
    told.push(if reopened { "usable after opening" } else { "usable at once" }.to_owned());
    Ok(told)
}

/// Appends until there is an error: a typed one, before the event is accepted. Gives the writer back
/// if it goes on by itself.
fn full(
    mut writer: Writer,
    copies: bool,
    acknowledged: &mut u64,
    told: &mut Vec<String>,
) -> Result<Option<Writer>, String> {
    let error = loop {
        match append(&mut writer) {
            Ok(sequence) => *acknowledged = sequence,
            Err(error) => break error,
        }
        if *acknowledged > 10_000 {
            return Err("the disk never becomes full".to_owned());
        }
    };
    let visible = writer.log().visible().0.get();
    let there = events(&writer.log())?;
    if there != visible {
        return Err(format!("{visible} visible, {there} there"));
    }
    match &error {
        AppendError::NoSpace(cause) if is_full(cause) => {
            if visible != *acknowledged {
                return Err(format!("{visible} visible, {acknowledged} accepted: {error}"));
            }
            told.push("no space for a segment".to_owned());
            // What was accepted can be made durable, where that needs no space.
            match writer.sync() {
                Ok(()) => {}
                Err(_) if copies => {
                    told.push("not durable without space".to_owned());
                    return Ok(None);
                }
                Err(error) => return Err(format!("without space: {error}")),
            }
            Ok(Some(writer))
        }
        AppendError::Poisoned(cause) | AppendError::NotDurable(cause)
            if copies && is_full(cause) =>
        {
            let accepted = matches!(error, AppendError::NotDurable(_));
            if visible < *acknowledged || visible > *acknowledged + u64::from(accepted) {
                return Err(format!("{visible} visible, {acknowledged} accepted: {error}"));
            }
            if append(&mut writer).is_ok() {
                return Err("an event was accepted after the log had failed".to_owned());
            }
            told.push("no space within a segment".to_owned());
            Ok(None)
        }
        _ => Err(format!("appending: {error}: {error:?}")),
    }
}

fn payload(sequence: u64) -> Vec<u8> {
    let mut random = Random::new(sequence);
    let mut bytes = Vec::with_capacity(EVENT + 8);
    while bytes.len() < EVENT {
        bytes.extend(random.next().to_le_bytes());
    }
    bytes
}

fn append(writer: &mut Writer) -> Result<u64, AppendError> {
    let payload = payload(writer.next_sequence().get());
    writer.append(&Opaque::new(&FILL, &payload)).map(|sequence| sequence.get())
}

/// How many events there are, all of which are what was appended.
fn events(log: &Log) -> Result<u64, String> {
    let mut cursor = log.cursor(Start::Oldest).map_err(|error| error.to_string())?;
    let mut count = 0;
    loop {
        match cursor.next_event() {
            Ok(None) => return Ok(count),
            Ok(Some(event)) if event.payload() == payload(count + 1) => count += 1,
            Ok(Some(event)) => return Err(format!("event {} is altered", event.sequence())),
            Err(error) => return Err(format!("event {} cannot be read: {error}", count + 1)),
        }
    }
}
