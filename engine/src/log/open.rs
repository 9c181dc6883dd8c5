//! Opening: facts are gathered, a verdict is taken, and only then anything is written.

use std::fs;
use std::path::Path;
use std::time::Instant;

use factlog_codec::layout::{FRAME_HEADER, PAGE, segment_size};
use factlog_codec::{
    EpochBody, Manifest, ManifestError, Place, Position, Predecessor, SegmentHeader, SegmentId,
    Sequence, Succession,
};

use super::clock::{CounterClock, FrameClock};
use super::conductor::{Conductor, Plan, Prepared};
use super::cursor::Log;
use super::disk::{
    Directory, FileSystem, Lock, LockError, Slots, Suitability, create_prepared, has_other_names,
    open_regular,
};
use super::durability::{Background, Durability};
use super::error::OpenError;
use super::fault::IoError;
use super::fork::ForkGuard;
use super::frontier::{Activity, Frontier};
use super::map::Mapping;
use super::options::Options;
use super::recovery::{End, Found, Verdict, decide, gather};
use super::report::{Damage, DamageReason, RecoveryOutcome, RecoveryReport};
use super::segment::SegmentSet;
use super::shared::{Counters, Poison, Shared};
use super::wait::Herald;
use super::writer::active::{Active, EngineFrame, Resume};
use super::writer::{Writer, WriterParts};
use crate::sync::Arc;

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

/// Opens for reading only. Writes nothing.
fn for_reading(root: &Path, mut options: Options) -> Result<Log, OpenError> {
    let began = Instant::now();
    let directory = Directory::new(root);
    let Some((manifest, slots, ids)) = read_names(&directory)? else {
        return Err(OpenError::NoLog(root.to_path_buf()));
    };
    let mut found = gather_with(&directory, &manifest, &ids, &mut options)?;
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
    let position = Position::new(end.header.segment, end.offset, manifest.bits);
    let shared = make_shared(directory, &manifest, &mut found, position, report);
    shared.frontier.set_activity(Activity::Closed);
    Ok(Log::new(shared))
}

/// Opens for writing: takes the lock, recovers, and begins an epoch.
fn for_writing(root: &Path, mut options: Options, bits: u8) -> Result<Writer, OpenError> {
    let began = Instant::now();
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

    let mut found = gather_with(&directory, &manifest, &ids, &mut options)?;
    let verdict = decide(&found.facts);
    if verdict == Verdict::Damaged {
        return Err(OpenError::Damaged(Box::new(damage_of(&directory, &manifest, &found))));
    }
    check_drift(&found, &options)?;

    // The verdict is applied from here on.
    let mut report = report_of(&manifest, &slots, &found, verdict, began);
    manifest.epoch = found.epoch.next().ok_or(OpenError::Exhausted)?;
    manifest.history = Found::new_history()?;
    manifest.generation += 1;
    manifest.clean = false;
    manifest_file.write(&manifest).map_err(io("write a manifest in"))?;
    report.epoch = manifest.epoch;
    if created {
        report.outcome = RecoveryOutcome::Created;
    }
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
    let shared = make_shared(directory.clone(), &manifest, &mut found, visible, report);

    let mut spares = spares.into_iter();
    let active = begin(&shared, &found, &frame, verdict, &mut spares)?;
    let next = found.next;
    let end = Position::new(active.id(), active.tail(), manifest.bits);
    shared.frontier.publish(end, next);

    let ready = spares
        .map(|header| open_prepared(&shared, &header))
        .collect::<Result<Vec<_>, OpenError>>()?;
    let last = ready.last().map_or(active.id(), |prepared| prepared.segment.id());
    let plan = Plan {
        next: last.next().ok_or(OpenError::Exhausted)?,
        spare: options.spare_segments,
        prefault: options.prefault,
    };
    let durability = Arc::new(Durability::new(&shared, unproven));
    let tended = active.tended();
    let conductor =
        Conductor::start(&shared, plan, ready, Some(tended)).map_err(io("start a thread for"))?;
    let background = Background::start(&durability).map_err(io("start a thread for"))?;
    let herald = Herald::start(shared.frontier.waiters()).map_err(io("start a thread for"))?;
    Ok(Writer::new(WriterParts {
        fork: ForkGuard::new().map_err(io("watch for forks of"))?,
        manifest: (manifest, manifest_file),
        last_ts: ts,
        shared,
        active,
        heads,
        next,
        clock,
        conductor,
        durability,
        background,
        herald,
        lock,
    }))
}

