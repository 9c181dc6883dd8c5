//! Does opening read little, and find the same as if it had read everything?
//!
//! Method: a log of twelve segments with 3,000 streams is opened with its stream tables, and held
//! against the same log without any, whose segments are all walked. Then tables and SEALs are
//! damaged, swapped and foreign: opening may read more, and finds the same.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use factlog::{
    AppendError, EventType, Expected, Log, LogId, Meta, Opaque, OpenError, RecoveryOutcome,
    RecoveryReport, Retention, Scrub, SegmentId, Sequence, Start, StreamKey, StreamVersion, Writer,
};
use factlog_codec::layout::seal_offset;
use factlog_codec::{Catalog, CatalogEntry, Fold, Seal, Walk};
use factlog_tests::surgery::{SegmentFile, copy_directory, segment_path, used_segments};
use factlog_tests::{Seen, read_from, small};
use tempfile::TempDir;

static BLOCK: EventType = EventType::opaque("block", 1);
const STREAMS: u64 = 3_000;
const SEGMENTS: u32 = 12;

fn stream(number: u64) -> StreamKey {
    StreamKey::new("account", number).expect("a name")
}

fn append(writer: &mut Writer, bytes: usize) {
    let sequence = writer.next_sequence().get();
    // Some streams have far more events than others.
    let stream = stream((sequence * sequence) % STREAMS.min(1 + sequence % 7_000));
    let mut payload = vec![sequence as u8; bytes];
    payload[..8].copy_from_slice(&sequence.to_le_bytes());
    let meta = Meta::new().stream(&stream, Expected::Any);
    writer.append_with(&Opaque::new(&BLOCK, &payload), meta).expect("appended");
}

fn table(directory: &Path, number: u32) -> PathBuf {
    directory.join("seg").join(format!("{number:010}.streams"))
}

fn tables(directory: &Path) -> Vec<u32> {
    (1..=SEGMENTS + 3).filter(|number| table(directory, *number).exists()).collect()
}

/// Fills segments up to the `last`th, and waits for the table behind the one before it.
fn fill(writer: &mut Writer, directory: &Path, last: u32) {
    while writer.log().visible().1.segment(22).get() < last {
        append(writer, 6_000);
    }
    for _ in 0..50 {
        append(writer, 200);
    }
    writer.sync().expect("synced");
    while !table(directory, last - 1).exists() {
        std::thread::yield_now();
    }
}

/// The log of twelve segments, closed.
fn log() -> TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = small().open(directory.path()).expect("a log");
    fill(&mut writer, directory.path(), SEGMENTS);
    writer.close().expect("closed");
    assert_eq!(used_segments(directory.path()).len(), SEGMENTS as usize);
    assert_eq!(tables(directory.path()), [SEGMENTS - 2, SEGMENTS - 1]);
    directory
}

/// All that can be read of a log: what it is held against.
struct Contents {
    events: Vec<Seen>,
    versions: Vec<u64>,
}

impl Contents {
    /// As found by walking every segment of a copy that has no tables.
    fn of(directory: &Path) -> Self {
        let copy = tempfile::tempdir().expect("a directory");
        copy_directory(directory, copy.path());
        for number in tables(copy.path()) {
            fs::remove_file(table(copy.path(), number)).expect("removed");
        }
        let log = small().open_read_only(copy.path()).expect("opens");
        assert_eq!(log.recovery().walked, log.recovery().segments, "{}", log.recovery());
        Self {
            events: read_from(&log, Start::Oldest).expect("readable"),
            versions: (0..STREAMS)
                .map(|number| log.stream_version(&stream(number)).get())
                .collect(),
        }
    }

    /// Versions, and everything in order.
    fn check(&self, log: &Log) {
        for (number, version) in (0..STREAMS).zip(&self.versions) {
            assert_eq!(log.stream_version(&stream(number)).get(), *version, "stream {number}");
        }
        assert_eq!(
            log.streams(),
            self.versions.iter().filter(|version| **version > 0).count() as u64
        );
        assert!(read_from(log, Start::Oldest).expect("readable") == self.events);
    }

