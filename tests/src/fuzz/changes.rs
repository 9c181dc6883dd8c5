//! A valid log with changes to its structure, whose checks are made to hold again.

use std::path::Path;
use std::sync::OnceLock;

use factlog::{Expected, Meta, Recovery, StreamKey, WriteWay, Writer};
use factlog_codec::layout::{FIRST_FRAME, FRAME_HEADER};
use factlog_codec::{FrameKind, SegmentId, SegmentKey};

use super::draft::{Draft, Follow, frame, items};
use super::events::{Deep, Everything, Flat};
use super::input::Input;
use super::mend;
use super::probe::{self, Print};
use super::reached::Reached;
use crate::forge::Forge;
use crate::surgery::SegmentFile;
use crate::{scratch, small};

/// A log as the engine left it, and what is in it.
#[derive(Debug)]
struct Base {
    draft: Draft,
    prints: Vec<Print>,
}

/// Fields of a frame's header: offset and bytes.
const HEADER: [(usize, usize); 9] =
    [(4, 4), (8, 8), (16, 8), (24, 8), (32, 4), (36, 2), (38, 1), (39, 1), (40, 4)];
/// Of an item's.
const ITEM: [(usize, usize); 5] = [(0, 4), (4, 2), (6, 1), (7, 1), (8, 8)];
/// Of the body of a SEGOPEN.
const OPEN: [(usize, usize); 10] =
    [(0, 8), (16, 8), (24, 4), (28, 4), (32, 8), (40, 8), (48, 2), (50, 2), (52, 1), (53, 1)];
/// Of a SEAL.
const SEAL: [(usize, usize); 9] =
    [(0, 8), (12, 4), (16, 8), (24, 8), (32, 8), (40, 8), (48, 8), (56, 4), (60, 4)];
/// Of the header of a segment.
const PAGE_HEADER: [(usize, usize); 9] =
    [(0, 8), (8, 2), (10, 1), (11, 1), (16, 8), (32, 4), (36, 4), (40, 8), (48, 8)];

fn fill(writer: &mut Writer, from: u64) {
    let streams = ["EWR", "LGA", "a name that is long enough not to be in place"];
    for number in from..from + 6 {
        writer.append(&Flat::some(number)).expect("appended");
        let name = streams[number as usize % 3];
        let stream = StreamKey::new("leg", name).expect("a name");
        let meta = Meta::new().stream(&stream, Expected::Any).metadata(b"meta");
        writer.append_with(&Deep::some(), meta).expect("appended");
        if number % 2 == 0 {
            let mut transaction = writer.begin().expect("begun");
            let own = StreamKey::new("number", number).expect("a name");
            let meta = Meta::new().stream(&own, Expected::Any);
            transaction.append(&Everything::some()).expect("appended");
            transaction.append_with(&Flat::some(number), meta).expect("appended");
            transaction.commit().expect("committed");
        }
    }
}

/// The log of which most segments are passed over when it is opened: cursors look for themselves.
pub(super) const FORGED: usize = 5;

/// Logs of one segment and of several, closed and not, cut and repaired; and one whose stream table
/// spares most of it.
fn bases() -> &'static [Base] {
    static BASES: OnceLock<Vec<Base>> = OnceLock::new();
    BASES.get_or_init(|| (0..6).map(base).collect())
}

/// Those logs, taken apart.
pub(super) fn drafts() -> impl Iterator<Item = &'static Draft> {
    bases().iter().map(|base| &base.draft)
}

fn base(which: usize) -> Base {
    let directory = scratch();
    let root = directory.path();
    if which == FORGED {
        let mut forge = Forge::begin(root, 4);
        for number in 0..6 {
            if number == 5 { forge.add_with_table() } else { forge.add() }
        }
        return Base::of(root);
    }
    let open = |way: WriteWay, recovery: Recovery| {
        small().write_way(way).recovery(recovery).open(root).expect("opens")
    };
    let mut writer = open(WriteWay::Mapped, Recovery::CutTorn);
    fill(&mut writer, 0);
    match which {
        0 => writer.close().expect("closed"),
        // Not closed, and gone on with: two epochs.
        1 => {
            drop(writer);
            let mut writer = open(WriteWay::Mapped, Recovery::CutTorn);
            fill(&mut writer, 10);
            drop(writer);
        }
        // A torn tail was cut; then there was damage, and it was repaired.
        2 | 3 => {
            drop(writer);
            let mut segment = SegmentFile::read(root, 1);
            let frames = segment.frames();
            let torn = &frames[frames.len() - 2];
            segment.bytes[torn.offset as usize + 60] ^= 1;
            segment.write();
            let mut writer = open(WriteWay::Mapped, Recovery::CutTorn);
            fill(&mut writer, 20);
            if which == 2 {
                drop(writer);
            } else {
                writer.close().expect("closed");
                let mut segment = SegmentFile::read(root, 2);
                let frames = segment.frames();
                segment.bytes[frames[frames.len() / 2].offset as usize + 50] ^= 1;
                segment.write();
                let mut writer = open(WriteWay::Mapped, Recovery::Repair);
                fill(&mut writer, 30);
                drop(writer);
            }
        }
        // Another way of writing begins another segment, and seals the one before.
        _ => {
            drop(writer);
            let mut writer = open(WriteWay::Staged, Recovery::CutTorn);
            fill(&mut writer, 40);
            writer.close().expect("closed");
        }
    }
    Base::of(root)
}

