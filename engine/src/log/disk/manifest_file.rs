//! The two slots of the manifest, written in turn.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use factlog_codec::layout::PAGE;
use factlog_codec::{Manifest, ManifestError};

use super::directory::Directory;
use super::files::{has_other_names, open_regular};

/// What the two slots hold.
#[derive(Debug)]
pub(crate) struct Slots {
    /// Each slot: absent, unusable, or a manifest.
    pub(crate) slots: [Option<Result<Manifest, ManifestError>>; 2],
}

/// Writes manifests, each to the slot that holds the older one.
#[derive(Debug)]
pub(crate) struct ManifestFile {
    directory: Directory,
    next_slot: usize,
    /// What was read from the newer slot, until it is known to be on the medium: whoever wrote it
    /// may have been killed before its sync, or the sync may have failed. Then the page cache has
    /// it, and only the other slot stands.
    unproven: Option<Manifest>,
}

impl Slots {
    pub(crate) fn read(directory: &Directory) -> io::Result<Self> {
        let read = |slot| {
            let mut file = match open_regular(&directory.manifest(slot), false) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error),
            };
            let mut page = Vec::with_capacity(PAGE);
            Read::by_ref(&mut file).take(PAGE as u64).read_to_end(&mut page)?;
            Ok(Some(Manifest::decode(&page)))
        };
        Ok(Self { slots: [read(0)?, read(1)?] })
    }

    /// The newer of those that verify, and its slot.
    pub(crate) fn newest(&self) -> Option<(usize, &Manifest)> {
        let valid = |slot: usize| match &self.slots[slot] {
            Some(Ok(manifest)) => Some((slot, manifest)),
            _ => None,
        };
        [valid(0), valid(1)].into_iter().flatten().max_by_key(|(_, manifest)| manifest.generation)
    }

    /// The reason why no slot can be used, if there is a slot at all.
    pub(crate) fn error(&self) -> Option<ManifestError> {
        let errors = self.slots.iter().flatten().filter_map(|slot| slot.as_ref().err());
        // A newer version says more than a broken checksum.
        errors.copied().max_by_key(|error| matches!(error, ManifestError::Version(_)))
    }

    pub(crate) fn writer(&self, directory: &Directory) -> ManifestFile {
        let newest = self.newest();
        let next_slot = newest.map_or(0, |(slot, _)| 1 - slot);
        let unproven = newest.map(|(_, manifest)| manifest.clone());
        ManifestFile { directory: directory.clone(), next_slot, unproven }
    }
}

impl ManifestFile {
    /// Writes and syncs. On an error the other slot still stands.
    pub(crate) fn write(&mut self, manifest: &Manifest) -> io::Result<()> {
        self.directory.io().check_home()?;
        if let Some(unproven) = &self.unproven {
            let path = self.directory.manifest(1 - self.next_slot);
            // Under another name first: should the other slot not stand, this one is not lost. On a
            // full disk there is no room for that.
            match self.make(&path, unproven) {
                Err(error) if is_full(&error) => {
                    self.write_over(&open_regular(&path, true)?, unproven)?;
                }
                made => made?,
            }
            self.unproven = None;
        }
        let path = self.directory.manifest(self.next_slot);
        match open_regular(&path, true) {
            // What somebody has given another name, a copy say, is not written to: the slot gets
            // a file of its own.
            Ok(file) if !has_other_names(&file)? => {
                self.write_over(&file, manifest)?;
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => self.make(&path, manifest)?,
        }
        self.next_slot = 1 - self.next_slot;
        Ok(())
    }

    /// Whether both slots are there, so that another write needs no space.
    pub(crate) fn is_whole(&self) -> bool {
        [0, 1].iter().all(|slot| self.directory.manifest(*slot).is_file())
    }

    fn write_over(&self, file: &File, manifest: &Manifest) -> io::Result<()> {
        let io = self.directory.io();
        io.write_at(file, &manifest.encode(), 0)?;
        io.sync_all(file)
    }

    /// A slot that is not there yet comes whole: nobody finds an empty one.
    fn make(&self, path: &Path, manifest: &Manifest) -> io::Result<()> {
        let temporary = path.with_extension("tmp");
        let io = self.directory.io();
        io.remove_if_there(&temporary)?;
        let file = io.create_new(&temporary)?;
        io.write_at(&file, &manifest.encode(), 0)?;
        io.sync_all(&file)?;
        io.rename(&temporary, path)?;
        io.sync_directory(self.directory.root())
    }
}

/// Whether there was no space for another file.
fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
