//! Forks of forks, and what a lineage makes believed: nothing else.

use factlog::{Fork, ForkError, OpenError, Recovery, RecoveryOutcome};
use factlog_codec::layout::PAGE;
use factlog_codec::{Ancestor, Manifest, Position};
use factlog_tests::surgery::{manifest_path, segment_path};
use factlog_tests::{Random, read_all, small};

use super::*;

/// A tree of forks, each written on: each has what its own history says, to the last event, and all are as
/// they were when their descendants are made and written.
#[test]
fn is_a_fork_of_a_fork_what_both_have_written() {
    let mut random = Random::from_environment("forks of forks");
    let directory = tempfile::tempdir().expect("a directory");
    let name = |number: usize| directory.path().join(format!("log-{number}"));
    let (writer, events) = origin(&name(0), &mut random, 2);
    writer.close().expect("closed");
    let mut logs = vec![events];
    for number in 1..9 {
        let from = random.below(number as u64) as usize;
        let at = random.below(logs[from].len() as u64 + 1);
        let before = files(&name(from));
        let forked =
            Fork::of(&reading(&name(from))).at(sequence(at)).create(name(number)).expect("forked");
        let last = forked.last.get() as usize;
        let mut writer = small().open(name(number)).expect("opens");
        assert_eq!(read_all(&writer.log()), logs[from][..last], "{number} from {from} at {at}");
        assert_eq!(writer.log().lineage().len(), reading(&name(from)).lineage().len() + 1);
        let segments = random.below(3);
        fill(&mut writer, &mut random, segments);
        logs.push(read_all(&writer.log()));
        // A clean end, or the process dies.
        if random.below(2) == 0 {
            writer.close().expect("closed");
        } else {
            writer.sync().expect("synced");
            drop(writer);
        }
        assert_eq!(files(&name(from)), before);
    }
    for (number, events) in logs.iter().enumerate() {
        assert_eq!(small().verify(name(number)).expect("a report").damage, None);
        assert_eq!(read_all(&reading(&name(number))), *events, "log {number}");
        let writer = small().open(name(number)).expect("opens");
        assert_eq!(read_all(&writer.log()), *events, "log {number}, written");
        for (sequence_of, event) in writer.log().lineage().iter().zip(events.iter()) {
            assert!(sequence_of.last_sequence.get() <= events.len() as u64, "{event:?}");
        }
        writer.close().expect("closed");
    }
}

/// The only name that is left of a file: the ancestor went, and nothing of it is written all the same.
#[test]
fn is_what_was_taken_never_written_though_the_origin_is_gone() {
    let mut random = Random::from_environment("forks whose origin went");
    let directory = tempfile::tempdir().expect("a directory");
    let (from, to) = (directory.path().join("origin"), directory.path().join("fork"));
    let (writer, events) = origin(&from, &mut random, 2);
    writer.close().expect("closed");
    for whole in [false, true] {
        let fork = Fork::of(&reading(&from)).at(sequence(events.len() as u64 / 2));
        let fork = if whole { Fork::of(&reading(&from)).create(&to) } else { fork.create(&to) };
        let last = fork.expect("forked").last.get() as usize;
        let shared = taken(&to);
        let hidden = directory.path().join("hidden");
        copy_tree(&from, &hidden);
        fs::remove_dir_all(&from).expect("removed");
        for _ in 0..3 {
            let mut writer = small().open(&to).expect("opens");
            fill(&mut writer, &mut random, 1);
            writer.sync().expect("synced");
            assert_eq!(read_all(&writer.log())[..last], events[..last]);
            drop(writer);
            assert_eq!(taken(&to), shared, "whole: {whole}");
        }
        fs::rename(&hidden, &from).expect("put back");
        fs::remove_dir_all(&to).expect("removed");
    }
}

/// A fork of a fork of a fork, until there is no room for another ancestor.
#[test]
fn are_there_at_most_32_ancestors() {
    let mut random = Random::from_environment("a long lineage");
    let directory = tempfile::tempdir().expect("a directory");
    let name = |number: usize| directory.path().join(format!("log-{number}"));
    let mut writer = small().open(name(0)).expect("opens");
    transaction(&mut writer, &mut random, 100);
    writer.close().expect("closed");
    for number in 1..=32 {
        Fork::of(&reading(&name(number - 1))).create(name(number)).expect("forked");
    }
    let last = reading(&name(32));
    assert_eq!(last.lineage().len(), 32);
    assert_eq!(read_all(&last), read_all(&reading(&name(0))));
    let refused = Fork::of(&last).create(name(33));
    assert!(matches!(refused, Err(ForkError::TooManyAncestors)), "{refused:?}");
    assert!(!name(33).exists());
    last.backup(directory.path().join("copy")).expect("as the error says");
}

