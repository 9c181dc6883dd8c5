//! Which way an image leans.
//!
//! If each sector were drawn on its own with even chances, an image of a thousand sectors would
//! always be half old and half new. Mistakes show at the extremes: all but one sector there, the
//! length without the data, one file whole and the other not at all. So each image first draws how
//! it leans, for sectors, lengths and names.

use crate::random::{Source, below, mix};

/// How the things of one class are drawn in one image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bias {
    AllOld,
    AllNew,
    /// New with a probability of this number in 2^64.
    Share(u64),
    /// New but for one.
    OneOld,
    /// Old but for one.
    OneNew,
    /// New up to some place, in the order of files and offsets; old from there on.
    FirstNew,
    /// Each file, or directory, is all old or all new.
    ByOwner,
}

impl Bias {
    fn draw(random: Source<'_>) -> Self {
        match below(random, 16) {
            0 => Self::AllOld,
            1 => Self::AllNew,
            2..=4 => Self::Share(1 << 63),
            5 | 6 => Self::Share(u64::MAX >> (2 + below(random, 5))),
            7 | 8 => Self::Share(!(u64::MAX >> (2 + below(random, 5)))),
            9 | 10 => Self::OneOld,
            11 | 12 => Self::OneNew,
            13 | 14 => Self::FirstNew,
            _ => Self::ByOwner,
        }
    }

    /// The same leaning for things of another class.
    const fn alike(self) -> Self {
        match self {
            Self::OneOld => Self::AllNew,
            Self::OneNew => Self::AllOld,
            Self::FirstNew => Self::Share(1 << 63),
            other => other,
        }
    }
}

/// How one image leans.
#[derive(Debug)]
pub(crate) struct Leaning {
    sectors: Bias,
    lengths: Bias,
    names: Bias,
    /// What decides for files as a whole: the same for sectors, lengths and names.
    salt: u64,
}

impl Leaning {
    pub(crate) fn draw(random: Source<'_>) -> Self {
        let sectors = Bias::draw(random);
        let mut other = || if below(random, 2) == 0 { sectors.alike() } else { Bias::draw(random) };
        Self { sectors, lengths: other(), names: other(), salt: random() }
    }

    pub(crate) fn sectors(&self, total: u64, random: Source<'_>) -> Chooser {
        Chooser::new(self.sectors, self.salt, total, random)
    }

    pub(crate) fn lengths(&self, total: u64, random: Source<'_>) -> Chooser {
        Chooser::new(self.lengths, self.salt, total, random)
    }

    pub(crate) fn names(&self, total: u64, random: Source<'_>) -> Chooser {
        Chooser::new(self.names, self.salt, total, random)
    }
}

/// Draws old or new for the things of one class, one after the other.
#[derive(Debug)]
pub(crate) struct Chooser {
    bias: Bias,
    salt: u64,
    pick: u64,
    at: u64,
}

impl Chooser {
    fn new(bias: Bias, salt: u64, total: u64, random: Source<'_>) -> Self {
        let pick = match bias {
            Bias::OneOld | Bias::OneNew => below(random, total),
            Bias::FirstNew => below(random, total + 1),
            _ => 0,
        };
        Self { bias, salt, pick, at: 0 }
    }

    /// Whether the next thing, which belongs to inode number `owner`, is new.
    pub(crate) fn takes_new(&mut self, owner: u64, random: Source<'_>) -> bool {
        let at = self.at;
        self.at += 1;
        match self.bias {
            Bias::AllOld => false,
            Bias::AllNew => true,
            Bias::Share(share) => random() < share,
            Bias::OneOld => at != self.pick,
            Bias::OneNew => at == self.pick,
            Bias::FirstNew => at < self.pick,
            Bias::ByOwner => mix(self.salt ^ mix(owner)) >> 63 == 1,
        }
    }
}
