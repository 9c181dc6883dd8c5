//! Does the sad path lead back to the happy one? A process is killed at each named point of it.
//!
//! A child decides commands, each with its idempotency key, and says through a pipe which were answered
//! as durable. At a point that its parent has named, in user code or around an operation on files, it
//! kills itself with SIGKILL. The parent opens the log, folds it by itself, holds the engine's state and
//! the answers against that, sends all commands once more, and sees each done exactly once.
//!
//! `FACTLOG_RUNS=1000 cargo test -p factlog-tests --test sad_path` for a thousand runs.
#![cfg(unix)]

use std::collections::{BTreeMap, VecDeque};
use std::env;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use factlog::{
    Aggregate, CommandError, Context, DiskObserver, DiskOperation, Durability, Engine, Events,
    Options, Pending, Snapshots, Start, State, StoredState, WriteWay,
};
use factlog_tests::again::again;
use factlog_tests::{Random, scratch};

const CHILD: &str = "FACTLOG_TEST_SAD_PATH";
const TEST: &str = "does_the_sad_path_lead_back";
const ACCOUNTS: u64 = 8;
const BEGIN: u64 = 10_000;
const COMMANDS: u64 = 400;

/// The named points of the happy path.
const POINTS: [&str; 12] = [
    "taken",
    "deciding",
    "staged",
    "written",
    "before-sync",
    "after-sync",
    "answered",
    "rollover",
    "snapshot-taken",
    "snapshot-written",
    "snapshot-named",
    "anywhere",
];

/// How often the point of this process is passed before it is the end.
static LEFT: AtomicI64 = AtomicI64::new(i64::MAX);

/// Which point it is.
fn named() -> &'static str {
    static POINT: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    POINT.get_or_init(|| {
        let given = env::var(CHILD).unwrap_or_default();
        given.split(' ').next().unwrap_or_default().to_owned()
    })
}

fn pass(point: &str) {
    if named() == point && LEFT.fetch_sub(1, Ordering::AcqRel) == 0 {
        let this = rustix::process::getpid();
        // Nothing runs after it.
        let _ = rustix::process::kill_process(this, rustix::process::Signal::KILL);
        std::thread::sleep(Duration::from_secs(60));
    }
}

#[factlog::event(name = "transfer", version = 1)]
struct Transfer {
    number: u64,
    units: u64,
    to: u64,
}

/// Two events for each command: half of one would be seen.
#[factlog::event(name = "sent", version = 1)]
struct Sent {
    number: u64,
    units: u64,
}

#[factlog::event(name = "received", version = 1)]
struct Received {
    number: u64,
    units: u64,
    from: u64,
    to: u64,
}

#[factlog::vocabulary]
enum AccountEvent {
    Sent(Sent),
    Received(Received),
}

#[factlog::value]
#[derive(Debug, Default, Clone, PartialEq)]
struct Account {
    /// Its own number is not known to the state: the events say who gets what.
    sent: u64,
    passed: u64,
    events: u64,
}

impl State for Account {
    const NAME: &'static str = "account";
    type Key = u64;
    type Event = AccountEvent;
    const STORED: Option<StoredState<Self>> = StoredState::new(1);

    fn evolve(&mut self, event: AccountEventView<'_>) {
        pass("staged");
        self.events += 1;
        match event {
            AccountEventView::Sent(sent) => self.sent += sent.units(),
            // Stands in the streams of both.
            AccountEventView::Received(received) => self.passed += received.units(),
        }
    }
}

impl Aggregate for Account {
    type Command = Transfer;
    type Reply = u64;
    type Rejection = String;

    fn decide(
        &self,
        &Transfer { number, units, to }: &Transfer,
        context: &mut Context<'_, Self>,
    ) -> Result<Events<AccountEvent>, String> {
        pass("deciding");
        let left = BEGIN.saturating_sub(self.sent);
        if units > left {
            return Err("insufficient".to_owned());
        }
        context.reply(left - units);
        let from = *context.key();
        let events = Events::one(Sent { number, units });
        Ok(events.and(Received { number, units, from, to }).also_of::<Account>(to))
    }
}

/// Passes the points that are operations on files.
struct Watch;

impl DiskObserver for Watch {
    fn before(&self, operation: &DiskOperation<'_>) -> io::Result<()> {
        pass("anywhere");
        match operation {
            DiskOperation::Sync(_) => pass("before-sync"),
            DiskOperation::Create(path) if path.extension().is_some_and(|of| of == "tmp") => {
                let snapshot = path.to_string_lossy().contains("snapshots");
                pass(if snapshot { "snapshot-taken" } else { "rollover" });
            }
            DiskOperation::Rename(_, to) if to.extension().is_some_and(|of| of == "img") => {
                pass("snapshot-written");
            }
            _ => {}
        }
        Ok(())
    }