    /// Every seek, by sequence and by time, and every stream from its beginning.
    fn check_seeks(&self, log: &Log) {
        for event in &self.events {
            let found = log.with_event(Sequence::new(event.sequence), Seen::of).expect("there");
            assert!(found == *event, "event {}", event.sequence);
            let mut cursor = log.cursor(Start::Time(event.ts)).expect("placed");
            let found = cursor.next_event().expect("readable").expect("there");
            assert_eq!((found.sequence().get(), found.ts()), (event.sequence, event.ts));
        }
        let mut of_streams = 0;
        for (number, version) in (0..STREAMS).zip(&self.versions) {
            let mut cursor = log.stream(&stream(number), StreamVersion::NONE);
            while let Some(found) = cursor.next_event().expect("readable") {
                let first = self.events[0].sequence;
                assert!(self.events[(found.sequence().get() - first) as usize] == Seen::of(found));
                of_streams += 1;
            }
            assert_eq!(cursor.next_version().get(), *version + 1);
        }
        assert_eq!(of_streams, self.events.len());
    }
}

/// Opens for reading and for writing: both find `contents`; the report of the latter.
fn opened(directory: &Path, contents: &Contents, walked: u32, bad: &[u32]) -> RecoveryReport {
    let reading = small().open_read_only(directory).expect("opens for reading");
    contents.check(&reading);
    let writer = small().open(directory).expect("opens for writing");
    contents.check(&writer.log());
    let report = writer.recovery().clone();
    for report in [&report, reading.recovery()] {
        assert_eq!(report.walked, walked, "{report}");
        let found: Vec<_> = report.bad_stream_tables.iter().map(|id| id.get()).collect();
        assert_eq!(found, bad, "{report}");
    }
    report
}

#[test]
fn is_all_found_though_little_is_read() {
    let directory = log();
    let contents = Contents::of(directory.path());
    let mut writer = small().open(directory.path()).expect("opens");
    let report = writer.recovery().clone();
    assert_eq!(report.outcome, RecoveryOutcome::ClosedCleanly, "{report}");
    assert_eq!((report.segments, report.walked), (SEGMENTS, 1), "{report}");
    assert_eq!(report.stream_table, Some(SegmentId::new(SEGMENTS - 1)));
    assert_eq!(report.next_sequence.get(), contents.events.len() as u64 + 1);
    contents.check(&writer.log());
    contents.check_seeks(&writer.log());
    // Every stream goes on from the version that it has, and from no other.
    for (number, version) in (0..STREAMS).zip(&contents.versions) {
        let (name, version) = (stream(number), StreamVersion::new(*version));
        let event = Opaque::new(&BLOCK, b"on it goes");
        for wrong in [version.next(), StreamVersion::new(version.get() + 1_000)] {
            let meta = Meta::new().stream(&name, Expected::Version(wrong));
            let refused = writer.append_with(&event, meta);
            assert!(
                matches!(refused, Err(AppendError::Conflict { actual, .. }) if actual == version)
            );
        }
        let meta = Meta::new().stream(&name, Expected::Version(version));
        writer.append_with(&event, meta).expect("it goes on");
    }
    writer.close().expect("closed");
    let contents = Contents::of(directory.path());
    contents.check_seeks(&small().open_read_only(directory.path()).expect("opens"));
}

#[test]
fn is_little_read_after_a_crash() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = small().open(directory.path()).expect("a log");
    // Synced in the sixth segment: the seventh begins with a witness for the fifth.
    fill(&mut writer, directory.path(), 6);
    fill(&mut writer, directory.path(), 7);
    drop(writer);
    let contents = Contents::of(directory.path());
    // Where that took long, the sixth was settled in the background before the last frame.
    let durable = small().open_read_only(directory.path()).expect("opens").durable().1;
    let (walked, passed) = if durable.segment(22).get() == 5 { (2, 5) } else { (1, 6) };
    let report = opened(directory.path(), &contents, walked, &[]);
    assert_eq!(report.outcome, RecoveryOutcome::Clean, "{report}");
    assert_eq!(report.stream_table, Some(SegmentId::new(passed)), "{report}");
}

type Spoil = fn(&Path);

fn another_log() -> LogId {
    let directory = tempfile::tempdir().expect("a directory");
    small().open(directory.path()).expect("a log").log_id()
}

/// Reads a table, lets `edit` change it, and writes it with checksums that hold.
fn edit_table(directory: &Path, number: u32, edit: fn(&mut Catalog, &mut Vec<CatalogEntry>)) {
    let path = table(directory, number);
    let bytes = fs::read(&path).expect("there");
    let (mut catalog, entries) = Catalog::decode(&bytes).expect("whole");
    let mut entries: Vec<_> = entries.map(|entry| entry.expect("whole")).collect();
    edit(&mut catalog, &mut entries);
    let mut body = Vec::new();
    entries.iter().for_each(|entry| entry.encode(&mut body));
    let mut file = catalog.encode(&body).to_vec();
    file.extend(body);
    fs::write(path, file).expect("written");
}

