//! Does a log give back what was appended, in order and whole?
//!
//! Method: append, read with a cursor, reopen, compare everything that an event has. Transactions
//! are watched from another thread while they are made.

use std::sync::atomic::{AtomicBool, Ordering};

use factlog::{
    AppendError, Encoding, EventType, Expected, Meta, Opaque, Receipt, RecoveryOutcome, Sequence,
    Start, StreamKey, StreamVersion,
};
use factlog_tests::surgery::used_segments;
use factlog_tests::{Random, read_all, small};

#[factlog::event(name = "deposited", version = 1)]
#[derive(Debug, PartialEq)]
struct Deposited {
    amount: u64,
    note: String,
}

#[factlog::event(name = "counted", version = 3)]
struct Counted {
    number: u64,
}

static BLOCK: EventType = EventType::opaque("block", 1);

fn deposited(amount: u64) -> Deposited {
    Deposited { amount, note: format!("number {amount}") }
}

fn stream(key: u64) -> StreamKey {
    StreamKey::new("account", key).expect("a name")
}

/// Appends, closes or drops, and opens again, for `rounds` rounds.
fn reopen(close: bool, expected: RecoveryOutcome) {
    let directory = tempfile::tempdir().expect("a directory");
    let mut amounts = Vec::new();
    for round in 0..5 {
        let mut writer = small().open(directory.path()).expect("a log");
        let outcome = writer.recovery().outcome;
        assert_eq!(outcome, if round == 0 { RecoveryOutcome::Created } else { expected });
        assert_eq!(writer.epoch().get(), round + 1);
        assert_eq!(writer.next_sequence().get(), amounts.len() as u64 + 1);
        for _ in 0..=round {
            let amount = amounts.len() as u64 + 1;
            let name = stream(amount % 2);
            let meta = Meta::new().stream(&name, Expected::Any);
            let sequence = writer.append_with(&deposited(amount), meta).expect("appended");
            assert_eq!(sequence.get(), amount);
            amounts.push((amount, round + 1));
        }
        if close {
            writer.close().expect("closed");
        } else {
            drop(writer);
        }
        let log = small().open_read_only(directory.path()).expect("a log");
        let mut cursor = log.cursor(Start::Oldest).expect("a cursor");
        for (amount, epoch) in &amounts {
            let event = cursor.next_event().expect("readable").expect("there");
            assert_eq!(event.epoch().get(), *epoch);
            assert_eq!(event.stream(), Some(&stream(amount % 2)));
            let view = event.get::<Deposited>().expect("valid").expect("the type");
            assert_eq!(view.to_owned(), deposited(*amount));
            assert!(event.get::<Counted>().expect("another type").is_none());
        }
        assert!(cursor.next_event().expect("readable").is_none());
        let known: Vec<_> = log.types().map(|known| (known.name(), known.encoding())).collect();
        assert_eq!(known, [("deposited", Encoding::Archive)]);
    }
}

#[test]
fn does_a_log_that_was_closed_give_back_everything() {
    reopen(true, RecoveryOutcome::ClosedCleanly);
}

#[test]
fn does_a_log_that_was_dropped_give_back_everything() {
    reopen(false, RecoveryOutcome::Clean);
}

