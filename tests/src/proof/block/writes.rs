//! What was written to the device, in order, as QEMU's filter `blklogwrites` records it.
//!
//! The format is that of Linux's `dm-log-writes`, all of it little-endian: in the first sector a
//! magic number, a version, the number of entries as u64 and the size of sectors as u32; then the
//! entries, each with a sector of its own (sector, number of sectors, flags, length, as u64) and
//! behind it what was written. The number of entries is brought up to date now and then only: what
//! counts is how long the file is. An entry is written before the request is answered, so the
//! length of the file at a moment says which requests had been answered by then.

use std::ops::Range;

/// The size of sectors, here and there.
pub(super) const SECTOR: u64 = 512;

const MAGIC: u64 = 0x006A_7366_7773_6872;
/// How the superblock of ext4's journal begins.
const JOURNAL: [u8; 8] = [0xC0, 0x3B, 0x39, 0x98, 0, 0, 0, 4];

const FLUSH: u64 = 1;
const FUA: u64 = 2;
const DISCARD: u64 = 4;
const MARK: u64 = 8;

/// One request.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// How long the record was behind it.
    pub(super) end: u64,
    /// The first of its sectors.
    pub(super) sector: u64,
    /// Where in the record its bytes are; none, if it wrote nothing.
    pub(super) data: Range<usize>,
    flags: u64,
}

impl Entry {
    /// What was answered before is durable.
    pub(super) const fn flushes(&self) -> bool {
        self.flags & FLUSH != 0
    }

    /// It is durable itself.
    pub(super) const fn forced(&self) -> bool {
        self.flags & FUA != 0
    }
}

/// Everything that was recorded.
#[derive(Debug)]
pub(super) struct Writes {
    bytes: Vec<u8>,
    pub(super) entries: Vec<Entry>,
}

impl Writes {
    /// From the bytes of the record.
    ///
    /// # Errors
    ///
    /// They are none.
    pub(super) fn read(bytes: Vec<u8>) -> Result<Self, String> {
        let word = |at: u64| {
            let at = usize::try_from(at).ok()?;
            let bytes = bytes.get(at..at + 8)?.try_into().ok()?;
            Some(u64::from_le_bytes(bytes))
        };
        let head = || Some((word(0)?, word(8)?, word(24)? & 0xFFFF_FFFF));
        if head() != Some((MAGIC, 1, SECTOR)) {
            return Err(format!("{} bytes, and no record of writes: {:?}", bytes.len(), head()));
        }
        let mut entries = Vec::new();
        let mut at = SECTOR;
        while at < bytes.len() as u64 {
            let one = || Some((word(at)?, word(at + 8)?, word(at + 16)?));
            let (sector, count, flags) = one().ok_or("the last entry is cut off")?;
            if flags & !(FLUSH | FUA | DISCARD | MARK) != 0 {
                return Err(format!("the entry at {at} has the flags {flags:#x}"));
            }
            at += SECTOR;
            // What a discard leaves is anything: here, what was there.
            let len = if flags & DISCARD == 0 { count * SECTOR } else { 0 };
            let data = at as usize..(at + len) as usize;
            if data.end > bytes.len() {
                return Err("the last entry is cut off".to_owned());
            }
            at += len;
            entries.push(Entry { end: at, sector, data, flags });
        }
        Ok(Self { bytes, entries })
    }

    /// What an entry wrote.
    pub(super) fn data(&self, entry: &Entry) -> &[u8] {
        self.bytes.get(entry.data.clone()).unwrap_or_default()
    }

    /// Whether it is never torn: what ext4 writes over in place, with a checksum and without its
    /// journal, which are its superblock and that of the journal. There it counts on the disk, and
    /// without them there is no file system to have a log.
    pub(super) fn is_whole(&self, entry: &Entry) -> bool {
        entry.sector < 8 || self.data(entry).starts_with(&JOURNAL)
    }

    /// How long the record was behind the first `count` entries.
    pub(super) fn recorded(&self, count: usize) -> u64 {
        let last = count.checked_sub(1).and_then(|last| self.entries.get(last));
        last.map_or(SECTOR, |entry| entry.end)
    }

    /// How many entries there are at least when the record is so long.
    pub(super) fn entries_at(&self, bytes: u64) -> usize {
        self.entries.partition_point(|entry| entry.end < bytes) + 1
    }
}

/// A record of these entries: sector, how many of them, flags, the byte that was written.
#[cfg(test)]
pub(super) fn record(entries: &[(u64, u64, u64, u8)]) -> Vec<u8> {
    let mut bytes = vec![0; SECTOR as usize];
    bytes[..8].copy_from_slice(&MAGIC.to_le_bytes());
    bytes[8] = 1;
    bytes[24..28].copy_from_slice(&512_u32.to_le_bytes());
    for (sector, count, flags, byte) in entries {
        let mut head = [*sector, *count, *flags, 0].map(u64::to_le_bytes).concat();
        head.resize(SECTOR as usize, 0);
        bytes.extend(head);
        if flags & DISCARD == 0 {
            bytes.extend(vec![*byte; (count * SECTOR) as usize]);
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_a_record_read() {
        let entries = [(8, 2, 0, 7), (0, 0, FLUSH, 0), (4, 9, DISCARD, 0), (1, 1, FUA, 3)];
        let writes = Writes::read(record(&entries)).expect("a record");
        let found: Vec<_> = writes.entries.iter().map(|entry| (entry.sector, entry.end)).collect();
        assert_eq!(found, [(8, 2048), (0, 2560), (4, 3072), (1, 4096)]);
        assert_eq!(writes.data(&writes.entries[0]), [7; 1024]);
        assert_eq!(writes.data(&writes.entries[2]), [0; 0]);
        assert!(writes.entries[1].flushes() && writes.entries[3].forced());
        // As many as were answered when it was so long, or one more.
        assert_eq!([512, 513, 2048, 2049, 4096].map(|at| writes.entries_at(at)), [1, 1, 1, 2, 4]);
        assert_eq!([0, 1, 4].map(|count| writes.recorded(count)), [512, 2048, 4096]);
    }

    #[test]
    fn is_a_record_that_is_none_refused() {
        assert!(Writes::read(Vec::new()).is_err());
        assert!(Writes::read(vec![0; 4096]).is_err());
        let mut cut = record(&[(8, 2, 0, 7)]);
        cut.pop();
        assert!(Writes::read(cut).is_err());
        assert!(Writes::read(record(&[(8, 2, 64, 7)])).is_err());
    }
}
