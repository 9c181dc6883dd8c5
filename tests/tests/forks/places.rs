//! Forks at any place: what is in them, what they share, what they go on with.

use factlog::{Fork, RecoveryOutcome, Sequence};
use factlog_tests::{Random, read_all, small};

use super::*;

/// At random places: the fork has exactly the whole transactions up to there, goes on with other events,
/// also when it is opened again and again; and no byte of its origin is another one, nor of what it
/// took from there.
#[test]
fn does_a_fork_leave_the_origin_as_it_was() {
    let mut random = Random::from_environment("forks at random places");
    let directory = tempfile::tempdir().expect("a directory");
    let from = directory.path().join("origin");
    let (writer, events) = origin(&from, &mut random, 3);
    let id = writer.log_id();
    writer.close().expect("closed");
    let (before, ends) = (files(&from), ends(&from));
    let (mut linked, mut copied) = (0, 0);
    for round in 0..12 {
        let all = events.len() as u64;
        let at = if round == 0 { all } else { random.below(all + 1) };
        let last = ends.iter().copied().filter(|end| *end <= at).max().unwrap_or(0);
        let to = directory.path().join(format!("fork-{round}"));
        let forked = Fork::of(&reading(&from)).at(sequence(at)).create(&to).expect("forked");
        assert_eq!(forked.last.get(), last, "at {at}");
        assert_eq!(forked.linked + forked.copied, used_segments(&to).len() as u32);
        (linked, copied) = (linked + forked.linked, copied + forked.copied);
        // Read, before it was ever written.
        let log = reading(&to);
        assert_eq!(log.recovery().outcome, RecoveryOutcome::ClosedCleanly);
        assert_eq!((log.log_id(), log.lineage().len()), (forked.log, 1));
        assert_eq!((log.lineage()[0].log, log.lineage()[0].last_sequence), (id, sequence(last)));
        let expected = &events[..last as usize];
        assert_eq!(read_all(&log), expected, "at {at}");
        assert_eq!(small().verify(&to).expect("a report").outcome, RecoveryOutcome::ClosedCleanly);
        let shared = taken(&to);
        // Then written, in several lives.
        let mut all = expected.to_vec();
        for life in 0..3 {
            let mut writer = small().open(&to).expect("opens");
            assert_eq!(read_all(&writer.log()), all);
            if life == 0 {
                assert_ne!(writer.epoch().get(), 0);
                assert_eq!(writer.next_sequence().get(), last + 1);
            }
            fill(&mut writer, &mut random, life % 2);
            all = read_all(&writer.log());
            assert_eq!(all[..last as usize], *expected);
            assert_eq!(writer.log().written_by(sequence(last + 1)), forked.log);
            assert!(last == 0 || writer.log().written_by(sequence(last)) == id);
            if life < 2 {
                writer.close().expect("closed");
            } else {
                drop(writer);
            }
        }
        assert_eq!(read_all(&reading(&to)), all);
        assert_eq!(taken(&to), shared, "what was taken is never written");
        assert_eq!(files(&from), before, "the origin");
    }
    assert!(linked > 6 && copied > 0, "{linked} linked, {copied} copied");
    let mut writer = small().open(&from).expect("and it goes on");
    fill(&mut writer, &mut random, 1);
    assert_eq!(read_all(&writer.log())[..events.len()], events);
    writer.close().expect("closed");
}

/// While the origin is written: what is durable is taken, and what comes later is nobody's but the
/// origin's, and the fork's.
#[test]
fn can_a_log_be_forked_while_it_is_written() {
    let mut random = Random::from_environment("forks of a log that is written");
    let directory = tempfile::tempdir().expect("a directory");
    let (mut writer, mut events) = origin(&directory.path().join("origin"), &mut random, 1);
    for round in 0..5 {
        let to = directory.path().join(format!("fork-{round}"));
        let forked = Fork::of(&writer.log()).create(&to).expect("forked");
        assert_eq!(forked.last.get(), events.len() as u64);
        // Not durable, and so not to be had.
        transaction(&mut writer, &mut random, 100);
        let later = Fork::of(&writer.log()).create(directory.path().join("later")).expect("forked");
        assert_eq!(later.last, writer.log().durable().0);
        std::fs::remove_dir_all(directory.path().join("later")).expect("removed");
        let shared = taken(&to);
        let mut fork = small().open(&to).expect("opens");
        fill(&mut fork, &mut random, 1);
        fill(&mut writer, &mut random, 1);
        assert_eq!(taken(&to), shared, "what the origin goes on with is not in what was taken");
        let (ours, theirs) = (read_all(&fork.log()), read_all(&writer.log()));
        assert_eq!(ours[..events.len()], events);
        assert_eq!(theirs[..events.len()], events);
        assert_ne!(ours, theirs);
        fork.close().expect("closed");
        writer.sync().expect("synced");
        events = theirs;
    }
    // Sealed segments are linked, whoever goes on in the next one.
    let to = directory.path().join("last");
    let forked = Fork::of(&writer.log()).create(&to).expect("forked");
    assert!(forked.linked >= 5 && forked.copied <= 2, "{forked:?}");
    writer.close().expect("closed");
}

