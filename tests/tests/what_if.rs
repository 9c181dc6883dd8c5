//! What if an event had not happened? The origin is as it was, and the fork has exactly what is to be
//! expected.
//!
//! Random logs of transactions over streams, with causes, conversations, corrections and metadata. What the
//! fork must have is made from the list of the origin's events by a loop that is as simple as can be:
//! leave out, replace, number anew.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use factlog::{
    Aggregate, AppendError, Context, Engine, EventType, Events, Expected, Fact, Fork, ForkError,
    History, Log, Meta, Moment, Opaque, Options, Sequence, Start, State, StoredState, StreamKey,
    Turn, WhatIf, WhatIfError, Writer,
};
use factlog_tests::{Random, Seen, digest, read_all, small};

static NOTED: EventType = EventType::opaque("noted", 1);
static OTHER: EventType = EventType::opaque("other", 1);

fn stream(number: u64) -> StreamKey {
    StreamKey::new("of", number).expect("a name")
}

/// Appends a transaction of events that name earlier ones.
fn transaction(writer: &mut Writer, random: &mut Random, corrected: &mut Vec<(u64, u64)>) {
    let before = writer.next_sequence().get() - 1;
    let mut transaction = writer.begin().expect("begun");
    for number in 0..=random.below(4) {
        let sequence = before + number + 1;
        let bytes = vec![random.next() as u8; random.below(2000) as usize];
        let (one, two) = (random.below(5), stream(5 + random.below(3)));
        let (own, also) = (stream(one), [(&two, Expected::Any)]);
        let mut meta = Meta::new();
        if random.below(5) > 0 {
            meta = meta.stream(&own, Expected::Any);
            let further = random.below(3) == 0;
            if further {
                meta = meta.further(&also);
            }
            // One of the same stream that nobody has corrected: of each at most one.
            let found = corrected.iter().position(|(of, _)| *of == one);
            if let Some(found) = found.filter(|_| random.below(4) == 0) {
                meta = meta.invalidates(Sequence::new(corrected.remove(found).1));
            }
            // A correction would have to be in all streams of what it corrects.
            if !further {
                corrected.push((one, sequence));
            }
        }
        if sequence > 1 && random.below(2) == 0 {
            meta = meta.cause(Sequence::new(1 + random.below(sequence - 1)));
            meta = meta.correlation(Sequence::new(1 + random.below(sequence - 1)));
        }
        let metadata = [random.next() as u8; 5];
        if random.below(3) == 0 {
            meta = meta.metadata(&metadata);
        }
        let of = if random.below(9) == 0 { &OTHER } else { &NOTED };
        transaction.append_with(&Opaque::new(of, &bytes), meta).expect("appended");
    }
    transaction.commit().expect("committed");
}

fn origin(directory: &Path, random: &mut Random, transactions: u64) -> Writer {
    let mut writer = small().open(directory).expect("a log");
    let mut corrected = Vec::new();
    for _ in 0..transactions {
        transaction(&mut writer, random, &mut corrected);
    }
    writer.sync().expect("synced");
    writer
}

/// All that an event has, with what it corrects, and its further streams.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Whole {
    seen: Seen,
    invalidates: Option<u64>,
    further: Vec<(StreamKey, u64)>,
    source: Option<u64>,
}

fn whole(log: &Log) -> Vec<Whole> {
    let mut cursor = log.cursor(Start::Oldest).expect("a cursor");
    let mut all = Vec::new();
    while let Some(event) = cursor.next_event().expect("readable") {
        let further = event.further_streams().expect("readable");
        all.push(Whole {
            seen: Seen { epoch: 0, ..Seen::of(event) },
            invalidates: event.invalidates().expect("readable").map(Sequence::get),
            further: further.into_iter().map(|(of, at)| (of.clone(), at.get())).collect(),
            source: event.source().expect("readable").map(|source| source.sequence.get()),
        });
    }
    all
}