/// A lineage that says something else than the files: typed errors, and no event that is not the fork's.
#[test]
fn is_a_lineage_that_is_not_true_refused() {
    let mut random = Random::from_environment("false lineages");
    let directory = tempfile::tempdir().expect("a directory");
    let (from, to) = (directory.path().join("origin"), directory.path().join("fork"));
    let (writer, events) = origin(&from, &mut random, 3);
    writer.close().expect("closed");
    let at = SegmentFile::read(&from, 2).frames()[20].sequence;
    let forked = Fork::of(&reading(&from)).at(at).create(&to).expect("forked");
    let manifest =
        Manifest::decode(&fs::read(manifest_path(&to, 1)).expect("read")).expect("a manifest");
    let with = |change: &dyn Fn(&mut Manifest)| {
        let mut changed = manifest.clone();
        change(&mut changed);
        changed.generation += 10;
        fs::write(manifest_path(&to, 0), changed.encode()).expect("written");
    };
    let open = || Options::new().open_read_only(&to);
    let moved = |by: i64| {
        move |manifest: &mut Manifest| {
            let end = &mut manifest.lineage[0].end;
            *end = Position::from_raw(end.raw().wrapping_add_signed(by));
        }
    };
    // Another log, no log, an older one.
    with(&|manifest| manifest.lineage[0].log = factlog::LogId::default());
    assert!(matches!(open(), Err(OpenError::Foreign(_))), "of another log");
    with(&|manifest| manifest.lineage.clear());
    assert!(matches!(open(), Err(OpenError::Foreign(_))), "of no log");
    with(&moved(-(1 << 22)));
    assert!(matches!(open(), Err(OpenError::Foreign(_))), "of an earlier segment");
    // Further than what was taken: there are no frames of the fork, and nothing begins in a frame.
    with(&moved(1 << 23));
    assert!(matches!(small().open(&to), Err(OpenError::Damaged(_))), "what is missing is missing");
    for by in [16, -16, -(1 << 15)] {
        with(&moved(by));
        let refused = small().open(&to);
        assert!(matches!(refused, Err(OpenError::Damaged(_))), "inside a frame: {refused:?}");
        let log = open().expect("up to there");
        assert_eq!(log.recovery().outcome, RecoveryOutcome::Damaged);
        assert!(read_all(&log).len() as u64 <= forked.last.get());
    }
    // A segment of the origin behind the end is not the fork's, by whatever way it came there.
    with(&|_| {});
    fs::copy(segment_path(&from, 3), segment_path(&to, 3)).expect("copied");
    assert!(matches!(open(), Err(OpenError::Foreign(_))), "put there");
    fs::remove_file(segment_path(&to, 3)).expect("removed");
    // And one of the fork's own is none of the origin's.
    let mut writer = small().open(&to).expect("opens");
    transaction(&mut writer, &mut random, 100);
    writer.close().expect("closed");
    fs::copy(segment_path(&to, 3), segment_path(&from, 3)).expect("copied");
    assert!(matches!(small().open(&from), Err(OpenError::Foreign(_))));
    assert!(events.len() as u64 > forked.last.get());
}

/// The end of what was taken is what the lineage says; a segment that goes on from elsewhere contradicts it.
#[test]
fn is_nothing_believed_behind_the_fork() {
    let mut random = Random::from_environment("behind the fork");
    let directory = tempfile::tempdir().expect("a directory");
    let (from, to) = (directory.path().join("origin"), directory.path().join("fork"));
    let (writer, _) = origin(&from, &mut random, 2);
    writer.close().expect("closed");
    let frames = SegmentFile::read(&from, 2).frames();
    let (cut, later) = (&frames[10], &frames[14]);
    Fork::of(&reading(&from)).at(cut.next_sequence().before()).create(&to).expect("forked");
    let mut writer = small().open(&to).expect("opens");
    transaction(&mut writer, &mut random, 100);
    writer.close().expect("closed");
    let open = SegmentFile::read(&to, 3);
    assert_eq!(open.frames()[0].sequence, cut.next_sequence());
    // As if the fork had been made later than its own segment says.
    for slot in 0..2 {
        let bytes = fs::read(manifest_path(&to, slot)).expect("read");
        let mut manifest = Manifest::decode(&bytes[..PAGE]).expect("a manifest");
        let end = Position::new(2.into_segment(), later.next_offset(), 22);
        manifest.lineage[0] = Ancestor { end, ..manifest.lineage[0] };
        fs::write(manifest_path(&to, slot), manifest.encode()).expect("written");
    }
    let refused = small().open(&to);
    assert!(matches!(refused, Err(OpenError::Damaged(_))), "{refused:?}");
    // As if it had been made earlier: its own segment claims what is not the fork's.
    for slot in 0..2 {
        let bytes = fs::read(manifest_path(&to, slot)).expect("read");
        let mut manifest = Manifest::decode(&bytes[..PAGE]).expect("a manifest");
        let end = Position::new(2.into_segment(), frames[5].next_offset(), 22);
        let last_sequence = frames[5].next_sequence().before();
        manifest.lineage[0] = Ancestor { end, last_sequence, ..manifest.lineage[0] };
        fs::write(manifest_path(&to, slot), manifest.encode()).expect("written");
    }
    let refused = small().open(&to);
    assert!(matches!(refused, Err(OpenError::Damaged(_))), "{refused:?}");
    let log = reading(&to);
    assert_eq!(read_all(&log).len() as u64, frames[5].next_sequence().get() - 1);
    assert_eq!(log.recovery().outcome, RecoveryOutcome::Damaged);
}

