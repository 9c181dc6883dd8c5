//! Disks that become full, each a whole life of a log.

use std::fs;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use factlog::{
    AppendError, DiskObserver, Durability, EventType, Opaque, OpenError, Options, RecoveryOutcome,
    Sequence, Start,
};

use crate::SealHeld;
use crate::surgery::used_segments;

static FILL: EventType = EventType::opaque("fill", 1);

/// Appends until there is no space, makes space, and goes on; then everything is there.
///
/// # Panics
///
/// When it is not so.
pub fn fill(point: &Path) {
    let directory = point.join("log");
    let payload = [7_u8; 60_000];
    let event = Opaque::new(&FILL, &payload);
    let options = || Options::new().segment_size(4 << 20).spare_segments(1);
    let mut writer = options().open(&directory).expect("room for a log");
    // Something else that takes space, to be given back.
    let other = point.join("other");
    fs::write(&other, vec![1; 9 << 20]).expect("room for a file");

    let (mut appended, mut refused) = (0, 0);
    // Twice in a row: what XFS has set aside for a file it gives back when there is no space.
    while refused < 2 {
        match writer.append(&event) {
            Ok(sequence) => {
                appended += 1;
                refused = 0;
                assert_eq!(sequence.get(), appended);
            }
            Err(AppendError::NoSpace(_)) => refused += 1,
            Err(error) => panic!("{error:?}"),
        }
        assert!(appended < 10_000, "the disk never becomes full");
    }
    assert!(appended > 100, "only {appended} events fitted");
    // One segment is left in reserve: the writer takes all but the last.
    let files = fs::read_dir(directory.join("seg")).expect("listed").filter(|entry| {
        let name = entry.as_ref().expect("an entry").file_name();
        name.to_string_lossy().ends_with(".log")
    });
    assert_eq!(files.count(), used_segments(&directory).len() + 1, "no reserve");
    // The events so far are readable.
    writer.sync().expect("what was accepted can be made durable");
    let mut cursor = writer.log().cursor(Start::Sequence(Sequence::new(appended))).expect("there");
    assert_eq!(cursor.next_event().expect("readable").expect("there").payload(), payload);

    fs::remove_file(&other).expect("removed");
    let sequence = writer.append(&event).expect("there is space again");
    assert_eq!(sequence.get(), appended + 1);
    writer.close().expect("closed");
    let log = Options::new().open_read_only(&directory).expect("opens");
    assert_eq!(log.visible().0.get(), appended + 1);
    println!("{appended} events until the disk was full");

    // A full disk at creation is an error as well.
    let mut fill = 0;
    while fs::write(point.join(format!("fill-{fill}")), vec![1; 1 << 20]).is_ok() {
        fill += 1;
    }
    let error = options().open(point.join("second")).expect_err("there is no space");
    assert!(matches!(error, OpenError::Io(_)), "{error}");
}

/// Where each write allocates again, a write into prepared space may fail: then the writer stops for
/// good with an error, what was accepted is there, and with space it goes on when opened anew.
///
/// # Panics
///
/// When it is not so.
pub fn copy_on_write(point: &Path) {
    let directory = point.join("log");
    let payload = [7_u8; 60_000];
    let event = Opaque::new(&FILL, &payload);
    let options = || {
        let options = Options::new().segment_size(4 << 20).spare_segments(1);
        options.durability(Durability::Always)
    };
    let mut writer = options().open(&directory).expect("opens");
    let mut other = 0;
    // Random bytes: the file system may compress.
    while other < 150 {
        let mut random = fs::File::open("/dev/urandom").expect("there");
        let mut bytes = vec![0; 1 << 20];
        random.read_exact(&mut bytes).expect("read");
        if fs::write(point.join(format!("other-{other}")), bytes).is_err() {
            break;
        }
        other += 1;
    }
    let mut appended = 0;
    let error = loop {
        match writer.append(&event) {
            Ok(_) => appended += 1,
            Err(error) => break error,
        }
        assert!(appended < 10_000, "the disk never becomes full");
    };
    println!("{appended} events until the disk was full: {error}");
    let expected = matches!(
        error,
        AppendError::NoSpace(_)
            | AppendError::Poisoned(_)
            | AppendError::NotDurable(_)
            | AppendError::Prepare(_)
    );
    assert!(expected, "{error:?}");
    let log = writer.log();
    let visible = log.visible().0.get();
    assert!(visible >= appended, "{visible} of {appended}");
    let mut cursor = log.cursor(Start::Oldest).expect("there");
    let mut read = 0;
    while let Some(event) = cursor.next_event().expect("readable") {
        assert_eq!(event.payload(), payload);
        read += 1;
    }
    assert!(read >= appended, "{read} of {appended}");
    drop((cursor, log, writer));

    for number in 0..other {
        fs::remove_file(point.join(format!("other-{number}"))).expect("removed");
    }
    let mut writer = options().open(&directory).expect("opens again");
    assert!(writer.next_sequence().get() > appended, "what was acknowledged is there");
    writer.append(&event).expect("there is space again");
    writer.close().expect("closed");
}

/// A torn tail with a later segment behind it is ended although no block is free: with the reserve.
///
/// # Panics
///
/// When it is not so.
pub fn torn_and_full(point: &Path) {
    let directory = point.join("log");
    let payload = [7_u8; 60_000];
    let event = Opaque::new(&FILL, &payload);
    let options = || {
        let options = Options::new().segment_size(4 << 20).spare_segments(1);
        options.durability(Durability::None).prefault(0)
    };
    // Nothing becomes durable by itself, however long it takes.
    let held = Arc::new(SealHeld::default());
    let observed = options().disk_observer(Arc::clone(&held) as Arc<dyn DiskObserver>);
    let mut writer = observed.open(&directory).expect("room for a log");
    for _ in 0..100 {
        writer.append(&event).expect("appended");
    }
    held.release();
    drop(writer);
    // In the first of two segments a frame is torn that nobody was told was durable.
    let first = directory.join("seg/0000000001.log");
    let file = fs::OpenOptions::new().write(true).open(first).expect("there");
    file.write_all_at(&[0x55; 512], 2 << 20).expect("written");
    let mut fill = 0;
    while fs::write(point.join(format!("fill-{fill}")), vec![1; 64 << 10]).is_ok() {
        fill += 1;
    }
    let writer = options().open(&directory).expect("the reserve is there");
    let report = writer.recovery().clone();
    assert_eq!(report.outcome, RecoveryOutcome::Torn, "{report}");
    assert_eq!(report.quarantined.len(), 1, "{report}");
    let kept = writer.next_sequence().get() - 1;
    println!("{kept} events until the torn one");
    assert!((30..40).contains(&kept));
    drop(writer);
    let again = options().open(&directory).expect("opens again, still full");
    assert_eq!(again.next_sequence().get() - 1, kept);
}
