//! The thread that owns log and image: it drains what is there into one frame, publishes once, and
//! answers.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Instant;

use factlog_codec::Sequence;

use super::batch::{Attempt, Batch, Desk, Verdict};
use super::decide::Aggregate;
use super::local::LocalCommand;
use super::slot::{Asked, Fate, Request, Wish};
use super::snapshots::Keeper;
use super::window::Window;
use crate::image::{Images, Route, Settled, Taker, Told, catch_up, refold};
use crate::log::{
    AppendError, Closing, Durability, Handover, IoError, Log, Receipt, SyncError, WaitStrategy,
    Writer, message,
};
use crate::sync::Arc;

/// A frame takes no more commands once it has so many bytes.
const ENOUGH_BYTES: usize = 64 << 10;
/// Nor once it has so many of them.
const ENOUGH: usize = 4096;

/// Commands that are looked at before the first of them is decided.
pub(super) const WARM: usize = 32;

/// Everything that the thread owns.
pub(super) struct Core {
    pub(super) writer: Writer,
    pub(super) log: Log,
    pub(super) images: Images,
    pub(super) window: Window,
    pub(super) desk: Desk,
    pub(super) durability: Durability,
    pub(super) taker: Taker,
    pub(super) keeper: Keeper,
    /// Why the state is not known any more: it had to be folded anew, and the log could not be read, or
    /// the user's code panicked.
    pub(super) lost: Option<String>,
}

/// A frame that was closed.
struct Committed {
    receipt: std::thread::Result<Result<Receipt, Arc<IoError>>>,
    spoiled: Vec<Route>,
    raw: bool,
    /// The sequence behind it.
    next: Sequence,
}

impl Committed {
    #[inline]
    fn of(batch: Batch<'_>) -> Self {
        let Batch { transaction, spoiled, raw, .. } = batch;
        let next = transaction.next_sequence();
        let receipt = catch_unwind(AssertUnwindSafe(|| transaction.commit_visible()));
        Self { receipt, spoiled, raw, next }
    }
}

impl Core {
    /// Serves until the queue is closed and empty, and gives the writer back.
    pub(super) fn serve(mut self, queue: &Handover<Asked>, idle: WaitStrategy) -> Writer {
        let closing = Closing(queue);
        let mut asked = Vec::new();
        let mut left: Option<Asked> = None;
        while let Some(next) = left.take().or_else(|| self.next(queue, idle)) {
            // A clock is read only where there is something to be measured.
            let since = self.taker.is_taking().then(Instant::now);
            match next.request().map_or(Wish::Settle, Request::wish) {
                // Whether it is written is looked at below.
                Wish::Settle => {
                    next.disarm();
                    queue.made_room();
                }
                _ if self.lost.is_some() => {
                    let why = self.lost.clone().unwrap_or_default();
                    next.answer(&Fate::Unreadable(why));
                    queue.made_room();
                }
                Wish::Snapshot(told) => {
                    next.disarm();
                    queue.made_room();
                    self.begin_snapshot(Some(told));
                }
                Wish::Settled(settled) => {
                    next.disarm();
                    queue.made_room();
                    self.settle_snapshot(*settled);
                }
                Wish::Look => {
                    self.look(next);
                    queue.made_room();
                }
                Wish::Decide => left = self.frame(queue, next, &mut asked),
            }
            self.snapshots(since);
        }
        self.taker.end(&mut self.images);
        drop(closing);
        self.writer
    }

    /// Somebody looks at what is published.
    fn look(&mut self, asked: Asked) {
        // What has to be loaded for it is the user's code too.
        let looking = AssertUnwindSafe(|| {
            if let Some(one) = asked.request() {
                one.look(&mut self.images);
            }
        });
        match catch_unwind(looking) {
            Ok(()) => asked.disarm(),
            Err(panic) => {
                self.start_over();
                asked.answer(&Fate::Panicked(message(&*panic)));
            }
        }
    }

    /// The next that is asked. Meanwhile a snapshot is taken, if one is.
    fn next(&mut self, queue: &Handover<Asked>, idle: WaitStrategy) -> Option<Asked> {
        while self.taker.is_taking() {
            if let Some(next) = queue.pop() {
                return Some(next);
            }
            if queue.is_finished() {
                return None;
            }
            self.taker.slice(&mut self.images, &mut self.window, true);
        }
        queue.next(idle)
    }

