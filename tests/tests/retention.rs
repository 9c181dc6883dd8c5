//! Does retention drop exactly what it may, and is all that is left as it was?
//!
//! Method: real logs of several segments; what can be read is noted before and compared after, in
//! this process, in new ones, and with a crash planted between the steps.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use factlog::{
    Expected, Meta, OpenError, Options, ReadError, RecoveryOutcome, Retention, SeekError, Sequence,
    Start, StreamKey, StreamVersion, Writer,
};
use factlog_tests::small;

#[factlog::event(name = "filled", version = 1)]
#[derive(Debug)]
struct Filled {
    number: u64,
    bytes: Vec<u8>,
}

#[factlog::event(name = "late", version = 1)]
struct Late {
    number: u64,
}

fn account(number: u64) -> StreamKey {
    StreamKey::new("account", number).expect("a key")
}

/// Appends until `segments` rollovers have happened, and a little more: events of 40 streams, of which the first ten
/// have events at the beginning only.
fn fill(writer: &mut Writer, segments: u64) {
    let before = writer.log().stats().rollovers;
    let mut number = writer.next_sequence().get();
    let mut more = 60;
    while more > 0 {
        if writer.log().stats().rollovers == before + segments {
            more -= 1;
        }
        let stream = if number < 100 { number % 10 } else { 10 + number % 30 };
        let event = Filled { number, bytes: vec![number as u8; 20_000] };
        let stream = account(stream);
        let meta = Meta::new().stream(&stream, Expected::Any).metadata(b"m");
        writer.append_with(&event, meta).expect("appended");
        number += 1;
    }
    writer.sync().expect("synced");
}

type Contents = BTreeMap<u64, (u64, Option<u64>)>;

/// Everything that can be read: sequence, number, version in its stream.
fn contents(log: &factlog::Log) -> Contents {
    let mut cursor = log.cursor(Start::Oldest).expect("a cursor");
    let mut all = BTreeMap::new();
    while let Some(event) = cursor.next_event().expect("readable") {
        let number = match event.get::<Filled>().expect("valid") {
            Some(filled) => {
                assert!(filled.bytes().iter().all(|byte| byte == filled.number() as u8));
                filled.number()
            }
            None => event.get::<Late>().expect("valid").expect("a known type").number(),
        };
        let version = event.stream_version().expect("readable").map(StreamVersion::get);
        all.insert(event.sequence().get(), (number, version));
    }
    all
}

/// Every stream by its key, from the oldest event that is left: it is what the log has of it.
fn check_streams(log: &factlog::Log, contents: &Contents) {
    let mut found = 0;
    for number in 0..40 {
        let mut cursor = log.stream(&account(number), StreamVersion::NONE);
        let mut last = None;
        while let Some(event) = cursor.next_event().expect("readable") {
            let version = event.stream_version().expect("readable").expect("a version").get();
            assert_eq!(contents[&event.sequence().get()].1, Some(version));
            assert!(last.is_none_or(|last| version == last + 1));
            last = Some(version);
            found += 1;
        }
        assert_eq!(cursor.next_version(), log.stream_version(&account(number)).next());
        assert!(log.stream_version(&account(number)) > StreamVersion::NONE, "it is remembered");
    }
    assert_eq!(found, contents.values().filter(|(_, version)| version.is_some()).count());
}

fn segments(directory: &Path) -> Vec<u32> {
    let entries = fs::read_dir(directory.join("seg")).expect("listed");
    let mut all: Vec<u32> = entries
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
        .filter_map(|name| Some(name.strip_suffix(".log")?.parse().expect("a number")))
        .collect();
    all.sort_unstable();
    all
}

