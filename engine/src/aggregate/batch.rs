//! Commands into one frame: decided, staged, folded, one after the other.

use std::panic::{AssertUnwindSafe, catch_unwind};

use factlog_codec::layout::MAX_COMMAND_KEY;
use factlog_codec::types::{Encode, Scratch, Stored};
use factlog_codec::{
    CommandItem, CommandOutcome, Sequence, StreamKey, StreamNumber, StreamVersion,
};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::answers::Remembered;
use super::decide::Aggregate;
use super::deciding::{Deciding, Undone};
use super::prepared::Prepared;
use super::receipt::{Accepted, CommandError, Conflict, Failure};
use super::stats::{Notes, Timing};
use super::thread::WARM;
use super::window::Window;
use crate::image::{Basis, Images, InstanceKey, Route};
use crate::log::{AppendError, Log, Transaction, message};
use crate::sync::Arc;

/// Most bytes of an archived command, or of a reply.
pub(super) const SPACE: usize = 1 << 20;

/// What becomes of a command of this aggregate.
pub(super) type Verdict<A> =
    Result<Accepted<<A as Aggregate>::Reply>, CommandError<<A as Aggregate>::Rejection>>;

/// What a command has beside itself.
#[derive(Debug, Clone, Default)]
pub(super) struct With {
    /// Its idempotency key.
    pub(super) key: Option<Box<[u8]>>,
    /// The event that caused it.
    pub(super) cause: Option<Sequence>,
    /// The event at the root of its conversation.
    pub(super) correlation: Option<Sequence>,
}

impl With {
    /// A command that names its cause and no root belongs to the conversation of its cause.
    #[inline]
    pub(super) fn complete(&mut self, log: &Log) {
        if self.cause.is_some() && self.correlation.is_none() {
            self.find_root(log);
        }
    }

    #[cold]
    fn find_root(&mut self, log: &Log) {
        let Some(cause) = self.cause else { return };
        // A cause that is not there is refused later; of one that is gone the root is not known.
        let root = log.with_event(cause, |event| event.conversation());
        self.correlation = root.ok().and_then(Result::ok);
    }
}

/// A command, and for whom.
pub(super) struct Asked<'d, A: Aggregate> {
    pub(super) kind: u16,
    pub(super) key: &'d A::Key,
    pub(super) command: &'d A::Command,
    pub(super) with: &'d With,
    pub(super) prepared: Option<&'d Prepared<A>>,
}

impl<A: Aggregate> Clone for Asked<'_, A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A: Aggregate> Copy for Asked<'_, A> {}

/// What a command came to, so far.
pub(super) enum Attempt<V> {
    /// It is decided; the answer waits for the frame.
    Done(V),
    /// There is no room for it in this frame.
    Later,
}

/// What deciding needs beside the state.
pub(super) struct Desk {
    pub(super) record: bool,
    pub(super) random: u64,
    pub(super) scratch: Scratch,
    /// The archive of the command, and that of its reply, aligned.
    command: Vec<u128>,
    pub(super) reply: Vec<u128>,
    pub(super) timing: Timing,
}

impl Desk {
    pub(super) fn new(record: bool, random: u64, notes: Notes) -> Self {
        let (scratch, timing) = (Scratch::new(), Timing::new(notes));
        Self { record, random, scratch, command: Vec::new(), reply: Vec::new(), timing }
    }

    /// The archive of a command or a reply.
    pub(super) fn archive(
        space: &mut Vec<u128>,
        encode: impl FnOnce(&mut [u8]) -> Option<usize>,
    ) -> Option<&[u8]> {
        space.resize(SPACE / 16, 0);
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(space);
        let len = encode(bytes)?;
        bytes.get(..len)
    }
}

/// One frame in the making.
pub(super) struct Batch<'b> {
    pub(super) transaction: Transaction<'b>,
    pub(super) images: &'b mut Images,
    pub(super) window: &'b mut Window,
    pub(super) desk: &'b mut Desk,
    /// The time that decisions are told.
    pub(super) now: u64,
    /// Instances whose state is spoiled: the frame ends here, and they are folded anew.
    pub(super) spoiled: Vec<Route>,
    /// Events were appended that are not folded yet: the frame ends here, and they are.
    pub(super) raw: bool,
}

/// Hash of a command's type and archive.
fn digest_of(command: &impl Encode, archive: &[u8]) -> u64 {
    xxh3_64_with_seed(archive, command.event_type().key().name_version)
}

