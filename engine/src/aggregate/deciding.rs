//! One command, being decided: its events are staged, and folded from the staged bytes.

use std::panic::{AssertUnwindSafe, catch_unwind};

use factlog_codec::types::{Encode, Stored, TypeKey};
use factlog_codec::{
    CommandItem, CommandOutcome, ExtensionError, Item, Sequence, StreamKey, StreamNumber,
    StreamVersion,
};

use super::batch::{Asked, Batch, Desk, Found, SPACE, Verdict};
use super::decide::{Aggregate, Context, Events, Stop};
use super::receipt::{Accepted, CommandError, Failure};
use crate::image::{Folded, Images, InstanceKey, Instances, Route, SuspensionCause};
use crate::log::{AppendError, CommandFailed, Expected, Meta, Point, message};

/// Most letters of what a panic said that are kept.
pub(super) const MAX_CAUSE: usize = 1000;

/// One command, being decided.
pub(super) struct Deciding<'d, 'b, A: Aggregate> {
    pub(super) batch: &'d mut Batch<'b>,
    pub(super) asked: Asked<'d, A>,
    /// Its instance.
    pub(super) found: Found,
    pub(super) item: CommandItem<'d>,
    /// Whether a COMMAND item is written.
    pub(super) recorded: bool,
}

/// Why nothing was staged. It goes in a box, so that what was decided does not have to be moved about.
#[derive(Debug)]
pub(super) enum Undone {
    /// The log does not take it.
    Refused(AppendError),
    /// What a panic said.
    Panicked(String),
}

impl From<AppendError> for Box<Undone> {
    #[cold]
    fn from(error: AppendError) -> Self {
        Self::new(Undone::Refused(error))
    }
}

fn panicked(said: String) -> Box<Undone> {
    Box::new(Undone::Panicked(said))
}

/// What was decided; or why it could not be staged.
type Outcome<A> = Result<Verdict<A>, Box<Undone>>;

/// What `decide` has said, with the reply.
type Decided<A> = (
    Result<Events<<A as crate::image::State>::Event>, <A as Aggregate>::Rejection>,
    Option<<A as Aggregate>::Reply>,
);

impl<A: Aggregate> Deciding<'_, '_, A> {
    pub(super) fn run(&mut self) -> Outcome<A> {
        if let Some(prepared) = self.asked.prepared {
            return self.stage(&prepared.events, prepared.reply.clone());
        }
        let (decided, reply) = loop {
            match self.decide() {
                Ok(decided) => break decided,
                Err(panic) => match panic.downcast::<Stop>().map(|stop| *stop) {
                    Err(panic) => return Err(panicked(message(&*panic))),
                    Ok(Stop::Suspended(why)) => return Ok(Err(CommandError::Suspended(why))),
                    Ok(Stop::NotHeld(name)) => {
                        return Err(panicked(format!(
                            "the engine does not hold `{name}`: add it before it starts"
                        )));
                    }
                    Ok(Stop::Load(kind, key)) => self.batch.images.load(kind, &key),
                },
            }
        };
        match decided {
            Ok(events) => self.stage(&events, reply),
            Err(reason) => self.reject(reason),
        }
    }

    /// What the aggregate says to it, or what it panicked with.
    fn decide(&mut self) -> std::thread::Result<Decided<A>> {
        let Asked { kind, key, command, .. } = self.asked;
        let images = &*self.batch.images;
        let Some(instances) = images.get::<A>(kind) else {
            return Err(Box::new("the aggregate is not there"));
        };
        let found = self.found.at.and_then(|at| instances.get(at));
        let (state, version) = match found {
            Some(found) => (&found.state, found.version),
            None => (&instances.blank, StreamVersion::NONE),
        };
        let CommandItem { now, seed, .. } = self.item;
        let mut context =
            Context { key, version, now, random: seed, reply: None, images: Some(images) };
        let decided = catch_unwind(AssertUnwindSafe(|| state.decide(command, &mut context)))?;
        Ok((decided, context.reply.take()))
    }

