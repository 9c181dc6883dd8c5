//! How does a user test code of their own? A small journal, and the mistakes that it might have.
//!
//! Method: the journal calls the disk where it syncs. After each of its steps some images are
//! drawn, written to a directory and read by the journal itself: all that was acknowledged is
//! there, in order, and nothing that was never written. Then the same with one mistake planted:
//! each must be found.

#![cfg(unix)]

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use factlog_simdisk::{Counts, Fault, Medium, Operation, Random, SECTOR, SimDisk};

/// What is planted in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mistake {
    None,
    /// Acknowledges without a sync of the file.
    NoSync,
    /// Goes on in a new file without a sync of the directory.
    NoSyncOfTheDirectory,
    /// Leaves a full file without a sync: the next one will be for the next file. Nobody planted
    /// this one; the disk found it in the first version of this journal.
    NoSyncOfTheLast,
    /// Believes a record because of its length.
    NoChecksum,
    /// Writes to sectors that hold what was acknowledged: only on a weak medium is it one.
    SharesSectors,
    /// Goes on after a sync that has failed, and tries it again.
    SyncsAgain,
}

impl Mistake {
    /// Bytes from one record to the next.
    const fn stride(self) -> usize {
        if matches!(self, Self::SharesSectors) { RECORD } else { RECORD.next_multiple_of(SECTOR) }
    }
}

/// Eight records to a file.
struct Journal<'a> {
    disk: &'a SimDisk,
    directory: PathBuf,
    mistake: Mistake,
    file: Option<File>,
    written: u64,
    acknowledged: u64,
}

const HEAD: usize = 12;
const BODY: usize = 588;
const RECORD: usize = HEAD + BODY;
const PER_FILE: u64 = 8;

fn body(number: u64) -> Vec<u8> {
    let mut random = Random::new(number);
    (0..BODY).map(|_| random.draw() as u8).collect()
}