/// What is left of `events` where those for which `leave` holds did not happen, from `cut` on.
fn model(
    events: &[Whole],
    cut: u64,
    leave: impl Fn(&Whole, &BTreeMap<u64, u64>) -> bool,
) -> Vec<Whole> {
    let (mut here, mut left) = (BTreeMap::new(), Vec::new());
    let mut versions: BTreeMap<StreamKey, u64> = BTreeMap::new();
    for event in events {
        let there = event.seen.sequence;
        if there >= cut && leave(event, &here) {
            continue;
        }
        let sequence = left.len() as u64 + 1;
        let name = |named: Option<u64>| named.and_then(|named| here.get(&named).copied());
        let mut next = |of: &StreamKey| {
            let version = versions.entry(of.clone()).or_default();
            *version += 1;
            *version
        };
        let stream = event.seen.stream.as_ref().map(|(of, _)| (of.clone(), next(of)));
        let further = event.further.iter().map(|(of, _)| (of.clone(), next(of))).collect();
        left.push(Whole {
            seen: Seen {
                sequence,
                stream,
                cause: name(event.seen.cause),
                correlation: name(event.seen.correlation),
                ..event.seen.clone()
            },
            invalidates: name(event.invalidates),
            further,
            source: (there >= cut).then_some(there),
        });
        here.insert(there, sequence);
    }
    left
}

fn files(directory: &Path) -> BTreeMap<std::path::PathBuf, u64> {
    let folders = [directory.to_path_buf(), directory.join("seg")];
    let entries = folders.iter().flat_map(|folder| fs::read_dir(folder).expect("a folder"));
    let paths = entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_file());
    paths.map(|path| (path.clone(), digest(&fs::read(&path).expect("read")))).collect()
}

/// Where the transaction begins in which an event stands.
fn begin_of(events: &[Whole], sequence: u64) -> u64 {
    let ts = events[sequence as usize - 1].seen.ts;
    events.iter().find(|event| event.seen.ts == ts).expect("there is one").seen.sequence
}

/// One event alone, or with all that it led to: what is left stands in the fork with all that it has.
#[test]
fn does_the_fork_have_exactly_what_is_left() {
    let mut random = Random::from_environment("what if one had not happened");
    let directory = tempfile::tempdir().expect("a directory");
    let from = directory.path().join("origin");
    let writer = origin(&from, &mut random, 400);
    let events = whole(&writer.log());
    let origin_id = writer.log_id();
    writer.close().expect("closed");
    let before = files(&from);
    let log = Options::new().open_read_only(&from).expect("opens");
    let mut unlinked = 0;
    for round in 0..10 {
        let gone = 1 + random.below(events.len() as u64);
        let with_consequences = round % 2 == 0;
        let to = directory.path().join(format!("fork-{round}"));
        let mut what_if = WhatIf::before(&log, Sequence::new(gone), &to, small()).expect("begun");
        let cut = begin_of(&events, gone);
        assert_eq!(what_if.forked().last.get(), cut - 1);
        let done = what_if
            .rerun(|fact| {
                if fact.sequence().get() == gone {
                    Turn::Skip
                } else if with_consequences {
                    Turn::with_its_cause(fact)
                } else {
                    Turn::Keep
                }
            })
            .expect("appended again");
        let expected = model(&events, cut, |event, here| {
            let caused = |cause: u64| !here.contains_key(&cause);
            event.seen.sequence == gone || with_consequences && event.seen.cause.is_some_and(caused)
        });
        assert_eq!(whole(&what_if.log()), expected, "without {gone}");
        let left = expected.len() as u64;
        assert_eq!(done.kept, left - (cut - 1));
        assert_eq!(done.skipped, events.len() as u64 - left);
        unlinked += done.unlinked;
        let there = 1 + random.below(events.len() as u64);
        let here = what_if.here(Sequence::new(there)).map(Sequence::get);
        let by_source = expected.iter().find(|event| event.source == Some(there));
        let known =
            if there < cut { Some(there) } else { by_source.map(|event| event.seen.sequence) };
        assert_eq!(here, known, "where {there} went");
        what_if.close().expect("closed");
        let again = small().open(&to).expect("a log like any other");
        assert_eq!(whole(&again.log()), expected);
        let mut cursor = again.log().cursor(Start::Sequence(Sequence::new(cut))).expect("a cursor");
        if let Some(event) = cursor.next_event().expect("readable") {
            assert_eq!(event.source().expect("readable").expect("one").log, origin_id);
        }
        drop(cursor);
        again.close().expect("closed");
    }
    assert!(unlinked > 0, "some name was left out");
    assert_eq!(files(&from), before, "the origin is as it was");
}

