//! A segment file, read forwards through a small window of memory.
//!
//! Its bytes are copied out, so that nothing that happens to the file can change what was verified;
//! a chunk at a time, so that what is verified still is in the processor's cache, and no memory has
//! to be made present for a whole segment. A frame that is longer than the window makes it grow.

use std::fs::File;
use std::io;
use std::ops::Range;

use factlog_codec::layout::FRAME_HEADER;
use factlog_codec::{Frame, FrameError, FrameHeader, SegmentId, SegmentKey, all_zero};

use super::directory::Directory;
use super::files::{open_regular, read_at, read_no_further};
use super::segment_file::{Space, next_data};

/// Bytes that are read at once.
const CHUNK: usize = 256 << 10;

/// Reads a segment forwards.
#[derive(Debug)]
pub(crate) struct SegmentReader {
    file: File,
    /// Bytes of the file that may belong to the segment.
    len: usize,
    /// How long the file is.
    pub(crate) file_len: u64,
    space: Space,
    /// Offset of the first byte in memory.
    from: usize,
    /// Number of bytes in memory.
    held: usize,
    /// The stretch of data, not a hole, that was found last.
    data: Range<usize>,
    /// Bytes of the memory that were written to: those behind are zero, and need not be present.
    dirty: usize,
}

impl SegmentReader {
    /// Of segment `id`, of which at most `len` bytes count. `space` may be of another one before.
    pub(crate) fn open(
        directory: &Directory,
        id: SegmentId,
        len: usize,
        space: Space,
    ) -> io::Result<Self> {
        let file = open_regular(&directory.segment(id), false)?;
        read_no_further(&file);
        let file_len = file.metadata()?.len();
        let len = usize::try_from(file_len).unwrap_or(usize::MAX).min(len);
        // Whatever was there before.
        let dirty = space.len();
        Ok(Self { file, len, file_len, space, from: 0, held: 0, data: 0..0, dirty })
    }

    /// Bytes of the file that may belong to the segment.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The memory, for the next segment.
    pub(crate) fn into_space(self) -> Space {
        self.space
    }

