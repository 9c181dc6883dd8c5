//! The instances of one kind of state.

use std::any::Any;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use factlog_codec::types::{EventType, TypeKey, Vocabulary};
use factlog_codec::{Key, Sequence, StreamNumber, StreamVersion};

use super::state::{InstanceKey, State};
use super::suspension::{Suspension, SuspensionCause};
use crate::log::message;

/// One instance.
#[derive(Debug)]
pub(crate) struct Instance<S> {
    pub(crate) state: S,
    pub(crate) stream: StreamNumber,
    /// That of the last event that was folded.
    pub(crate) version: StreamVersion,
    pub(crate) suspended: bool,
}

/// All instances of one kind.
pub(crate) struct Instances<S: State> {
    by_key: HashMap<S::Key, u32, foldhash::fast::RandomState>,
    all: Vec<Instance<S>>,
    suspended: HashMap<u32, Suspension>,
    /// What an instance is that has no event.
    pub(crate) blank: S,
}

/// Why a state cannot be looked at.
#[derive(Debug)]
pub(crate) enum Unseen {
    /// It is in the snapshot only.
    Stored,
    /// Its instance is suspended.
    Suspended(Suspension),
}

/// An event to be folded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Folded<'a> {
    pub(crate) of: Option<TypeKey>,
    pub(crate) payload: &'a [u8],
    pub(crate) sequence: Sequence,
    pub(crate) version: StreamVersion,
}

impl<S: State> Default for Instances<S> {
    fn default() -> Self {
        Self {
            by_key: HashMap::default(),
            all: Vec::new(),
            suspended: HashMap::new(),
            blank: S::default(),
        }
    }
}

impl<S: State> Instances<S> {
    #[inline]
    pub(crate) fn find(&self, key: &S::Key) -> Option<u32> {
        self.by_key.get(key).copied()
    }

    #[inline]
    pub(crate) fn get(&self, at: u32) -> Option<&Instance<S>> {
        self.all.get(at as usize)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, at: u32) -> Option<&mut Instance<S>> {
        self.all.get_mut(at as usize)
    }

    /// The state of the instance with this key; the blank one if it has no event.
    pub(crate) fn look(&self, key: &S::Key) -> Result<&S, Unseen> {
        let Some((at, found)) = self.find(key).and_then(|at| Some((at, self.get(at)?))) else {
            return Ok(&self.blank);
        };
        match self.suspension(at) {
            Some(why) => Err(Unseen::Suspended(why.clone())),
            None => Ok(&found.state),
        }
    }

    /// The version that the instance with this key is at.
    pub(crate) fn version(&self, key: &S::Key) -> StreamVersion {
        self.find(key).and_then(|at| self.get(at)).map_or(StreamVersion::NONE, |at| at.version)
    }

    /// All instances that have events, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&S::Key, &S)> {
        let all = self.by_key.iter().filter_map(|(key, at)| Some((key, self.get(*at)?)));
        all.filter(|(_, one)| one.version != StreamVersion::NONE)
            .map(|(key, one)| (key, &one.state))
    }

    pub(crate) fn insert(&mut self, key: S::Key, instance: Instance<S>) -> u32 {
        let at = self.all.len() as u32;
        self.all.push(instance);
        self.by_key.insert(key, at);
        at
    }

    /// The instance with this key, made if it is not there.
    pub(crate) fn find_or_insert(&mut self, key: &S::Key) -> u32 {
        if let Some(at) = self.find(key) {
            return at;
        }
        let (state, stream, version) = (S::default(), StreamNumber::NONE, StreamVersion::NONE);
        self.insert(key.clone(), Instance { state, stream, version, suspended: false })
    }

    pub(crate) fn suspension(&self, at: u32) -> Option<&Suspension> {
        self.suspended.get(&at)
    }

    /// Folds one event, and says whether the state is still sound.
    #[inline]
    pub(crate) fn fold(state: &mut S, event: Folded<'_>) -> Result<(), SuspensionCause> {
        let view = event.of.map(|of| <S::Event as Vocabulary>::view(of, event.payload));
        match view {
            Some(Ok(Some(view))) => {
                catch_unwind(AssertUnwindSafe(|| state.evolve(view))).map_err(panicked)
            }
            Some(Err(error)) => Err(SuspensionCause::Unreadable(error)),
            // Its name is known to those who have the log at hand.
            Some(Ok(None)) | None => {
                Err(SuspensionCause::Unknown { name: String::new(), version: 0 })
            }
        }
    }
}

#[cold]
fn panicked(panic: Box<dyn Any + Send>) -> SuspensionCause {
    SuspensionCause::Panicked(message(&*panic))
}

/// Instances of one kind, whatever they are.
pub(crate) trait Kind: Any + Send + Sync {
    fn name(&self) -> &'static str;

    /// The types that it knows.
    fn types(&self) -> Vec<&'static EventType>;

    /// The instance with this key, made if it is not there; `None` for a key of another kind.
    fn enter(&mut self, key: &Key, stream: StreamNumber) -> Option<u32>;

    /// Folds an event into an instance.
    fn apply(&mut self, at: u32, event: Folded<'_>) -> Result<(), SuspensionCause>;

    /// Stops folding into an instance.
    fn suspend(&mut self, at: u32, suspension: Suspension);

    /// Makes an instance as if it had no event yet.
    fn reset(&mut self, at: u32);

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

    /// Forgets all of them.
    fn clear(&mut self);

    fn as_any(&self) -> &dyn Any;
    fn as_any_mut(&mut self) -> &mut dyn Any;
}

impl<S: State> Kind for Instances<S> {
    fn name(&self) -> &'static str {
        S::NAME
    }

    fn types(&self) -> Vec<&'static EventType> {
        <S::Event as Vocabulary>::types()
    }

    fn enter(&mut self, key: &Key, stream: StreamNumber) -> Option<u32> {
        let key = S::Key::from_key(key)?;
        if let Some(at) = self.find(&key) {
            // One without events may have been made for a stream that came to nothing.
            if let Some(found) = self.get_mut(at) {
                found.stream = stream;
            }
            return Some(at);
        }
        let at = self.find_or_insert(&key);
        self.set_stream(at, stream);
        Some(at)
    }

    fn apply(&mut self, at: u32, event: Folded<'_>) -> Result<(), SuspensionCause> {
        // The first event of a stream: none of its history can be missing.
        if self.get(at).is_some_and(|found| found.suspended)
            && event.version == StreamVersion::NONE.next()
        {
            self.reset(at);
        }
        let Some(instance) = self.all.get_mut(at as usize) else { return Ok(()) };
        if instance.suspended {
            return Ok(());
        }
        if event.version != instance.version.next() {
            // What was folded from the instance's stream comes by again in the log.
            let again = event.version <= instance.version;
            return if again { Ok(()) } else { Err(SuspensionCause::HistoryDropped) };
        }
        let folded = Self::fold(&mut instance.state, event);
        if folded.is_ok() {
            instance.version = event.version;
        }
        folded
    }

    fn suspend(&mut self, at: u32, suspension: Suspension) {
        if let Some(instance) = self.all.get_mut(at as usize) {
            instance.suspended = true;
            self.suspended.entry(at).or_insert(suspension);
        }
    }

    fn reset(&mut self, at: u32) {
        if let Some(instance) = self.all.get_mut(at as usize) {
            instance.state = S::default();
            instance.version = StreamVersion::NONE;
            instance.suspended = false;
            self.suspended.remove(&at);
        }
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

    fn clear(&mut self) {
        self.by_key.clear();
        self.all.clear();
        self.suspended.clear();
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}