/// Another event in its place, and further ones in between, in the middle of a transaction too.
#[test]
fn can_something_else_happen_instead() {
    let mut random = Random::from_environment("what if something else had happened");
    let directory = tempfile::tempdir().expect("a directory");
    let writer = origin(&directory.path().join("origin"), &mut random, 60);
    let log = writer.log();
    let events = whole(&log);
    let middle = events
        .windows(2)
        .skip(events.len() / 3)
        .find(|pair| pair[0].seen.ts == pair[1].seen.ts)
        .expect("a transaction of two")[1]
        .seen
        .sequence;
    let to = directory.path().join("fork");
    let mut what_if = WhatIf::before(&log, Sequence::new(middle), &to, small()).expect("begun");
    what_if.rerun_up_to(Sequence::new(middle - 1), |_| Turn::Keep).expect("appended again");
    assert_eq!(what_if.next_sequence().get(), middle);
    let own = what_if.writer().append(&Opaque::new(&OTHER, b"new")).expect("appended");
    assert_eq!(own.get(), middle);
    let done = what_if
        .rerun(|fact| match fact.sequence().get() {
            gone if gone == middle => {
                Turn::replace(&Opaque::new(&NOTED, b"something else")).expect("archived")
            }
            _ => Turn::Keep,
        })
        .expect("appended again");
    assert_eq!((done.skipped, done.replaced, done.lost), (0, 1, 0));
    let seen = whole(&what_if.log());
    assert_eq!(seen.len(), events.len() + 1);
    for event in &events {
        let there = event.seen.sequence;
        let here = there + u64::from(there >= middle);
        let found = &seen[here as usize - 1];
        assert_eq!(what_if.here(Sequence::new(there)).map(Sequence::get), Some(here));
        let shifted = |named: Option<u64>| named.map(|named| named + u64::from(named >= middle));
        assert_eq!(found.seen.cause, shifted(event.seen.cause));
        assert_eq!(found.seen.stream, event.seen.stream, "the same place in the same stream");
        if there == middle {
            assert_eq!(found.seen.payload, b"something else");
        } else {
            assert_eq!(found.seen.payload, event.seen.payload);
            // In the middle of a transaction there is another frame now: a moment later.
            assert!(found.seen.ts >= event.seen.ts && found.seen.ts < event.seen.ts + 10);
        }
    }
    // What was not appended is told, and stays to be done.
    let to = directory.path().join("refused");
    let mut what_if = WhatIf::before(&log, Sequence::new(middle), &to, small()).expect("begun");
    let begin = what_if.next_sequence();
    let huge = vec![0; 2 << 20];
    let large = |fact: &Fact<'_>| {
        let bytes = if fact.sequence().get() == middle { &huge[..(1 << 20) - 16] } else { b"" };
        Turn::replace(&Opaque::new(&NOTED, bytes)).expect("archived")
    };
    let refused = what_if.rerun(large);
    assert!(
        matches!(refused, Err(WhatIfError::Append(at, AppendError::TooLarge { .. })) if at.get() == middle),
        "{refused:?}"
    );
    assert_eq!((what_if.next_sequence(), what_if.so_far().kept), (begin, 0));
    assert_eq!(what_if.log().visible().0, begin.before());
    assert_eq!(what_if.here(begin), None);
    what_if.rerun(|_| Turn::Keep).expect("appended again");
    assert_eq!(whole(&what_if.log()).len(), events.len());
    writer.close().expect("closed");
}

/// A transaction that was as large as one can be is appended again, though there is no room to say where
/// it came from.
#[test]
fn is_a_transaction_of_the_greatest_size_appended_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = small().open(directory.path().join("origin")).expect("a log");
    writer.append(&Opaque::new(&NOTED, b"one")).expect("appended");
    let mut transaction = writer.begin().expect("begun");
    let mut events = 0;
    while transaction.append(&Opaque::new(&NOTED, b"sixteen bytes...")).is_ok() {
        events += 1;
    }
    transaction.commit().expect("committed");
    writer.sync().expect("synced");
    assert!(events > 30_000, "{events}");
    let to = directory.path().join("fork");
    let mut what_if = WhatIf::before(&writer.log(), Sequence::new(2), &to, small()).expect("begun");
    let done = what_if.rerun(|_| Turn::Keep).expect("appended again");
    assert_eq!(done.kept, events);
    let facts = |log: &Log| {
        read_all(log).into_iter().map(|seen| (seen.ts, seen.payload)).collect::<Vec<_>>()
    };
    assert_eq!(facts(&what_if.log()), facts(&writer.log()));
    what_if.close().expect("closed");
    writer.close().expect("closed");
}

