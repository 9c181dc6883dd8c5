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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Expected, History, Meta, Moment, Options, State, StreamKey};

    #[crate::event(name = "ticked", version = 1)]
    struct Ticked {}

    #[crate::vocabulary]
    enum TickEvent {
        Ticked(Ticked),
    }

    #[derive(Default)]
    struct Ticks(u64);

    impl State for Ticks {
        const NAME: &'static str = "ticks";
        type Key = u64;
        type Event = TickEvent;

        fn evolve(&mut self, _: TickEventView<'_>) {
            self.0 += 1;
        }
    }

    /// A frame is visible, and the heads of its streams are not yet what they will be in a moment.
    #[test]
    fn does_a_step_back_wait_for_the_heads_of_streams() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut writer =
            Options::new().segment_size(4 << 20).open(directory.path()).expect("opens");
        let stream = StreamKey::new("ticks", 1_u64).expect("a key");
        let meta = || Meta::new().stream(&stream, Expected::Any);
        writer.append_with(&Ticked {}, meta()).expect("appended");
        let log = writer.log();
        let number = log.stream_number(&stream).expect("it has begun");
        let head = || log.shared().streams.head(number);
        let mut history = History::of(&log).state::<Ticks>().open();
        let mut stepper = history.stepper(Moment::Now).expect("a stepper");
        let before = head();
        let mut transaction = writer.begin().expect("begun");
        transaction.append_with(&Ticked {}, meta()).expect("appended");
        transaction.append_with(&Ticked {}, meta()).expect("appended");
        transaction.commit().expect("committed");
        let after = head();
        log.shared().streams.set_head(number, before.0, before.1);
        assert!(stepper.forwards().expect("readable").is_some());
        assert!(stepper.forwards().expect("readable").is_some());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(50));
                log.shared().streams.set_head(number, after.0, after.1);
            });
            assert!(stepper.backwards().expect("readable").is_some());
        });
        let ticks = stepper.image().with::<Ticks, _>(1_u64, |ticks| ticks.0).expect("a state");
        assert_eq!((stepper.at().get(), ticks), (2, 2));
    }
}
