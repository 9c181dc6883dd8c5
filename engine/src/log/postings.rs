//! Which frames have events of a conversation: found by an index for each segment that has ended.
//!
//! Nobody pays for it who does not ask: the index of a segment is made when somebody first looks for
//! a conversation that may reach into it, and written beside it by the process that has the log open
//! for writing. The segment in use, and those that are not durable yet, are gone through each time.

use factlog_codec::layout::FIRST_FRAME;
use factlog_codec::{
    Frame, FrameKind, ItemKind, Items, Position, Posting, PostingsHead, Sequence, Stop, StopReason,
};

use super::disk::{PostingsFile, write_postings};
use super::error::ReadError;
use super::fault::ItemFault;
use super::frontier::Visible;
use super::segment::Segment;
use super::shared::Shared;

/// Where the frames of a segment begin that have events of a conversation, in order.
pub(super) fn frames_of(
    shared: &Shared,
    segment: &Segment,
    visible: Visible,
    root: Sequence,
) -> Result<Vec<u32>, ReadError> {
    let end = segment.frozen_end(visible);
    let place = Position::new(segment.id(), end, shared.bits);
    let settled = segment.end() == Some(end)
        && segment.next().is_some()
        && shared.frontier.durable() >= place;
    let stored = settled.then(|| PostingsFile::open(&shared.directory, segment.id())).flatten();
    if let Some(stored) = stored.filter(|one| one.head.is_of(shared.log, segment.key(), end)) {
        if !stored.head.may_have(root) {
            return Ok(Vec::new());
        }
        if let Some(postings) = stored.read() {
            return Ok(of(&postings, root));
        }
    }
    let postings = make(shared, segment, visible)?;
    if settled {
        let head = PostingsHead::of(shared.log, segment.key(), end, &postings);
        // Without the file it is made again; who only reads writes nothing.
        let write = || write_postings(&shared.directory, &head, &postings);
        drop(shared.registry.writing(&shared.fork, write));
    }
    Ok(of(&postings, root))
}

/// The frames of one conversation.
fn of(postings: &[Posting], root: Sequence) -> Vec<u32> {
    let first = postings.partition_point(|posting| posting.correlation < root);
    let rest = postings.get(first..).unwrap_or(&[]);
    rest.iter().take_while(|one| one.correlation == root).map(|one| one.offset).collect()
}

/// Goes through a segment, as far as it is visible.
fn make(shared: &Shared, segment: &Segment, visible: Visible) -> Result<Vec<Posting>, ReadError> {
    let mapping = shared.map(segment)?;
    let bytes = segment.frozen(&mapping, visible);
    let (mut postings, mut offset) = (Vec::new(), FIRST_FRAME);
    while (offset as usize) < bytes.len() {
        let rest = bytes.get(offset as usize..).unwrap_or(&[]);
        let frame = Frame::parse(segment.key(), offset, rest).map_err(|error| {
            ReadError::Frame(segment.id(), Stop { offset, reason: StopReason::Frame(error) })
        })?;
        if frame.header.kind == FrameKind::Data {
            let fault = |fault| ReadError::Items(segment.place(offset), fault);
            let before = postings.len();
            for item in Items::new(frame.body) {
                let item = item.map_err(|error| fault(ItemFault::Item(error)))?;
                if item.header.flags.kind != ItemKind::Event {
                    continue;
                }
                let correlation = item.extensions.correlation();
                let correlation =
                    correlation.map_err(|error| fault(ItemFault::Extension(error)))?;
                let posting = correlation.map(|correlation| Posting { correlation, offset });
                // One that comes again in its frame most often comes at once.
                if let Some(posting) = posting
                    && postings.get(before..).and_then(|of| of.last()) != Some(&posting)
                {
                    postings.push(posting);
                }
            }
        }
        offset = frame.header.next_offset();
    }
    postings.sort_unstable();
    postings.dedup();
    Ok(postings)
}