fn flip_table(directory: &Path, number: u32, at: usize) {
    let path = table(directory, number);
    let mut bytes = fs::read(&path).expect("there");
    bytes[at] ^= 1;
    fs::write(path, bytes).expect("written");
}

#[test]
fn does_a_table_that_does_not_fit_cost_nothing_but_time() {
    let source = log();
    let contents = Contents::of(source.path());
    // What is done, segments walked, tables that were of no use.
    let cases: [(&str, Spoil, u32, &[u32]); 11] = [
        ("a byte of the head", |at| flip_table(at, 11, 41), 2, &[11]),
        ("a byte of an entry", |at| flip_table(at, 11, 9_000), 2, &[11]),
        (
            "cut short",
            |at| {
                let bytes = fs::read(table(at, 11)).expect("there");
                fs::write(table(at, 11), &bytes[..bytes.len() / 2]).expect("written");
            },
            2,
            &[11],
        ),
        ("empty", |at| fs::write(table(at, 11), b"").expect("written"), 2, &[11]),
        (
            "both",
            |at| {
                flip_table(at, 10, 9_000);
                flip_table(at, 11, 9_000);
            },
            12,
            &[11, 10],
        ),
        (
            "of another log",
            |at| {
                edit_table(at, 11, |catalog, _| catalog.log = another_log());
            },
            2,
            &[11],
        ),
        (
            "of an older floor",
            |at| {
                edit_table(at, 11, |catalog, _| catalog.floor = SegmentId::new(11));
            },
            2,
            &[11],
        ),
        (
            "of another end",
            |at| edit_table(at, 11, |catalog, _| catalog.before_end -= 16),
            2,
            &[11],
        ),
        (
            "of other frames",
            |at| {
                edit_table(at, 11, |catalog, _| {
                    catalog.before_fold = Fold::from_raw(!catalog.before_fold.raw());
                });
            },
            2,
            &[11],
        ),
        (
            "with a stream less",
            |at| {
                edit_table(at, 11, |catalog, entries| {
                    entries.pop();
                    catalog.streams -= 1;
                });
            },
            2,
            &[11],
        ),
        (
            "swapped",
            |at| {
                let aside = at.join("aside");
                fs::rename(table(at, 10), &aside).expect("renamed");
                fs::rename(table(at, 11), table(at, 10)).expect("renamed");
                fs::rename(aside, table(at, 11)).expect("renamed");
            },
            12,
            &[11, 10],
        ),
    ];
    for (what, spoil, walked, bad) in cases {
        println!("{what}");
        let directory = tempfile::tempdir().expect("a directory");
        copy_directory(source.path(), directory.path());
        spoil(directory.path());
        let report = opened(directory.path(), &contents, walked, bad);
        assert_eq!(report.outcome, RecoveryOutcome::ClosedCleanly, "{report}");
        assert!(report.to_string().contains("stream table"), "{report}");
        // They are gone, and the next time there is nothing to report.
        opened(directory.path(), &contents, walked, &[]);
    }
}

/// All its checks hold, and it fits; but no stream has come as far as it says. What contradicts it is
/// no damage.
#[test]
fn is_a_table_that_lies_no_evidence() {
    let source = log();
    let contents = Contents::of(source.path());
    edit_table(source.path(), 11, |_, entries| {
        for entry in entries {
            entry.version = entry.version.next();
        }
    });
    let report = opened(source.path(), &contents, 12, &[11]);
    assert_eq!(report.outcome, RecoveryOutcome::ClosedCleanly, "{report}");
    // It is gone; the one before it will do.
    opened(source.path(), &contents, 2, &[]);
}

fn seal_of(segment: &SegmentFile) -> Seal {
    let at = seal_offset(22);
    Seal::decode(segment.key(), at as u32, &segment.bytes[at..]).expect("sealed")
}

#[test]
fn is_an_old_segment_without_a_seal_walked_and_sealed_later() {
    let directory = log();
    let contents = Contents::of(directory.path());
    let mut segment = SegmentFile::read(directory.path(), 5);
    let seal = seal_of(&segment);
    segment.bytes[seal_offset(22)..].fill(0);
    segment.write();
    let log = small().open_read_only(directory.path()).expect("opens");
    assert_eq!(log.recovery().walked, 2, "{}", log.recovery());
    contents.check(&log);
    let writer = small().open(directory.path()).expect("opens");
    assert_eq!(writer.recovery().walked, 2, "{}", writer.recovery());
    contents.check(&writer.log());
    writer.close().expect("closed");
    assert_eq!(seal_of(&SegmentFile::read(directory.path(), 5)), seal);
    opened(directory.path(), &contents, 1, &[]);
}

