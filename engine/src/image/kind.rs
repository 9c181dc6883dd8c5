//! What every kind of state can do, whatever its type is: how images hold kinds side by side.

use std::any::Any;

use factlog_codec::types::{Description, EventType, Scratch, Vocabulary};
use factlog_codec::{Key, StreamNumber, StreamVersion};

use super::instances::{Folded, Instance, Instances, Loaded, ordered, take_one};
use super::snapshot::{Base, Records, Taking, Unstorable};
use super::state::{InstanceKey, State};
use super::suspension::{Suspension, SuspensionCause};

/// Most instances that are taken at once.
const AT_ONCE: u32 = 256;

/// An instance as it would stand in a snapshot.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Archived<'a> {
    /// The archive of its state.
    Stored(&'a [u8]),
    /// Its events could not all be folded: there is no state to speak of.
    Suspended,
    /// It cannot be stored: too large, or nested too deeply.
    Unstorable,
}

/// Instances of one kind, whatever they are.
pub(crate) trait Kind: Any + Send + Sync {
    fn name(&self) -> &'static str;

    /// The same kind, without instances.
    fn fresh(&self) -> Box<dyn Kind>;

    /// The types that it knows.
    fn types(&self) -> Vec<&'static EventType>;

    /// The instance with this key, loaded or made if it is not there, and whether it could be read;
    /// `None` for a key of another kind.
    fn enter(&mut self, key: &Key, stream: StreamNumber) -> Option<(u32, bool)>;

    /// Has a blank instance where nobody can say that the snapshot has none: its block is damaged.
    fn make_blank(&mut self, key: &Key);

    /// Tells what is stored from what another program has stored; `None` if nothing can be.
    fn fingerprint(&self) -> Option<u64>;

    /// What is stored looks like this; `None` if nothing says so.
    fn description(&self) -> Option<Description>;

    /// Begins with the instances of a snapshot.
    fn set_base(&mut self, base: Option<Base>);

    fn base(&self) -> Option<&Base>;

    /// Begins to take a snapshot.
    fn begin_taking(&mut self, section: u16);

    /// Takes some, as far as `bytes`; whether there are more, or why one cannot be stored. What was taken
    /// is handed over.
    fn take(
        &mut self,
        bytes: usize,
        hand_over: &mut dyn FnMut(Records),
    ) -> Result<bool, Unstorable>;

    /// Takes no snapshot any more.
    fn end_taking(&mut self);

    /// Folds an event into an instance.
    fn apply(&mut self, at: u32, event: Folded<'_>) -> Result<(), SuspensionCause>;

    /// Stops folding into an instance.
    fn suspend(&mut self, at: u32, suspension: Suspension);

    /// Makes an instance as if it had no event yet.
    fn reset(&mut self, at: u32);

    /// Makes it as it stands in a snapshot (in `other`, or in the one that it began with), if it
    /// stands there; the version that it is at.
    fn rewind(&mut self, at: u32, other: Option<&Base>) -> StreamVersion;

    /// Makes it what an archive of its state says, or as if it had no event yet; whether the archive
    /// can be read.
    fn restore(&mut self, at: u32, stored: Option<(&[u8], StreamVersion)>) -> bool;

    /// The stream of an instance.
    fn stream(&self, at: u32) -> StreamNumber;

    /// Notes it.
    fn set_stream(&mut self, at: u32, stream: StreamNumber);

    /// The version that an instance is at.
    fn version(&self, at: u32) -> StreamVersion;

    /// Why the instance with this key is suspended, if it is.
    fn suspension_of(&self, key: &Key) -> Option<Suspension>;

    /// All suspended instances.
    fn suspensions(&self) -> Vec<(StreamNumber, Suspension)>;

    /// All instances that are here: each key as keys are ordered, and where it is if it has events. In
    /// no order.
    fn keys(&self) -> Vec<(Vec<u8>, Option<u32>)>;

    /// An instance as it would stand in a snapshot, in `space`.
    fn archive<'a>(&self, at: u32, space: &'a mut Vec<u128>, scratch: &mut Scratch)
    -> Archived<'a>;

    /// Forgets all of them.
    fn clear(&mut self);

    fn as_any(&self) -> &dyn Any;
    fn as_any_mut(&mut self) -> &mut dyn Any;
}