/// Damage in what is shared is not repaired by a fork, which would have to write it; what is left of it
/// can be forked. Damage in what is its own is repaired like any other.
#[test]
fn is_damage_in_an_ancestor_left_to_the_ancestor() {
    let mut random = Random::from_environment("damaged forks");
    let directory = tempfile::tempdir().expect("a directory");
    let name = |name: &str| directory.path().join(name);
    let (writer, events) = origin(&name("origin"), &mut random, 2);
    writer.close().expect("closed");
    let frames = SegmentFile::read(&name("origin"), 2).frames();
    Fork::of(&reading(&name("origin")))
        .at(frames[12].sequence)
        .create(name("fork"))
        .expect("forked");
    let mut fork = small().open(name("fork")).expect("opens");
    fill(&mut fork, &mut random, 2);
    fork.close().expect("closed");
    let all = read_all(&reading(&name("fork")));
    // In its own.
    let mut own = SegmentFile::read(&name("fork"), 3);
    let whole = own.bytes.clone();
    let broken = own.frames()[4];
    own.bytes[broken.offset as usize + 60] ^= 1;
    own.write();
    assert!(
        matches!(small().recovery(Recovery::Strict).open(name("fork")), Err(OpenError::Damaged(_)))
            || small().verify(name("fork")).expect("a report").outcome == RecoveryOutcome::Damaged
    );
    copy_tree(&name("fork"), &name("copy"));
    let repaired = small().recovery(Recovery::Repair).open(name("copy")).expect("repaired");
    assert_eq!(repaired.recovery().lost.expect("some").0, broken.sequence);
    let left = factlog_tests::read_from(&repaired.log(), factlog::Start::Oldest).expect("readable");
    assert_eq!(left, all[..broken.sequence.get() as usize - 1]);
    repaired.close().expect("closed");
    own.bytes = whole;
    own.write();
    // In what it shares.
    let mut shared = SegmentFile::read(&name("fork"), 2);
    shared.bytes[frames[7].offset as usize + 60] ^= 1;
    shared.write();
    let before = files(&name("fork"));
    let refused = small().recovery(Recovery::Repair).open(name("fork"));
    assert!(matches!(refused, Err(OpenError::DamagedAncestor(_))), "{refused:?}");
    assert_eq!(files(&name("fork")), before, "nothing was changed");
    let left = Options::new().recovery(Recovery::Repair).open_read_only(name("fork"));
    let left = left.expect("up to the damage");
    let last = frames[7].sequence.before();
    assert_eq!(left.visible().0, last);
    let forked = Fork::of(&left).create(name("again")).expect("what is left");
    assert_eq!(forked.last, last);
    let mut again = small().open(name("again")).expect("opens");
    assert_eq!(read_all(&again.log()), events[..last.get() as usize]);
    fill(&mut again, &mut random, 1);
    again.close().expect("closed");
    assert_eq!(
        small().verify(name("again")).expect("a report").outcome,
        RecoveryOutcome::ClosedCleanly
    );
}

trait IntoSegment {
    fn into_segment(self) -> factlog::SegmentId;
}

impl IntoSegment for u32 {
    fn into_segment(self) -> factlog::SegmentId {
        factlog::SegmentId::new(self)
    }
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir(to).expect("made");
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy_tree(&path, &target);
        } else {
            fs::copy(&path, &target).expect("copied");
        }
    }
}
