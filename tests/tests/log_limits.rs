//! Are limits typed errors, and does code of the user's that misbehaves harm only itself?
//!
//! Method: events of every size around the ends of items, frames and segments; transactions up to
//! and over their limits; implementations of `Encode` and `Clock` that panic or lie. After each
//! the log is opened again and must be whole.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use factlog::{
    AppendError, Clock, Encode, EncodeError, EventType, Expected, Meta, Opaque, Options,
    RecoveryOutcome, Scratch, StreamKey, Writer,
};
use factlog_tests::surgery::{SegmentFile, used_segments};
use factlog_tests::{read_all, small};

static BLOCK: EventType = EventType::opaque("block", 1);
static ODD: EventType = EventType::opaque("odd", 1);

/// Most bytes of a transaction's frame.
const LIMIT: usize = 1 << 20;

#[factlog::event(name = "late-comer", version = 1)]
struct LateComer {
    number: u64,
    a_field_with_a_name_that_makes_the_description_longer: u64,
}

fn stream() -> StreamKey {
    StreamKey::new("limit", "all of them").expect("a name")
}

/// Opens again: whole, with `lengths` of payloads.
fn assert_whole(directory: &std::path::Path, lengths: &[usize]) {
    let writer = small().open(directory).expect("a log");
    assert_eq!(writer.recovery().outcome, RecoveryOutcome::Clean, "{}", writer.recovery());
    let events = read_all(&writer.log());
    let found: Vec<_> = events.iter().map(|event| event.payload.len()).collect();
    assert_eq!(found, lengths);
}

#[test]
fn can_an_event_have_every_size() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = small().open(directory.path()).expect("a log");
    let sizes = (0..=130).chain(4_000..4_200).chain((LIMIT - 200..LIMIT).step_by(7));
    let mut lengths = Vec::new();
    for size in sizes {
        let payload = vec![size as u8 | 1; size];
        // Header of the frame, header of the item, and from the first on the type is known.
        let fits = 48 + 16 + size.next_multiple_of(16) <= LIMIT;
        match writer.append(&Opaque::new(&BLOCK, &payload)) {
            Ok(_) => {
                assert!(fits, "{size}");
                lengths.push(size);
            }
            Err(AppendError::TooLarge { limit: LIMIT }) => assert!(!fits, "{size}"),
            Err(error) => panic!("{size}: {error}"),
        }
    }
    assert!(lengths.len() > 330 && lengths.last().is_some_and(|size| LIMIT - 64 - size < 16));
    drop(writer);
    assert_whole(directory.path(), &lengths);
}

/// A log whose segment has exactly `room` bytes left for frames, and the lengths of its payloads.
fn with_room(directory: &std::path::Path, room: usize) -> (Writer, Vec<usize>) {
    let mut writer = small().open(directory).expect("a log");
    let mut lengths = Vec::new();
    let mut put = |writer: &mut Writer, size: usize| {
        let mut transaction = writer.begin().expect("a transaction");
        transaction.append(&Opaque::new(&BLOCK, &vec![7; size])).expect("staged");
        transaction.commit().expect("committed");
        lengths.push(size);
    };
    // The first brings its type.
    put(&mut writer, 16);
    let left = |writer: &Writer| (4 << 20) - 4096 - writer.log().visible().1.offset(22) as usize;
    // Only the largest of transactions can use a segment up.
    while left(&writer) > LIMIT + room {
        let most = left(&writer) - LIMIT - room - 64;
        put(&mut writer, if most < 600_000 { most } else { 400_000 });
    }
    put(&mut writer, LIMIT - 64);
    assert_eq!((left(&writer), writer.log().stats().rollovers), (room, 0));
    (writer, lengths)
}

#[test]
fn does_an_event_fit_whatever_is_left_of_a_segment() {
    for room in (0..=208).step_by(16) {
        for size in [0, 17, 64, 128] {
            let directory = tempfile::tempdir().expect("a directory");
            let (mut writer, mut lengths) = with_room(directory.path(), room);
            writer.append(&Opaque::new(&BLOCK, &vec![9; size])).expect("it goes somewhere");
            lengths.push(size);
            let rolled = writer.log().stats().rollovers;
            assert!(rolled == 0 || room < 112 + size.next_multiple_of(16));
            drop(writer);
            if size == 64 {
                assert_whole(directory.path(), &lengths);
            }
        }
    }
}

#[test]
fn does_a_first_event_of_a_type_fit_whatever_is_left_of_a_segment() {
    for room in (96..=512).step_by(64) {
        let directory = tempfile::tempdir().expect("a directory");
        let (mut writer, mut lengths) = with_room(directory.path(), room);
        let event =
            LateComer { number: 1, a_field_with_a_name_that_makes_the_description_longer: 2 };
        writer.append(&event).unwrap_or_else(|error| panic!("{room} bytes left: {error}"));
        lengths.push(16);
        drop(writer);
        assert_whole(directory.path(), &lengths);
    }
}

