//! All kinds of state together, and which events go to which instance.

use std::collections::HashMap;

use factlog_codec::types::EventType;
use factlog_codec::{Key, Sequence, StreamKey, StreamNumber, StreamVersion};

use super::fold::refold;
use super::instances::{Folded, Instances};
use super::kind::Kind;
use super::snapshot::{
    Base, Records, SectionOf, Snapshot, SnapshotTrouble, Unstorable, find, find_all,
};
use super::state::{InstanceKey, State};
use super::suspension::{Suspension, SuspensionCause};
use crate::log::Log;
use crate::sync::Arc;

/// Where the events of a stream go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Route {
    /// Not asked yet.
    #[default]
    Unknown,
    /// To nobody.
    Nowhere,
    /// To an instance of a kind.
    To { kind: u16, at: u32 },
}

/// A memory image: every instance of every kind.
#[derive(Default)]
pub(crate) struct Images {
    kinds: Vec<Box<dyn Kind>>,
    by_name: HashMap<&'static str, u16>,
    /// By stream number less one.
    routes: Vec<Route>,
    /// Everything before this is folded.
    pub(crate) next: Sequence,
    /// The snapshot that it began with, and its log.
    base: Option<(Arc<Snapshot>, Log)>,
    /// The log did not go back to its beginning, and there are snapshots with none of which it began.
    blind: bool,
    /// The kind of which a snapshot is being taken.
    taking: Option<usize>,
    /// Many instances are looked for in all snapshots,
    many: bool,
    /// which are opened once for all of them.
    looked_at: Option<Vec<Arc<Snapshot>>>,
}

impl Images {
    pub(crate) fn new() -> Self {
        Self { next: Sequence::FIRST, ..Self::default() }
    }

    /// Adds a kind, if there is none of that name yet; its number.
    pub(crate) fn add<S: State>(&mut self) -> Option<u16> {
        let number = u16::try_from(self.kinds.len()).ok()?;
        if self.by_name.insert(S::NAME, number).is_some() {
            return None;
        }
        self.kinds.push(Box::new(Instances::<S>::default()));
        Some(number)
    }

    /// The number of a kind, if it is there.
    pub(crate) fn kind_of<S: State>(&self) -> Option<u16> {
        let number = *self.by_name.get(S::NAME)?;
        self.get::<S>(number).map(|_| number)
    }

    #[inline]
    pub(crate) fn get<S: State>(&self, kind: u16) -> Option<&Instances<S>> {
        self.kinds.get(usize::from(kind))?.as_any().downcast_ref()
    }

    #[inline]
    pub(crate) fn get_mut<S: State>(&mut self, kind: u16) -> Option<&mut Instances<S>> {
        self.kinds.get_mut(usize::from(kind))?.as_any_mut().downcast_mut()
    }

