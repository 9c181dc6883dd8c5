//! Who keeps what the manifest says: one at a time changes it.

use std::io;

use factlog_codec::{Epoch, HistoryId, Manifest, Position, SegmentId, Sequence};

use super::disk::ManifestFile;

/// The manifest of an open log, and the file that it is written to; none if the log was opened for
/// reading only.
#[derive(Debug)]
pub(crate) struct Keeper {
    manifest: Manifest,
    file: Option<ManifestFile>,
}

impl Keeper {
    pub(crate) fn new(manifest: Manifest, file: Option<ManifestFile>) -> Self {
        Self { manifest, file }
    }

    pub(crate) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Whether nothing can be noted.
    pub(crate) fn is_read_only(&self) -> bool {
        self.file.is_none()
    }

    /// Notes that frames of up to this epoch are taken over from elsewhere.
    pub(crate) fn take_over(&mut self, epoch: Epoch, history: HistoryId) -> io::Result<()> {
        self.change(|manifest| {
            (manifest.epoch, manifest.history, manifest.taken_over) = (epoch, history, epoch);
        })
    }

    /// Notes that the log ends at `end`.
    pub(crate) fn close(&mut self, end: Position, next: Sequence) -> io::Result<()> {
        self.change(|manifest| {
            manifest.checkpoint = end;
            manifest.checkpoint_sequence = next;
            manifest.clean = true;
        })
    }

    /// Notes that everything below `end` is durable.
    pub(crate) fn checkpoint(&mut self, end: Position, next: Sequence) -> io::Result<()> {
        self.change(|manifest| {
            manifest.checkpoint = end;
            manifest.checkpoint_sequence = next;
        })
    }

    /// Notes the first segment that retention has left.
    pub(crate) fn raise_floor(&mut self, floor: SegmentId) -> io::Result<()> {
        self.change(|manifest| manifest.floor = floor)
    }

    fn change(&mut self, change: impl FnOnce(&mut Manifest)) -> io::Result<()> {
        let Some(file) = &mut self.file else {
            return Err(io::Error::other("the log is open for reading only"));
        };
        let mut next = self.manifest.clone();
        let exhausted = || io::Error::other("the generations of the manifest are used up");
        next.generation = next.generation.checked_add(1).ok_or_else(exhausted)?;
        change(&mut next);
        file.write(&next)?;
        self.manifest = next;
        Ok(())
    }
}
