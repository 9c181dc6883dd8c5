//! What the benchmarks share: logs whose pages are present before the clock starts, and the limit
//! that each figure is held against.
//!
//! Everything happens in `FACTLOG_BENCH_DIR`, or in the system's directory for temporary files.

pub mod counter;
pub mod machine;
pub mod opening;
pub mod program;

use std::fs::{self, OpenOptions};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use factlog::{AppendError, Durability, EventType, Log, Opaque, Options, Writer};
use memmap2::{Advice, MmapMut};
use tempfile::TempDir;

/// Bytes of the segments that are written: one is filled, then another log is made.
pub const SEGMENT: u64 = 256 << 20;
/// What stays free at a segment's end, so that no rollover falls into a measurement.
const MARGIN: u64 = 2 << 20;

static OPAQUE: EventType = EventType::opaque("bench", 1);

/// An event whose archive takes 88 bytes: a trade, as a trading system would log it.
#[factlog::event(name = "trade-executed", version = 1)]
#[derive(Debug, Clone, PartialEq)]
pub struct TradeExecuted {
    /// Number of the order that bought.
    pub buyer: u64,
    /// Number of the order that sold.
    pub seller: u64,
    /// Nanoseconds since the Unix epoch.
    pub at: u64,
    /// Price in ticks.
    pub price: i64,
    /// Number of pieces.
    pub quantity: u64,
    /// Fee in ticks.
    pub fee: i64,
    /// Identity of the venue's message.
    pub message: [u64; 2],
    /// The instrument.
    pub instrument: u32,
    /// The venue.
    pub venue: u32,
    /// Account that bought.
    pub buyer_account: u32,
    /// Account that sold.
    pub seller_account: u32,
    /// Whether the buyer was the aggressor.
    pub buyer_aggressive: bool,
}

impl TradeExecuted {
    /// The `number`th trade of a day.
    pub fn number(number: u64) -> Self {
        Self {
            buyer: number,
            seller: number ^ 0xFFFF,
            at: 1_700_000_000_000_000_000 + number,
            price: 10_000 + (number % 100) as i64,
            quantity: number % 1_000,
            fee: 3,
            message: [number, !number],
            instrument: (number % 500) as u32,
            venue: 7,
            buyer_account: (number % 10_000) as u32,
            seller_account: (number % 9_999) as u32,
            buyer_aggressive: number.is_multiple_of(2),
        }
    }
}

/// A log in a directory of its own, which goes when this goes.
#[derive(Debug)]
pub struct Bench {
    writer: Writer,
    _directory: TempDir,
}

impl Bench {
    /// A new log, with the pages of its segment present.
    ///
    /// # Panics
    ///
    /// When the log cannot be made: there is nothing to measure then.
    pub fn new() -> Self {
        let directory = directory();
        let options = Options::new()
            .segment_size(SEGMENT)
            .spare_segments(1)
            .prefault(SEGMENT as usize)
            // The steady state of appending alone; what syncs cost is measured for itself.
            .durability(Durability::None);
        let writer = wait_for_pages(|| options.open(directory.path()).expect("a log"));
        Self { writer, _directory: directory }
    }

    /// The writer alone, and the directory, which goes when it is dropped.
    pub fn into_writer(self) -> (Writer, TempDir) {
        (self.writer, self._directory)
    }

    /// The writer.
    pub fn writer(&mut self) -> &mut Writer {
        &mut self.writer
    }

    /// The log.
    pub fn log(&self) -> Log {
        self.writer.log()
    }

    /// How many frames of `bytes` can still be appended without a rollover.
    pub fn room(&self, bytes: u64) -> u64 {
        let (_, position) = self.writer.log().visible();
        let offset = position.raw() % SEGMENT;
        (SEGMENT - MARGIN).saturating_sub(offset) / bytes
    }