    /// What is to be done for snapshots between two frames.
    #[inline]
    fn snapshots(&mut self, since: Option<Instant>) {
        let Self { images, window, taker, lost, .. } = self;
        if taker.is_idle() {
            // Of a state that is not that of the log there is no snapshot.
            if taker.is_due(images.next) && lost.is_none() {
                self.begin_snapshot(None);
            }
            return;
        }
        if let Some(since) = since {
            taker.slices(images, window, since);
        }
        if let Some(settled) = taker.settle() {
            self.settle_snapshot(settled);
        }
    }

    /// A snapshot is written, or not, whoever was to take it.
    #[cold]
    fn settle_snapshot(&mut self, settled: Settled) {
        if self.keeper.settle(&mut self.writer, &mut self.images, settled) {
            self.taker.saw_failure();
        }
    }

    #[cold]
    fn begin_snapshot(&mut self, told: Option<Told>) {
        let Self { writer, log, images, window, taker, keeper, .. } = self;
        if let Err((event, trouble)) = taker.begin(log, images, window, told.as_ref())
            && keeper.tell(writer, images, event, (Err(trouble), told))
        {
            taker.saw_failure();
        }
    }

    /// One frame: `next`, and what else waits until it has enough. Gives what it had no room for.
    fn frame(
        &mut self,
        queue: &Handover<Asked>,
        next: Asked,
        asked: &mut Vec<Asked>,
    ) -> Option<Asked> {
        let mut batch = match self.begin() {
            Ok(batch) => batch,
            Err(fate) => {
                // It learns that there is no frame.
                next.answer(&fate);
                queue.made_room();
                return None;
            }
        };
        let (mut left, mut next, mut panicked) = (None, Some(next), None);
        while let Some(one) = next.take() {
            let waits = |request: &dyn Request| {
                !matches!(request.wish(), Wish::Decide) || (request.alone() && !asked.is_empty())
            };
            let done = |request: &dyn Request| !waits(request) && request.run(&mut batch);
            match catch_unwind(AssertUnwindSafe(|| one.request().is_some_and(done))) {
                Ok(true) => asked.push(one),
                Ok(false) => {
                    left = Some(one);
                    break;
                }
                Err(panic) => {
                    asked.push(one);
                    panicked = Some(message(&*panic));
                    break;
                }
            }
            let enough = batch.transaction.bytes() >= ENOUGH_BYTES
                || asked.len() >= ENOUGH
                || !batch.spoiled.is_empty()
                || batch.raw;
            if !enough {
                next = queue.pop();
            }
        }
        // Whoever waits for room can go on while the frame is being closed.
        queue.made_room();
        let fate = match panicked {
            None => {
                let committed = Committed::of(batch);
                self.settle(committed)
            }
            Some(said) => {
                drop(batch);
                self.start_over();
                Fate::Panicked(said)
            }
        };
        asked.drain(..).for_each(|asked| asked.answer(&fate));
        left
    }

    /// A frame of commands of one aggregate that are there already: those that wait, and `more` until
    /// it has enough. What became of each goes to `decided`; those that it had no room for wait on.
    pub(super) fn frame_of<A: Aggregate>(
        &mut self,
        kind: u16,
        waiting: &mut VecDeque<LocalCommand<A>>,
        more: &mut impl Iterator<Item = LocalCommand<A>>,
        decided: &mut Vec<Verdict<A>>,
    ) -> Fate {
        let mut batch = match self.begin() {
            Ok(batch) => batch,
            Err(fate) => return fate,
        };
        batch.warm::<A>(kind, waiting.iter().map(|one| &one.key));
        let ran = catch_unwind(AssertUnwindSafe(|| {
            loop {
                if waiting.is_empty() {
                    waiting.extend(more.take(WARM));
                    batch.warm::<A>(kind, waiting.iter().map(|one| &one.key));
                }
                let Some(one) = waiting.front() else { break };
                match batch.run::<A>(kind, &one.key, &one.command, &one.with, None) {
                    Attempt::Later => break,
                    Attempt::Done(verdict) => decided.push(verdict),
                }
                waiting.pop_front();
                if batch.transaction.bytes() >= ENOUGH_BYTES
                    || decided.len() >= ENOUGH
                    || !batch.spoiled.is_empty()
                {
                    break;
                }
            }
        }));
        let committed = ran.map(|()| Committed::of(batch));
        self.settle_or_resume(committed)
    }

    /// As [`Core::settle`]. What a panic has left goes with its frame; then it goes on.
    #[inline]
    fn settle_or_resume(&mut self, committed: std::thread::Result<Committed>) -> Fate {
        committed.map(|committed| self.settle(committed)).unwrap_or_else(|panic| {
            self.start_over();
            resume_unwind(panic)
        })
    }

