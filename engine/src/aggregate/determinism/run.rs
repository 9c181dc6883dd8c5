//! The two cursors: one looks for commands, one folds what was there before each.

use std::collections::{HashMap, HashSet};
use std::fmt;

use factlog_codec::types::Decode;
use factlog_codec::{CommandItem, CommandOutcome, Sequence, StreamKey};

use super::super::decide::Aggregate;
use super::again::{Again, Came, Of, Recorded, Skip};
use super::archived::{Archived, Space};
use super::report::{CommandDifference, DeterminismReport, Unchecked};
use crate::image::{Images, State, fold, suspend_dropped};
use crate::log::{Cursor, Entry, Log, SeekError, Start};

/// Why decisions were not checked.
#[derive(Debug)]
#[non_exhaustive]
pub enum DeterminismError {
    /// Two kinds of state have the same name: it.
    Twice(&'static str),
    /// The log cannot be read.
    Read(SeekError),
    /// The program is built to abort at a panic, so that a decision that panics, as it once did,
    /// would end it. Build it with `panic = "unwind"`.
    Abort,
}

impl fmt::Display for DeterminismError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Twice(name) => write!(f, "two kinds of state are called `{name}`"),
            Self::Read(error) => write!(f, "decisions were not checked: {error}"),
            Self::Abort => write!(
                f,
                "this program aborts at a panic, so that a decision that panics would end it: build \
                 it with `panic = \"unwind\"`"
            ),
        }
    }
}

impl std::error::Error for DeterminismError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read(error) => Some(error),
            Self::Twice(_) | Self::Abort => None,
        }
    }
}

/// How far checking has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeterminismProgress {
    /// The last event that was looked at.
    pub done: Sequence,
    /// The last event of the log when it began.
    pub of: Sequence,
    /// Commands decided again so far.
    pub checked: u64,
    /// Those that came out otherwise.
    pub differing: u64,
}

/// How many commands are looked at before progress is told again.
const EVERY: u64 = 4096;

/// Decides commands again that were recorded as a whole
/// ([`record_commands`](crate::EngineBuilder::record_commands)), and holds what comes of it against the
/// log: events, replies, refusals, byte for byte.
///
/// What a decision was told, its time and where its random numbers began, stands in the record; the
/// state is folded from the log up to the command. So what differs depends on something else: a
/// clock, randomness of its own, the order of a hash table, a rule that has changed since.
///
/// ```
/// use factlog::{Determinism, DeterminismOutcome, Engine};
/// # use factlog::{Aggregate, Context, Events, State};
/// # #[factlog::event(name = "count", version = 1)]
/// # pub struct Count { pub by: u64 }
/// # #[factlog::event(name = "counted", version = 1)]
/// # pub struct Counted { pub by: u64 }
/// # #[factlog::vocabulary]
/// # pub enum CounterEvent { Counted(Counted) }
/// # #[derive(Default)]
/// # pub struct Counter { sum: u64 }
/// # impl State for Counter {
/// #     const NAME: &'static str = "counter";
/// #     type Key = u64;
/// #     type Event = CounterEvent;
/// #     fn evolve(&mut self, event: CounterEventView<'_>) {
/// #         let CounterEventView::Counted(counted) = event;
/// #         self.sum += counted.by();
/// #     }
/// # }
/// # impl Aggregate for Counter {
/// #     type Command = Count;
/// #     type Reply = u64;
/// #     type Rejection = String;
/// #     fn decide(&self, count: &Count, cx: &mut Context<'_, Self>) -> Result<Events<CounterEvent>, String> {
/// #         cx.reply(self.sum);
/// #         Ok(Events::one(Counted { by: count.by }))
/// #     }
/// # }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// let engine = Engine::open(directory.path()).aggregate::<Counter>().record_commands().start()?;
/// engine.call::<Counter>(7_u64, Count { by: 2 })?;
///
/// let report = Determinism::of(engine.log()).aggregate::<Counter>().run()?;
/// assert_eq!(report.outcome(), DeterminismOutcome::Same);
/// assert_eq!((report.checked, report.events), (1, 1));
/// # Ok(())
/// # }
/// ```
///
/// Commands that were not recorded, were decided elsewhere ([`prepared`](crate::Sending::prepared)), or
/// need instances whose history was dropped, are counted ([`Unchecked`]), and never taken for good.
/// A command that was answered from its idempotency key, was in conflict, or found its instance
/// suspended, was not decided, and left no record.
///
/// The log is folded from its beginning: also where snapshots are kept, none is used, since what it
/// holds was folded by the program that is being checked.
#[must_use = "decisions are checked by `run`"]
pub struct Determinism<'d> {
    log: Log,
    images: Images,
    again: HashMap<&'static str, Box<dyn Again>>,
    twice: Option<&'static str>,
    only_first: bool,
    progress: Option<Box<dyn FnMut(DeterminismProgress) + 'd>>,
}

