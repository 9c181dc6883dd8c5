//! Indexes of segments by correlation: written whole under another name, then renamed. They are
//! derived: one that is missing or damaged is made anew.

use std::fs::File;
use std::io;

use factlog_codec::{Posting, PostingsHead, SegmentId, encode_postings};

use super::directory::Directory;
use super::files::{open_regular, read_at};
use super::temporary::Temporary;

/// An index that is there: its head, as far as it can be read.
#[derive(Debug)]
pub(in crate::log) struct PostingsFile {
    file: File,
    pub(in crate::log) head: PostingsHead,
}

impl PostingsFile {
    /// That of a segment, if there is one that can be read.
    pub(in crate::log) fn open(directory: &Directory, id: SegmentId) -> Option<Self> {
        let file = open_regular(&directory.postings(id), false).ok()?;
        let mut head = [0; PostingsHead::LEN];
        let read = read_at(&file, &mut head, 0).ok()?;
        let head = PostingsHead::decode(head.get(..read)?).ok()?;
        Some(Self { file, head })
    }

    /// Its postings.
    pub(in crate::log) fn read(&self) -> Option<Vec<Posting>> {
        let len = self.file.metadata().ok()?.len().checked_sub(PostingsHead::LEN as u64)?;
        // What it says of itself bounds what is asked for.
        if len != u64::from(self.head.count) * Posting::LEN as u64 {
            return None;
        }
        let mut body = vec![0; usize::try_from(len).ok()?];
        let read = read_at(&self.file, &mut body, PostingsHead::LEN as u64).ok()?;
        self.head.postings(body.get(..read)?).ok()
    }
}

/// Writes the index of a segment.
pub(in crate::log) fn write_postings(
    directory: &Directory,
    head: &PostingsHead,
    postings: &[Posting],
) -> io::Result<()> {
    let (io, path) = (directory.io(), directory.postings(head.segment));
    let (temporary, file) = Temporary::create(io, path.with_extension("idx.tmp"))?;
    io.write_at(&file, &head.encode(), 0)?;
    io.write_at(&file, &encode_postings(postings), PostingsHead::LEN as u64)?;
    io.sync_all(&file)?;
    // Its name need not be durable: without it, it is made again.
    temporary.rename(&path)
}

/// Removes indexes of segments below `keep`.
pub(in crate::log) fn remove_postings_below(
    directory: &Directory,
    keep: SegmentId,
) -> io::Result<()> {
    for id in directory.list_postings()?.into_iter().filter(|id| *id < keep) {
        directory.io().remove_if_there(&directory.postings(id))?;
    }
    Ok(())
}