/// Origins that were cut, repaired, or left as they were when the process died.
#[test]
fn can_a_log_with_a_past_be_forked() {
    use factlog::Recovery;
    use factlog_tests::damaged::{Damage, log};
    // Its last 20 events are in the page cache, and not promised to anybody.
    let (left, events) = log(3, false);
    let to = left.path().join("../").join(format!("fork-{}", std::process::id()));
    let forked = Fork::of(&reading(left.path())).create(&to).expect("forked");
    assert_eq!(forked.last.get(), events.len() as u64);
    assert_eq!(read_all(&reading(&to)), events);
    assert_eq!(forked.linked + forked.copied, 3);
    assert!(forked.copied >= 1, "what is not durable is not shared: {forked:?}");
    std::fs::remove_dir_all(&to).expect("removed");
    // One with a hole: a fork before, at and behind it.
    let (damaged, events) = log(3, true);
    Damage::Flip(2, 9).apply(damaged.path());
    let writer = small().recovery(Recovery::Repair).open(damaged.path()).expect("repaired");
    let (first, last) = writer.recovery().lost.expect("some were lost");
    writer.close().expect("closed");
    let mut writer = small().open(damaged.path()).expect("opens");
    factlog_tests::damaged::append(&mut writer, 100);
    let all = factlog_tests::read_from(&writer.log(), factlog::Start::Oldest).expect("readable");
    writer.close().expect("closed");
    for (at, expected) in [
        (first.before(), first.before()),
        (first, first.before()),
        (last.before(), first.before()),
        (last, last),
        (last.after(1), last.after(1)),
    ] {
        let forked = Fork::of(&reading(damaged.path())).at(at).create(&to).expect("forked");
        assert_eq!(forked.last, expected, "at {at}, {first} to {last} were lost");
        let mut fork = small().open(&to).expect("opens");
        let seen = factlog_tests::read_from(&fork.log(), factlog::Start::Oldest).expect("readable");
        let here: Vec<_> =
            all.iter().filter(|event| event.sequence <= expected.get()).cloned().collect();
        assert_eq!(seen, here);
        assert_eq!(fork.next_sequence(), expected.after(1));
        factlog_tests::damaged::append(&mut fork, 100);
        fork.close().expect("closed");
        assert_eq!(small().verify(&to).expect("a report").outcome, RecoveryOutcome::ClosedCleanly);
        std::fs::remove_dir_all(&to).expect("removed");
    }
    assert!(events.len() as u64 > first.get());
}

/// A fork takes next to nothing until it is written: its lock, both slots of its manifest, folders.
#[test]
fn does_a_fork_take_next_to_nothing() {
    let mut random = Random::from_environment("what forks take");
    let directory = tempfile::tempdir().expect("a directory");
    let from = directory.path().join("origin");
    let (writer, events) = origin(&from, &mut random, 3);
    writer.close().expect("closed");
    let log = reading(&from);
    let sealed =
        log.lineage().len() as u64 + SegmentFile::read(&from, 3).frames()[0].sequence.get();
    for round in 0..20 {
        let to = directory.path().join(format!("fork-{round}"));
        let at = random.below(sealed);
        let forked = Fork::of(&log).at(sequence(at)).links_only().create(&to).expect("forked");
        assert_eq!((forked.copied, forked.copied_bytes), (0, 0), "at {at}");
        assert!(space_of_its_own(&to) <= 64 << 10, "{} bytes", space_of_its_own(&to));
    }
    assert!(events.len() as u64 > sealed);
    assert!(space_of_its_own(&from) < 5 << 22);
    let to = directory.path().join("fork-0");
    let mut writer = small().open(&to).expect("opens");
    transaction(&mut writer, &mut random, 100);
    writer.close().expect("closed");
    assert!(space_of_its_own(&to) > 4 << 20, "its first segment of its own is there now");
    assert_eq!(
        Fork::of(&log)
            .at(Sequence::ZERO)
            .create(directory.path().join("empty"))
            .expect("forked")
            .last,
        Sequence::ZERO
    );
    let mut writer = small().open(directory.path().join("empty")).expect("opens");
    assert!(read_all(&writer.log()).is_empty());
    transaction(&mut writer, &mut random, 100);
    assert!(!read_all(&writer.log()).is_empty());
    writer.close().expect("closed");
}

/// Bytes on the medium below a directory that no other directory shares.
#[cfg(unix)]
fn space_of_its_own(directory: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let mut sum = 0;
    let mut folders = vec![directory.to_path_buf()];
    while let Some(folder) = folders.pop() {
        sum += fs::metadata(&folder).expect("a folder").blocks() * 512;
        for entry in fs::read_dir(folder).expect("a folder") {
            let entry = entry.expect("an entry");
            let known = entry.metadata().expect("known");
            if known.is_dir() {
                folders.push(entry.path());
            } else if known.nlink() == 1 {
                sum += known.blocks() * 512;
            }
        }
    }
    sum
}
