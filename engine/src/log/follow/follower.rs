//! The follower's side: a directory, and one leader at a time.

use std::fmt;
use std::io::{Read, Write};
use std::path::Path;

use factlog_codec::{FollowEnd, FollowLeader, FollowMessage, FollowRefusal, Position, Sequence};

use super::error::FollowError;
use super::link::Link;
use super::opening::{Opened, Ready, open};
use super::taking::Taking;
use crate::log::cursor::Log;
use crate::log::error::{OpenError, RetainError, SyncError};
use crate::log::fault::IoError;
use crate::log::frontier::Activity;
use crate::log::options::Options;
use crate::log::report::Retained;
use crate::log::retention::{Retention, retain};
use crate::log::writer::Writer;
use crate::sync::PoisonError;

/// A copy of a log that is written elsewhere, which goes on as that one does.
///
/// It has the log of its leader, byte for byte: the same identity, segments, sequences. It can be read
/// while it follows, and so be followed itself. Nobody else may write to its directory meanwhile;
/// when the leader is gone, it is opened as any log is ([`Follower::promote`]), in a higher epoch.
///
/// A new directory takes over the log from its first event on. Where the leader has dropped that, it
/// begins with a backup ([`Log::backup`]) instead.
pub struct Follower {
    opened: Option<Opened>,
    /// Behind what is opened: the lock is let go of last.
    ready: Ready,
}

impl fmt::Debug for Follower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follower")
            .field("log", &self.ready.directory.root())
            .finish_non_exhaustive()
    }
}

/// How far a follower has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct FollowProgress {
    /// Everything below is here, durable and visible.
    pub end: Position,
    /// The next event here.
    pub next: Sequence,
    /// Everything below is durable at the leader.
    pub leader: Position,
    /// The next event there.
    pub leader_next: Sequence,
}

impl Options {
    /// Opens `directory` to follow the log of a leader elsewhere; it is made if it is not there.
    ///
    /// Of the options those count that are about opening, reading, and the medium. A torn tail is
    /// cleared: it comes again.
    ///
    /// # Errors
    ///
    /// See [`OpenError`]. If what is there is damaged, nothing was changed.
    pub fn open_follower(self, directory: impl AsRef<Path>) -> Result<Follower, OpenError> {
        let (ready, opened) = open(directory.as_ref(), self)?;
        Ok(Follower { opened, ready })
    }
}

impl Follower {
    /// Opens a directory to follow, with the default options.
    ///
    /// # Errors
    ///
    /// See [`Options::open_follower`].
    pub fn open(directory: impl AsRef<Path>) -> Result<Self, OpenError> {
        Options::new().open_follower(directory)
    }

    /// The log, for readers on any thread, once anything of it has come.
    pub fn log(&self) -> Option<Log> {
        let opened = self.opened.as_ref()?;
        // Without its first frame there is no place for a cursor.
        let shared = &opened.taking.shared;
        let begun = shared.frontier.visible().position() > Position::ZERO;
        begun.then(|| Log::new(shared.clone()))
    }

