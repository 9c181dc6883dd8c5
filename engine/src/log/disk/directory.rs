//! The directory of a log: its names, and how files in it are opened.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use factlog_codec::{CursorName, SegmentId};

/// The directory of a log. All names in it are made here; none is taken from a file.
#[derive(Debug, Clone)]
pub(crate) struct Directory {
    root: PathBuf,
}

impl Directory {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_path_buf() }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }
    pub(crate) fn segments(&self) -> PathBuf {
        self.root.join("seg")
    }
    pub(crate) fn quarantine(&self) -> PathBuf {
        self.root.join("quarantine")
    }
    pub(crate) fn lock(&self) -> PathBuf {
        self.root.join("LOCK")
    }
    pub(crate) fn catalog(&self) -> PathBuf {
        self.root.join("CATALOG")
    }
    pub(crate) fn cursors(&self) -> PathBuf {
        self.root.join("cursors")
    }
    pub(crate) fn cursor(&self, name: &CursorName) -> PathBuf {
        self.cursors().join(name.as_str())
    }
    pub(crate) fn manifest(&self, slot: usize) -> PathBuf {
        self.root.join(if slot == 0 { "MANIFEST-a" } else { "MANIFEST-b" })
    }
    pub(crate) fn segment(&self, id: SegmentId) -> PathBuf {
        self.segments().join(format!("{:010}.log", id.get()))
    }

    /// Makes the directory and those in it, if they are missing.
    pub(crate) fn create(&self) -> io::Result<()> {
        let missing: Vec<_> = self.root.ancestors().take_while(|path| !path.is_dir()).collect();
        make_private(&self.root, true)?;
        for made in missing {
            sync_parent(made)?;
        }
        make_private(&self.segments(), false)
    }

    /// Makes all names in the directory durable, and its own: also those that an earlier process
    /// was killed over before it could.
    pub(crate) fn sync_names(&self) -> io::Result<()> {
        sync_directory(&self.segments())?;
        sync_directory(&self.root)?;
        match sync_parent(&self.root) {
            // Somebody else's, who may not let it be looked at.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            done => done,
        }
    }

    /// The segments that are there, in order, and the files that were being prepared.
    pub(crate) fn list(&self) -> io::Result<(Vec<SegmentId>, Vec<PathBuf>)> {
        let (mut segments, mut temporary) = (Vec::new(), Vec::new());
        let entries = match fs::read_dir(self.segments()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok((segments, temporary));
            }
            entries => entries?,
        };
        for entry in entries {
            let path = entry?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            if let Some(number) = segment_number(name) {
                segments.push(SegmentId::new(number));
            } else if name.ends_with(".tmp") {
                temporary.push(path);
            }
        }
        segments.sort_unstable();
        Ok((segments, temporary))
    }

    /// Takes a file out of the way, and gives its new name.
    pub(crate) fn move_to_quarantine(&self, path: &Path, prefix: &str) -> io::Result<PathBuf> {
        let quarantine = self.quarantine();
        if !quarantine.is_dir() {
            make_private(&quarantine, false)?;
            sync_directory(&self.root)?;
        }
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("file");
        let mut target = quarantine.join(format!("{prefix}-{name}"));
        for again in 1.. {
            if fs::symlink_metadata(&target).is_err() {
                break;
            }
            target = quarantine.join(format!("{prefix}-{again}-{name}"));
        }
        fs::rename(path, &target)?;
        sync_directory(&quarantine)?;
        sync_directory(&self.segments())?;
        Ok(target)
    }
}

/// The number in `NNNNNNNNNN.log`, if the name is exactly such.
fn segment_number(name: &str) -> Option<u32> {
    let digits = name.strip_suffix(".log")?;
    if digits.len() != 10 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok().filter(|number| *number != 0)
}

pub(crate) fn make_private(path: &Path, parents: bool) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(parents);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        done => done,
    }
}

/// Makes the entries of a directory durable.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    // Windows has no such call; its directory entries are journalled.
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}

/// Makes the name of `path` durable.
pub(crate) fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        None => Ok(()),
        Some(parent) if parent.as_os_str().is_empty() => sync_directory(Path::new(".")),
        Some(parent) => sync_directory(parent),
    }
}

/// Opens `path` if it is a regular file and no link; never waits on a FIFO.
pub(crate) fn open_regular(path: &Path, write: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(write);
    open_checked(path, &mut options)
}

/// Makes a file that was not there.
pub(crate) fn create_new(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    open_checked(path, &mut options)
}

pub(crate) fn open_checked(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        use std::os::unix::fs::OpenOptionsExt;
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        options.mode(0o600).custom_flags(flags.bits().cast_signed());
    }
    let file = options.open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("this is no regular file"));
    }
    Ok(file)
}

/// Whether the file has more than one name.
#[cfg(unix)]
pub(crate) fn has_other_names(file: &File) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    Ok(file.metadata()?.nlink() > 1)
}

#[cfg(not(unix))]
pub(crate) fn has_other_names(_: &File) -> io::Result<bool> {
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::segment_number;

    /// Only names that the engine makes are taken for segments.
    #[test]
    fn are_only_exact_names_taken() {
        assert_eq!(segment_number("0000000001.log"), Some(1));
        assert_eq!(segment_number("4294967295.log"), Some(u32::MAX));
        for name in [
            "0000000000.log",
            "1.log",
            "+000000001.log",
            "4294967296.log",
            "0000000001.tmp",
            ".log",
        ] {
            assert_eq!(segment_number(name), None, "{name}");
        }
    }
}