#[test]
fn does_a_transaction_reach_its_limits_and_no_further() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = small().open(directory.path()).expect("a log");
    // As many events as a frame may have, then one more.
    let mut transaction = writer.begin().expect("a transaction");
    let nothing = Opaque::new(&BLOCK, &[]);
    let mut lengths = Vec::new();
    for _ in 0..65_535 {
        match transaction.append(&nothing) {
            Ok(_) => lengths.push(0),
            Err(error) => panic!("{}: {error}", lengths.len()),
        }
        if lengths.len() == 65_000 {
            break;
        }
    }
    // 16 bytes each: 65,535 of them take 1,048,560, and with the frame's header more than fit.
    let mut refused = None;
    while refused.is_none() {
        match transaction.append(&nothing) {
            Ok(_) => lengths.push(0),
            Err(error) => refused = Some(error),
        }
    }
    assert!(matches!(refused, Some(AppendError::TooLarge { limit: LIMIT })), "{refused:?}");
    assert_eq!(lengths.len(), (LIMIT - 48 - 48) / 16, "48 for the header, 48 for the type");
    assert_eq!(transaction.commit().expect("committed").events, lengths.len() as u64);

    // To the byte: what is left after the first takes the second, or one byte less.
    for (second, fits) in [(LIMIT - 48 - 16 - 1_600 - 16, true), (LIMIT - 48 - 16 - 1_600, false)] {
        let mut transaction = writer.begin().expect("a transaction");
        transaction.append(&Opaque::new(&BLOCK, &[1; 1_600])).expect("staged");
        let payload = vec![2; second];
        let put = transaction.append(&Opaque::new(&BLOCK, &payload));
        assert_eq!(put.is_ok(), fits, "{put:?}");
        transaction.commit().expect("committed");
        lengths.push(1_600);
        lengths.extend(fits.then_some(second));
    }
    drop(writer);
    assert_whole(directory.path(), &lengths);
}

/// Writes half of what it promises, then does what it should not.
struct Misbehaving {
    how: How,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum How {
    Panic,
    Lie(usize),
    Fail,
}

impl Encode for Misbehaving {
    fn event_type(&self) -> &'static EventType {
        &ODD
    }
    fn fixed_size(&self) -> Option<usize> {
        None
    }
    fn encode(&self, out: &mut [u8], _: &mut Scratch) -> Result<usize, EncodeError> {
        out[..5_000].fill(0xAB);
        match self.how {
            How::Panic => panic!("on purpose"),
            How::Lie(len) => Ok(len),
            How::Fail => Err(EncodeError::NoSpace),
        }
    }
}

#[test]
fn does_an_encode_that_misbehaves_harm_only_itself() {
    let lies = [LIMIT, 4 << 20, u32::MAX as usize + 17, usize::MAX / 2, usize::MAX - LIMIT];
    let wraps = (0..300).step_by(16).map(|back| usize::MAX - back);
    let lies = lies.into_iter().chain(wraps).map(How::Lie);
    for how in [How::Panic, How::Fail].into_iter().chain(lies) {
        let directory = tempfile::tempdir().expect("a directory");
        let mut writer = small().open(directory.path()).expect("a log");
        let block = Opaque::new(&BLOCK, b"before");
        writer.append(&block).expect("appended");
        let stream = stream();
        let meta = Meta::new().stream(&stream, Expected::Any);
        let bad = |put: &mut dyn FnMut() -> bool| {
            let outcome = catch_unwind(AssertUnwindSafe(put));
            assert!(!outcome.unwrap_or(false), "{how:?}: appended");
        };
        // By itself, then between two others of a transaction.
        bad(&mut || writer.append_with(&Misbehaving { how }, meta).is_ok());
        let mut transaction = writer.begin().expect("a transaction");
        transaction.append_with(&block, meta).expect("staged");
        bad(&mut || transaction.append_with(&Misbehaving { how }, meta).is_ok());
        transaction.append_with(&block, meta).expect("staged");
        assert_eq!(transaction.commit().expect("committed").events, 2);
        // And as the last thing of one that is dropped, and of one that is committed.
        let mut transaction = writer.begin().expect("a transaction");
        bad(&mut || transaction.append_with(&Misbehaving { how }, meta).is_ok());
        drop(transaction);
        let mut transaction = writer.begin().expect("a transaction");
        transaction.append_with(&block, meta).expect("staged");
        bad(&mut || transaction.append_with(&Misbehaving { how }, meta).is_ok());
        transaction.commit().expect("committed");
        writer.append_with(&block, meta).expect("appended");
        assert_eq!(writer.stream_version(&stream).get(), 4);
        assert_eq!(writer.next_sequence().get(), 6);
        drop(writer);
        assert_whole(directory.path(), &[6; 5]);
        let segment = SegmentFile::read(directory.path(), 1);
        let clean = segment.bytes[segment.end() as usize..].iter().all(|byte| *byte == 0);
        assert!(clean, "{how:?}: bytes are left behind the tail");
    }
}