impl Batch<'_> {
    /// Decides a command and stages what it leads to, whole or not at all.
    pub(super) fn run<A: Aggregate>(
        &mut self,
        kind: u16,
        key: &A::Key,
        command: &A::Command,
        with: &With,
        prepared: Option<&Prepared<A>>,
    ) -> Attempt<Verdict<A>> {
        let failed = |failure| Attempt::Done(Err(CommandError::Failed(failure)));
        let idempotency = with.key.as_deref().unwrap_or(&[]);
        if idempotency.len() > MAX_COMMAND_KEY {
            return failed(Failure::IdempotencyKey(idempotency.len()));
        }
        // Out of the desk while the command stands in it.
        let mut space = std::mem::take(&mut self.desk.command);
        let asked = Asked { kind, key, command, with, prepared };
        let attempt = self.run_in::<A>(asked, &mut space);
        self.desk.command = space;
        self.desk.timing.end(A::NAME, command);
        attempt
    }

    fn run_in<A: Aggregate>(
        &mut self,
        asked: Asked<'_, A>,
        space: &mut Vec<u128>,
    ) -> Attempt<Verdict<A>> {
        let Asked { kind, key, command, with, prepared } = asked;
        let failed = |failure| Attempt::Done(Err(CommandError::Failed(failure)));
        let idempotency = with.key.as_deref().unwrap_or(&[]);
        let recorded = !idempotency.is_empty() || self.desk.record;
        let mut archive = &[][..];
        if recorded {
            let scratch = &mut self.desk.scratch;
            match Desk::archive(space, |out| command.encode(out, scratch).ok()) {
                Some(found) => archive = found,
                None => {
                    let error = AppendError::TooLarge { limit: SPACE };
                    return failed(Failure::Append(Arc::new(error)));
                }
            }
        }
        let digest = if recorded { digest_of(command, archive) } else { 0 };
        if !idempotency.is_empty()
            && let Some(known) = self.window.find(idempotency, self.now)
        {
            return Attempt::Done(answer_again::<A>(&known, digest));
        }

        self.images.ready::<A>(kind, key);
        let found = match self.find::<A>(kind, key) {
            Ok(found) => found,
            Err(verdict) => return Attempt::Done(verdict),
        };
        if let Some(conflict) = prepared.and_then(|prepared| self.conflict(&prepared.basis)) {
            return Attempt::Done(Err(CommandError::Conflict(Box::new(conflict))));
        }
        let item = CommandItem {
            outcome: CommandOutcome::Accepted,
            prepared: prepared.is_some(),
            events: 0,
            first: self.transaction.next_sequence(),
            version: StreamVersion::NONE,
            digest,
            now: self.now,
            seed: self.desk.random,
            key: idempotency,
            reply: &[],
            command: if self.desk.record { archive } else { &[] },
        };
        self.desk.random = self.desk.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let point = self.transaction.savepoint();
        let mut deciding = Deciding::<A> { batch: self, asked, found, item, recorded };
        match deciding.run() {
            Ok(verdict) => {
                self.transaction.end_submission(&point);
                Attempt::Done(verdict)
            }
            Err(undone) => {
                deciding.batch.transaction.roll_back(&point);
                let error = match *undone {
                    Undone::Refused(error) => error,
                    Undone::Panicked(said) => match deciding.fail(&said) {
                        Ok(()) => {
                            self.transaction.end_submission(&point);
                            return failed(Failure::Panicked(said));
                        }
                        Err(error) => {
                            self.transaction.roll_back(&point);
                            error
                        }
                    },
                };
                // Perhaps in the next frame, which is empty.
                if matches!(error, AppendError::TooLarge { .. } | AppendError::TooManyEvents)
                    && self.transaction.bytes() > Transaction::EMPTY
                {
                    return Attempt::Later;
                }
                failed(Failure::Append(Arc::new(error)))
            }
        }
    }

    /// Appends events that nobody decides, in a frame of their own. They are folded from the log
    /// once it is published.
    pub(super) fn run_raw(
        &mut self,
        put: impl FnOnce(&mut Transaction<'_>) -> Result<(), AppendError>,
    ) -> Result<(Sequence, u64), Failure> {
        let point = self.transaction.savepoint();
        let first = self.transaction.next_sequence();
        let put = catch_unwind(AssertUnwindSafe(|| put(&mut self.transaction)));
        let failure = match put {
            Ok(Ok(())) => {
                self.raw = true;
                return Ok((first, self.transaction.end_submission(&point)));
            }
            Ok(Err(error)) => Failure::Append(Arc::new(error)),
            Err(panic) => Failure::Panicked(message(&*panic)),
        };
        self.transaction.roll_back(&point);
        Err(failure)
    }

    /// What has changed since a basis was read, this frame included.
    fn conflict(&self, basis: &Basis) -> Option<Conflict> {
        basis.streams().iter().find_map(|(stream, basis)| {
            let found = self.transaction.version_of(stream);
            (found != *basis).then(|| Conflict { stream: stream.clone(), basis: *basis, found })
        })
    }

    /// Where an instance is, and its stream if it has no event yet.
    #[inline]
    fn find<A: Aggregate>(&self, kind: u16, key: &A::Key) -> Result<Found, Verdict<A>> {
        let Some(instances) = self.images.get::<A>(kind) else { return Ok(Found::default()) };
        let at = instances.find(key);
        if let Some(at) = at
            && let Some(one) = instances.get(at)
        {
            if one.suspended
                && let Some(why) = instances.suspension(at)
            {
                return Err(Err(CommandError::Suspended(why.clone())));
            }
            // The number of one without events may be that of a stream that came to nothing.
            if one.version != StreamVersion::NONE {
                return Ok(Found { at: Some(at), name: None, stream: one.stream });
            }
        }
        let name = StreamKey::new(A::NAME, key.to_key());
        let name = name.map_err(|error| Err(CommandError::Failed(Failure::Key(error))))?;
        Ok(Found { at, name: Some(name), stream: StreamNumber::NONE })
    }

    /// Touches what commands will need, so that many are waited for at once, and not one after the
    /// other.
    #[inline]
    pub(super) fn warm<'k, A: Aggregate>(
        &self,
        kind: u16,
        keys: impl IntoIterator<Item = &'k A::Key>,
    ) {
        let Some(instances) = self.images.get::<A>(kind) else { return };
        let mut places = [0; WARM];
        let mut streams = [StreamNumber::NONE; WARM];
        let mut count = 0;
        // One step for all of them before the next step, which has to wait for it.
        for (place, key) in places.iter_mut().zip(keys) {
            *place = instances.guess(key);
            count += 1;
        }
        let all = places.iter().zip(&mut streams).take(count);
        for (place, stream) in all {
            *stream = instances.get(*place).map(|one| one.stream).unwrap_or_default();
        }
        streams.iter().take(count).for_each(|stream| self.transaction.warm(*stream));
    }
}

