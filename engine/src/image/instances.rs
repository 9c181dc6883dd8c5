//! The instances of one kind of state.

use std::any::Any;
use std::collections::HashMap;
use std::hash::BuildHasher;
use std::panic::{AssertUnwindSafe, catch_unwind};

use factlog_codec::types::{TypeKey, UpcastError, Upcasts, Vocabulary};
use factlog_codec::{Sequence, StreamNumber, StreamVersion};
use hashbrown::HashTable;

use super::snapshot::{Base, Records, Taking, Unstorable};
use super::state::{InstanceKey, State};
use super::suspension::{Suspension, SuspensionCause};
use crate::log::{LOST, message};

/// Bytes of records that are handed over together.
const PIECE: usize = 1 << 20;

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
    pub(super) by_key: HashTable<u32>,
    pub(super) hasher: foldhash::fast::RandomState,
    pub(super) all: Vec<Instance<S>>,
    pub(super) suspended: HashMap<u32, Suspension>,
    /// Where those stand that are not loaded yet.
    pub(super) base: Option<Base>,
    /// A snapshot is being taken.
    pub(super) taking: Option<Box<Taking>>,
    /// Where events of earlier versions become newer ones.
    pub(super) upcasts: Upcasts,
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
pub(super) fn ordered(key: &impl InstanceKey) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(32);
    key.to_key().put_ordered(&mut bytes);
    bytes
}

/// Takes an instance into a snapshot.
pub(super) fn take_one<S: State>(taking: &mut Taking, one: &Instance<S>, why: Option<&Suspension>) {
    let Taking { records, full, left_out, space, scratch, trouble, .. } = taking;
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
    // It is the user's code, and there may be a frame in the making.
    let storing = move || {
        let (space, scratch) = (space, scratch);
        S::STORED?.store(&one.state, space, scratch)
    };
    match catch_unwind(AssertUnwindSafe(storing)) {
        Ok(Some(value)) => {
            records.push(one.version, value, |bytes| one.key.to_key().put_ordered(bytes));
            // Also of what is copied out before the turn of its kind has come.
            if records.len() >= PIECE {
                let section = records.section;
                full.push(std::mem::replace(records, Records::of(section)));
            }
        }
        Ok(None) => *trouble = Some(Unstorable::TooLarge),
        Err(panic) => *trouble = Some(Unstorable::Panicked(message(&*panic))),
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
    pub(super) fn is_stored(&self, key: &S::Key) -> bool {
        let Some(base) = &self.base else { return false };
        !matches!(base.find(&ordered(key)), Ok(None))
    }

    /// The version that the instance with this key is at.
    pub(crate) fn version(&self, key: &S::Key) -> StreamVersion {
        self.find(key).and_then(|at| self.get(at)).map_or(StreamVersion::NONE, |at| at.version)
    }

    /// All instances that have events and are not suspended, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&S::Key, &S)> {
        let sound = |one: &&Instance<S>| one.version != StreamVersion::NONE && !one.suspended;
        let all = self.all.iter().filter(sound);
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
    pub(super) fn load(&mut self, key: &S::Key) -> Loaded {
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
pub(super) fn panicked(panic: Box<dyn Any + Send>) -> SuspensionCause {
    SuspensionCause::Panicked(message(&*panic))
}
