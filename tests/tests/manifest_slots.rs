//! Is there always a manifest, when a sync of one slot has failed and the other is written?
#![cfg(unix)]

use std::io::ErrorKind;
use std::sync::{Arc, Mutex};

use factlog::{DiskObserver, DiskOperation, Durability, EventType, Opaque, Options};
use factlog_simdisk::{CrashImage, Fault, Medium, Operation, SimDisk};
use factlog_tests::surgery::wait_for_segments;
use factlog_tests::{Random, read_all};

static BLOCK: EventType = EventType::opaque("block", 1);

fn options() -> Options {
    let small = Options::new().segment_size(4 << 20).spare_segments(1).prefault(0);
    small.durability(Durability::Group)
}

/// Draws images at every operation.
struct Draws(Arc<SimDisk>, Medium, Mutex<(Random, Vec<CrashImage>)>);

impl DiskObserver for Draws {
    fn before(&self, operation: &DiskOperation<'_>) -> std::io::Result<()> {
        DiskObserver::before(&*self.0, operation)
    }

    fn after(&self, operation: &DiskOperation<'_>) {
        DiskObserver::after(&*self.0, operation);
        let (random, images) = &mut *self.2.lock().expect("no panic");
        for _ in 0..24 {
            let image = self.0.crash(self.1, &mut || random.next()).expect("readable");
            images.push(image);
        }
    }
}

#[test]
fn does_a_failed_sync_of_one_slot_not_cost_both() {
    let failed: Vec<_> = (1..=3).filter(|nth| survives(Medium::Weak, *nth)).collect();
    assert!(failed.contains(&1), "the first sync of closing is one that it needs: {failed:?}");
}

/// The `nth` sync of closing fails; then the log is opened again, and the power is cut. Whether
/// closing failed.
fn survives(medium: Medium, nth: u64) -> bool {
    let home = tempfile::tempdir().expect("a directory");
    let disk = Arc::new(SimDisk::new(home.path()).expect("readable"));
    let path = home.path().join("log");
    let mut writer = options().disk_observer(Arc::clone(&disk) as Arc<_>).open(&path).expect("new");
    // Nothing else is synced in the background.
    wait_for_segments(&path, 2);
    writer.append(&Opaque::new(&BLOCK, b"acknowledged")).expect("durable");
    let at = disk.operations_of(Operation::Sync) + nth;
    disk.inject(Fault::at(at, ErrorKind::Other).only(Operation::Sync));
    let closed = writer.close();
    disk.heal();

    let drawing = Mutex::new((Random::new(nth), Vec::new()));
    let draws = Arc::new(Draws(disk, medium, drawing));
    let writer = options().disk_observer(Arc::clone(&draws) as Arc<_>).open(&path).expect("again");
    drop(writer);
    let images = std::mem::take(&mut draws.2.lock().expect("no panic").1);
    assert!(images.len() > 20);
    for (number, image) in images.iter().enumerate() {
        let target = home.path().join(format!("image-{number}"));
        image.write_to(&target).expect("written");
        let place = format!("{medium:?}, sync {nth} of closing ({closed:?}), image {number}");
        let log = options().open_read_only(target.join("log"));
        let log = log.unwrap_or_else(|error| panic!("{place}: {error}"));
        assert_eq!(read_all(&log).len(), 1, "{place}");
    }
    closed.is_err()
}
