//! A log that an engine has written, with changes to its structure, whose checks are made to hold
//! again; and an engine over it: commands, answers that it remembers, a snapshot.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use factlog::{
    Accepted, Aggregate, CommandError, Context, Engine, Events, Failure, LocalCommand, LocalEngine,
    Recovery, Snapshots, State, StoredState,
};

use super::changes::{self, Place};
use super::draft::{Draft, Follow};
use super::input::Input;
use super::probe;
use super::reached::Reached;
use crate::{scratch, small};

#[factlog::event(name = "fuzzed-add", version = 1)]
#[derive(Debug, Clone)]
struct Add {
    units: u64,
    to: u64,
}

#[factlog::event(name = "fuzzed-added", version = 1)]
#[derive(Debug)]
struct Added {
    units: u64,
}

#[factlog::vocabulary]
enum TallyEvent {
    Added(Added),
}

#[factlog::value]
#[derive(Debug, Default, Clone, PartialEq)]
struct Tally {
    units: u64,
    notes: Vec<u64>,
}

impl State for Tally {
    const NAME: &'static str = "tally";
    type Key = u64;
    type Event = TallyEvent;
    const STORED: Option<StoredState<Self>> = StoredState::new(1);

    fn evolve(&mut self, event: TallyEventView<'_>) {
        let TallyEventView::Added(added) = event;
        self.units = self.units.wrapping_add(added.units());
        self.notes.push(added.units());
    }
}

impl Aggregate for Tally {
    type Command = Add;
    type Reply = u64;
    type Rejection = String;

    fn decide(
        &self,
        &Add { units, to }: &Add,
        context: &mut Context<'_, Self>,
    ) -> Result<Events<TallyEvent>, String> {
        match units {
            0 => return Err(format!("nothing to add to {}", self.units)),
            1 => return Ok(Events::none()),
            _ => {}
        }
        context.reply(self.units.wrapping_add(units));
        let events = Events::one(Added { units });
        Ok(if to == *context.key() { events } else { events.also_of::<Tally>(to) })
    }
}

/// Instances.
const KEYS: u64 = 5;
/// Commands that the log has answers to.
const SENT: u64 = 24;

fn add(number: u64) -> Add {
    Add { units: number % 7, to: (number / 3) % KEYS }
}

fn command(number: u64) -> LocalCommand<Tally> {
    LocalCommand::new(number % KEYS, add(number)).idempotency_key(number.to_le_bytes())
}

fn base() -> &'static Draft {
    static BASE: OnceLock<Draft> = OnceLock::new();
    BASE.get_or_init(|| {
        let directory = scratch();
        let root = directory.path();
        let engine = Engine::open(root).options(small()).record_commands();
        let engine = engine.snapshots(Snapshots::on_request().bytes_per_second(None));
        let engine = engine.aggregate::<Tally>().start().expect("an engine");
        for number in 0..SENT {
            let add = engine.command::<Tally>(number % KEYS, add(number));
            // Whatever it comes to.
            let _ = add.idempotency_key(number.to_le_bytes()).call();
            if number == SENT / 2 {
                engine.snapshot().expect("taken");
            }
        }
        engine.close().expect("closed");
        Draft::read(root)
    })
}

/// The file of the snapshot, among those of the log.
pub(super) fn snapshot() -> usize {
    let is = |(name, _): &(PathBuf, Vec<u8>)| name.starts_with("snapshots");
    base().files.iter().position(is).expect("there is one")
}

/// The first byte says what follows from the changes, and how the log is opened; changes come behind.
///
/// # Panics
///
/// When the engine is not, when it is started again, what it was.
pub(super) fn run(bytes: &[u8], reached: &mut Reached) {
    let mut input = Input::new(bytes);
    let how = input.byte();
    let mut draft = base().clone();
    if how & 4 != 0 {
        drop(draft.files.remove(snapshot()));
    }
    let mut first: Option<Place> = None;
    for _ in 0..8 {
        if input.is_empty() {
            break;
        }
        // Of the snapshot alone, or of both.
        if how & 0x60 != 0 {
            in_snapshot(&mut draft, &mut input);
        }
        if how & 0x20 != 0 {
            continue;
        }
        let place = changes::change(&mut draft, &mut input);
        first = Some(first.map_or(place, |first| first.min(place)));
    }
    let follow = Follow { from: first.filter(|_| how & 1 != 0), folds: how & 2 != 0 };
    let directory = scratch();
    draft.write(directory.path(), follow);
    engines(directory.path(), probe::recovery(how >> 3), reached);
}

/// One byte of the snapshot is another.
fn in_snapshot(draft: &mut Draft, input: &mut Input<'_>) {
    let Some((_, bytes)) = draft.files.iter_mut().find(|(name, _)| name.starts_with("snapshots"))
    else {
        return;
    };
    let at = input.below(bytes.len());
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= input.byte();
    }
}

fn open(directory: &Path, recovery: Recovery) -> Result<LocalEngine, String> {
    let engine = Engine::open(directory).options(small().recovery(recovery));
    engine.aggregate::<Tally>().start_local().map_err(|error| error.to_string())
}

/// What an engine says of its instances: their state, or that they are suspended.
fn states(engine: &mut LocalEngine) -> Vec<Option<Tally>> {
    (0..KEYS).map(|key| engine.look::<Tally, _>(key, Tally::clone).ok()).collect()
}

/// Whether it was answered before.
fn is_known(answer: &Result<Accepted<u64>, CommandError<String>>) -> bool {
    match answer {
        Ok(accepted) => accepted.duplicate,
        Err(CommandError::Rejected { duplicate, .. }) => *duplicate,
        Err(CommandError::Failed(Failure::Earlier(_))) => true,
        Err(_) => false,
    }
}

/// Starts an engine, sends what was sent before, and something new; closes it, and starts it again.
fn engines(directory: &Path, recovery: Recovery, reached: &mut Reached) {
    let mut engine = match open(directory, recovery) {
        Ok(engine) => engine,
        Err(said) => {
            probe::show(&said);
            assert!(!said.is_empty());
            return reached.note("refused");
        }
    };
    reached.note("opened");
    reached.count("snapshots", u64::from(engine.restart().snapshot.is_some()));
    reached.count("passed-over", engine.restart().passed_over.len() as u64);
    reached.count(
        "suspended",
        states(&mut engine).iter().filter(|state| state.is_none()).count() as u64,
    );
    let mut lost = false;
    let mut sent = 0;
    engine.call_all::<Tally>((0..SENT + 14).map(command), |answer| {
        sent += 1;
        let what = match &answer {
            answer if is_known(answer) => "known",
            Ok(_) => "accepted",
            Err(CommandError::Rejected { .. }) => "rejected",
            Err(CommandError::KeyReused) => "reused",
            Err(CommandError::Suspended(_)) => "for-suspended",
            Err(CommandError::Failed(Failure::Unreadable(_))) => {
                lost = true;
                "unreadable"
            }
            Err(_) => "failed",
        };
        reached.note(what);
    });
    assert_eq!(sent, SENT + 14, "not every command has an answer");
    if lost {
        return;
    }
    let before = (states(&mut engine), engine.last());
    engine.close().expect("closed");
    let mut again = open(directory, recovery).expect("what was just written opens");
    let after = (states(&mut again), again.last());
    assert!(before == after, "{before:?}, and started again {after:?}");
    // What was answered stays answered.
    let mut known = 0;
    again.call_all::<Tally>((SENT..SENT + 14).map(command), |answer| {
        known += u64::from(is_known(&answer));
    });
    assert_eq!(again.last(), before.1, "{known} of 14 were known");
    reached.note("again");
}
