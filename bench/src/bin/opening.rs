//! What opening a log costs: time, calls, bytes read and memory, by number of segments and streams.
//!
//! `cargo run --release -p factlog-bench --bin opening [DIRECTORY]`
//!
//! Each opening happens in a process of its own. Beside it, in the same round, bare system calls:
//! opening as many files, reading two pages and the last one of each, closing them; reading the
//! stream table; and decoding it. Calls are counted by `strace`, where it is there.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use factlog_bench::opening::{bare_segments, bare_table, forged, open, options};
use factlog_codec::Catalog;

type Failure = Box<dyn std::error::Error>;

const REPEATS: usize = 7;
/// What a process of its own can do.
const WORKS: [(&str, &str); 5] = [
    ("write", "opened for writing"),
    ("read", "opened for reading"),
    ("segments", "segments, bare"),
    ("table", "table, bare"),
    ("decode", "table, bare and decoded"),
];
/// Calls that are counted.
const CALLS: [&str; 6] = ["openat", "pread64", "read", "statx", "fstat", "close"];

/// What a process has used so far.
#[derive(Clone, Copy, Default)]
struct Usage {
    read: u64,
    anonymous: u64,
    peak: u64,
}

impl Usage {
    fn now() -> Result<Self, Failure> {
        let number = |file: &str, name: &str| -> Result<u64, Failure> {
            let text = fs::read_to_string(file)?;
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            let field = line.and_then(|line| line.split_whitespace().next());
            Ok(field.ok_or(format!("no {name} in {file}"))?.parse()?)
        };
        Ok(Self {
            anonymous: number("/proc/self/status", "RssAnon:")? << 10,
            peak: number("/proc/self/status", "VmHWM:")? << 10,
            read: number("/proc/self/io", "rchar:")?,
        })
    }
}

/// Does one work on a log, and prints what it cost.
fn work(name: &str, directory: &Path, segments: u32) -> Result<(), Failure> {
    let before = Usage::now()?;
    // The second look costs what the first one did.
    let own = Usage::now()?.read - before.read;
    let began = Instant::now();
    let (mut walked, mut done) = (0, None);
    // What was opened is kept until it was looked how much there is of it.
    let mut kept: (Option<factlog::Writer>, Option<factlog::Log>) = (None, None);
    match name {
        "nothing" => {}
        "write" => {
            let writer = open(directory);
            done = Some(began.elapsed());
            walked = writer.recovery().walked;
            kept.0 = Some(writer);
        }
        "read" => {
            let log = options().open_read_only(directory)?;
            done = Some(began.elapsed());
            walked = log.recovery().walked;
            kept.1 = Some(log);
        }
        "segments" => drop(std::hint::black_box(bare_segments(directory, segments)?)),
        "table" => drop(std::hint::black_box(bare_table(directory)?)),
        "decode" => {
            let bytes = bare_table(directory)?;
            let (_, entries) = Catalog::decode(&bytes)?;
            for entry in entries {
                std::hint::black_box(entry?);
            }
        }
        other => return Err(format!("there is no work {other}").into()),
    }
    let took = done.unwrap_or_else(|| began.elapsed());
    let after = Usage::now()?;
    let read = (after.read - before.read).saturating_sub(2 * own);
    let anonymous = after.anonymous.saturating_sub(before.anonymous);
    let peak = after.peak.saturating_sub(before.peak);
    println!("{} {walked} {read} {anonymous} {peak}", took.as_nanos());
    if let Some(writer) = kept.0 {
        writer.close()?;
    }
    Ok(())
}

/// What a work has cost, each time.
#[derive(Default)]
struct Costs {
    nanoseconds: Vec<u64>,
    walked: u64,
    read: u64,
    anonymous: u64,
    peak: u64,
}

impl Costs {
    fn add(&mut self, line: &str) -> Result<(), Failure> {
        let numbers: Vec<u64> =
            line.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        let [nanoseconds, walked, read, anonymous, peak] = numbers[..] else {
            return Err(format!("five numbers are not {line:?}").into());
        };
        self.nanoseconds.push(nanoseconds);
        self.walked = walked;
        self.read = self.read.max(read);
        self.anonymous = self.anonymous.max(anonymous);
        self.peak = self.peak.max(peak);
        Ok(())
    }

    fn time(&mut self) -> String {
        self.nanoseconds.sort_unstable();
        let all = &self.nanoseconds;
        let ms = |at: usize| all[at] as f64 / 1e6;
        format!("{:.2} ms ({:.2} to {:.2})", ms(all.len() / 2), ms(0), ms(all.len() - 1))
    }
}

