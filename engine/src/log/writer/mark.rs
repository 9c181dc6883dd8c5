//! The mark that a snapshot leaves in the log.

use factlog_codec::layout::FRAME_HEADER;
use factlog_codec::{FrameDraft, FrameKind, Position, SnapshotBody};

use super::Writer;
use crate::log::error::AppendError;
use crate::log::shared::Shared;

impl Writer {
    /// Writes down that a snapshot is there: a frame without events.
    pub(crate) fn mark_snapshot(&mut self, body: SnapshotBody) -> Result<(), AppendError> {
        self.make_room()?;
        let (ts, flags) = self.frame_time();
        let len = FRAME_HEADER + SnapshotBody::LEN;
        let space = self.active.space(len);
        let limit = space.len();
        let Some(room) = space.get_mut(FRAME_HEADER..len) else {
            return Err(AppendError::TooLarge { limit });
        };
        room.copy_from_slice(&body.encode());
        let draft = FrameDraft {
            kind: FrameKind::Snapshot,
            flags,
            sequence: self.next,
            count: 0,
            ts,
            durable: self.shared.frontier.durable(),
            epoch: self.epoch,
        };
        let pad = self.shared.pads();
        let sealed = self.active.seal(&draft, SnapshotBody::LEN, pad);
        let span =
            sealed.map_err(|error| AppendError::Poisoned(self.fail(self.active.id(), error)))?;
        self.last_ts = ts;
        self.shared.counters.count_frame(span as u64);
        let end = Position::new(self.active.id(), self.active.tail(), self.shared.bits);
        let Shared { types, streams, frontier, .. } = &*self.shared;
        self.stage.publish(types, streams, frontier, (end, self.next));
        Ok(())
    }
}
