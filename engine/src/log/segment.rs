//! A segment as this process knows it, and the set of them.

use factlog_codec::layout::{FIRST_FRAME, segment_size};
use factlog_codec::{
    Frame, FrameHeader, Place, SegOpen, SegmentId, SegmentKey, Sequence, Stop, StopReason,
};
use std::io;

use super::disk::{Directory, open_regular};
use super::error::ReadError;
use super::fault::ItemFault;
use super::frontier::Visible;
use super::index::SparseIndex;
use super::map::Mapping;
use crate::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use crate::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, Weak};

/// One segment. Its mapping lives as long as somebody holds it.
#[derive(Debug)]
pub(crate) struct Segment {
    id: SegmentId,
    bits: u8,
    key: SegmentKey,
    mapping: Mutex<Weak<Mapping>>,
    /// Where the frames end; 0 as long as more can come. Set before anything of the next
    /// segment is published.
    end: AtomicU32,
    /// Wall clock when it was taken into use; 0 before.
    opened: AtomicU64,
    next: OnceLock<Weak<Segment>>,
    index: SparseIndex,
    /// Whether the index knows only the first frame so far.
    unindexed: AtomicBool,
    indexing: Mutex<()>,
}

impl Segment {
    pub(crate) fn new(key: SegmentKey, bits: u8) -> Self {
        Self {
            id: key.segment(),
            bits,
            key,
            mapping: Mutex::new(Weak::new()),
            end: AtomicU32::new(0),
            opened: AtomicU64::new(0),
            next: OnceLock::new(),
            index: SparseIndex::new(bits),
            unindexed: AtomicBool::new(false),
            indexing: Mutex::new(()),
        }
    }

    pub(crate) fn id(&self) -> SegmentId {
        self.id
    }
    pub(crate) fn key(&self) -> SegmentKey {
        self.key
    }
    pub(crate) fn index(&self) -> &SparseIndex {
        &self.index
    }

    /// The segment has ended, and its index is made when somebody first seeks in it.
    pub(crate) fn index_later(&self) {
        self.unindexed.store(true, Ordering::Release);
    }

    /// Completes the index of a segment whose frames are `bytes`, if that was left for later.
    pub(crate) fn complete_index(&self, bytes: &[u8]) {
        if !self.unindexed.load(Ordering::Acquire) {
            return;
        }
        let _one = self.indexing.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.unindexed.load(Ordering::Acquire) {
            return;
        }
        let mut offset = FIRST_FRAME;
        while let Some(rest) = bytes.get(offset as usize..) {
            // A frame that does not verify is found by whoever looks at it.
            let Ok(header) = FrameHeader::parse(self.key, offset, rest) else { break };
            if offset > FIRST_FRAME {
                self.index.note(offset, header.sequence, header.ts);
            }
            offset = header.next_offset();
        }
        self.unindexed.store(false, Ordering::Release);
    }

    /// The SEGOPEN, and the sequence that the segment begins with. `bytes` are all that it has, or
    /// its frozen part.
    pub(crate) fn opening(&self, bytes: &[u8]) -> Result<(SegOpen, Sequence), ReadError> {
        let rest = bytes.get(FIRST_FRAME as usize..).unwrap_or(&[]);
        let frame = Frame::parse(self.key, FIRST_FRAME, rest).map_err(|error| {
            let stop = Stop { offset: FIRST_FRAME, reason: StopReason::Frame(error) };
            ReadError::Frame(self.id, stop)
        })?;
        let (open, _) = SegOpen::decode(&frame)
            .map_err(|_| ReadError::Items(self.place(FIRST_FRAME), ItemFault::SegOpen))?;
        Ok((open, frame.header.sequence))
    }

    pub(crate) fn place(&self, offset: u32) -> Place {
        Place { segment: self.id, offset }
    }

    /// Wall clock when it was taken into use, in nanoseconds since the Unix epoch.
    pub(crate) fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    pub(crate) fn set_opened(&self, wall_clock: u64) {
        self.opened.store(wall_clock, Ordering::Relaxed);
    }

    /// Whether somebody has it mapped.
    pub(crate) fn is_mapped(&self) -> bool {
        self.mapping.lock().unwrap_or_else(PoisonError::into_inner).strong_count() > 0
    }

    /// Where the frames end, once no more can come.
    pub(crate) fn end(&self) -> Option<u32> {
        // Acquire is not needed for the bytes (the watermark's load is), only for the number.
        Some(self.end.load(Ordering::Acquire)).filter(|end| *end != 0)
    }

    pub(crate) fn set_end(&self, end: u32) {
        self.end.store(end, Ordering::Release);
    }

    /// The segment after this one, once it is in use.
    pub(crate) fn next(&self) -> Option<Arc<Segment>> {
        self.next.get()?.upgrade()
    }

    /// The segment after this one, if everything below `offset` is all that this one has.
    pub(crate) fn successor(&self, offset: u32) -> Option<Arc<Segment>> {
        if self.end() == Some(offset) { self.next() } else { None }
    }

    /// Ends this segment, and says which one goes on: before anything of that one is visible.
    pub(crate) fn hand_over(&self, end: u32, next: &Arc<Segment>) {
        self.set_end(end);
        self.set_next(next);
    }