impl<S: State> Kind for Instances<S> {
    fn name(&self) -> &'static str {
        S::NAME
    }

    fn fresh(&self) -> Box<dyn Kind> {
        Box::new(Self::default())
    }

    fn types(&self) -> Vec<&'static EventType> {
        <S::Event as Vocabulary>::types()
    }

    fn enter(&mut self, key: &Key, stream: StreamNumber) -> Option<(u32, bool)> {
        let key = S::Key::from_key(key)?;
        let (at, readable) = match self.find(&key) {
            Some(at) => (at, true),
            None => match self.load(&key) {
                Loaded::There(at) => (at, true),
                Loaded::Absent => (self.find_or_insert(&key), true),
                Loaded::Unreadable => (self.find_or_insert(&key), false),
            },
        };
        self.set_stream(at, stream);
        Some((at, readable))
    }

    fn make_blank(&mut self, key: &Key) {
        if let Some(key) = S::Key::from_key(key).filter(|key| self.is_stored(key)) {
            self.find_or_insert(&key);
        }
    }

    fn fingerprint(&self) -> Option<u64> {
        S::STORED.map(|stored| stored.fingerprint())
    }

    fn description(&self) -> Option<Description> {
        S::STORED.and_then(|stored| stored.description())
    }

    fn set_base(&mut self, base: Option<Base>) {
        self.base = base;
    }

    fn base(&self) -> Option<&Base> {
        self.base.as_ref()
    }

    fn begin_taking(&mut self, section: u16) {
        self.taking = Some(Box::new(Taking::new(section, self.all.len() as u32)));
    }

    fn take(
        &mut self,
        bytes: usize,
        hand_over: &mut dyn FnMut(Records),
    ) -> Result<bool, Unstorable> {
        let Some(taking) = &mut self.taking else { return Ok(false) };
        let begun = taking.bytes();
        // Those without a byte have their cost too.
        let last = taking.next.saturating_add(AT_ONCE).min(taking.end);
        while taking.next < last && taking.bytes() < begun.saturating_add(bytes) {
            let at = taking.next;
            let mine = taking.claim(at);
            taking.next += 1;
            if let Some(one) = self.all.get(at as usize).filter(|_| mine) {
                take_one(taking, one, self.suspended.get(&at));
            }
        }
        if let Some(trouble) = taking.trouble.take() {
            return Err(trouble);
        }
        taking.full.drain(..).for_each(&mut *hand_over);
        let more = taking.next < taking.end;
        if !more {
            let section = taking.records.section;
            hand_over(std::mem::replace(&mut taking.records, Records::of(section)));
        }
        if !more && let Some(taken) = self.taking.take() {
            hand_over(taken.left_out);
        }
        Ok(more)
    }

    fn end_taking(&mut self) {
        self.taking = None;
    }

    fn apply(&mut self, at: u32, event: Folded<'_>) -> Result<(), SuspensionCause> {
        // The first event of a stream: none of its history can be missing.
        if self.get(at).is_some_and(|found| found.suspended)
            && event.version == StreamVersion::NONE.next()
        {
            self.reset(at);
        }
        self.before_change(at);
        let Some(instance) = self.all.get_mut(at as usize) else { return Ok(()) };
        if instance.suspended {
            return Ok(());
        }
        if event.version != instance.version.next() {
            // What was folded from the instance's stream comes by again in the log.
            let again = event.version <= instance.version;
            return if again { Ok(()) } else { Err(SuspensionCause::HistoryDropped) };
        }
        let folded = Self::fold_any(&mut instance.state, event, &mut self.upcasts);
        if folded.is_ok() {
            instance.version = event.version;
        }
        folded
    }

    fn suspend(&mut self, at: u32, suspension: Suspension) {
        self.before_change(at);
        if let Some(instance) = self.all.get_mut(at as usize) {
            instance.suspended = true;
            self.suspended.entry(at).or_insert(suspension);
        }
    }

    fn reset(&mut self, at: u32) {
        self.before_change(at);
        if let Some(instance) = self.all.get_mut(at as usize) {
            instance.state = S::default();
            instance.version = StreamVersion::NONE;
            instance.suspended = false;
            self.suspended.remove(&at);
        }
    }

    fn rewind(&mut self, at: u32, other: Option<&Base>) -> StreamVersion {
        let Self { base, all, .. } = self;
        let (Some(one), Some(stored)) = (all.get_mut(at as usize), S::STORED) else {
            return StreamVersion::NONE;
        };
        let Some(base) = other.or(base.as_ref()) else { return one.version };
        if let Ok(Some(entry)) = base.find(&ordered(&one.key))
            && let Ok(state) = stored.restore(entry.value)
        {
            (one.state, one.version) = (state, entry.version);
        }
        one.version
    }

    fn restore(&mut self, at: u32, stored: Option<(&[u8], StreamVersion)>) -> bool {
        self.reset(at);
        let Some((archive, version)) = stored else { return true };
        let state = S::STORED.and_then(|stored| stored.restore(archive).ok());
        let (Some(one), Some(state)) = (self.all.get_mut(at as usize), state) else { return false };
        (one.state, one.version) = (state, version);
        true
    }

    fn stream(&self, at: u32) -> StreamNumber {
        self.get(at).map_or(StreamNumber::NONE, |instance| instance.stream)
    }

    fn set_stream(&mut self, at: u32, stream: StreamNumber) {
        if let Some(instance) = self.all.get_mut(at as usize) {
            instance.stream = stream;
        }
    }

    fn version(&self, at: u32) -> StreamVersion {
        self.get(at).map_or(StreamVersion::NONE, |instance| instance.version)
    }

    fn suspension_of(&self, key: &Key) -> Option<Suspension> {
        self.suspension(self.find(&S::Key::from_key(key)?)?).cloned()
    }

    fn suspensions(&self) -> Vec<(StreamNumber, Suspension)> {
        let with = |(at, suspension): (&u32, &Suspension)| (self.stream(*at), suspension.clone());
        self.suspended.iter().map(with).collect()
    }

    fn keys(&self) -> Vec<(Vec<u8>, Option<u32>)> {
        let has_events = |one: &Instance<S>| one.version != StreamVersion::NONE || one.suspended;
        let all = self.all.iter().zip(0..);
        all.map(|(one, at)| (ordered(&one.key), has_events(one).then_some(at))).collect()
    }

    fn archive<'a>(
        &self,
        at: u32,
        space: &'a mut Vec<u128>,
        scratch: &mut Scratch,
    ) -> Archived<'a> {
        match (self.get(at), S::STORED) {
            (Some(one), _) if one.suspended => Archived::Suspended,
            (Some(one), Some(stored)) => match stored.store(&one.state, space, scratch) {
                Some(archive) => Archived::Stored(archive),
                None => Archived::Unstorable,
            },
            _ => Archived::Unstorable,
        }
    }

    fn clear(&mut self) {
        self.by_key.clear();
        self.all.clear();
        self.suspended.clear();
        (self.base, self.taking) = (None, None);
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}
