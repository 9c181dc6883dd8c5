//! Checks made to hold again: without them, nothing that was changed would be looked at.

use factlog_codec::layout::{FIRST_FRAME, FRAME_HEADER, PAGE};
use factlog_codec::{Epoch, Fold, FrameKind, SegmentKey, Sequence, WalkState};

/// How far frames are mended, and what has come so far.
#[derive(Debug, Clone)]
pub(super) struct Mending {
    /// Sequences follow one another, and times rise; else only checks are made to hold.
    follow: bool,
    sequence: u64,
    ts: u64,
}

impl Mending {
    /// Checks only.
    pub(super) const fn checks() -> Self {
        Self { follow: false, sequence: 0, ts: 0 }
    }

    /// Frames that follow one another, from here on.
    pub(super) const fn follow(sequence: u64, ts: u64) -> Self {
        Self { follow: true, sequence, ts }
    }
}

fn word(header: &[u8; FRAME_HEADER], at: usize) -> usize {
    u32::from_le_bytes(header[at..at + 4].try_into().expect("four bytes")) as usize
}

/// Mends what looks like frames, from `start` on; gives where that ends. Numbers of only ones are
/// left as they are: they are there on purpose.
pub(super) fn frames(
    key: SegmentKey,
    segment: &mut [u8],
    start: usize,
    mending: &mut Mending,
) -> usize {
    let mut offset = start;
    while let Some(header) = segment.get(offset..offset.saturating_add(FRAME_HEADER)) {
        let mut header: [u8; FRAME_HEADER] = header.try_into().expect("48 bytes");
        if header == [0; FRAME_HEADER] {
            break;
        }
        if mending.follow {
            follow(&mut header, segment.get_mut(offset + FRAME_HEADER..), mending);
        }
        segment[offset..offset + FRAME_HEADER].copy_from_slice(&header);
        checks(key, segment, offset);
        let (len, span) = (word(&header, 4), word(&header, 40));
        let sane = span.is_multiple_of(16) && span >= FRAME_HEADER + len;
        if !sane || span > segment.len() - offset {
            break;
        }
        offset += span;
    }
    offset
}

fn follow(header: &mut [u8; FRAME_HEADER], body: Option<&mut [u8]>, mending: &mut Mending) {
    let special = |field: &[u8]| field == [0xFF; 8];
    mending.ts += 1;
    if special(&header[16..24]) || special(&header[8..16]) {
        return;
    }
    header[16..24].copy_from_slice(&mending.ts.to_le_bytes());
    header[8..16].copy_from_slice(&mending.sequence.to_le_bytes());
    let count = u64::from(u16::from_le_bytes([header[36], header[37]]));
    mending.sequence = mending.sequence.wrapping_add(count);
    if header[38] == FrameKind::Gap.code()
        && let Some(first) = body.and_then(|body| body.first_chunk_mut::<16>())
    {
        first[..8].copy_from_slice(&header[8..16]);
        let last = u64::from_le_bytes(first[8..].try_into().expect("eight bytes"));
        mending.sequence = last.wrapping_add(1);
    }
}

/// Makes `hsum` and `crc` of what stands at `offset` hold, as far as its length lets them.
pub(super) fn checks(key: SegmentKey, segment: &mut [u8], offset: usize) {
    let Some(frame) = segment.get_mut(offset..) else { return };
    let Some(header) = frame.first_chunk::<FRAME_HEADER>().copied() else { return };
    let key = key.at(offset as u32);
    let hsum = key.hsum(&header);
    frame[44..FRAME_HEADER].copy_from_slice(&hsum.to_le_bytes());
    let end = FRAME_HEADER.saturating_add(word(&header, 4));
    if let Some(checked) = frame.get(4..end) {
        let crc = key.crc(checked);
        frame[..4].copy_from_slice(&crc.to_le_bytes());
    }
}

/// The fold of the frames up to the first place without one, and the state there.
pub(super) fn walked(key: SegmentKey, segment: &[u8]) -> WalkState {
    let mut walk = factlog_codec::Walk::new(key, segment, None);
    while walk.next_frame().is_ok() {}
    *walk.state()
}

/// Where a SEGOPEN stands at the beginning: lets it say what the segment before it came to.
pub(super) fn successor(key: SegmentKey, segment: &mut [u8], end: u32, fold: Fold, next: Sequence) {
    let at = FIRST_FRAME as usize;
    let Some(frame) = segment.get_mut(at..at + FRAME_HEADER + 64) else { return };
    if frame[38] != FrameKind::SegOpen.code() {
        return;
    }
    frame[8..16].copy_from_slice(&next.get().to_le_bytes());
    frame[FRAME_HEADER + 16..][..8].copy_from_slice(&fold.raw().to_le_bytes());
    frame[FRAME_HEADER + 28..][..4].copy_from_slice(&end.to_le_bytes());
    checks(key, segment, at);
}

/// What a page may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Page {
    Header,
    Seal(u32),
    Manifest,
    Cursor,
    Catalog,
}

/// Pages of a fixed length.
pub(super) const PAGES: [Page; 4] =
    [Page::Header, Page::Seal(FIRST_FRAME), Page::Manifest, Page::Cursor];

/// Makes the checksum of `page` hold, if it is long enough to have one. Of a cursor's file, those
/// of both slots; of a catalog, those of its head and its entries.
pub(super) fn page(kind: Page, key: SegmentKey, page: &mut [u8]) {
    let at = if kind == Page::Header { 12 } else { 8 };
    match kind {
        Page::Header | Page::Manifest => one(page, PAGE, at, |bytes| crc(0, bytes)),
        Page::Seal(offset) => one(page, PAGE, at, |bytes| key.at(offset).crc(bytes)),
        Page::Cursor => {
            for slot in page.chunks_mut(PAGE) {
                one(slot, PAGE, at, |bytes| crc(0, bytes));
            }
        }
        Page::Catalog => {
            let Some((head, entries)) = page.split_at_mut_checked(96) else { return };
            head[72..76].copy_from_slice(&crc(0, entries).to_le_bytes());
            head[64..72].copy_from_slice(&(entries.len() as u64).to_le_bytes());
            one(head, 96, at, |bytes| crc(0, bytes));
        }
    }
}

fn crc(seed: u32, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(seed);
    hasher.update(bytes);
    hasher.finalize()
}

fn one(page: &mut [u8], len: usize, at: usize, sum: impl Fn(&[u8]) -> u32) {
    let Some(page) = page.get_mut(..len) else { return };
    page[at..at + 4].fill(0);
    let sum = sum(page);
    page[at..at + 4].copy_from_slice(&sum.to_le_bytes());
}

/// The state with which frames may follow a segment that came to `state`.
pub(super) const fn after(state: &WalkState) -> (u64, u64, Epoch) {
    let sequence = match state.sequence {
        Some(sequence) => sequence.get(),
        None => 1,
    };
    (sequence, state.ts, state.epoch)
}
