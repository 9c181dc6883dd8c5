//! Opening: facts are gathered, a verdict is taken, and only then anything is written.
//!
//! - `facts`: what there is: manifest, catalog, segments, and what is wrong with them
//! - `clear`: what is behind the end is put aside, what is below the floor removed
//! - `take_up`: the segment in which the new epoch writes

mod clear;
mod facts;
mod take_up;

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use factlog_codec::Position;

use super::clock::{CounterClock, FrameClock};
use super::conductor::{Conductor, Plan};
use super::cursor::Log;
use super::demand::Demand;
use super::disk::{Directory, Lock, LockError, Slots, read_cursors};
use super::error::OpenError;
use super::fault::IoError;
use super::fork::ForkGuard;
use super::frontier::{Activity, Frontier};
use super::holds::Holds;
use super::keeper::Keeper;
use super::map_cache::MapCache;
use super::named::{damaged, register_all};
use super::options::Options;
use super::recovery::{Found, Verdict, decide};
use super::registry::Registry;
use super::report::{RecoveryOutcome, RecoveryReport};
use super::segment::SegmentSet;
use super::shared::{Counters, Poison, Shared};
use super::syncer::{Background, Syncer};
use super::wait::Herald;
use super::writer::active::EngineFrame;
use super::writer::{Writer, WriterParts};
use crate::sync::{Arc, Mutex, prepare_fences};
use clear::{clear_away, remove_below};
use facts::{
    check_drift, check_file_system, damage_of, gather_with, new_manifest, read_begin, read_names,
    report_of,
};
use take_up::{open_prepared, take_up};

impl Options {
    /// Opens the log in `directory` for writing, and makes it if it is not there. What a crash
    /// has left is recovered; [`Writer::recovery`] says what was found.
    ///
    /// # Errors
    ///
    /// See [`OpenError`]. If the log is damaged, nothing was changed.
    pub fn open(self, directory: impl AsRef<Path>) -> Result<Writer, OpenError> {
        let bits = self.segment_bits().map_err(OpenError::Option)?;
        for_writing(directory.as_ref(), self, bits)
    }

    /// Opens the log in `directory` for reading only: nothing is written, neither lock nor epoch
    /// taken. What a writer elsewhere adds later is not seen.
    ///
    /// A damaged log is opened up to the damage; [`Log::recovery`] says so.
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    pub fn open_read_only(self, directory: impl AsRef<Path>) -> Result<Log, OpenError> {
        for_reading(directory.as_ref(), self)
    }
}

/// How often a log is looked at again that changes while it is being read.
const LOOKS: u32 = 100;

/// Opens for reading only. Writes nothing.
fn for_reading(root: &Path, mut options: Options) -> Result<Log, OpenError> {
    let began = Instant::now();
    let directory = Directory::new(root);
    // Before the log: what a cursor elsewhere has saved by now is there when the log is looked at.
    let cursors = read_cursors(&directory, false)
        .map_err(|source| IoError::new("list", directory.cursors(), source))?;
    let mut look = || {
        let Some((mut manifest, slots, ids)) = read_names(&directory)? else {
            return Err(OpenError::NoLog(root.to_path_buf()));
        };
        let begin = read_begin(&directory, &manifest)?;
        manifest.floor = begin.floor();
        let found = gather_with(&directory, &manifest, begin, &ids, &mut options)?;
        Ok((manifest, slots, found))
    };
    // Retention elsewhere may take a segment between its being listed and its being read.
    let mut look = || {
        let mut tries = 0;
        loop {
            match look() {
                Err(OpenError::Io(error))
                    if error.source.kind() == io::ErrorKind::NotFound && tries < LOOKS =>
                {
                    tries += 1;
                }
                done => return done,
            }
        }
    };
    let (mut manifest, mut slots, mut found) = look()?;
    // A writer may be at work elsewhere: then the end is in motion, and what is behind it is a
    // frame being written. What a crash has left stays as it is.
    for _ in 0..LOOKS {
        if decide(&found.facts) == Verdict::Clean {
            break;
        }
        let before = (found.facts, found.frames);
        std::thread::sleep(Duration::from_millis(1));
        (manifest, slots, found) = look()?;
        if (found.facts, found.frames) == before {
            break;
        }
        if decide(&found.facts) == Verdict::Torn && found.frames > before.1 {
            (found.facts.zero_behind, found.facts.used_behind) = (true, false);
            found.cut = None;
        }
    }
    let Some(end) = found.end else {
        return match found.damage {
            Some(_) if decide(&found.facts) == Verdict::Damaged => {
                Err(OpenError::Damaged(Box::new(damage_of(&directory, &manifest, &found))))
            }
            _ => Err(OpenError::NoLog(root.to_path_buf())),
        };
    };
    check_drift(&found, &options)?;
    let verdict = decide(&found.facts);
    let mut report = report_of(&manifest, &slots, &found, verdict, began);
    if verdict == Verdict::Damaged {
        report.damage = Some(Box::new(damage_of(&directory, &manifest, &found)));
    }
    report.epoch = found.epoch;
    report.damaged_cursors = damaged(&cursors);
    let position = Position::new(end.header.segment, end.offset, manifest.bits);
    let keeper = Keeper::new(manifest.clone(), None);
    let shared = make_shared(directory, keeper, &mut found, position, report, &options)
        .map_err(|source| IoError::new("watch for forks of", root, source))?;
    shared.frontier.set_activity(Activity::Closed);
    register_all(&shared, cursors);
    Ok(Log::new(shared))
}

