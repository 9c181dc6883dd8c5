//! Events into claimed space, all of them visible at once.
//!
//! Events are serialised straight to where they will stay, above the tail. Until the commit
//! nobody else can see them; if anything fails, the space is zeroed again.

use factlog_codec::layout::{FRAME_HEADER, align_up};
use factlog_codec::types::Encode;
use factlog_codec::{FrameDraft, FrameFlags, FrameKind, Position, Sequence};

use super::stage::Savepoint;
use super::{Meta, Writer};
use crate::log::error::AppendError;
use crate::log::fault::IoError;
use crate::log::shared::Shared;
use crate::sync::Arc;

/// Where a transaction came to stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// Sequence of its first event.
    pub first: Sequence,
    /// Number of its events.
    pub events: u64,
    /// Whether it was made durable before this was given: see [`Durability`](crate::Durability).
    pub durable: bool,
}

impl Receipt {
    /// Sequence of its last event; the one before the first if it has none.
    pub fn last(&self) -> Sequence {
        Sequence::new((self.first.get() + self.events).saturating_sub(1))
    }
}

/// Events that become visible together, or not at all.
///
/// Dropping it takes everything back. An error of one append takes back that event only: the
/// transaction can go on without it.
#[derive(Debug)]
pub struct Transaction<'w> {
    pub(super) writer: &'w mut Writer,
    /// Most bytes that the frame may take, header included.
    pub(super) limit: usize,
    /// Where the last payload ends: the frame's exact end. The next item goes behind it.
    pub(super) body_end: usize,
    pub(super) count: usize,
    /// Items that are no events, but a reason to commit a frame: commands.
    pub(super) commands: usize,
    /// Where the item of the last event begins.
    pub(super) last_item: usize,
    /// Bytes behind what stands may not be zero up to here: code of the user's has panicked or failed
    /// there. It is 0 as long as nothing has, so that an append has nothing to note.
    pub(super) spoilt: usize,
    committed: bool,
}

/// An event is being added, and perhaps names before it: unless all of it comes to stand, after an
/// error or a panic, nothing does.
struct Adding<'t, 'w> {
    transaction: &'t mut Transaction<'w>,
    point: Savepoint,
    body_end: usize,
}

impl Drop for Adding<'_, '_> {
    #[cold]
    fn drop(&mut self) {
        let Self { transaction, point, body_end } = self;
        transaction.writer.stage.go_back(*point);
        transaction.spoilt = transaction.spoilt.max(transaction.used());
        transaction.body_end = *body_end;
        transaction.wipe(transaction.used());
    }
}

/// Code of the user's is at work: if it panics, it may have written anywhere.
pub(super) struct AtWork<'t> {
    pub(super) spoilt: &'t mut usize,
    pub(super) limit: usize,
}

impl AtWork<'_> {
    /// It has come back, and has written only where it says.
    #[inline]
    pub(super) fn done(self) {
        std::mem::forget(self);
    }
}

impl Drop for AtWork<'_> {
    #[inline]
    fn drop(&mut self) {
        *self.spoilt = self.limit;
    }
}

impl<'w> Transaction<'w> {
    /// Built where it stays: to move it, right after its fields were written one by one, would wait
    /// for the stores.
    #[inline(always)]
    pub(super) fn new(writer: &'w mut Writer) -> Self {
        if std::mem::replace(&mut writer.in_transaction, true) {
            Self::take_back_leaked(writer);
        }
        Self {
            limit: writer.max_transaction.min(writer.active.room()),
            writer,
            body_end: FRAME_HEADER,
            count: 0,
            commands: 0,
            last_item: 0,
            spoilt: 0,
            committed: false,
        }
    }

    /// The one before was leaked, neither committed nor dropped: what it has left is unknown.
    #[cold]
    #[inline(never)]
    fn take_back_leaked(writer: &mut Writer) {
        writer.in_transaction = false;
        let mut leaked = Transaction::new(writer);
        leaked.spoilt = usize::MAX;
        drop(leaked);
        writer.in_transaction = true;
    }

    /// Number of events so far.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds an event, and gives the sequence that it will have.
    ///
    /// # Errors
    ///
    /// The event is not in the transaction; see [`AppendError`].
    #[inline]
    pub fn append(&mut self, event: &impl Encode) -> Result<Sequence, AppendError> {
        self.refuse_in_child()?;
        self.add(event, None).map_err(|error| *error)
    }

    /// Adds an event to a stream, with causes or with metadata.
    ///
    /// # Errors
    ///
    /// The event is not in the transaction; see [`AppendError`].
    #[inline]
    pub fn append_with(
        &mut self,
        event: &impl Encode,
        meta: Meta<'_>,
    ) -> Result<Sequence, AppendError> {
        self.refuse_in_child()?;
        self.add(event, Some(&meta)).map_err(|error| *error)
    }

    /// A child that was forked while this was open has the same claim as its parent, who goes on with
    /// it.
    #[inline]
    fn refuse_in_child(&self) -> Result<(), AppendError> {
        if self.writer.shared.fork.is_child() { Err(AppendError::Forked) } else { Ok(()) }
    }

    /// Bytes of the frame that stand, header included; the next item goes behind them.
    #[inline]
    pub(super) fn used(&self) -> usize {
        align_up(self.body_end)
    }

    /// Adds an event. What is on the hot path goes by reference or in registers: an error in a box,
    /// and no `Meta` where there is none. A processor has few places for stores that wait for
    /// memory, so the hot path makes as few as it can: it stands where it is called.
    #[inline(always)]
    pub(super) fn add(
        &mut self,
        event: &impl Encode,
        meta: Option<&Meta<'_>>,
    ) -> Result<Sequence, Box<AppendError>> {
        if meta.is_none()
            && self.spoilt == 0
            && let Some(number) = self.writer.staged_type(event.event_type())
        {
            return self.put_event(event, number);
        }
        self.add_with_names(event, meta)
    }