#[test]
fn is_a_segment_whose_seal_is_wrong_walked() {
    let source = log();
    let contents = Contents::of(source.path());
    let wrong: [fn(&mut Seal); 5] = [
        |seal| seal.end -= 16,
        |seal| seal.next_sequence = seal.next_sequence.before(),
        |seal| seal.first_sequence = seal.first_sequence.after(1),
        |seal| seal.last_ts = u64::MAX,
        |seal| seal.fold = factlog_codec::Fold::from_raw(1),
    ];
    for spoil in wrong {
        let directory = tempfile::tempdir().expect("a directory");
        copy_directory(source.path(), directory.path());
        let mut segment = SegmentFile::read(directory.path(), 5);
        let mut seal = seal_of(&segment);
        spoil(&mut seal);
        let at = seal_offset(22);
        let page = seal.encode(segment.key(), at as u32);
        segment.bytes[at..].copy_from_slice(&page);
        segment.write();
        opened(directory.path(), &contents, 2, &[]);
    }
    // Garbage where the SEAL was.
    let mut segment = SegmentFile::read(source.path(), 7);
    segment.bytes[seal_offset(22) + 9] ^= 1;
    segment.write();
    opened(source.path(), &contents, 2, &[]);
}

/// What is proved durable does not end at a segment that had to be read, with others behind it that
/// had not.
#[test]
fn does_a_segment_that_is_walked_leave_what_is_durable_behind_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = small().open(directory.path()).expect("a log");
    fill(&mut writer, directory.path(), 6);
    fill(&mut writer, directory.path(), 7);
    drop(writer);
    let whole = small().open_read_only(directory.path()).expect("opens");
    let durable = whole.durable();
    assert!(durable.1.segment(22).get() >= 5, "behind what was passed over");
    let mut segment = SegmentFile::read(directory.path(), 2);
    segment.bytes[seal_offset(22) + 9] ^= 1;
    segment.write();
    let log = small().open_read_only(directory.path()).expect("opens");
    assert_eq!(log.recovery().walked, whole.recovery().walked + 1, "{}", log.recovery());
    assert_eq!(log.durable(), durable);
}

/// What has no SEAL is read, and what rots in it is found, although the table is whole.
#[test]
fn is_damage_in_a_segment_without_a_seal_found() {
    let directory = log();
    let mut segment = SegmentFile::read(directory.path(), 5);
    segment.bytes[seal_offset(22)..].fill(0);
    let frame = segment.data_frames()[9];
    segment.bytes[frame.offset as usize + 70] ^= 1;
    segment.write();
    let error = small().open(directory.path()).expect_err("damaged");
    let OpenError::Damaged(damage) = &error else { panic!("{error}") };
    assert_eq!(damage.next_sequence, frame.sequence);
    let log = small().open_read_only(directory.path()).expect("up to the damage");
    let events = read_from(&log, Start::Oldest).expect("readable");
    assert_eq!(events.len() as u64, frame.sequence.get() - 1);
    // Streams are where they were then, and not where the table says.
    let mut last = std::collections::BTreeMap::new();
    for event in &events {
        let (name, version) = event.stream.clone().expect("each has one");
        last.insert(name.to_string(), version);
    }
    for number in 0..STREAMS {
        let version = log.stream_version(&stream(number)).get();
        assert_eq!(last.get(&stream(number).to_string()).copied().unwrap_or(0), version);
    }
}

/// A segment that recovery has cut has no SEAL, and need not be read any more.
#[test]
fn is_a_segment_that_recovery_cut_passed_over() {
    cut_and_passed_over(|segment, torn| segment.bytes[torn as usize + 60] ^= 1);
}

