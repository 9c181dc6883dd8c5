//! An engine that cannot read its log any more knows its state no longer: it says so, and takes no
//! snapshot of what it has.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use factlog::{
    CommandError, DiskObserver, DiskOperation, Draft, Durability, Engine, Expected, Failure,
    Snapshots, StreamKey, WriteWay,
};
use factlog_tests::scratch;

use crate::purse::*;

/// Turns a bit of the frame that is written next, when it is told to: in the file, and until it is mended.
#[derive(Default)]
struct Spoiler {
    armed: AtomicBool,
    spoiled: Mutex<Option<(File, u64, u8)>>,
}

impl DiskObserver for Spoiler {
    fn after(&self, operation: &DiskOperation<'_>) {
        let DiskOperation::Write(file, offset, bytes) = operation else { return };
        // Zeros are those of a segment that is being prepared.
        let frame = bytes.len() > 4096 && bytes.iter().any(|byte| *byte != 0);
        if frame && self.armed.swap(false, Ordering::Relaxed) {
            let (at, byte) = (offset + 1000, bytes[1000]);
            file.write_all_at(&[byte ^ 1], at).expect("written");
            *self.spoiled.lock().expect("no panic") =
                Some((file.try_clone().expect("a file"), at, byte));
        }
    }
}

impl Spoiler {
    fn mend(&self) {
        let (file, at, byte) = self.spoiled.lock().expect("no panic").take().expect("spoiled");
        file.write_all_at(&[byte], at).expect("written");
    }
}

fn open_observed(directory: &Path, spoiler: &Arc<Spoiler>) -> Engine {
    let options = options().durability(Durability::None).write_way(WriteWay::Staged);
    let options = options.disk_observer(Arc::clone(spoiler) as Arc<_>);
    let snapshots = Snapshots::every(1_000).bytes_per_second(None);
    let engine = Engine::open(directory).options(options).snapshots(snapshots);
    engine.aggregate::<Purse>().start().expect("an engine")
}

#[test]
fn is_no_snapshot_taken_of_a_state_that_is_lost() {
    let directory = scratch();
    let spoiler = Arc::new(Spoiler::default());
    let engine = open_observed(directory.path(), &spoiler);
    let raw = |count: u64| {
        let drafts = (0..count).map(|number| {
            let stream = StreamKey::new("purse", number % 10).expect("a name");
            let paid = Paid { units: 1, from: number % 10, to: number % 10 };
            Draft::new(paid).stream(stream, Expected::Any)
        });
        engine.append(drafts.collect())
    };
    raw(100).expect("appended");
    // It is in the log, and cannot be read when it is to be folded.
    spoiler.armed.store(true, Ordering::Relaxed);
    raw(2_000).expect("published, though it is not folded");
    let last = engine.log().visible().0;
    let failed = engine.call::<Purse>(1, Pay { units: 1, to: 1 });
    assert!(matches!(failed, Err(CommandError::Failed(Failure::Unreadable(_)))), "{failed:?}");
    spoiler.mend();
    assert!(raw(1).is_err() && engine.snapshot().is_err());
    assert_eq!(engine.log().visible().0, last);
    engine.close().expect("the log is as it should be");

    let engine = open_observed(directory.path(), &spoiler);
    assert_eq!(engine.log().visible().0, last);
    let snapshot = engine.restart().snapshot;
    assert!(snapshot.is_none(), "as of {snapshot:?}, which it had not folded");
    same_as_cold(&engine, 10);
}
