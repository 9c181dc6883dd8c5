//! What if, in an origin that has lost events to damage: what was lost is counted, and passed over.
//!
//! Repaired logs of one segment before the damage, and one or two behind it; each question is asked of
//! every sequence, in a thread of its own, since what is wrong here is that it never ends.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use factlog::{Log, Options, Recovery, Sequence, Start, Turn, WhatIf, WriteWay};
use factlog_tests::damaged::{Damage, append, log};
use factlog_tests::{read_all, read_from, small};

/// The first event that is lost, and how many there were.
const FIRST: u64 = 11;
const TOTAL: u64 = 20;

/// A log whose events 11 to 20 are lost.
fn repaired(way: WriteWay) -> tempfile::TempDir {
    let (directory, events) = log(1, true);
    assert_eq!(events.len() as u64, TOTAL);
    let first = Damage::Flip(1, FIRST as usize - 1).apply(directory.path());
    let writer = small().write_way(way).recovery(Recovery::Repair).open(directory.path());
    let writer = writer.expect("repaired");
    let lost = writer.recovery().lost.map(|(first, last)| (first.get(), last.get()));
    assert_eq!((first, lost), (FIRST, Some((FIRST, TOTAL))));
    writer.close().expect("closed");
    directory
}

/// What comes of `asked`, which must come soon.
fn soon<T: Send + 'static>(asked: impl FnOnce() -> T + Send + 'static) -> T {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || tell.send(asked()));
    told.recv_timeout(Duration::from_secs(60)).expect("it ends")
}

/// Appends again from event 5 on: up to each event of `stops`, then all. What the log has behind is
/// there, and what it has lost is counted, once.
fn rerun(origin: &Log, to: &Path, stops: &[u64]) {
    let events = read_from(origin, Start::Oldest).expect("readable");
    let events: BTreeMap<u64, Vec<u8>> =
        events.into_iter().map(|seen| (seen.sequence, seen.payload)).collect();
    let last = origin.visible().0.get();
    let mut what_if = WhatIf::before(origin, Sequence::new(5), to, small()).expect("begun");
    for stop in stops.iter().copied().chain([last]) {
        let done = what_if.rerun_up_to(Sequence::new(stop), |_| Turn::Keep).expect("again");
        let kept = events.range(5..=stop).count() as u64;
        assert_eq!((done.kept, done.lost), (kept, stop - 4 - kept), "up to {stop}");
        assert_eq!(what_if.next_sequence().get(), stop + 1);
    }
    let done = what_if.so_far();
    assert_eq!(what_if.rerun(|_| Turn::Keep).expect("nothing is left"), done);
    let payloads: Vec<_> = read_all(&what_if.log()).into_iter().map(|seen| seen.payload).collect();
    assert_eq!(payloads, events.into_values().collect::<Vec<_>>());
    what_if.close().expect("closed");
}

/// Up to an event that was lost, or to several: what is behind comes in frames of its own.
#[test]
fn does_it_stop_at_an_event_that_was_lost() {
    let directory = repaired(WriteWay::Mapped);
    let mut writer = small().open(directory.path()).expect("opens");
    for _ in 0..5 {
        append(&mut writer, 100);
    }
    writer.close().expect("closed");
    let from = directory.path().to_path_buf();
    soon(move || {
        let origin = Options::new().open_read_only(&from).expect("opens");
        let forks = tempfile::tempdir().expect("a directory");
        for stop in 5..=TOTAL + 5 {
            rerun(&origin, &forks.path().join(stop.to_string()), &[stop]);
        }
        rerun(&origin, &forks.path().join("several"), &[10, 12, 15, 19, 22]);
    });
}

/// The segment that the repair made has no event: the log goes on in the next one, since it is written
/// in another way from then on.
#[test]
fn does_it_go_on_behind_a_segment_with_nothing_but_a_gap() {
    let directory = repaired(WriteWay::Mapped);
    let mut writer = small().write_way(WriteWay::Staged).open(directory.path()).expect("opens");
    let (from, forks) = (directory.path().to_path_buf(), tempfile::tempdir().expect("one"));
    // Nothing is behind yet.
    let (origin, to) = (writer.log(), forks.path().join("nothing"));
    soon(move || rerun(&origin, &to, &[7]));
    for _ in 0..3 {
        append(&mut writer, 100);
    }
    assert_eq!(writer.log().stats().segments, 3, "one before the damage, one of the GAP, one more");
    writer.close().expect("closed");
    soon(move || {
        let origin = Options::new().open_read_only(&from).expect("opens");
        for stop in 5..=TOTAL + 3 {
            rerun(&origin, &forks.path().join(stop.to_string()), &[stop]);
        }
    });
}
