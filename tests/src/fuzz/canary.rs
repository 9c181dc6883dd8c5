//! Bugs on purpose: a fuzzer that does not find them finds nothing.
//!
//! Each stands behind the same mended checks as the real bodies, and behind steps that chance
//! does not take at once: one that is found says that mutation, the feedback of coverage, and
//! the limits all work. They are there only when one is asked for.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use factlog_codec::{FrameHeader, FrameKind, Walk};

use super::decoders::{key, laid_out};
use super::reached::Reached;
use super::{Body, seeds};

static ASKED: AtomicUsize = AtomicUsize::new(usize::MAX);

/// Which bug is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Canary {
    /// A panic, behind two steps.
    Panic,
    /// A panic that a changed bit leads to: for where there is no feedback.
    Shallow,
    /// Something that does not end.
    Hang,
    /// Memory without bounds.
    Memory,
    /// One byte is read that is not there: only the address sanitizer sees it.
    Overrun,
}

impl Canary {
    /// Where it is asked for, by its word.
    pub const VARIABLE: &str = "FACTLOG_CANARY";

    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Panic, Self::Shallow, Self::Hang, Self::Memory, Self::Overrun];

    /// Its word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Panic => "panic",
            Self::Shallow => "shallow",
            Self::Hang => "hang",
            Self::Memory => "memory",
            Self::Overrun => "overrun",
        }
    }

    /// Asks for one in this process, or for none.
    pub fn ask(canary: Option<Self>) {
        let number = canary.and_then(|canary| Self::ALL.iter().position(|other| *other == canary));
        ASKED.store(number.unwrap_or(usize::MAX), Ordering::Relaxed);
    }

    fn asked() -> Option<Self> {
        static BY_WORD: OnceLock<Option<Canary>> = OnceLock::new();
        let by_word = || {
            let word = std::env::var(Self::VARIABLE).ok()?;
            Self::ALL.into_iter().find(|canary| canary.word() == word)
        };
        let asked = Self::ALL.get(ASKED.load(Ordering::Relaxed)).copied();
        asked.or_else(|| *BY_WORD.get_or_init(by_word))
    }

    /// The bug itself.
    fn sing(self, bytes: &[u8]) {
        match self {
            Self::Panic | Self::Shallow => panic!("the canary"),
            Self::Hang => loop {
                std::thread::sleep(std::time::Duration::from_millis(10));
            },
            Self::Memory => {
                let hoard: Vec<_> = (0..1 << 12).map(|_| vec![1_u8; 1 << 20]).collect();
                assert!(hoard.len() > 1, "nobody has so much memory");
            }
            Self::Overrun => {
                let behind = bytes.as_ptr().wrapping_add(bytes.len());
                // SAFETY: there is none, and that is the point: the sanitizer must say so.
                let behind = unsafe { std::ptr::read_volatile(behind) };
                assert!(u16::from(behind) < 256, "a byte");
            }
        }
    }
}

/// Its body. It is no part of [`BODIES`](super::BODIES).
pub static CANARY: Body =
    Body { name: "canary", run, must: &["frames"], longest: 208, seeds: seeds::canary };

/// `bytes` are what follows the header page of a segment, mended.
fn run(bytes: &[u8], reached: &mut Reached) {
    let segment = laid_out(bytes);
    let mut walk = Walk::new(key(), &segment, None);
    while let Ok(frame) = walk.next_frame() {
        reached.note("frames");
        let header = frame.header;
        let Some(canary) = Canary::asked() else { continue };
        let found = match canary {
            Canary::Shallow => header.flags.clock_back(),
            _ => steps(&header, reached),
        };
        if found {
            canary.sing(bytes);
        }
    }
}

/// Two bytes that must change, one after the other: the first is noted, so that coverage shows it.
/// To hit both at once would take longer than anybody has.
fn steps(header: &FrameHeader, reached: &mut Reached) -> bool {
    if header.count != 0 || header.kind == FrameKind::SegOpen {
        return false;
    }
    reached.note("no-events");
    matches!(header.kind, FrameKind::Pad | FrameKind::Snapshot)
}
