//! All kinds of state together, and which events go to which instance.

use std::collections::HashMap;

use factlog_codec::types::EventType;
use factlog_codec::{Key, Sequence, StreamKey, StreamNumber, StreamVersion};

use super::instances::{Folded, Instances, Kind};
use super::state::State;
use super::suspension::{Suspension, SuspensionCause};

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
            let at = self.kinds.get_mut(usize::from(*kind))?.enter(name.key(), stream)?;
            Some(Route::To { kind: *kind, at })
        });
        let route = route.unwrap_or(Route::Nowhere);
        self.set_route(stream, route);
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

    /// Loads an instance that is in the snapshot only.
    pub(crate) fn load(&mut self, kind: u16, key: &Key) {
        let _ = (kind, key);
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