impl Base {
    fn of(directory: &Path) -> Self {
        let draft = Draft::read(directory);
        let log = small().open_read_only(directory).expect("opens");
        Self { prints: probe::traverse(&log, &mut Reached::new()), draft }
    }
}

/// The first frame that a change may have touched: segment and frame, as indexes.
pub(super) type Place = (usize, usize);

/// The first byte says which log, the second what follows from the changes; changes come behind.
///
/// # Panics
///
/// When events before the first change are not what they were, or a log comes of it that breaks a
/// promise: see [`probe::write`].
pub(super) fn run(bytes: &[u8], reached: &mut Reached) {
    let mut input = Input::new(bytes);
    let bases = bases();
    let which = usize::from(input.byte());
    let base = &bases[if which < 0xC0 { which % FORGED } else { FORGED }];
    let how = input.byte();
    let mut draft = base.draft.clone();
    let mut first: Option<Place> = None;
    for _ in 0..8 {
        if input.is_empty() {
            break;
        }
        let place = change(&mut draft, &mut input);
        first = Some(first.map_or(place, |first| first.min(place)));
    }
    let follow = Follow { from: first.filter(|_| how & 1 != 0), folds: how & 2 != 0 };
    let directory = scratch();
    let root = directory.path();
    draft.write(root, follow);

    let recovery = probe::recovery(how >> 3);
    let before = probe::read(root, recovery, reached);
    if let (Some(before), Some(place)) = (&before, first) {
        let untouched = prefix(base, place);
        assert!(
            before.get(..untouched.len()) == Some(untouched),
            "events before the first change at {place:?} are not what they were: {} of {}",
            before.iter().zip(untouched).take_while(|(one, other)| one == other).count(),
            untouched.len()
        );
        reached.count("untouched", untouched.len() as u64);
    }
    if how & 4 != 0 {
        probe::salvage(root, reached);
    }
    probe::write(root, recovery, how & 0x20 == 0, before.as_deref(), reached);
}

/// Events of frames before `place`.
fn prefix(base: &Base, place: Place) -> &[Print] {
    let Some(part) = base.draft.parts.get(place.0) else { return &[] };
    // A SEGOPEN says something of the segment before it; what a log begins with, of all.
    let from = match place {
        (0, 0) => 1,
        (segment, 0) => base.draft.parts[segment - 1].sequence(0),
        (_, nth) if nth < part.frames.len() => part.sequence(nth),
        // What stands behind the last frame is no more than the end of its segment.
        (segment, _) => base.draft.parts.get(segment + 1).map_or(u64::MAX, |next| next.sequence(0)),
    };
    let len = base.prints.iter().take_while(|print| print.sequence < from).count();
    &base.prints[..len]
}

fn set(bytes: &mut [u8], at: usize, width: usize, input: &mut Input<'_>) {
    let Some(field) = bytes.get_mut(at..at + width) else { return };
    let mut old = [0; 8];
    old[..width].copy_from_slice(field);
    let value = input.value(u64::from_le_bytes(old));
    field.copy_from_slice(&value.to_le_bytes()[..width]);
}