#[test]
fn does_a_log_go_on_over_many_segments() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut random = Random::from_environment("log_basics");
    let mut lengths = Vec::new();
    for _ in 0..3 {
        let mut writer = small().open(directory.path()).expect("a log");
        for _ in 0..200 {
            let length = random.below(90_000) as usize;
            let payload = vec![lengths.len() as u8; length];
            let name = stream(random.below(3));
            let meta = Meta::new().stream(&name, Expected::Any);
            writer.append_with(&Opaque::new(&BLOCK, &payload), meta).expect("appended");
            lengths.push(length);
        }
        assert!(writer.log().stats().rollovers >= 1);
        drop(writer);
    }
    let used = used_segments(directory.path());
    assert!(used.len() >= 6, "{used:?}");
    assert_eq!(used, (1..=used.len() as u32).collect::<Vec<_>>());

    let log = small().open_read_only(directory.path()).expect("a log");
    // Batch by batch, and event by event.
    let mut cursor = log.cursor(Start::Oldest).expect("a cursor");
    let mut batched = Vec::new();
    loop {
        let before = batched.len();
        for event in cursor.poll().expect("readable") {
            let event = event.expect("readable");
            assert!(event.payload().iter().all(|byte| *byte == batched.len() as u8));
            batched.push(event.payload().len());
        }
        if batched.len() == before {
            break;
        }
    }
    assert_eq!(batched, lengths);
    let singly: Vec<_> = read_all(&log).into_iter().map(|event| event.payload.len()).collect();
    assert_eq!(singly, lengths);
}

/// Tells the reader that nothing more comes, also if the writer fails: it would wait for ever.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

#[test]
fn is_a_transaction_visible_at_once_or_not_at_all() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = small().open(directory.path()).expect("a log");
    let log = writer.log();
    let done = AtomicBool::new(false);
    // Each event says how many of its transaction come behind it: a reader that runs out of
    // events while some are owed has seen a part.
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut cursor = log.cursor(Start::Oldest).expect("a cursor");
            let (mut owed, mut seen) = (0, 0_u64);
            loop {
                let last_look = done.load(Ordering::Acquire);
                let mut any = false;
                for event in cursor.poll().expect("readable") {
                    let event = event.expect("readable");
                    let behind = event.get::<Counted>().expect("valid").expect("it").number();
                    assert!(owed == 0 || behind + 1 == owed, "{behind} where {owed} were owed");
                    owed = behind;
                    seen += 1;
                    any = true;
                }
                assert_eq!(owed, 0, "part of a transaction was seen");
                // Sequence and position belong together: nothing that is counted is missing.
                let (visible, _) = log.visible();
                assert!(visible.get() >= seen);
                if last_look && !any {
                    assert_eq!(seen, log.visible().0.get());
                    break;
                }
            }
        });
        let told = Done(&done);
        let mut random = Random::from_environment("transactions");
        for _ in 0..3_000 {
            let mut transaction = writer.begin().expect("a transaction");
            let size = 1 + random.below(40);
            for behind in (0..size).rev() {
                transaction.append(&Counted { number: behind }).expect("appended");
            }
            if random.below(4) == 0 {
                drop(transaction);
            } else {
                assert_eq!(transaction.commit().expect("committed").events, size);
            }
        }
        drop(told);
    });
}

#[test]
fn does_a_dropped_transaction_leave_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = small().open(directory.path()).expect("a log");
    let (one, two) = (stream(1), stream(2));
    writer.append_with(&deposited(1), Meta::new().stream(&one, Expected::NEW)).expect("one");
    let log = writer.log();
    let before = log.visible();

    let mut transaction = writer.begin().expect("a transaction");
    assert!(transaction.is_empty());
    let meta = Meta::new().stream(&one, Expected::Any);
    assert_eq!(transaction.append_with(&deposited(2), meta).expect("staged").get(), 2);
    let meta = Meta::new().stream(&two, Expected::NEW);
    assert_eq!(transaction.append_with(&Counted { number: 1 }, meta).expect("staged").get(), 3);
    assert_eq!(transaction.len(), 2);
    assert_eq!(log.visible(), before);
    drop(transaction);

    // Neither sequences, stream versions, streams nor types are used up.
    assert_eq!((log.visible(), log.streams(), log.types().count()), (before, 1, 1));
    assert_eq!(writer.stream_version(&one).get(), 1);
    assert_eq!(writer.stream_version(&two), StreamVersion::NONE);
    let empty = writer.begin().expect("a transaction").commit().expect("committed");
    assert_eq!(empty, Receipt { first: Sequence::new(2), events: 0, durable: false });
    assert_eq!(empty.last().get(), 1);
    let meta = Meta::new().stream(&two, Expected::NEW);
    assert_eq!(writer.append_with(&Counted { number: 7 }, meta).expect("appended").get(), 2);
    let numbers: Vec<_> = writer.log().types().map(|known| known.number().get()).collect();
    assert_eq!(numbers, [1, 2]);
    drop(writer);

    let writer = small().open(directory.path()).expect("a log");
    assert_eq!(writer.recovery().outcome, RecoveryOutcome::Clean, "the claim was zeroed");
    let events = read_all(&writer.log());
    assert_eq!(events.len(), 2);
    assert_eq!(events[1].stream, Some((two, 1)));
}

