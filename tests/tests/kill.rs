//! Is everything that a reader could have seen there after `kill -9` at any moment?
//!
//! A child process appends to a log as fast as it can; a reader in it writes each event that it
//! has seen, sequence and digest, to a pipe, which is outside the child. The parent kills it at a
//! random moment, opens the log, and holds it against what came through the pipe. 200 times on
//! one directory, with recovery upon recovery. At least 30 of 100 kills must leave a torn tail:
//! otherwise they hit nothing.
#![cfg(unix)]

use std::env;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use factlog::{
    Expected, Meta, Options, RecoveryOutcome, Start, StreamKey, WaitStrategy, Waited, Writer,
};
use factlog_tests::{Random, digest};

const CHILD: &str = "FACTLOG_TEST_KILL_CHILD";
/// What the child says when it has opened the log.
const READY: &[u8] = b"the log is open\n";
const KILLS: u32 = 200;
/// The directory begins anew when the log has this many bytes.
const ENOUGH: u64 = 6 << 20;

#[factlog::event(name = "written", version = 1)]
struct Written {
    number: u64,
    filler: Vec<u8>,
}

/// What the child does, until it is killed.
fn child(directory: &Path) {
    let mut writer = options().open(directory).expect("the log opens after every kill");
    let log = writer.log();
    std::thread::spawn(move || {
        let mut cursor = log.cursor(Start::End).expect("a cursor");
        let mut out = std::io::stdout().lock();
        out.write_all(READY).expect("the parent reads");
        out.flush().expect("the parent reads");
        let mut records = Vec::new();
        while cursor.wait(WaitStrategy::Yield, Duration::from_secs(60)) != Waited::Closed {
            records.clear();
            for event in cursor.poll().expect("readable") {
                let event = event.expect("readable");
                records.extend_from_slice(&event.sequence().get().to_le_bytes());
                records.extend_from_slice(&digest(event.payload()).to_le_bytes());
            }
            // Behind a kill the pipe has all or nothing of each write.
            for chunk in records.chunks(4096) {
                out.write_all(chunk).expect("the parent reads");
            }
            out.flush().expect("the parent reads");
        }
    });
    let streams: Vec<StreamKey> =
        (0..7_u64).map(|key| StreamKey::new("stream", key).expect("a name")).collect();
    for number in writer.next_sequence().get().. {
        let event =
            |number: u64| Written { number, filler: vec![number as u8; (number % 500) as usize] };
        if number % 3 == 0 {
            let meta = Meta::new().stream(&streams[(number % 7) as usize], Expected::Any);
            writer.append_with(&event(number), meta).expect("appended");
        } else {
            let mut transaction = writer.begin().expect("a transaction");
            for part in 0..number % 90 {
                let meta = Meta::new().stream(&streams[(part % 7) as usize], Expected::Any);
                transaction.append_with(&event(number + part), meta).expect("appended");
            }
            transaction.commit().expect("committed");
        }
    }
}

fn options() -> Options {
    Options::new().segment_size(4 << 20).spare_segments(3).prefault(1 << 20)
}

/// Holds the log against what was seen; both ways through every stream.
fn check(writer: &Writer, seen: &[(u64, u64)]) {
    let log = writer.log();
    let mut cursor = log.cursor(Start::Oldest).expect("a cursor");
    let mut digests = vec![0];
    while let Some(event) = cursor.next_event().expect("readable") {
        assert_eq!(event.sequence().get(), digests.len() as u64, "dense and in order");
        let written = event.get::<Written>().expect("valid").expect("the only type");
        assert_eq!(written.filler().len() as u64, written.number() % 500);
        digests.push(digest(event.payload()));
    }
    assert_eq!(writer.next_sequence().get(), digests.len() as u64);
    for (sequence, digest) in seen {
        let stands = digests.get(*sequence as usize);
        assert_eq!(stands, Some(digest), "event {sequence} was seen, and is lost or changed");
    }
    for key in 0..7_u64 {
        let stream = StreamKey::new("stream", key).expect("a name");
        let mut history = log.stream_backwards(&stream);
        let mut version = log.stream_version(&stream).get();
        while let Some(event) = history.next_event().expect("linked") {
            let found = event.stream_version().expect("readable").expect("in a stream");
            assert_eq!(found.get(), version);
            version -= 1;
        }
        assert_eq!(version, 0);
    }
}

#[test]
fn is_all_that_was_seen_there_after_every_kill() {
    if let Some(directory) = env::var_os(CHILD) {
        child(Path::new(&directory));
        return;
    }
    let mut random = Random::from_environment("kill");
    let mut directory = tempfile::tempdir().expect("a directory");
    let (mut torn, mut whole, mut events) = (0, 0, 0);
    for kill in 0..KILLS {
        let mut child = Command::new(env::current_exe().expect("this test"))
            .args(["--exact", "is_all_that_was_seen_there_after_every_kill", "--nocapture"])
            .env(CHILD, directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a child");
        let mut pipe = child.stdout.take().expect("piped");
        let (opened, is_open) = std::sync::mpsc::channel();
        let reader = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let mut chunk = vec![0; 1 << 16];
            while let Ok(count) = pipe.read(&mut chunk) {
                if count == 0 {
                    break;
                }
                bytes.extend_from_slice(&chunk[..count]);
                if records_at(&bytes).is_some() {
                    // The other end may have been told already.
                    let _ = opened.send(());
                }
            }
            bytes
        });
        is_open.recv_timeout(Duration::from_secs(60)).expect("the child opens the log");
        std::thread::sleep(Duration::from_micros(random.below(15_000)));
        child.kill().expect("killed");
        let status = child.wait().expect("gone");
        assert_eq!(
            std::os::unix::process::ExitStatusExt::signal(&status),
            Some(9),
            "the child ended by itself: {status}"
        );
        let bytes = reader.join().expect("read");
        let start = records_at(&bytes).expect("the child had opened the log");
        let seen: Vec<(u64, u64)> = bytes[start..]
            .chunks_exact(16)
            .map(|record| {
                let word = |part: &[u8]| u64::from_le_bytes(part.try_into().expect("eight"));
                (word(&record[..8]), word(&record[8..]))
            })
            .collect();

        let writer = options().open(directory.path()).expect("recovered");
        match writer.recovery().outcome {
            RecoveryOutcome::Torn => torn += 1,
            RecoveryOutcome::Clean | RecoveryOutcome::Created => whole += 1,
            other => panic!("kill {kill}: {other:?}"),
        }
        check(&writer, &seen);
        events += seen.len();
        let (_, end) = writer.log().visible();
        drop(writer);
        // Segments are counted from 1.
        if end.raw() - (4 << 20) > ENOUGH {
            directory = tempfile::tempdir().expect("a directory");
        }
    }
    println!("{KILLS} kills: {torn} torn tails, {whole} whole, {events} events had been seen");
    assert!(torn * 100 >= KILLS * 30, "the kills hit nothing: {torn} of {KILLS} torn");
    assert!(events > 10_000, "hardly anything was seen: {events}");
}

/// Where the records begin: behind what the test harness says, and the child's first word.
fn records_at(bytes: &[u8]) -> Option<usize> {
    let at = bytes.windows(READY.len()).position(|window| window == READY)?;
    Some(at + READY.len())
}