#[test]
fn is_what_cannot_begin_refused() {
    let mut random = Random::from_environment("what cannot begin");
    let directory = tempfile::tempdir().expect("a directory");
    let writer = origin(&directory.path().join("origin"), &mut random, 5);
    let to = directory.path().join("fork");
    let last = writer.log().visible().0;
    let refused = WhatIf::before(&writer.log(), last.after(2), &to, small());
    assert!(matches!(refused, Err(WhatIfError::Fork(ForkError::Beyond(_)))));
    assert!(!to.exists());
    // The next event, which has not happened: nothing is appended again.
    let mut what_if = WhatIf::before(&writer.log(), last.after(1), &to, small()).expect("begun");
    let done = what_if.rerun(|_| unreachable!("there is none")).expect("nothing to do");
    assert_eq!(done, Default::default());
    assert_eq!(what_if.log().visible().0, last);
    what_if.close().expect("closed");
    writer.close().expect("closed");
}

#[factlog::event(name = "deposited", version = 1)]
struct Deposited {
    cents: u64,
}

#[factlog::event(name = "withdrawn", version = 1)]
struct Withdrawn {
    cents: u64,
}

#[factlog::vocabulary]
enum AccountEvent {
    Deposited(Deposited),
    Withdrawn(Withdrawn),
}

#[factlog::event(name = "withdraw", version = 1)]
struct Withdraw {
    cents: u64,
}

#[factlog::value]
#[derive(Default)]
struct Account {
    cents: i64,
}

impl State for Account {
    const NAME: &'static str = "account";
    type Key = u64;
    type Event = AccountEvent;
    const STORED: Option<StoredState<Self>> = StoredState::new(1);

    fn evolve(&mut self, event: AccountEventView<'_>) {
        match event {
            AccountEventView::Deposited(deposited) => self.cents += deposited.cents() as i64,
            AccountEventView::Withdrawn(withdrawn) => self.cents -= withdrawn.cents() as i64,
        }
    }
}

impl Aggregate for Account {
    type Command = Withdraw;
    type Reply = ();
    type Rejection = String;

    fn decide(
        &self,
        command: &Withdraw,
        _: &mut Context<'_, Self>,
    ) -> Result<Events<AccountEvent>, String> {
        if self.cents < command.cents as i64 {
            return Err(format!("{} of {} cents", command.cents, self.cents));
        }
        Ok(Events::one(Withdrawn { cents: command.cents }))
    }
}