impl fmt::Debug for Determinism<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Determinism").field("log", &self.log.directory()).finish_non_exhaustive()
    }
}

impl<'d> Determinism<'d> {
    /// Of what is visible in this log; it may be open for writing.
    pub fn of(log: &Log) -> Self {
        Self {
            log: log.clone(),
            images: Images::new(),
            again: HashMap::new(),
            twice: None,
            only_first: false,
            progress: None,
        }
    }

    /// Commands for this aggregate are decided again.
    pub fn aggregate<A>(mut self) -> Self
    where
        A: Aggregate<Command: Decode, Event: Decode>,
    {
        self = self.state::<A>();
        self.again.insert(A::NAME, Box::new(Of::<A>::new()));
        self
    }

    /// Decisions look at this kind of state; commands for it are not decided again.
    pub fn state<S: State>(mut self) -> Self {
        if self.images.add::<S>().is_none() {
            self.twice = Some(S::NAME);
        }
        self
    }

    /// Ends at the first command that comes out otherwise.
    pub fn only_first(mut self) -> Self {
        self.only_first = true;
        self
    }

    /// Tells now and then how far it has come.
    pub fn progress(mut self, tell: impl FnMut(DeterminismProgress) + 'd) -> Self {
        self.progress = Some(Box::new(tell));
        self
    }

    /// Checks them, up to where the log is visible now.
    ///
    /// # Errors
    ///
    /// See [`DeterminismError`]. What differs is no error: it stands in the report.
    pub fn run(self) -> Result<DeterminismReport, DeterminismError> {
        if cfg!(panic = "abort") {
            return Err(DeterminismError::Abort);
        }
        if let Some(name) = self.twice {
            return Err(DeterminismError::Twice(name));
        }
        let last = self.log.visible().0;
        let report = DeterminismReport {
            last,
            commands: 0,
            checked: 0,
            differing: 0,
            events: 0,
            upcast: 0,
            unchecked: Unchecked::default(),
            not_held: Vec::new(),
            difference: None,
        };
        let behind = self.log.cursor(Start::Oldest).map_err(DeterminismError::Read)?;
        let Self { log, images, again, only_first, progress, .. } = self;
        let space = Space::default();
        let missing = HashSet::new();
        let mut check = Check { log, images, again, behind, space, report, missing, progress };
        check.run(only_first).map_err(DeterminismError::Read)?;
        let mut not_held: Vec<_> = check.missing.into_iter().collect();
        not_held.sort_unstable();
        check.report.not_held = not_held;
        Ok(check.report)
    }
}

/// What is going on.
struct Check<'d> {
    log: Log,
    images: Images,
    again: HashMap<&'static str, Box<dyn Again>>,
    /// Everything before this is folded.
    behind: Cursor,
    space: Space,
    report: DeterminismReport,
    missing: HashSet<&'static str>,
    progress: Option<Box<dyn FnMut(DeterminismProgress) + 'd>>,
}