/// Manifest and segments; `None` if there is no log.
fn read_names(
    directory: &Directory,
) -> Result<Option<(Manifest, Slots, Vec<SegmentId>)>, OpenError> {
    let root = directory.root();
    let io = |action| move |source| OpenError::Io(IoError::new(action, root, source));
    let slots = Slots::read(directory).map_err(io("read the manifest in"))?;
    let (ids, _) = directory.list().map_err(io("list"))?;
    // What this version cannot read is not overruled by an older slot beside it.
    if let Some(error @ (ManifestError::Version(_) | ManifestError::Descriptor)) = slots.error() {
        return Err(OpenError::Manifest(root.to_path_buf(), error));
    }
    match slots.newest() {
        Some((_, manifest)) => {
            let manifest = manifest.clone();
            if manifest.floor > SegmentId::FIRST {
                // Retention is not there yet: a floor above the first needs a catalog.
                let error = ManifestError::Reserved;
                return Err(OpenError::Manifest(root.to_path_buf(), error));
            }
            Ok(Some((manifest, slots, ids)))
        }
        None => match slots.error() {
            Some(error) => Err(OpenError::Manifest(root.to_path_buf(), error)),
            None if ids.is_empty() => Ok(None),
            None => Err(OpenError::Manifest(root.to_path_buf(), ManifestError::Short)),
        },
    }
}

fn new_manifest(bits: u8) -> Result<Manifest, OpenError> {
    Ok(Manifest {
        generation: 0,
        log: Found::new_log()?,
        history: Found::new_history()?,
        bits,
        epoch: factlog_codec::Epoch::new(0),
        floor: SegmentId::FIRST,
        checkpoint: Position::ZERO,
        checkpoint_sequence: Sequence::FIRST,
        clean: false,
        lineage: Vec::new(),
    })
}

fn gather_with(
    directory: &Directory,
    manifest: &Manifest,
    ids: &[SegmentId],
    options: &mut Options,
) -> Result<Found, OpenError> {
    match &mut options.progress {
        Some(progress) => gather(directory, manifest, ids, progress),
        None => gather(directory, manifest, ids, &mut |_| {}),
    }
}

/// A log can be written only where a full disk is an error, and locks and mappings hold.
fn check_file_system(root: &Path, network: bool) -> Result<(), OpenError> {
    let existing = root.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
    let file_system = FileSystem::of(existing)
        .map_err(|source| IoError::new("ask for the file system of", existing, source))?;
    match file_system.suitability() {
        Suitability::Good => Ok(()),
        Suitability::CopyOnWrite => {
            Err(OpenError::CopyOnWrite { path: root.to_path_buf(), file_system })
        }
        Suitability::Network if network => Ok(()),
        Suitability::Network => Err(OpenError::Network { path: root.to_path_buf(), file_system }),
    }
}

fn check_drift(found: &Found, options: &Options) -> Result<(), OpenError> {
    for event in &options.types {
        for known in found.replay.types.iter() {
            event.matches(known.key()).map_err(OpenError::Drift)?;
        }
    }
    Ok(())
}

fn damage_of(directory: &Directory, manifest: &Manifest, found: &Found) -> Damage {
    let stop = factlog_codec::Stop {
        offset: 0,
        reason: factlog_codec::StopReason::Frame(factlog_codec::FrameError::Empty),
    };
    Damage {
        directory: directory.root().to_path_buf(),
        place: Place::of(found.facts.end, manifest.bits),
        reason: found.damage.unwrap_or(DamageReason::Lost(stop)),
        durable: found.facts.durable,
        next_sequence: found.next,
        bits: manifest.bits,
    }
}

