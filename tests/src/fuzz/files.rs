//! What stands beside the segments: manifests, the catalog, stream tables, named cursors.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use factlog::{AttachError, Log, OpenError, Recovery, RecoveryOutcome, Retention, Start};
use factlog_codec::{Catalog, CursorSlot, Manifest, SegmentId, SegmentKey};

use super::draft::{Draft, Follow};
use super::input::Input;
use super::mend::{self, Page};
use super::probe::{self, Print};
use super::reached::Reached;
use crate::forge::Forge;
use crate::{named, scratch, small};

/// A log with all of them, and what is in it.
#[derive(Debug)]
struct Base {
    draft: Draft,
    prints: BTreeMap<u64, Print>,
}

/// Names under which a file may be put that it does not have.
const NAMES: [&str; 6] = [
    "cursors/c",
    "cursors/.hidden",
    "CATALOG",
    "MANIFEST-b",
    "seg/0000000005.streams",
    "seg/0000000009.streams",
];

fn base() -> &'static Base {
    static BASE: OnceLock<Base> = OnceLock::new();
    BASE.get_or_init(|| {
        let directory = scratch();
        let root = directory.path();
        let mut forge = Forge::begin(root, 4);
        for number in 0..5 {
            if number % 2 == 0 { forge.add() } else { forge.add_with_table() }
        }
        drop(forge);
        let mut writer = small().open(root).expect("opens");
        named::append(&mut writer, 4, b"own");
        for (name, events) in [("a", 6), ("b", 8)] {
            let mut cursor = writer.log().named_cursor_from(name, Start::Oldest).expect("placed");
            for _ in 0..2 {
                named::read(&mut cursor, events / 2);
                cursor.save().expect("saved");
            }
        }
        writer.retain(&Retention::keep_segments(4)).expect("retained");
        drop(writer);
        let draft = Draft::read(root);
        let log = small().open_read_only(root).expect("opens");
        let prints = probe::traverse(&log, &mut Reached::new());
        assert!(!prints.is_empty() && prints[0].sequence > 1, "retention has dropped something");
        let has = |what: &str| draft.files.iter().any(|(name, _)| name.ends_with(what));
        assert!(has("CATALOG") && has("cursors/a") && has("MANIFEST-b"), "{:?}", names(&draft));
        let table = |name: &Path| name.extension().is_some_and(|end| end == "streams");
        assert!(draft.files.iter().any(|(name, _)| table(name)), "{:?}", names(&draft));
        let prints = prints.into_iter().map(|print| (print.sequence, print)).collect();
        Base { draft, prints }
    })
}

/// Those files, by their paths.
pub(super) fn files() -> &'static [(PathBuf, Vec<u8>)] {
    &base().draft.files
}

fn names(draft: &Draft) -> Vec<&PathBuf> {
    draft.files.iter().map(|(name, _)| name).collect()
}

fn kind(name: &Path) -> Page {
    if name.starts_with("cursors") {
        Page::Cursor
    } else if name.ends_with("CATALOG") || name.extension().is_some_and(|end| end == "streams") {
        Page::Catalog
    } else {
        Page::Manifest
    }
}

/// The first byte says how the log is opened; behind it are changes of files.
///
/// # Panics
///
/// When an event is not what it was, or a log comes of it that breaks a promise: the segments are
/// whole, so that what is in them may be refused or left out, but never be another.
pub(super) fn run(bytes: &[u8], reached: &mut Reached) {
    let mut input = Input::new(bytes);
    let how = input.byte();
    let base = base();
    let mut draft = base.draft.clone();
    for _ in 0..8 {
        if input.is_empty() {
            break;
        }
        change(&mut draft, &mut input);
    }
    count(&draft, reached);
    let directory = scratch();
    let root = directory.path();
    draft.write(root, Follow::default());

    let recovery = if how & 2 == 0 { Recovery::CutTorn } else { Recovery::Repair };
    let before = probe::read(root, recovery, reached);
    for print in before.iter().flatten() {
        assert_eq!(Some(print), base.prints.get(&print.sequence), "an event is another");
    }
    if how & 1 != 0 {
        probe::salvage(root, reached);
    }
    if how & 4 != 0 {
        attach(root, recovery, before.as_deref(), reached);
    }
    if how & 8 != 0 {
        let before = if how & 4 == 0 { before } else { probe::read(root, recovery, reached) };
        probe::write(root, recovery, how & 16 == 0, before.as_deref(), reached);
    }
}

/// How many of the files are accepted, each on its own.
fn count(draft: &Draft, reached: &mut Reached) {
    for (name, bytes) in &draft.files {
        match kind(name) {
            Page::Manifest => reached.count("manifests", Manifest::decode(bytes).is_ok().into()),
            Page::Cursor => reached.count("cursors", CursorSlot::decode(bytes).is_ok().into()),
            _ => {
                let good = Catalog::decode(bytes)
                    .is_ok_and(|(_, mut entries)| entries.all(|entry| entry.is_ok()));
                let what = if name.ends_with("CATALOG") { "catalogs" } else { "tables" };
                reached.count(what, good.into());
            }
        }
    }
}