/// An instance.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Where it is, if it is there.
    pub(super) at: Option<u32>,
    /// Its stream, if it has no event yet.
    pub(super) name: Option<StreamKey>,
    /// The number of its stream, if it has events.
    pub(super) stream: StreamNumber,
}

/// The answer to a command that was sent before.
fn answer_again<A: Aggregate>(known: &Remembered, digest: u64) -> Verdict<A> {
    if known.digest != digest {
        return Err(CommandError::KeyReused);
    }
    // Aligned, which a box of bytes need not be.
    let mut space = vec![0_u128; known.reply.len().div_ceil(16)];
    let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut space);
    let bytes = bytes.get_mut(..known.reply.len()).unwrap_or(&mut []);
    bytes.copy_from_slice(&known.reply);
    let unreadable = |error: factlog_codec::types::ViewError| {
        let said = format!("what was answered is stored in another shape: {error}");
        CommandError::Failed(Failure::Earlier(said))
    };
    match known.outcome {
        CommandOutcome::Accepted => {
            let reply = match bytes {
                [] => None,
                bytes => Some(A::Reply::restore(bytes).map_err(unreadable)?),
            };
            let Remembered { first, events, version, .. } = *known;
            let events = u64::from(events);
            Ok(Accepted { first, events, version, reply, durable: false, duplicate: true })
        }
        CommandOutcome::Rejected => {
            let reason = A::Rejection::restore(bytes).map_err(unreadable)?;
            Err(CommandError::Rejected { reason, duplicate: true })
        }
        _ => {
            let said = String::from_utf8_lossy(bytes).into_owned();
            Err(CommandError::Failed(Failure::Earlier(said)))
        }
    }
}
