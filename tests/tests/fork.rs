//! Can a forked child write the log of its parent?
//!
//! The child has the mapping and the lock, but must get a typed error for each attempt; the
//! parent goes on as if nothing had happened.
#![cfg(unix)]

use std::os::unix::net::UnixStream;

use factlog::{
    Aggregate, AppendError, AskError, AttachError, Context, Engine, EventType, Events, Feed, Log,
    Meta, NotWriter, Opaque, OpenError, Options, Recovery, Replica, RetainError, Retention,
    SaveError, SendError, Start, State, SubmitError, SyncError, ThreadOptions, WriteWay,
};
use factlog_tests::{read_all, surgery};

static NOTE: EventType = EventType::opaque("note", 1);

/// How a child that was just forked ends; here it must not be killed.
fn exit_code(child: libc::pid_t) -> i32 {
    assert!(child > 0, "fork failed");
    let mut status = 0;
    // SAFETY: waits for the child that was just made; `status` is a valid place.
    let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!(waited, child);
    assert!(libc::WIFEXITED(status), "the child was killed: {status:#x}");
    libc::WEXITSTATUS(status)
}

#[test]
fn does_a_forked_child_get_an_error_and_the_parent_go_on() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = Options::new().segment_size(4 << 20).open(directory.path()).expect("a log");
    writer.append(&Opaque::new(&NOTE, b"before")).expect("appended");

    // SAFETY: the child only looks at memory, tries to append, and leaves by `_exit`: it takes no
    // lock that another thread of the parent could hold, and runs no destructor.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let append = matches!(
            writer.append(&Opaque::new(&NOTE, b"from the child")),
            Err(AppendError::Forked)
        );
        let begin = matches!(writer.begin(), Err(AppendError::Forked));
        let sync = matches!(writer.sync(), Err(SyncError::Forked));
        let code = i32::from(!append) | (i32::from(!begin) << 1) | (i32::from(!sync) << 2);
        // SAFETY: ends the child at once.
        unsafe { libc::_exit(code) };
    }
    assert_eq!(exit_code(child), 0, "bits: append, begin, sync got no error");

    writer.append(&Opaque::new(&NOTE, b"after")).expect("the parent goes on");
    writer.sync().expect("synced");
    assert_eq!(writer.log().visible().0.get(), 2);
    writer.close().expect("closed");
}

/// The claim of a transaction is shared with a child that is forked while it is open: the child neither
/// adds to it, nor commits it, nor zeroes it.
#[test]
fn does_a_forked_child_leave_an_open_transaction_alone() {
    for way in [WriteWay::Mapped, WriteWay::Staged] {
        let directory = tempfile::tempdir().expect("a directory");
        let options = || Options::new().segment_size(4 << 20).write_way(way);
        let mut writer = options().open(directory.path()).expect("a log");
        let log = writer.log();
        let mut transaction = writer.begin().expect("begun");
        transaction.append(&Opaque::new(&NOTE, b"before")).expect("appended");
        for commits in [true, false] {
            // SAFETY: the child takes no lock that another thread of the parent could hold, and leaves
            // by `_exit`. An alarm ends it should it wait for something.
            let child = unsafe { libc::fork() };
            if child == 0 {
                // SAFETY: asks the kernel for a signal.
                unsafe { libc::alarm(20) };
                let long = Opaque::new(&NOTE, &[7; 1000]);
                let forked =
                    |error: Option<AppendError>| matches!(error, Some(AppendError::Forked));
                let append = forked(transaction.append(&long).err());
                let with = forked(transaction.append_with(&long, Meta::new()).err());
                let commit = if commits {
                    forked(transaction.commit().err())
                } else {
                    drop(transaction);
                    true
                };
                let begin = forked(writer.begin().err());
                let code = i32::from(!append)
                    | (i32::from(!with) << 1)
                    | (i32::from(!commit) << 2)
                    | (i32::from(!begin) << 3);
                // SAFETY: ends the child at once.
                unsafe { libc::_exit(code) };
            }
            assert_eq!(
                exit_code(child),
                0,
                "bits: append, with, commit, begin got no error, {way:?}"
            );
            assert_eq!(log.visible().0.get(), 0, "{way:?}");
        }
        transaction.append(&Opaque::new(&NOTE, b"after")).expect("the parent goes on");
        transaction.commit().expect("committed");
        writer.append(&Opaque::new(&NOTE, b"alone")).expect("appended");
        let payloads =
            |log: &Log| read_all(log).into_iter().map(|seen| seen.payload).collect::<Vec<_>>();
        let expected = [b"before".to_vec(), b"after".to_vec(), b"alone".to_vec()];
        assert_eq!(payloads(&log), expected, "{way:?}");
        writer.close().expect("closed");
        let writer = options().recovery(Recovery::Strict).open(directory.path()).expect("opens");
        assert_eq!(payloads(&writer.log()), expected, "{way:?}");
    }
}

