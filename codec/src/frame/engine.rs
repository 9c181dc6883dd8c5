//! Bodies of the engine's own frames.

use bytemuck::Zeroable;
use uuid::Uuid;

use crate::bytes::Reader;
use crate::ids::{HistoryId, Sequence};
use crate::raw::RawEpoch;

/// The body of an EPOCH frame: a writer goes on in a segment that another epoch began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochBody {
    /// Identity of the new epoch's history.
    pub history: HistoryId,
    /// Wall clock, as read, in nanoseconds since the Unix epoch.
    pub wall_clock: u64,
}

impl EpochBody {
    /// Length in bytes.
    pub const LEN: usize = size_of::<RawEpoch>();

    /// As it is written.
    pub fn encode(&self) -> [u8; Self::LEN] {
        bytemuck::cast(RawEpoch {
            history: *self.history.uuid().as_bytes(),
            wall_clock: self.wall_clock,
            ..RawEpoch::zeroed()
        })
    }

    /// From a verified body; `None` if it has another length or its reserved field is in use.
    pub fn decode(body: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(body);
        let raw: RawEpoch = reader.pod()?;
        (reader.rest().is_empty() && raw.reserved == 0).then_some(Self {
            history: HistoryId::new(Uuid::from_bytes(raw.history)),
            wall_clock: raw.wall_clock,
        })
    }
}

/// The body of a SNAPSHOT frame: a memory image was put into place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotBody {
    /// The event up to which everything is folded into it.
    pub sequence: Sequence,
    /// Bytes of its file.
    pub len: u64,
}

impl SnapshotBody {
    /// Length in bytes.
    pub const LEN: usize = 16;

    /// As it is written.
    pub fn encode(&self) -> [u8; Self::LEN] {
        bytemuck::cast([self.sequence.get().to_le(), self.len.to_le()])
    }

    /// From a verified body; `None` if it has another length.
    pub fn decode(body: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(body);
        let [sequence, len] = reader.pod::<[u64; 2]>()?;
        let (sequence, len) = (Sequence::new(u64::from_le(sequence)), u64::from_le(len));
        reader.rest().is_empty().then_some(Self { sequence, len })
    }
}

/// The body of a GAP frame: sequences that were lost; the next frame goes on after the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GapBody {
    /// The first lost sequence.
    pub first: Sequence,
    /// The last lost sequence.
    pub last: Sequence,
}

impl GapBody {
    /// Length in bytes.
    pub const LEN: usize = 16;

    /// As it is written.
    pub fn encode(&self) -> [u8; Self::LEN] {
        bytemuck::cast([self.first.get().to_le(), self.last.get().to_le()])
    }

    /// From a verified body; `None` if it has another length or ends before it begins.
    pub fn decode(body: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(body);
        let [first, last]: [u64; 2] = reader.pod()?;
        (reader.rest().is_empty() && first <= last)
            .then_some(Self { first: Sequence::new(first), last: Sequence::new(last) })
    }
}
