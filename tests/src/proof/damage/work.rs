//! Damage that is tried in many copies of a log at once, and what came of it.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::judge::Verdict;
use super::sample::{Part, Sample};
use crate::power_cut::ground;

/// How often each verdict was given for damage to each part.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) verdicts: BTreeMap<(Part, Verdict), u64>,
    pub(super) tried: u64,
}

impl Tally {
    pub(super) fn add(&mut self, part: Part, verdict: Verdict) {
        *self.verdicts.entry((part, verdict)).or_default() += 1;
        self.tried += 1;
    }

    pub(super) fn of(&self, part: Part, verdict: Verdict) -> u64 {
        self.verdicts.get(&(part, verdict)).copied().unwrap_or(0)
    }

    /// Of all parts.
    pub(super) fn with(&self, verdict: Verdict) -> u64 {
        let of = |part| self.of(part, verdict);
        Part::ALL.into_iter().map(of).sum()
    }

    pub(super) fn join(&mut self, other: Self) {
        for (key, count) in other.verdicts {
            *self.verdicts.entry(key).or_default() += count;
        }
        self.tried += other.tried;
    }
}

/// One copy of the log.
#[derive(Debug)]
pub(super) struct Bench<'a> {
    pub(super) sample: &'a Sample,
    home: tempfile::TempDir,
    files: Vec<File>,
}

impl<'a> Bench<'a> {
    pub(super) fn new(sample: &'a Sample) -> Self {
        let home = tempfile::tempdir_in(ground()).expect("a directory");
        sample.write_to(home.path());
        let open = |path| OpenOptions::new().write(true).open(path).expect("opened");
        let files = sample.files.iter().map(|stored| open(home.path().join(&stored.path)));
        Self { sample, files: files.collect(), home }
    }

    pub(super) fn root(&self) -> &Path {
        self.home.path()
    }

    /// Writes to a file of the log.
    pub(super) fn put(&mut self, file: usize, at: u64, bytes: &[u8]) {
        let file = &mut self.files[file];
        file.seek(SeekFrom::Start(at)).expect("there");
        file.write_all(bytes).expect("written");
    }

    /// Puts back what stood there.
    pub(super) fn restore(&mut self, file: usize, from: u64, to: u64) {
        let bytes = &self.sample.files[file].bytes[from as usize..to as usize];
        self.put(file, from, bytes);
    }

    /// Cuts a file, or makes it as long as it was.
    pub(super) fn set_len(&mut self, file: usize, len: u64) {
        self.files[file].set_len(len).expect("cut");
    }
}

/// Does `attempt` for each number below `count`, on several copies at once, until one fails.
///
/// # Errors
///
/// What the attempt with the lowest number says that was seen to fail.
pub(super) fn each(
    what: &str,
    sample: &Sample,
    count: u64,
    attempt: impl Fn(&mut Bench<'_>, u64, &mut Tally) -> Result<(), String> + Sync,
) -> Result<Tally, String> {
    // An opening that finds something waits a moment and looks again: the others go on meanwhile.
    let workers = 3 * std::thread::available_parallelism().map_or(2, usize::from);
    let next = AtomicU64::new(0);
    let total = Mutex::new((Tally::default(), None::<(u64, String)>));
    let began = Instant::now();
    std::thread::scope(|scope| {
        for worker in 0..workers {
            let (next, total, attempt) = (&next, &total, &attempt);
            scope.spawn(move || {
                let mut bench = Bench::new(sample);
                let mut tally = Tally::default();
                let mut told = Instant::now();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        break;
                    }
                    let tried = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                        attempt(&mut bench, number, &mut tally)
                    }));
                    let failed = match tried {
                        Ok(Ok(())) => None,
                        Ok(Err(error)) => Some(error),
                        Err(_) => Some("a panic".to_owned()),
                    };
                    if let Some(error) = failed {
                        next.store(count, Ordering::Relaxed);
                        let failure = &mut total.lock().unwrap_or_else(PoisonError::into_inner).1;
                        if failure.as_ref().is_none_or(|(lowest, _)| number < *lowest) {
                            *failure = Some((number, error));
                        }
                        break;
                    }
                    if worker == 0 && told.elapsed() > Duration::from_secs(10) {
                        told = Instant::now();
                        let seconds = began.elapsed().as_secs();
                        eprintln!("damage, {what}: {number} of {count}, {seconds} s");
                    }
                }
                total.lock().unwrap_or_else(PoisonError::into_inner).0.join(tally);
            });
        }
    });
    let (tally, failure) = total.into_inner().unwrap_or_else(PoisonError::into_inner);
    match failure {
        Some((_, error)) => Err(format!("{what}: {error}")),
        None => Ok(tally),
    }
}