fn run_work(name: &str, directory: &Path, segments: u32) -> Result<String, Failure> {
    let itself = std::env::current_exe()?;
    let output = Command::new(itself)
        .args(["--work", name, &segments.to_string()])
        .arg(directory)
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// How often a work makes each call, by `strace`; nothing if it is not there.
fn count_calls(name: &str, directory: &Path, segments: u32) -> BTreeMap<String, u64> {
    let Ok(itself) = std::env::current_exe() else { return BTreeMap::new() };
    let mut strace = Command::new("strace");
    strace.args(["-f", "-c", "-U", "calls,name"]).arg(itself);
    strace.args(["--work", name, &segments.to_string()]).arg(directory);
    let Ok(output) = strace.output() else { return BTreeMap::new() };
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let lines = text.lines().filter_map(|line| {
        let (calls, name) = line.trim().split_once(' ')?;
        Some((name.trim().to_owned(), calls.parse().ok()?))
    });
    lines.filter(|(name, _)| CALLS.contains(&name.as_str())).collect()
}

/// Has the page cache forget the files of a log; the kernel still knows their inodes.
fn forget_pages(directory: &Path) -> Result<(), Failure> {
    for entry in fs::read_dir(directory.join("seg"))? {
        let file = File::open(entry?.path())?;
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
    }
    Ok(())
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let parts: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    parts.join(",")
}

fn measure(within: &Path, segments: u32, streams: u64) -> Result<(), Failure> {
    let log = forged(within, segments, streams);
    let directory = log.path();
    rustix::fs::syncfs(File::open(directory)?)?;
    let mut costs: BTreeMap<(bool, &str), Costs> = BTreeMap::new();
    for _ in 0..REPEATS {
        // What is measured with pages in memory finds them there.
        run_work("read", directory, segments)?;
        for cold in [false, true] {
            for (name, _) in WORKS {
                if cold {
                    forget_pages(directory)?;
                }
                let line = run_work(name, directory, segments)?;
                costs.entry((cold, name)).or_default().add(&line)?;
            }
        }
    }
    let table = grouped(bare_table(directory)?.len() as u64);
    println!(
        "\n{} segments, {} streams: a table of {table} bytes",
        grouped(segments.into()),
        grouped(streams)
    );
    let nothing = count_calls("nothing", directory, segments);
    for (name, says) in WORKS {
        let mut cold = costs.remove(&(true, name)).unwrap_or_default();
        let mut warm = costs.remove(&(false, name)).unwrap_or_default();
        println!("  {says:<24}{:<30}  pages forgotten: {}", warm.time(), cold.time());
        let [read, kept, peak] = [warm.read, warm.anonymous, warm.peak].map(grouped);
        println!(
            "      {read} bytes read; memory: {kept} bytes, {peak} at most; {} walked",
            warm.walked
        );
        let calls = count_calls(name, directory, segments);
        let calls: Vec<_> = calls
            .iter()
            .map(|(call, count)| (call, count.saturating_sub(*nothing.get(call).unwrap_or(&0))))
            .filter(|(_, count)| *count > 0)
            .map(|(call, count)| format!("{call} {}", grouped(count)))
            .collect();
        println!("      {}", calls.join(", "));
    }
    Ok(())
}

fn main() -> Result<(), Failure> {
    let mut words = std::env::args_os().skip(1);
    let first = words.next();
    if first.as_ref().is_some_and(|word| word == "--work") {
        let (Some(name), Some(segments), Some(directory)) =
            (words.next(), words.next(), words.next())
        else {
            return Err("--work takes what, of how many segments, and where".into());
        };
        let segments = segments.to_string_lossy().parse()?;
        return work(&name.to_string_lossy(), Path::new(&directory), segments);
    }
    if first.as_ref().is_some_and(|word| word.as_encoded_bytes().starts_with(b"-")) {
        println!(
            "opening [DIR]: what opening logs costs that are made in DIR, or in a temporary directory"
        );
        return Ok(());
    }
    let within = first.map_or_else(std::env::temp_dir, PathBuf::from);
    println!("median and spread of {REPEATS}, each in a process of its own");
    for segments in [10, 1_000, 10_000] {
        for streams in [0, 1_000_000] {
            measure(&within, segments, streams)?;
        }
    }
    Ok(())
}
