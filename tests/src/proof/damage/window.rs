//! The stated limit: of a log that was not closed, the last acknowledged commit has no witness until
//! the next one, or a second of rest. Damage there, and nowhere else, may be taken for a torn tail.

use factlog::{CommitAlign, Options, Witness, WriteWay};

use super::count;
use super::judge::Verdict;
use super::sample::{Moment, Part, Sample, options};
use super::spoil::flipped;
use super::work::{Tally, each};
use crate::Random;
use crate::proof::Row;

/// What is asked of one log.
#[derive(Debug, Clone, Copy)]
struct Case {
    way: WriteWay,
    align: CommitAlign,
    witness: Witness,
    moment: Moment,
}

impl Case {
    fn all() -> Vec<Self> {
        let mut cases = Vec::new();
        for way in [WriteWay::Mapped, WriteWay::Staged] {
            for align in [CommitAlign::Page, CommitAlign::None] {
                let case =
                    Self { way, align, witness: Witness::NextFrame, moment: Moment::BeforeWitness };
                cases.push(case);
                cases.push(Self { witness: Witness::Strict, moment: Moment::AtOnce, ..case });
                cases.push(Self { moment: Moment::Rested, ..case });
            }
        }
        cases
    }

    fn options(self) -> Options {
        options().write_way(self.way).commit_align(self.align).witness(self.witness)
    }
}

/// Tries all cases, with `times` flips each.
///
/// # Errors
///
/// What does not hold.
pub(super) fn run(seed: u64, times: u64, row: &mut Row) -> Result<(), String> {
    let (mut within, mut strict, mut rested) = (Tally::default(), 0, 0);
    for case in Case::all() {
        let wrap = |error: String| format!("{case:?}: {error}");
        let sample = Sample::acknowledged(seed, &|| case.options(), case.moment).map_err(wrap)?;
        // With a witness for the last commit there is no window; without, it is that commit.
        let last = sample.regions.iter().rfind(|region| region.part == Part::Frame);
        let last = last.ok_or("no frames")?;
        let witnessed = case.moment != Moment::BeforeWitness;
        let begins = if witnessed { sample.end } else { (last.segment, last.from as u32) };
        if sample.durable != begins {
            return Err(wrap(format!(
                "the window begins at {:?}, not at {begins:?}",
                sample.durable
            )));
        }
        let tally = tried(&sample, seed, times).map_err(wrap)?;
        if witnessed {
            let found = tally.of(Part::Frame, Verdict::Damaged);
            if tally.with(Verdict::Torn) > 0 || found == 0 {
                return Err(wrap(format!("{} torn, {found} damaged", tally.with(Verdict::Torn))));
            }
            let sum = if case.witness == Witness::Strict { &mut strict } else { &mut rested };
            *sum += tally.tried;
            row.tried += tally.tried;
        } else {
            within.join(tally);
        }
    }
    count(row, "last commit without a witness", &within);
    row.counts.push(format!("last commit with Witness::Strict: {strict} flips, none torn"));
    row.counts.push(format!("last commit after a rest: {rested} flips, none torn"));
    let (torn, damaged) =
        (within.of(Part::Frame, Verdict::Torn), within.of(Part::Frame, Verdict::Damaged));
    if torn == 0 || damaged == 0 {
        return Err(format!("in the last window {torn} were torn, before it {damaged} damaged"));
    }
    Ok(())
}

/// Flips bits: torn is what lies at or behind the bound, and nothing else.
fn tried(sample: &Sample, seed: u64, times: u64) -> Result<Tally, String> {
    let frames: Vec<_> =
        sample.regions.iter().filter(|region| region.part == Part::Frame).copied().collect();
    let other: Vec<_> =
        sample.regions.iter().filter(|region| region.part != Part::Frame).copied().collect();
    each("last commit", sample, times, |bench, number, tally| {
        let mut random = Random::new(seed ^ number.wrapping_mul(0x9E37_79B9));
        // The last frame and the one before it have their turns as often as all the others.
        let region = match number % 4 {
            0 => frames[frames.len() - 1],
            1 => frames[frames.len() - 2],
            2 => frames[random.below(frames.len() as u64) as usize],
            _ => other[random.below(other.len() as u64) as usize],
        };
        let at = region.from + random.below(region.to - region.from);
        let verdict = flipped(bench, &region, at, random.below(8))?;
        let behind = (region.segment, region.from as u32) >= sample.durable;
        if region.part == Part::Frame && (verdict == Verdict::Torn) != behind {
            return Err(format!("byte {at} of {region:?}: {verdict:?}"));
        }
        tally.add(region.part, verdict);
        Ok(())
    })
}
