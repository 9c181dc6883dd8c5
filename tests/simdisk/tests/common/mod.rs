//! A disk over a directory of its own, and images of it.

#![allow(dead_code, reason = "each suite uses its part")]

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use factlog_simdisk::{CrashImage, Medium, Random, SECTOR, SimDisk};

/// A directory, and the disk over it. Paths are from the directory.
pub(crate) struct Place {
    directory: tempfile::TempDir,
    pub(crate) disk: SimDisk,
}

impl Place {
    /// With these files on the medium. A path that ends with `/` is a directory.
    pub(crate) fn with(files: &[(&str, &[u8])]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        for (path, bytes) in files {
            let path = directory.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            match path.to_string_lossy().ends_with('/') {
                true => fs::create_dir_all(path).expect("made"),
                false => fs::write(path, bytes).expect("written"),
            }
        }
        let disk = SimDisk::new(directory.path()).expect("a disk");
        Self { directory, disk }
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    /// Opens a file, which is made if it is missing.
    pub(crate) fn file(&self, path: &str) -> File {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        options.open(self.path(path)).expect("opened")
    }

    pub(crate) fn write(&self, path: &str, offset: u64, bytes: &[u8]) {
        self.file(path).write_all_at(bytes, offset).expect("written");
    }

    pub(crate) fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).expect("renamed");
    }

    pub(crate) fn remove(&self, path: &str) {
        fs::remove_file(self.path(path)).expect("removed");
    }

    pub(crate) fn sync(&self, path: &str) {
        self.disk.sync_file(&self.file(path)).expect("synced");
    }

    pub(crate) fn sync_names(&self, path: &str) {
        self.disk.sync_directory(&self.path(path)).expect("synced");
    }

    pub(crate) fn crash(&self, medium: Medium, seed: u64) -> CrashImage {
        let mut random = Random::new(seed);
        self.disk.crash(medium, &mut || random.draw()).expect("an image")
    }

    /// An image for each seed below `count`, of a medium that keeps sectors whole.
    pub(crate) fn images(&self, count: u64) -> impl Iterator<Item = CrashImage> {
        (0..count).map(|seed| self.crash(Medium::PowerSafe, seed))
    }

    /// All that images leave of one file, each once and in order; none where it is missing.
    pub(crate) fn left(&self, path: &str, count: u64) -> Vec<Option<Vec<u8>>> {
        let mut left: Vec<_> = self.images(count).map(|image| image.read(path)).collect();
        left.sort_unstable();
        left.dedup();
        left
    }
}

/// Sectors that are filled with one byte each.
pub(crate) fn sectors(letters: &str) -> Vec<u8> {
    letters.bytes().flat_map(|letter| [letter; SECTOR]).collect()
}

/// The letters of [`sectors`]; `.` is a sector of zeros, `?` anything else.
pub(crate) fn letters(bytes: &[u8]) -> String {
    let of = |sector: &[u8]| match sector[0] {
        letter if sector.iter().any(|byte| *byte != letter) => '?',
        0 => '.',
        letter => char::from(letter),
    };
    bytes.chunks(SECTOR).map(of).collect()
}

/// All that images leave of one file of sectors, each once and in order; `-` where it is missing.
pub(crate) fn letters_left(place: &Place, path: &str, count: u64) -> Vec<String> {
    let left = place.left(path, count).into_iter();
    left.map(|bytes| bytes.map_or("-".into(), |bytes| letters(&bytes))).collect()
}
