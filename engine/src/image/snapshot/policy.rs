//! When snapshots are taken, which are kept, and what somebody began with.

use factlog_codec::Sequence;

use super::find::PassedOver;

/// When snapshots are taken, and how many are kept.
///
/// All kinds of state must have [`State::STORED`](crate::State::STORED). A snapshot is taken in
/// slices of about 4 KiB between two frames, by the thread that decides (or by that of a replica, see
/// [`Client::replica`](crate::Client::replica)); what is about to change is copied out before. Until it
/// is written it takes as many bytes of memory as its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Snapshots {
    pub(in crate::image) every: Option<u64>,
    pub(in crate::image) keep: usize,
    pub(in crate::image) ladder: bool,
    pub(in crate::image) rate: Option<u64>,
}

impl Default for Snapshots {
    fn default() -> Self {
        Self::on_request()
    }
}

impl Snapshots {
    /// Only when [`Client::snapshot`](crate::Client::snapshot) asks for one. The default; two are
    /// kept, and at most 64 MiB a second are written.
    pub const fn on_request() -> Self {
        Self { every: None, keep: 2, ladder: false, rate: Some(64 << 20) }
    }

    /// Whenever so many events have come since the last one; at least one.
    pub const fn every(events: u64) -> Self {
        Self { every: Some(if events == 0 { 1 } else { events }), ..Self::on_request() }
    }

    /// Keeps so many of the newest; at least one.
    #[must_use]
    pub const fn keep(mut self, newest: usize) -> Self {
        self.keep = if newest == 0 { 1 } else { newest };
        self
    }

    /// Keeps older ones too, the fewer the older they are: at most two for each doubling of the
    /// distance from the newest. For looking back.
    #[must_use]
    pub const fn ladder(mut self) -> Self {
        self.ladder = true;
        self
    }

    /// Writes no more bytes a second than so many, and takes them no faster while there are
    /// commands; `None` for as fast as it goes.
    #[must_use]
    pub const fn bytes_per_second(mut self, rate: Option<u64>) -> Self {
        self.rate = rate;
        self
    }

    /// Whether they are taken without being asked for.
    pub(crate) const fn is_automatic(&self) -> bool {
        self.every.is_some()
    }

    /// How many of the newest are kept.
    pub(crate) const fn newest(&self) -> usize {
        self.keep
    }
}

/// What an engine or a replica began with.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Restart {
    /// The snapshot that it began with: the event up to which everything is folded into it.
    pub snapshot: Option<Sequence>,
    /// Snapshots that would not do, the newest first, and why.
    pub passed_over: Vec<PassedOver>,
    /// Events that were read to fold what follows it.
    pub folded: u64,
}
