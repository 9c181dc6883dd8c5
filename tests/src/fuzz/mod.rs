//! What is fuzzed: any bytes give a result or a typed error. No panic, no hang, bounded memory.
//!
//! - `events`: events as the macros make them, simple and not
//! - `input`: choices out of bytes
//! - `reached`: what an input got to: frames that were accepted, verdicts
//! - `probe`: a log opened in each way, read in each way
//! - `mend`: checks made to hold again, or nothing would get past them
//! - `draft`: a log as frames and pages, to be changed and laid out again
//! - `segments`, `changes`, `operations`, `archives`, `files`, `decoders`, `following`, `engine`: the
//!   bodies
//! - `canary`: bugs on purpose, which fuzzing must find
//! - `seeds`: the corpus, and how it is made
//!
//! The targets in `fuzz/` have one line each. `cargo test` replays the corpus.

mod archives;
mod canary;
mod changes;
mod decoders;
mod draft;
mod engine;
mod events;
mod files;
mod following;
mod input;
mod mend;
mod operations;
mod probe;
mod reached;
mod seeds;
mod segments;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::time::{Duration, Instant};

pub use canary::{CANARY, Canary};
pub use events::{Deep, Everything, Flat};
pub use reached::Reached;
pub use seeds::{corpus, make_corpus};

use crate::Random;

/// What is fuzzed by one target.
#[derive(Debug)]
pub struct Body {
    /// Its name, that of its target, and of the folder of its corpus.
    pub name: &'static str,
    /// What it does with its input.
    pub run: fn(&[u8], &mut Reached),
    /// What a run over it must reach, or it tests nothing.
    pub must: &'static [&'static str],
    /// How long inputs are to be at most.
    pub longest: usize,
    /// What fuzzing begins with.
    seeds: fn() -> Vec<(&'static str, Vec<u8>)>,
}

/// All bodies.
pub static BODIES: [Body; 8] = [
    Body {
        name: "segments",
        run: segments::run,
        must: &["frames", "events", "clean", "torn", "refused-damaged", "repaired", "appended"],
        longest: 16 << 10,
        seeds: seeds::segments,
    },
    Body {
        name: "changes",
        run: changes::run,
        must: &["frames", "events", "closed", "clean", "damaged", "repaired", "appended"],
        longest: 512,
        seeds: seeds::changes,
    },
    Body {
        name: "operations",
        run: operations::run,
        must: &["events", "transactions", "conflicts", "closes", "drops", "crashes", "cuts"],
        longest: 512,
        seeds: seeds::operations,
    },
    Body {
        name: "archives",
        run: archives::run,
        must: &["flat", "deep", "everything", "descriptions", "shown", "invalid"],
        longest: 4096,
        seeds: seeds::archives,
    },
    Body {
        name: "files",
        run: files::run,
        must: &[
            "events",
            "manifests",
            "catalogs",
            "cursors",
            "tables",
            "in-order",
            "attach-refused",
        ],
        longest: 2048,
        seeds: seeds::files,
    },
    Body {
        name: "decoders",
        run: decoders::run,
        must: &["frames", "items", "pages", "descriptions"],
        longest: 8 << 10,
        seeds: seeds::decoders,
    },
    Body {
        name: "following",
        run: following::run,
        must: &["turns", "events", "ended", "no-message", "no-frame", "refused", "promoted", "cut"],
        longest: 8 << 10,
        seeds: seeds::following,
    },
    Body {
        name: "engine",
        run: engine::run,
        must: &["opened", "refused", "snapshots", "known", "accepted", "rejected", "again"],
        longest: 512,
        seeds: seeds::engine,
    },
];

impl Body {
    /// The body of this name, or the canary.
    pub fn named(name: &str) -> Option<&'static Self> {
        BODIES.iter().chain([&CANARY]).find(|body| body.name == name)
    }

    /// What fuzzing it begins with, as it is made: names and bytes.
    pub fn seeds(&self) -> Vec<(&'static str, Vec<u8>)> {
        (self.seeds)()
    }

    /// What it must reach, and `reached` has not.
    pub fn missing(&self, reached: &Reached) -> Vec<&'static str> {
        self.must.iter().filter(|what| reached.of(what) == 0).copied().collect()
    }

    /// Runs it in ordinary code.
    ///
    /// # Errors
    ///
    /// It panicked: what the panic said.
    pub fn guarded(&self, bytes: &[u8], reached: &mut Reached) -> Result<(), String> {
        let run = AssertUnwindSafe(|| (self.run)(bytes, reached));
        catch_unwind(run).map_err(|panic| {
            let said = panic.downcast_ref::<String>().cloned();
            said.or_else(|| panic.downcast_ref::<&str>().map(|said| (*said).to_owned()))
                .unwrap_or_else(|| "a panic".to_owned())
        })
    }
}

/// What a line of counts begins with.
pub const TELLS: &str = "reached: ";

struct Told {
    reached: Reached,
    at: Option<Instant>,
}

static TOLD: Mutex<Told> = Mutex::new(Told { reached: Reached::new(), at: None });

/// What a target in `fuzz/` does: runs the body of this name, and tells once a second what has been
/// reached so far.
///
/// # Panics
///
/// When the body does, or there is none of that name.
pub fn target(name: &str, bytes: &[u8]) {
    let body = Body::named(name).expect("a body");
    let mut reached = Reached::new();
    (body.run)(bytes, &mut reached);
    let mut told = TOLD.lock().expect("nobody panics with it");
    told.reached.add(&reached);
    let now = Instant::now();
    if told.at.is_none_or(|at| now - at >= Duration::from_secs(1)) {
        told.at = Some(now);
        eprintln!("{TELLS}{}", told.reached);
    }
}

/// `bytes` changed a little, in the ways of fuzzers: for where there is none.
pub fn changed(random: &mut Random, bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=random.below(4) {
        if bytes.is_empty() {
            break;
        }
        let at = random.below(bytes.len() as u64) as usize;
        match random.below(6) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes.truncate(at),
            2 => bytes[at] = [0, 1, 0x7F, 0x80, 0xFF][random.below(5) as usize],
            3 => bytes[at] = random.next() as u8,
            4 => {
                let piece = random.next().to_le_bytes();
                let count = 1 + random.below(8) as usize;
                bytes.splice(at..at, piece[..count].iter().copied());
            }
            _ => {
                let from = random.below(bytes.len() as u64) as usize;
                let piece = bytes[from..].iter().copied().take(32).collect::<Vec<_>>();
                let end = (at + piece.len()).min(bytes.len());
                bytes[at..end].copy_from_slice(&piece[..end - at]);
            }
        }
    }
    bytes
}