    /// Adds an event that may bring other items along, or changes what is known of streams.
    #[inline(never)]
    fn add_with_names(
        &mut self,
        event: &impl Encode,
        meta: Option<&Meta<'_>>,
    ) -> Result<Sequence, Box<AppendError>> {
        self.all_of(|transaction| transaction.put(event, meta.filter(|meta| !meta.is_empty())))
    }

    /// Adds what `put` adds: all of it, or after an error or a panic nothing.
    pub(super) fn all_of<T>(
        &mut self,
        put: impl FnOnce(&mut Self) -> Result<T, Box<AppendError>>,
    ) -> Result<T, Box<AppendError>> {
        if self.spoilt != 0 {
            // Code of the user's panicked on the way, and was caught.
            self.wipe(self.used());
        }
        let (point, body_end) = (self.writer.stage.savepoint(), self.body_end);
        let adding = Adding { transaction: self, point, body_end };
        let put = put(adding.transaction);
        if put.is_ok() {
            std::mem::forget(adding);
        }
        put
    }

    /// Zeroes the claim from `from` on, as far as it may have been written to.
    #[cold]
    pub(super) fn wipe(&mut self, from: usize) {
        let end = self.spoilt.max(self.used()).min(self.limit);
        if let Some(dirty) = self.writer.active.space(end).get_mut(from..) {
            // Only what is not zero, so that pages nobody touched stay as they are.
            for chunk in dirty.chunks_mut(4096) {
                if chunk.iter().any(|byte| *byte != 0) {
                    chunk.fill(0);
                }
            }
        }
        self.spoilt = 0;
    }

    /// Makes all events visible at once, and durable if that is the log's
    /// [`Durability`](crate::Durability). Without events there is nothing to commit.
    ///
    /// # Errors
    ///
    /// [`AppendError::NotDurable`]: the events are visible, but may not survive a power cut. After
    /// any other, none of them is in the log.
    #[inline]
    pub fn commit(mut self) -> Result<Receipt, AppendError> {
        self.refuse_in_child()?;
        let mut receipt = self.receipt();
        let time = self.writer.frame_time();
        self.finish(time).map_err(AppendError::Poisoned)?;
        if receipt.events > 0 && self.writer.shared.durability.is_acknowledged() {
            self.writer.acknowledge()?;
            receipt.durable = true;
        }
        Ok(receipt)
    }

    /// Makes all events visible at once. Whether they are durable is for the caller to see to.
    ///
    /// After an error none of them is.
    #[inline]
    pub(crate) fn commit_visible(mut self) -> Result<Receipt, Arc<IoError>> {
        let receipt = self.receipt();
        let time = self.writer.frame_time();
        self.finish(time).map(|()| receipt)
    }

    /// What is to be said once this is committed.
    #[inline]
    fn receipt(&self) -> Receipt {
        Receipt { first: self.writer.next, events: self.count as u64, durable: false }
    }

    /// The commit, in place, of a frame of that time.
    #[inline(always)]
    pub(super) fn finish(&mut self, (ts, flags): FrameTime) -> Result<(), Arc<IoError>> {
        let count = self.count as u64;
        let first = self.writer.next;
        if count == 0 && self.commands == 0 {
            return Ok(());
        }
        if self.spoilt != 0 {
            self.wipe(self.used());
        }
        let writer = &mut *self.writer;
        let draft = FrameDraft {
            kind: FrameKind::Data,
            flags,
            sequence: first,
            count: self.count as u16,
            ts,
            durable: writer.shared.frontier.durable(),
            epoch: writer.epoch,
        };
        let pad = writer.shared.pads();
        let sealed = writer.active.seal(&draft, self.body_end - FRAME_HEADER, pad);
        let span = sealed.map_err(|error| writer.fail(writer.active.id(), error))?;
        self.committed = true;
        writer.in_transaction = false;
        writer.last_ts = ts;
        writer.next = first.after(count);
        writer.shared.counters.count_frame(span as u64);
        let end = Position::new(writer.active.id(), writer.active.tail(), writer.shared.bits);
        let Shared { types, streams, frontier, .. } = &*writer.shared;
        writer.stage.publish(types, streams, frontier, (end, writer.next));
        Ok(())
    }
}

/// The time of a frame, and what is to be said of it.
pub(super) type FrameTime = (u64, FrameFlags);

impl Writer {
    /// The time of the next frame: what the clock says, but always later than the frame before.
    ///
    /// A clock of the user's may panic: nothing may have been done so far that cannot be left.
    #[inline]
    pub(super) fn frame_time(&mut self) -> FrameTime {
        let (now, last) = (self.clock.now(), self.last_ts);
        if now > last {
            return (now, FrameFlags::NONE);
        }
        let back = now.saturating_add(self.clock.resolution()) < last;
        let flags = if back { FrameFlags::CLOCK_BACK } else { FrameFlags::NONE };
        (last.saturating_add(1), flags)
    }
}

impl Drop for Transaction<'_> {
    #[inline]
    fn drop(&mut self) {
        if !self.committed {
            self.abort();
        }
    }
}

impl Transaction<'_> {
    #[cold]
    fn abort(&mut self) {
        self.writer.stage.go_back(Savepoint::default());
        // In a forked child what stands in the claim is the parent's.
        if self.refuse_in_child().is_ok() {
            self.wipe(0);
        }
        self.writer.in_transaction = false;
    }
}