#[test]
fn does_an_error_of_one_append_leave_the_rest_of_its_transaction() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = small().open(directory.path()).expect("a log");
    let mut transaction = writer.begin().expect("a transaction");
    let of = |key: &'static str| StreamKey::new("order", key).expect("a name");
    let (kept, refused) = (of("kept"), of("refused"));
    let staged = transaction.append_with(&deposited(1), Meta::new().stream(&kept, Expected::NEW));
    assert_eq!(staged.expect("staged").get(), 1);

    // Too large, with a stream and a type that are new: both are taken back.
    let huge = vec![1_u8; 2 << 20];
    let meta = Meta::new().stream(&refused, Expected::NEW);
    let error = transaction.append_with(&Opaque::new(&BLOCK, &huge), meta);
    assert!(matches!(error, Err(AppendError::TooLarge { limit: 0x10_0000 })), "{error:?}");
    let error = transaction.append_with(&deposited(2), Meta::new().stream(&kept, Expected::NEW));
    let Err(AppendError::Conflict { stream, expected, actual }) = error else {
        panic!("{error:?}")
    };
    assert_eq!((stream, expected.get(), actual.get()), (kept.clone(), 0, 1));
    for unknown in [0, 2, 900] {
        let unknown = Sequence::new(unknown);
        let error = transaction.append_with(&deposited(3), Meta::new().cause(unknown));
        assert!(matches!(error, Err(AppendError::Unknown(named)) if named == unknown));
        let error = transaction.append_with(&deposited(3), Meta::new().correlation(unknown));
        assert!(matches!(error, Err(AppendError::Unknown(named)) if named == unknown));
    }

    // What was taken back can be had again, and an earlier event of the transaction be a cause.
    let meta = Meta::new().stream(&refused, Expected::NEW).cause(Sequence::new(1));
    assert_eq!(transaction.append_with(&deposited(4), meta).expect("staged").get(), 2);
    let meta = Meta::new().stream(&kept, Expected::Version(StreamVersion::new(1)));
    assert_eq!(transaction.append_with(&deposited(5), meta).expect("staged").get(), 3);
    let receipt = transaction.commit().expect("committed");
    assert_eq!((receipt.first.get(), receipt.last().get(), receipt.events), (1, 3, 3));
    assert_eq!(writer.log().types().count(), 1, "the type of the refused event is not there");

    // All or nothing: one that is refused takes the others with it.
    let blocks = [Opaque::new(&BLOCK, b"small"), Opaque::new(&BLOCK, &huge)];
    assert!(matches!(writer.append_all(&blocks), Err(AppendError::TooLarge { .. })));
    let receipt = writer.append_all(&[deposited(6), deposited(7)]).expect("appended");
    assert_eq!((receipt.first.get(), receipt.events), (4, 2));
    drop(writer);

    let writer = small().open(directory.path()).expect("a log");
    assert_eq!(writer.recovery().outcome, RecoveryOutcome::Clean);
    let events = read_all(&writer.log());
    let streams: Vec<_> = events.iter().map(|event| event.stream.clone()).collect();
    let (first, second) = (Some((kept.clone(), 1)), Some((kept, 2)));
    assert_eq!(streams, [first, Some((refused, 1)), second, None, None]);
    assert_eq!(events[1].cause, Some(1));
    // One frame has one time.
    assert!(events[0].ts == events[2].ts && events[2].ts < events[3].ts);
}
