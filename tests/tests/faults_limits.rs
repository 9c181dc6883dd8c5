//! What happens where the operating system gives no more descriptors, or no more mappings?
//!
//! Each is a typed error that takes nothing with it; when there are some again, all goes on.
//! One test, since the limits are those of the process.
#![cfg(target_os = "linux")]

use std::fs::File;
use std::io;

use factlog::{
    AppendError, Durability, EventType, Log, Opaque, OpenError, Options, ReadError, SeekError,
    Start, SyncError,
};
use factlog_tests::scratch;

static BLOCK: EventType = EventType::opaque("block", 1);
const SIZE: usize = 60_000;

fn options() -> Options {
    Options::new().segment_size(4 << 20).spare_segments(1).mapped_segments(4)
}

/// The limit of descriptors, until it is dropped.
struct Limit(libc::rlimit);

impl Limit {
    fn set(count: u64) -> Self {
        let mut old = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: writes into a local.
        assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut old) }, 0);
        let new = libc::rlimit { rlim_cur: count, rlim_max: old.rlim_max };
        // SAFETY: reads a local, and sets a limit of this process.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const new) }, 0);
        Self(old)
    }
}

impl Drop for Limit {
    fn drop(&mut self) {
        // SAFETY: reads a field, and sets a limit of this process.
        unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const self.0) };
    }
}

/// As many descriptors as are in use.
fn used() -> u64 {
    // The one that is given next is the lowest free one.
    let probe = File::open("/dev/null").expect("one more");
    std::os::fd::AsRawFd::as_raw_fd(&probe).cast_unsigned().into()
}

fn is(error: &io::Error, code: i32) -> bool {
    error.raw_os_error() == Some(code)
}

/// How many events there are, all of which are read.
fn count(log: &Log) -> Result<u64, SeekError> {
    let mut cursor = log.cursor(Start::Oldest)?;
    let mut count = 0;
    while let Some(event) = cursor.next_event()? {
        assert_eq!(event.payload().len(), SIZE);
        count += 1;
    }
    Ok(count)
}

/// Appends until that is refused, or until there are `most`; how many were appended, and why no
/// more.
fn fill(writer: &mut factlog::Writer, most: u64) -> (u64, Option<AppendError>) {
    for appended in 0..most {
        if let Err(error) = writer.append(&Opaque::new(&BLOCK, &[7; SIZE])) {
            return (appended, Some(error));
        }
    }
    (most, None)
}

fn without_descriptors() {
    let directory = scratch();
    let mut total = 0;
    {
        let mut writer = options().open(directory.path()).expect("opens");
        total += fill(&mut writer, 700).0;
        {
            let limit = Limit::set(used());
            // Prepared segments are used up first. The threads in the background give back a
            // descriptor now and then, for which there would be one more: it is taken as well.
            let mut taken = Vec::new();
            let refused = (0..500).find_map(|_| {
                taken.extend(std::iter::from_fn(|| File::open("/dev/null").ok()));
                let (appended, refused) = fill(&mut writer, 20);
                total += appended;
                refused
            });
            let Some(AppendError::Prepare(error)) = refused else { panic!("{refused:?}") };
            assert!(is(&error.source, libc::EMFILE), "{error}");
            // Segments that are not mapped any more cannot be opened.
            let unread = (0..50)
                .map(|_| {
                    taken.extend(std::iter::from_fn(|| File::open("/dev/null").ok()));
                    count(&writer.log())
                })
                .find(Result::is_err);
            assert!(
                matches!(&unread, Some(Err(SeekError::Read(ReadError::Io(error))))
                    if is(&error.source, libc::EMFILE)),
                "{unread:?}"
            );
            drop((limit, taken));
        }
        // The conductor tries again.
        let (appended, refused) = fill(&mut writer, 100);
        total += appended;
        assert!(refused.is_none(), "{refused:?}");
        assert_eq!(count(&writer.log()).expect("readable"), total);
    }
    {
        let limit = Limit::set(used() + 1);
        let refused = options().open(directory.path()).expect_err("no descriptors");
        let OpenError::Io(error) = &refused else { panic!("{refused}") };
        assert!(is(&error.source, libc::EMFILE), "{error}");
        drop(limit);
    }
    let writer = options().open(directory.path()).expect("opens");
    assert_eq!(count(&writer.log()).expect("readable"), total);
}

