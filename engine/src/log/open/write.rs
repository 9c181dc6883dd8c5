//! Opening for writing.

use std::path::Path;
use std::time::Instant;

use factlog_codec::layout::{ALIGN, FIRST_FRAME};
use factlog_codec::{GapBody, HistoryId, Position, SegmentId, WriteWay};

use super::clear::{clear_away, remove_below};
use super::facts::{
    check_drift, check_file_system, damage_of, depth, gather_with, new_manifest, read_begin,
    read_names, report_of,
};
use super::take_up::{Taken, open_prepared, take_up};
use super::{make_shared, refuse_file};
use crate::log::clock::{CounterClock, FrameClock};
use crate::log::conductor::{Conductor, Plan};
use crate::log::disk::{Directory, DiskIo, Lock, LockError, Slots, read_cursors};
use crate::log::error::OpenError;
use crate::log::fault::IoError;
use crate::log::keeper::Keeper;
use crate::log::map::is_coherent;
use crate::log::named::{damaged, register_all};
use crate::log::options::Options;
use crate::log::recovery::{Action, Verdict, act, decide, new_identity};
use crate::log::report::RecoveryOutcome;
use crate::log::syncer::{Background, Owed, Syncer, write_again};
use crate::log::table_keeper::TableKeeper;
use crate::log::wait::Herald;
use crate::log::writer::active::EngineFrame;
use crate::log::writer::{Writer, WriterParts};
use crate::sync::{Arc, PoisonError, prepare_fences};

/// Where the first frame of a log stands.
const fn first(bits: u8) -> Position {
    Position::new(SegmentId::FIRST, FIRST_FRAME, bits)
}

/// Opens for writing: takes the lock, recovers, and begins an epoch.
pub(super) fn open(root: &Path, mut options: Options, bits: u8) -> Result<Writer, OpenError> {
    let began = Instant::now();
    prepare_fences();
    refuse_file(root)?;
    let directory = Directory::new(root, DiskIo::new(options.observer.take()));
    let ground = check_file_system(root, &options)?;
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
    let depth = depth(options.recovery);
    let mut found = gather_with(&directory, &manifest, begin, &ids, depth, &mut options)?;
    let verdict = decide(&found.facts);
    let action = act(verdict, options.recovery, found.headless || found.end.is_none());
    if action == Action::Refuse {
        if verdict == Verdict::Damaged {
            return Err(OpenError::Damaged(Box::new(damage_of(&directory, &manifest, &found))));
        }
        let report = report_of(&manifest, &slots, &found, verdict, began);
        return Err(OpenError::NotClean(Box::new(report)));
    }
    let taken = manifest.lineage.last().map(|ancestor| ancestor.end);
    if action == Action::Repair && taken.is_some_and(|end| found.facts.end < end) {
        let damage = Box::new(damage_of(&directory, &manifest, &found));
        return Err(OpenError::DamagedAncestor(damage));
    }
    check_drift(&found, &options)?;
    if ground.way == WriteWay::Staged
        && !is_coherent(&directory).map_err(io("probe mappings in"))?
    {
        return Err(OpenError::Incoherent(root.to_path_buf()));
    }

    // The verdict is applied from here on. First what was found gets a name that stays: a process
    // may have been killed between a renaming and its sync.
    directory.sync_names().map_err(io("make durable the names in"))?;
    let cursors = read_cursors(&directory, true)
        .map_err(|source| IoError::new("list", directory.cursors(), source))?;
    let mut report = report_of(&manifest, &slots, &found, verdict, began);
    report.damaged_cursors = damaged(&cursors);
    manifest.epoch = found.epoch.next().ok_or(OpenError::Exhausted)?;
    manifest.history = HistoryId::new(new_identity()?);
    manifest.clean = false;
    manifest.floor = floor;
    if found.repaired {
        (manifest.checkpoint, manifest.checkpoint_sequence) = found.durable;
    }
    // What was lost is given up: none of its sequences is given again.
    let gap = (action == Action::Repair).then(|| {
        let last = found.reached.before().max(found.next);
        GapBody { first: found.next, last }
    });
    if let Some(gap) = gap {
        // What bears witness to the damage is about to be moved away. Should this be cut short, the
        // manifest still does, also where nothing but a contradiction did.
        let beyond = Position::from_raw(found.facts.end.raw().saturating_add(ALIGN as u64));
        manifest.checkpoint = manifest.checkpoint.max(found.facts.durable).max(beyond);
        manifest.checkpoint_sequence = manifest.checkpoint_sequence.max(gap.last.after(1));
        report.outcome = RecoveryOutcome::Repaired;
        report.lost = Some((gap.first, gap.last));
        report.next_sequence = gap.last.after(1);
        report.damage = Some(Box::new(damage_of(&directory, &manifest, &found)));
    }
    loop {
        manifest.generation = manifest.generation.checked_add(1).ok_or(OpenError::Exhausted)?;
        manifest_file.write(&manifest).map_err(io("write a manifest in"))?;
        // Both slots from the first day on: on a full disk there would be no space for one.
        if manifest_file.is_whole() {
            break;
        }
    }
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
    let mut frame = EngineFrame {
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
    let at_end = heads.clone();
    let mut unproven = std::mem::take(&mut found.unproven);
    let unsealed = std::mem::take(&mut found.unsealed);
    let (epoch, bits) = (manifest.epoch, manifest.bits);
    let keeper = Keeper::new(manifest, Some(manifest_file));
    let settings = (&options, ground);
    let shared = make_shared(directory.clone(), keeper, &mut found, visible, report, settings)
        .map_err(io("watch for forks of"))?;

    if gap.is_some() {
        // Once the successor is durable, it alone says what was lost: were something to be missing
        // below it then, it would be taken for a part of a torn tail, and the GAP with it.
        for range in unproven.drain(..) {
            let path = directory.segment(range.segment);
            write_again(&shared, range)
                .map_err(|source| IoError::new("make durable the segment", path, source))?;
            found.durable = (Position::new(range.segment, range.to, bits), range.next);
        }
        let (durable, below) = found.durable;
        shared.frontier.publish_durable(durable, below);
        frame.durable = durable;
    }
    let mut spares = spares.into_iter();
    let Taken { active, next, last_ts } =
        take_up(&shared, &found, &frame, (action, gap), &mut spares)?;
    if gap.is_some() {
        // From here on the successor says so; what the manifest had to say is done with.
        let mut keeper = shared.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        let (durable, below) = found.durable;
        keeper.checkpoint(durable, below).map_err(io("write a manifest in"))?;
    }
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
        // One more, in reserve.
        spare: options.spare_segments + 1,
        prefault: options.prefault,
    };
    let owed = Owed { unproven, unsealed };
    let syncer = Arc::new(Syncer::new(&shared, owed, active.in_use()));
    let tended = active.tended();
    let conductor =
        Conductor::start(&shared, plan, ready, Some(tended)).map_err(io("start a thread for"))?;
    let background = Background::start(&syncer).map_err(io("start a thread for"))?;
    let tables = TableKeeper::start(&shared, at_end, visible.max(first(bits)), found.table)
        .map_err(io("start a thread for"))?;
    let herald = Herald::start(shared.frontier.waiters()).map_err(io("start a thread for"))?;
    Ok(Writer::new(WriterParts {
        epoch,
        history,
        last_ts,
        shared,
        active,
        heads,
        next,
        clock,
        conductor,
        syncer,
        background,
        tables,
        herald,
        lock,
    }))
}
