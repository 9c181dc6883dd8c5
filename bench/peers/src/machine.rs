//! What it was measured on.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::measure::METHOD;

/// Date, processor, memory, system, load, and what `directory` stands on.
pub fn header(directory: &Path) -> String {
    let (system, device) = file_system(directory);
    let warning = if system == "tmpfs" {
        "\nWARNING   this is memory: durable rows say nothing; name a directory on a disk with --dir"
    } else {
        ""
    };
    format!(
        "date      {}\nprocessor {}, {} cores\nmemory    {} GiB\nkernel    {}\nload      {}\n\
         disk      {system} on {device}{warning}\nmethod    {METHOD}\n",
        now(),
        processor(),
        std::thread::available_parallelism().map_or(1, usize::from),
        memory(),
        line("/proc/sys/kernel/osrelease"),
        line("/proc/loadavg"),
    )
}

/// What a file of figures says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The day.
    pub date: String,
    /// Processor, cores, disk and kernel, in one line.
    pub machine: String,
    /// What makes such figures.
    pub command: String,
}

impl Origin {
    /// Figures from now on, in `directory`, as these words of the command line ask for.
    pub fn new(directory: &Path, words: impl IntoIterator<Item = String>) -> Self {
        let (system, device) = file_system(directory);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let kernel = line("/proc/sys/kernel/osrelease");
        // What distributions put behind the version says nothing here.
        let kernel = kernel.split('-').next().unwrap_or("unknown");
        Self {
            date: now().split(' ').next().unwrap_or_default().to_owned(),
            machine: format!(
                "{}, {cores} cores, {system} on {device}, Linux {kernel}",
                processor()
            ),
            command: command(words),
        }
    }
}

/// The command, with words in the place of paths: those are of this machine alone.
fn command(words: impl IntoIterator<Item = String>) -> String {
    let mut command = "cargo run --release --manifest-path bench/peers/Cargo.toml --".to_owned();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let path = [("--dir", "DIR"), ("--json", "FILE")].into_iter().find(|(of, _)| *of == word);
        command = format!("{command} {word}");
        if let Some((_, instead)) = path {
            words.next();
            command = format!("{command} {instead}");
        }
    }
    command
}

fn line(path: &str) -> String {
    fs::read_to_string(path).map_or_else(|_| "unknown".into(), |text| text.trim().to_owned())
}

/// The value of the first line that begins with `key`.
fn field(text: &str, key: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with(key))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn processor() -> String {
    field(&line("/proc/cpuinfo"), "model name").unwrap_or_else(|| std::env::consts::ARCH.into())
}

fn memory() -> String {
    let kibibytes = field(&line("/proc/meminfo"), "MemTotal")
        .and_then(|value| value.split_whitespace().next()?.parse::<f64>().ok());
    kibibytes.map_or_else(|| "?".into(), |kibibytes| format!("{:.1}", kibibytes / 1_048_576.0))
}

/// Type of the file system that `directory` is on, and the disk below it.
fn file_system(directory: &Path) -> (String, String) {
    let unknown = || "unknown".to_owned();
    let Ok(path) = fs::canonicalize(directory) else { return (unknown(), unknown()) };
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let system = mounted(&mounts, &path).unwrap_or_else(unknown);
    let device = fs::metadata(&path).ok().map_or_else(unknown, |data| disk(data.dev()));
    (system, device)
}

/// Type of the file system with the longest mount point above `path`; the last one hides others.
fn mounted(mounts: &str, path: &Path) -> Option<String> {
    let mounts = mounts.lines().filter_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        Some((PathBuf::from(fields.next()?), fields.next()?))
    });
    let above = mounts.filter(|(point, _)| path.starts_with(point));
    let nearest = above.max_by_key(|(point, _)| point.components().count());
    nearest.map(|(_, system)| system.to_owned())
}

/// Name and model of the block device with that number.
fn disk(number: u64) -> String {
    let (major, minor) = (number >> 8 & 0xFFF, number & 0xFF | number >> 12 & 0xF_FF00);
    let Ok(mut path) = fs::canonicalize(format!("/sys/dev/block/{major}:{minor}")) else {
        return "no block device".into();
    };
    if path.join("partition").exists() {
        path.pop();
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let model = fs::read_to_string(path.join("device/model"));
    let driver = || fs::read_link(path.join("device/driver"));
    let model = match (model, driver()) {
        (Ok(model), _) => model.trim().to_owned(),
        (_, Ok(driver)) => driver.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        _ => "model unknown".into(),
    };
    format!("{name} ({model})")
}

fn now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (year, month, day) = civil(since / 86_400);
    let minutes = since / 60 % 1_440;
    format!("{year}-{month:02}-{day:02} {:02}:{:02} UTC", minutes / 60, minutes % 60)
}

/// The date so many days after 1970-01-01 (Howard Hinnant, "chrono-Compatible Low-Level Date
/// Algorithms").
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn are_dates_those_of_the_calendar() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(11_016), (2000, 2, 29));
        assert_eq!(civil(11_017), (2000, 3, 1));
        assert_eq!(civil(20_453), (2025, 12, 31));
        assert_eq!(civil(20_454), (2026, 1, 1));
    }

    #[test]
    fn are_paths_left_out_of_the_command() {
        let words = "--quick --dir a/b --only open --json c.json".split(' ').map(str::to_owned);
        let expected = "cargo run --release --manifest-path bench/peers/Cargo.toml -- \
                        --quick --dir DIR --only open --json FILE";
        assert_eq!(command(words), expected);
    }

    #[test]
    fn is_the_file_system_the_nearest_one() {
        let mounts = "/dev/a / ext4 rw 0 0\ntmpfs /mnt tmpfs rw 0 0\n/dev/b /mnt/x xfs rw 0 0\n";
        let of = |path| mounted(mounts, Path::new(path));
        assert_eq!(of("/mnt/x/y").as_deref(), Some("xfs"));
        assert_eq!(of("/mnt/xy").as_deref(), Some("tmpfs"));
        assert_eq!(of("/usr").as_deref(), Some("ext4"));
    }
}
