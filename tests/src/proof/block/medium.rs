//! Images of what a power cut leaves on the device.
//!
//! Everything that was answered before the last completed flush is there; of what was answered
//! after it, any part may be, sector by sector.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use factlog_codec::all_zero;

use super::tally::Tally;
use super::writes::{SECTOR, Writes};
use crate::Random;

const PAGE: usize = 64 << 10;

/// Of a disk that lies, so many flushes do nothing before one does.
const LIES: u64 = 16;

/// What is on the device for good, at some moment. What is all zero is not kept.
#[derive(Debug, Clone)]
pub(super) struct Medium {
    size: u64,
    pages: BTreeMap<u64, Box<[u8]>>,
    /// So many entries are in it.
    done: usize,
    flushes: u64,
    lies: bool,
}

impl Medium {
    /// What the file at `path` has. One that lies does nothing at most flushes.
    pub(super) fn read(path: &Path, lies: bool) -> io::Result<Self> {
        let bytes = fs::read(path)?;
        let chunks = bytes.chunks(PAGE).zip(0..).filter(|(chunk, _)| !all_zero(chunk));
        let pages = chunks.map(|(chunk, page)| (page, chunk.into())).collect();
        Ok(Self { size: bytes.len() as u64, pages, done: 0, flushes: 0, lies })
    }

    fn write(&mut self, at: u64, bytes: &[u8]) {
        let (mut at, mut rest) = (at, bytes);
        while !rest.is_empty() && at < self.size {
            let offset = (at % PAGE as u64) as usize;
            let (now, then) = rest.split_at(rest.len().min(PAGE - offset));
            let number = at / PAGE as u64;
            if self.pages.contains_key(&number) || !all_zero(now) {
                let page = self.pages.entry(number).or_insert_with(|| vec![0; PAGE].into());
                page[offset..offset + now.len()].copy_from_slice(now);
            }
            at += now.len() as u64;
            rest = then;
        }
    }

    /// Takes in what the first `count` entries made durable, which are not fewer than before.
    pub(super) fn advance(&mut self, writes: &Writes, count: usize) {
        let before = writes.entries.get(self.done..count).unwrap_or_default();
        let mut durable = 0;
        for (entry, number) in before.iter().zip(1..) {
            if entry.flushes() {
                self.flushes += 1;
                if !self.lies || self.flushes.is_multiple_of(LIES) {
                    durable = number;
                }
            }
        }
        for entry in before.iter().take(durable) {
            self.write(entry.sector * SECTOR, writes.data(entry));
        }
        self.done += durable;
        if self.lies {
            // Looked at again with the next cut.
            let left = before.iter().skip(durable).filter(|entry| entry.flushes()).count();
            self.flushes -= left as u64;
        }
    }

    /// Whether the file at `path` has just this and all that was written after it: then the record
    /// says what the device has, and is read as it was meant.
    pub(super) fn ends_as(&mut self, writes: &Writes, path: &Path) -> io::Result<bool> {
        for entry in writes.entries.get(self.done..).unwrap_or_default() {
            self.write(entry.sector * SECTOR, writes.data(entry));
        }
        self.done = writes.entries.len();
        let bytes = fs::read(path)?;
        Ok(bytes.chunks(PAGE).zip(0..).all(|(chunk, page)| match self.pages.get(&page) {
            Some(page) => **page == *chunk,
            None => all_zero(chunk),
        }))
    }