/// Of a rollover, a power cut may leave the SEAL, and neither the last frames below it nor the next
/// segment: all is zero up to there. That is a torn tail too, and nothing goes on under that SEAL.
#[test]
fn is_a_segment_that_was_cut_below_an_older_seal_passed_over() {
    cut_and_passed_over(|segment, torn| {
        let (key, at) = (segment.key(), seal_offset(22));
        let frames = segment.frames();
        let (first, last) = (frames[0], frames[frames.len() - 1]);
        let mut walk = Walk::new(key, &segment.bytes[..at], None);
        while walk.next_frame().is_ok() {}
        let seal = Seal {
            end: last.next_offset(),
            first_sequence: first.sequence,
            next_sequence: last.next_sequence(),
            first_ts: first.ts,
            last_ts: last.ts,
            fold: walk.state().fold,
            frames: walk.state().frames,
            epoch: last.epoch,
            chain: [0; 32],
        };
        segment.bytes[torn as usize..].fill(0);
        segment.bytes[at..].copy_from_slice(&seal.encode(key, at as u32));
    });
}

/// Cuts the third segment of a log where `tear` has torn its tail off, and goes on.
fn cut_and_passed_over(tear: impl Fn(&mut SegmentFile, u32)) {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = small().open(directory.path()).expect("a log");
    fill(&mut writer, directory.path(), 3);
    for _ in 0..100 {
        append(&mut writer, 200);
    }
    drop(writer);
    let mut segment = SegmentFile::read(directory.path(), 3);
    let frames = segment.data_frames();
    let torn = frames[frames.len() - 10];
    tear(&mut segment, torn.offset);
    segment.write();
    let sealed = segment.bytes[seal_offset(22)..].to_vec();
    let mut writer = small().open(directory.path()).expect("cut");
    assert_eq!(writer.recovery().outcome, RecoveryOutcome::Torn, "{}", writer.recovery());
    assert_eq!(writer.next_sequence(), torn.sequence);
    fill(&mut writer, directory.path(), 7);
    writer.close().expect("closed");
    let bytes = SegmentFile::read(directory.path(), 3).bytes;
    assert!(bytes[seal_offset(22)..] == sealed, "nothing is written there");
    let contents = Contents::of(directory.path());
    let log = small().open_read_only(directory.path()).expect("opens");
    contents.check_seeks(&log);
    let report = log.scrub(Scrub::new()).expect("begun");
    assert!(report.is_clean(), "{report}");
    opened(directory.path(), &contents, 1, &[]);
    // Where the file ends before any SEAL nobody knows what it says: the segment is read.
    let file = File::options().write(true).open(segment_path(directory.path(), 3));
    let cut = file.and_then(|file| file.set_len(frames[frames.len() / 2].offset.into()));
    cut.expect("shortened");
    let log = small().open_read_only(directory.path()).expect("opens for reading");
    assert_eq!(log.recovery().outcome, RecoveryOutcome::Damaged, "{}", log.recovery());
}

#[test]
fn are_no_more_than_two_tables_kept_however_often_a_log_is_opened() {
    let directory = tempfile::tempdir().expect("a directory");
    for last in 2..7 {
        let mut writer = small().open(directory.path()).expect("opens");
        fill(&mut writer, directory.path(), last);
        writer.close().expect("closed");
        let expected: Vec<u32> = (last.saturating_sub(2).max(1)..last).collect();
        assert_eq!(tables(directory.path()), expected);
    }
}

#[test]
fn do_tables_and_retention_go_together() {
    let directory = log();
    let writer = small().open(directory.path()).expect("opens");
    let retained = writer.retain(&Retention::keep_segments(4)).expect("dropped");
    assert_eq!(retained.dropped, SEGMENTS - 4);
    writer.close().expect("closed");
    let contents = Contents::of(directory.path());
    opened(directory.path(), &contents, 1, &[]);
    contents.check_seeks_left(&small().open_read_only(directory.path()).expect("opens"));
    // All that the table stood behind goes, and the table with it.
    let mut writer = small().open(directory.path()).expect("opens");
    fill(&mut writer, directory.path(), SEGMENTS + 2);
    let retained = writer.retain(&Retention::keep_segments(1)).expect("dropped");
    assert!(retained.dropped >= 5, "{retained:?}");
    writer.close().expect("closed");
    let contents = Contents::of(directory.path());
    opened(directory.path(), &contents, 1, &[]);
}

impl Contents {
    /// Every event that is left, by its sequence.
    fn check_seeks_left(&self, log: &Log) {
        for event in &self.events {
            let found = log.with_event(Sequence::new(event.sequence), Seen::of).expect("there");
            assert!(found == *event, "event {}", event.sequence);
        }
        let before = Sequence::new(self.events[0].sequence).before();
        assert!(log.with_event(before, |_| ()).is_err(), "it was dropped");
    }
}