#[test]
fn does_a_forked_child_not_wait_for_threads_that_it_does_not_have() {
    let directory = tempfile::tempdir().expect("a directory");
    let writer = Options::new().segment_size(4 << 20).open(directory.path()).expect("a log");
    let service = writer.spawn(ThreadOptions::new()).expect("a thread");
    let producer = service.producer();
    let note = |bytes| Opaque::new(&NOTE, bytes);
    producer.try_submit(note(b"before")).expect("accepted").wait().expect("written");

    // SAFETY: the child takes no lock that another thread of the parent could hold, and leaves by
    // `_exit`. An alarm ends it should it wait for something.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: sets a timer, nothing else.
        unsafe { libc::alarm(20) };
        let submit = matches!(producer.try_submit(note(b"child")), Err(SubmitError::Forked(_)));
        let retain =
            matches!(service.retain(&Retention::keep_segments(1)), Err(RetainError::Forked));
        let close = matches!(service.close(), Err(SyncError::Forked));
        let code = i32::from(!submit) | (i32::from(!retain) << 1) | (i32::from(!close) << 2);
        // SAFETY: ends the child at once.
        unsafe { libc::_exit(code) };
    }
    assert_eq!(exit_code(child), 0, "bits: submit, retain, close got no error");
    let receipt = producer.try_submit(note(b"after")).expect("accepted").wait().expect("written");
    assert_eq!(receipt.first.get(), 2);
    service.close().expect("closed");
}

#[factlog::event(name = "count", version = 1)]
struct Count {}

#[factlog::event(name = "counted", version = 1)]
struct Counted {}

#[factlog::vocabulary]
enum CounterEvent {
    Counted(Counted),
}

#[derive(Default)]
struct Counter {
    count: u64,
}

impl State for Counter {
    const NAME: &'static str = "counter";
    type Key = u64;
    type Event = CounterEvent;

    fn evolve(&mut self, CounterEventView::Counted(_): CounterEventView<'_>) {
        self.count += 1;
    }
}

impl Aggregate for Counter {
    type Command = Count;
    type Reply = ();
    type Rejection = String;

    fn decide(&self, _: &Count, _: &mut Context<'_, Self>) -> Result<Events<CounterEvent>, String> {
        Ok(Events::one(Counted {}))
    }
}

#[test]
fn does_nobody_decide_in_a_forked_child() {
    let directory = tempfile::tempdir().expect("a directory");
    let options = Options::new().segment_size(4 << 20);
    let engine = Engine::open(directory.path()).options(options).aggregate::<Counter>();
    let engine = engine.start().expect("an engine");
    engine.call::<Counter>(1, Count {}).expect("accepted");
    let replica = Replica::of(engine.log()).state::<Counter>().start().expect("a replica");

    // SAFETY: the child takes no lock that another thread of the parent could hold, and leaves by
    // `_exit`. An alarm ends it should it wait for something.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: sets a timer, nothing else.
        unsafe { libc::alarm(20) };
        let send = matches!(engine.send::<Counter>(1, Count {}), Err(SendError::Forked(_)));
        let asked = engine.ask::<Counter, _>(1, |counter| counter.count);
        let ask = matches!(asked, Err(AskError::Forked));
        drop(replica);
        let close = matches!(engine.close(), Err(SyncError::Forked));
        let code = i32::from(!send) | (i32::from(!ask) << 1) | (i32::from(!close) << 2);
        // SAFETY: ends the child at once.
        unsafe { libc::_exit(code) };
    }
    assert_eq!(exit_code(child), 0, "bits: send, ask, close got no error");
    engine.call::<Counter>(1, Count {}).expect("accepted");
    assert_eq!(engine.ask::<Counter, _>(1, |counter| counter.count).expect("told"), 2);
    engine.close().expect("closed");
}