    /// Events into the frame, and into the images.
    fn stage(&mut self, events: &Events<A::Event>, reply: Option<A::Reply>) -> Outcome<A> {
        let Asked { kind, key, .. } = self.asked;
        let further = match events.further() {
            Ok(further) => further,
            Err(fault) => return Ok(Err(CommandError::Failed(Failure::Key(fault)))),
        };
        for (_, stream) in further {
            self.batch.images.load_stream(stream);
            if let Some(why) = self.batch.images.suspension_of(stream) {
                return Ok(Err(CommandError::Suspended(why)));
            }
        }
        let point = self.batch.transaction.savepoint();
        self.append(events, further)?;
        let mut touched = Touched::default();
        let version = if events.is_alone() {
            self.fold_own(&point, events.as_slice(), &mut touched)
        } else {
            let images = &mut *self.batch.images;
            let own = images.get_mut::<A>(kind).map(|instances| instances.find_or_insert(key));
            let own = own.map_or(Route::Nowhere, |at| Route::To { kind, at });
            let items = self.batch.transaction.added_events(&point);
            let events = events.as_slice().iter().map(|event| event.event_type().key());
            fold_all(images, own, items.zip(events), further, self.item.first, &mut touched)
        };
        let version = match version {
            Ok(version) => version,
            Err(cause) => {
                // What is in memory is spoiled; what is in the log is not.
                touched.spoil(self.batch);
                return Err(panicked(cause.to_string()));
            }
        };
        self.item.events = events.as_slice().len() as u32;
        self.item.version = version;
        if let Err(error) = self.record(reply.as_ref()) {
            touched.spoil(self.batch);
            return Err(error.into());
        }
        let (first, events) = (self.item.first, u64::from(self.item.events));
        Ok(Ok(Accepted { first, events, version, reply, durable: false, duplicate: false }))
    }

    /// Events into the frame.
    fn append(
        &mut self,
        events: &Events<A::Event>,
        further: &[(usize, StreamKey)],
    ) -> Result<(), AppendError> {
        let with = self.asked.with;
        let mut meta = match &self.found.name {
            Some(name) => Meta::new().stream(name, Expected::Any),
            None => Meta::new().numbered(self.found.stream),
        };
        if let Some(cause) = with.cause {
            meta = meta.cause(cause);
        }
        if let Some(correlation) = with.correlation {
            meta = meta.correlation(correlation);
        }
        let mut rest = further;
        for (number, event) in events.as_slice().iter().enumerate() {
            let meta = match events.corrected_by(number) {
                Some(earlier) => meta.invalidates(earlier),
                None => meta,
            };
            let here = rest.partition_point(|(of, _)| *of <= number);
            let (streams, later) = rest.split_at(here);
            rest = later;
            if streams.is_empty() {
                self.batch.transaction.append_with(event, meta)?;
            } else {
                let streams: Vec<_> =
                    streams.iter().map(|(_, stream)| (stream, Expected::Any)).collect();
                self.batch.transaction.append_with(event, meta.further(&streams))?;
            }
        }
        Ok(())
    }

    /// Folds events that belong to this instance alone; its version behind them.
    fn fold_own(
        &mut self,
        point: &Point,
        events: &[A::Event],
        touched: &mut Touched,
    ) -> Result<StreamVersion, SuspensionCause> {
        let Asked { kind, key, .. } = self.asked;
        let Some(instances) = self.batch.images.get_mut::<A>(kind) else {
            return Ok(StreamVersion::NONE);
        };
        let at = self.found.at;
        if let Some(at) = at {
            instances.before_change(at);
        }
        let mut fresh = None;
        let (state, mut version) = match at.and_then(|at| instances.get_mut(at)) {
            Some(found) => (&mut found.state, found.version),
            None => (fresh.insert(A::default()), StreamVersion::NONE),
        };
        if let Some(at) = at.filter(|_| !events.is_empty()) {
            touched.note(Route::To { kind, at }, version);
        }
        // From the bytes that stand in the frame, as when it is read again.
        let (mut sequence, mut stream) = (self.item.first, None);
        for (item, event) in self.batch.transaction.added_events(point).zip(events) {
            version = version.next();
            stream = Some(item.header.stream);
            let of = Some(event.event_type().key());
            Instances::<A>::fold(state, Folded { of, payload: item.payload, sequence, version })?;
            sequence = sequence.after(1);
        }
        let Some(stream) = stream else { return Ok(version) };
        let at = match (at, fresh) {
            (Some(at), _) => {
                if let Some(found) = instances.get_mut(at) {
                    (found.version, found.stream) = (version, stream);
                }
                at
            }
            (None, Some(state)) => instances.insert(key.clone(), (state, version), stream),
            (None, None) => return Ok(version),
        };
        if self.found.name.is_some() {
            let route = Route::To { kind, at };
            self.batch.images.set_route(stream, route);
            touched.note(route, StreamVersion::NONE);
        }
        Ok(version)
    }

