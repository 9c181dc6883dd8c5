//! What is done with logs is done with forks: retention, backup, scrub, salvage, cursors.

use std::ops::ControlFlow;

use factlog::{AttachError, Fork, RecoveryOutcome, Retention, Salvage, Scrub, Start};
use factlog_tests::{Random, Seen, read_all, read_from, small};

use super::*;

/// Either drops its own names, and the other one does not notice.
#[test]
fn does_retention_here_leave_what_is_there() {
    let mut random = Random::from_environment("retention of forks");
    let directory = tempfile::tempdir().expect("a directory");
    let (from, to) = (directory.path().join("origin"), directory.path().join("fork"));
    let (writer, events) = origin(&from, &mut random, 3);
    let at = sequence(SegmentFile::read(&from, 3).frames()[5].sequence.get());
    let forked = Fork::of(&writer.log()).at(at).create(&to).expect("forked");
    let last = forked.last.get() as usize;
    let dropped = writer.retain(&Retention::keep_segments(1)).expect("dropped");
    assert_eq!(dropped.dropped, 3);
    assert_eq!(read_all(&reading(&to)), events[..last], "the fork has it all");
    writer.close().expect("closed");
    // A fork of what is left: the catalog comes along.
    let second = directory.path().join("second");
    let oldest = reading(&from)
        .cursor(Start::Oldest)
        .expect("a cursor")
        .next_event()
        .expect("read")
        .expect("one")
        .sequence();
    Fork::of(&reading(&from)).create(&second).expect("forked");
    let mut other = small().open(&second).expect("opens");
    let seen = read_from(&other.log(), Start::Oldest).expect("readable");
    assert_eq!(seen, events[oldest.get() as usize - 1..]);
    for number in 0..10 {
        let last = events
            .iter()
            .rev()
            .find(|event| event.stream.as_ref().is_some_and(|(name, _)| *name == stream(number)));
        let version = last.map_or(0, |event| event.stream.as_ref().expect("one").1);
        assert!(other.stream_version(&stream(number)).get() >= version);
    }
    fill(&mut other, &mut random, 1);
    other.close().expect("closed");
    let refused = Fork::of(&reading(&from)).at(sequence(1)).create(directory.path().join("third"));
    assert!(
        matches!(refused, Err(factlog::ForkError::BeforeOldest(found)) if found == oldest),
        "{refused:?}"
    );

    // Now the fork drops what it took.
    let before = files(&from);
    let mut fork = small().open(&to).expect("opens");
    fill(&mut fork, &mut random, 2);
    fork.sync().expect("synced");
    let all = read_all(&fork.log());
    let dropped = fork.retain(&Retention::keep_segments(1)).expect("dropped");
    assert!(dropped.dropped >= 4, "{dropped:?}");
    assert_eq!(files(&from), before);
    fork.close().expect("closed");
    let fork = small().open(&to).expect("opens");
    let oldest = dropped.oldest.get() as usize;
    assert_eq!(read_from(&fork.log(), Start::Oldest).expect("readable"), all[oldest - 1..]);
    assert_eq!(fork.log().lineage().len(), 1, "and still knows where it comes from");
    fork.close().expect("closed");
}

/// A backup of a fork is that fork: before it was written, and after.
#[test]
fn is_a_backup_of_a_fork_that_fork() {
    let mut random = Random::from_environment("backups of forks");
    let directory = tempfile::tempdir().expect("a directory");
    let (from, to) = (directory.path().join("origin"), directory.path().join("fork"));
    let (writer, events) = origin(&from, &mut random, 2);
    writer.close().expect("closed");
    let at = sequence(SegmentFile::read(&from, 2).frames()[12].sequence.get());
    let forked = Fork::of(&reading(&from)).at(at).create(&to).expect("forked");
    let last = forked.last.get() as usize;
    for written in [false, true] {
        if written {
            let mut fork = small().open(&to).expect("opens");
            fill(&mut fork, &mut random, 1);
            fork.close().expect("closed");
        }
        let copy = directory.path().join(format!("copy-{written}"));
        let backup = reading(&to).backup(&copy).expect("copied");
        let expected = read_all(&reading(&to));
        assert_eq!(backup.next_sequence.get(), expected.len() as u64 + 1);
        assert_eq!(expected[..last], events[..last]);
        let mut copied = small().open(&copy).expect("opens");
        assert_eq!(copied.recovery().outcome, RecoveryOutcome::ClosedCleanly);
        assert_eq!(copied.log_id(), forked.log);
        assert_eq!(read_all(&copied.log()), expected);
        // What the origin has behind the fork does not travel.
        let behind = &SegmentFile::read(&copy, 2).bytes
            [reading(&to).lineage()[0].end.raw() as usize & 0x3F_FFFF..];
        assert!(behind.iter().all(|byte| *byte == 0), "written: {written}");
        fill(&mut copied, &mut random, 0);
        copied.close().expect("closed");
    }
}

