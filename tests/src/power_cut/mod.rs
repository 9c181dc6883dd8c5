//! Power cuts on a simulated disk: G2 and G3 at volume.
//!
//! A *life* is a log on a [`SimDisk`](factlog_simdisk::SimDisk), to which random things are done:
//! appends, transactions, rollovers, syncs, retention, reopening, operations that fail. At random
//! operations of any of its threads, and between steps, images are drawn of what a power cut would
//! leave. Each is opened by the production code and held against a model: everything that was
//! acknowledged as durable is there, everything that is there was appended, in order, unchanged.
//! Some images are gone on with: less is appended than was lost, and the power is cut again.
//!
//! - `model`: what was appended
//! - `watch`: draws images while the log works
//! - `check`: opens an image, and says what became of it
//! - `life`: what is done to a log
//! - `lives`: many of them, on all processors

mod check;
pub(crate) mod life;
mod lives;
pub(crate) mod model;
mod watch;

use std::fmt;
use std::path::PathBuf;

use factlog_simdisk::Counts;

pub use life::live;
pub use lives::{Asked, Lives, many};

/// What does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Breach {
    /// Against G2: what was acknowledged as durable is not there, or cannot be read.
    Lost(String),
    /// Against G3: what is there was never appended, or is not what was appended.
    Altered(String),
    /// Against both: something did not work that has to.
    Broken(String),
}

impl Breach {
    /// With where it was.
    fn within(self, place: &str) -> Self {
        match self {
            Self::Lost(what) => Self::Lost(format!("{place}: {what}")),
            Self::Altered(what) => Self::Altered(format!("{place}: {what}")),
            Self::Broken(what) => Self::Broken(format!("{place}: {what}")),
        }
    }
}

impl From<String> for Breach {
    fn from(what: String) -> Self {
        Self::Broken(what)
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Lost(what) | Self::Altered(what) | Self::Broken(what)) = self;
        f.write_str(what)
    }
}

/// What was tried, and what came of it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Report {
    /// Images that were opened.
    pub images: u64,
    /// No log was there yet, and nothing had been promised.
    pub nothing: u64,
    /// Closed cleanly.
    pub closed: u64,
    /// Not closed, and whole.
    pub clean: u64,
    /// A torn tail was cut.
    pub torn: u64,
    /// A bit below a witness was flipped in the image, and that was found.
    pub damaged: u64,
    /// Damage on a weak medium, of a log that had promised nothing there.
    pub weak: u64,
    /// Images with something that was acknowledged.
    pub acknowledged: u64,
    /// Events in them that had been acknowledged, and were there.
    pub held: u64,
    /// Images that had more than what was acknowledged.
    pub beyond: u64,
    /// Images of which every event was compared with what had been appended.
    pub compared: u64,
    /// Events that were compared.
    pub read: u64,
    /// Images of a moment inside an operation of opening.
    pub opening: u64,
    /// Lives that went on from an image.
    pub adopted: u64,
    /// Operations that were made to fail.
    pub faults: u64,
    /// Segments that were begun.
    pub rollovers: u64,
    /// Sectors, lengths and names of the images.
    pub disk: Counts,
}

impl Report {
    /// Adds another.
    pub fn add(&mut self, other: &Self) {
        let mut fields = [
            (&mut self.images, other.images),
            (&mut self.nothing, other.nothing),
            (&mut self.closed, other.closed),
            (&mut self.clean, other.clean),
            (&mut self.torn, other.torn),
            (&mut self.damaged, other.damaged),
            (&mut self.weak, other.weak),
            (&mut self.acknowledged, other.acknowledged),
            (&mut self.held, other.held),
            (&mut self.beyond, other.beyond),
            (&mut self.compared, other.compared),
            (&mut self.read, other.read),
            (&mut self.opening, other.opening),
            (&mut self.adopted, other.adopted),
            (&mut self.faults, other.faults),
            (&mut self.rollovers, other.rollovers),
        ];
        for (sum, more) in &mut fields {
            **sum += *more;
        }
        self.disk += other.disk;
    }

    /// What did not happen at all, though it should have: then the counts flatter.
    pub fn missing(&self) -> Vec<&'static str> {
        let wanted = [
            ("nothing there yet", self.nothing),
            ("closed cleanly", self.closed),
            ("clean", self.clean),
            ("torn", self.torn),
            ("damaged", self.damaged),
            ("damaged on a weak medium", self.weak),
            ("acknowledged", self.acknowledged),
            ("more than acknowledged", self.beyond),
            ("cut while opening", self.opening),
            ("gone on with", self.adopted),
            ("failed operations", self.faults),
            ("rollovers", self.rollovers),
            ("old sectors", self.disk.sectors.old),
            ("new sectors", self.disk.sectors.new),
            ("garbage", self.disk.sectors.garbage),
            ("old names", self.disk.names.old),
            ("new names", self.disk.names.new),
        ];
        wanted.into_iter().filter(|(_, count)| *count == 0).map(|(name, _)| name).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} images: {} without a log, {} closed, {} clean, {} torn; {} with a flipped bit, each \
             found; {} damaged on a weak medium without a promise",
            self.images, self.nothing, self.closed, self.clean, self.torn, self.damaged, self.weak
        )?;
        writeln!(
            f,
            "{} had acknowledged events, {} more than that, {} were cut while opening, {} were gone \
             on with; {} operations failed, {} rollovers",
            self.acknowledged, self.beyond, self.opening, self.adopted, self.faults, self.rollovers
        )?;
        write!(f, "{}", self.disk)
    }
}

/// Where images and logs are made: in memory, if there is such a place with room.
pub(crate) fn ground() -> PathBuf {
    crate::in_memory().unwrap_or_else(std::env::temp_dir)
}
