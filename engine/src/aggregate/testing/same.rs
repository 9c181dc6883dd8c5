//! Whether a state that was folded live is the one that is folded from the log.

use std::panic::{AssertUnwindSafe, catch_unwind};

use factlog_codec::types::Scratch;

use super::super::decide::{Aggregate, Context, Stop};
use super::super::local::{LocalCommand, LocalEngine};
use super::show::{Archived, difference};
use crate::log::message;

/// What can be told of the state of an instance.
#[derive(PartialEq)]
pub(super) enum Told {
    /// It is suspended, or too large to be stored.
    Nothing,
    /// Its archive.
    Stored(Vec<u8>),
    /// It is not stored: what a command would come to now, and lead to.
    Decides(String, Vec<Archived>),
}

impl Told {
    /// Of the instance that a command is for; `told` is the time, and where random numbers begin.
    pub(super) fn of<A: Aggregate>(
        engine: &mut LocalEngine,
        command: &LocalCommand<A>,
        told: (u64, u64),
    ) -> Self {
        let LocalCommand { key, command, .. } = command;
        // It is loaded, if it was not.
        let archive = engine.look::<A, _>(super::given::Same(key.clone()), |state| {
            let (mut space, mut scratch) = (Vec::new(), Scratch::new());
            let archive = A::STORED?.store(state, &mut space, &mut scratch)?;
            Some(archive.to_vec())
        });
        match archive {
            Ok(Some(archive)) => Self::Stored(archive),
            Ok(None) if A::STORED.is_none() => {
                decided::<A>(engine, key, command, told).unwrap_or(Self::Nothing)
            }
            Ok(None) | Err(_) => Self::Nothing,
        }
    }

    /// What differs, for people; `None` if nothing does.
    pub(super) fn difference(&self, folded: &Self) -> Option<String> {
        match (self, folded) {
            (Self::Decides(one, events), Self::Decides(other, others)) => {
                let events = difference(events, others, true);
                if one == other && events.is_none() {
                    return None;
                }
                Some(format!(
                    ": the same command would come to `{one}` next, and to `{other}` after the log \
                     was opened again\n{}",
                    events.unwrap_or_default()
                ))
            }
            (one, other) => (one != other).then(String::new),
        }
    }
}

/// What a command would come to, without anything being written.
fn decided<A: Aggregate>(
    engine: &LocalEngine,
    key: &A::Key,
    command: &A::Command,
    (now, random): (u64, u64),
) -> Option<Told> {
    let images = &engine.core.images;
    let instances = images.get::<A>(images.kind_of::<A>()?)?;
    let state = instances.look(key).ok()?;
    let version = instances.version(key);
    let mut context = Context { key, version, now, random, reply: None, images: Some(images) };
    let decided = catch_unwind(AssertUnwindSafe(|| state.decide(command, &mut context)));
    Some(match decided {
        Ok(Ok(events)) => {
            let further = events.further().unwrap_or_default();
            let archived = |(at, event)| {
                let further = further.iter().filter(|(of, _)| *of == at);
                let further = further.map(|(_, stream)| stream.clone()).collect();
                Archived::of(event).beside(further, events.corrected_by(at))
            };
            let all = events.as_slice().iter().enumerate().map(archived).collect();
            Told::Decides(format!("accepted, {:?}", context.reply), all)
        }
        Ok(Err(reason)) => Told::Decides(format!("rejected, {reason:?}"), Vec::new()),
        // It looks at an instance that cannot be looked at: so it is for both.
        Err(panic) if panic.is::<Stop>() => return None,
        Err(panic) => Told::Decides(format!("a panic: {}", message(&*panic)), Vec::new()),
    })
}