fn checksum(number: u64, body: &[u8]) -> u32 {
    let start = 0x811C_9DC5 ^ number as u32;
    body.iter().fold(start, |sum, byte| (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

fn file_name(number: u64) -> String {
    format!("{:04}.journal", number / PER_FILE)
}

impl Journal<'_> {
    fn append(&mut self) -> io::Result<()> {
        let number = self.written;
        let path = self.directory.join(file_name(number));
        if number.is_multiple_of(PER_FILE) {
            if number > 0 && self.mistake != Mistake::NoSyncOfTheLast {
                self.commit()?;
            }
            self.disk.operation(Operation::Create, &path)?;
            let mut options = OpenOptions::new();
            self.file = Some(options.append(true).create_new(true).open(&path)?);
            if self.mistake != Mistake::NoSyncOfTheDirectory {
                self.disk.operation(Operation::SyncDirectory, &self.directory)?;
                self.disk.sync_directory(&self.directory)?;
            }
        }
        let body = body(number);
        let mut record = number.to_le_bytes().to_vec();
        record.extend(checksum(number, &body).to_le_bytes());
        record.extend(body);
        record.resize(self.mistake.stride(), 0);
        self.disk.operation(Operation::Write, &path)?;
        let mut file = self.file.as_ref().expect("made for the first record");
        file.write_all(&record)?;
        self.written += 1;
        Ok(())
    }

    fn commit(&mut self) -> io::Result<()> {
        let file = self.file.as_ref().expect("something was appended");
        if self.mistake != Mistake::NoSync {
            if let Err(error) = self.disk.operation(Operation::Sync, &self.directory) {
                self.disk.failed_sync(file)?;
                if self.mistake != Mistake::SyncsAgain {
                    return Err(error);
                }
            }
            self.disk.sync_file(file)?;
        }
        self.acknowledged = self.written;
        Ok(())
    }
}

/// What a journal finds when it is opened: records up to the first that is not whole.
fn recover(directory: &Path, mistake: Mistake) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    loop {
        let number = records.len() as u64;
        let Ok(bytes) = fs::read(directory.join(file_name(number))) else { return records };
        let at = (number % PER_FILE) as usize * mistake.stride();
        let Some(record) = bytes.get(at..at + RECORD) else { return records };
        let (head, body) = record.split_at(HEAD);
        let sum = checksum(number, body).to_le_bytes();
        let whole = head[..8] == number.to_le_bytes() && head[8..] == sum;
        if !whole && mistake != Mistake::NoChecksum {
            return records;
        }
        records.push(body.to_vec());
    }
}

/// What images have shown.
#[derive(Debug, Default)]
struct Outcome {
    counts: Counts,
    /// Images without something that was acknowledged.
    lost: u64,
    /// Images with something that was never written so.
    wrong: u64,
    /// Images with more than was acknowledged.
    more: u64,
}

/// Runs a journal and draws `images` from each of 40 moments.
fn run(mistake: Mistake, medium: Medium, seed: u64, fault: Option<Fault>, images: u64) -> Outcome {
    let mut random = Random::new(seed);
    let directory = tempfile::tempdir().expect("a directory");
    let disk = SimDisk::new(directory.path()).expect("a disk");
    fault.into_iter().for_each(|fault| disk.inject(fault));
    let path = directory.path().to_path_buf();
    let (written, acknowledged) = (0, 0);
    let mut journal =
        Journal { disk: &disk, directory: path, mistake, file: None, written, acknowledged };
    let mut outcome = Outcome::default();
    for _ in 0..40 {
        let step = match random.below(3) {
            0 if journal.written > 0 => journal.commit(),
            1 => disk.write_back(&mut || random.draw(), 0.3),
            _ => journal.append(),
        };
        for _ in 0..images {
            check(&journal, medium, &mut random, &mut outcome);
        }
        if step.is_err() {
            break;
        }
    }
    outcome
}

fn check(journal: &Journal<'_>, medium: Medium, random: &mut Random, outcome: &mut Outcome) {
    let image = journal.disk.crash(medium, &mut || random.draw()).expect("an image");
    let target = tempfile::tempdir().expect("a directory");
    image.write_to(target.path()).expect("written");
    let found = recover(target.path(), journal.mistake);
    let right = found.iter().zip(0..).take_while(|(found, number)| **found == body(*number));
    let right = right.count() as u64;
    outcome.counts += image.counts();
    outcome.lost += u64::from(right < journal.acknowledged);
    outcome.wrong += u64::from(right < found.len() as u64);
    outcome.more += u64::from(right > journal.acknowledged);
}

/// Fifty images from each of 40 moments: 2,000.
fn two_thousand(mistake: Mistake, medium: Medium, fault: Option<Fault>) -> Outcome {
    let outcome = run(mistake, medium, 5, fault, 50);
    println!("{mistake:?}, {medium:?}: {outcome:?}");
    outcome
}

#[test]
fn does_a_journal_keep_what_it_acknowledges() {
    for medium in [Medium::PowerSafe, Medium::Weak] {
        let outcome = two_thousand(Mistake::None, medium, None);
        assert_eq!((outcome.lost, outcome.wrong), (0, 0), "{medium:?}");
        // The images were not flattering.
        assert_eq!(outcome.counts.images, 2_000);
        assert!(outcome.more > 100 && outcome.more < 1_900);
        assert!(outcome.counts.sectors.old > 300 && outcome.counts.sectors.new > 300);
        assert_eq!(outcome.counts.sectors.garbage > 0, medium == Medium::Weak);
    }
}

#[test]
fn is_a_sync_found_that_was_left_out() {
    let outcome = two_thousand(Mistake::NoSync, Medium::PowerSafe, None);
    assert!(outcome.lost > 100 && outcome.wrong == 0);
}

#[test]
fn is_a_sync_of_the_directory_found_that_was_left_out() {
    let outcome = two_thousand(Mistake::NoSyncOfTheDirectory, Medium::PowerSafe, None);
    assert!(outcome.lost > 20 && outcome.wrong == 0);
}

#[test]
fn is_a_file_found_that_was_left_without_a_sync() {
    let outcome = two_thousand(Mistake::NoSyncOfTheLast, Medium::PowerSafe, None);
    assert!(outcome.lost > 20 && outcome.wrong == 0);
}

#[test]
fn is_a_record_found_that_is_believed_without_a_checksum() {
    let outcome = two_thousand(Mistake::NoChecksum, Medium::PowerSafe, None);
    assert!(outcome.wrong > 20 && outcome.lost == 0);
}

#[test]
fn is_a_sector_found_that_is_written_twice() {
    let outcome = two_thousand(Mistake::SharesSectors, Medium::Weak, None);
    assert!(outcome.lost > 20 && outcome.wrong == 0);
    let outcome = two_thousand(Mistake::SharesSectors, Medium::PowerSafe, None);
    assert_eq!((outcome.lost, outcome.wrong), (0, 0));
}

#[test]
fn is_a_sync_found_that_is_tried_again() {
    let first = Fault::at(1, io::ErrorKind::Other).only(Operation::Sync);
    let outcome = two_thousand(Mistake::SyncsAgain, Medium::PowerSafe, Some(first));
    assert!(outcome.lost > 20);
    // The twin gives up.
    let outcome = two_thousand(Mistake::None, Medium::PowerSafe, Some(first));
    assert_eq!((outcome.lost, outcome.wrong), (0, 0));
}

/// Each operation fails once, and from then on.
#[test]
fn does_a_journal_keep_its_word_whatever_fails() {
    let mut runs = 0;
    for number in 1..=30 {
        let fault = Fault::at(number, io::ErrorKind::StorageFull);
        for fault in [fault, fault.sticky()] {
            let outcome = run(Mistake::None, Medium::Weak, number, Some(fault), 2);
            assert_eq!((outcome.lost, outcome.wrong), (0, 0), "operation {number}");
            runs += u64::from(outcome.counts.images < 80);
        }
    }
    assert!(runs > 30, "{runs} of 60 runs ended early");
}
