//! Does somebody learn of a snapshot that was not taken, and of a decision that took long?

use std::fs;
use std::time::{Duration, Instant};

use factlog::{
    Aggregate, Context, Engine, Events, PassedOverReason, SnapshotFailed, SnapshotTrouble,
    Snapshots, Start, State, StoredState,
};
use factlog_tests::{Random, scratch};

use crate::purse::*;

#[test]
fn does_a_snapshot_that_fails_by_itself_leave_a_fact() {
    let directory = scratch();
    let mut random = Random::new(5);
    // Where the folder would be there is something else.
    let folder = directory.path().join("snapshots");
    drop(open(directory.path()));
    let _ = fs::remove_dir(&folder);
    fs::write(&folder, b"in the way").expect("written");
    let engine = open_with(directory.path(), Snapshots::every(50).bytes_per_second(None));
    let mut at = 0;
    while engine.stats().snapshots_failed < 2 {
        pay(&engine, &mut random, at..at + 20, 30);
        at += 20;
        assert!(at < 100_000, "nobody says so: {:?}", engine.stats());
    }
    let stats = engine.stats();
    assert_eq!((stats.snapshots, stats.snapshot.is_none()), (0, true));
    assert!(matches!(stats.snapshot_trouble, Some(SnapshotTrouble::Io(_))), "{stats:?}");
    // Whoever asks for one is told, and no fact says so.
    let counted = |log: &factlog::Log| {
        let (mut facts, mut cursor) = (Vec::new(), log.cursor(Start::Oldest).expect("a cursor"));
        while let Some(event) = cursor.next_event().expect("readable") {
            if let Some(fact) = event.get::<SnapshotFailed>().expect("readable") {
                facts.push((event.sequence().get(), fact.event(), fact.cause().to_owned()));
            }
        }
        facts
    };
    let before = counted(engine.log());
    assert!(before.len() >= 2, "{before:?}");
    for (sequence, event, cause) in &before {
        assert!(event < sequence && cause.contains("snapshot"), "{before:?}");
    }
    loop {
        match engine.snapshot() {
            Err(SnapshotTrouble::Io(_)) => break,
            Err(SnapshotTrouble::Busy) => {}
            other => panic!("{other:?}"),
        }
    }
    same_as_cold(&engine, 30);
    fs::remove_file(&folder).expect("gone");
    // Then it goes by itself, from the next time on.
    let began = Instant::now();
    while engine.stats().snapshots == 0 {
        pay(&engine, &mut random, at..at + 20, 30);
        at += 20;
        assert!(began.elapsed() < SOON, "none is taken: {:?}", engine.stats());
    }
    let taken = engine.stats().snapshot.expect("told");
    assert!(taken.bytes > 0 && taken.sequence <= engine.log().visible().0);
    same_as_cold(&engine, 30);
    engine.close().expect("closes");
    assert!(open(directory.path()).restart().snapshot.is_some());
}

#[factlog::event(name = "note", version = 1)]
pub(crate) struct Note {
    pub(crate) times: u64,
}

#[factlog::event(name = "muse", version = 1)]
pub(crate) struct Muse {
    pub(crate) millis: u64,
}

#[factlog::vocabulary]
pub(crate) enum BookCommand {
    Note(Note),
    Muse(Muse),
}

#[factlog::event(name = "noted", version = 1)]
pub(crate) struct Noted {
    pub(crate) times: u64,
}

#[factlog::vocabulary]
pub(crate) enum BookEvent {
    Noted(Noted),
}

#[factlog::value]
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Book {
    pub(crate) notes: Vec<String>,
}

impl State for Book {
    const NAME: &'static str = "book";
    type Key = u64;
    type Event = BookEvent;
    const STORED: Option<StoredState<Self>> = StoredState::new(1);

    fn evolve(&mut self, event: BookEventView<'_>) {
        let BookEventView::Noted(noted) = event;
        self.notes.extend((0..noted.times()).map(|number| number.to_string()));
    }
}

