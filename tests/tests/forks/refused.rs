//! What cannot be forked, and what somebody is told.

use factlog::{Fork, ForkError};
use factlog_tests::{Random, in_memory, read_all, small};

use super::*;

#[test]
fn is_a_place_that_cannot_be_had_refused() {
    let mut random = Random::from_environment("places that cannot be had");
    let directory = tempfile::tempdir().expect("a directory");
    let from = directory.path().join("origin");
    let mut writer = small().open(&from).expect("a log");
    let to = directory.path().join("fork");
    let refused = Fork::of(&writer.log()).create(&to);
    assert!(matches!(refused, Ok(_) | Err(ForkError::NothingDurable)), "{refused:?}");
    drop(fs::remove_dir_all(&to));
    transaction(&mut writer, &mut random, 100);
    writer.sync().expect("synced");
    let last = writer.log().visible().0;
    transaction(&mut writer, &mut random, 100);
    let refused = Fork::of(&writer.log()).at(writer.log().visible().0).create(&to);
    let durable = writer.log().durable().0;
    assert!(
        matches!(refused, Err(ForkError::Beyond(found)) if found == durable && durable == last),
        "{refused:?}"
    );
    let refused = Fork::of(&writer.log()).at(sequence(u64::MAX)).create(&to);
    assert!(matches!(refused, Err(ForkError::Beyond(_))), "{refused:?}");
    let refused = Fork::of(&writer.log()).create(Path::new("/"));
    assert!(matches!(refused, Err(ForkError::NoName(_))), "{refused:?}");
    let refused = Fork::of(&writer.log()).create(&from);
    assert!(matches!(refused, Err(ForkError::NotEmpty(_))), "{refused:?}");
    fs::write(&to, b"a file").expect("written");
    let refused = Fork::of(&writer.log()).create(&to);
    assert!(matches!(refused, Err(ForkError::NotEmpty(_))), "{refused:?}");
    fs::remove_file(&to).expect("removed");
    // An empty folder is taken.
    fs::create_dir(&to).expect("made");
    Fork::of(&writer.log()).create(&to).expect("forked");
    let refused = Fork::of(&writer.log()).create(&to);
    assert!(matches!(refused, Err(ForkError::NotEmpty(_))), "{refused:?}");
    for entry in fs::read_dir(directory.path()).expect("a folder") {
        let name = entry.expect("an entry").file_name();
        assert!(name == "origin" || name == "fork", "{name:?} was left");
    }
    writer.close().expect("closed");
}

/// Two at once into the same folder: one of them is told.
#[test]
fn does_one_fork_at_a_time_get_a_name() {
    let mut random = Random::from_environment("two forks at once");
    let directory = tempfile::tempdir().expect("a directory");
    let (writer, events) = origin(&directory.path().join("origin"), &mut random, 1);
    let (log, to) = (writer.log(), directory.path().join("fork"));
    // Somebody is at it, in this process or another.
    fs::create_dir(directory.path().join(".fork.forking")).expect("made");
    let lock = fs::File::create(directory.path().join(".fork.forking/LOCK")).expect("made");
    lock.lock().expect("locked");
    let refused = Fork::of(&log).create(&to);
    assert!(matches!(refused, Err(ForkError::Busy(_))), "{refused:?}");
    drop(lock);
    let made: Vec<_> = std::thread::scope(|scope| {
        let forks: Vec<_> = (0..4).map(|_| scope.spawn(|| Fork::of(&log).create(&to))).collect();
        forks.into_iter().map(|fork| fork.join().expect("no panic")).collect()
    });
    assert_eq!(made.iter().filter(|made| made.is_ok()).count(), 1, "{made:?}");
    for refused in made.into_iter().filter_map(Result::err) {
        assert!(
            matches!(refused, ForkError::Busy(_) | ForkError::NotEmpty(_) | ForkError::Io(_)),
            "{refused:?}"
        );
    }
    assert_eq!(read_all(&reading(&to)), events);
    assert!(!directory.path().join(".fork.forking").exists());
    writer.close().expect("closed");
}

/// Where a segment cannot have another name: a copy, which says so; or none, if that is asked.
#[test]
fn is_a_fork_on_another_file_system_a_copy() {
    let Some(memory) = in_memory() else { return println!("skipped: there is no other place") };
    let mut random = Random::from_environment("forks elsewhere");
    let directory = tempfile::tempdir().expect("a directory");
    let elsewhere = tempfile::tempdir_in(memory).expect("a directory");
    let (writer, events) = origin(&directory.path().join("origin"), &mut random, 2);
    if fs::hard_link(directory.path().join("origin/LOCK"), elsewhere.path().join("LOCK")).is_ok() {
        return println!("skipped: it is the same file system");
    }
    let to = elsewhere.path().join("fork");
    let refused = Fork::of(&writer.log()).links_only().create(&to);
    assert!(matches!(refused, Err(ForkError::NoLink(_))), "{refused:?}");
    assert_eq!(fs::read_dir(elsewhere.path()).expect("a folder").count(), 0, "nothing is left");
    let half = sequence(events.len() as u64 / 2);
    let forked = Fork::of(&writer.log()).at(half).create(&to).expect("copied");
    assert!(
        forked.linked == 0 && forked.copied >= 2 && forked.copied_bytes > 4 << 20,
        "{forked:?}"
    );
    let mut fork = small().open(&to).expect("opens");
    let last = forked.last.get() as usize;
    assert_eq!(read_all(&fork.log()), events[..last]);
    fill(&mut fork, &mut random, 1);
    assert_eq!(read_all(&fork.log())[..last], events[..last]);
    fork.close().expect("closed");
    writer.close().expect("closed");
}