    pub(crate) fn set_next(&self, next: &Arc<Segment>) {
        let fresh = self.next.set(Arc::downgrade(next)).is_ok();
        debug_assert!(fresh, "a segment has one successor");
    }

    /// Makes a mapping that exists already the one that everybody gets.
    pub(crate) fn share(&self, mapping: &Arc<Mapping>) {
        *self.mapping.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(mapping);
    }

    /// The segment's mapping: the one there is, or a new one for reading.
    pub(crate) fn mapping(&self, directory: &Directory) -> io::Result<Arc<Mapping>> {
        let mut known = self.mapping.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mapping) = known.upgrade() {
            return Ok(mapping);
        }
        let file = open_regular(&directory.segment(self.id), false)?;
        // A file that was cut is mapped as far as it goes: what is frozen ends before.
        let len = file.metadata()?.len().min(segment_size(self.bits) as u64);
        let mapping = Mapping::read_only(&file, len as usize)?;
        *known = Arc::downgrade(&mapping);
        Ok(mapping)
    }

    /// How far this segment is frozen, given a visible position of its log.
    pub(crate) fn frozen_end(&self, visible: Visible) -> u32 {
        let position = visible.position();
        let current = position.segment(self.bits);
        if current == self.id {
            position.offset(self.bits)
        } else if current > self.id {
            self.end().unwrap_or(0)
        } else {
            0
        }
    }

    /// The bytes of this segment below a visible position of its log. `mapping` is this
    /// segment's.
    #[inline]
    pub(crate) fn frozen<'a>(&self, mapping: &'a Mapping, visible: Visible) -> &'a [u8] {
        let end = self.frozen_end(visible) as usize;
        // SAFETY: `end` is the offset of a visible position in this segment, or its end, which
        // was set before anything behind it became visible. `Visible` is made by the frontier
        // alone, and segments and frontier of one log are only ever handed out together.
        unsafe { mapping.frozen(end) }
    }
}

/// The segments of a log, by number. Only opening, the conductor and seeks take its lock; the
/// writer and cursors that go forward do not.
#[derive(Debug, Default)]
pub(crate) struct SegmentSet {
    segments: RwLock<Vec<Arc<Segment>>>,
}

impl SegmentSet {
    /// Adds a segment behind those that are there.
    pub(crate) fn push(&self, segment: Arc<Segment>) {
        let mut segments = self.segments.write().unwrap_or_else(PoisonError::into_inner);
        debug_assert!(segments.last().is_none_or(|last| last.id() < segment.id()));
        segments.push(segment);
    }

    pub(crate) fn get(&self, id: SegmentId) -> Option<Arc<Segment>> {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        let at = segments.binary_search_by_key(&id, |segment| segment.id()).ok()?;
        segments.get(at).cloned()
    }

    pub(crate) fn first(&self) -> Option<Arc<Segment>> {
        self.segments.read().unwrap_or_else(PoisonError::into_inner).first().cloned()
    }

    /// The sequence that the log begins with: that of the first segment that has a frame.
    pub(crate) fn oldest(&self) -> Option<Sequence> {
        self.beginning().1
    }

    /// The first segment, and the sequence that the log begins with: both of one moment.
    pub(crate) fn beginning(&self) -> (Option<Arc<Segment>>, Option<Sequence>) {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        let oldest = segments.iter().find_map(|segment| Some(segment.index().first()?.sequence));
        (segments.first().cloned(), oldest)
    }

    /// The number of the first segment: what is below has been dropped.
    pub(crate) fn floor(&self) -> SegmentId {
        self.first().map_or(SegmentId::FIRST, |segment| segment.id())
    }

    /// All segments.
    pub(crate) fn all(&self) -> Vec<Arc<Segment>> {
        self.segments.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All segments in use.
    pub(crate) fn in_use(&self) -> Vec<Arc<Segment>> {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        segments.iter().filter(|segment| segment.index().first().is_some()).cloned().collect()
    }

    /// All segments below `floor`.
    pub(crate) fn below(&self, floor: SegmentId) -> Vec<Arc<Segment>> {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        segments.iter().take_while(|segment| segment.id() < floor).cloned().collect()
    }

    /// Forgets all segments below `floor`, and gives them.
    pub(crate) fn remove_below(&self, floor: SegmentId) -> Vec<Arc<Segment>> {
        let mut segments = self.segments.write().unwrap_or_else(PoisonError::into_inner);
        let end = segments.partition_point(|segment| segment.id() < floor);
        segments.drain(..end).collect()
    }

    /// The segment before `id`.
    pub(crate) fn before(&self, id: SegmentId) -> Option<Arc<Segment>> {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        let at = segments.partition_point(|segment| segment.id() < id);
        segments.get(at.checked_sub(1)?).cloned()
    }

    /// The last segment in use for which `before` holds of its first sequence and time: where a
    /// seek begins.
    pub(crate) fn last_where(
        &self,
        before: impl Fn(Sequence, u64) -> bool,
    ) -> Option<Arc<Segment>> {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        let used = segments.partition_point(|segment| {
            segment.index().first().is_some_and(|entry| before(entry.sequence, entry.ts))
        });
        segments.get(used.saturating_sub(1)).cloned()
    }
}