impl Aggregate for Book {
    type Command = BookCommand;
    type Reply = ();
    type Rejection = String;

    fn decide(
        &self,
        command: &BookCommand,
        _: &mut Context<'_, Self>,
    ) -> Result<Events<BookEvent>, String> {
        match command {
            BookCommand::Note(note) => Ok(Events::one(Noted { times: note.times })),
            BookCommand::Muse(muse) => {
                std::thread::sleep(Duration::from_millis(muse.millis));
                Err("no idea".to_owned())
            }
        }
    }
}

fn book(directory: &std::path::Path) -> Engine {
    let snapshots = Snapshots::on_request().bytes_per_second(None);
    let engine = Engine::open(directory).options(options()).snapshots(snapshots);
    engine.aggregate::<Book>().start().expect("an engine")
}

#[test]
fn is_the_longest_decision_of_each_command_told() {
    let directory = scratch();
    let engine = book(directory.path());
    assert!(engine.stats().longest.is_empty());
    for millis in [1, 30, 2] {
        engine.call::<Book>(1_u64, Muse { millis }).expect_err("no idea");
        engine.call::<Book>(1_u64, Note { times: 1 }).expect("accepted");
    }
    let longest = engine.stats().longest;
    let muse = longest.iter().find(|one| one.command == "muse").expect("noted");
    assert!(muse.took >= Duration::from_millis(30), "{longest:?}");
    let note = longest.iter().find(|one| one.command == "note").expect("noted");
    assert_eq!((note.aggregate, longest.len()), ("book", 2));
    assert!(longest[0].took >= longest[1].took && note.took > Duration::ZERO);
    engine.close().expect("closes");
}

/// A million texts in one instance: the working space grows with what is stored.
#[test]
fn can_a_state_with_very_long_lists_be_stored() {
    let directory = scratch();
    let engine = book(directory.path());
    for _ in 0..4 {
        engine.call::<Book>(7_u64, Note { times: 250_000 }).expect("accepted");
    }
    let taken = engine.snapshot().expect("taken");
    assert!(taken.bytes > 8_000_000, "{taken:?}");
    engine.close().expect("closes");
    let engine = book(directory.path());
    assert_eq!(engine.restart().snapshot, Some(taken.sequence));
    let look = |book: &Book| (book.notes.len(), book.notes.last().cloned());
    let found = engine.ask::<Book, _>(7_u64, look).expect("a state");
    assert_eq!(found, (1_000_000, Some("249999".to_owned())));
    engine.close().expect("closes");
}

/// What an engine began with, in a line.
#[test]
fn is_it_told_what_an_engine_began_with() {
    let (directory, taken) = with_snapshot();
    let engine = open(directory.path());
    let (folded, said) = (engine.restart().folded, engine.restart().to_string());
    let expected = format!("began with the snapshot as of event {taken}, {folded} events folded");
    assert_eq!(said, expected);
    engine.close().expect("closes");
    fs::write(files(directory.path()).pop().expect("one"), b"no snapshot").expect("written");
    let engine = open(directory.path());
    let said = engine.restart().to_string();
    let why = format!("; the snapshot as of event {taken} is passed over: ");
    assert!(said.starts_with("began without a snapshot, ") && said.contains(&why), "{said}");
    // The payload of reasons, and of facts, has a name here.
    let named = |reason: &PassedOverReason| match reason {
        PassedOverReason::Damaged(error) => {
            let error: &factlog::SnapshotError = error;
            error.to_string()
        }
        PassedOverReason::Index(error) => {
            let error: &factlog::IndexError = error;
            error.to_string()
        }
        PassedOverReason::Instances(error) => {
            let error: &factlog::BlockError = error;
            error.to_string()
        }
        other => other.to_string(),
    };
    let reason = &engine.restart().passed_over[0].reason;
    assert!(said.contains(&named(reason)), "{said}");
    let key: factlog::Uuid = factlog::Uuid::nil();
    assert!(factlog::StreamKey::new("purse", key).is_ok());
}
