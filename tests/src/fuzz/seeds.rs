//! The corpus: what fuzzing begins with, and what `cargo test` replays.
//!
//! It stands in `fuzz/corpus/`, a folder for each body, and is made by
//! `cargo run -p factlog-tests --bin fuzz -- --corpus`.

use std::path::PathBuf;
use std::{fs, io};

use factlog::{Encode, Event, Scratch};
use factlog_codec::FrameKind;
use factlog_codec::layout::FRAME_HEADER;

use super::draft::{Draft, frame};
use super::events::{Deep, Everything, Flat};
use super::segments::{MEND, ORDER, REPAIR, SHORT, TWO, WITNESS, WRITE, beginning};
use super::{
    BODIES, Body, changes as logs, decoders as decoded, files as beside, following as spoken, mend,
};
use crate::{Random, plants};

type Seeds = Vec<(&'static str, Vec<u8>)>;

fn folder(body: &Body) -> Result<PathBuf, String> {
    Ok(plants::root()?.join("fuzz").join("corpus").join(body.name))
}

/// The corpus of a body, as it stands in the repository: names and bytes.
///
/// # Errors
///
/// It cannot be read.
pub fn corpus(body: &Body) -> Result<Vec<(String, Vec<u8>)>, String> {
    let folder = folder(body)?;
    let read = || -> io::Result<Vec<(String, Vec<u8>)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            found.push((entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path())?));
        }
        found.sort();
        Ok(found)
    };
    read().map_err(|error| format!("{}: {error}", folder.display()))
}

/// Makes the corpus anew; how many files, and of how many bytes. Files of other names, which
/// fuzzing has found, are left.
///
/// # Errors
///
/// It cannot be written.
pub fn make_corpus() -> Result<(usize, usize), String> {
    let (mut files, mut bytes) = (0, 0);
    for body in &BODIES {
        let folder = folder(body)?;
        let mut write = || -> io::Result<()> {
            fs::create_dir_all(&folder)?;
            for (name, seed) in body.seeds() {
                fs::write(folder.join(name), &seed)?;
                files += 1;
                bytes += seed.len();
            }
            Ok(())
        };
        write().map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    Ok((files, bytes))
}

fn joined(how: u8, parts: &[&[u8]]) -> Vec<u8> {
    [&[how][..], &parts.concat()].concat()
}

/// The frames of a segment behind its first one.
fn behind(draft: &Draft, part: usize) -> Vec<u8> {
    draft.parts[part].frames[1..].concat()
}

pub(super) fn segments() -> Seeds {
    let drafts: Vec<_> = logs::drafts().collect();
    let frames = behind(drafts[1], 0);
    let mut whole = beginning();
    let start = whole.len();
    whole.extend_from_slice(&frames);
    whole.resize(whole.len() + 4096, 0);
    let end = whole.len() - 4096;
    let mut mending = mend::Mending::follow(1, 1000);
    mend::frames(decoded::key(), &mut whole[..end], start, &mut mending);
    let valid = &whole[start..end];
    let mut rotten = valid.to_vec();
    rotten[valid.len() / 2] ^= 1;
    let two = |draft: &Draft| {
        let first = behind(draft, 0);
        let len = (first.len() as u16).to_le_bytes();
        joined(MEND | ORDER | TWO | WRITE, &[&len, &first, &draft.parts[1].frames.concat()])
    };
    vec![
        ("empty", vec![WRITE]),
        ("valid", joined(WRITE, &[valid])),
        ("witnessed", joined(WITNESS | WRITE | SHORT, &[valid])),
        ("torn", joined(WRITE, &[&valid[..valid.len() - 40]])),
        ("torn-behind", joined(WRITE, &[&rotten])),
        ("damaged", joined(WITNESS | WRITE, &[&rotten])),
        ("repaired", joined(WITNESS | REPAIR | WRITE, &[&rotten])),
        ("whole-file", joined(4 | WRITE, &[&whole[..end]])),
        ("mended", joined(MEND | ORDER | WRITE, &[&frames])),
        ("mended-checks", joined(MEND, &[&frames])),
        ("two-torn", two(drafts[2])),
        ("two-full", two(drafts[4])),
    ]
}

/// Programs of changes: which log, what follows, and then what is changed and how.
pub(super) fn changes() -> Seeds {
    let mut seeds = Seeds::new();
    let unchanged = ["closed", "epochs", "cut", "repaired", "sealed"];
    for (which, name) in (0_u8..).zip(unchanged) {
        seeds.push((name, vec![which, 4]));
    }
    let names = [
        "header",
        "header-field",
        "opening",
        "item",
        "body",
        "length",
        "removed",
        "doubled",
        "swapped",
        "made",
        "behind-the-end",
        "seal",
        "page",
        "file-length",
        "file-names",
        "residue",
        "manifest",
        "manifest-both",
    ];
    for (what, name) in (0_u8..).zip(names) {
        let mut program = vec![what % 5, (what % 4) | (8 * (what % 3))];
        for change in 0..3 {
            program.extend([what, change, 1 + 2 * change, 2 + change, 60 + change, 1, 7, 3]);
        }
        seeds.push((name, program));
    }
    // Frames of segments that opening passes over: another sequence, time, kind, or none at all.
    seeds.push(("passed", vec![0xC0, 4]));
    for (name, field, value) in [
        ("passed-later", 1, 48),
        ("passed-earlier", 1, 112),
        ("passed-time", 2, 112),
        ("passed-kind", 6, 2),
    ] {
        seeds.push((name, vec![0xC0, 4, 0, 1, 1, field, value]));
    }
    seeds.push(("passed-removed", vec![0xC0, 4, 6, 2, 1]));
    // A frame leaves a sequence out; an item's length lies; one that contradicts the log is repaired.
    seeds.push(("sequence-later", vec![1, 4, 0, 0, 3, 1, 48]));
    seeds.push(("item-length", vec![1, 4, 3, 0, 3, 0, 0, 19]));
    seeds.push(("item-refused", vec![1, 8 | 4, 3, 0, 3, 0, 1, 12]));
    seeds
}

pub(super) fn operations() -> Seeds {
    let names = ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth"];
    let seed = |(number, name)| {
        let mut random = Random::new(number);
        (name, (0..60 + number * 40).map(|_| random.next() as u8).collect())
    };
    (1..).zip(names).map(seed).collect()
}

fn payload(event: &impl Encode) -> Vec<u8> {
    let mut space = vec![0_u128; 1024];
    let space: &mut [u8] = bytemuck::cast_slice_mut(&mut space);
    let len = event.encode(space, &mut Scratch::new()).expect("it fits");
    space[..len].to_vec()
}

fn description<E: Event>() -> &'static [u8] {
    E::static_type().description().expect("described").as_bytes()
}

