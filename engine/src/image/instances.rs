//! The instances of one kind of state.

use std::any::Any;
use std::collections::HashMap;
use std::hash::BuildHasher;
use std::panic::{AssertUnwindSafe, catch_unwind};

use factlog_codec::types::{
    Description, EventType, Scratch, TypeKey, UpcastError, Upcasts, Vocabulary,
};
use factlog_codec::{Key, Sequence, StreamNumber, StreamVersion};
use hashbrown::HashTable;

use super::snapshot::{Base, Records, Taking};
use super::state::{InstanceKey, State};
use super::suspension::{Suspension, SuspensionCause};
use crate::log::{LOST, message};

/// One instance.
#[derive(Debug)]
pub(crate) struct Instance<S: State> {
    pub(crate) key: S::Key,
    pub(crate) state: S,
    pub(crate) stream: StreamNumber,
    /// That of the last event that was folded.
    pub(crate) version: StreamVersion,
    pub(crate) suspended: bool,
}

/// All instances of one kind.
pub(crate) struct Instances<S: State> {
    by_key: HashTable<u32>,
    hasher: foldhash::fast::RandomState,
    all: Vec<Instance<S>>,
    suspended: HashMap<u32, Suspension>,
    /// Where those stand that are not loaded yet.
    base: Option<Base>,
    /// A snapshot is being taken.
    taking: Option<Box<Taking>>,
    /// Where events of earlier versions become newer ones.
    upcasts: Upcasts,
    /// What an instance is that has no event.
    pub(crate) blank: S,
}

/// Whether an instance was loaded from the snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loaded {
    /// It is here.
    There(u32),
    /// The snapshot does not have it.
    Absent,
    /// Where it would stand, the snapshot is damaged.
    Unreadable,
}

/// A key in the form in which keys are ordered.
fn ordered(key: &impl InstanceKey) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(32);
    key.to_key().put_ordered(&mut bytes);
    bytes
}

/// Takes an instance into a snapshot.
fn take_one<S: State>(taking: &mut Taking, one: &Instance<S>, why: Option<&Suspension>) {
    let Taking { records, full, left_out, space, scratch, too_large, .. } = taking;
    if one.suspended {
        let section = records.section;
        let gone = why.is_some_and(|why| why.cause == SuspensionCause::HistoryDropped);
        return left_out.push(one.version, if gone { LOST } else { &[] }, |bytes| {
            bytes.extend_from_slice(&section.to_be_bytes());
            one.key.to_key().put_ordered(bytes);
        });
    }
    if one.version == StreamVersion::NONE {
        return;
    }
    match S::STORED.and_then(|stored| stored.store(&one.state, space, scratch)) {
        Some(value) => {
            records.push(one.version, value, |bytes| one.key.to_key().put_ordered(bytes));
            // Also of what is copied out before the turn of its kind has come.
            if records.len() >= PIECE {
                let section = records.section;
                full.push(std::mem::replace(records, Records::of(section)));
            }
        }
        None => *too_large = true,
    }
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
            by_key: HashTable::new(),
            hasher: foldhash::fast::RandomState::default(),
            all: Vec::new(),
            suspended: HashMap::new(),
            base: None,
            taking: None,
            upcasts: Upcasts::new(),
            blank: S::default(),
        }
    }
}

impl<S: State> Instances<S> {
    #[inline]
    pub(crate) fn find(&self, key: &S::Key) -> Option<u32> {
        let same = |at: &u32| self.all.get(*at as usize).is_some_and(|one| one.key == *key);
        self.by_key.find(self.hasher.hash_one(key), same).copied()
    }