    /// An image of a cut behind the first `count` entries, into `file`: what is durable, and what
    /// `random` takes of the rest.
    pub(super) fn cut(
        &self,
        writes: &Writes,
        count: usize,
        random: &mut Random,
        file: &File,
        tally: &mut Tally,
    ) -> io::Result<()> {
        file.set_len(0)?;
        file.set_len(self.size)?;
        for (number, page) in &self.pages {
            file.write_all_at(page, number * PAGE as u64)?;
        }
        let rest = writes.entries.get(self.done..count).unwrap_or_default();
        let part = Part::draw(random);
        let (mut kept, mut lost, mut torn) = (0, 0, 0);
        for entry in rest.iter().filter(|entry| !entry.data.is_empty()) {
            let mut taken = if entry.forced() { Part::All } else { part.of_entry(random) };
            if writes.is_whole(entry) && taken.has(random) {
                taken = Part::All;
            } else if writes.is_whole(entry) {
                taken = Part::None;
            }
            let mut there = 0;
            let sectors = writes.data(entry).chunks(SECTOR as usize);
            let len = sectors.len();
            for (bytes, sector) in sectors.zip(entry.sector..) {
                if taken.has(random) {
                    file.write_all_at(bytes, sector * SECTOR)?;
                    there += 1;
                }
            }
            kept += u64::from(there == len);
            lost += u64::from(there == 0);
            torn += u64::from(there > 0 && there < len);
        }
        tally.add("writes kept that no flush had made durable", kept);
        tally.add("writes lost", lost);
        tally.add("writes torn", torn);
        tally.add("images cut right behind a flush", u64::from(rest.is_empty()));
        Ok(())
    }

    /// How many entries are durable.
    pub(super) const fn durable(&self) -> usize {
        self.done
    }
}

/// How much of what is not durable is there all the same, in hundredths.
#[derive(Debug, Clone, Copy)]
enum Part {
    None,
    All,
    /// So many whole writes.
    Writes(u64),
    /// So many sectors.
    Sectors(u64),
}

impl Part {
    fn draw(random: &mut Random) -> Self {
        let share = [5, 50, 95][random.below(3) as usize];
        match random.below(6) {
            0 => Self::None,
            1 => Self::All,
            2 | 3 => Self::Writes(share),
            _ => Self::Sectors(share),
        }
    }

    /// What of it this entry has: where writes are torn, some are whole or lost too.
    fn of_entry(self, random: &mut Random) -> Self {
        match self {
            Self::Writes(share) if random.below(100) < share => Self::All,
            Self::Writes(_) => Self::None,
            Self::Sectors(_) if random.below(4) == 0 => {
                [Self::All, Self::None][random.below(2) as usize]
            }
            same => same,
        }
    }

    fn has(self, random: &mut Random) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Writes(share) | Self::Sectors(share) => random.below(100) < share,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::writes::record;
    use super::*;

    /// The first bytes of sectors 8 to 11 of `tries` images behind `count` entries.
    fn images(entries: &[(u64, u64, u64, u8)], count: usize, lies: bool) -> Vec<[u8; 4]> {
        let folder = tempfile::tempdir().expect("a directory");
        let base = folder.path().join("base");
        fs::write(&base, vec![0; 1 << 20]).expect("written");
        let writes = Writes::read(record(entries)).expect("a record");
        let mut medium = Medium::read(&base, lies).expect("read");
        medium.advance(&writes, count);
        let file = File::options().read(true).write(true).open(&base).expect("opened");
        let (mut random, mut tally) = (Random::new(1), Tally::default());
        let mut found = Vec::new();
        for _ in 0..300 {
            medium.cut(&writes, count, &mut random, &file, &mut tally).expect("written");
            let image = fs::read(&base).expect("read");
            found.push([8, 9, 10, 11].map(|sector| image[sector * 512]));
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    #[test]
    fn is_what_was_flushed_there_and_any_part_of_the_rest() {
        let entries = [(8, 2, 0, 7), (0, 0, 1, 0), (9, 2, 0, 8), (11, 1, 2, 9), (0, 0, 1, 0)];
        assert_eq!(images(&entries, 1, false).len(), 4, "two sectors, each there or not");
        assert_eq!(images(&entries, 2, false), [[7, 7, 0, 0]]);
        let any = [[7, 7, 0, 9], [7, 7, 8, 9], [7, 8, 0, 9], [7, 8, 8, 9]];
        assert_eq!(images(&entries, 4, false), any, "what is forced is there");
        assert_eq!(images(&entries, 5, false), [[7, 8, 8, 9]]);
        assert!(images(&entries, 5, true).len() > 4, "its flushes do nothing");
    }
}