#[test]
fn is_all_that_is_left_as_it_was_when_all_but_the_last_go() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = small().open(directory.path()).expect("opens");
    fill(&mut writer, 5);
    let before = contents(&writer.log());
    let retained = writer.retain(&Retention::keep_segments(1)).expect("dropped");
    assert_eq!((retained.dropped, retained.held, retained.left.len()), (5, None, 0));
    let left = contents(&writer.log());
    assert!(!left.is_empty() && left.len() < before.len());
    assert_eq!(left.keys().next(), Some(&retained.oldest.get()));
    assert!(left.iter().all(|(sequence, event)| before.get(sequence) == Some(event)));
    check_streams(&writer.log(), &left);
    assert_eq!(segments(directory.path())[0], 6);
    writer.close().expect("closed");

    let mut writer = small().open(directory.path()).expect("opens again");
    assert_eq!(writer.recovery().outcome, RecoveryOutcome::ClosedCleanly);
    assert_eq!(contents(&writer.log()), left);
    check_streams(&writer.log(), &left);
    // Another type, another stream, and an old stream that has nothing left: numbers go on.
    let types = writer.log().types().count();
    writer.append(&Late { number: 1 }).expect("another type");
    assert_eq!(writer.log().types().count(), types + 1);
    let fresh = StreamKey::new("fresh", "x").expect("a key");
    let fresh = Meta::new().stream(&fresh, Expected::NEW);
    writer.append_with(&Late { number: 2 }, fresh).expect("another stream");
    let version = writer.stream_version(&account(3));
    assert_eq!(version, StreamVersion::new(10));
    let stream = account(3);
    let meta = Meta::new().stream(&stream, Expected::Version(version));
    let sequence = writer.append_with(&Late { number: 3 }, meta).expect("goes on");
    let mut cursor = writer.log().stream(&account(3), StreamVersion::NONE);
    assert_eq!(cursor.next_event().expect("readable").expect("one").sequence(), sequence);
    assert!(cursor.next_event().expect("readable").is_none());
    // Once more, and the catalog of the first time is what the second one begins with.
    fill(&mut writer, 2);
    let before = contents(&writer.log());
    writer.retain(&Retention::keep_segments(1)).expect("dropped");
    let left = contents(&writer.log());
    assert!(left.iter().all(|(sequence, event)| before.get(sequence) == Some(event)));
    assert_eq!(writer.stream_version(&account(3)), version.next());
    drop(writer);
    let log = small().open_read_only(directory.path()).expect("opens");
    assert_eq!(contents(&log), left);
    check_streams(&log, &left);
}

#[test]
fn is_what_a_cursor_has_not_read_kept() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = small().open(directory.path()).expect("opens");
    fill(&mut writer, 4);
    let log = writer.log();
    let mut cursor = log.cursor(Start::Oldest).expect("a cursor");
    assert_eq!(log.stats().cursors, 1);
    let retained = writer.retain(&Retention::keep_segments(1)).expect("nothing to drop");
    assert_eq!((retained.dropped, retained.oldest), (0, Sequence::FIRST));
    assert_eq!(retained.held, Some(Sequence::FIRST));
    // Into the third segment: the first two can go.
    while (log.visible().1.raw() - log.stats().lag_bytes) >> 22 < 3 {
        assert!(cursor.next_event().expect("readable").is_some());
    }
    let third = cursor.next_sequence();
    let retained = writer.retain(&Retention::keep_segments(1)).expect("dropped");
    assert_eq!(retained.dropped, 2);
    assert!(retained.held.is_some_and(|held| held <= third));
    let next = cursor.next_event().expect("readable").expect("more").sequence();
    assert_eq!(next, third);
    drop(cursor);
    assert_eq!(log.stats().cursors, 0);
    let retained = writer.retain(&Retention::keep_segments(1)).expect("dropped");
    assert_eq!((retained.dropped, retained.held), (2, None));
}