/// A scrub of a fork finds nothing that is not there, and what is: rot in a segment that it shares.
#[test]
fn does_a_scrub_of_a_fork_find_what_has_rotted() {
    let mut random = Random::from_environment("scrubs of forks");
    let directory = tempfile::tempdir().expect("a directory");
    let (from, to) = (directory.path().join("origin"), directory.path().join("fork"));
    let (writer, _) = origin(&from, &mut random, 3);
    writer.close().expect("closed");
    let frames = SegmentFile::read(&from, 2).frames();
    Fork::of(&reading(&from)).at(frames[12].sequence).create(&to).expect("forked");
    let mut fork = small().open(&to).expect("opens");
    fill(&mut fork, &mut random, 1);
    fork.sync().expect("synced");
    let report = fork.log().scrub(Scrub::new()).expect("a report");
    assert_eq!(report.findings.len(), 0, "{report:?}");
    assert_eq!((report.checked, report.linked), (3, 2));
    let mut rotten = SegmentFile::read(&to, 2);
    let behind = frames[14].offset as usize + 100;
    rotten.bytes[behind] ^= 1;
    rotten.write();
    assert_eq!(
        fork.log().scrub(Scrub::new()).expect("a report").findings.len(),
        0,
        "not the fork's"
    );
    rotten.bytes[frames[5].offset as usize + 100] ^= 1;
    rotten.write();
    let findings = fork.log().scrub(Scrub::new()).expect("a report").findings;
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!(findings[0].place.offset, frames[5].offset);
    let shared = small().verify(&from).expect("a report");
    assert_eq!(shared.outcome, RecoveryOutcome::Damaged, "it is one file");
    drop(fork);
}

/// What can be got out of a fork is what it has, and of its ancestor no more than that.
#[test]
fn is_salvaged_from_a_fork_what_it_has() {
    let mut random = Random::from_environment("salvage of forks");
    let directory = tempfile::tempdir().expect("a directory");
    let (from, to) = (directory.path().join("origin"), directory.path().join("fork"));
    let (writer, events) = origin(&from, &mut random, 2);
    writer.close().expect("closed");
    let frames = SegmentFile::read(&from, 2).frames();
    let forked = Fork::of(&reading(&from)).at(frames[12].sequence).create(&to).expect("forked");
    for written in [false, true] {
        if written {
            let mut fork = small().open(&to).expect("opens");
            fill(&mut fork, &mut random, 1);
            fork.close().expect("closed");
        }
        let expected = read_all(&reading(&to));
        let mut found = Vec::new();
        let report = Salvage::of(&to).run(|event| {
            assert!(event.in_log);
            let name = event.stream().expect("it has a name").clone();
            found.push((event.sequence.get(), event.payload().to_vec(), name));
            ControlFlow::Continue(())
        });
        let report = report.expect("a report");
        assert!(report.holes.is_empty(), "{report:?}");
        let of = |event: &Seen| {
            (event.sequence, event.payload.clone(), event.stream.clone().expect("one").0)
        };
        assert_eq!(found, expected.iter().map(of).collect::<Vec<_>>(), "written: {written}");
        // Behind the end stands what the origin went on with.
        let mut behind = Vec::new();
        Salvage::of(&to)
            .behind_ends()
            .run(|event| {
                if !event.in_log {
                    behind.push(event.sequence.get());
                }
                ControlFlow::Continue(())
            })
            .expect("a report");
        let last =
            frames.iter().map(|frame| frame.next_sequence().get()).max().expect("frames") - 1;
        assert_eq!(
            behind,
            (forked.last.get() + 1..=last).collect::<Vec<_>>(),
            "written: {written}"
        );
    }
    assert!(events.len() as u64 > forked.last.get());
}

/// Cursors are of the log that they were made in. A file that is carried over is told so.
#[test]
fn are_named_cursors_left_behind() {
    let mut random = Random::from_environment("cursors of forks");
    let directory = tempfile::tempdir().expect("a directory");
    let (from, to) = (directory.path().join("origin"), directory.path().join("fork"));
    let (writer, _) = origin(&from, &mut random, 1);
    let mut cursor = writer.log().named_cursor_from("board", Start::Oldest).expect("attached");
    for _ in 0..3 {
        cursor.next_event().expect("read").expect("one");
    }
    cursor.save().expect("saved");
    drop(cursor);
    writer.close().expect("closed");
    Fork::of(&reading(&from)).create(&to).expect("forked");
    let fork = small().open(&to).expect("opens");
    let mut cursor = fork.log().named_cursor_from("board", Start::Oldest).expect("a new one");
    assert_eq!(cursor.next_event().expect("read").expect("one").sequence(), sequence(1));
    cursor.save().expect("saved");
    drop(cursor);
    fork.close().expect("closed");
    fs::copy(from.join("cursors/board"), to.join("cursors/board")).expect("copied");
    let fork = small().open(&to).expect("opens");
    let refused = fork.log().named_cursor("board");
    assert!(matches!(refused, Err(AttachError::Foreign { .. })), "{refused:?}");
    fork.close().expect("closed");
}