    /// All kinds, in the order in which they were added.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = &dyn Kind> {
        self.kinds.iter().map(|kind| &**kind)
    }

    /// The types that all kinds know.
    pub(crate) fn types(&self) -> Vec<&'static EventType> {
        self.kinds.iter().flat_map(|kind| kind.types()).collect()
    }

    /// Notes where the events of a stream go.
    pub(crate) fn set_route(&mut self, stream: StreamNumber, route: Route) {
        let Some(index) = stream.get().checked_sub(1) else { return };
        let index = index as usize;
        if self.routes.len() <= index {
            self.routes.resize(index + 1, Route::Unknown);
        }
        self.routes[index] = route;
    }

    /// Where the events of a stream go; an instance is made for a stream that is new.
    #[inline]
    pub(crate) fn route<'k>(
        &mut self,
        stream: StreamNumber,
        name: impl FnOnce() -> Option<&'k StreamKey>,
    ) -> Route {
        let index = stream.get().wrapping_sub(1) as usize;
        match self.routes.get(index) {
            Some(route) if *route != Route::Unknown => *route,
            _ => self.find_route(stream, name()),
        }
    }

    #[cold]
    fn find_route(&mut self, stream: StreamNumber, name: Option<&StreamKey>) -> Route {
        let Some(name) = name else { return Route::Nowhere };
        let route = self.by_name.get(name.category()).and_then(|kind| {
            let entered = self.kinds.get_mut(usize::from(*kind))?.enter(name.key(), stream)?;
            Some((Route::To { kind: *kind, at: entered.0 }, entered.1))
        });
        let (route, readable) = route.unwrap_or((Route::Nowhere, true));
        self.set_route(stream, route);
        if !readable && let Some((_, log)) = self.base.clone() {
            // It stands where the snapshot is damaged, or nowhere: the log knows.
            refold(self, &log, route);
        }
        route
    }

    /// Folds an event into the instance that it goes to. An instance that cannot fold it is
    /// suspended; `name` is what its type is called.
    #[inline]
    pub(crate) fn apply<'n>(
        &mut self,
        route: Route,
        event: Folded<'_>,
        name: impl FnOnce() -> Option<(&'n str, u16)>,
    ) {
        let Route::To { kind, at } = route else { return };
        let Some(kind) = self.kinds.get_mut(usize::from(kind)) else { return };
        if let Err(cause) = kind.apply(at, event) {
            let cause = match (cause, name()) {
                (SuspensionCause::Unknown { .. }, Some((name, version))) => {
                    SuspensionCause::Unknown { name: name.to_owned(), version }
                }
                (cause, _) => cause,
            };
            let Folded { sequence, version, .. } = event;
            kind.suspend(at, Suspension { sequence, version, cause });
        }
    }

    /// What all kinds are called, and how each is stored; or the one that cannot be.
    pub(crate) fn stored(&self) -> Result<Vec<(&'static str, u64)>, &'static str> {
        let stored = |kind: &dyn Kind| Ok((kind.name(), kind.fingerprint().ok_or(kind.name())?));
        self.kinds.iter().map(|kind| stored(&**kind)).collect()
    }

    /// Begins with a snapshot, which has all kinds, each as it is stored now. Gives those that were
    /// suspended when it was taken: they are folded from the log.
    pub(crate) fn begin_with(
        &mut self,
        snapshot: &Arc<Snapshot>,
        log: &Log,
    ) -> Vec<(StreamKey, Suspension)> {
        for kind in &mut self.kinds {
            let section = snapshot.section(kind.name());
            kind.set_base(section.map(|(section, _)| Base::new(snapshot, section)));
        }
        self.base = Some((Arc::clone(snapshot), log.clone()));
        self.next = snapshot.header().place.next;
        let mut suspended = Vec::new();
        self.many = true;
        // Whoever has found it has read them all.
        for (name, _) in snapshot.left_out().unwrap_or_default() {
            let Some(stream) = log.stream_number(&name) else { continue };
            let route = self.route(stream, || Some(&name));
            refold(self, log, route);
            let why = self.suspension_of(&name);
            suspended.extend(why.map(|why| (name, why)));
        }
        (self.many, self.looked_at) = (false, None);
        suspended
    }

    /// Loads an instance that may stand in the snapshot only.
    #[cold]
    pub(crate) fn load(&mut self, kind: u16, key: &Key) {
        let (Some((_, log)), Some(found)) = (&self.base, self.kinds.get_mut(usize::from(kind)))
        else {
            return;
        };
        let name = StreamKey::new(found.name(), key.clone()).ok();
        let stream = name.as_ref().and_then(|name| log.stream_number(name));
        match (stream, &name) {
            (Some(stream), Some(name)) => {
                self.route(stream, || Some(name));
            }
            // The log knows of no event of it, whatever a damaged block would say.
            _ => found.make_blank(key),
        }
    }

    /// Loads the instance of a stream, if it may stand in the snapshot only.
    pub(crate) fn load_stream(&mut self, stream: &StreamKey) {
        if self.base.is_some()
            && let Some(kind) = self.by_name.get(stream.category())
        {
            self.load(*kind, stream.key());
        }
    }

    /// Has all instances of a kind here.
    pub(crate) fn load_all(&mut self, name: &str) {
        let Some((_, log)) = self.base.clone() else { return };
        for stream in (1..=log.streams()).map(StreamNumber::new) {
            let index = stream.get().wrapping_sub(1) as usize;
            if self.routes.get(index).is_some_and(|route| *route != Route::Unknown) {
                continue;
            }
            if let Some(stream_name) = log.stream_key(stream)
                && stream_name.category() == name
            {
                self.route(stream, || Some(&stream_name));
            }
        }
    }

    /// The same kinds, without instances.
    pub(crate) fn fresh(&self) -> Self {
        let kinds = self.kinds.iter().map(|kind| kind.fresh()).collect();
        Self { kinds, by_name: self.by_name.clone(), ..Self::new() }
    }

    /// Has an instance here that is to be looked at, or changed.
    #[inline]
    pub(crate) fn ready<S: State>(&mut self, kind: u16, key: &S::Key) {
        if self.base.is_some() && self.get::<S>(kind).is_some_and(|all| all.find(key).is_none()) {
            self.load(kind, &key.to_key());
        }
    }

    /// Begins to take a snapshot: the sections of its kinds, in the order of their numbers.
    pub(crate) fn begin_taking(&mut self) -> Result<Vec<SectionOf>, &'static str> {
        let stored = self.stored()?;
        for (number, kind) in self.kinds.iter_mut().enumerate() {
            kind.begin_taking(number as u16);
        }
        self.taking = Some(0);
        let sections = self.kinds.iter().zip(stored).map(|(kind, (name, fingerprint))| SectionOf {
            name,
            fingerprint,
            of_kind: true,
            base: kind.base().cloned(),
            wanted: None,
        });
        Ok(sections.collect())
    }

    /// Takes some of it, some `bytes` of them; whether there is more. Of an instance that cannot be
    /// stored its kind is told.
    pub(crate) fn take(
        &mut self,
        bytes: usize,
        hand_over: &mut dyn FnMut(Records),
    ) -> Result<bool, SnapshotTrouble> {
        let Some(at) = self.taking else { return Ok(false) };
        let Some(kind) = self.kinds.get_mut(at) else {
            self.taking = None;
            return Ok(false);
        };
        let name = kind.name();
        let taken = kind.take(bytes, hand_over).map_err(|why| match why {
            Unstorable::TooLarge => SnapshotTrouble::TooLarge(name),
            Unstorable::Panicked(said) => SnapshotTrouble::Panicked(name, said),
        });
        if !taken? {
            self.taking = Some(at + 1);
        }
        Ok(true)
    }

    /// Takes no snapshot any more.
    pub(crate) fn end_taking(&mut self) {
        self.taking = None;
        self.kinds.iter_mut().for_each(|kind| kind.end_taking());
    }

    /// Folds an event into the instance that it goes to, if that can be: after an error its state is
    /// not to be used.
    pub(crate) fn try_apply(
        &mut self,
        route: Route,
        event: Folded<'_>,
    ) -> Result<(), SuspensionCause> {
        let Route::To { kind, at } = route else { return Ok(()) };
        self.kinds.get_mut(usize::from(kind)).map_or(Ok(()), |kind| kind.apply(at, event))
    }

    /// The instance of a stream that was given its number a moment ago.
    pub(crate) fn enter(&mut self, stream: StreamNumber, name: &StreamKey) -> Route {
        let route = self.route(stream, || Some(name));
        self.set_stream(route, stream);
        route
    }

    /// Notes the stream of an instance.
    pub(crate) fn set_stream(&mut self, route: Route, stream: StreamNumber) {
        if let Route::To { kind, at } = route
            && let Some(kind) = self.kinds.get_mut(usize::from(kind))
        {
            kind.set_stream(at, stream);
            self.set_route(stream, route);
        }
    }

    /// The version that an instance is at.
    pub(crate) fn version_at(&self, route: Route) -> StreamVersion {
        let Route::To { kind, at } = route else { return StreamVersion::NONE };
        self.kinds.get(usize::from(kind)).map_or(StreamVersion::NONE, |kind| kind.version(at))
    }

    /// Why the instance of a stream is suspended, if it is.
    pub(crate) fn suspension_of(&self, stream: &StreamKey) -> Option<Suspension> {
        let kind = *self.by_name.get(stream.category())?;
        self.kinds.get(usize::from(kind))?.suspension_of(stream.key())
    }

    /// An instance has no event after all, and its stream no number yet.
    pub(crate) fn forget(&mut self, route: Route) {
        if let Some(stream) = self.reset(route) {
            self.set_route(stream, Route::Unknown);
        }
    }

    /// Suspends an instance.
    pub(crate) fn suspend(&mut self, route: Route, suspension: Suspension) {
        if let Route::To { kind, at } = route
            && let Some(kind) = self.kinds.get_mut(usize::from(kind))
        {
            kind.suspend(at, suspension);
        }
    }

    /// Makes an instance as it stands in the snapshot, or as if it had no event yet; its stream, and
    /// the version that it is at.
    pub(crate) fn rewind(&mut self, route: Route) -> Option<(StreamNumber, StreamVersion)> {
        let Route::To { kind, at } = route else { return None };
        let kind = self.kinds.get_mut(usize::from(kind))?;
        kind.reset(at);
        Some((kind.stream(at), kind.rewind(at, None)))
    }

    /// Makes an instance as it stands in the newest snapshot that there is now and that has it; the
    /// version that it is at there.
    pub(crate) fn rewind_to_newest(&mut self, log: &Log, route: Route) -> Option<StreamVersion> {
        let Route::To { kind, at } = route else { return None };
        let kind = self.kinds.get_mut(usize::from(kind))?;
        let (name, fingerprint) = (kind.name(), kind.fingerprint()?);
        let all = self.looked_at.take().unwrap_or_else(|| find_all(log, self.next.before()));
        kind.reset(at);
        // One may leave it out, since it was suspended: an older one may have it.
        let version = all.iter().find_map(|snapshot| {
            let (section, _) = snapshot.section(name).filter(|(_, found)| *found == fingerprint)?;
            let version = kind.rewind(at, Some(&Base::new(snapshot, section)));
            (version != StreamVersion::NONE).then_some(version)
        });
        self.looked_at = self.many.then_some(all);
        version
    }

    /// Begins anew, with the newest snapshot that will do.
    pub(crate) fn start_over(&mut self, log: &Log) {
        self.clear();
        let Ok(kinds) = self.stored() else { return };
        if let (Some(snapshot), _) = find(log, &kinds, log.visible().0, |_| Ok(())) {
            self.begin_with(&snapshot, log);
        }
    }

    /// Begins without a snapshot, with the oldest event that the log has: by choice, or since none will do.
    /// What was dropped may stand in those that are there.
    pub(crate) fn begin_without(&mut self, log: &Log, by_choice: bool) {
        let none = || log.snapshots().is_ok_and(|listed| listed.is_empty());
        self.blind = log.oldest() > Sequence::FIRST && (by_choice || !none());
    }

    /// Whether it does not know what snapshots have that are there: one of it would push them out.
    pub(crate) fn is_blind(&self) -> bool {
        self.blind
    }

    /// Makes an instance what an archive of its state says, or as if it had no event yet; whether the
    /// archive can be read.
    pub(crate) fn restore(&mut self, route: Route, stored: Option<(&[u8], StreamVersion)>) -> bool {
        let Route::To { kind, at } = route else { return false };
        self.kinds.get_mut(usize::from(kind)).is_some_and(|kind| kind.restore(at, stored))
    }

    /// The key that a route leads to: kind and instance.
    pub(crate) fn kind_at(&self, route: Route) -> Option<&'static str> {
        let Route::To { kind, .. } = route else { return None };
        self.kinds.get(usize::from(kind)).map(|kind| kind.name())
    }

    /// Makes an instance as if it had no event yet; its stream.
    pub(crate) fn reset(&mut self, route: Route) -> Option<StreamNumber> {
        let Route::To { kind, at } = route else { return None };
        let kind = self.kinds.get_mut(usize::from(kind))?;
        kind.reset(at);
        Some(kind.stream(at))
    }

    /// Forgets everything that was folded.
    pub(crate) fn clear(&mut self) {
        self.kinds.iter_mut().for_each(|kind| kind.clear());
        self.routes.clear();
        self.next = Sequence::FIRST;
        (self.base, self.taking, self.blind) = (None, None, false);
    }

    /// All suspended instances: kind, stream, why.
    pub(crate) fn suspensions(&self) -> Vec<(&'static str, StreamNumber, Suspension)> {
        let of = |kind: &dyn Kind| {
            let name = kind.name();
            kind.suspensions().into_iter().map(move |(stream, why)| (name, stream, why))
        };
        self.kinds.iter().flat_map(|kind| of(&**kind).collect::<Vec<_>>()).collect()
    }
}
