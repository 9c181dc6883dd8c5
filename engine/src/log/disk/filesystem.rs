//! What a directory stands on, and whether a mapping there can be trusted with writes.
//!
//! The mapped way of writing needs blocks that stay where they were allocated: then a full disk
//! is an error when a segment is prepared. A file system that copies on write allocates again at
//! write-back, when the store has long been done, and tells the program with a signal, or not at
//! all.

use std::fmt;
use std::io;
use std::path::Path;

/// A file system by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FileSystem {
    /// ext2, ext3 or ext4.
    Ext,
    /// XFS.
    Xfs,
    /// tmpfs: memory, gone with a restart of the machine.
    Tmpfs,
    /// btrfs: copies on write.
    Btrfs,
    /// ZFS: copies on write.
    Zfs,
    /// bcachefs: copies on write.
    Bcachefs,
    /// F2FS: writes elsewhere than it allocated.
    F2fs,
    /// A file system in user space.
    Fuse,
    /// NFS.
    Nfs,
    /// SMB or CIFS.
    Smb,
    /// Another file system across a network or a virtual machine's boundary.
    Remote,
    /// Anything else, by its number.
    Other(u64),
}

/// Whether a log can be written there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Suitability {
    Good,
    /// The mapped way of writing cannot be trusted there.
    CopyOnWrite,
    /// Only if asked for.
    Network,
}

impl FileSystem {
    /// The file system that `path` stands on.
    #[cfg(target_os = "linux")]
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let magic = rustix::fs::statfs(path)?.f_type;
        // The kernel's numbers are 32 bits wide; the field's type differs between machines.
        Ok(Self::from_magic((magic as u64) & 0xFFFF_FFFF))
    }

    /// Elsewhere it is taken as it is.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn of(_: &Path) -> io::Result<Self> {
        Ok(Self::Other(0))
    }

    /// From the number in `statfs(2)`.
    const fn from_magic(magic: u64) -> Self {
        match magic {
            0xEF53 => Self::Ext,
            0x5846_5342 => Self::Xfs,
            0x0102_1994 => Self::Tmpfs,
            0x9123_683E => Self::Btrfs,
            0x2FC1_2FC1 => Self::Zfs,
            0xCA45_1A4E => Self::Bcachefs,
            0xF2F5_2010 => Self::F2fs,
            0x6573_5546 => Self::Fuse,
            0x6969 => Self::Nfs,
            0xFE53_4D42 | 0xFF53_4D42 | 0x517B => Self::Smb,
            // 9p, Ceph, AFS, Lustre, GFS2, OCFS2
            0x0102_1997 | 0x00C3_6400 | 0x5346_414F | 0x0BD0_0BD0 | 0x0116_1970 | 0x7461_636F => {
                Self::Remote
            }
            other => Self::Other(other),
        }
    }

    pub(crate) const fn suitability(self) -> Suitability {
        match self {
            Self::Ext | Self::Xfs | Self::Tmpfs | Self::Other(_) => Suitability::Good,
            Self::Btrfs | Self::Zfs | Self::Bcachefs | Self::F2fs | Self::Fuse => {
                Suitability::CopyOnWrite
            }
            Self::Nfs | Self::Smb | Self::Remote => Suitability::Network,
        }
    }
}

impl fmt::Display for FileSystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Ext => "ext2/3/4",
            Self::Xfs => "XFS",
            Self::Tmpfs => "tmpfs",
            Self::Btrfs => "btrfs",
            Self::Zfs => "ZFS",
            Self::Bcachefs => "bcachefs",
            Self::F2fs => "F2FS",
            Self::Fuse => "FUSE",
            Self::Nfs => "NFS",
            Self::Smb => "SMB",
            Self::Remote => "a remote file system",
            Self::Other(magic) => return write!(f, "file system {magic:#x}"),
        };
        f.write_str(name)
    }
}