/// Everybody who reads the log goes on; and so does the writer.
fn attach(root: &Path, recovery: Recovery, before: Option<&[Print]>, reached: &mut Reached) {
    let opened = small().recovery(recovery).open(root);
    let outcome = opened.as_ref().map(|writer| writer.recovery().outcome);
    reached.note(probe::word(outcome));
    let Ok(writer) = opened else {
        if let Err(OpenError::Io(error)) = opened {
            panic!("the files are whole, but cannot be read: {error}");
        }
        return;
    };
    let before = before.unwrap_or_else(|| probe::none(&writer));
    let log = writer.log();
    reached.count("bad-tables", writer.recovery().bad_stream_tables.len() as u64);
    if writer.recovery().outcome != RecoveryOutcome::Repaired {
        assert!(probe::traverse(&log, reached) == before, "recovery changed what is there");
    }
    for name in ["a", "b", "c"] {
        go_on(&log, name, before, reached);
    }
    drop(log);
    writer.close().expect("closed");
}

/// One who reads goes on with the event that comes next, or is told why not.
fn go_on(log: &Log, name: &str, before: &[Print], reached: &mut Reached) {
    match log.named_cursor(name) {
        Ok(mut cursor) => {
            reached.note("in-order");
            let mut next = cursor.next_sequence().get();
            let place = *cursor.saved();
            assert_eq!((place.next.get(), place.log), (next, log.log_id()));
            while let Ok(Some(event)) = cursor.next_event() {
                assert_eq!(event.sequence().get(), next, "{name} left something out");
                assert!(before.iter().any(|print| print.sequence == next), "{name}: {next}");
                next += 1;
            }
            let _ = cursor.save();
        }
        Err(AttachError::Unknown) => reached.note("unknown"),
        Err(error) => {
            reached.note("attach-refused");
            assert!(!error.to_string().is_empty());
            if let Ok(mut cursor) = log.reset_cursor(name, Start::Oldest) {
                reached.note("reset");
                while let Ok(Some(_)) = cursor.next_event() {}
                let _ = cursor.save();
            }
        }
    }
}

/// Fields of a cursor's slot, and of a catalog's head and first entry; those of a manifest are of
/// the same widths.
const FIELDS: [(usize, usize); 20] = [
    (0, 8),
    (12, 2),
    (14, 1),
    (15, 1),
    (16, 8),
    (24, 8),
    (32, 4),
    (36, 4),
    (40, 8),
    (48, 8),
    (56, 8),
    (64, 8),
    (68, 4),
    (72, 8),
    (80, 8),
    (84, 4),
    (88, 4),
    (96, 8),
    (104, 8),
    (112, 4),
];

fn change(draft: &mut Draft, input: &mut Input<'_>) {
    let index = input.below(draft.files.len());
    let what = input.byte();
    let key = SegmentKey::new(0, SegmentId::FIRST);
    let others = draft.files.clone();
    let Some((name, bytes)) = draft.files.get_mut(index) else { return };
    let kind = kind(name);
    match what & 7 {
        0..=2 => {
            // In the first slot of a cursor, or the second, or both.
            let (at, width) = FIELDS[input.below(FIELDS.len())];
            let slots = if kind == Page::Cursor { input.byte() % 3 } else { 0 };
            let slot = if slots == 1 { 4096 } else { 0 };
            if let Some(field) = bytes.get_mut(slot + at..slot + at + width) {
                let mut old = [0; 8];
                old[..width].copy_from_slice(field);
                let value = input.value(u64::from_le_bytes(old));
                field.copy_from_slice(&value.to_le_bytes()[..width]);
            }
            if slots == 2 && bytes.len() >= 8192 {
                bytes.copy_within(..4096, 4096);
            }
        }
        3 => {
            let at = input.number(2) as usize % bytes.len().max(1);
            let piece = input.byte();
            let piece = input.take(usize::from(piece));
            let end = (at + piece.len()).min(bytes.len());
            bytes[at.min(end)..end].copy_from_slice(&piece[..end - at.min(end)]);
        }
        4 => {
            let len = input.value(bytes.len() as u64) as usize % (16 << 10);
            bytes.resize(len, input.byte());
        }
        5 => bytes.clone_from(&others[input.below(others.len())].1),
        6 => {
            let (_, bytes) = draft.files.remove(index);
            if what & 0x20 != 0 {
                let name = PathBuf::from(NAMES[input.below(NAMES.len())]);
                draft.files.retain(|(other, _)| *other != name);
                draft.files.push((name, bytes));
            }
            return;
        }
        _ => {
            let len = input.number(2) as usize;
            *bytes = input.take(len).to_vec();
        }
    }
    if what & 0x40 == 0 {
        mend::page(kind, key, bytes);
    }
    if what & 0x80 != 0 {
        let len = bytes.len();
        let at = (input.number(2) as usize).checked_rem(len).unwrap_or(0);
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= 1 << (input.byte() & 7);
        }
    }
}