impl Check<'_> {
    fn run(&mut self, only_first: bool) -> Result<(), SeekError> {
        suspend_dropped(&mut self.images, &self.log)?;
        let mut ahead = self.log.cursor(Start::Oldest)?;
        let last = self.report.last;
        'log: loop {
            let mut batch = ahead.poll()?;
            let mut told = 0;
            while let Some(entry) = batch.next_entry()? {
                if entry.is_event() {
                    if entry.sequence > last {
                        break 'log;
                    }
                    told += 1;
                    if told % EVERY == 0 {
                        self.tell(entry.sequence);
                    }
                    continue;
                }
                // Those behind the last event, in its frame, belong to it.
                if entry.sequence > last.after(1) {
                    break 'log;
                }
                let read = entry.command().map_err(|fault| entry.unreadable(fault))?;
                let Some(item) = read else { continue };
                self.command(&entry, item)?;
                if only_first && self.report.differing > 0 {
                    self.report.last = entry.sequence.before();
                    break 'log;
                }
            }
            if !ahead.has_more() {
                break;
            }
        }
        self.tell(self.report.last);
        Ok(())
    }

    fn tell(&mut self, done: Sequence) {
        let DeterminismReport { last, checked, differing, .. } = self.report;
        if let Some(progress) = &mut self.progress {
            progress(DeterminismProgress { done, of: last, checked, differing });
        }
    }

    /// One command of the log.
    fn command(&mut self, entry: &Entry<'_>, item: CommandItem<'_>) -> Result<(), SeekError> {
        self.report.commands += 1;
        let led_to = u64::from(item.events);
        let end = item.first.after(led_to);
        // A failed one has left a fact of the engine's instead.
        let fits = match item.outcome {
            CommandOutcome::Failed => item.first <= entry.sequence,
            _ => end == entry.sequence,
        };
        if !fits || item.first < self.images.next {
            self.report.unchecked.contradictory += 1;
            return Ok(());
        }
        let Some(of) = entry.type_key() else {
            self.report.unchecked.not_recorded += 1;
            return Ok(());
        };
        if item.prepared {
            self.report.unchecked.prepared += 1;
            return Ok(());
        }
        let Some(stream) = entry.stream_key(entry.item.header.stream) else {
            self.report.unchecked.contradictory += 1;
            return Ok(());
        };
        let Some(again) = self.again.get(stream.category()) else {
            self.report.unchecked.other_aggregates += 1;
            return Ok(());
        };
        let Self { log, images, behind, space, report, .. } = self;
        fold_below((log, behind), images, item.first, |_| {})?;
        let asked = Recorded { log, of, item, stream };
        let came = match again.again(images, &asked, space) {
            Ok(came) => came,
            Err(skip) => {
                let unchecked = &mut report.unchecked;
                *match skip {
                    Skip::Suspended => &mut unchecked.suspended,
                    Skip::Unknown => &mut unchecked.unknown,
                    Skip::FoldedElsewhere => &mut unchecked.folded_elsewhere,
                    Skip::NotHeld(name) => {
                        self.missing.insert(name);
                        &mut unchecked.not_held
                    }
                } += 1;
                return Ok(());
            }
        };
        let mut events = Vec::new();
        fold_below((log, behind), images, end, |entry| {
            let further = further_of(entry);
            events.push(Archived::read(entry, further));
        })?;
        report.checked += 1;
        report.events += led_to;
        let (events, earlier) = again.newer(events, space);
        report.upcast += u64::from(earlier);
        let recorded = match item.outcome {
            CommandOutcome::Accepted => Came::Accepted { events, reply: item.reply.to_vec() },
            CommandOutcome::Rejected => Came::Rejected { reason: item.reply.to_vec() },
            _ => Came::Failed { said: String::from_utf8_lossy(item.reply).into_owned() },
        };
        if came == recorded {
            return Ok(());
        }
        report.differing += 1;
        if report.difference.is_none() {
            let event = first_of(&recorded, &came);
            report.difference = Some(Box::new(CommandDifference {
                sequence: item.first,
                place: entry.place,
                instance: stream.clone(),
                command: again.show_command(&asked),
                now: item.now,
                event,
                recorded: again.show(log, &recorded, space),
                decided: again.show(log, &came, space),
            }));
        }
        Ok(())
    }
}

/// The further streams of an event.
fn further_of(entry: &Entry<'_>) -> Vec<StreamKey> {
    let Ok((_, further)) = entry.links() else { return Vec::new() };
    further.iter().filter_map(|further| entry.stream_key(further.stream).cloned()).collect()
}

/// The first event in which the two differ.
fn first_of(recorded: &Came, decided: &Came) -> Option<usize> {
    let (Came::Accepted { events: one, .. }, Came::Accepted { events: other, .. }) =
        (recorded, decided)
    else {
        return None;
    };
    (0..one.len().max(other.len())).find(|at| one.get(*at) != other.get(*at))
}

/// Folds every event before `below` that is not folded yet, and shows each.
fn fold_below(
    (log, cursor): (&Log, &mut Cursor),
    images: &mut Images,
    below: Sequence,
    mut see: impl FnMut(&Entry<'_>),
) -> Result<(), SeekError> {
    while images.next < below {
        let mut batch = cursor.poll()?;
        while images.next < below {
            let Some(entry) = batch.next_entry()? else { break };
            if !entry.is_event() || entry.sequence < images.next {
                continue;
            }
            if entry.sequence >= below {
                // What is between was lost to damage. This one is still to come.
                let at = entry.sequence;
                images.next = below;
                *cursor = log.cursor(Start::Sequence(at))?;
                return Ok(());
            }
            see(&entry);
            fold(images, &entry);
        }
        if images.next < below && !cursor.has_more() {
            return Ok(());
        }
    }
    Ok(())
}