    fn after(&self, operation: &DiskOperation<'_>) {
        match operation {
            DiskOperation::Sync(_) => pass("after-sync"),
            DiskOperation::Write(..) => pass("written"),
            DiskOperation::Rename(_, to) if to.extension().is_some_and(|of| of == "img") => {
                pass("snapshot-named");
            }
            _ => {}
        }
    }
}

fn open(directory: &Path, way: WriteWay) -> Engine {
    let options = Options::new().segment_size(4 << 20).durability(Durability::Group);
    let options = options.write_way(way).disk_observer(Arc::new(Watch));
    let engine = Engine::open(directory).options(options);
    engine.snapshots(Snapshots::every(150)).aggregate::<Account>().start().expect("an engine")
}

/// The command of this number: the same in every process. The last account is poor, and refused.
fn command(seed: u64, number: u64) -> (u64, Transfer) {
    let mut random = Random::new(seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let from = random.below(ACCOUNTS);
    // Never to itself.
    let to = (from + 1 + random.below(ACCOUNTS - 1)) % ACCOUNTS;
    let units = if number.is_multiple_of(9) { BEGIN + 1 } else { random.below(50) };
    (from, Transfer { number, units, to })
}

/// Sends all commands, some at a time, and says which were answered.
fn send_all(engine: &Engine, seed: u64, mut say: impl FnMut(u64, u64, u64)) {
    let mut waiting: VecDeque<(u64, Pending<Account>)> = VecDeque::new();
    let mut settle = |(number, pending): (u64, Pending<Account>)| match pending.wait() {
        Ok(accepted) => {
            assert!(accepted.durable);
            say(number, accepted.first.get(), accepted.events);
            pass("answered");
        }
        Err(CommandError::Rejected { .. }) => {
            say(number, 0, 0);
            pass("answered");
        }
        Err(other) => panic!("{other}"),
    };
    for number in 0..COMMANDS {
        if waiting.len() == 32
            && let Some(oldest) = waiting.pop_front()
        {
            settle(oldest);
        }
        let (from, transfer) = command(seed, number);
        let sent = engine.command::<Account>(from, transfer);
        let sent = sent.idempotency_key(number.to_le_bytes()).send_within(Duration::from_secs(60));
        waiting.push_back((number, sent.expect("room")));
        pass("taken");
    }
    waiting.into_iter().for_each(settle);
}

fn child(directory: &Path, seed: u64, way: WriteWay) {
    let engine = open(directory, way);
    let mut out = io::stdout().lock();
    send_all(&engine, seed, |number, first, events| {
        // One write for each, so that the pipe has all of it or nothing.
        let line = format!("answer {number} {first} {events}\n");
        out.write_all(line.as_bytes()).expect("the parent reads");
        out.flush().expect("the parent reads");
    });
    drop(engine);
}

/// What a log says, folded by hand.
#[derive(Default)]
struct Folded {
    accounts: BTreeMap<u64, Account>,
    /// By number of the command: sequence of each of its two events.
    done: BTreeMap<u64, (Option<u64>, Option<u64>)>,
}

fn fold(directory: &Path) -> Folded {
    let log = Options::new().segment_size(4 << 20).open_read_only(directory).expect("opens");
    let mut folded = Folded::default();
    let mut cursor = log.cursor(Start::Oldest).expect("a cursor");
    while let Some(event) = cursor.next_event().expect("readable") {
        let sequence = event.sequence().get();
        let stream = event.stream().expect("it has one").key().clone();
        let factlog::Key::U64(own) = stream else { panic!("{stream:?}") };
        match event.view::<AccountEvent>().expect("valid").expect("known") {
            AccountEventView::Sent(sent) => {
                let account = folded.accounts.entry(own).or_default();
                (account.sent, account.events) = (account.sent + sent.units(), account.events + 1);
                let twice = folded.done.entry(sent.number()).or_default().0.replace(sequence);
                assert_eq!(twice, None, "command {} was done twice", sent.number());
            }
            AccountEventView::Received(received) => {
                assert_eq!(received.from(), own);
                for number in [own, received.to()] {
                    let account = folded.accounts.entry(number).or_default();
                    account.passed += received.units();
                    account.events += 1;
                }
                let twice = folded.done.entry(received.number()).or_default().1.replace(sequence);
                assert_eq!(twice, None, "command {} was done twice", received.number());
            }
        }
    }
    for (number, events) in &folded.done {
        let (Some(sent), Some(received)) = events else { panic!("half of command {number}") };
        assert_eq!(sent + 1, *received, "command {number}");
    }
    folded
}

fn same_state(engine: &Engine, folded: &Folded) {
    for number in 0..ACCOUNTS {
        let expected = folded.accounts.get(&number).cloned().unwrap_or_default();
        let found = engine.ask::<Account, _>(number, Account::clone).expect("a state");
        assert_eq!(found, expected, "account {number}");
    }
}

/// One run; whether the child was killed.
fn run(seed: u64, point: &str, way: WriteWay) -> bool {
    let directory = scratch();
    let mut random = Random::new(seed);
    // Points that are passed seldom are met early.
    let after = match point {
        "rollover" | "snapshot-taken" | "snapshot-written" | "snapshot-named" => random.below(3),
        "before-sync" | "after-sync" | "written" => random.below(8),
        "anywhere" => random.below(60),
        _ => random.below(COMMANDS),
    };
    let mut command = again(&[], TEST).expect("this program");
    let words = format!("{point} {after} {seed} {way:?}");
    command.env(CHILD, words).env("FACTLOG_TEST_SAD_DIRECTORY", directory.path());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("spawns");
    let answers: Vec<(u64, u64, u64)> = BufReader::new(child.stdout.take().expect("a pipe"))
        .lines()
        .map_while(Result::ok)
        .filter_map(|line| {
            let mut words = line.strip_prefix("answer ")?.split(' ').map(str::parse);
            Some((words.next()?.ok()?, words.next()?.ok()?, words.next()?.ok()?))
        })
        .collect();
    let status = child.wait().expect("ends");
    let killed = std::os::unix::process::ExitStatusExt::signal(&status) == Some(9);
    assert!(killed || status.success(), "{point}: {status}");
    if killed && !directory.path().join("seg").is_dir() {
        return true;
    }

    let engine = open(directory.path(), way);
    engine.close().expect("closes");
    let folded = fold(directory.path());
    for (number, first, events) in &answers {
        match folded.done.get(number) {
            // It was acknowledged as durable.
            Some((sent, _)) => assert_eq!((*sent, *events), (Some(*first), 2), "command {number}"),
            None => assert_eq!(*events, 0, "{point}: command {number} is lost"),
        }
    }
    let engine = open(directory.path(), way);
    same_state(&engine, &folded);
    // Everything once more, as somebody does who has not seen the answers.
    let mut again = BTreeMap::new();
    send_all(&engine, seed, |number, first, events| {
        again.insert(number, (first, events));
    });
    for (number, first, events) in &answers {
        let same = again.get(number).is_some_and(|(other, count)| {
            // Of one that was refused the answer is known, and no place.
            *count == *events && (*events == 0 || other == first)
        });
        assert!(same, "{point}: command {number} is answered otherwise now");
    }
    engine.close().expect("closes");
    let folded = fold(directory.path());
    let accepted = again.values().filter(|(_, events)| *events > 0).count();
    assert_eq!((folded.done.len(), again.len()), (accepted, COMMANDS as usize));
    let (sent, passed) = folded
        .accounts
        .values()
        .fold((0, 0), |(sent, passed), one| (sent + one.sent, passed + one.passed));
    assert_eq!(sent * 2, passed, "what was sent was received");
    killed
}

#[test]
fn does_the_sad_path_lead_back() {
    if let Ok(words) = env::var(CHILD) {
        let mut words = words.split(' ').skip(1);
        let mut word = || words.next().expect("four words");
        let after: i64 = word().parse().expect("a number");
        let seed = word().parse().expect("a number");
        let way = if word() == "Staged" { WriteWay::Staged } else { WriteWay::Mapped };
        LEFT.store(after, Ordering::Release);
        let directory = env::var_os("FACTLOG_TEST_SAD_DIRECTORY").expect("a directory");
        return child(Path::new(&directory), seed, way);
    }
    let runs = env::var("FACTLOG_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(72);
    let mut random = Random::from_environment("sad path");
    let mut killed: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for run_number in 0..runs {
        let point = POINTS[run_number as usize % POINTS.len()];
        let way = if run_number / 12 % 2 == 0 { WriteWay::Mapped } else { WriteWay::Staged };
        let counts = killed.entry(point).or_default();
        counts.0 += 1;
        counts.1 += u64::from(run(random.next(), point, way));
    }
    println!("point: runs, killed there: {killed:?}");
    // A point that nobody was killed at proves nothing.
    assert!(runs < 48 || killed.values().all(|(_, killed)| *killed > 0), "{killed:?}");
}