#[test]
fn does_a_reader_behind_the_floor_get_the_oldest_sequence() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = small().open(directory.path()).expect("opens");
    fill(&mut writer, 3);
    let log = writer.log();
    let version = log.stream_version(&account(12));
    let mut back = log.stream_backwards(&account(12));
    let mut stream = log.stream(&account(12), StreamVersion::new(1));
    assert!(stream.next_event().expect("readable").is_some());
    let oldest = writer.retain(&Retention::keep_segments(1)).expect("dropped").oldest;
    let seek = log.cursor(Start::Sequence(Sequence::FIRST)).expect_err("it is gone");
    assert!(matches!(seek, SeekError::BeforeOldest(at) if at == oldest), "{seek}");
    assert_eq!(log.cursor(Start::Time(0)).expect("the oldest").next_sequence(), oldest);
    assert_eq!(log.cursor(Start::Oldest).expect("the oldest").next_sequence(), oldest);
    // A stream from a version on that is gone, and one that was being read.
    let mut gone = log.stream(&account(12), StreamVersion::new(1));
    let error = gone.next_event().expect_err("it is gone");
    assert!(matches!(error, ReadError::BehindFloor(at) if at == oldest), "{error}");
    assert!(error.to_string().contains(&oldest.to_string()));
    let error = loop {
        match stream.next_event() {
            Ok(Some(_)) => {}
            Ok(None) => panic!("it came to the end, over what is gone"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, ReadError::BehindFloor(_)));
    let mut seen = 0;
    let error = loop {
        match back.next_event() {
            Ok(Some(event)) => {
                assert!(event.sequence() >= oldest);
                seen += 1;
            }
            Ok(None) => panic!("it came to the beginning, which is gone"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, ReadError::BehindFloor(_)));
    assert!(seen > 0 && seen < version.get());
}

/// A cursor that began with whatever there was has read something: what is dropped before it comes to
/// it, it says.
#[test]
fn is_nothing_passed_over_that_is_dropped_while_a_stream_is_read() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = small().open(directory.path()).expect("opens");
    fill(&mut writer, 1);
    let log = writer.log();
    let mut whole = log.stream(&account(12), StreamVersion::NONE);
    while whole.next_event().expect("readable").is_some() {}
    let at = whole.next_version();
    // One that has not looked yet begins with what is left; one that found nothing left goes on there.
    let mut fresh = log.stream(&account(12), StreamVersion::NONE);
    let mut gone = log.stream(&account(5), StreamVersion::NONE);
    fill(&mut writer, 4);
    writer.retain(&Retention::keep_segments(1)).expect("dropped");
    let error = whole.next_event().expect_err("what came behind what it has read is gone");
    assert!(matches!(error, ReadError::BehindFloor(_)), "{error}");
    let first = fresh.next_event().expect("readable").expect("something is left");
    assert!(first.stream_version().expect("readable").is_some_and(|version| version > at));
    assert!(gone.next_event().expect("readable").is_none());
    let next = gone.next_version();
    let meta = account(5);
    let meta = Meta::new().stream(&meta, Expected::Any);
    writer.append_with(&Late { number: 1 }, meta).expect("appended");
    fill(&mut writer, 2);
    writer.retain(&Retention::keep_segments(1)).expect("dropped");
    let error = gone.next_event().expect_err("version {next} is gone");
    assert!(matches!(error, ReadError::BehindFloor(_)), "{next}: {error}");
}

#[test]
fn are_segments_in_the_archive_before_they_go() {
    let directory = tempfile::tempdir().expect("a directory");
    let archive = directory.path().join("archive");
    let log = directory.path().join("log");
    let mut writer = small().open(&log).expect("opens");
    fill(&mut writer, 3);
    let originals: Vec<_> = (1..=3)
        .map(|number| fs::read(log.join(format!("seg/{number:010}.log"))).expect("read"))
        .collect();
    // One is there already, by the same bytes: a crash in the middle of an archiving.
    fs::create_dir(&archive).expect("made");
    fs::copy(log.join("seg/0000000002.log"), archive.join("0000000002.log")).expect("copied");
    let retention = Retention::keep_segments(1).archive(&archive);
    assert_eq!(writer.retain(&retention).expect("archived").dropped, 3);
    for (number, original) in (1..).zip(&originals) {
        let path = archive.join(format!("{number:010}.log"));
        assert!(fs::read(path).expect("there") == *original, "segment {number}");
    }
    // Another file in its place: nothing is dropped.
    fill(&mut writer, 1);
    fs::write(archive.join("0000000004.log"), b"something else").expect("written");
    let before = contents(&writer.log());
    let error = writer.retain(&retention).expect_err("the place is taken");
    assert!(error.to_string().contains("nothing was dropped"), "{error}");
    assert_eq!(contents(&writer.log()), before);
    assert!(writer.log().cursor(Start::Oldest).is_ok(), "and it can be read from there");
}