/// One change; gives the first frame that it touches.
pub(super) fn change(draft: &mut Draft, input: &mut Input<'_>) -> Place {
    let what = input.byte() % 18;
    let used = draft.used().max(1);
    let index = input.below(used);
    if what >= 16 {
        return manifest(draft, input);
    }
    let parts = draft.parts.len();
    let Some(part) = draft.parts.get_mut(index) else { return (0, 0) };
    let nth = input.below(part.frames.len());
    let whole = (index, 0);
    match what {
        0..=5 => {
            if let Some(frame) = part.frames.get_mut(nth) {
                in_frame(part.key, frame, nth, what, input);
            }
            (index, nth)
        }
        6 if !part.frames.is_empty() => {
            part.frames.remove(nth);
            (index, nth)
        }
        7 if !part.frames.is_empty() => {
            let other = input.below(part.frames.len());
            let copied = part.frames[other].clone();
            part.frames.insert(nth, copied);
            (index, nth)
        }
        8 if !part.frames.is_empty() => {
            let other = input.below(part.frames.len());
            part.frames.swap(nth, other);
            (index, nth.min(other))
        }
        9 if !part.frames.is_empty() => {
            part.frames.insert(nth, made(&part.frames[nth], input));
            (index, nth)
        }
        10 => {
            // What was the end may be found behind another one.
            let gone = part.frames.split_off(nth);
            if input.byte() & 1 != 0 {
                part.residue =
                    [&vec![0; 16 + usize::from(input.byte())][..], &gone.concat()].concat();
            }
            (index, nth)
        }
        11 => {
            let (at, width) = SEAL[input.below(SEAL.len())];
            set(&mut part.seal, at, width, input);
            let offset = factlog_codec::layout::seal_offset(super::draft::BITS) as u32;
            mend::page(mend::Page::Seal(offset), part.key, &mut part.seal);
            whole
        }
        12 => {
            let (at, width) = PAGE_HEADER[input.below(PAGE_HEADER.len())];
            set(&mut part.header, at, width, input);
            mend::page(mend::Page::Header, part.key, &mut part.header);
            whole
        }
        13 => {
            let end = part.frames.iter().map(Vec::len).sum::<usize>() as u64;
            part.cut = Some(input.value(u64::from(FIRST_FRAME) + end) % (8 << 20));
            whole
        }
        14 => {
            let other = input.below(parts);
            let number = draft.parts[other].number;
            match input.byte() % 3 {
                // Names swapped, one taken away, one doubled.
                0 => {
                    draft.parts[other].number =
                        std::mem::replace(&mut draft.parts[index].number, number)
                }
                1 => drop(draft.parts.remove(index)),
                _ => {
                    let mut copied = draft.parts[index].clone();
                    copied.number =
                        draft.parts.iter().map(|part| part.number).max().unwrap_or(0) + 1;
                    draft.parts.push(copied);
                }
            }
            (0, 0)
        }
        _ => {
            part.residue = input.take(64).to_vec();
            (index, part.frames.len())
        }
    }
}

/// A change within a frame.
fn in_frame(key: SegmentKey, frame: &mut Vec<u8>, nth: usize, what: u8, input: &mut Input<'_>) {
    match what {
        0 | 1 => {
            let (at, width) = HEADER[input.below(HEADER.len())];
            set(frame, at, width, input);
        }
        2 if nth == 0 => {
            let (at, width) = OPEN[input.below(OPEN.len())];
            set(frame, FRAME_HEADER + at, width, input);
        }
        2 | 3 => {
            // Items are found in the frame as it would stand at the beginning.
            let mut standing = frame.clone();
            mend::checks(key, &mut standing, 0);
            let places = items(key, &standing, 0);
            let Some(item) = places.get(input.below(places.len())) else { return };
            let (at, width) = ITEM[input.below(ITEM.len())];
            set(frame, item + at, width, input);
        }
        4 => {
            let at = input.below(frame.len());
            let width = 1 << (input.byte() & 3);
            set(frame, at, width, input);
        }
        _ => {
            // Longer or shorter, and its header says so.
            let body = frame.len().saturating_sub(FRAME_HEADER);
            let len = input.value(body as u64) as usize % (8 << 10);
            frame.resize((FRAME_HEADER + len).next_multiple_of(16), input.byte());
            let span = frame.len() as u32;
            frame[4..8].copy_from_slice(&(len as u32).to_le_bytes());
            frame[40..44].copy_from_slice(&span.to_le_bytes());
        }
    }
}

/// A frame of any kind.
fn made(like: &[u8], input: &mut Input<'_>) -> Vec<u8> {
    let kinds = [
        FrameKind::Data,
        FrameKind::SegOpen,
        FrameKind::Epoch,
        FrameKind::Snapshot,
        FrameKind::Pad,
        FrameKind::Gap,
    ];
    let kind = kinds[input.below(kinds.len())];
    let count = u16::from(input.byte() & 3);
    let len = usize::from(input.byte());
    let mut body = input.take(len).to_vec();
    if kind == FrameKind::Gap && len == 16 {
        body = like.get(8..16).unwrap_or(&[]).to_vec();
        body.extend_from_slice(&input.number(8).to_le_bytes());
    }
    frame(kind, count, like, &body)
}

/// Fields of a manifest.
const MANIFEST: [(usize, usize); 14] = [
    (0, 8),
    (12, 2),
    (14, 1),
    (15, 1),
    (16, 8),
    (24, 8),
    (40, 8),
    (56, 8),
    (64, 4),
    (68, 4),
    (72, 8),
    (80, 8),
    (88, 4),
    (92, 4),
];

fn manifest(draft: &mut Draft, input: &mut Input<'_>) -> Place {
    let how = input.byte();
    let (at, width) = MANIFEST[input.below(MANIFEST.len())];
    let slot = |name: &str| draft.files.iter().position(|(path, _)| path.ends_with(name));
    let (Some(one), Some(other)) = (slot("MANIFEST-a"), slot("MANIFEST-b")) else { return (0, 0) };
    if how & 2 != 0 {
        draft.files[one].1 = draft.files[other].1.clone();
    }
    let page = &mut draft.files[one].1;
    set(page, at, width, input);
    mend::page(mend::Page::Manifest, SegmentKey::new(0, SegmentId::FIRST), page);
    if how & 1 != 0 {
        draft.files[other].1 = page.clone();
    }
    (0, 0)
}
