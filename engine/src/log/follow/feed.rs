//! The leader's side: what is durable is sent from where a follower is, as it comes.

use std::fmt;
use std::io::{Read, Write};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use factlog_codec::layout::{FIRST_FRAME, PAGE};
use factlog_codec::{
    FOLLOW_VERSION, FollowEnd, FollowLeader, FollowMessage, FollowMessageError, FollowRefusal,
    Position, Sequence,
};

use super::error::FeedError;
use super::judge::judge;
use super::link::{Link, NoMessage};
use crate::log::cursor::{Hold, Log};
use crate::log::error::ReadError;
use crate::log::frontier::Activity;
use crate::log::map::Mapping;
use crate::log::segment::Segment;
use crate::log::shared::Shared;
use crate::sync::{Arc, PoisonError};

/// Bytes that are sent before the follower has its turn.
const TURN: usize = 4 << 20;
/// How often a follower that has everything hears from its leader.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// Feeds followers: see [`Feed::serve`]. One serves for any number of them, on a thread each.
#[derive(Debug, Clone)]
#[must_use = "a follower is fed by `serve`"]
pub struct Feed {
    log: Log,
    heartbeat: Duration,
}

/// How far a follower has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct FeedProgress {
    /// Everything below is durable at the follower.
    pub acknowledged: Position,
    /// The next event there.
    pub next: Sequence,
    /// Everything below is durable here.
    pub durable: Position,
    /// The next event there.
    pub durable_next: Sequence,
}

/// How feeding a follower ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fed {
    /// What the follower was told.
    pub end: FollowEnd,
    /// How far it had come.
    pub progress: FeedProgress,
}

impl fmt::Display for FeedProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let behind = self.durable_next.get().saturating_sub(self.next.get());
        write!(f, "the follower has everything before event {}, {behind} behind", self.next)
    }
}

impl Feed {
    /// Of this log: one that is open for writing, that follows another one itself, or that was opened
    /// for reading only.
    pub fn of(log: &Log) -> Self {
        Self { log: log.clone(), heartbeat: HEARTBEAT }
    }

    /// How often a follower that has everything hears from its leader: every second by default.
    ///
    /// So each side learns that the other one is gone; what else limits how long it waits is up to the
    /// stream (a TCP socket has timeouts).
    pub fn heartbeat(mut self, every: Duration) -> Self {
        self.heartbeat = every;
        self
    }

    /// Feeds the follower at the other end of `stream`, until the log is closed and the follower has
    /// everything that is durable.
    ///
    /// Only what is durable is sent; a follower makes it be: as with everybody who waits for it, what
    /// is visible is synced for it. While it is fed, retention leaves what it does not have yet.
    ///
    /// # Errors
    ///
    /// The connection is gone, or the follower cannot go on; see [`FeedError`].
    pub fn serve(&self, stream: impl Read + Write) -> Result<Fed, FeedError> {
        self.serve_with(stream, |_| ControlFlow::Continue(()))
    }

    /// The same, telling how far the follower is each time it says so, which may then be stopped.
    ///
    /// # Errors
    ///
    /// See [`Feed::serve`].
    pub fn serve_with(
        &self,
        stream: impl Read + Write,
        mut told: impl FnMut(FeedProgress) -> ControlFlow<()>,
    ) -> Result<Fed, FeedError> {
        let shared = self.log.shared();
        let mut link = Link::new(stream);
        let (mut source, mut acknowledged) = agree(shared, &mut link)?;
        loop {
            // Before the watermark: what was durable before the end is seen below.
            let activity = shared.frontier.activity();
            let (durable, durable_next) = shared.frontier.durable_pair();
            let sent = source.send(&mut link, durable)?;
            link.send(&FollowMessage::Turn(durable, durable_next)).map_err(FeedError::Link)?;
            link.flush().map_err(FeedError::Link)?;
            let (position, next) = match link.receive()? {
                FollowMessage::Ack(position, next) => (position, next),
                other => return Err(FeedError::Unexpected(other.name())),
            };
            // What ends with a frame was sent whole.
            if position < acknowledged || position > sent || (sent == durable && position != sent) {
                return Err(FeedError::Acknowledged(position));
            }
            acknowledged = position;
            // One that has nothing is before the place from which on it is held.
            if position >= source.begin {
                source.hold.advance(position, next);
            }
            let progress = FeedProgress { acknowledged, next, durable, durable_next };
            let end = match (told(progress), activity) {
                (ControlFlow::Break(()), _) => Some(FollowEnd::Stopped),
                _ if acknowledged < durable => None,
                (_, Activity::Open) => None,
                (_, Activity::Closed) => Some(FollowEnd::Closed),
                (_, Activity::Poisoned) => Some(FollowEnd::Poisoned),
            };
            if let Some(end) = end {
                link.send(&FollowMessage::End(end)).map_err(FeedError::Link)?;
                link.flush().map_err(FeedError::Link)?;
                return Ok(Fed { end, progress });
            }
            if acknowledged >= durable {
                self.wait(durable, durable_next);
            }
        }
    }

