//! Segment bytes to recovery: whatever stands in the files, there is an answer.

use std::fs;
use std::path::Path;

use factlog::Recovery;
use factlog_codec::layout::{FIRST_FRAME, FRAME_HEADER, PAGE};
use factlog_codec::{
    Epoch, Fold, FrameDraft, FrameFlags, FrameKind, HistoryId, LogId, Manifest, Position,
    Predecessor, SegOpen, SegmentHeader, SegmentId, Sequence, StreamNumber, Succession, TypeNumber,
    WriteWay, seal_frame,
};
use uuid::Uuid;

use super::decoders::SALT;
use super::draft::{BITS, write_segment};
use super::input::Input;
use super::mend::{self, Mending};
use super::probe;
use super::reached::Reached;
use crate::scratch;
use crate::surgery::{manifest_path, segment_path};

/// The checks of what looks like frames are made to hold; and so is the order.
pub(super) const MEND: u8 = 1;
pub(super) const ORDER: u8 = 2;
/// The bytes begin with the header page, and not behind the first frame.
const WHOLE: u8 = 4;
/// The file ends behind the bytes.
pub(super) const SHORT: u8 = 8;
/// What a witness says is durable: all that stands before the bytes, or all of them.
pub(super) const WITNESS: u8 = 0x10;
pub(super) const REPAIR: u8 = 0x20;
/// Some of the bytes are those of a second segment.
pub(super) const TWO: u8 = 0x40;
pub(super) const WRITE: u8 = 0x80;

const LOG: LogId = LogId::new(Uuid::from_u128(1));
const HISTORY: HistoryId = HistoryId::new(Uuid::from_u128(2));
const EPOCH: Epoch = Epoch::new(1);

fn header(segment: SegmentId) -> SegmentHeader {
    SegmentHeader { log: LOG, segment, bits: BITS, generation: 1, salt: SALT }
}

/// The header page and the first frame of a log.
pub(super) fn beginning() -> Vec<u8> {
    let header = header(SegmentId::FIRST);
    let key = header.key();
    let open = SegOpen {
        history: HISTORY,
        before: Predecessor {
            segment: SegmentId::NONE,
            end: 0,
            fold: Fold::from_raw(0),
            why: Succession::First,
        },
        wall_clock: 1,
        next_stream: StreamNumber::FIRST,
        next_type: Some(TypeNumber::FIRST),
        types: 0,
        way: WriteWay::Mapped,
    };
    let mut space = vec![0; FRAME_HEADER + SegOpen::LEN];
    open.encode(&mut space[FRAME_HEADER..]);
    let draft = FrameDraft {
        kind: FrameKind::SegOpen,
        flags: FrameFlags::NONE,
        sequence: Sequence::FIRST,
        count: 0,
        ts: 1000,
        durable: Position::ZERO,
        epoch: EPOCH,
    };
    seal_frame(key, FIRST_FRAME, &draft, &mut space, SegOpen::LEN);
    [&header.encode()[..], &space].concat()
}

fn manifest(directory: &Path, checkpoint: u32) {
    let manifest = Manifest {
        generation: 1,
        log: LOG,
        history: HISTORY,
        bits: BITS,
        epoch: EPOCH,
        floor: SegmentId::FIRST,
        checkpoint: Position::new(SegmentId::FIRST, checkpoint, BITS),
        checkpoint_sequence: Sequence::FIRST,
        clean: false,
        taken_over: factlog_codec::Epoch::new(0),
        lineage: Vec::new(),
    };
    fs::write(manifest_path(directory, 0), manifest.encode()).expect("written");
}

/// The first byte says what is done with the rest, which stands in one segment or two.
///
/// # Panics
///
/// When a log comes of it that breaks a promise: see [`probe::write`].
pub(super) fn run(bytes: &[u8], reached: &mut Reached) {
    let mut input = Input::new(bytes);
    let how = input.byte();
    let split = if how & TWO == 0 { usize::MAX } else { input.number(2) as usize };
    let first = input.take(split);
    let second = input.rest();

    let directory = scratch();
    let root = directory.path();
    fs::create_dir_all(root.join("seg")).expect("made");
    let mut segment = if how & WHOLE == 0 { beginning() } else { Vec::new() };
    let start = segment.len();
    segment.extend_from_slice(first);
    let len = segment.len();
    segment.resize(len.max(PAGE) + PAGE, 0);
    let mut mending = if how & ORDER == 0 { Mending::checks() } else { Mending::follow(1, 1000) };
    if how & WHOLE != 0 {
        mend::page(mend::Page::Header, header(SegmentId::FIRST).key(), &mut segment);
    }
    // A header that verifies says what the frames are keyed with.
    let known = SegmentHeader::decode(&segment).unwrap_or(header(SegmentId::FIRST));
    if how & MEND != 0 {
        mend::frames(known.key(), &mut segment, start.max(PAGE), &mut mending);
    }
    let cut = if how & SHORT == 0 { 1 << BITS } else { len as u64 };
    write_segment(&segment_path(root, 1), &segment, &[], cut);
    let state = mend::walked(known.key(), &segment);
    manifest(root, if how & WITNESS == 0 { FIRST_FRAME } else { len as u32 });
    if how & TWO != 0 {
        let header = header(SegmentId::new(2));
        let mut bytes = header.encode().to_vec();
        bytes.extend_from_slice(second);
        bytes.resize(bytes.len() + PAGE, 0);
        if how & MEND != 0 {
            let (sequence, ts, _) = mend::after(&state);
            let mut mending =
                if how & ORDER == 0 { mending } else { Mending::follow(sequence, ts) };
            mend::frames(header.key(), &mut bytes, PAGE, &mut mending);
        }
        if how & ORDER != 0 {
            let next = state.sequence.unwrap_or(Sequence::FIRST);
            mend::successor(header.key(), &mut bytes, state.offset, state.fold, next);
        }
        write_segment(&segment_path(root, 2), &bytes, &[], 1 << BITS);
    }

    let recovery = if how & REPAIR == 0 { Recovery::CutTorn } else { Recovery::Repair };
    let before = probe::read(root, recovery, reached);
    probe::salvage(root, reached);
    if how & WRITE != 0 {
        probe::write(root, recovery, how & SHORT == 0, before.as_deref(), reached);
    }
}