fn report_of(
    manifest: &Manifest,
    slots: &Slots,
    found: &Found,
    verdict: Verdict,
    began: Instant,
) -> RecoveryReport {
    RecoveryReport {
        outcome: match verdict {
            Verdict::Clean if manifest.clean && manifest.checkpoint == found.facts.end => {
                RecoveryOutcome::ClosedCleanly
            }
            Verdict::Clean => RecoveryOutcome::Clean,
            Verdict::Torn => RecoveryOutcome::Torn,
            Verdict::Damaged => RecoveryOutcome::Damaged,
        },
        segments: u32::try_from(found.segments.len()).unwrap_or(u32::MAX),
        frames: found.frames,
        bytes: found.bytes,
        next_sequence: found.next,
        end: Place::of(found.facts.end, manifest.bits),
        durable: found.facts.durable,
        cut: found.cut.clone(),
        quarantined: Vec::new(),
        manifest: slots.error(),
        damage: None,
        epoch: manifest.epoch,
        elapsed: began.elapsed(),
    }
}

/// Takes out of the way what is behind the end, the highest first, so that doing it again after a
/// crash does the same. Gives the prepared segments that can be used.
fn clear_away(
    directory: &Directory,
    manifest: &Manifest,
    found: &Found,
    report: &mut RecoveryReport,
) -> Result<Vec<SegmentHeader>, OpenError> {
    let mut away: Vec<SegmentId> = found.later.iter().chain(&found.dirty).copied().collect();
    away.sort_unstable();
    for id in away.iter().rev() {
        let path = directory.segment(*id);
        let moved = directory.move_to_quarantine(&path, &format!("epoch-{}", manifest.epoch));
        let moved = moved.map_err(|source| IoError::new("move away", path, source))?;
        report.quarantined.push(moved);
    }
    let mut next = found.end.map_or(Some(SegmentId::FIRST), |end| end.header.segment.next());
    let mut usable = Vec::new();
    for header in &found.spares {
        let path = directory.segment(header.segment);
        let shared = open_regular(&path, false).and_then(|file| has_other_names(&file));
        let shared = shared.map_err(|source| IoError::new("look at", &path, source))?;
        if next == Some(header.segment) && !shared {
            usable.push(*header);
            next = header.segment.next();
        } else {
            // Prepared for a place that is not next any more, or not ours alone to write: there
            // is nothing in it.
            fs::remove_file(&path).map_err(|source| IoError::new("remove", path, source))?;
        }
    }
    let (_, temporary) =
        directory.list().map_err(|source| IoError::new("list", directory.segments(), source))?;
    for path in temporary {
        fs::remove_file(&path).map_err(|source| IoError::new("remove", path, source))?;
    }
    Ok(usable)
}

fn make_shared(
    directory: Directory,
    manifest: &Manifest,
    found: &mut Found,
    visible: Position,
    report: RecoveryReport,
) -> Arc<Shared> {
    let segments = SegmentSet::default();
    for segment in &found.segments {
        segments.push(Arc::clone(segment));
    }
    let (durable, below) = found.durable;
    Arc::new(Shared {
        directory,
        bits: manifest.bits,
        log: manifest.log,
        frontier: Frontier::new(visible, found.next, durable, below),
        segments,
        types: std::mem::take(&mut found.replay.types),
        streams: std::mem::take(&mut found.replay.streams),
        poison: Poison::default(),
        counters: Counters::default(),
        report,
    })
}

