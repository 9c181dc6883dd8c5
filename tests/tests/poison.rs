//! Does everybody learn that a segment in use has failed, and does nothing go on as if it had not?
//!
//! Method: the last page of the segment in use is cut off behind the engine's back. Nothing is ever
//! stored there but the SEAL, so the writer goes on until it leaves the segment; then the length
//! does not hold.

use std::fs::OpenOptions;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use factlog::{
    AppendError, Durability, EventType, Opaque, Refusal, Retention, Sequence, Start, SubmitError,
    SyncError, ThreadOptions, WaitStrategy, Waited, Writer,
};
use factlog_tests::small;
use factlog_tests::surgery::segment_path;

static BLOCK: EventType = EventType::opaque("block", 1);
const SOON: Duration = Duration::from_secs(60);

fn cut_the_last_page(directory: &Path) {
    let file = OpenOptions::new().write(true).open(segment_path(directory, 1)).expect("opened");
    file.set_len((4 << 20) - 4096).expect("cut");
}

/// Appends until the log is poisoned; how many events there are then.
fn until_poisoned(writer: &mut Writer) -> u64 {
    let began = Instant::now();
    loop {
        match writer.append(&Opaque::new(&BLOCK, &[7; 10_000])) {
            Ok(_) => assert!(began.elapsed() < SOON, "nothing was noticed"),
            Err(AppendError::Poisoned(cause)) => {
                assert!(cause.to_string().contains("0000000001.log"), "{cause}");
                return writer.next_sequence().get() - 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn does_everybody_learn_that_a_segment_has_failed() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = small().open(directory.path()).expect("opens");
    writer.append(&Opaque::new(&BLOCK, b"before")).expect("appended");
    writer.sync().expect("synced");
    let durable = writer.log().durable();
    cut_the_last_page(directory.path());
    let log = writer.log();
    let reader = thread::spawn(move || {
        let mut cursor = log.cursor(Start::Oldest).expect("a cursor");
        let mut seen = 0;
        while cursor.wait(WaitStrategy::Park, SOON) == Waited::Ready {
            while cursor.next_event().expect("readable").is_some() {
                seen += 1;
            }
        }
        (cursor, seen)
    });
    let events = until_poisoned(&mut writer);
    // The reader reads what is there, and then learns that no more will come.
    let (mut cursor, mut seen) = reader.join().expect("no panic");
    // What was being appended at that moment may have come after.
    assert!(seen + 1 >= events, "{seen} of {events} were seen");
    while cursor.next_event().expect("readable").is_some() {
        seen += 1;
    }
    assert_eq!(seen, events);
    assert_eq!(cursor.wait(WaitStrategy::Park, SOON), Waited::Closed);
    assert!(matches!(writer.begin(), Err(AppendError::Poisoned(_))));
    assert!(matches!(writer.sync(), Err(SyncError::Poisoned(_))));
    assert_eq!(writer.log().durable(), durable, "the watermark stays");
    assert!(writer.log().is_closed());
    let waited = writer.log().wait_durable(Sequence::new(events), SOON);
    assert!(matches!(waited, Err(SyncError::Poisoned(_))), "who waits for it is told");
    // What is not durable is not dropped.
    let retained = writer.retain(&Retention::keep_segments(1)).expect("nothing to drop");
    assert_eq!(retained.dropped, 0);
    assert!(matches!(writer.close(), Err(SyncError::Poisoned(_))));
}

#[test]
fn is_a_commit_that_cannot_be_made_durable_told_apart() {
    for threaded in [false, true] {
        let directory = tempfile::tempdir().expect("a directory");
        let options = small().durability(Durability::Group);
        let mut writer = options.open(directory.path()).expect("opens");
        writer.append(&Opaque::new(&BLOCK, b"before")).expect("appended");
        cut_the_last_page(directory.path());
        let block = Opaque::new(&BLOCK, &[7; 10_000]);
        let mut failed = false;
        if threaded {
            let service = writer.spawn(ThreadOptions::new()).expect("a thread");
            let producer = service.producer();
            while !failed {
                let answer = producer.submit(block, SOON).expect("accepted");
                match answer.wait() {
                    Ok(receipt) => assert!(receipt.durable),
                    Err(refused) => {
                        let told = matches!(
                            refused.reason,
                            Refusal::Append(AppendError::NotDurable(_) | AppendError::Poisoned(_))
                        );
                        assert!(told, "{refused}");
                        failed = true;
                    }
                }
            }
            assert!(service.close().is_err());
        } else {
            while !failed {
                match writer.append(&block) {
                    Ok(sequence) => assert_eq!(writer.log().durable().0, sequence),
                    Err(AppendError::NotDurable(_) | AppendError::Poisoned(_)) => failed = true,
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }
}

#[test]
fn are_producers_told_and_given_back_what_they_submitted() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = small().open(directory.path()).expect("opens");
    writer.append(&Opaque::new(&BLOCK, b"before")).expect("appended");
    cut_the_last_page(directory.path());
    let service = writer.spawn(ThreadOptions::new().queue(16)).expect("a thread");
    let producer = service.producer();
    let began = Instant::now();
    let mut refused = 0;
    let (draft, cause) = loop {
        match producer.submit(Opaque::new(&BLOCK, &[7; 10_000]), SOON) {
            Err(SubmitError::Failed(draft, cause)) => break (draft, cause),
            Err(error) => panic!("{error}"),
            Ok(answer) => match answer.wait() {
                Ok(_) => assert!(began.elapsed() < SOON, "nothing was noticed"),
                Err(answered) => {
                    assert!(matches!(answered.reason, Refusal::Append(AppendError::Poisoned(_))));
                    assert!(answered.content.is_some(), "it is given back");
                    refused += 1;
                }
            },
        }
    };
    assert!(refused <= 1, "from then on it is not accepted");
    assert!(cause.to_string().contains("0000000001.log"), "{cause}");
    assert!(format!("{:?}", draft.event).contains("block"), "it is given back");
    assert!(matches!(service.close(), Err(SyncError::Poisoned(_))));
}
