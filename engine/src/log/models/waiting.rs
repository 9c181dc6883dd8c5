//! Sleeping: nobody is forgotten, whatever it waits for.

use factlog_codec::{Position, Sequence};

use super::check;
use crate::log::demand::{Demand, Due};
use crate::log::frontier::{Activity, Frontier};
use crate::log::wait::Office;
use crate::sync::Arc;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::model::spawn;

fn frontier() -> Arc<Frontier> {
    let zero = (Position::from_raw(0), Sequence::FIRST);
    Arc::new(Frontier::new(zero.0, zero.1, zero.0, zero.1))
}

/// Sleeps until something is visible, or nothing more will come; whether something is.
fn follow(frontier: &Frontier, above: u64) -> bool {
    let found = frontier.waiters().wait(None, || {
        let activity = frontier.activity();
        if frontier.visible().position().raw() > above {
            return Some(true);
        }
        (activity != Activity::Open).then_some(false)
    });
    found.expect("there is no deadline")
}

fn publish(frontier: &Frontier, position: u64) {
    frontier.publish(Position::from_raw(position), Sequence::new(position));
    frontier.notify();
}

/// Two publications, one after the other; a sleeper that waits for each in turn.
#[test]
fn park_and_wake() {
    check("park and wake", 3, || {
        let frontier = frontier();
        let sleeper = {
            let frontier = Arc::clone(&frontier);
            spawn(move || {
                assert!(follow(&frontier, 0));
                assert!(follow(&frontier, 16));
            })
        };
        publish(&frontier, 16);
        publish(&frontier, 32);
        sleeper.join().expect("no panic");
    });
}

/// Two sleepers and the herald: each is woken, whoever does it.
#[test]
fn many_sleepers_and_a_herald() {
    check("many sleepers and a herald", 2, || {
        let frontier = frontier();
        let office = Arc::new(Office::new(frontier.waiters()));
        let herald = {
            let office = Arc::clone(&office);
            spawn(move || office.run())
        };
        let sleepers: Vec<_> = (0..2)
            .map(|_| {
                let frontier = Arc::clone(&frontier);
                spawn(move || assert!(follow(&frontier, 0)))
            })
            .collect();
        publish(&frontier, 16);
        for sleeper in sleepers {
            sleeper.join().expect("no panic");
        }
        office.stop();
        herald.join().expect("no panic");
    });
}

/// The end wakes those who wait for more, after the last publication.
#[test]
fn park_and_close() {
    check("park and close", 3, || {
        let frontier = frontier();
        let sleeper = {
            let frontier = Arc::clone(&frontier);
            spawn(move || {
                assert!(follow(&frontier, 0), "what was published before is not missed");
                assert!(!follow(&frontier, 16));
            })
        };
        publish(&frontier, 16);
        frontier.end(Activity::Closed);
        sleeper.join().expect("no panic");
    });
}

/// Another thread poisons the log while the writer publishes.
#[test]
fn park_and_poison() {
    check("park and poison", 2, || {
        let frontier = frontier();
        let sleeper = {
            let frontier = Arc::clone(&frontier);
            spawn(move || {
                follow(&frontier, 0);
                while follow(&frontier, 16) {}
            })
        };
        let poisoner = {
            let frontier = Arc::clone(&frontier);
            spawn(move || {
                frontier.end(Activity::Poisoned);
            })
        };
        publish(&frontier, 16);
        sleeper.join().expect("no panic");
        poisoner.join().expect("no panic");
    });
}

/// What one waited for was made durable by the writer; another waits for more, which the writer
/// appends and does not sync.
#[test]
fn who_waits_for_more_is_served() {
    check("who waits for more is served", 2, || {
        let (frontier, demand) = (frontier(), Arc::new(Demand::new()));
        let durable = |position: u64| {
            frontier.publish_durable(Position::from_raw(position), Sequence::new(position));
        };
        demand.raise(Sequence::new(1), Sequence::FIRST);
        publish(&frontier, 2);
        durable(2);
        let over = Arc::new(AtomicBool::new(false));
        let sleeper = {
            let (frontier, demand) = (Arc::clone(&frontier), Arc::clone(&demand));
            spawn(move || {
                let wanted = Sequence::new(3);
                frontier.durable_waiters().wait(None, || {
                    let found = frontier.durable_pair().1 > wanted;
                    if !found {
                        // It has looked before the writer went on.
                        demand.raise(wanted, Sequence::new(2));
                    }
                    found.then_some(())
                });
            })
        };
        let syncer = {
            let (frontier, demand) = (Arc::clone(&frontier), Arc::clone(&demand));
            let over = Arc::clone(&over);
            spawn(move || {
                while !over.load(Ordering::Acquire) {
                    demand.signal().wait(None);
                    let due = demand.due(&frontier, false);
                    if due == Due::Sync {
                        let (end, next) = frontier.visible_pair();
                        frontier.publish_durable(end.position(), next);
                    }
                    if due != Due::Nothing {
                        frontier.durable_waiters().notify();
                    }
                }
            })
        };
        publish(&frontier, 4);
        // The syncing thread has slept long enough.
        demand.signal().notify();
        sleeper.join().expect("no panic");
        over.store(true, Ordering::Release);
        demand.signal().notify();
        syncer.join().expect("no panic");
    });
}