/// Opens for writing: takes the lock, recovers, and begins an epoch.
fn for_writing(root: &Path, mut options: Options, bits: u8) -> Result<Writer, OpenError> {
    let began = Instant::now();
    prepare_fences();
    let directory = Directory::new(root);
    check_file_system(root, options.network)?;
    let io = |action| move |source| OpenError::Io(IoError::new(action, root, source));
    directory.create().map_err(io("make the directory"))?;
    let lock = Lock::take(&directory).map_err(|error| match error {
        LockError::Held => OpenError::Locked(root.to_path_buf()),
        LockError::Io(source) => OpenError::Io(IoError::new("lock", directory.lock(), source)),
    })?;
    let (mut manifest, slots, ids, created) = match read_names(&directory)? {
        Some((manifest, slots, ids)) => (manifest, slots, ids, false),
        None => {
            let manifest = new_manifest(bits)?;
            let slots = Slots::read(&directory).map_err(io("read the manifest in"))?;
            (manifest, slots, Vec::new(), true)
        }
    };
    let mut manifest_file = slots.writer(&directory);

    let begin = read_begin(&directory, &manifest)?;
    let floor = begin.floor();
    let mut found = gather_with(&directory, &manifest, begin, &ids, &mut options)?;
    let verdict = decide(&found.facts);
    if verdict == Verdict::Damaged {
        return Err(OpenError::Damaged(Box::new(damage_of(&directory, &manifest, &found))));
    }
    check_drift(&found, &options)?;

    // The verdict is applied from here on. First what was found gets a name that stays: a process
    // may have been killed between a renaming and its sync.
    directory.sync_names().map_err(io("make durable the names in"))?;
    let cursors = read_cursors(&directory, true)
        .map_err(|source| IoError::new("list", directory.cursors(), source))?;
    let mut report = report_of(&manifest, &slots, &found, verdict, began);
    report.damaged_cursors = damaged(&cursors);
    manifest.epoch = found.epoch.next().ok_or(OpenError::Exhausted)?;
    manifest.history = Found::new_history()?;
    manifest.generation += 1;
    manifest.clean = false;
    manifest.floor = floor;
    manifest_file.write(&manifest).map_err(io("write a manifest in"))?;
    report.epoch = manifest.epoch;
    if created {
        report.outcome = RecoveryOutcome::Created;
    }
    remove_below(&directory, &ids, floor)?;
    let spares = clear_away(&directory, &manifest, &found, &mut report)?;

    let history = manifest.history;
    let mut clock = match options.clock.take() {
        Some(clock) => FrameClock::Own(clock),
        None => FrameClock::Fast(CounterClock::new()),
    };
    let ts = clock.now().max(found.last_ts.saturating_add(1));
    let frame = EngineFrame {
        sequence: found.next,
        ts,
        epoch: manifest.epoch,
        durable: found.durable.0,
        history,
    };
    let visible = found
        .end
        .map_or(Position::ZERO, |end| Position::new(end.header.segment, end.offset, manifest.bits));
    let heads = std::mem::take(&mut found.replay.heads);
    let unproven = std::mem::take(&mut found.unproven);
    let (epoch, bits) = (manifest.epoch, manifest.bits);
    let keeper = Keeper::new(manifest, Some(manifest_file));
    let shared = make_shared(directory.clone(), keeper, &mut found, visible, report, &options)
        .map_err(io("watch for forks of"))?;

    let mut spares = spares.into_iter();
    let active = take_up(&shared, &found, &frame, verdict, &mut spares)?;
    let next = found.next;
    let end = Position::new(active.id(), active.tail(), bits);
    shared.frontier.publish(end, next);
    register_all(&shared, cursors);
    shared.registry.open_gate();

    let ready = spares
        .map(|header| open_prepared(&shared, &header))
        .collect::<Result<Vec<_>, OpenError>>()?;
    let last = ready.last().map_or(active.id(), |prepared| prepared.segment.id());
    let plan = Plan {
        next: last.next().ok_or(OpenError::Exhausted)?,
        spare: options.spare_segments,
        prefault: options.prefault,
    };
    let syncer = Arc::new(Syncer::new(&shared, unproven, active.in_use()));
    let tended = active.tended();
    let conductor =
        Conductor::start(&shared, plan, ready, Some(tended)).map_err(io("start a thread for"))?;
    let background = Background::start(&syncer).map_err(io("start a thread for"))?;
    let herald = Herald::start(shared.frontier.waiters()).map_err(io("start a thread for"))?;
    Ok(Writer::new(WriterParts {
        epoch,
        history,
        last_ts: ts,
        shared,
        active,
        heads,
        next,
        clock,
        conductor,
        syncer,
        background,
        herald,
        lock,
    }))
}

fn make_shared(
    directory: Directory,
    keeper: Keeper,
    found: &mut Found,
    visible: Position,
    report: RecoveryReport,
    options: &Options,
) -> io::Result<Arc<Shared>> {
    let manifest = keeper.manifest().clone();
    let segments = SegmentSet::default();
    for segment in &found.segments {
        segments.push(Arc::clone(segment));
    }
    let (durable, below) = found.durable;
    Ok(Arc::new(Shared {
        directory,
        fork: ForkGuard::new()?,
        bits: manifest.bits,
        log: manifest.log,
        frontier: Frontier::new(visible, found.next, durable, below),
        durability: options.durability,
        demand: Demand::new(),
        segments,
        maps: MapCache::new(options.mapped_segments),
        holds: Holds::new(manifest.bits, manifest.floor),
        keeper: Mutex::new(keeper),
        registry: Registry::new(),
        types: std::mem::take(&mut found.replay.types),
        streams: std::mem::take(&mut found.replay.streams),
        poison: Poison::default(),
        counters: Counters::default(),
        report,
    }))
}
