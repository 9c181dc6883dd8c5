//! What decodes bytes, on its own: frames and items, pages, descriptions.

use factlog_codec::layout::{FIRST_FRAME, MIN_SEGMENT_BITS, PAGE};
use factlog_codec::{
    Catalog, CursorSlot, Epoch, EpochBody, Frame, FrameKind, GapBody, ItemKind, Items, Manifest,
    Seal, SegOpen, SegmentHeader, SegmentId, SegmentKey, Sequence, StreamKey, TypeItem, Walk,
    find_residue,
};

use super::archives::described;
use super::input::Input;
use super::mend::{self, Mending};
use super::reached::Reached;

/// Salt of the made-up segment.
pub(super) const SALT: u64 = 0x5EED;

pub(super) const fn key() -> SegmentKey {
    SegmentKey::new(SALT, SegmentId::FIRST)
}

/// The first byte says what the rest is to be.
pub(super) fn run(bytes: &[u8], reached: &mut Reached) {
    let mut input = Input::new(bytes);
    match input.byte() & 3 {
        0 | 1 => frames(input.rest(), reached),
        2 => pages(input.rest(), reached),
        _ => described(input.rest(), reached),
    }
}

/// `bytes` are what follows the header page of a segment.
fn frames(bytes: &[u8], reached: &mut Reached) {
    let segment = laid_out(bytes);
    for offset in (PAGE..segment.len()).step_by(16) {
        if let Ok(frame) = Frame::parse(key(), offset as u32, &segment[offset..]) {
            items(&frame, reached);
        }
    }
    let mut walk = Walk::new(key(), &segment, None);
    while let Ok(frame) = walk.next_frame() {
        reached.note("frames");
        items(&frame, reached);
    }
    let from = walk.state().offset;
    let (rest, none) = (&segment[from as usize..], Epoch::new(0));
    let residue = find_residue(key(), rest, from, MIN_SEGMENT_BITS, Sequence::FIRST, none);
    reached.count("residue", residue.frames.into());
}

/// A short segment with `bytes` behind its header page, their checks mended.
pub(super) fn laid_out(bytes: &[u8]) -> Vec<u8> {
    let mut segment = vec![0; PAGE];
    segment.extend_from_slice(bytes);
    segment.resize(segment.len() + PAGE, 0);
    let end = segment.len() - PAGE;
    mend::frames(key(), &mut segment[..end], FIRST_FRAME as usize, &mut Mending::checks());
    segment
}

fn items(frame: &Frame<'_>, reached: &mut Reached) {
    match frame.header.kind {
        FrameKind::SegOpen => {
            if let Ok((_, types)) = SegOpen::decode(frame) {
                reached.count("types", types.filter(Result::is_ok).take(70_000).count() as u64);
            }
        }
        FrameKind::Epoch => {
            reached.count("epochs", EpochBody::decode(frame.body).iter().len() as u64)
        }
        FrameKind::Gap => reached.count("gaps", GapBody::decode(frame.body).iter().len() as u64),
        _ => {}
    }
    for item in Items::new(frame.body).map_while(Result::ok) {
        reached.note("items");
        let extensions = item.extensions;
        let _ = (extensions.link(), extensions.further(), extensions.cause());
        let _ = (extensions.correlation(), extensions.invalidates(), extensions.source());
        let _ = (extensions.effect_key(), extensions.metadata(), extensions.check());
        match item.header.flags.kind {
            ItemKind::Type => {
                if let Ok(decoded) = TypeItem::decode(item.payload) {
                    described(decoded.description, reached);
                }
            }
            ItemKind::Stream => {
                reached.count("streams", StreamKey::decode(item.payload).is_ok().into());
            }
            _ => {}
        }
    }
}

/// Pages, with the checks of what they may be.
fn pages(bytes: &[u8], reached: &mut Reached) {
    let mut page = bytes.to_vec();
    page.resize(PAGE.max(bytes.len()), 0);
    let mut accepted = u64::from(SegmentHeader::decode(bytes).is_ok());
    for kind in mend::PAGES {
        let mut page = page.clone();
        mend::page(kind, key(), &mut page);
        accepted += u64::from(SegmentHeader::decode(&page).is_ok())
            + u64::from(Seal::decode(key(), FIRST_FRAME, &page).is_ok())
            + u64::from(Manifest::decode(&page).is_ok())
            + u64::from(CursorSlot::decode(&page).is_ok());
    }
    let mut catalog = bytes.to_vec();
    mend::page(mend::Page::Catalog, key(), &mut catalog);
    if let Ok((_, entries)) = Catalog::decode(&catalog) {
        accepted += 1 + entries.filter(Result::is_ok).take(10_000).count() as u64;
    }
    reached.count("pages", accepted);
}