    /// Agrees with the leader at the other end of `stream`, and takes its first turn: if anything of
    /// its log is durable, there is a log to be read here then.
    ///
    /// # Errors
    ///
    /// The leader does not let it go on from where it is, the connection failed, or what came is not
    /// what it should be. After most of them one may connect again; see [`FollowError`].
    pub fn connect<S: Read + Write>(&mut self, stream: S) -> Result<Following<'_, S>, FollowError> {
        let mut link = Link::new(stream);
        let mut place = None;
        if let Some(Opened { taking, .. }) = &mut self.opened {
            taking.check()?;
            taking.begin_again()?;
            place = Some(taking.place());
        }
        link.send(&FollowMessage::Hello(place)).map_err(FollowError::Link)?;
        link.flush().map_err(FollowError::Link)?;
        let leader = match link.receive()? {
            FollowMessage::Welcome(leader) => leader,
            FollowMessage::Refusal(refusal) => return Err(FollowError::Refused(refusal)),
            other => return Err(FollowError::Unexpected(other.name())),
        };
        self.accept(&leader)?;
        let mut following = Following { follower: self, link, end: None };
        following.receive()?;
        Ok(following)
    }

    /// Follows the leader at the other end of `stream`, until it has no more to send.
    ///
    /// # Errors
    ///
    /// See [`Follower::connect`].
    pub fn follow<S: Read + Write>(&mut self, stream: S) -> Result<FollowEnd, FollowError> {
        let mut following = self.connect(stream)?;
        while following.receive()?.is_some() {}
        Ok(following.end.unwrap_or(FollowEnd::Closed))
    }

    /// Holds the leader against what is known here.
    fn accept(&mut self, leader: &FollowLeader) -> Result<(), FollowError> {
        let opened = match &mut self.opened {
            Some(opened) => opened,
            None => self.opened.insert(self.ready.create(leader)?),
        };
        let taking = &mut opened.taking;
        let shared = &taking.shared;
        if leader.log != shared.log || leader.bits != shared.bits {
            return Err(FollowError::Refused(FollowRefusal::Foreign(leader.log)));
        }
        let mut keeper = shared.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        let (known, history) = (keeper.manifest().epoch, keeper.manifest().history);
        if leader.epoch < known {
            return Err(FollowError::Stale { leader: leader.epoch, known });
        }
        if leader.epoch == known && leader.history != history {
            // Two have been promoted to the same epoch.
            return Err(FollowError::Refused(FollowRefusal::Diverged(leader.epoch)));
        }
        if leader.epoch > known {
            // Before any of its frames: whoever is promoted here comes to a higher one.
            keeper.take_over(leader.epoch, leader.history).map_err(|source| {
                let path = shared.directory.root();
                FollowError::Manifest(IoError::new("write a manifest in", path, source))
            })?;
        }
        drop(keeper);
        taking.epoch = leader.epoch;
        Ok(())
    }

    /// Drops what `retention` does not keep, here: what the leader keeps is up to it. Whoever has
    /// nothing yet drops nothing.
    ///
    /// # Errors
    ///
    /// See [`RetainError`].
    pub fn retain(&self, retention: &Retention) -> Result<Retained, RetainError> {
        match &self.opened {
            Some(opened) => retain(&opened.taking.shared, retention),
            None => {
                Ok(Retained { dropped: 0, oldest: Sequence::FIRST, held: None, left: Vec::new() })
            }
        }
    }

    /// Notes how far it has come, and lets go of the directory. Everything that was acknowledged is
    /// durable anyway.
    ///
    /// # Errors
    ///
    /// It could not be noted; or this is a forked child, whose parent goes on.
    pub fn close(mut self) -> Result<(), SyncError> {
        let Some(Opened { taking, .. }) = &mut self.opened else { return Ok(()) };
        if let Some(error) = taking.shared.poison.get() {
            return Err(SyncError::Poisoned(error.clone()));
        }
        if taking.shared.fork.is_child() {
            return Err(SyncError::Forked);
        }
        let (end, next) = taking.durable();
        let mut keeper = taking.shared.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        let noted = keeper.close(end, next);
        drop(keeper);
        noted.map_err(|source| {
            let path = self.ready.directory.root();
            SyncError::Manifest(IoError::new("write a manifest in", path, source))
        })
    }

    /// Goes on as the writer, when the leader is gone: in a higher epoch than any that was heard of.
    /// Those who read this log find its end; they read the writer's.
    ///
    /// That the leader is gone nobody here can know. If it is not, there are two logs from here on,
    /// of which each refuses to follow the other.
    ///
    /// # Errors
    ///
    /// See [`OpenError`]; [`OpenError::NoLog`] if nothing has ever come. What is damaged here is not
    /// opened, and never cut as if it had not been promised.
    pub fn promote(self, options: Options) -> Result<Writer, OpenError> {
        let root = self.ready.directory.root().to_path_buf();
        let Some(Opened { taking, .. }) = self.opened.as_ref().filter(|_| self.log().is_some())
        else {
            return Err(OpenError::NoLog(root));
        };
        // What it has made durable nothing else bears witness to. What is behind is read, and written
        // again. (A forked child is refused, since its parent has the lock.)
        if !taking.shared.fork.is_child() {
            taking.note().map_err(|source| IoError::new("write a manifest in", &root, source))?;
        }
        drop(self);
        options.open(root)
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let Some(Opened { taking, tables, .. }) = &mut self.opened else { return };
        if taking.shared.fork.is_child() {
            // There is no such thread here, and nobody waits.
            return tables.forget();
        }
        taking.shared.frontier.end(Activity::Closed);
    }
}

/// A follower that has agreed with a leader.
pub struct Following<'f, S> {
    follower: &'f mut Follower,
    link: Link<S>,
    end: Option<FollowEnd>,
}

impl<S> fmt::Debug for Following<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Following").field("follower", &self.follower).finish_non_exhaustive()
    }
}

impl<S: Read + Write> Following<'_, S> {
    /// The log, for readers on any thread: they see what comes as soon as it is durable here.
    pub fn log(&self) -> Option<Log> {
        self.follower.log()
    }

    /// Drops what `retention` does not keep: see [`Follower::retain`].
    ///
    /// # Errors
    ///
    /// See [`RetainError`].
    pub fn retain(&self, retention: &Retention) -> Result<Retained, RetainError> {
        self.follower.retain(retention)
    }

    /// Why the leader has ended, once it has.
    pub fn end(&self) -> Option<FollowEnd> {
        self.end
    }

    /// Waits for the leader's next turn, makes durable what came, and acknowledges it: how far that
    /// is; `None` once the leader has ended.
    ///
    /// # Errors
    ///
    /// See [`Follower::connect`].
    pub fn receive(&mut self) -> Result<Option<FollowProgress>, FollowError> {
        let Self { follower, link, end } = self;
        if end.is_some() {
            return Ok(None);
        }
        let Some(Opened { taking, .. }) = &mut follower.opened else { return Ok(None) };
        take_turn(taking, link, end)
    }
}

fn take_turn<S: Read + Write>(
    taking: &mut Taking,
    link: &mut Link<S>,
    ended: &mut Option<FollowEnd>,
) -> Result<Option<FollowProgress>, FollowError> {
    loop {
        match link.receive()? {
            FollowMessage::Segment(page) => taking.begin_segment(page)?,
            FollowMessage::Bytes(position, bytes) => taking.take(position, bytes)?,
            FollowMessage::Turn(leader, leader_next) => {
                let before = taking.durable();
                taking.settle()?;
                let (end, next) = taking.durable();
                if (end, next) == before {
                    // The leader has come to rest. If it cannot be noted now, then the next time.
                    drop(taking.note());
                }
                // Only now: it is durable.
                link.send(&FollowMessage::Ack(end, next)).map_err(FollowError::Link)?;
                link.flush().map_err(FollowError::Link)?;
                return Ok(Some(FollowProgress { end, next, leader, leader_next }));
            }
            FollowMessage::End(end) => {
                taking.settle()?;
                drop(taking.note());
                *ended = Some(end);
                return Ok(None);
            }
            FollowMessage::Refusal(refusal) => return Err(FollowError::Refused(refusal)),
            other => return Err(FollowError::Unexpected(other.name())),
        }
    }
}
