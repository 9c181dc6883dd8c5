//! How far somebody reads who wants to know how things were: up to an event, or up to a time.

use std::time::{Duration, Instant};

use factlog_codec::{FrameKind, ItemKind, Items, Link, Position, Sequence, StreamNumber};

use super::log::Log;
use crate::log::error::ReadError;
use crate::log::fault::{IoError, ItemFault};
use crate::log::shared::Shared;
use crate::sync::Arc;

/// How far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bound {
    /// Up to this event, and with it.
    Sequence(Sequence),
    /// All frames that were committed until then, with those of that nanosecond.
    Time(u64),
}

impl Bound {
    /// Whether an event is within, by its sequence and the time of its frame.
    #[inline]
    pub(crate) fn admits(self, sequence: Sequence, ts: u64) -> bool {
        match self {
            Self::Sequence(last) => sequence <= last,
            Self::Time(last) => ts <= last,
        }
    }
}

/// Up to where the last events of all streams are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Settled {
    end: Option<Position>,
    /// The last event there.
    pub(crate) last: Sequence,
    /// The time of the last frame there.
    pub(crate) ts: u64,
}

impl Settled {
    /// Whether everything within `bound` is known.
    pub(crate) fn covers(&self, bound: Bound) -> bool {
        self.end.is_some()
            && match bound {
                Bound::Sequence(last) => last <= self.last,
                Bound::Time(last) => last <= self.ts,
            }
    }
}

/// How long the writer may take from making a frame visible to saying what the last events of
/// streams are: some nanoseconds, unless it gets no processor.
const SETTLES: Duration = Duration::from_secs(10);

impl Log {
    /// The last event of the frames that were committed until `time`. `None` if there is no frame so
    /// old: what there was before retention has dropped, if it has dropped anything.
    pub(crate) fn last_until(&self, time: u64) -> Result<Option<Sequence>, ReadError> {
        let shared = self.shared();
        let found = shared.seek(shared.frontier.visible(), |_, ts| ts <= time)?;
        Ok(found.map(|(_, header)| header.next_sequence().before()))
    }

    /// The last event before `next`; what was lost to damage is passed over.
    pub(crate) fn event_before(&self, mut next: Sequence) -> Result<Option<Sequence>, ReadError> {
        let shared = self.shared();
        let visible = shared.frontier.visible();
        while let Some((_, header)) = shared.seek(visible, |sequence, _| sequence < next)? {
            if header.count > 0 {
                return Ok(Some(next.before().min(header.next_sequence().before())));
            }
            next = header.sequence;
        }
        Ok(None)
    }

    /// The sequence of the oldest event that is kept.
    pub(crate) fn oldest(&self) -> Sequence {
        self.shared().oldest()
    }

    /// Waits until the heads of all streams are those of the last visible frame, which is done a
    /// moment after it became visible. `known` is an earlier answer.
    pub(crate) fn settle(&self, known: &Settled) -> Result<Settled, ReadError> {
        let shared = self.shared();
        let (visible, next) = shared.frontier.visible_pair();
        let end = visible.position();
        if known.end == Some(end) {
            return Ok(*known);
        }
        let mut settled = Settled { end: Some(end), last: next.before(), ts: 0 };
        let Some((segment, header)) = shared.seek(visible, |_, _| true)? else {
            return Ok(settled);
        };
        settled.ts = header.ts;
        if header.kind != FrameKind::Data {
            return Ok(settled);
        }
        let place = segment.place(header.offset);
        let position = place.position(shared.bits);
        let mut pin = None;
        let frame = shared.frame(&mut pin, visible, position)?;
        let fault = |fault| ReadError::Items(place, fault);
        let began = Instant::now();
        for item in Items::new(frame.body) {
            let item = item.map_err(|error| fault(ItemFault::Item(error)))?;
            if item.header.flags.kind != ItemKind::Event {
                continue;
            }
            let extension = |error| fault(ItemFault::Extension(error));
            let own = item.extensions.link().map_err(extension)?;
            let own = own.map(|link| (item.header.stream, link));
            let further = item.extensions.further().map_err(extension)?;
            let further = further.iter().map(|further| (further.stream, further.link));
            for (stream, link) in own.into_iter().chain(further) {
                while !is_settled(shared, stream, link) {
                    if began.elapsed() > SETTLES {
                        let error = std::io::ErrorKind::TimedOut.into();
                        let root = shared.directory.root();
                        let error = IoError::new("wait for the writer of", root, error);
                        return Err(ReadError::Io(Arc::new(error)));
                    }
                    std::thread::yield_now();
                }
            }
        }
        Ok(settled)
    }
}

fn is_settled(shared: &Shared, stream: StreamNumber, link: Link) -> bool {
    stream == StreamNumber::NONE || shared.streams.head(stream).0 >= link.version
}