pub(super) fn archives() -> Seeds {
    let (flat, deep) = (payload(&Flat::some(1)), payload(&Deep::some()));
    let everything = payload(&Everything::some());
    vec![
        ("flat", joined(0, &[&flat])),
        ("deep", joined(1, &[&deep])),
        ("everything", joined(2, &[&everything])),
        ("misaligned", joined(0x80 | (1 << 3) | 1, &[&deep])),
        ("too-short", joined(2, &[&everything[8..]])),
        ("flat-described", joined(3, &[description::<Flat>(), &flat])),
        ("deep-described", joined(3, &[description::<Deep>()])),
        ("everything-described", joined(3, &[description::<Everything>()])),
        ("padded-description", joined(3, &[description::<Deep>(), &[0; 64]])),
    ]
}

pub(super) fn files() -> Seeds {
    let at = |what: &str| {
        let found = beside::files().iter().position(|(name, _)| name.ends_with(what));
        u8::try_from(found.expect("there is one")).expect("few")
    };
    let table = beside::files().iter().rposition(|(name, _)| name.starts_with("seg"));
    let table = u8::try_from(table.expect("there is one")).expect("few");
    let (a, b, catalog) = (at("cursors/a"), at("cursors/b"), at("CATALOG"));
    let manifest = at("MANIFEST-a");
    vec![
        ("unchanged", vec![1 | 4 | 8]),
        ("repair", vec![2 | 4 | 8 | 16]),
        ("foreign-cursor", vec![4, a, 5, b]),
        ("cursor-sequence", vec![4, a, 0, 10, 2, 60]),
        ("cursor-next", vec![4, b, 0, 11, 2, 50]),
        ("cursor-position", vec![4, b, 0, 13, 2, 70]),
        ("cursor-epoch", vec![4, a, 1, 15, 0, 48]),
        ("cursor-gone", vec![4 | 8, a, 6]),
        ("cursor-bytes", vec![4, b, 0x43, 24, 0, 4, 1, 2, 3, 4]),
        ("catalog-floor", vec![4 | 8, catalog, 0, 6, 48]),
        ("catalog-streams", vec![4 | 8, catalog, 0, 10, 112]),
        ("catalog-count", vec![4 | 8, catalog, 0, 10, 20]),
        ("table-count", vec![4 | 8, table, 0, 10, 20]),
        ("catalog-entry", vec![4, catalog, 3, 100, 0, 6, 9, 9, 9, 9, 9, 9]),
        ("catalog-gone", vec![4 | 8, catalog, 6]),
        ("catalog-short", vec![8, catalog, 4, 112, 0]),
        ("table-fold", vec![4 | 8, table, 0, 9, 50]),
        ("table-rotten", vec![4 | 8, table, 0x80 | 0x40, 7, 0, 3]),
        ("table-for-catalog", vec![4 | 8, catalog, 5, table]),
        ("manifest-floor", vec![4 | 8, manifest, 0, 12, 48]),
        ("manifest-checkpoint", vec![8, manifest, 0, 13, 100]),
        ("manifest-epoch", vec![2 | 8, manifest, 0, 11, 23]),
        ("manifest-renamed", vec![4 | 8, manifest, 0x26, 3]),
        ("manifest-empty", vec![8, manifest, 7, 0, 0]),
    ]
}

