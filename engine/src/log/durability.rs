//! What makes bytes durable, and says how far: oldest segment first, one watermark.
//!
//! Segments that ended are sealed and synced in the background; the one in use when somebody asks.
//! Both go through one lock, so that the watermark is a prefix.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_queue::SegQueue;
use factlog_codec::layout::seal_offset;
use factlog_codec::{Position, Seal, SegmentId, Sequence};

use super::disk::{has_other_names, open_regular, read_at, write_at};
use super::fault::IoError;
use super::map::Mapping;
use super::recovery::Unproven;
use super::segment::Segment;
use super::shared::Shared;
use crate::sync::atomic::{AtomicU8, Ordering};
use crate::sync::{Arc, Mutex, PoisonError};

const NAP: Duration = Duration::from_millis(20);

/// A segment that the writer has left.
#[derive(Debug)]
pub(crate) struct Retired {
    pub(crate) segment: Arc<Segment>,
    pub(crate) mapping: Arc<Mapping>,
    pub(crate) file: File,
    pub(crate) seal: Seal,
}

/// Makes bytes durable in order.
#[derive(Debug)]
pub(crate) struct Durability {
    shared: Arc<Shared>,
    retired: SegQueue<Retired>,
    /// Whoever holds this is the one that syncs, and publishes the durable watermark.
    unproven: Mutex<VecDeque<Unproven>>,
    stop: AtomicU8,
}

impl Durability {
    pub(crate) fn new(shared: &Arc<Shared>, unproven: Vec<Unproven>) -> Self {
        Self {
            shared: Arc::clone(shared),
            retired: SegQueue::new(),
            unproven: Mutex::new(unproven.into()),
            stop: AtomicU8::new(0),
        }
    }

    /// Takes over a segment that has ended. No system call.
    pub(crate) fn retire(&self, retired: Retired) {
        self.retired.push(retired);
    }

    /// Makes everything durable that stands in segments that have ended, and in `active` below
    /// `end`; `next` is the next sequence there.
    pub(crate) fn sync(
        &self,
        active: &File,
        mapping: &Mapping,
        end: Position,
        next: Sequence,
    ) -> Result<(), Arc<IoError>> {
        let mut unproven = self.unproven.lock().unwrap_or_else(PoisonError::into_inner);
        self.settle(&mut unproven)?;
        if self.shared.frontier.durable() >= end {
            return Ok(());
        }
        let synced = mapping.flush().and_then(|()| active.sync_data());
        self.check(synced, end.segment(self.shared.bits))?;
        self.shared.frontier.publish_durable(end, next);
        Ok(())
    }

    /// What is due without the segment in use.
    fn settle(&self, unproven: &mut VecDeque<Unproven>) -> Result<(), Arc<IoError>> {
        if let Some(cause) = self.shared.poison.get() {
            return Err(Arc::clone(cause));
        }
        while let Some(range) = unproven.front().copied() {
            self.check(self.write_again(range), range.segment)?;
            unproven.pop_front();
            self.advance(range.segment, range.to, range.next);
        }
        while let Some(retired) = self.retired.pop() {
            let id = retired.segment.id();
            self.check(self.seal(&retired), id)?;
            self.advance(id, retired.seal.end, retired.seal.next_sequence);
        }
        Ok(())
    }

    fn advance(&self, segment: SegmentId, end: u32, next: Sequence) {
        let end = Position::new(segment, end, self.shared.bits);
        if end > self.shared.frontier.durable() {
            self.shared.frontier.publish_durable(end, next);
        }
    }

    /// Puts recovered bytes back to their place, so that their pages are dirty, and syncs.
    fn write_again(&self, range: Unproven) -> io::Result<()> {
        let path = self.shared.directory.segment(range.segment);
        // A file that another log shares is never written; it was durable when it was shared.
        let file = open_regular(&path, true)?;
        if has_other_names(&file)? {
            return file.sync_data();
        }
        let mut chunk = vec![0; 1 << 20];
        let (mut from, to) = (u64::from(range.from), u64::from(range.to));
        while from < to {
            let len = chunk.len().min(usize::try_from(to - from).unwrap_or(usize::MAX));
            let read = read_at(&file, &mut chunk[..len], from)?;
            if read < len {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            write_at(&file, &chunk[..len], from)?;
            from += len as u64;
        }
        file.sync_data()
    }

    fn seal(&self, retired: &Retired) -> io::Result<()> {
        let bits = self.shared.bits;
        if retired.file.metadata()?.len() < (1 << bits) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // A file that somebody has given another name is not written to any more.
        if !has_other_names(&retired.file)? {
            let offset = seal_offset(bits) as u32;
            let page = retired.seal.encode(retired.segment.key(), offset);
            write_at(&retired.file, &page, u64::from(offset))?;
        }
        retired.mapping.flush()?;
        retired.file.sync_data()
    }

    /// An operation on a segment in use that failed stops the log for good.
    fn check(&self, done: io::Result<()>, segment: SegmentId) -> Result<(), Arc<IoError>> {
        done.map_err(|error| {
            let path = self.shared.directory.segment(segment);
            self.shared.poison(IoError::new("make durable the segment", path, error))
        })
    }
}

/// The thread that seals and syncs segments that have ended.
#[derive(Debug)]
pub(crate) struct Background {
    durability: Arc<Durability>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    pub(crate) fn start(durability: &Arc<Durability>) -> io::Result<Self> {
        let inside = Arc::clone(durability);
        let run = move || {
            while inside.stop.load(Ordering::Acquire) == 0 {
                if !inside.retired.is_empty() {
                    let mut unproven =
                        inside.unproven.lock().unwrap_or_else(PoisonError::into_inner);
                    // A failure has poisoned the log, which is where it is reported.
                    drop(inside.settle(&mut unproven));
                }
                thread::park_timeout(NAP);
            }
        };
        let thread = thread::Builder::new().name("factlog-sync".into()).spawn(run)?;
        Ok(Self { durability: Arc::clone(durability), thread: Some(thread) })
    }

    pub(crate) fn stop(&mut self) {
        self.durability.stop.store(1, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            drop(thread.join());
        }
    }

    /// In a forked child the thread does not exist: nothing to end.
    pub(crate) fn forget(&mut self) {
        self.thread = None;
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.stop();
    }
}
