//! What became of what was in flight.

use std::fmt;
use std::ops::AddAssign;

/// What became of the sectors, lengths or names that were in flight in an image: that were not the
/// same on the medium and in the cache.
///
/// `in_flight` is the sum of the others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tally {
    /// How many there were.
    pub in_flight: u64,
    /// As on the medium before.
    pub old: u64,
    /// As in the cache.
    pub new: u64,
    /// Neither: only sectors, and only under [`Medium::Weak`](crate::Medium::Weak).
    pub garbage: u64,
    /// Of no matter: beyond the end of the file, or its name is not in the image.
    pub hidden: u64,
}

/// What became of all that was in flight, in one image, or in many when they are added up. Print
/// them: images of which all are old, or all new, prove little.
///
/// # Example
///
/// ```
/// use factlog_simdisk::Counts;
///
/// let mut all = Counts::default();
/// all += Counts::default(); // `image.counts()`, for each image
/// println!("{all}");
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// How many images.
    pub images: u64,
    /// Sectors of 512 bytes.
    pub sectors: Tally,
    /// Lengths of files.
    pub lengths: Tally,
    /// Names in directories: new, removed, or of another file than before.
    pub names: Tally,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.in_flight += other.in_flight;
        self.old += other.old;
        self.new += other.new;
        self.garbage += other.garbage;
        self.hidden += other.hidden;
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.images += other.images;
        self.sectors += other.sectors;
        self.lengths += other.lengths;
        self.names += other.names;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { in_flight, old, new, garbage, hidden } = self;
        write!(f, "{in_flight} in flight ({old} old, {new} new, ")?;
        write!(f, "{garbage} garbage, {hidden} hidden)")
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { images, sectors, lengths, names } = self;
        write!(f, "{images} images; sectors: {sectors}; lengths: {lengths}; names: {names}")
    }
}