    fn reject(&mut self, reason: A::Rejection) -> Outcome<A> {
        self.item.outcome = CommandOutcome::Rejected;
        self.record(Some(&reason))?;
        Ok(Err(CommandError::Rejected { reason, duplicate: false }))
    }

    /// A panic becomes a fact, and an answer like any other.
    pub(super) fn fail(&mut self, said: &str) -> Result<(), AppendError> {
        let cause: String = said.chars().take(MAX_CAUSE).collect();
        let fact = CommandFailed {
            aggregate: A::NAME.to_owned(),
            key: self.asked.key.to_key().to_string(),
            command: self.asked.command.event_type().name().to_owned(),
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
        let of = self.batch.desk.record.then(|| self.asked.command.event_type());
        let stream = match &self.found.name {
            Some(name) => Err(name),
            None => Ok(self.found.stream),
        };
        self.batch.transaction.put_command(stream, of, &item)?;
        self.batch.window.remember(&item, self.item.now);
        Ok(())
    }
}

/// Folds events into all instances that each belongs to; the version of their own instance.
fn fold_all<'i>(
    images: &mut Images,
    own: Route,
    items: impl Iterator<Item = (Item<'i>, TypeKey)>,
    mut names: &[(usize, StreamKey)],
    first: Sequence,
    touched: &mut Touched,
) -> Result<StreamVersion, SuspensionCause> {
    let (mut sequence, mut behind) = (first, StreamVersion::NONE);
    for (item, of) in items {
        let mut fold = |images: &mut Images, (route, stream), version: StreamVersion| {
            match route {
                Route::Nowhere => touched.nowhere.push(stream),
                route => touched.note(route, images.version_at(route)),
            }
            let folded = Folded { of: Some(of), payload: item.payload, sequence, version };
            images.try_apply(route, folded)
        };
        // They were written by this thread a moment ago.
        let unread = |error: ExtensionError| SuspensionCause::Unread(error.to_string());
        if let Some(link) = item.extensions.link().map_err(unread)? {
            images.set_stream(own, item.header.stream);
            fold(images, (own, item.header.stream), link.version)?;
            behind = link.version;
        }
        // In the order in which they were given.
        let further = item.extensions.further().map_err(unread)?;
        let (here, later) = names.split_at_checked(further.len()).unwrap_or((&[], &[]));
        names = later;
        for (further, (_, name)) in further.iter().zip(here) {
            let route = images.enter(further.stream, name);
            fold(images, (route, further.stream), further.link.version)?;
        }
        sequence = sequence.after(1);
    }
    Ok(behind)
}

/// Instances that a command has folded into, and the versions that they were at.
#[derive(Default)]
struct Touched {
    first: Option<(Route, StreamVersion)>,
    more: Vec<(Route, StreamVersion)>,
    /// Further streams of kinds that nobody holds.
    nowhere: Vec<StreamNumber>,
}

impl Touched {
    fn note(&mut self, route: Route, version: StreamVersion) {
        let noted = self.first.iter().chain(&self.more).any(|(noted, _)| *noted == route);
        match self.first {
            None => self.first = Some((route, version)),
            Some(_) if !noted => self.more.push((route, version)),
            Some(_) => {}
        }
    }

    /// The command came to nothing: those that had no event have none, the others are folded anew.
    #[cold]
    fn spoil(self, batch: &mut Batch<'_>) {
        for (route, version) in self.first.into_iter().chain(self.more) {
            if version == StreamVersion::NONE {
                batch.images.forget(route);
            } else {
                batch.spoiled.push(route);
            }
        }
        // The numbers of those that are new are given again, perhaps to streams of kinds that are held.
        for stream in self.nowhere {
            batch.images.set_route(stream, Route::Unknown);
        }
    }
}