/// The segment in which the new epoch writes: the last one, or a successor.
fn begin(
    shared: &Arc<Shared>,
    found: &Found,
    frame: &EngineFrame,
    verdict: Verdict,
    spares: &mut impl Iterator<Item = SegmentHeader>,
) -> Result<Active, OpenError> {
    let Some(end) = &found.end else {
        let before = Predecessor {
            segment: SegmentId::NONE,
            end: 0,
            fold: factlog_codec::Fold::default(),
            why: Succession::First,
        };
        return succeed(shared, frame, SegmentId::FIRST, before, spares);
    };
    if verdict == Verdict::Clean
        && let Some(active) = go_on(shared, found, end, frame)?
    {
        return Ok(active);
    }
    let torn = verdict == Verdict::Torn;
    let before = Predecessor {
        segment: end.header.segment,
        end: end.offset,
        fold: end.fold,
        why: if torn { Succession::TornTail } else { Succession::Full },
    };
    let id = end.header.segment.next().ok_or(OpenError::Exhausted)?;
    let active = succeed(shared, frame, id, before, spares)?;
    if let Some(last) = found.segments.last() {
        last.hand_over(end.offset, active.segment());
    }
    Ok(active)
}

/// Goes on in the last segment, if there is room and nobody else has the file.
fn go_on(
    shared: &Arc<Shared>,
    found: &Found,
    end: &End,
    frame: &EngineFrame,
) -> Result<Option<Active>, OpenError> {
    let Some(segment) = found.segments.last() else { return Ok(None) };
    let path = shared.directory.segment(end.header.segment);
    let io = |source| OpenError::Io(IoError::new("open the segment", &path, source));
    let size = segment_size(end.header.bits);
    let room = (size - PAGE).saturating_sub(end.offset as usize);
    if end.sealed || room < FRAME_HEADER + EpochBody::LEN {
        return Ok(None);
    }
    let file = open_regular(&path, true).map_err(io)?;
    if has_other_names(&file).map_err(io)? {
        return Ok(None);
    }
    let (mapping, half) =
        Mapping::writable(&file, size, end.offset as usize, size - PAGE).map_err(io)?;
    segment.share(&mapping);
    let resume = Resume {
        fold: end.fold,
        frames: end.frames,
        first_sequence: end.first_sequence,
        first_ts: end.first_ts,
        last_ts: found.last_ts,
    };
    let mut active = Active::resume(Arc::clone(segment), mapping, half, file, resume);
    active.write_epoch(frame);
    Ok(Some(active))
}

/// Takes the next segment into use. Its SEGOPEN is durable before anybody relies on it.
fn succeed(
    shared: &Arc<Shared>,
    frame: &EngineFrame,
    id: SegmentId,
    before: Predecessor,
    spares: &mut impl Iterator<Item = SegmentHeader>,
) -> Result<Active, OpenError> {
    let prepared = match spares.next() {
        Some(header) => open_prepared(shared, &header)?,
        None => {
            let path = shared.directory.segment(id);
            let io = |source| OpenError::Io(IoError::new("prepare the segment", &path, source));
            let mut salt = [0; 8];
            getrandom::fill(&mut salt).map_err(std::io::Error::other).map_err(io)?;
            let header = SegmentHeader {
                log: shared.log,
                segment: id,
                bits: shared.bits,
                generation: 1,
                salt: u64::from_le_bytes(salt),
            };
            let file = create_prepared(&shared.directory, &header).map_err(io)?;
            Prepared::map(&header, file).map_err(io)?
        }
    };
    shared.segments.push(Arc::clone(&prepared.segment));
    let mut active = Active::from_prepared(prepared);
    active.write_segopen(shared, frame, before);
    let (file, mapping) = active.file_and_mapping();
    mapping.flush().and_then(|()| file.sync_data()).map_err(|source| {
        IoError::new("make durable the segment", shared.directory.segment(id), source)
    })?;
    Ok(active)
}

fn open_prepared(shared: &Arc<Shared>, header: &SegmentHeader) -> Result<Prepared, OpenError> {
    let path = shared.directory.segment(header.segment);
    let opened = open_regular(&path, true).and_then(|file| Prepared::map(header, file));
    opened.map_err(|source| OpenError::Io(IoError::new("map the segment", path, source)))
}
