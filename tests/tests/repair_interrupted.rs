//! Is an interrupted recovery nothing at all, or the whole of it: never a cut without its gap?
//!
//! Method: each operation on the disk fails in turn, alone or with all after it, on a copy of its
//! own; or ten of them one after the other on the same copy. Then the log is opened by default and
//! once more with the same mode, and held against a recovery that nobody disturbed.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use factlog::{
    DiskObserver, OpenError, Options, Recovery, RecoveryOutcome, Start, WriteWay, Writer,
};
use factlog_tests::damaged::{Damage, append, log, never_synced};
use factlog_tests::surgery::copy_directory;
use factlog_tests::{Interrupt, Random, Seen, read_all, read_from, small};

fn everything(writer: &Writer) -> Vec<Seen> {
    read_from(&writer.log(), Start::Oldest).expect("readable")
}

fn repairing(way: WriteWay) -> Options {
    small().write_way(way).recovery(Recovery::Repair)
}

/// A log that was repaired keeps `kept`, and gives nothing from there to `last` again.
struct Expected {
    kept: Vec<Seen>,
    last: u64,
    way: WriteWay,
}

impl Expected {
    /// What opening by default finds: the damage, or all of the repair.
    fn check_default(&self, directory: &Path, what: &str) -> bool {
        match small().write_way(self.way).open(directory) {
            Err(OpenError::Damaged(damage)) => {
                assert_eq!(damage.next_sequence.get(), self.kept.len() as u64 + 1, "{what}");
                false
            }
            Err(error) => panic!("{what}: {error}"),
            Ok(writer) => {
                assert_eq!(writer.next_sequence().get(), self.last + 1, "{what}: a silent cut");
                assert_eq!(everything(&writer), self.kept, "{what}");
                true
            }
        }
    }

    /// The repair comes to its end, and nothing is given twice.
    fn check_repair(&self, directory: &Path, what: &str) {
        let mut writer = repairing(self.way).open(directory).expect("repaired");
        assert_eq!(everything(&writer), self.kept, "{what}");
        assert_eq!(writer.next_sequence().get(), self.last + 1, "{what}");
        append(&mut writer, 100);
        let events = everything(&writer);
        assert_eq!(events.last().expect("one").sequence, self.last + 1, "{what}");
        drop(writer);
        let again = small().write_way(self.way).open(directory).expect("clean");
        let outcome = again.recovery().outcome;
        assert_eq!((outcome, everything(&again)), (RecoveryOutcome::Clean, events), "{what}");
    }
}

type Fail = fn(u64) -> Arc<Interrupt>;

/// Fails every operation of a repair in turn.
fn interrupt_everywhere(damage: Damage, closed: bool, way: WriteWay) {
    let (damaged, events) = log(4, closed);
    let first = damage.apply(damaged.path());
    let kept = events[..first as usize - 1].to_vec();
    let expected = Expected { kept, last: events.len() as u64, way };
    let kinds: [(&str, Fail); 2] = [("from", Interrupt::from), ("only", Interrupt::only)];
    for (kind, fail) in kinds {
        let (mut refused, mut done) = (0, 0);
        for at in 1.. {
            let copy = tempfile::tempdir().expect("a directory");
            copy_directory(damaged.path(), copy.path());
            let observer = fail(at);
            let opened = repairing(way).disk_observer(Arc::clone(&observer) as _).open(copy.path());
            let what = format!("{damage:?}, {way:?}, {kind} operation {at}");
            let succeeded = match opened {
                Ok(writer) => {
                    drop(writer);
                    true
                }
                Err(error) => {
                    assert!(matches!(error, OpenError::Io(_)), "{what}: {error}");
                    false
                }
            };
            if expected.check_default(copy.path(), &what) {
                done += 1;
            } else {
                assert!(!succeeded, "{what}: it was said to be repaired");
                refused += 1;
            }
            expected.check_repair(copy.path(), &what);
            // Those in the background come after all of opening.
            if succeeded && observer.operations() < at {
                break;
            }
            if succeeded && kind == "from" {
                break;
            }
        }
        assert!(refused >= 5 && done >= 1, "{damage:?}: {refused} refused, {done} done");
    }
}

#[test]
fn is_an_interrupted_repair_of_a_changed_byte_nothing_or_all() {
    interrupt_everywhere(Damage::Flip(2, 9), true, WriteWay::Mapped);
    interrupt_everywhere(Damage::Flip(2, 9), false, WriteWay::Staged);
}