    /// Where an instance most probably is, without a look at it; beyond all of them if it is not there.
    #[inline]
    pub(crate) fn guess(&self, key: &S::Key) -> u32 {
        self.by_key.find(self.hasher.hash_one(key), |_| true).copied().unwrap_or(u32::MAX)
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
            return if self.is_stored(key) { Err(Unseen::Stored) } else { Ok(&self.blank) };
        };
        match self.suspension(at) {
            Some(why) => Err(Unseen::Suspended(why.clone())),
            None => Ok(&found.state),
        }
    }

    /// Whether an instance that is not here may stand in the snapshot.
    fn is_stored(&self, key: &S::Key) -> bool {
        let Some(base) = &self.base else { return false };
        !matches!(base.find(&ordered(key)), Ok(None))
    }

    /// The version that the instance with this key is at.
    pub(crate) fn version(&self, key: &S::Key) -> StreamVersion {
        self.find(key).and_then(|at| self.get(at)).map_or(StreamVersion::NONE, |at| at.version)
    }

    /// All instances that have events, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&S::Key, &S)> {
        let all = self.all.iter().filter(|one| one.version != StreamVersion::NONE);
        all.map(|one| (&one.key, &one.state))
    }

    pub(crate) fn insert(
        &mut self,
        key: S::Key,
        (state, version): (S, StreamVersion),
        stream: StreamNumber,
    ) -> u32 {
        let at = self.all.len() as u32;
        let hash = self.hasher.hash_one(&key);
        self.all.push(Instance { key, state, stream, version, suspended: false });
        let Self { by_key, hasher, all, .. } = self;
        let hash_of = |at: &u32| all.get(*at as usize).map_or(0, |one| hasher.hash_one(&one.key));
        by_key.insert_unique(hash, at, hash_of);
        at
    }

    /// The instance with this key, if it stands in the snapshot and is not loaded yet; whether that
    /// could be read.
    fn load(&mut self, key: &S::Key) -> Loaded {
        let (Some(base), Some(stored)) = (&self.base, S::STORED) else { return Loaded::Absent };
        let (state, version) = match base.find(&ordered(key)) {
            Ok(None) => return Loaded::Absent,
            Ok(Some(entry)) => match stored.restore(entry.value) {
                Ok(state) => (state, entry.version),
                Err(_) => return Loaded::Unreadable,
            },
            Err(_) => return Loaded::Unreadable,
        };
        Loaded::There(self.insert(key.clone(), (state, version), StreamNumber::NONE))
    }

    /// It is about to change: a snapshot that is being taken has it as it is.
    #[inline]
    pub(crate) fn before_change(&mut self, at: u32) {
        if self.taking.is_some() {
            self.copy_out(at);
        }
    }

    #[cold]
    fn copy_out(&mut self, at: u32) {
        let (Some(taking), Some(one)) = (&mut self.taking, self.all.get(at as usize)) else {
            return;
        };
        if taking.claim(at) {
            take_one(taking, one, self.suspended.get(&at));
        }
    }

    /// The instance with this key, made if it is not there.
    pub(crate) fn find_or_insert(&mut self, key: &S::Key) -> u32 {
        if let Some(at) = self.find(key) {
            return at;
        }
        let blank = (S::default(), StreamVersion::NONE);
        self.insert(key.clone(), blank, StreamNumber::NONE)
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

impl<S: State> Instances<S> {
    /// Folds one event, of today's version or of an earlier one.
    #[inline]
    pub(crate) fn fold_any(
        state: &mut S,
        event: Folded<'_>,
        upcasts: &mut Upcasts,
    ) -> Result<(), SuspensionCause> {
        match Self::fold(state, event) {
            Err(SuspensionCause::Unknown { .. }) => Self::fold_earlier(state, event, upcasts),
            folded => folded,
        }
    }

    /// Folds an event of an earlier version, as the newer ones that it becomes.
    #[cold]
    #[inline(never)]
    fn fold_earlier(
        state: &mut S,
        event: Folded<'_>,
        upcasts: &mut Upcasts,
    ) -> Result<(), SuspensionCause> {
        let unknown = || SuspensionCause::Unknown { name: String::new(), version: 0 };
        let of = event.of.ok_or_else(unknown)?;
        let folded = catch_unwind(AssertUnwindSafe(|| {
            let mut evolve = |view: <S::Event as Vocabulary>::View<'_>| state.evolve(view);
            <S::Event as Vocabulary>::upcast(of, event.payload, upcasts, &mut evolve)
        }));
        match folded.map_err(panicked)? {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(unknown()),
            Err(UpcastError::View(error)) => Err(SuspensionCause::Unreadable(error)),
            Err(error) => Err(SuspensionCause::NotUpcast(error.to_string())),
        }
    }
}

#[cold]
fn panicked(panic: Box<dyn Any + Send>) -> SuspensionCause {
    SuspensionCause::Panicked(message(&*panic))
}

/// Most instances that are taken at once.
const AT_ONCE: u32 = 256;
/// Bytes of records that are handed over together.
const PIECE: usize = 1 << 20;

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

    /// Takes some, as far as `bytes`; whether there are more, or `None` if one is too large. What
    /// was taken is handed over.
    fn take(&mut self, bytes: usize, hand_over: &mut dyn FnMut(Records)) -> Option<bool>;

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

    /// All instances that are here and have events: each key as keys are ordered, and where it is. In
    /// no order.
    fn keys(&self) -> Vec<(Vec<u8>, u32)>;

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

    fn take(&mut self, bytes: usize, hand_over: &mut dyn FnMut(Records)) -> Option<bool> {
        let Some(taking) = &mut self.taking else { return Some(false) };
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
        if taking.too_large {
            return None;
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
        Some(more)
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

    fn keys(&self) -> Vec<(Vec<u8>, u32)> {
        let all = self.all.iter().zip(0..);
        let all = all.filter(|(one, _)| one.version != StreamVersion::NONE || one.suspended);
        all.map(|(one, at)| (ordered(&one.key), at)).collect()
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
