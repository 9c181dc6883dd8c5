//! G4: damage below a durable witness is detected, never served, never repaired by dropping.
//!
//! A cleanly closed log of about 64 KiB is damaged in memory, one bit, one zeroed area, one cut at
//! a time, and opened with the production code. What each byte is for is known from `FORMAT.md`
//! (see `sample`), so that how the damage must be met is known beforehand (see `judge`). A second
//! run pins the stated limit: of a log that ends with an acknowledged commit, nothing but that
//! commit may be taken for torn, and with `Witness::Strict`, or a second later, nothing at all.

mod judge;
mod sample;
mod spoil;
mod window;
mod work;

use judge::Verdict;
use sample::{Part, Sample};
use work::Tally;

use super::{Request, Row};

/// Verdicts that the first run must have given, or it has hit nothing.
const EXPECTED: [(Part, Verdict); 12] = [
    (Part::Header, Verdict::Damaged),
    (Part::Frame, Verdict::Refused),
    (Part::Frame, Verdict::Damaged),
    (Part::Frame, Verdict::Stopped),
    (Part::Behind, Verdict::Meaningless),
    (Part::Seal, Verdict::Found),
    (Part::Manifest, Verdict::Reported),
    (Part::OldManifest, Verdict::Reported),
    (Part::Catalog, Verdict::Refused),
    (Part::Cursor, Verdict::OtherSlot),
    (Part::OldCursor, Verdict::OtherSlot),
    (Part::Table, Verdict::Reported),
];

/// Bits that are flipped where there is not time for all.
const QUICK_BITS: u64 = 50_000;

/// Tries it.
pub fn run(request: &Request) -> Row {
    Row::of("G4", request, |row| all(request, row))
}

fn all(request: &Request, row: &mut Row) -> Result<(), String> {
    let sample = Sample::closed(request.seed);
    let bits = 8 * sample.bytes();
    row.counts.push(format!("a closed log of {} bytes", sample.bytes()));
    let times = request.times(QUICK_BITS, bits);
    let share = |divisor: u64| (times / divisor).max(40);

    let flipped = spoil::bits(&sample, request.seed, times)?;
    count(row, "bit flipped", &flipped);
    for (part, verdict) in EXPECTED {
        if flipped.of(part, verdict) == 0 {
            return Err(format!("nothing in {} was {}", part.name(), verdict.name()));
        }
    }
    if flipped.with(Verdict::Torn) > 0 {
        return Err("a closed log counts as torn".to_owned());
    }
    let zeroed = spoil::areas(&sample, request.seed, share(10).min(50_000))?;
    count(row, "area zeroed", &zeroed);
    // A file that is cut takes longest.
    let lengths = if times >= bits { u64::MAX } else { share(10) };
    let cut = spoil::cuts(&sample, request.seed, lengths)?;
    count(row, "file cut", &cut);
    let written = spoil::writers(&sample, request.seed, share(50).min(4_000))?;
    count(row, "opened for writing", &written);
    window::run(request.seed, share(30), row)
}

/// Puts a tally into the row, a line for each part.
fn count(row: &mut Row, what: &str, tally: &Tally) {
    row.tried += tally.tried;
    for part in Part::ALL {
        let of = |verdict: Verdict| match tally.of(part, verdict) {
            0 => None,
            times => Some(format!("{} {times}", verdict.name())),
        };
        let verdicts: Vec<_> = Verdict::ALL.into_iter().filter_map(of).collect();
        if !verdicts.is_empty() {
            row.counts.push(format!("{what}, {}: {}", part.name(), verdicts.join(", ")));
        }
    }
}
