//! Commands into one frame: decided, staged, folded, one after the other.

use std::panic::{AssertUnwindSafe, catch_unwind};

use factlog_codec::layout::MAX_COMMAND_KEY;
use factlog_codec::types::{Encode, Scratch, Stored};
use factlog_codec::{
    CommandItem, CommandOutcome, ItemKind, Sequence, StreamKey, StreamNumber, StreamVersion,
};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::decide::{Aggregate, Context};
use super::receipt::{Accepted, CommandError, Failure};
use super::window::{Remembered, Window};
use crate::image::{Folded, Images, Instance, InstanceKey, Instances, Route};
use crate::log::{AppendError, CommandFailed, Expected, Meta, Transaction, message};
use crate::sync::Arc;

/// Most bytes of an archived command, or of a reply.
const SPACE: usize = 1 << 20;
/// Most letters of what a panic said that are kept.
const MAX_CAUSE: usize = 1000;

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
    scratch: Scratch,
    /// The archive of the command, and that of its reply, aligned.
    command: Vec<u128>,
    reply: Vec<u128>,
}

impl Desk {
    pub(super) fn new(record: bool, random: u64) -> Self {
        Self { record, random, scratch: Scratch::new(), command: Vec::new(), reply: Vec::new() }
    }

    /// The archive of a command or a reply.
    fn archive(
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
    ) -> Attempt<Verdict<A>> {
        let failed = |failure| Attempt::Done(Err(CommandError::Failed(failure)));
        let idempotency = with.key.as_deref().unwrap_or(&[]);
        if idempotency.len() > MAX_COMMAND_KEY {
            return failed(Failure::IdempotencyKey(idempotency.len()));
        }
        // Out of the desk while the command stands in it.
        let mut space = std::mem::take(&mut self.desk.command);
        let attempt = self.run_in::<A>(kind, key, command, with, &mut space);
        self.desk.command = space;
        attempt
    }

