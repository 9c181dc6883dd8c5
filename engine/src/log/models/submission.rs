//! Submission: what was accepted is written, and answered; who waits is woken.

use factlog_codec::Sequence;
use factlog_codec::types::{EventType, Opaque};

use super::check;
use crate::log::submit::{Answer, Draft, Handover, Refusal, Refuse};
use crate::log::writer::Receipt;
use crate::sync::Arc;
use crate::sync::atomic::Ordering;
use crate::sync::model::{Count, Tracked, spawn};

/// Two producers wait for room in a queue of one place; the consumer sleeps when it is empty.
#[test]
fn submission_through_a_full_queue() {
    check("submission through a full queue", 2, || {
        let handover = Arc::new(Handover::new(1));
        let producers: Vec<_> = (0..2)
            .map(|number| {
                let handover = Arc::clone(&handover);
                spawn(move || {
                    let event = Tracked::new(0);
                    event.set(number + 1);
                    assert!(handover.push_wait(event, None).is_ok());
                })
            })
            .collect();
        let mut sum = 0;
        for _ in 0..2 {
            let event = handover.pop_wait().expect("it is open");
            handover.made_room();
            sum += event.get();
        }
        assert_eq!(sum, 3);
        for producer in producers {
            producer.join().expect("no panic");
        }
    });
}

/// The gate closes while a producer pushes: what was accepted is taken, the rest given back.
#[test]
fn submission_and_close() {
    check("submission and close", 3, || {
        let handover = Arc::new(Handover::new(2));
        let accepted = Arc::new(Count::new(0));
        let producers: Vec<_> = (0..2)
            .map(|_| {
                let (handover, accepted) = (Arc::clone(&handover), Arc::clone(&accepted));
                spawn(move || match handover.push(Tracked::new(7)) {
                    Ok(()) => drop(accepted.fetch_add(1, Ordering::SeqCst)),
                    Err(Refuse::Closed(event)) => assert_eq!(event.get(), 7),
                    Err(Refuse::Full(_)) => panic!("there is room"),
                })
            })
            .collect();
        handover.close();
        let mut taken = 0;
        while let Some(event) = handover.pop_wait() {
            assert_eq!(event.get(), 7);
            taken += 1;
        }
        for producer in producers {
            producer.join().expect("no panic");
        }
        assert_eq!(taken, accepted.load(Ordering::SeqCst), "accepted, and lost");
    });
}

static TYPE: EventType = EventType::opaque("modelled", 1);

/// An answer reaches the one who waits, also when the submission is lost on the way.
#[test]
fn submission_with_answers() {
    check("submission with answers", 2, || {
        let handover = Arc::new(Handover::new(2));
        let producers: Vec<_> = (0..2)
            .map(|number| {
                let handover = Arc::clone(&handover);
                spawn(move || {
                    let draft = Draft::new(Opaque::new(&TYPE, b"bytes"));
                    let (answer, accepted) = Answer::new(draft);
                    assert!(handover.push((number, accepted)).is_ok());
                    match answer.wait() {
                        Ok(receipt) => assert_eq!((number, receipt.events), (0, 1)),
                        Err(refused) => {
                            assert!(matches!(refused.reason, Refusal::Abandoned));
                            assert!(number == 1 && refused.content.is_some());
                        }
                    }
                })
            })
            .collect();
        for _ in 0..2 {
            let (number, accepted) = handover.pop_wait().expect("it is open");
            if number == 0 {
                accepted.answer(Ok(Receipt { first: Sequence::FIRST, events: 1, durable: false }));
            } else {
                drop(accepted);
            }
        }
        for producer in producers {
            producer.join().expect("no panic");
        }
    });
}