    /// A frame of one command.
    pub(super) fn frame_of_one<A: Aggregate>(
        &mut self,
        kind: u16,
        one: &LocalCommand<A>,
    ) -> Verdict<A> {
        if let Some(why) = &self.lost {
            return Fate::Unreadable(why.clone()).settle::<A>(None);
        }
        let mut batch = match self.begin() {
            Ok(batch) => batch,
            Err(fate) => return fate.settle::<A>(None),
        };
        let run = || batch.run::<A>(kind, &one.key, &one.command, &one.with, None);
        let mut decided = None;
        let committed = catch_unwind(AssertUnwindSafe(run)).map(|attempt| {
            decided = match attempt {
                Attempt::Done(verdict) => Some(verdict),
                // Not in a frame that has nothing else.
                Attempt::Later => None,
            };
            Committed::of(batch)
        });
        self.settle_or_resume(committed).settle::<A>(decided)
    }

    /// An empty frame, with room for the largest transaction.
    #[inline]
    fn begin(&mut self) -> Result<Batch<'_>, Fate> {
        let Self { writer, images, window, desk, .. } = self;
        // A clock of the user's may panic.
        let ready = catch_unwind(AssertUnwindSafe(|| {
            writer.make_room()?;
            Ok(writer.now())
        }));
        let now = match ready {
            Ok(Ok(now)) => now,
            Ok(Err(AppendError::Poisoned(error))) => return Err(Fate::Stopped(error)),
            Ok(Err(error)) => return Err(Fate::Refused(Arc::new(error))),
            Err(panic) => return Err(Fate::Panicked(message(&*panic))),
        };
        let transaction = writer.begin().map_err(|error| Fate::Refused(Arc::new(error)))?;
        let (spoiled, raw) = (Vec::new(), false);
        desk.timing.begin();
        Ok(Batch { transaction, images, window, desk, now, spoiled, raw })
    }

    /// After a frame was closed: the images are those of the log again.
    #[inline]
    fn settle(&mut self, committed: Committed) -> Fate {
        let Committed { receipt, spoiled, raw, next } = committed;
        let fate = match receipt {
            Ok(Ok(_)) => {
                self.window.keep();
                if raw {
                    self.catch_up();
                }
                if self.lost.is_none() {
                    self.images.next = next;
                }
                self.publish()
            }
            Ok(Err(error)) => {
                self.start_over();
                Fate::Stopped(error)
            }
            Err(panic) => {
                self.start_over();
                Fate::Panicked(message(&*panic))
            }
        };
        // The default of a state is the user's code.
        let refolding = AssertUnwindSafe(|| {
            for route in spoiled {
                refold(&mut self.images, &self.log, route);
            }
        });
        if let Err(panic) = catch_unwind(refolding) {
            self.lose(message(&*panic));
        }
        fate
    }

    /// After a frame is visible: durable, if that is promised.
    ///
    /// Also where it has nothing in it: the receipt of a duplicate speaks of an earlier frame, which
    /// a crash may have left in the page cache alone.
    fn publish(&mut self) -> Fate {
        if !self.durability.is_acknowledged() {
            return Fate::Published { durable: false };
        }
        match self.writer.sync() {
            Ok(()) => Fate::Published { durable: true },
            Err(SyncError::Poisoned(error)) => Fate::NotDurable(error),
            Err(_) => Fate::Refused(Arc::new(AppendError::Forked)),
        }
    }

    /// The frame came to nothing, but its events were folded: all is folded anew.
    #[cold]
    pub(super) fn start_over(&mut self) {
        self.window.take_back();
        self.taker.give_up(&mut self.images, &mut self.window);
        let beginning = AssertUnwindSafe(|| self.images.start_over(&self.log));
        match catch_unwind(beginning) {
            Ok(()) => self.catch_up(),
            Err(panic) => self.lose(message(&*panic)),
        }
    }

    /// Folds what is visible and not folded yet. Nothing is decided on a state that is not that of the
    /// log.
    fn catch_up(&mut self) {
        // The default of a state is the user's code.
        let folding = AssertUnwindSafe(|| catch_up(&mut self.images, &self.log, |_| Ok(())));
        let why = match catch_unwind(folding) {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(panic) => message(&*panic),
        };
        self.lose(why);
    }

    /// The state is not that of the log any more: nothing is decided on it.
    #[cold]
    fn lose(&mut self, why: String) {
        self.lost = Some(why);
        self.taker.give_up(&mut self.images, &mut self.window);
    }
}