    /// The frame at `offset`, where frames must end at `end`; or why there is none.
    #[inline]
    pub(crate) fn frame(
        &mut self,
        key: SegmentKey,
        offset: u32,
        end: usize,
    ) -> io::Result<Result<Frame<'_>, FrameError>> {
        let parsed = loop {
            let held = self.held(offset as usize, end);
            let parsed = Frame::parse(key, offset, held).map(|frame| frame.header);
            let want = match parsed {
                Err(FrameError::NoRoom) => FRAME_HEADER,
                Err(FrameError::Beyond(span)) => usize::try_from(span).unwrap_or(usize::MAX),
                _ => break parsed,
            };
            let room = end.min(self.len).saturating_sub(offset as usize);
            let had = held.len();
            if want > room || want <= had || self.hold(offset as usize, want)? < want {
                break parsed;
            }
        };
        Ok(parsed.map(|header| Frame { header, body: self.body(&header) }))
    }

    fn body(&self, header: &FrameHeader) -> &[u8] {
        let begin = header.offset as usize + FRAME_HEADER;
        self.held(begin, begin.saturating_add(header.len as usize))
    }

    /// What is in memory of the bytes from `offset` to `end`.
    #[inline]
    pub(crate) fn held(&self, offset: usize, end: usize) -> &[u8] {
        let (from, to) = (self.from, self.from + self.held);
        let bytes = (from..=to).contains(&offset);
        let bytes =
            bytes.then(|| self.space.bytes().get(offset - from..end.min(to).max(offset) - from));
        bytes.flatten().unwrap_or(&[])
    }

    /// Has at least `want` bytes from `offset` on in memory, if the file has as many; gives how many
    /// there are, at most `want`.
    pub(crate) fn hold(&mut self, offset: usize, want: usize) -> io::Result<usize> {
        let there = self.len.saturating_sub(offset);
        let want = want.min(there);
        let kept = self.held(offset, usize::MAX).len();
        if kept >= want {
            return Ok(want);
        }
        let room = want.max(CHUNK.min(there));
        self.make_room(offset, kept, room)?;
        self.read(offset + want, offset + room)?;
        Ok(self.held.min(want))
    }

    /// Moves what is in memory from `offset` on, `kept` bytes, to the front of `room` bytes.
    fn make_room(&mut self, offset: usize, kept: usize, room: usize) -> io::Result<()> {
        let at = if kept > 0 { offset - self.from } else { 0 };
        if self.space.len() < room {
            // Room for what is kept and a chunk, as most often, or for one long frame.
            let mut larger = Space::new(room.max(2 * CHUNK))?;
            let held = self.space.bytes().get(at..at + kept).unwrap_or(&[]);
            larger.bytes_mut().get_mut(..kept).unwrap_or(&mut []).copy_from_slice(held);
            (self.space, self.dirty) = (larger, kept);
        } else if at > 0 {
            self.space.bytes_mut().copy_within(at..at + kept, 0);
        }
        (self.from, self.held) = (offset, kept);
        Ok(())
    }

    /// Reads on from the end of what is in memory, at least up to `least`, and up to `most` where
    /// there is data. Holes are not read: to bring them into memory would make data of them.
    fn read(&mut self, least: usize, most: usize) -> io::Result<()> {
        loop {
            let done = self.from + self.held;
            if done >= least {
                return Ok(());
            }
            if !self.data.contains(&done) {
                let next = next_data(&self.file, done, most)?;
                let (start, end) = next.unwrap_or((most, most));
                let hole = self.held..self.held + start.min(least) - done;
                let stale = hole.start..hole.end.min(self.dirty).max(hole.start);
                self.space.bytes_mut().get_mut(stale).unwrap_or_default().fill(0);
                self.held = hole.end;
                self.data = start..end;
                continue;
            }
            let count = self.data.end.min(most) - done;
            let (from, held) = (self.from, self.held);
            let free = self.space.bytes_mut().get_mut(held..held + count).unwrap_or_default();
            let read = read_at(&self.file, free, (from + held) as u64)?;
            self.held += read;
            self.dirty = self.dirty.max(self.held);
            if read < count {
                // The file has become shorter.
                return Ok(());
            }
        }
    }

    /// Whether all that the file has from `offset` to `end` is zero. What is in memory may be gone
    /// afterwards, if it was not all of that.
    pub(crate) fn is_zero(&mut self, offset: usize, end: usize) -> io::Result<bool> {
        let end = end.min(self.len).max(offset);
        let held = self.held(offset, end);
        if !all_zero(held) {
            return Ok(false);
        }
        let mut done = offset + held.len();
        while let Some((start, stop)) = next_data(&self.file, done, end)? {
            done = start;
            while done < stop {
                let count = self.hold(done, CHUNK.min(stop - done))?;
                if !all_zero(self.held(done, stop)) {
                    return Ok(false);
                }
                if count == 0 {
                    return Ok(true);
                }
                done += self.held(done, stop).len();
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::super::observe::DiskIo;
    use super::*;

    const LEN: usize = 4 << 20;

    /// A file with `written` at their places, and holes between them.
    fn file(written: &[(usize, &[u8])]) -> (tempfile::TempDir, Directory, Vec<u8>) {
        let root = tempfile::tempdir().expect("a directory");
        let directory = Directory::new(root.path(), DiskIo::default());
        std::fs::create_dir_all(directory.segments()).expect("a directory");
        let file = File::create(directory.segment(SegmentId::FIRST)).expect("a file");
        file.set_len(LEN as u64).expect("a length");
        let mut bytes = vec![0; LEN];
        for (at, some) in written {
            file.write_all_at(some, *at as u64).expect("written");
            bytes[*at..at + some.len()].copy_from_slice(some);
        }
        (root, directory, bytes)
    }

    fn reader(directory: &Directory, space: Space) -> SegmentReader {
        SegmentReader::open(directory, SegmentId::FIRST, LEN, space).expect("a file")
    }

    /// Whatever is asked for in whatever order: what is held is what stands in the file.
    #[test]
    fn is_what_is_held_what_stands_in_the_file() {
        let some: Vec<u8> = (0..700_000_u32).map(|at| (at % 251) as u8 + 1).collect();
        let (_root, directory, bytes) = file(&[(4096, &some), (2 << 20, &some), (LEN - 9, &[7])]);
        let mut space = Space::default();
        for round in 0..2 {
            // The second time in memory that is full of what was there before.
            let mut reader = reader(&directory, space);
            let mut offset = 0;
            for want in [48, 1, 300_000, 48, 1 << 20, 5000, 48, 2 << 20, 16].repeat(3) {
                let there = want.min(LEN - offset);
                assert_eq!(reader.hold(offset, want).expect("readable"), there, "round {round}");
                let held = reader.held(offset, LEN);
                assert!(held.len() >= there && *held == bytes[offset..offset + held.len()]);
                assert_eq!(reader.held(offset, offset + 7), &bytes[offset..(offset + 7).min(LEN)]);
                offset = (offset + want * 2 / 3).min(LEN);
            }
            assert_eq!(reader.held(LEN + 1, LEN + 2), [0; 0]);
            space = reader.into_space();
        }
    }

    #[test]
    fn is_zero_told_from_what_is_not() {
        let (_root, directory, bytes) =
            file(&[(70_000, &[0; 300_000]), (600_000, &[1]), (LEN - 1, &[1])]);
        let mut reader = reader(&directory, Space::default());
        let places = [0, 4096, 70_001, 599_999, 600_000, 600_001, 1 << 20, LEN - 1, LEN, 2 * LEN];
        for (from, end) in
            places.iter().flat_map(|from| places.iter().map(move |end| (*from, *end)))
        {
            let expected = bytes.get(from..end.min(LEN)).is_none_or(all_zero);
            assert_eq!(reader.is_zero(from, end).expect("readable"), expected, "{from} to {end}");
            // And where a part of it is in memory.
            reader.hold(from / 2, 1000).expect("readable");
            assert_eq!(reader.is_zero(from, end).expect("readable"), expected, "{from} to {end}");
        }
    }

    #[test]
    fn is_a_file_that_becomes_shorter_read_as_far_as_it_goes() {
        let (_root, directory, bytes) = file(&[(0, &[3; 1 << 20])]);
        for want in [100_000, 3 << 20] {
            let mut reader = reader(&directory, Space::default());
            let short = File::options().write(true).open(directory.segment(SegmentId::FIRST));
            short.and_then(|file| file.set_len(90_000)).expect("shortened");
            // What is gone may count as a hole.
            let held = reader.hold(10_000, want).expect("readable");
            assert!(held == 80_000 || held == want, "{held}");
            let (read, behind) = reader.held(10_000, 10_000 + held).split_at(80_000);
            assert!(*read == bytes[10_000..90_000] && all_zero(behind));
            assert!(reader.is_zero(90_000, LEN).expect("readable"));
            let whole = File::options().write(true).open(directory.segment(SegmentId::FIRST));
            let whole = whole.expect("a file");
            whole.set_len(LEN as u64).expect("a length");
            whole.write_all_at(&bytes[..1 << 20], 0).expect("written");
        }
    }
}
