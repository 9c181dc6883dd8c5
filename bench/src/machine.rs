//! What a figure was measured on.

use std::fs;
use std::path::{Path, PathBuf};

/// Processor, cores, kernel and file system of `directory`, in one line.
pub fn describe(directory: &Path) -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = first_line("/proc/sys/kernel/osrelease");
    let kernel = kernel.split('-').next().unwrap_or("?");
    format!("{}, {cores} cores, {}, Linux {kernel}", processor(), file_system(directory))
}

/// Today, in UTC unless the time zone is known.
pub fn today() -> String {
    jiff::Zoned::now().date().to_string()
}

fn first_line(path: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().next().unwrap_or("?").trim().to_owned()
}

fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("model name"));
    let name = line.and_then(|line| line.split_once(':')).map(|(_, name)| name.trim().to_owned());
    name.unwrap_or_else(|| std::env::consts::ARCH.to_owned())
}

/// The type of the file system with the longest mount point above `directory`.
fn file_system(directory: &Path) -> String {
    let Ok(path) = fs::canonicalize(directory) else { return "?".to_owned() };
    let text = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mounts = text.lines().filter_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        Some((PathBuf::from(fields.next()?), fields.next()?))
    });
    let above = mounts.filter(|(point, _)| path.starts_with(point));
    let nearest = above.max_by_key(|(point, _)| point.components().count());
    nearest.map_or_else(|| "?".to_owned(), |(_, kind)| kind.to_owned())
}
