//! A log of a test's own, in a directory that goes with it, and its clock.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::builder::EngineBuilder;
use super::super::engine::Engine;
use crate::log::{Clock, Durability, Options};
use crate::sync::Arc;
use crate::sync::atomic::{AtomicU64, Ordering};

/// A directory, removed when it is dropped.
pub(super) struct Place(PathBuf);

impl Place {
    pub(super) fn new() -> Self {
        // Loom's atomics cannot be static: the counter is the standard library's through `Arc`.
        let unique = Arc::new(());
        let address = Arc::as_ptr(&unique) as usize;
        let mut random = [0; 8];
        // Without randomness the address has to do.
        let _ = getrandom::fill(&mut random);
        let number = u64::from_le_bytes(random) ^ address as u64;
        let name = format!("factlog-testing-{}-{number:016x}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What is left is in a temporary directory.
        drop(fs::remove_dir_all(&self.0));
    }
}

/// A clock that stands where it is put.
#[derive(Debug, Clone)]
pub(super) struct Still(Arc<AtomicU64>);

impl Still {
    pub(super) fn at(time: u64) -> Self {
        Self(Arc::new(AtomicU64::new(time)))
    }

    pub(super) fn set(&self, time: u64) {
        self.0.store(time, Ordering::Relaxed);
    }
}

impl Clock for Still {
    fn now(&mut self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Adds an aggregate to an engine.
pub(super) type Add = fn(EngineBuilder) -> EngineBuilder;

/// How the engine of a test is opened.
pub(super) fn opened(place: &Place, clock: &Still, kinds: &[Add]) -> EngineBuilder {
    let options = Options::new().segment_size(4 << 20).spare_segments(1);
    let options = options.durability(Durability::None).clock(clock.clone());
    kinds.iter().fold(Engine::open(place.path()).options(options), |engine, add| add(engine))
}
