//! What came of checking.

use std::fmt;

use factlog_codec::{Place, Sequence, StreamKey};

use crate::log::counted;

/// What came of checking decisions.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeterminismReport {
    /// The last event that was looked at.
    pub last: Sequence,
    /// What became of commands, as far as the log says: all COMMAND items.
    pub commands: u64,
    /// Of these, those that were decided again.
    pub checked: u64,
    /// Of these, those that came out otherwise.
    pub differing: u64,
    /// Events that were compared.
    pub events: u64,
    /// Commands whose events are of earlier versions: what these become was compared.
    pub upcast: u64,
    /// Commands that were not decided again.
    pub unchecked: Unchecked,
    /// Kinds of state that decisions look at, and that were not given.
    pub not_held: Vec<&'static str>,
    /// The first command that came out otherwise.
    pub difference: Option<Box<CommandDifference>>,
}

/// Commands that were not decided again, by why.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unchecked {
    /// Only what became of them was recorded: the engine ran without
    /// [`record_commands`](crate::EngineBuilder::record_commands).
    pub not_recorded: u64,
    /// They were decided elsewhere, on a state that somebody else had read.
    pub prepared: u64,
    /// They were for an aggregate that was not given.
    pub other_aggregates: u64,
    /// An instance that they need cannot be folded: events of it were dropped, or are not known.
    pub suspended: u64,
    /// The program does not know their type, or cannot read them.
    pub unknown: u64,
    /// They look at a kind of state that was not given.
    pub not_held: u64,
    /// They failed, and not by deciding or in their own instance: perhaps in another one, into which
    /// their events were folded too.
    pub folded_elsewhere: u64,
    /// What the log says of them contradicts itself.
    pub contradictory: u64,
}

impl Unchecked {
    /// All of them.
    pub const fn sum(&self) -> u64 {
        self.not_recorded
            + self.prepared
            + self.other_aggregates
            + self.suspended
            + self.unknown
            + self.not_held
            + self.folded_elsewhere
            + self.contradictory
    }
}

/// What it comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeterminismOutcome {
    /// There was no command that could be decided again: nothing is known.
    NothingToCheck,
    /// Every command came out as it had, byte for byte.
    Same,
    /// Those that could be decided again came out as they had; there are others.
    SameAsFarAsChecked,
    /// At least one came out otherwise.
    Differs,
}

impl DeterminismReport {
    /// What it comes to.
    pub const fn outcome(&self) -> DeterminismOutcome {
        match (self.differing, self.checked, self.unchecked.sum()) {
            (1.., _, _) => DeterminismOutcome::Differs,
            (0, 0, _) => DeterminismOutcome::NothingToCheck,
            (0, 1.., 0) => DeterminismOutcome::Same,
            (0, 1.., 1..) => DeterminismOutcome::SameAsFarAsChecked,
        }
    }

    /// For tests: every command was decided again, and came out as it had.
    ///
    /// # Panics
    ///
    /// It is not so: with the report.
    #[track_caller]
    pub fn assert_same(&self) {
        assert!(self.outcome() == DeterminismOutcome::Same, "{self}");
    }
}

/// A command that came out otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CommandDifference {
    /// The first event that it had led to; the next one if it had led to none.
    pub sequence: Sequence,
    /// Where its frame stands.
    pub place: Place,
    /// Which instance it was for.
    pub instance: StreamKey,
    /// The command.
    pub command: String,
    /// The time that its decision was told.
    pub now: u64,
    /// The first of its events that differs, counted from 0; `None` if something else does.
    pub event: Option<usize>,
    /// What had become of it.
    pub recorded: RecordedOutcome,
    /// What becomes of it now.
    pub decided: RecordedOutcome,
}

/// What became of a command, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordedOutcome {
    /// It was accepted.
    Accepted {
        /// Its events.
        events: Vec<String>,
        /// What it was answered, if that was anything.
        reply: Option<String>,
    },
    /// It was refused.
    Rejected {
        /// Why.
        reason: String,
    },
    /// Deciding it failed.
    Failed {
        /// What the panic said.
        said: String,
    },
}

impl fmt::Display for DeterminismReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { checked, unchecked, .. } = self;
        let commands = counted(self.commands, "command");
        let events = counted(self.events, "event");
        match self.outcome() {
            DeterminismOutcome::NothingToCheck => write!(
                f,
                "nothing could be checked: of {commands} in the log none could be decided again"
            )?,
            DeterminismOutcome::Same if self.commands == 1 => {
                write!(f, "the one command came out as it had, {events}")?;
            }
            DeterminismOutcome::Same => {
                write!(f, "all {commands} came out as they had, {events}")?;
            }
            DeterminismOutcome::SameAsFarAsChecked => {
                let (were, they) = if *checked == 1 { ("was", "it") } else { ("were", "they") };
                write!(
                    f,
                    "{checked} of {commands} {were} decided again, and came out as {they} had, {events}"
                )?;
            }
            DeterminismOutcome::Differs => {
                let checked = counted(*checked, "command");
                write!(f, "{} of {checked} came out otherwise", self.differing)?;
            }
        }
        let not = [
            (unchecked.not_recorded, ["was", "were"], "not recorded as a whole"),
            (unchecked.prepared, ["was", "were"], "decided elsewhere"),
            (unchecked.other_aggregates, ["was", "were"], "for aggregates that were not given"),
            (unchecked.suspended, ["needs", "need"], "instances that cannot be folded"),
            (
                unchecked.unknown,
                ["is", "are"],
                "of types that the program does not know or cannot read",
            ),
            (unchecked.not_held, ["looks", "look"], "at state that was not given"),
            (unchecked.folded_elsewhere, ["failed"; 2], "in other instances"),
            (unchecked.contradictory, ["contradicts", "contradict"], "the log"),
        ];
        for (number, [one, several], why) in not.into_iter().filter(|(number, ..)| *number > 0) {
            write!(f, "; {number} {} {why}", if number == 1 { one } else { several })?;
        }
        for name in &self.not_held {
            write!(f, "; add `{name}` with `state` or `aggregate`")?;
        }
        match &self.difference {
            Some(difference) => write!(f, "\n{difference}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for CommandDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sequence, place, instance, command, now, event, recorded, decided } = self;
        write!(f, "the first one, at sequence {sequence} ({place}), for {instance}: {command}")?;
        write!(f, "\nits time was {now}")?;
        if let Some(event) = event {
            write!(f, "; event {} differs", event + 1)?;
        }
        write!(f, "\nin the log:\n{recorded}\ndecided again:\n{decided}")
    }
}

impl fmt::Display for RecordedOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted { events, reply } => {
                match reply {
                    Some(reply) => write!(f, "    accepted, with reply {reply}")?,
                    None => write!(f, "    accepted")?,
                }
                if events.is_empty() {
                    write!(f, ", no event")?;
                }
                for (at, event) in events.iter().enumerate() {
                    write!(f, "\n    {}. {event}", at + 1)?;
                }
                Ok(())
            }
            Self::Rejected { reason } => write!(f, "    rejected: {reason}"),
            Self::Failed { said } => write!(f, "    failed: {said}"),
        }
    }
}
