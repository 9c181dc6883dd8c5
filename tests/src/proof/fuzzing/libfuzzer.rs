//! libFuzzer: the targets built with what it needs, run with limits, and what they said.
//!
//! The flags are those of `cargo fuzz`, which need not be there. Stable takes them as well; the
//! address sanitizer it gives only to those who say `RUSTC_BOOTSTRAP=1`, which says no more than
//! that.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::{Failure, Kind, Row, Run};
use crate::fuzz::{Body, CANARY, Canary, Reached, TELLS};
use crate::{SCRATCH, plants, scratch};

/// What makes the compiler tell libFuzzer what an input reached and compared.
const COVERAGE: [&str; 6] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "--cfg=fuzzing",
];

/// Assertions hold also where a release has none; overflows are bugs.
const STRICT: [&str; 2] = ["-Cdebug-assertions", "-Coverflow-checks"];

const ADDRESS: &str = "-Zsanitizer=address";

/// Memory that a target may have, in MiB, and at once.
const MEMORY: [&str; 2] = ["-rss_limit_mb=2048", "-malloc_limit_mb=1024"];

/// Seconds that an input may take: the machine may be a slow one, and busy.
const LONGEST: &str = "-timeout=25";

/// Seconds in which a canary must be found.
const CANARY_SECONDS: u64 = 120;

/// Built targets.
#[derive(Debug)]
pub(super) struct Built {
    programs: PathBuf,
    /// Where runs put what they find.
    work: PathBuf,
    address: bool,
    /// Which compiler, and which sanitizer.
    pub(super) how: String,
    /// What of it is missing.
    pub(super) skipped: Option<String>,
}

fn said(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<_> = text.lines().filter(|line| line.contains("error")).take(3).collect();
    lines.join("; ")
}

/// Version and host of the compiler.
fn compiler() -> Result<(String, String), String> {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let output = Command::new(rustc).arg("-vV").output().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let field = |name: &str| {
        text.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned())
    };
    match (field("release:"), field("host:")) {
        (Some(release), Some(host)) => Ok((release, host)),
        _ => Err("rustc does not say what it is".to_owned()),
    }
}

/// Builds all targets of this tree, or one of another, which is a copy of it: with the address
/// sanitizer, or else without.
pub(super) fn build(copy: Option<(&Path, &'static Body)>) -> Result<Built, String> {
    let own = plants::root()?;
    let (release, host) = compiler()?;
    let base = match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => std::path::absolute(folder).map_err(|error| error.to_string())?,
        None => own.join("target"),
    };
    let base = base.join("fuzz");
    let root = copy.map_or(own.as_path(), |(tree, _)| tree);
    let bootstrap = !(release.contains("nightly") || release.contains("dev"));
    eprintln!("building the fuzz targets");
    let attempt = |address: bool| -> Result<PathBuf, String> {
        let target = base.join(if address { "address" } else { "plain" });
        let mut flags = [&COVERAGE[..], &STRICT].concat();
        let mut command = Command::new(env!("CARGO"));
        if address {
            flags.push(ADDRESS);
            if bootstrap {
                command.env("RUSTC_BOOTSTRAP", "1");
            }
        }
        if let Some((_, body)) = copy {
            command.env("CARGO_INCREMENTAL", "0").args(["build", "--bin", body.name]);
        } else {
            command.arg("build");
        }
        let output = command
            .current_dir(root)
            .args(["--release", "--quiet", "--manifest-path", "fuzz/Cargo.toml"])
            // With a target, build scripts and macros are not fuzzed as well.
            .args(["--target", &host])
            .env("RUSTFLAGS", flags.join(" "))
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .env("CARGO_TARGET_DIR", &target)
            .output()
            .map_err(|error| error.to_string())?;
        let programs = target.join(&host).join("release");
        if output.status.success() { Ok(programs) } else { Err(said(&output)) }
    };
    let (programs, address, skipped) = match attempt(true) {
        Ok(programs) => (programs, true, None),
        Err(why) => {
            let programs =
                attempt(false).map_err(|error| format!("its targets do not build ({error})"))?;
            (programs, false, Some(format!("the address sanitizer, which does not build ({why})")))
        }
    };
    let with = match (address, bootstrap) {
        (true, true) => "with the address sanitizer (by RUSTC_BOOTSTRAP=1)",
        (true, false) => "with the address sanitizer",
        (false, _) => "without a sanitizer",
    };
    let how = format!("rustc {release} {with}");
    let work = base.join(if copy.is_some() { "planted" } else { "work" });
    Ok(Built { programs, work, address, how, skipped })
}