/// What recovery found is written again at the first sync, for which its file is opened: without a
/// descriptor nothing is called durable, and nothing lost.
fn without_descriptors_at_the_first_sync() {
    let directory = scratch();
    let mut writer = options().open(directory.path()).expect("opens");
    let before = fill(&mut writer, 150).0;
    drop(writer);
    let mut writer = options().durability(Durability::None).open(directory.path()).expect("opens");
    let durable = writer.log().durable().0;
    assert!(durable.get() < before, "all was durable before: {durable}");
    {
        // Threads in the background may give back some that they had.
        let limit = Limit::set(used());
        let taken: Vec<_> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
        let refused = writer.sync().expect_err("no descriptors");
        let SyncError::Poisoned(error) = &refused else { panic!("{refused}") };
        assert!(is(&error.source, libc::EMFILE), "{error}");
        drop((limit, taken));
    }
    assert_eq!(writer.log().durable().0, durable, "nothing is called durable");
    assert!(matches!(writer.sync(), Err(SyncError::Poisoned(_))), "the failure stays");
    assert_eq!(count(&writer.log()).expect("readable"), before);
    drop(writer);
    let mut writer = options().open(directory.path()).expect("opens");
    writer.sync().expect("durable");
    assert_eq!(writer.log().durable().0.get(), before);
    assert_eq!(count(&writer.log()).expect("readable"), before);
}

/// Mappings of a page each, none beside another of the same kind, until there can be no more than
/// `maps`, which has room for all that there may be.
fn exhaust(maps: &mut Vec<*mut libc::c_void>) {
    let most = maps.capacity();
    loop {
        let protection =
            if maps.len().is_multiple_of(2) { libc::PROT_READ } else { libc::PROT_NONE };
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a new mapping at an address of the kernel's choice.
        let map = unsafe { libc::mmap(std::ptr::null_mut(), 4096, protection, flags, -1, 0) };
        if map == libc::MAP_FAILED {
            return;
        }
        assert!(maps.len() < most, "there is no limit");
        maps.push(map);
    }
}

fn without_mappings() {
    let directory = scratch();
    let mut writer = options().open(directory.path()).expect("opens");
    let mut total = fill(&mut writer, 700).0;
    let most = std::fs::read_to_string("/proc/sys/vm/max_map_count").expect("a limit");
    let mut maps = Vec::with_capacity(most.trim().parse().expect("a number"));
    exhaust(&mut maps);
    let refused = (0..500).find_map(|_| {
        let (appended, refused) = fill(&mut writer, 20);
        total += appended;
        // What the threads in the background have given back.
        exhaust(&mut maps);
        refused
    });
    let unread = count(&writer.log());
    for map in maps {
        // SAFETY: each was mapped above, one page, and nobody refers to it.
        unsafe { libc::munmap(map, 4096) };
    }
    let Some(AppendError::Prepare(error)) = refused else { panic!("{refused:?}") };
    assert!(is(&error.source, libc::ENOMEM), "{error}");
    assert!(
        matches!(&unread, Err(SeekError::Read(ReadError::Io(error)))
            if is(&error.source, libc::ENOMEM)),
        "{unread:?}"
    );
    let (appended, refused) = fill(&mut writer, 100);
    total += appended;
    assert!(refused.is_none(), "{refused:?}");
    assert_eq!(count(&writer.log()).expect("readable"), total);
    drop(writer);
    let writer = options().open(directory.path()).expect("opens");
    assert_eq!(count(&writer.log()).expect("readable"), total);
}

#[test]
fn are_limits_of_descriptors_and_mappings_typed_errors() {
    without_descriptors();
    without_descriptors_at_the_first_sync();
    without_mappings();
}
