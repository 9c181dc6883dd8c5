//! What there is, and what is wrong with it. Nothing here writes.

use std::path::Path;
use std::time::Instant;

use factlog_codec::{
    Catalog, CatalogError, HistoryId, LogId, Manifest, ManifestError, Place, Position, SegmentId,
    Sequence, WriteWay,
};

use crate::log::disk::{Directory, FileSystem, Slots, Suitability, read_catalog};
use crate::log::error::OpenError;
use crate::log::fault::IoError;
use crate::log::options::Options;
use crate::log::recovery::{Begin, Depth, Found, Recovery, Verdict, gather, new_identity};
use crate::log::report::{Damage, DamageReason, RecoveryOutcome, RecoveryReport};

/// How much opening reads: who has a log repaired wants all of it looked at.
pub(super) fn depth(recovery: Recovery) -> Depth {
    if recovery == Recovery::Repair { Depth::Everything } else { Depth::Needed }
}

/// Manifest and segments; `None` if there is no log.
pub(in crate::log) fn read_names(
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
            Ok(Some((manifest, slots, ids)))
        }
        None => match slots.error() {
            Some(error) => Err(OpenError::Manifest(root.to_path_buf(), error)),
            None if ids.is_empty() => Ok(None),
            None => Err(OpenError::Manifest(root.to_path_buf(), ManifestError::Short)),
        },
    }
}

pub(super) fn new_manifest(bits: u8) -> Result<Manifest, OpenError> {
    Ok(Manifest {
        generation: 0,
        log: LogId::new(new_identity()?),
        history: HistoryId::new(new_identity()?),
        bits,
        epoch: factlog_codec::Epoch::new(0),
        floor: SegmentId::FIRST,
        checkpoint: Position::ZERO,
        checkpoint_sequence: Sequence::FIRST,
        clean: false,
        taken_over: factlog_codec::Epoch::new(0),
        lineage: Vec::new(),
    })
}

/// Where the log begins: with its first segment, or with what the catalog says.
///
/// A catalog above the manifest's floor was written just before a crash, and its floor holds.
pub(in crate::log) fn read_begin(
    directory: &Directory,
    manifest: &Manifest,
) -> Result<Begin, OpenError> {
    let path = directory.catalog();
    let bytes = read_catalog(directory)
        .map_err(|source| IoError::new("read the catalog", &path, source))?;
    let refuse = |error| OpenError::Catalog(path.clone(), error);
    let Some(bytes) = bytes else {
        return if manifest.floor > SegmentId::FIRST {
            Err(refuse(CatalogError::Short))
        } else {
            Ok(Begin::default())
        };
    };
    let (catalog, entries) = Catalog::decode(&bytes).map_err(refuse)?;
    if catalog.log != manifest.log || catalog.floor < manifest.floor {
        return Err(refuse(CatalogError::Foreign));
    }
    let mut begin = Begin { catalog: Some(catalog), ..Begin::default() };
    begin.replay.begin_with(entries).map_err(refuse)?;
    Ok(begin)
}

pub(in crate::log) fn gather_with(
    directory: &Directory,
    manifest: &Manifest,
    begin: Begin,
    ids: &[SegmentId],
    depth: Depth,
    options: &mut Options,
) -> Result<Found, OpenError> {
    let mut gather = |begin, depth| match &mut options.progress {
        Some(progress) => gather(directory, manifest, begin, ids, depth, progress),
        None => gather(directory, manifest, begin, ids, depth, &mut |_| {}),
    };
    let (mut depth, mut found) = (depth, gather(begin, depth)?);
    if let Some(table) = found.table
        && (found.replay.lacks_types() || found.refused.is_some())
    {
        // The SEGOPEN that has the types of all that was passed over is none that could be taken; or
        // something contradicts what the table says, which is no evidence.
        depth = Depth::Everything;
        let before =
            std::mem::replace(&mut found, gather(read_begin(directory, manifest)?, depth)?);
        if before.refused.is_some() && found.refused.is_none() {
            found.bad_tables = before.bad_tables;
            found.bad_tables.push(table);
        }
    }
    let Some(refused) = found.refused else { return Ok(found) };
    // A part of that frame was taken in before it was refused: once more, without it.
    let begin = read_begin(directory, manifest)?;
    gather(Begin { refused: Some(refused), ..begin }, depth)
}

/// How the log can be written where it stands.
#[derive(Debug, Clone, Copy)]
pub(in crate::log) struct Ground {
    pub(in crate::log) way: WriteWay,
    /// Segments are written before they are used.
    pub(in crate::log) written_first: bool,
}

/// A log can be written only where a full disk is an error, and locks and mappings hold.
pub(in crate::log) fn check_file_system(
    root: &Path,
    options: &Options,
) -> Result<Ground, OpenError> {
    let acknowledged = options.durability.is_acknowledged();
    let usual = if acknowledged { WriteWay::Staged } else { WriteWay::Mapped };
    let way = options.way.unwrap_or(usual);
    let existing = root.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
    let file_system = FileSystem::of(existing)
        .map_err(|source| IoError::new("ask for the file system of", existing, source))?;
    // In memory there are no blocks.
    let written_first = way == WriteWay::Staged && file_system != FileSystem::Tmpfs;
    let ground = Ground { way, written_first };
    match file_system.suitability() {
        Suitability::Good => Ok(ground),
        Suitability::CopyOnWrite if options.way != Some(WriteWay::Mapped) => {
            // Each write allocates again: to write before would be in vain.
            Ok(Ground { way: WriteWay::Staged, written_first: false })
        }
        Suitability::CopyOnWrite => {
            Err(OpenError::CopyOnWrite { path: root.to_path_buf(), file_system })
        }
        Suitability::Network if options.network => Ok(ground),
        Suitability::Network => Err(OpenError::Network { path: root.to_path_buf(), file_system }),
    }
}

pub(in crate::log) fn check_drift(found: &Found, options: &Options) -> Result<(), OpenError> {
    for event in &options.types {
        for known in found.replay.types.iter() {
            event.matches(known.key()).map_err(OpenError::Drift)?;
        }
    }
    Ok(())
}

pub(in crate::log) fn damage_of(
    directory: &Directory,
    manifest: &Manifest,
    found: &Found,
) -> Damage {
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

pub(in crate::log) fn report_of(
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
        walked: found.walked,
        stream_table: found.table,
        bad_stream_tables: found.bad_tables.clone(),
        lost: None,
        frames: found.frames,
        bytes: found.bytes,
        next_sequence: found.next,
        end: Place::of(found.facts.end, manifest.bits),
        durable: found.facts.durable,
        cut: found.cut.clone(),
        quarantined: Vec::new(),
        manifest: slots.error(),
        damaged_cursors: Vec::new(),
        damage: None,
        epoch: manifest.epoch,
        elapsed: began.elapsed(),
    }
}