#[test]
fn does_each_rule_keep_what_it_says() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = small().open(directory.path()).expect("opens");
    fill(&mut writer, 5);
    let first_of = |log: &factlog::Log| *contents(log).keys().next().expect("not empty");
    // From a sequence on: its segment stays whole.
    let wanted = writer.next_sequence().get() / 2;
    writer.retain(&Retention::keep_from(Sequence::new(wanted))).expect("dropped");
    let first = first_of(&writer.log());
    assert!(first > 1 && first <= wanted);
    // By bytes: three segments.
    let retained = writer.retain(&Retention::keep_bytes(3 << 22)).expect("dropped");
    let kept = writer.log().stats().segments;
    assert_eq!(kept, 3, "{retained:?}");
    // By time: everything is younger than this.
    let retained = writer.retain(&Retention::keep_since(1)).expect("nothing to drop");
    assert_eq!(retained.dropped, 0);
    let retained = writer.retain(&Retention::keep_since(u64::MAX)).expect("dropped");
    assert_eq!((retained.dropped, writer.log().stats().segments), (2, 1));
    // A leaked transaction leaves nothing that looks like a torn tail.
    let mut leaked = writer.begin().expect("begun");
    leaked.append(&Filled { number: 1, bytes: vec![9; 100_000] }).expect("appended");
    std::mem::forget(leaked);
    writer.append(&Filled { number: 1, bytes: vec![1; 10] }).expect("appended");
    let report = small().open_read_only(directory.path()).expect("opens").recovery().outcome;
    assert_eq!(report, RecoveryOutcome::Clean);
    // Nothing that is not durable goes.
    let mut number = 1;
    while writer.log().stats().rollovers < 7 {
        writer.append(&Filled { number, bytes: vec![number as u8; 50_000] }).expect("appended");
        number += 1;
    }
    writer.retain(&Retention::keep_segments(1)).expect("as far as may be");
    let (durable, _) = writer.log().durable();
    assert!(first_of(&writer.log()) <= durable.get() + 1);
    let mut leaked = writer.begin().expect("begun");
    leaked.append(&Filled { number: 1, bytes: vec![9; 100_000] }).expect("appended");
    std::mem::forget(leaked);
    writer.close().expect("closed");
    let report = small().open_read_only(directory.path()).expect("opens").recovery().outcome;
    assert_eq!(report, RecoveryOutcome::ClosedCleanly);
}

#[test]
fn does_a_crash_between_the_steps_leave_a_log_that_opens() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = small().open(directory.path()).expect("opens");
    fill(&mut writer, 3);
    let kept = directory.path().join("kept");
    fs::create_dir(&kept).expect("made");
    for number in 1..=3 {
        let name = format!("{number:010}.log");
        fs::copy(directory.path().join("seg").join(&name), kept.join(&name)).expect("copied");
    }
    for slot in ["MANIFEST-a", "MANIFEST-b"] {
        fs::copy(directory.path().join(slot), kept.join(slot)).expect("copied");
    }
    writer.retain(&Retention::keep_segments(1)).expect("dropped");
    let left = contents(&writer.log());
    drop(writer);
    let put_back = |manifests: bool| {
        for number in 1..=3 {
            let name = format!("{number:010}.log");
            fs::copy(kept.join(&name), directory.path().join("seg").join(&name)).expect("copied");
        }
        if manifests {
            for slot in ["MANIFEST-a", "MANIFEST-b"] {
                fs::copy(kept.join(slot), directory.path().join(slot)).expect("copied");
            }
        }
    };
    for manifests in [false, true] {
        // Before the files went; and before the manifest knew of the floor.
        put_back(manifests);
        let log = small().open_read_only(directory.path()).expect("opens for reading");
        assert_eq!(contents(&log), left);
        assert!(segments(directory.path()).contains(&1), "and changes nothing");
        let writer = small().open(directory.path()).expect("opens");
        assert_eq!(contents(&writer.log()), left);
        check_streams(&writer.log(), &left);
        assert!(!segments(directory.path()).contains(&1), "what was dropped is removed");
    }
}