#[test]
fn does_a_forgotten_transaction_leave_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = small().open(directory.path()).expect("a log");
    let stream = stream();
    let meta = Meta::new().stream(&stream, Expected::Any);
    let mut transaction = writer.begin().expect("a transaction");
    transaction.append_with(&Opaque::new(&ODD, b"never"), meta).expect("staged");
    std::mem::forget(transaction);
    writer.append_with(&Opaque::new(&BLOCK, b"after"), meta).expect("appended");
    assert_eq!(writer.stream_version(&stream).get(), 1);
    assert_eq!(writer.log().types().count(), 1);
    drop(writer);
    assert_whole(directory.path(), &[5]);
}

/// Gives what it is told, and panics if it is told to.
struct Told(Arc<AtomicU64>, Arc<AtomicBool>);

impl Clock for Told {
    fn now(&mut self) -> u64 {
        assert!(!self.1.load(Ordering::Relaxed), "on purpose");
        self.0.load(Ordering::Relaxed)
    }
}

fn told(options: Options) -> (Options, Arc<AtomicU64>, Arc<AtomicBool>) {
    let (time, panics) = (Arc::new(AtomicU64::new(1_000)), Arc::default());
    (options.clock(Told(Arc::clone(&time), Arc::clone(&panics))), time, panics)
}

#[test]
fn do_times_rise_whatever_the_clock_says() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut last = 0;
    let times = [2_000, 2_000, 5_000, 10, 0, 5_010, u64::MAX, u64::MAX, 5, u64::MAX];
    for time in [times, times] {
        let (options, clock, _) = told(small());
        let mut writer = options.open(directory.path()).expect("a log");
        for time in time {
            clock.store(time, Ordering::Relaxed);
            writer.append(&Opaque::new(&BLOCK, b"timed")).expect("appended");
            let events = read_all(&writer.log());
            let ts = events.last().map_or(0, |event| event.ts);
            assert!(ts > last, "{ts} after {last}");
            assert!(ts == time || time <= last || time == u64::MAX, "{ts} at {time}");
            last = ts;
        }
        writer.close().expect("closed");
    }
    // Steps back are marked, in the frames themselves.
    let segment = SegmentFile::read(directory.path(), 1);
    let back: Vec<_> =
        segment.data_frames().iter().map(|frame| frame.flags.clock_back()).take(6).collect();
    assert_eq!(back, [false, false, false, true, true, false]);
    let writer = small().open(directory.path()).expect("a log");
    assert_eq!(read_all(&writer.log()).len(), 20);
}

/// A stream comes with its first event. If that fails, there is no such stream: neither now nor for
/// whoever reads what was committed.
#[test]
fn does_an_encode_that_misbehaves_take_its_new_stream_along() {
    for how in [How::Panic, How::Fail, How::Lie(LIMIT)] {
        let directory = tempfile::tempdir().expect("a directory");
        let mut writer = small().open(directory.path()).expect("a log");
        let (lost, kept) = (StreamKey::new("lost", 1_u64), StreamKey::new("kept", 1_u64));
        let (lost, kept) = (lost.expect("a name"), kept.expect("a name"));
        let block = Opaque::new(&BLOCK, b"kept");
        let mut transaction = writer.begin().expect("a transaction");
        let bad = Misbehaving { how };
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            transaction.append_with(&bad, Meta::new().stream(&lost, Expected::NEW)).is_ok()
        }));
        assert!(!outcome.unwrap_or(false), "{how:?}: appended");
        let meta = Meta::new().stream(&kept, Expected::NEW);
        transaction.append_with(&block, meta).expect("staged");
        transaction.commit().expect("committed");
        let streams = |log: &factlog::Log| {
            (log.streams(), [&lost, &kept].map(|key| log.stream_version(key).get()))
        };
        assert_eq!(streams(&writer.log()), (1, [0, 1]), "{how:?}");
        drop(writer);
        let writer = small().open(directory.path()).expect("a log");
        assert_eq!(streams(&writer.log()), (1, [0, 1]), "{how:?}, opened again");
        assert_eq!(read_all(&writer.log()).len(), 1);
    }
}

#[test]
fn does_a_clock_that_panics_leave_the_log_as_it_was() {
    let directory = tempfile::tempdir().expect("a directory");
    let (options, _, panics) = told(small());
    let mut writer = options.open(directory.path()).expect("a log");
    let stream = stream();
    let meta = Meta::new().stream(&stream, Expected::Any);
    let payload = vec![3; 600_000];
    let mut lengths = Vec::new();
    // Some of these panics are in a rollover.
    for round in 0..20 {
        panics.store(true, Ordering::Relaxed);
        let block = Opaque::new(&BLOCK, &payload);
        for _ in 0..2 {
            let put = catch_unwind(AssertUnwindSafe(|| writer.append_with(&block, meta).is_ok()));
            assert!(put.is_err(), "the clock was not asked");
        }
        panics.store(false, Ordering::Relaxed);
        writer.append_with(&block, meta).expect("appended");
        lengths.push(payload.len());
        assert_eq!(writer.stream_version(&stream).get(), round + 1);
    }
    drop(writer);
    let used = used_segments(directory.path());
    assert_eq!(used, (1..=used.len() as u32).collect::<Vec<_>>());
    assert!(used.len() > 3);
    assert_whole(directory.path(), &lengths);
}