impl Built {
    /// Bugs on purpose, each of which must be found as what it is.
    pub(super) fn canaries(&self, seed: u64, row: &mut Row) {
        let mut expected = vec![
            (Canary::Panic, Kind::Crash),
            (Canary::Hang, Kind::Hang),
            (Canary::Memory, Kind::Memory),
        ];
        if self.address {
            expected.push((Canary::Overrun, Kind::Crash));
        }
        let mut found = Vec::new();
        for (canary, kind) in expected {
            eprintln!("looking for the canary ({})", canary.word());
            // A machine that stands still for a while is no hang.
            let limits = ["-rss_limit_mb=512", "-timeout=10"];
            let limits = if canary == Canary::Hang { &limits[..] } else { &limits[..1] };
            let run = self.run(&CANARY, CANARY_SECONDS, seed, Some(canary), limits);
            let failure = run.failure.as_ref();
            let right = failure.is_some_and(|failure| {
                let overrun = failure.said.contains("AddressSanitizer");
                failure.kind == kind && (canary != Canary::Overrun || overrun)
            });
            if !right {
                let said = failure.map_or("nothing", |failure| &failure.said);
                row.failure = Some(format!(
                    "the canary ({}) was not found in {CANARY_SECONDS} s and {} inputs: {said}",
                    canary.word(),
                    run.tried
                ));
                return;
            }
            found.push(format!("{} after {} inputs", canary.word(), run.tried));
        }
        row.canaries = found.len() as u64;
        row.counts.push(format!("{0} of {0} canaries found: {1}", found.len(), found.join(", ")));
    }

    /// Fuzzes `body` for so many seconds, from the corpus on.
    pub(super) fn fuzz(&self, body: &'static Body, seconds: u64, seed: u64) -> Run {
        self.run(body, seconds, seed, None, &[])
    }

    fn run(
        &self,
        body: &'static Body,
        seconds: u64,
        seed: u64,
        canary: Option<Canary>,
        more: &[&str],
    ) -> Run {
        let tried = self.tried(body, seconds, seed, canary, more);
        tried.unwrap_or_else(|said| {
            let failure = Some(Failure { kind: Kind::Other, said });
            Run { tried: 0, reached: Reached::new(), failure }
        })
    }

    fn tried(
        &self,
        body: &'static Body,
        seconds: u64,
        seed: u64,
        canary: Option<Canary>,
        more: &[&str],
    ) -> Result<Run, String> {
        let io = |error: std::io::Error| format!("fuzzing cannot be prepared: {error}");
        let word = canary.map_or("", Canary::word);
        let folder = self.work.join(format!("{}{word}", body.name));
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(io)?;
        }
        let (found, begun) = (folder.join("found"), folder.join("corpus"));
        fs::create_dir_all(&found).map_err(io)?;
        fs::create_dir_all(&begun).map_err(io)?;
        if canary.is_some() {
            for (name, seed) in body.seeds() {
                fs::write(begun.join(name), seed).map_err(io)?;
            }
        }
        // Directories of inputs that were cut short are removed with it.
        let rubbish = scratch();
        let log = fs::File::create(folder.join("log")).map_err(io)?;
        let mut command = Command::new(self.programs.join(body.name));
        command
            .current_dir(&folder)
            .args(MEMORY)
            .args([LONGEST, "-detect_leaks=0", "-print_final_stats=1"])
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-max_len={}", body.longest))
            // Zero would be a random one.
            .arg(format!("-seed={}", seed as u32 | 1))
            .arg(format!("-artifact_prefix={}/", found.display()))
            .args(more)
            .arg(&begun);
        if canary.is_none() {
            command.arg(plants::root()?.join("fuzz").join("corpus").join(body.name));
        }
        let status = command
            .env(Canary::VARIABLE, word)
            .env(SCRATCH, rubbish.path())
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .status()
            .map_err(|error| format!("the target does not start: {error}"))?;
        let text = fs::read(folder.join("log")).map_err(io)?;
        let mut run = read(&String::from_utf8_lossy(&text));
        if let Some(failure) = run.failure.as_mut() {
            failure.said.push_str(&again(body, &found));
        } else if !status.success() {
            let said = format!("the target ended with {status}: see {}", folder.display());
            run.failure = Some(Failure { kind: Kind::Other, said });
        }
        Ok(run)
    }
}

