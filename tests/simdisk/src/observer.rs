//! A log tells the disk what it does.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use factlog::{DiskObserver, DiskOperation};

use crate::{Operation, SimDisk};

/// For `factlog::Options::disk_observer`. A sync that a fault makes fail is a
/// [`failed_sync`](SimDisk::failed_sync).
///
/// # Panics
///
/// After a sync whose file or directory cannot be read: what a power cut leaves would be wrong.
impl DiskObserver for SimDisk {
    fn before(&self, operation: &DiskOperation<'_>) -> io::Result<()> {
        let (kind, path) = describe(operation);
        let allowed = self.operation(kind, &path);
        if let (Err(_), DiskOperation::Sync(file)) = (&allowed, operation) {
            self.failed_sync(file)?;
        }
        allowed
    }

    fn after(&self, operation: &DiskOperation<'_>) {
        let told = match operation {
            DiskOperation::Sync(file) => self.sync_file(file),
            DiskOperation::SyncDirectory(path) => self.sync_directory(path),
            DiskOperation::Write(file, offset, bytes) => {
                self.wrote(file, *offset, bytes.len() as u64)
            }
            _ => Ok(()),
        };
        if let Err(error) = told {
            panic!("the simulated disk cannot follow {operation:?}: {error}");
        }
    }
}

fn describe(operation: &DiskOperation<'_>) -> (Operation, PathBuf) {
    let of = |path: &Path| path.to_path_buf();
    match operation {
        DiskOperation::Create(path) => (Operation::Create, of(path)),
        DiskOperation::Allocate(file, _) => (Operation::Allocate, path_of(file)),
        DiskOperation::Write(file, _, _) => (Operation::Write, path_of(file)),
        DiskOperation::Sync(file) => (Operation::Sync, path_of(file)),
        DiskOperation::SyncDirectory(path) => (Operation::SyncDirectory, of(path)),
        DiskOperation::Rename(from, _) => (Operation::Rename, of(from)),
        DiskOperation::Remove(path) => (Operation::Remove, of(path)),
        DiskOperation::Link(from, _) => (Operation::Link, of(from)),
        // What is not known here counts as the last kind.
        DiskOperation::MakeDirectory(path) => (Operation::MakeDirectory, of(path)),
        _ => (Operation::MakeDirectory, PathBuf::new()),
    }
}

/// The file's name now, for messages; empty where the system does not say.
fn path_of(file: &File) -> PathBuf {
    use std::os::fd::AsRawFd;
    std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap_or_default()
}
