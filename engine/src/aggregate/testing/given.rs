//! Given, when, then.

use factlog_codec::types::{EventType, Vocabulary};
use factlog_codec::{Sequence, StreamKey};

use super::super::batch::Verdict;
use super::super::decide::Aggregate;
use super::super::local::{LocalCommand, LocalEngine};
use super::super::receipt::{Accepted, CommandError};
use super::place::{Add, Place, Still, opened};
use super::same::Told;
use super::show::{Archived, difference};
use crate::image::{InstanceKey, IntoKey, State};
use crate::log::{Expected, Log, Meta, Start};

/// What has happened before.
#[must_use = "a sentence goes on with `when`"]
pub struct Given<A: Aggregate> {
    key: A::Key,
    place: Place,
    clock: Still,
    time: u64,
    seed: u64,
    kinds: Vec<Add>,
}

impl<A: Aggregate> std::fmt::Debug for Given<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Given").field("key", &self.key).finish_non_exhaustive()
    }
}

impl<A: Aggregate> Given<A> {
    /// An instance, to which nothing has happened so far.
    pub fn instance(key: impl IntoKey<A::Key>) -> Self {
        let kinds: Vec<Add> = vec![|engine| engine.aggregate::<A>()];
        let (clock, time) = (Still::at(0), 1_000_000_000);
        Self { key: key.into_key(), place: Place::new(), clock, time, seed: 1, kinds }
    }

    /// The engine holds this aggregate as well, for decisions that look at it.
    pub fn with<B: Aggregate>(mut self) -> Self {
        self.kinds.push(|engine| engine.aggregate::<B>());
        self
    }

    /// The time that the decision is told, in nanoseconds since the Unix epoch; a second by default.
    /// What is given has happened in the first nanoseconds.
    pub const fn at(mut self, time: u64) -> Self {
        self.time = time;
        self
    }

    /// Where the random numbers of decisions begin.
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// This has happened to it.
    #[track_caller]
    pub fn event(self, event: impl Into<A::Event>) -> Self {
        self.events([event])
    }

    /// These have happened to it, in this order.
    ///
    /// # Panics
    ///
    /// They cannot be appended.
    #[track_caller]
    pub fn events<E: Into<A::Event>>(self, events: impl IntoIterator<Item = E>) -> Self {
        let key = self.key.clone();
        self.append::<A>(&key, events.into_iter().map(Into::into))
    }

    /// These have happened to an instance of another aggregate.
    ///
    /// # Panics
    ///
    /// They cannot be appended.
    #[track_caller]
    pub fn others<B: Aggregate>(
        self,
        key: impl IntoKey<B::Key>,
        events: impl IntoIterator<Item = B::Event>,
    ) -> Self {
        self.append::<B>(&key.into_key(), events)
    }

    #[track_caller]
    fn append<S: State>(self, key: &S::Key, events: impl IntoIterator<Item = S::Event>) -> Self {
        let name = match StreamKey::new(S::NAME, key.to_key()) {
            Ok(name) => name,
            Err(error) => panic!("{error}"),
        };
        let mut engine = self.open();
        for event in events {
            let meta = Meta::new().stream(&name, Expected::Any);
            if let Err(error) = engine.core.writer.append_with(&event, meta) {
                panic!("an event that is given cannot be appended: {error}");
            }
        }
        self
    }

    #[track_caller]
    fn open(&self) -> LocalEngine {
        match opened(&self.place, &self.clock, &self.kinds).start_local() {
            Ok(engine) => engine,
            Err(error) => panic!("the engine of the test does not start: {error}"),
        }
    }

    /// This command comes. It is sent twice, with one idempotency key: the second time it must be
    /// answered the same, and lead to nothing. Then the log is opened again, and the state must be as it
    /// was: byte for byte where it is stored; where it is not, the same command would have to come to the
    /// same now, and lead to the same events (nothing of that is written).
    ///
    /// # Panics
    ///
    /// One of these does not hold.
    #[track_caller]
    pub fn when(self, command: impl Into<A::Command>) -> Then<A> {
        let mut engine = self.open();
        engine.core.desk.random = self.seed;
        self.clock.set(self.time);
        let before = engine.log().visible().0;
        let command = LocalCommand::<A>::given(self.key.clone(), command.into());
        let command = command.idempotency_key("the command of this test");
        let verdict = engine.call_ref(&command);
        let after = engine.log().visible().0;
        let events = events_between::<A>(engine.log(), before, after);
        let again = engine.call_ref(&command);
        if engine.log().visible().0 != after || !is_duplicate::<A>(&verdict, &again) {
            panic!(
                "sent a second time with its key, the command was answered {again:?}, not {verdict:?}"
            );
        }
        let told = (self.time, self.seed);
        let live = Told::of::<A>(&mut engine, &command, told);
        drop(engine);
        let mut engine = self.open();
        if let Some(difference) = live.difference(&Told::of::<A>(&mut engine, &command, told)) {
            panic!(
                "the state is another one when it is folded from the log: `evolve` or `decide` \
                 depends on something else than event and state{difference}"
            );
        }
        Then { verdict, events, engine, key: self.key, _place: self.place }
    }
}

/// A key that is one already.
pub(super) struct Same<K>(pub(super) K);

impl<K> IntoKey<K> for Same<K> {
    fn into_key(self) -> K {
        self.0
    }
}