/// How to see again what was found.
fn again(body: &Body, found: &Path) -> String {
    let file = fs::read_dir(found).ok().and_then(|mut files| files.next()?.ok());
    let Some(file) = file else { return String::new() };
    let path = file.path();
    let bytes = fs::read(&path).unwrap_or_default();
    let shown = if bytes.len() <= 64 { format!(", which is {bytes:?}") } else { String::new() };
    format!(
        "; again: cargo run --release -p factlog-tests --bin fuzz -- --run {} {}{shown}",
        body.name,
        path.display()
    )
}

/// What a run has said.
fn read(log: &str) -> Run {
    let mut run = Run::default();
    let lines: Vec<&str> = log.lines().collect();
    for (at, line) in lines.iter().enumerate() {
        if let Some(told) = line.strip_prefix(TELLS) {
            run.reached = Reached::parse(told);
        } else if let Some(count) = line.strip_prefix("stat::number_of_executed_units:") {
            run.tried = count.trim().parse().unwrap_or(run.tried);
        } else if let Some(rest) = line.strip_prefix('#') {
            let count = rest.split_whitespace().next().and_then(|count| count.parse().ok());
            run.tried = run.tried.max(count.unwrap_or(0));
        }
        let kind = kind_of(line);
        let worse = run.failure.as_ref().is_none_or(|failure| failure.kind == Kind::Other);
        if let Some(kind) = kind.filter(|_| worse) {
            let mut said = (*line).to_owned();
            if line.contains("panicked at") {
                said.push(' ');
                said.push_str(lines.get(at + 1).unwrap_or(&""));
            }
            run.failure = Some(Failure { kind, said });
        }
    }
    run
}

/// What a line says that went wrong, if it does.
fn kind_of(line: &str) -> Option<Kind> {
    if line.contains("panicked at") {
        return Some(Kind::Crash);
    }
    let (_, error) = line.split_once("ERROR: ")?;
    Some(match error {
        error if error.starts_with("libFuzzer: timeout") => Kind::Hang,
        error if error.starts_with("libFuzzer: out-of-memory") => Kind::Memory,
        error if error.starts_with("libFuzzer: ") || error.starts_with("AddressSanitizer") => {
            Kind::Crash
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_what_a_run_says_understood() {
        let run = read("#2\tINITED cov: 3\nreached: frames=2\n#9\tNEW\nreached: frames=7 torn=1\n");
        assert_eq!((run.tried, run.reached.of("frames"), run.reached.of("torn")), (9, 7, 1));
        assert_eq!(run.failure, None);
        let said = |log: &str| read(log).failure.map(|failure| failure.kind);
        assert_eq!(said("thread 'a' panicked at x.rs:1:\nno\n"), Some(Kind::Crash));
        assert_eq!(said("==1== ERROR: libFuzzer: timeout after 3 seconds"), Some(Kind::Hang));
        assert_eq!(said("==1== ERROR: libFuzzer: out-of-memory (used: 600Mb)"), Some(Kind::Memory));
        assert_eq!(said("==1==ERROR: AddressSanitizer: heap-buffer-overflow"), Some(Kind::Crash));
    }
}