    fn run_in<A: Aggregate>(
        &mut self,
        kind: u16,
        key: &A::Key,
        command: &A::Command,
        with: &With,
        space: &mut Vec<u128>,
    ) -> Attempt<Verdict<A>> {
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
            && let Some(known) = self.window.find(idempotency)
        {
            return Attempt::Done(answer_again::<A>(known, digest));
        }

        let name = match self.name_of::<A>(kind, key) {
            Ok(name) => name,
            Err(verdict) => return Attempt::Done(verdict),
        };
        let item = CommandItem {
            outcome: CommandOutcome::Accepted,
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
        let mut deciding =
            Deciding::<A> { batch: self, kind, key, command, with, name, item, recorded };
        let staged = match deciding.run() {
            Ok(staged) => staged,
            Err(said) => {
                deciding.batch.transaction.roll_back(&point);
                deciding.fail(&said).map(|()| Err(CommandError::Failed(Failure::Panicked(said))))
            }
        };
        match staged {
            Ok(verdict) => {
                self.transaction.end_submission(&point);
                Attempt::Done(verdict)
            }
            Err(error) => {
                self.transaction.roll_back(&point);
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

    /// The stream of an instance that is not there yet.
    fn name_of<A: Aggregate>(
        &self,
        kind: u16,
        key: &A::Key,
    ) -> Result<Option<StreamKey>, Verdict<A>> {
        let Some(instances) = self.images.get::<A>(kind) else { return Ok(None) };
        if let Some(at) = instances.find(key) {
            let suspended = instances.suspension(at);
            return match suspended {
                Some(why) => Err(Err(CommandError::Suspended(why.clone()))),
                None => Ok(None),
            };
        }
        let name = StreamKey::new(A::NAME, key.to_key());
        name.map(Some).map_err(|error| Err(CommandError::Failed(Failure::Key(error))))
    }
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

/// One command, being decided.
struct Deciding<'d, 'b, A: Aggregate> {
    batch: &'d mut Batch<'b>,
    kind: u16,
    key: &'d A::Key,
    command: &'d A::Command,
    with: &'d With,
    /// The stream, if its instance is not there yet.
    name: Option<StreamKey>,
    item: CommandItem<'d>,
    /// Whether a COMMAND item is written.
    recorded: bool,
}

/// What was decided; why it could not be staged; what a panic said.
type Outcome<A> = Result<Result<Verdict<A>, AppendError>, String>;

impl<A: Aggregate> Deciding<'_, '_, A> {
    fn run(&mut self) -> Outcome<A> {
        let Some(instances) = self.batch.images.get_mut::<A>(self.kind) else {
            return Err("the aggregate is not there".to_owned());
        };
        let at = instances.find(self.key);
        let mut fresh = None;
        let (state, stream, version) = match at.and_then(|at| instances.get_mut(at)) {
            Some(found) => (&mut found.state, found.stream, found.version),
            None => (fresh.insert(A::default()), StreamNumber::NONE, StreamVersion::NONE),
        };
        let mut context = Context {
            key: self.key,
            version,
            now: self.item.now,
            random: self.item.seed,
            reply: None,
        };
        let decided = catch_unwind(AssertUnwindSafe(|| state.decide(self.command, &mut context)));
        let reply = context.reply.take();
        let events = match decided {
            Err(panic) => return Err(message(&*panic)),
            Ok(Err(reason)) => return Ok(self.reject(reason)),
            Ok(Ok(events)) => events,
        };
        let events = events.as_slice();
        let point = self.batch.transaction.savepoint();
        let mut meta = match &self.name {
            Some(name) => Meta::new().stream(name, Expected::Any),
            None => Meta::new().numbered(stream),
        };
        if let Some(cause) = self.with.cause {
            meta = meta.cause(cause);
        }
        if let Some(correlation) = self.with.correlation {
            meta = meta.correlation(correlation);
        }
        for event in events {
            if let Err(error) = self.batch.transaction.append_with(event, meta) {
                return Ok(Err(error));
            }
        }
        // From the bytes that stand in the frame, as when it is read again.
        let mut version = version;
        let (mut sequence, mut stream) = (self.item.first, stream);
        let items = self.batch.transaction.added(&point).filter_map(Result::ok);
        let staged = items.filter(|item| item.header.flags.kind == ItemKind::Event);
        for (item, event) in staged.zip(events) {
            version = version.next();
            stream = item.header.stream;
            let of = Some(event.event_type().key());
            let folded = Folded { of, payload: item.payload, sequence, version };
            if let Err(cause) = Instances::<A>::fold(state, folded) {
                // What is in memory is spoiled; what is in the log is not.
                if let Some(at) = at {
                    self.batch.spoiled.push(Route::To { kind: self.kind, at });
                }
                return Err(cause.to_string());
            }
            sequence = sequence.after(1);
        }
        self.item.events = events.len() as u32;
        self.item.version = version;
        if let Err(error) = self.record(reply.as_ref()) {
            if let Some(at) = at.filter(|_| !events.is_empty()) {
                self.batch.spoiled.push(Route::To { kind: self.kind, at });
            }
            return Ok(Err(error));
        }
        self.settle(fresh, at, stream, version);
        let Self { item: CommandItem { first, .. }, .. } = *self;
        let events = events.len() as u64;
        Ok(Ok(Ok(Accepted { first, events, version, reply, durable: false, duplicate: false })))
    }

    /// The image says what the frame says.
    fn settle(
        &mut self,
        fresh: Option<A>,
        at: Option<u32>,
        stream: StreamNumber,
        version: StreamVersion,
    ) {
        let Some(instances) = self.batch.images.get_mut::<A>(self.kind) else { return };
        if let Some(found) = at.and_then(|at| instances.get_mut(at)) {
            found.version = version;
        } else if let Some(state) = fresh.filter(|_| version != StreamVersion::NONE) {
            let instance = Instance { state, stream, version, suspended: false };
            let at = instances.insert(self.key.clone(), instance);
            self.batch.images.set_route(stream, Route::To { kind: self.kind, at });
        }
    }

    fn reject(&mut self, reason: A::Rejection) -> Result<Verdict<A>, AppendError> {
        self.item.outcome = CommandOutcome::Rejected;
        self.record(Some(&reason))?;
        Ok(Err(CommandError::Rejected { reason, duplicate: false }))
    }

    /// A panic becomes a fact, and an answer like any other.
    fn fail(&mut self, said: &str) -> Result<(), AppendError> {
        let cause: String = said.chars().take(MAX_CAUSE).collect();
        let fact = CommandFailed {
            aggregate: A::NAME.to_owned(),
            key: self.key.to_key().to_string(),
            command: self.command.event_type().name().to_owned(),
            cause: cause.clone(),
        };
        self.batch.transaction.append(&fact)?;
        self.item.outcome = CommandOutcome::Failed;
        self.item.events = 0;
        self.item.version = StreamVersion::NONE;
        if self.recorded { self.put_item(cause.as_bytes()) } else { Ok(()) }
    }

    /// Writes down what was answered, if that is to be kept.
    fn record(&mut self, reply: Option<&impl Stored>) -> Result<(), AppendError> {
        if !self.recorded {
            return Ok(());
        }
        let mut space = std::mem::take(&mut self.batch.desk.reply);
        let scratch = &mut self.batch.desk.scratch;
        let archive = match reply {
            Some(reply) => Desk::archive(&mut space, |out| reply.store(out, scratch).ok()),
            None => Some(&[][..]),
        };
        let put = archive.ok_or(AppendError::TooLarge { limit: SPACE });
        let put = put.and_then(|reply| self.put_item(reply));
        self.batch.desk.reply = space;
        put
    }

    /// Puts the COMMAND item, and remembers the answer.
    fn put_item(&mut self, reply: &[u8]) -> Result<(), AppendError> {
        let item = CommandItem { reply, ..self.item };
        let of = self.batch.desk.record.then(|| self.command.event_type());
        let named = match &self.name {
            Some(name) => name,
            None => &StreamKey::new(A::NAME, self.key.to_key()).map_err(AppendError::Stream)?,
        };
        self.batch.transaction.put_command(Some(named), of, &item)?;
        self.batch.window.remember(&item, self.item.now);
        Ok(())
    }
}