pub(super) fn engine() -> Seeds {
    let mut seeds = vec![
        ("unchanged", vec![0]),
        ("without-snapshot", vec![4]),
        ("snapshot-rotten", vec![0x20, 200, 1, 1, 10, 0, 0, 0]),
    ];
    let names =
        ["header", "header-field", "opening", "item", "body", "length", "removed", "doubled"];
    for (what, name) in (0_u8..).zip(names) {
        let mut program = vec![(what % 4) | (8 * (what % 3))];
        for change in 0..2 {
            program.extend([what, 0, 9 + 5 * what + change, 2 + change, 60 + change, 1, 7, 3]);
        }
        seeds.push((name, program));
    }
    // The stream of a command: none, one that is not there, the greatest there can be.
    for (name, value) in [("no-stream", 0), ("unknown-stream", 11), ("greatest-stream", 23)] {
        // In a frame that has nothing but the command: it was refused.
        seeds.push((name, vec![4, 3, 0, 8, 0, 4, value]));
    }
    seeds
}

pub(super) fn decoders() -> Seeds {
    let drafts: Vec<_> = logs::drafts().collect();
    let trimmed = |page: &[u8]| {
        let len = page.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        page[..len].to_vec()
    };
    let file = |what: &str| {
        let found = beside::files().iter().find(|(name, _)| name.ends_with(what));
        &found.expect("there is one").1
    };
    let seal = &drafts[4].parts[0].seal;
    // Few frames: each place is tried as a frame.
    let some = drafts[1].parts[0].frames[..8].concat();
    vec![
        ("frames", joined(0, &[&some])),
        ("gap", joined(0, &[&drafts[3].parts[2].frames[..2].concat()])),
        ("header", joined(2, &[&trimmed(&drafts[0].parts[0].header)])),
        ("seal", joined(2, &[&trimmed(seal)])),
        ("manifest", joined(2, &[&trimmed(file("MANIFEST-a"))])),
        ("cursor", joined(2, &[&trimmed(&file("cursors/a")[..4096])])),
        ("catalog", joined(2, &[file("CATALOG")])),
        ("description", joined(3, &[description::<Everything>()])),
    ]
}

pub(super) fn following() -> Seeds {
    let said = spoken::said(3);
    vec![
        ("session", joined(0, &[&said])),
        ("session-cut", joined(0, &[&said[..said.len() / 2]])),
        ("heard", joined(1, &[&spoken::heard()])),
        ("heard-cut", joined(1, &[&spoken::heard()[..100]])),
        ("whole", vec![2, 2]),
        ("swapped", vec![2, 3, 0, 2, 4]),
        ("removed", vec![2, 3, 1, 3, 0]),
        ("doubled", vec![2, 3, 2, 3, 3]),
        ("short", vec![2, 3, 3, 3, 0, 90, 0]),
        ("welcome-field", vec![2, 3, 4, 0, 0, 3, 1]),
        ("segment-field", vec![2, 3, 4, 1, 0, 40, 0, 1]),
        ("bytes-position", vec![2, 3, 4, 2, 0, 1, 0, 1]),
        ("bytes-frame", vec![2, 3, 4, 2, 0, 80, 0, 1]),
        ("turn-field", vec![2, 3, 4, 3, 0, 3, 1]),
        ("frame-changed", vec![3, 200, 0, 1, 0, 1, 4]),
        ("frame-kind", vec![3, 38, 0, 3]),
        ("frame-epoch", vec![3, 32, 0, 7]),
        ("frame-unchanged", vec![3, 0, 0, 0]),
    ]
}

/// A first frame, and one with an event.
pub(super) fn canary() -> Seeds {
    let mut first = beginning().split_off(4096);
    first.resize(first.len().next_multiple_of(16), 0);
    let mut item = vec![0; 16 + 24];
    item[0] = 24;
    item[4] = 1;
    item[6] = 1;
    let mut data = frame(FrameKind::Data, 1, &first[..FRAME_HEADER], &item);
    data[16..24].copy_from_slice(&2000_u64.to_le_bytes());
    vec![("frames", [first, data].concat())]
}
