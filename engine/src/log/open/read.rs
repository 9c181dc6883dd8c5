//! Opening for reading only.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use factlog_codec::Position;

use super::facts::{
    Ground, check_drift, damage_of, gather_with, read_begin, read_names, report_of,
};
use super::{make_shared, refuse_file};
use crate::log::cursor::Log;
use crate::log::disk::{Directory, DiskIo, read_cursors};
use crate::log::error::OpenError;
use crate::log::fault::IoError;
use crate::log::frontier::Activity;
use crate::log::keeper::Keeper;
use crate::log::named::{damaged, register_all};
use crate::log::options::Options;
use crate::log::recovery::{Depth, Recovery, Verdict, decide};

/// How often a log is looked at again that changes while it is being read.
const LOOKS: u32 = 100;

/// Opens for reading only. Writes nothing.
pub(super) fn open(root: &Path, mut options: Options, depth: Depth) -> Result<Log, OpenError> {
    let began = Instant::now();
    refuse_file(root)?;
    let directory = Directory::new(root, DiskIo::default());
    // Before the log: what a cursor elsewhere has saved by now is there when the log is looked at.
    let cursors = read_cursors(&directory, false)
        .map_err(|source| IoError::new("list", directory.cursors(), source))?;
    let mut look = || {
        let Some((mut manifest, slots, ids)) = read_names(&directory)? else {
            return Err(OpenError::NoLog(root.to_path_buf()));
        };
        let begin = read_begin(&directory, &manifest)?;
        manifest.floor = begin.floor();
        let found = gather_with(&directory, &manifest, begin, &ids, depth, &mut options)?;
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
    if options.recovery == Recovery::Strict {
        match verdict {
            Verdict::Clean => {}
            Verdict::Torn => return Err(OpenError::NotClean(Box::new(report))),
            Verdict::Damaged => {
                let damage = damage_of(&directory, &manifest, &found);
                return Err(OpenError::Damaged(Box::new(damage)));
            }
        }
    }
    if verdict == Verdict::Damaged {
        report.damage = Some(Box::new(damage_of(&directory, &manifest, &found)));
    }
    report.epoch = found.epoch;
    report.damaged_cursors = damaged(&cursors);
    let position = Position::new(end.header.segment, end.offset, manifest.bits);
    let keeper = Keeper::new(manifest.clone(), None);
    let ground = Ground { way: end.way, written_first: false };
    let shared = make_shared(directory, keeper, &mut found, position, report, (&options, ground))
        .map_err(|source| IoError::new("watch for forks of", root, source))?;
    shared.frontier.set_activity(Activity::Closed);
    register_all(&shared, cursors);
    Ok(Log::new(shared))
}