/// Whether it was answered the same as the first time, and said to be so.
fn is_duplicate<A: Aggregate>(first: &Verdict<A>, again: &Verdict<A>) -> bool {
    match (first, again) {
        (Ok(first), Ok(again)) => {
            let receipt = |of: &Accepted<_>| (of.first, of.events, of.version);
            let reply = |of: &Accepted<_>| format!("{:?}", of.reply);
            again.duplicate && receipt(first) == receipt(again) && reply(first) == reply(again)
        }
        (
            Err(CommandError::Rejected { reason: first, .. }),
            Err(CommandError::Rejected { reason: again, duplicate }),
        ) => *duplicate && format!("{first:?}") == format!("{again:?}"),
        (Err(CommandError::Failed(_)), Err(CommandError::Failed(_)))
        | (Err(CommandError::Suspended(_)), Err(CommandError::Suspended(_))) => true,
        _ => false,
    }
}

/// The events of a vocabulary that stand in a log behind `after`, up to `last`.
pub(super) fn events_between<A: Aggregate>(
    log: &Log,
    after: Sequence,
    last: Sequence,
) -> Vec<Archived> {
    let types = <A::Event as Vocabulary>::types();
    let mut found = Vec::new();
    for sequence in (after.get() + 1)..=last.get() {
        let read = log.cursor(Start::Sequence(Sequence::new(sequence)));
        let mut cursor = match read {
            Ok(cursor) => cursor,
            Err(error) => panic!("the log of the test cannot be read: {error}"),
        };
        if let Ok(Some(event)) = cursor.next_event() {
            let key = event.event_type().map(crate::log::LogType::key);
            let of = types.iter().find(|one: &&&EventType| Some(one.key()) == key);
            let name = event.event_type().map_or("?", |of| of.name());
            let event_read = match of {
                Some(of) => Archived::read(of, event.payload()),
                None => Archived::unknown(name, event.payload()),
            };
            let beside = event.further_streams().and_then(|all| Ok((all, event.invalidates()?)));
            let (further, corrects) = match beside {
                Ok(beside) => beside,
                Err(error) => panic!("the log of the test cannot be read: {error}"),
            };
            let further = further.into_iter().map(|(stream, _)| stream.clone()).collect();
            found.push(event_read.beside(further, corrects));
        }
    }
    found
}

/// What came of it.
pub struct Then<A: Aggregate> {
    verdict: Verdict<A>,
    events: Vec<Archived>,
    engine: LocalEngine,
    key: A::Key,
    _place: Place,
}

impl<A: Aggregate> std::fmt::Debug for Then<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Then").field("events", &self.events).finish_non_exhaustive()
    }
}

impl<A: Aggregate> Then<A> {
    /// It was accepted, and led to exactly these events.
    ///
    /// # Panics
    ///
    /// It was not, or to others: both lists are shown.
    #[track_caller]
    pub fn then<E: Into<A::Event>>(self, events: impl IntoIterator<Item = E>) -> Self {
        if let Err(error) = &self.verdict {
            panic!("the command was not accepted: {error}");
        }
        let expected: Vec<_> =
            events.into_iter().map(|event| Archived::of(&event.into())).collect();
        if let Some(difference) = difference(&expected, &self.events, false) {
            panic!("{difference}");
        }
        self
    }

    /// It was accepted, and led to nothing.
    ///
    /// # Panics
    ///
    /// It was not, or there are events.
    #[track_caller]
    pub fn then_nothing(self) -> Self {
        self.then::<A::Event>([])
    }

    /// It was refused; `check` looks at the reason. No event of it is in the log.
    ///
    /// # Panics
    ///
    /// It was not refused, or it was and there are events; or what `check` panics with.
    #[track_caller]
    pub fn rejected(self, check: impl FnOnce(&A::Rejection)) -> Self {
        match &self.verdict {
            Err(CommandError::Rejected { reason, .. }) => check(reason),
            Err(error) => panic!("the command was not refused, but: {error}"),
            Ok(_) => {
                let found = difference(&[], &self.events, false).unwrap_or_default();
                panic!("the command was accepted, not refused\n{found}");
            }
        }
        if let Some(difference) = difference(&[], &self.events, false) {
            panic!("a refused command has left events\n{difference}");
        }
        self
    }

    /// Looks at the answer.
    ///
    /// # Panics
    ///
    /// It was not accepted; or what `check` panics with.
    #[track_caller]
    pub fn reply(self, check: impl FnOnce(Option<&A::Reply>)) -> Self {
        match &self.verdict {
            Ok(accepted) => check(accepted.reply.as_ref()),
            Err(error) => panic!("the command was not accepted: {error}"),
        }
        self
    }

    /// Looks at the state, as it is folded from the log.
    ///
    /// # Panics
    ///
    /// The instance is suspended; or what `check` panics with.
    #[track_caller]
    pub fn state(mut self, check: impl FnOnce(&A)) -> Self {
        if let Err(why) = self.engine.look::<A, _>(Same(self.key.clone()), check) {
            panic!("{why}");
        }
        self
    }

    /// Looks at the state of another instance.
    ///
    /// # Panics
    ///
    /// The instance is suspended, or not held; or what `check` panics with.
    #[track_caller]
    pub fn other<S: State>(mut self, key: impl IntoKey<S::Key>, check: impl FnOnce(&S)) -> Self {
        if let Err(why) = self.engine.look::<S, _>(key, check) {
            panic!("{why}");
        }
        self
    }
}
