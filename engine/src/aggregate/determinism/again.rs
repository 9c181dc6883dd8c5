//! One command, decided again.

use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};

use factlog_codec::types::{Decode, EventType, Stored, TypeKey, Vocabulary};
use factlog_codec::{CommandItem, CommandOutcome, StreamKey, StreamVersion};

use super::super::decide::{Aggregate, Context, Events, Stop};
use super::super::deciding::MAX_CAUSE;
use super::archived::{Archived, Space};
use super::report::RecordedOutcome;
use crate::image::{Folded, Images, InstanceKey, Instances};
use crate::log::{Log, LogType, message};

/// A command that stands in the log.
pub(super) struct Recorded<'r> {
    pub(super) log: &'r Log,
    pub(super) of: TypeKey,
    pub(super) item: CommandItem<'r>,
    /// The stream of its aggregate.
    pub(super) stream: &'r StreamKey,
}

/// What came of a decision: in bytes, to be compared.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Came {
    Accepted { events: Vec<Archived>, reply: Vec<u8> },
    Rejected { reason: Vec<u8> },
    Failed { said: String },
}

/// Why a command was not decided again.
#[derive(Debug)]
pub(super) enum Skip {
    /// An instance that it needs is suspended.
    Suspended,
    /// Its type is not known, or it cannot be read.
    Unknown,
    /// It looks at a kind of state that is not there: its name.
    NotHeld(&'static str),
    /// It failed when its events were folded into other instances.
    FoldedElsewhere,
}

/// An aggregate that decides again, whatever its type is.
pub(super) trait Again {
    fn again(&self, images: &Images, asked: &Recorded<'_>, space: &mut Space)
    -> Result<Came, Skip>;

    /// What stands in the log, as the program of today would have written it; whether anything was
    /// of an earlier version.
    fn newer(&self, events: Vec<Archived>, space: &mut Space) -> (Vec<Archived>, bool);

    /// The name of the command, and what it says.
    fn show_command(&self, asked: &Recorded<'_>) -> String;

    fn show(&self, log: &Log, came: &Came, space: &mut Space) -> RecordedOutcome;
}

/// An aggregate that decides again.
pub(super) struct Of<A>(PhantomData<fn(A)>);

impl<A> Of<A> {
    pub(super) const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<A> Again for Of<A>
where
    A: Aggregate<Command: Decode, Event: Decode>,
{
    fn again(
        &self,
        images: &Images,
        asked: &Recorded<'_>,
        space: &mut Space,
    ) -> Result<Came, Skip> {
        let Recorded { of, item, stream, .. } = asked;
        let key = A::Key::from_key(stream.key()).ok_or(Skip::Unknown)?;
        let command = {
            let mut commands = Vec::new();
            let mut see = |command: A::Command| commands.push(command);
            let read = A::Command::decode(*of, item.command, &mut space.upcasts, &mut see);
            read.map_err(|_| Skip::Unknown)?.ok_or(Skip::Unknown)?;
            // One that has become several is none that was ever decided.
            match <[_; 1]>::try_from(commands) {
                Ok([command]) => command,
                Err(_) => return Err(Skip::Unknown),
            }
        };
        let kind = images.kind_of::<A>().ok_or(Skip::NotHeld(A::NAME))?;
        let instances = images.get::<A>(kind).ok_or(Skip::NotHeld(A::NAME))?;
        let state = instances.look(&key).map_err(|_| Skip::Suspended)?;
        let (version, now, random) = (instances.version(&key), item.now, item.seed);
        let mut context =
            Context { key: &key, version, now, random, reply: None, images: Some(images) };
        let decided = catch_unwind(AssertUnwindSafe(|| state.decide(&command, &mut context)));
        let reply = context.reply.take();
        let events = match decided {
            Err(panic) => match panic.downcast::<Stop>().map(|stop| *stop) {
                Ok(Stop::NotHeld(name)) => return Err(Skip::NotHeld(name)),
                Ok(Stop::Load(..) | Stop::Suspended(_)) => return Err(Skip::Suspended),
                Err(panic) => return Ok(Came::Failed { said: cut(&message(&*panic)) }),
            },
            Ok(Err(reason)) => {
                let reason = space.archive(|out, scratch| reason.store(out, scratch));
                return Ok(Came::Rejected { reason: reason.map_err(|_| Skip::Unknown)?.to_vec() });
            }
            Ok(Ok(events)) => events,
        };
        let archived = archive::<A>(&events, space)?;
        if item.outcome == CommandOutcome::Failed
            && let Some(said) = fails_when_folded::<A>(asked, &key, version, &archived, space)?
        {
            return Ok(Came::Failed { said });
        }
        let reply = match reply {
            Some(reply) => {
                let reply = space.archive(|out, scratch| reply.store(out, scratch));
                reply.map_err(|_| Skip::Unknown)?.to_vec()
            }
            None => Vec::new(),
        };
        Ok(Came::Accepted { events: archived, reply })
    }

    fn newer(&self, events: Vec<Archived>, space: &mut Space) -> (Vec<Archived>, bool) {
        let today = keys_of::<A::Event>();
        let (mut all, mut any) = (Vec::with_capacity(events.len()), false);
        for event in events {
            match event.newer::<A::Event>(&today, space) {
                Some(newer) => {
                    any = true;
                    all.extend(newer);
                }
                None => all.push(event),
            }
        }
        (all, any)
    }

    fn show_command(&self, asked: &Recorded<'_>) -> String {
        let Recorded { log, of, item, .. } = asked;
        let (payload, further) = (item.command.to_vec(), Vec::new());
        let archived = Archived { of: Some(*of), payload, further, corrects: None };
        archived.show(&[], log.types())
    }

    fn show(&self, log: &Log, came: &Came, space: &mut Space) -> RecordedOutcome {
        let known: Vec<&'static EventType> = <A::Event as Vocabulary>::types();
        match came {
            Came::Accepted { events, reply } => RecordedOutcome::Accepted {
                events: events.iter().map(|event| event.show(&known, log.types())).collect(),
                reply: (!reply.is_empty()).then(|| restored::<A::Reply>(reply, space)),
            },
            Came::Rejected { reason } => {
                RecordedOutcome::Rejected { reason: restored::<A::Rejection>(reason, space) }
            }
            Came::Failed { said } => RecordedOutcome::Failed { said: said.clone() },
        }
    }
}

/// The types of today: earlier versions, which `types` lists too, cannot be written by it.
fn keys_of<V: Vocabulary>() -> Vec<TypeKey> {
    let types = V::types();
    let newest = |of: &&&'static EventType| {
        !types.iter().any(|other| other.name() == of.name() && other.version() > of.version())
    };
    types.iter().filter(newest).map(|of| of.key()).collect()
}

fn cut(said: &str) -> String {
    said.chars().take(MAX_CAUSE).collect()
}

fn restored<T: Stored + std::fmt::Debug>(bytes: &[u8], space: &mut Space) -> String {
    match T::restore(space.aligned(bytes)) {
        Ok(value) => format!("{value:?}"),
        Err(_) => format!("{} bytes of another shape", bytes.len()),
    }
}

/// The events, each with its further streams, and what it corrects.
fn archive<A: Aggregate>(
    events: &Events<A::Event>,
    space: &mut Space,
) -> Result<Vec<Archived>, Skip> {
    let streams = events.further().map_err(|_| Skip::Unknown)?;
    let of = |at: usize| streams.iter().filter(move |(event, _)| *event == at);
    let archived = events.as_slice().iter().enumerate().map(|(at, event)| {
        let further = of(at).map(|(_, stream)| stream.clone()).collect();
        Archived::of(event, (further, events.corrected_by(at)), space).map_err(|_| Skip::Unknown)
    });
    archived.collect()
}

/// What folding these events into their instance fails with, if it does. It is folded anew from its
/// stream first: what is held must not be spoiled.
fn fails_when_folded<A: Aggregate>(
    asked: &Recorded<'_>,
    key: &A::Key,
    version: StreamVersion,
    events: &[Archived],
    space: &mut Space,
) -> Result<Option<String>, Skip> {
    let mut again = Images::new();
    let Some(kind) = again.add::<A>() else { return Ok(None) };
    let route = {
        let number = asked.log.stream_number(asked.stream).unwrap_or_default();
        again.route(number, || Some(asked.stream))
    };
    if version != StreamVersion::NONE {
        let mut cursor = asked.log.stream(asked.stream, StreamVersion::NONE.next());
        let mut at = StreamVersion::NONE;
        while at < version {
            at = at.next();
            let event = cursor.next_event().map_err(|_| Skip::Suspended)?;
            let event = event.ok_or(Skip::Suspended)?;
            let of = event.event_type().map(LogType::key);
            let (payload, sequence) = (event.payload(), event.sequence());
            again.apply(route, Folded { of, payload, sequence, version: at }, || None);
        }
    }
    let Some(instances) = again.get_mut::<A>(kind) else { return Ok(None) };
    let at = instances.find_or_insert(key);
    let Some(one) = instances.get_mut(at).filter(|one| !one.suspended) else {
        return Err(Skip::Suspended);
    };
    let (mut at, mut sequence) = (version, asked.item.first);
    for event in events {
        at = at.next();
        let payload = space.aligned(&event.payload);
        let folded = Folded { of: event.of, payload, sequence, version: at };
        if let Err(cause) = Instances::<A>::fold(&mut one.state, folded) {
            return Ok(Some(cut(&cause.to_string())));
        }
        sequence = sequence.after(1);
    }
    if events.iter().any(|event| !event.further.is_empty()) {
        return Err(Skip::FoldedElsewhere);
    }
    Ok(None)
}
