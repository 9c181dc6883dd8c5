//! Draws images while a log works: at random operations, in whichever thread they are.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use factlog::{DiskObserver, DiskOperation};
use factlog_simdisk::{CrashImage, Medium, SimDisk};

use crate::Random;

/// What a power cut would have left, and what had been promised by then.
#[derive(Debug)]
pub(super) struct Captured {
    pub(super) image: CrashImage,
    /// Every event up to this sequence had been acknowledged as durable.
    pub(super) acknowledged: u64,
    pub(super) medium: Medium,
    /// The log was being opened.
    pub(super) opening: bool,
}

/// The simulated disk of a log, and who draws from it.
pub(super) struct Watch {
    pub(super) disk: SimDisk,
    pub(super) acknowledged: AtomicU64,
    pub(super) opening: AtomicBool,
    drawing: Mutex<Drawing>,
}

struct Drawing {
    random: Random,
    /// One operation in so many.
    rate: u64,
    captured: Vec<Captured>,
}

impl Watch {
    pub(super) fn new(disk: SimDisk, seed: u64, acknowledged: u64) -> Self {
        let random = Random::new(seed);
        Self {
            disk,
            acknowledged: AtomicU64::new(acknowledged),
            opening: AtomicBool::new(false),
            drawing: Mutex::new(Drawing { random, rate: 12, captured: Vec::new() }),
        }
    }

    pub(super) fn acknowledge(&self, sequence: u64) {
        self.acknowledged.fetch_max(sequence, Ordering::SeqCst);
    }

    /// Images that were drawn since the last time.
    pub(super) fn take(&self) -> Vec<Captured> {
        std::mem::take(&mut self.drawing().captured)
    }

    fn drawing(&self) -> std::sync::MutexGuard<'_, Drawing> {
        self.drawing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Draws `count` images of this moment.
    pub(super) fn draw(&self, count: usize) {
        let drawing = &mut *self.drawing();
        for _ in 0..count {
            self.draw_one(drawing);
        }
    }

    fn draw_one(&self, drawing: &mut Drawing) {
        // Before the image: what is acknowledged meanwhile does not count.
        let acknowledged = self.acknowledged.load(Ordering::SeqCst);
        let opening = self.opening.load(Ordering::SeqCst);
        let Drawing { random, captured, .. } = drawing;
        let medium = if random.below(3) == 0 { Medium::Weak } else { Medium::PowerSafe };
        let image = self.disk.crash(medium, &mut || random.next());
        let image = image.expect("the files can be read");
        captured.push(Captured { image, acknowledged, medium, opening });
    }

    fn perhaps(&self) {
        let drawing = &mut *self.drawing();
        if drawing.captured.len() < 64 && drawing.random.below(drawing.rate) == 0 {
            self.draw_one(drawing);
        }
        if drawing.random.below(10) == 0 {
            let share = [0.02, 0.3, 0.9][drawing.random.below(3) as usize];
            let random = &mut drawing.random;
            self.disk.write_back(&mut || random.next(), share).expect("the files can be read");
        }
    }
}

impl DiskObserver for Watch {
    fn before(&self, operation: &DiskOperation<'_>) -> io::Result<()> {
        self.perhaps();
        DiskObserver::before(&self.disk, operation)
    }

    fn after(&self, operation: &DiskOperation<'_>) {
        DiskObserver::after(&self.disk, operation);
        self.perhaps();
    }
}