#[test]
fn is_a_log_without_its_catalog_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = small().open(directory.path()).expect("opens");
    fill(&mut writer, 2);
    let early = {
        writer.retain(&Retention::keep_segments(2)).expect("dropped");
        fs::read(directory.path().join("CATALOG")).expect("the catalog")
    };
    writer.retain(&Retention::keep_segments(1)).expect("dropped");
    writer.close().expect("closed");
    let path = directory.path().join("CATALOG");
    let good = fs::read(&path).expect("the catalog");
    let mut changed = good.clone();
    *changed.last_mut().expect("bytes") ^= 1;
    let cases: [(&str, Option<&[u8]>); 4] = [
        ("missing", None),
        ("changed", Some(&changed)),
        ("cut", Some(&good[..good.len() - 1])),
        ("that of an earlier floor", Some(&early)),
    ];
    for (name, bytes) in cases {
        match bytes {
            Some(bytes) => fs::write(&path, bytes).expect("written"),
            None => fs::remove_file(&path).expect("removed"),
        }
        let error = small().open(directory.path()).expect_err(name);
        assert!(matches!(error, OpenError::Catalog(..)), "{name}: {error}");
        assert!(small().open_read_only(directory.path()).is_err(), "{name}");
    }
    fs::write(&path, &good).expect("written");
    // The first segment that is left is gone: that is damage, not an empty log.
    let first = directory.path().join("seg/0000000003.log");
    let aside = directory.path().join("aside");
    fs::rename(&first, &aside).expect("renamed");
    assert!(matches!(small().open(directory.path()), Err(OpenError::Damaged(_))));
    fs::rename(&aside, &first).expect("renamed");
    small().open(directory.path()).expect("opens again");
}

#[test]
fn can_the_writers_thread_go_on_meanwhile() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = small().open(directory.path()).expect("opens");
    fill(&mut writer, 3);
    let service = writer.spawn(factlog::ThreadOptions::new()).expect("a thread");
    let producer = service.producer();
    let running = std::thread::spawn(move || {
        for number in 0..2_000 {
            let event = Filled { number, bytes: vec![number as u8; 5_000] };
            let answer = producer.submit(event, std::time::Duration::from_secs(20));
            drop(answer.expect("accepted"));
        }
    });
    // Readers begin at the oldest event all the while: they always find one.
    let log = service.log();
    let stop = std::sync::atomic::AtomicBool::new(false);
    let mut dropped = 0;
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut begun = 0;
                    while begun == 0 || !stop.load(std::sync::atomic::Ordering::Relaxed) {
                        let mut cursor = log.cursor(Start::Oldest).expect("there is an oldest");
                        let mut next = cursor.next_sequence();
                        for _ in 0..50 {
                            let Some(event) = cursor.next_event().expect("held") else { break };
                            assert_eq!(event.sequence(), next);
                            next = next.after(1);
                        }
                        begun += 1;
                    }
                    begun
                })
            })
            .collect();
        while !running.is_finished() {
            let retained = service.retain(&Retention::keep_segments(2)).expect("dropped");
            dropped += retained.dropped;
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        for reader in readers {
            assert!(reader.join().expect("no panic") > 0);
        }
    });
    // What the readers held all the while.
    dropped += service.retain(&Retention::keep_segments(2)).expect("dropped").dropped;
    running.join().expect("no panic");
    assert!(dropped >= 2);
    let before = contents(&service.log());
    service.close().expect("closed");
    let log = Options::new().open_read_only(directory.path()).expect("opens");
    assert_eq!(contents(&log), before);
}
