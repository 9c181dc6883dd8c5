//! G6: a full disk, or a quota, is an error before the event is accepted, and no signal; the log is
//! usable again once there is space.
//!
//! On tmpfs, and on ext4, XFS and btrfs in a file, each mounted in a mount namespace of its own, with
//! a process that dies of the signal if there is one.
//!
//! - `scenes`: whole lives on disks that become full
//! - `squeeze`: little space is left, at creation or while events are appended

#[cfg(target_os = "linux")]
mod places;
#[cfg(target_os = "linux")]
pub mod scenes;
#[cfg(target_os = "linux")]
mod squeeze;

use super::{Request, Row};

/// Tries it.
pub fn run(request: &Request) -> Row {
    Row::of("G6", request, |row| all(request, row))
}

#[cfg(not(target_os = "linux"))]
fn all(_: &Request, row: &mut Row) -> Result<(), String> {
    row.skipped = Some("file systems are mounted on Linux only".to_owned());
    Ok(())
}

#[cfg(target_os = "linux")]
fn all(request: &Request, row: &mut Row) -> Result<(), String> {
    places::run(request, row)
}

/// Does not return in a process that was started for this promise.
pub fn child() {
    #[cfg(target_os = "linux")]
    places::child();
}