#[test]
fn is_an_interrupted_repair_of_a_missing_segment_nothing_or_all() {
    interrupt_everywhere(Damage::Missing(2), true, WriteWay::Staged);
    interrupt_everywhere(Damage::Missing(3), false, WriteWay::Mapped);
}

#[test]
fn is_an_interrupted_repair_of_a_rotten_header_nothing_or_all() {
    interrupt_everywhere(Damage::Header(2), false, WriteWay::Staged);
    interrupt_everywhere(Damage::Header(3), true, WriteWay::Mapped);
}

#[test]
fn is_an_interrupted_repair_of_a_rotten_beginning_nothing_or_all() {
    interrupt_everywhere(Damage::SegOpen(3), false, WriteWay::Staged);
    interrupt_everywhere(Damage::SegOpen(2), true, WriteWay::Mapped);
}

/// A log of which nothing was ever durable, whose segments contradict each other: the only proof of
/// damage is what is moved away.
#[test]
fn is_an_interrupted_repair_without_a_witness_nothing_or_all() {
    let (home, events) = never_synced();
    let damaged = home.path().join("log");
    let first = Damage::Missing(2).apply(&damaged);
    let kept = events[..first as usize - 1].to_vec();
    let expected = Expected { kept, last: events.len() as u64, way: WriteWay::Staged };
    let mut refused = 0;
    for at in 1.. {
        let copy = home.path().join(format!("copy-{at}"));
        copy_directory(&damaged, &copy);
        let observer: Arc<dyn DiskObserver> = Interrupt::from(at);
        let opened = repairing(expected.way).disk_observer(observer).open(&copy);
        let succeeded = opened.is_ok();
        drop(opened);
        refused += u32::from(!expected.check_default(&copy, &format!("operation {at}")));
        expected.check_repair(&copy, &format!("operation {at}"));
        fs::remove_dir_all(&copy).expect("removed");
        if succeeded {
            break;
        }
    }
    assert!(refused >= 5, "{refused}");
}

/// Names and bytes of what is in quarantine, without the epoch in front.
fn quarantine(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(directory.join("quarantine")).expect("listed");
    let paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    let mut all: Vec<_> = paths
        .iter()
        .map(|path| {
            let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
            let number = name.rsplit('-').next().expect("a name").to_owned();
            (number, fs::read(path).expect("readable"))
        })
        .collect();
    all.sort();
    all
}

#[test]
fn is_a_cut_interrupted_ten_times_in_a_row_the_same_as_one() {
    let mut random = Random::from_environment("ten interruptions");
    let (home, events) = never_synced();
    let torn = home.path().join("log");
    let first = Damage::Flip(2, 11).apply(&torn);
    let kept = &events[..first as usize - 1];
    let undisturbed = home.path().join("undisturbed");
    copy_directory(&torn, &undisturbed);
    let counter = Interrupt::from(u64::MAX);
    let writer = small().disk_observer(Arc::clone(&counter) as _).open(&undisturbed).expect("cut");
    let operations = counter.operations();
    let report = writer.recovery();
    assert_eq!((report.outcome, report.quarantined.len()), (RecoveryOutcome::Torn, 2), "{report}");
    assert_eq!(everything(&writer), kept);
    drop(writer);
    let aside = quarantine(&undisturbed);

    for round in 0..6 {
        let copy = home.path().join(format!("round-{round}"));
        copy_directory(&torn, &copy);
        let mut interrupted = 0;
        while interrupted < 10 {
            let at = 1 + random.below(operations);
            let fail = if random.below(3) == 0 { Interrupt::only(at) } else { Interrupt::from(at) };
            match small().disk_observer(fail).open(&copy) {
                Err(error) => assert!(matches!(error, OpenError::Io(_)), "{error}"),
                // It had come far enough.
                Ok(writer) => assert_eq!(everything(&writer), kept),
            }
            interrupted += 1;
        }
        let writer = small().open(&copy).expect("cut in the end");
        assert_eq!(everything(&writer), kept, "round {round}");
        assert_eq!(writer.next_sequence().get(), first);
        assert_eq!(quarantine(&copy), aside, "round {round}");
        drop(writer);
        let mut writer = small().open(&copy).expect("and stays so");
        assert_eq!(writer.recovery().outcome, RecoveryOutcome::Clean);
        append(&mut writer, 100);
        assert_eq!(read_all(&writer.log()).len(), kept.len() + 1);
        fs::remove_dir_all(&copy).expect("removed");
    }
}
