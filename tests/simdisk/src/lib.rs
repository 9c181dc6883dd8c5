//! A simulated disk over a real directory: what may a power cut leave of your files?
//!
//! # The problem
//!
//! A program that stores something and says so must have called sync in the right places, on the
//! right files and directories. No ordinary test shows a call that was left out: the cache of the
//! system holds everything, even when the process is killed. Only a power cut shows it, and then
//! only sometimes.
//!
//! # The idea
//!
//! The code under test works on real files in a real directory, so that everything works that
//! works with files, memory mappings included. That directory is the cache. A [`SimDisk`] keeps in
//! memory what would be on the *medium*: the state at the beginning, and what the code under test
//! has synced since, as it tells the disk. At any moment [`SimDisk::crash`] draws one of the many
//! images that a power cut may leave, between the medium and the cache: sector by sector, length
//! by length, name by name. The test writes it to another directory, opens it with the code under
//! test, and checks that all is there that was promised.
//!
//! Sectors and pages are found by comparing files with the medium, so nothing must be told of
//! writes; only of syncs. A file's name is synced with its directory, and never with the file.
//!
//! # Example
//!
//! Settings are replaced as a whole: after a power cut there are the old ones or the new ones.
//!
//! ```
//! use std::fs::{self, File};
//! use std::io::{self, Write};
//! use std::path::Path;
//!
//! use factlog_simdisk::{Counts, Medium, Random, SimDisk};
//!
//! /// The code under test. In production, `sync` is `File::sync_all`.
//! fn save(
//!     directory: &Path,
//!     text: &str,
//!     sync: impl Fn(&File) -> io::Result<()>,
//! ) -> io::Result<()> {
//!     let temporary = directory.join("settings.tmp");
//!     let mut file = File::create(&temporary)?;
//!     file.write_all(text.as_bytes())?;
//!     sync(&file)?;
//!     fs::rename(&temporary, directory.join("settings"))
//! }
//!
//! /// Draws 200 images; whether one of them has neither the old settings nor the new ones.
//! fn is_anything_lost(with_sync: bool) -> io::Result<bool> {
//!     let place = tempfile::tempdir()?;
//!     fs::write(place.path().join("settings"), "old")?;
//!     let disk = SimDisk::new(place.path())?;
//!     save(place.path(), "new", |file| if with_sync { disk.sync_file(file) } else { Ok(()) })?;
//!
//!     let seed = 1; // print it where it is not fixed
//!     let mut random = Random::new(seed);
//!     let (mut lost, mut counts) = (false, Counts::default());
//!     for _ in 0..200 {
//!         let image = disk.crash(Medium::PowerSafe, &mut || random.draw())?;
//!         counts += image.counts();
//!         let target = tempfile::tempdir()?;
//!         image.write_to(target.path())?;
//!         let settings = fs::read_to_string(target.path().join("settings")).unwrap_or_default();
//!         lost |= settings != "old" && settings != "new";
//!     }
//!     assert!(counts.names.old > 0 && counts.names.new > 0, "the images do not flatter");
//!     Ok(lost)
//! }
//!
//! assert!(!is_anything_lost(true)?);
//! assert!(is_anything_lost(false)?, "the name has come without the data");
//! # Ok::<(), io::Error>(())
//! ```
//!
//! # How to tell the disk
//!
//! Whatever stands between your code and the system, a small trait or a few functions, calls
//! [`SimDisk::operation`] before each operation, which counts it and may make it fail, and
//! [`SimDisk::sync_file`] or [`SimDisk::sync_directory`] for each sync. A sync that was made to
//! fail calls [`SimDisk::failed_sync`]. The real sync may be left out: it is slow, and changes
//! nothing. Between operations, or from another thread at any time, the test draws images; and
//! now and then it calls [`SimDisk::write_back`], so that the medium holds something newer than
//! the last sync.
//!
//! # What is not simulated
//!
//! - Writes of the file system's own: a journal that orders names among each other, or a name
//!   that comes with the data. What only some file systems promise is not relied on.
//! - A rename as one step: a power cut may leave the old name, the new one, or both.
//! - Bytes that rot, and syncs that lie: what was synced stays as it is.
//! - A cache that forgets: after a failed sync, the lost pages can still be read.
//! - Modes, times, owners and attributes; links and special files.
//! - Systems other than Unix: the crate is empty there.

#![forbid(unsafe_code)]
#![cfg(unix)]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod bias;
mod content;
mod counts;
mod crash;
mod disk;
mod fault;
mod image;
mod inodes;
mod names;
#[cfg(feature = "factlog")]
mod observer;
mod present;
mod random;
mod stored;

pub use content::SECTOR;
pub use counts::{Counts, Tally};
pub use crash::Medium;
pub use disk::SimDisk;
pub use fault::{Fault, InjectedFault, Operation};
pub use image::CrashImage;
pub use random::Random;
