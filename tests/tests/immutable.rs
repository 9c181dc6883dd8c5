//! Are facts immutable? What has been sealed has the same bytes whatever is done with the log: corrections,
//! refused commands, snapshots, named cursors, a backup, a fork, a question what would have been, scrubbing,
//! verifying, salvage, retention, and opening again in every way.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use factlog::{
    Aggregate, CommandError, Context, Engine, Events, Fork, History, Options, Recovery, Retention,
    Salvage, Scrub, SegmentId, Sequence, Snapshots, Start, State, StoredState, Turn, WhatIf,
};
use factlog_tests::surgery::{segment_path, used_segments};
use factlog_tests::{scratch, small};

#[factlog::event(name = "write-line", version = 1)]
struct WriteLine {
    text: String,
    /// The line that was wrong; 0 for none.
    instead_of: u64,
}

#[factlog::event(name = "line-written", version = 1)]
struct LineWritten {
    text: String,
}

#[factlog::vocabulary]
enum PageEvent {
    Written(LineWritten),
}

#[factlog::value]
#[derive(Debug, Default, Clone, PartialEq)]
struct Page {
    lines: u64,
    last: String,
}

impl State for Page {
    const NAME: &'static str = "page";
    type Key = u64;
    type Event = PageEvent;
    const STORED: Option<StoredState<Self>> = StoredState::new(1);

    fn evolve(&mut self, event: PageEventView<'_>) {
        let PageEventView::Written(line) = event;
        self.lines += 1;
        self.last = line.text().to_owned();
    }
}

impl Aggregate for Page {
    type Command = WriteLine;
    type Reply = ();
    type Rejection = String;

    fn decide(
        &self,
        line: &WriteLine,
        _: &mut Context<'_, Self>,
    ) -> Result<Events<PageEvent>, String> {
        if line.text.is_empty() {
            return Err("an empty line".to_owned());
        }
        let written = Events::one(LineWritten { text: line.text.clone() });
        Ok(match line.instead_of {
            0 => written,
            wrong => written.invalidating(Sequence::new(wrong)),
        })
    }
}

const PAGES: u64 = 20;

fn engine(directory: &Path, options: Options) -> Engine {
    let snapshots = Snapshots::on_request().bytes_per_second(None);
    let engine = Engine::open(directory).options(options).snapshots(snapshots);
    engine.aggregate::<Page>().start().expect("an engine")
}

/// Writes lines until the log is in its `last`th segment.
fn fill(engine: &Engine, last: u32) {
    let mut number = engine.log().visible().0.get();
    while engine.log().visible().1.segment(22) < SegmentId::new(last) {
        let text = format!("{number} {}", "x".repeat(8_000));
        engine.call::<Page>(number % PAGES, WriteLine { text, instead_of: 0 }).expect("written");
        number += 1;
    }
}

/// The bytes of all segments that have been sealed.
fn sealed(directory: &Path) -> BTreeMap<u32, Vec<u8>> {
    let mut numbers = used_segments(directory);
    numbers.pop();
    let bytes = |number| fs::read(segment_path(directory, number)).expect("there");
    numbers.into_iter().map(|number| (number, bytes(number))).collect()
}

#[track_caller]
fn same(directory: &Path, before: &BTreeMap<u32, Vec<u8>>, left: usize) {
    let now = sealed(directory);
    let changed =
        before.iter().filter(|(number, bytes)| now.get(number).is_some_and(|now| now != *bytes));
    let changed: Vec<_> = changed.map(|(number, _)| number).collect();
    assert!(changed.is_empty(), "segments {changed:?} are others");
    assert_eq!(before.keys().filter(|number| now.contains_key(number)).count(), left);
}

#[test]
fn has_what_is_sealed_the_same_bytes_whatever_is_done() {
    let home = scratch();
    let directory = home.path().join("log");
    fill(&engine(&directory, small()), 4);
    // It is closed: all segments before the last one are sealed.
    let before = sealed(&directory);
    assert_eq!(before.len(), 3);

    let running = engine(&directory, small());
    let log = running.log().clone();
    // Corrections, of the oldest facts as well; commands that are refused.
    let by_page = |key: u64| {
        let mut lines = log.stream(
            &factlog::StreamKey::new("page", key).expect("a key"),
            factlog::StreamVersion::NONE,
        );
        lines.next_event().expect("readable").expect("a line").sequence().get()
    };
    for key in 0..PAGES {
        let text = format!("better {key}");
        let right = WriteLine { text, instead_of: by_page(key) };
        running.call::<Page>(key, right).expect("corrected");
        let refused = running.call::<Page>(key, WriteLine { text: String::new(), instead_of: 0 });
        assert!(matches!(refused, Err(CommandError::Rejected { .. })), "{refused:?}");
    }
    same(&directory, &before, 3);

    running.snapshot().expect("taken");
    let mut cursor = log.named_cursor_from("reader", Start::Oldest).expect("registered");
    for _ in 0..200 {
        cursor.next_event().expect("readable").expect("one more");
    }
    cursor.save().expect("saved");
    drop(cursor);
    log.backup(home.path().join("backup")).expect("copied");
    Fork::of(&log).create(home.path().join("fork")).expect("forked");
    let gone = Sequence::new(30);
    let mut what_if =
        WhatIf::before(&log, gone, home.path().join("what-if"), small()).expect("begun");
    let done = what_if
        .rerun(|fact| if fact.sequence() == gone { Turn::Skip } else { Turn::Keep })
        .expect("appended again");
    assert_eq!(done.skipped, 1);
    drop(what_if);
    let mut past = History::of(&log).state::<Page>().open();
    assert_eq!(past.state::<Page>(1_u64, gone).expect("told").state.lines, 2);
    let scrubbed = log.scrub(Scrub::new()).expect("looked through");
    assert!(scrubbed.is_clean(), "{scrubbed:?}");
    same(&directory, &before, 3);

    // The forks are written to, which share segments with it.
    for fork in ["fork", "what-if"] {
        let fork = engine(&home.path().join(fork), small());
        fork.call::<Page>(3_u64, WriteLine { text: "here only".into(), instead_of: 0 })
            .expect("written");
        fork.close().expect("closed");
    }
    same(&directory, &before, 3);
    running.close().expect("closed");
    drop(log);

    // It is looked at, and opened again.
    let verified = small().verify(&directory).expect("verified");
    let all = verified.next_sequence.before().get();
    let mut salvaged = 0;
    Salvage::of(&directory)
        .run(|_| {
            salvaged += 1;
            ControlFlow::Continue(())
        })
        .expect("listed");
    assert_eq!(salvaged, all);
    small().open_read_only(&directory).expect("opens");
    for recovery in [Recovery::Strict, Recovery::Repair] {
        engine(&directory, small().recovery(recovery)).close().expect("closed");
    }
    same(&directory, &before, 3);

    // What goes, goes whole.
    let running = engine(&directory, small());
    fill(&running, 7);
    running.snapshot().expect("taken");
    running.log().forget_cursor("reader").expect("forgotten");
    let retained = running.retain(&Retention::keep_segments(5)).expect("dropped");
    assert!(retained.dropped > 0, "{retained:?}");
    let left = before.len() - retained.dropped as usize;
    same(&directory, &before, left);
    running.close().expect("closed");
    same(&directory, &before, left);
}