    /// Appends `events` opaque events of the same payload, `batch` of them at a call.
    ///
    /// # Errors
    ///
    /// The log does not take them.
    pub fn append(&mut self, payload: &[u8], batch: u64, calls: u64) -> Result<(), AppendError> {
        for _ in 0..calls {
            if batch == 1 {
                self.writer.append(&Opaque::new(&OPAQUE, payload))?;
            } else {
                let mut transaction = self.writer.begin()?;
                for _ in 0..batch {
                    transaction.append(&Opaque::new(&OPAQUE, payload))?;
                }
                transaction.commit()?;
            }
        }
        Ok(())
    }
}

impl Default for Bench {
    fn default() -> Self {
        Self::new()
    }
}

/// The limit: the same bytes, copied one behind the other into the same kind of mapping.
#[derive(Debug)]
pub struct CopyLoop {
    mapping: MmapMut,
    at: usize,
    _directory: TempDir,
}

impl CopyLoop {
    /// A mapped file with its pages present.
    ///
    /// # Panics
    ///
    /// When the file cannot be made: there is nothing to measure then.
    pub fn new() -> Self {
        let directory = directory();
        let path = directory.path().join("copy");
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create_new(true).open(path).expect("a file");
        file.set_len(SEGMENT).expect("a file of that size");
        // SAFETY: the file is in a directory of this process's own, and nobody else maps it.
        let mapping = unsafe { MmapMut::map_mut(&file) }.expect("a mapping");
        #[cfg(target_os = "linux")]
        mapping.advise(Advice::PopulateWrite).expect("pages");
        Self { mapping, at: 0, _directory: directory }
    }

    /// How many records of `bytes` can still be copied.
    pub fn room(&self, bytes: usize) -> u64 {
        ((self.mapping.len() - self.at) / bytes) as u64
    }

    /// Copies `record` `count` times.
    pub fn copy(&mut self, record: &[u8], count: u64) {
        for _ in 0..count {
            let end = self.at + record.len();
            self.mapping[self.at..end].copy_from_slice(std::hint::black_box(record));
            self.at = end;
        }
    }

    /// Copies `records` times `record`, checksums them where they stand, and puts the checksum before
    /// them, in a header of `header` bytes: what a log has to do at least. So `frames` times.
    pub fn copy_checked(&mut self, record: &[u8], records: u64, header: usize, frames: u64) {
        for _ in 0..frames {
            let begin = self.at;
            self.at += header;
            self.copy(record, records);
            let (head, body) = self.mapping[begin..self.at].split_at_mut(header);
            head[..4].copy_from_slice(&crc32fast::hash(body).to_le_bytes());
        }
    }
}

impl Default for CopyLoop {
    fn default() -> Self {
        Self::new()
    }
}

/// A directory for one benchmark, which goes when this goes.
///
/// # Panics
///
/// When it cannot be made: there is nothing to measure then.
pub fn directory() -> TempDir {
    let base = std::env::var_os("FACTLOG_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    tempfile::tempdir_in(base).expect("a directory for the benchmark")
}

/// Waits until no more pages are made present for a while: what a log prepares in the background
/// is done, and takes no processor from what is measured. At most 20 seconds.
pub fn settle() {
    let deadline = Instant::now() + Duration::from_secs(20);
    let (mut last, mut since) = (present(), Instant::now());
    while since.elapsed() < Duration::from_millis(700) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(50));
        let now = present();
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
}

/// Makes a log, and waits until the pages of its segment in use and of the one after it are present:
/// nothing is made present while something is measured.
pub fn wait_for_pages<T>(make: impl FnOnce() -> T) -> T {
    let before = present();
    let made = make();
    let wanted = before + 2 * SEGMENT - MARGIN;
    let deadline = Instant::now() + Duration::from_secs(10);
    while cfg!(target_os = "linux") && present() < wanted && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(1));
    }
    made
}

/// Bytes of files that are present in this process.
fn present() -> u64 {
    let text = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text.split_whitespace().nth(2).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * 4096
}
