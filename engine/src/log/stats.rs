//! What a log is doing, in numbers. Asking costs the writer nothing.

use super::cursor::Log;
use super::submit::WriterThread;

/// What a log is doing. Counts are since opening.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Events appended.
    pub events: u64,
    /// Frames of events appended.
    pub frames: u64,
    /// Bytes of those frames.
    pub bytes: u64,
    /// Segments taken into use after the first one.
    pub rollovers: u64,
    /// Rollovers for which no segment was ready, so that the writer had to wait.
    pub stalls: u64,
    /// Segments of the log, those not counted that wait to be used.
    pub segments: usize,
    /// Bytes of segments that are mapped.
    pub mapped_bytes: u64,
    /// Bytes that are visible, but not known to be durable yet.
    pub not_durable_bytes: u64,
    /// Cursors and others that hold what they have not read yet. A named cursor counts as long as
    /// it is registered, and once more while somebody reads with it.
    pub cursors: usize,
    /// How many events the cursor farthest back has before it.
    pub lag_events: u64,
    /// How many bytes of the log, unused ends of segments included.
    pub lag_bytes: u64,
    /// Submissions that wait for the writer's thread, if it has one.
    pub queue: usize,
    /// Most that can wait.
    pub queue_capacity: usize,
}

impl Log {
    /// What the log is doing. The numbers are not all of one moment.
    pub fn stats(&self) -> Stats {
        let shared = self.shared();
        let held = shared.holds.held();
        let (visible, next) = shared.frontier.visible_pair();
        let end = visible.position().raw();
        let counts = shared.counters.read();
        let segments = shared.segments.all();
        let mapped = segments.iter().filter(|segment| segment.is_mapped()).count();
        let used = segments.iter().filter(|segment| segment.index().first().is_some()).count();
        let (lag_events, lag_bytes) = held.oldest.map_or((0, 0), |(position, at)| {
            (next.get().saturating_sub(at.get()), end.saturating_sub(position.raw()))
        });
        Stats {
            events: next.get().saturating_sub(shared.report.next_sequence.get()),
            frames: counts.frames,
            bytes: counts.bytes,
            rollovers: counts.rollovers,
            stalls: counts.stalls,
            segments: used,
            mapped_bytes: (mapped as u64) << shared.bits,
            not_durable_bytes: end.saturating_sub(shared.frontier.durable().raw()),
            cursors: held.holders,
            lag_events,
            lag_bytes,
            queue: 0,
            queue_capacity: 0,
        }
    }
}

impl WriterThread {
    /// What the log is doing, its queue included.
    pub fn stats(&self) -> Stats {
        let (queue, queue_capacity) = self.producer().queue();
        Stats { queue, queue_capacity, ..self.log().stats() }
    }
}