/// One deposit is left out: that account has less, the others have what they had; and commands are
/// decided on it as they would have been.
#[test]
fn does_the_difference_show_exactly_the_consequences() {
    let mut random = Random::from_environment("accounts with another past");
    let directory = tempfile::tempdir().expect("a directory");
    let (from, to) = (directory.path().join("origin"), directory.path().join("fork"));
    let mut writer = small().open(&from).expect("a log");
    for _ in 0..500 {
        let account = StreamKey::new("account", random.below(20)).expect("a name");
        let meta = Meta::new().stream(&account, Expected::Any);
        writer.append_with(&Deposited { cents: 1 + random.below(100) }, meta).expect("appended");
    }
    writer.sync().expect("synced");
    let gone = Sequence::new(100 + random.below(300));
    let log = writer.log();
    let (of, cents) = log
        .with_event(gone, |event| {
            let cents = event.get::<Deposited>().expect("valid").expect("one").cents();
            (event.stream().expect("one").key().clone(), cents)
        })
        .expect("read");
    let mut what_if = WhatIf::before(&log, gone, &to, small()).expect("begun");
    what_if
        .rerun(|fact| if fact.sequence() == gone { Turn::Skip } else { Turn::Keep })
        .expect("appended again");
    what_if.close().expect("closed");
    writer.close().expect("closed");
    let before = files(&from);
    // The two images differ in that account, and by that sum.
    let image = |directory: &Path| {
        let log = small().open_read_only(directory).expect("opens");
        History::of(&log).state::<Account>().open().as_of(Moment::Now).expect("an image")
    };
    let (mut origin, mut fork, mut differences) = (image(&from), image(&to), Vec::new());
    let account = match of {
        factlog::Key::U64(account) => account,
        other => panic!("{other:?}"),
    };
    let cents_of = |image: &mut factlog::PastImage| {
        image.with::<Account, _>(account, |account| account.cents).expect("there")
    };
    assert_eq!(cents_of(&mut origin) - cents_of(&mut fork), cents as i64);
    origin.diff(&fork, |one| differences.push(one)).expect("described");
    assert_eq!(differences.len(), 1, "{differences:?}");
    let path = format!("/account/{account}/cents");
    assert_eq!((differences[0].kind, &differences[0].key), ("account", &of));
    assert!(differences[0].patch.changes().iter().all(|change| change.path() == path));
    let open = |directory: &Path| {
        let engine = Engine::open(directory).options(small()).aggregate::<Account>();
        engine.start_local().expect("an engine")
    };
    let copy = directory.path().join("copy");
    Fork::of(&Options::new().open_read_only(&from).expect("opens")).create(&copy).expect("forked");
    let (mut there, mut here) = (open(&copy), open(&to));
    for account in 0..20_u64 {
        let had = there.look::<Account, _>(account, |account| account.cents).expect("folded");
        let has = here.look::<Account, _>(account, |account| account.cents).expect("folded");
        if of == factlog::Key::U64(account) {
            assert_eq!(had - has, cents as i64);
            // What it had can be withdrawn there, and not here.
            let all = Withdraw { cents: had as u64 };
            there.call::<Account>(account, all).expect("accepted");
            let refused = here.call::<Account>(account, Withdraw { cents: had as u64 });
            let said = refused.expect_err("refused").to_string();
            assert!(said.contains(&format!("{had} of {has} cents")), "{said}");
        } else {
            assert_eq!(had, has, "account {account}");
        }
    }
    there.close().expect("closed");
    here.close().expect("closed");
    assert_eq!(files(&from), before);
}

/// What an engine on a fork begins with is the newest snapshot of the origin that the fork has the
/// event of, by the lineage; a snapshot of what the fork has not is passed over.
#[test]
fn does_an_engine_on_a_fork_begin_with_its_origins_snapshot() {
    let directory = tempfile::tempdir().expect("a directory");
    let (from, to) = (directory.path().join("origin"), directory.path().join("fork"));
    let deposit = |writer: &mut Writer, number: u64| {
        let account = StreamKey::new("account", number % 20).expect("a name");
        let meta = Meta::new().stream(&account, Expected::Any);
        writer.append_with(&Deposited { cents: number }, meta).expect("appended");
    };
    let mut writer = small().open(&from).expect("a log");
    (0..200).for_each(|number| deposit(&mut writer, number));
    writer.close().expect("closed");
    let engine = || Engine::open(&from).options(small()).aggregate::<Account>().start();
    let snapshots: Vec<_> = [300, 400]
        .into_iter()
        .map(|until| {
            let engine = engine().expect("an engine");
            let taken = engine.snapshot().expect("a snapshot").sequence;
            engine.close().expect("closed");
            let mut writer = small().open(&from).expect("opens");
            (until - 100..until).for_each(|number| deposit(&mut writer, number));
            writer.close().expect("closed");
            taken
        })
        .collect();
    assert_eq!(snapshots, [Sequence::new(200), Sequence::new(300)]);
    let log = small().open_read_only(&from).expect("opens");
    Fork::of(&log).at(Sequence::new(250)).create(&to).expect("forked");
    let fork = Engine::open(&to).options(small()).aggregate::<Account>();
    let mut fork = fork.start_local().expect("an engine");
    let began = fork.restart();
    assert_eq!((began.snapshot, began.folded), (Some(snapshots[0]), 50), "{began:?}");
    for account in 0..20_u64 {
        let has = fork.look::<Account, _>(account, |account| account.cents).expect("folded");
        let expected = (0..250).filter(|number| number % 20 == account).sum::<u64>();
        assert_eq!(has, expected as i64, "account {account}");
    }
    fork.close().expect("closed");
}