#[test]
fn does_a_forked_child_leave_named_cursors_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = Options::new().segment_size(4 << 20).open(directory.path()).expect("a log");
    for _ in 0..3 {
        writer.append(&Opaque::new(&NOTE, b"some")).expect("appended");
    }
    writer.sync().expect("synced");
    let log = writer.log();
    let mut cursor = log.named_cursor_from("a", Start::Oldest).expect("registered");
    assert!(cursor.next_event().expect("readable").is_some());

    // SAFETY: the child takes no lock that another thread of the parent could hold, and leaves by
    // `_exit`. An alarm ends it should it wait for something.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: sets a timer, nothing else.
        unsafe { libc::alarm(20) };
        let forked = |error: Option<AttachError>| {
            matches!(error, Some(AttachError::NotWriter(NotWriter::Forked)))
        };
        let save = matches!(cursor.save(), Err(SaveError::NotWriter(NotWriter::Forked)));
        let attach = forked(log.named_cursor("a").err());
        let register = forked(log.named_cursor_from("b", Start::End).err());
        let forget = forked(log.forget_cursor("a").err());
        drop(cursor);
        let code = i32::from(!save)
            | (i32::from(!attach) << 1)
            | (i32::from(!register) << 2)
            | (i32::from(!forget) << 3);
        // SAFETY: ends the child at once.
        unsafe { libc::_exit(code) };
    }
    assert_eq!(exit_code(child), 0, "bits: save, attach, register, forget got no error");
    cursor.save().expect("the parent goes on");
    drop(cursor);
    assert_eq!(log.named_cursor("a").expect("attached").next_sequence().get(), 2);
    writer.close().expect("closed");
}

/// The threads of a writer do not exist in a child: it must not wait for them.
#[test]
fn can_a_forked_child_let_go_of_a_writer() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = Options::new().segment_size(4 << 20).open(directory.path()).expect("a log");
    writer.append(&Opaque::new(&NOTE, b"before")).expect("appended");
    // SAFETY: the child takes no lock that another thread of the parent could hold, and leaves by
    // `_exit`. An alarm ends it should it wait for something.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: asks the kernel for a signal.
        unsafe { libc::alarm(20) };
        drop(writer);
        // SAFETY: ends the child at once.
        unsafe { libc::_exit(0) };
    }
    assert_eq!(exit_code(child), 0);
    writer.append(&Opaque::new(&NOTE, b"after")).expect("the parent goes on");
    writer.close().expect("closed");
}

/// A process that is being started has all descriptors of its parent, until it runs its own program:
/// that must not hold the lock of a log that was closed meanwhile.
#[test]
fn does_a_forked_child_hold_no_lock_that_its_parent_has_let_go_of() {
    let directory = tempfile::tempdir().expect("a directory");
    let options = || Options::new().segment_size(4 << 20);
    let writer = options().open(directory.path()).expect("a log");
    // SAFETY: the child does nothing but wait to be killed; an alarm ends it in any case.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: asks the kernel for a signal.
        unsafe { libc::alarm(60) };
        loop {
            // SAFETY: waits for a signal.
            unsafe { libc::pause() };
        }
    }
    // As long as the parent writes, nobody else does.
    let refused = options().open(directory.path()).map(drop).expect_err("a second writer");
    assert!(matches!(refused, OpenError::Locked(_)), "{refused}");
    drop(writer);
    let again = options().open(directory.path());
    // SAFETY: ends the child that was made above.
    assert_eq!(unsafe { libc::kill(child, libc::SIGKILL) }, 0);
    let mut status = 0;
    // SAFETY: waits for it; `status` is a valid place.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    drop(again.expect("its writer was dropped"));
}

/// What a follower has come to its parent notes, and nobody else.
#[test]
fn does_a_forked_child_note_nothing_for_a_follower() {
    let (leader, taken) = (tempfile::tempdir(), tempfile::tempdir());
    let (leader, taken) = (leader.expect("a directory"), taken.expect("a directory"));
    let options = || Options::new().segment_size(4 << 20);
    let mut writer = options().open(leader.path()).expect("a log");
    writer.append(&Opaque::new(&NOTE, b"taken over")).expect("appended");
    writer.sync().expect("synced");
    let (one, other) = UnixStream::pair().expect("a connection");
    let log = writer.log();
    let feed = std::thread::spawn(move || Feed::of(&log).serve(one).is_ok());
    let mut follower = options().open_follower(taken.path()).expect("a directory");
    {
        let mut following = follower.connect(other).expect("welcome");
        while following.receive().expect("received").is_some_and(|turn| turn.next.get() < 2) {}
    }
    let manifests = || {
        let read = |slot| std::fs::read(surgery::manifest_path(taken.path(), slot)).ok();
        (read(0), read(1))
    };
    let before = manifests();
    // SAFETY: the child takes no lock that another thread of the parent could hold, and leaves by
    // `_exit`. An alarm ends it should it wait for something.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: asks the kernel for a signal.
        unsafe { libc::alarm(20) };
        let refused = matches!(follower.close(), Err(SyncError::Forked));
        // SAFETY: ends the child at once.
        unsafe { libc::_exit(i32::from(!refused)) };
    }
    assert_eq!(exit_code(child), 0);
    assert!(manifests() == before, "the child has written");
    follower.close().expect("noted");
    assert!(manifests() != before);
    drop(writer);
    feed.join().expect("no panic");
}