    /// Waits until more is durable, nothing more will come, or it is time to be heard of.
    fn wait(&self, durable: Position, next: Sequence) {
        let shared = self.log.shared();
        let frontier = &shared.frontier;
        let deadline = Instant::now().checked_add(self.heartbeat);
        frontier.durable_waiters().wait(deadline, || {
            let more = frontier.durable() != durable || frontier.activity() != Activity::Open;
            if !more {
                shared.demand(next);
            }
            more.then_some(())
        });
    }
}

/// Hears where the follower is, and finds the place; and what it has acknowledged.
fn agree<S: Read + Write>(
    shared: &Arc<Shared>,
    link: &mut Link<S>,
) -> Result<(Source, Position), FeedError> {
    let place = match link.receive() {
        Ok(FollowMessage::Hello(place)) => Ok(place),
        Ok(other) => return Err(FeedError::Unexpected(other.name())),
        Err(NoMessage::Message(FollowMessageError::Version(_))) => {
            Err(FollowRefusal::Version(FOLLOW_VERSION))
        }
        Err(error) => return Err(error.into()),
    };
    let begin = match place {
        Ok(place) => judge(shared, place)?,
        Err(refusal) => Err(refusal),
    };
    // Retention may be faster: then there is a new floor to be told of.
    let source = match begin {
        Ok(begin) => match Source::at(shared, begin)? {
            // One that has nothing acknowledges nothing, until its first segment has come.
            Some(source) if source.offset == FIRST_FRAME => Ok((source, Position::ZERO)),
            Some(source) => Ok((source, begin)),
            None => Err(FollowRefusal::Behind(shared.oldest())),
        },
        Err(refusal) => Err(refusal),
    };
    match source {
        Ok(found) => {
            let keeper = shared.keeper.lock().unwrap_or_else(PoisonError::into_inner);
            let (epoch, history) = (keeper.manifest().epoch, keeper.manifest().history);
            drop(keeper);
            let leader = FollowLeader { log: shared.log, bits: shared.bits, epoch, history };
            link.send(&FollowMessage::Welcome(leader)).map_err(FeedError::Link)?;
            Ok(found)
        }
        Err(refusal) => {
            link.send(&FollowMessage::Refusal(refusal)).map_err(FeedError::Link)?;
            link.flush().map_err(FeedError::Link)?;
            Err(FeedError::Refused(refusal))
        }
    }
}

/// Where sending is.
struct Source {
    shared: Arc<Shared>,
    segment: Arc<Segment>,
    mapping: Arc<Mapping>,
    offset: u32,
    /// Everything from `begin` on, and then from what is acknowledged on.
    hold: Hold,
    begin: Position,
}

impl Source {
    /// At a position; `None` if retention has dropped it.
    fn at(shared: &Arc<Shared>, begin: Position) -> Result<Option<Self>, ReadError> {
        let (id, offset) = (begin.segment(shared.bits), begin.offset(shared.bits));
        let oldest = shared.oldest();
        let Some(hold) = Hold::take_settled(shared, begin, oldest) else { return Ok(None) };
        let segment = match shared.segments.get(id) {
            Some(segment) => segment,
            None if id < shared.segments.floor() => return Ok(None),
            None => return Err(ReadError::Missing(id)),
        };
        let mapping = shared.map(&segment)?;
        Ok(Some(Self { shared: Arc::clone(shared), segment, mapping, offset, hold, begin }))
    }

    fn position(&self) -> Position {
        self.segment.place(self.offset).position(self.shared.bits)
    }

    /// Sends what there is up to `durable`, as far as one turn goes; how far that was.
    fn send<S: Read + Write>(
        &mut self,
        link: &mut Link<S>,
        durable: Position,
    ) -> Result<Position, FeedError> {
        let mut left = TURN;
        while left > 0 && self.position() < durable {
            // The watermark may have risen since: what is sent ends with the one that is told.
            let bound = self.shared.frontier.durable_end();
            let bytes = self.segment.frozen(&self.mapping, bound);
            let end = if durable.segment(self.shared.bits) == self.segment.id() {
                bytes.len().min(durable.offset(self.shared.bits) as usize)
            } else {
                bytes.len()
            };
            let from = self.offset as usize;
            let to = end.min(from.saturating_add(FollowMessage::MAX_BYTES.min(left)));
            let Some(chunk) = bytes.get(from..to).filter(|chunk| !chunk.is_empty()) else {
                let Some(next) = self.segment.successor(self.offset) else { break };
                self.mapping = self.shared.map(&next)?;
                (self.segment, self.offset) = (next, FIRST_FRAME);
                continue;
            };
            if self.offset == FIRST_FRAME {
                let page = bytes.get(..PAGE).unwrap_or(&[]);
                link.send(&FollowMessage::Segment(page)).map_err(FeedError::Link)?;
            }
            let message = FollowMessage::Bytes(self.position(), chunk);
            link.send(&message).map_err(FeedError::Link)?;
            left -= chunk.len();
            self.offset = to as u32;
        }
        Ok(self.position())
    }
}
