//! A follower's process is killed at any moment; its connections are cut at any byte.

use std::env;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use factlog::{Feed, FollowEnd, FollowError, Sequence};
use factlog_tests::lossy::Lossy;
use factlog_tests::{Random, scratch};

use super::support::{compare_segments, options, trail, write};

const CHILD: &str = "FACTLOG_TEST_FOLLOWER_CHILD";
const TEST: &str = "crashes::does_a_follower_that_is_killed_go_on";
const KILLS: u32 = 30;

/// What the child does, until it is killed: it follows, over one connection after the other.
fn child(directory: &Path, socket: &Path, seed: u64) {
    let mut random = Random::new(seed);
    let mut follower = options().open_follower(directory).expect("it opens after every kill");
    loop {
        let stream = UnixStream::connect(socket).expect("the leader is there");
        let stream = Lossy::new(stream, 1 + random.below(2_000_000), random.next());
        match follower.follow(stream) {
            Err(FollowError::Link(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn does_a_follower_that_is_killed_go_on() {
    if let Some(directory) = env::var_os(CHILD) {
        let socket = env::var_os("FACTLOG_TEST_SOCKET").expect("a socket");
        let seed = env::var("FACTLOG_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
        child(Path::new(&directory), Path::new(&socket), seed.expect("a seed"));
        return;
    }
    let mut random = Random::from_environment("does_a_follower_that_is_killed_go_on");
    let (here, there, place) = (scratch(), scratch(), scratch());
    let mut writer = options().open(here.path()).expect("a log");
    let socket = place.path().join("leader");
    let listener = UnixListener::bind(&socket).expect("a socket");
    // The greatest position that was ever acknowledged: nothing of it may be missing again.
    let acknowledged = Arc::new(AtomicU64::new(0));
    let ended = Arc::new(AtomicBool::new(false));
    let (log, most, over) = (writer.log(), Arc::clone(&acknowledged), Arc::clone(&ended));
    let leading = std::thread::spawn(move || {
        let mut feeding = Vec::new();
        for stream in listener.incoming() {
            if over.load(Ordering::SeqCst) {
                break;
            }
            let (stream, most) = (stream.expect("a follower"), Arc::clone(&most));
            let feed = Feed::of(&log).heartbeat(Duration::from_millis(5));
            feeding.push(std::thread::spawn(move || {
                // Every one of them is cut or killed.
                drop(feed.serve_with(stream, |progress| {
                    most.fetch_max(progress.next.get(), Ordering::SeqCst);
                    std::ops::ControlFlow::Continue(())
                }));
            }));
        }
        feeding.into_iter().for_each(|feeding| feeding.join().expect("no panic"));
    });
    let mut progressed = 0;
    for _ in 0..KILLS {
        let mut child = Command::new(env::current_exe().expect("this test"))
            .args(["--exact", TEST, "--nocapture"])
            .env(CHILD, there.path())
            .env("FACTLOG_TEST_SOCKET", &socket)
            .env("FACTLOG_TEST_SEED", random.next().to_string())
            .stdout(Stdio::null())
            .spawn()
            .expect("a child");
        let before = acknowledged.load(Ordering::SeqCst);
        let most = random.below(30);
        // On a busy machine it takes its time until it is at work: most are to be hit there.
        let at_work = random.below(4) > 0;
        let patience = Instant::now() + Duration::from_secs(30);
        while at_work && acknowledged.load(Ordering::SeqCst) == before && Instant::now() < patience
        {
            write(&mut writer, 1);
            std::thread::sleep(Duration::from_millis(20));
        }
        for _ in 0..1 + random.below(30) {
            write(&mut writer, 1 + random.below(200));
            std::thread::sleep(Duration::from_millis(most / 4));
            assert_eq!(child.try_wait().expect("asked"), None, "the child has ended by itself");
        }
        child.kill().expect("killed");
        child.wait().expect("gone");
        // What it had acknowledged is there: whoever opens it finds no less.
        let least = acknowledged.load(Ordering::SeqCst);
        progressed += u32::from(least > before);
        let follower = options().open_follower(there.path()).expect("it opens after every kill");
        let next = follower.log().map_or(1, |log| log.visible().0.after(1).get());
        assert!(next >= least, "event {least} was acknowledged, and {next} is the next one");
    }
    assert!(progressed > KILLS / 3, "{progressed} of {KILLS} kills hit a follower at work");
    // Enough for hashes, and the rest over one connection.
    let missing = 30_000_u64.saturating_sub(writer.next_sequence().get());
    write(&mut writer, missing + 1);
    let leader = writer.log();
    writer.close().expect("closed");
    let mut follower = options().open_follower(there.path()).expect("a directory");
    let stream = UnixStream::connect(&socket).expect("the leader is there");
    assert_eq!(follower.follow(stream).expect("followed"), FollowEnd::Closed);
    ended.store(true, Ordering::SeqCst);
    drop(UnixStream::connect(&socket));
    leading.join().expect("no panic");
    let log = follower.log().expect("a log");
    assert!(log.visible().0 >= Sequence::new(30_000));
    let (one, other) = (trail(&leader), trail(&log));
    assert!(one.hashes().len() >= 3);
    assert_eq!(one, other);
    follower.close().expect("closed");
    assert!(compare_segments(here.path(), there.path()) >= 2);
}
