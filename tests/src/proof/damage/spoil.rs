//! The ways in which a log is damaged.

use factlog::{AppendError, EventType, Opaque, OpenError};

use super::judge::{Verdict, judge, judge_area, judge_cut, open, serve};
use super::sample::{Part, Region, Sample, options};
use super::work::{Bench, Tally, each};
use crate::Random;
use crate::surgery::Inventory;

static AFTER: EventType = EventType::opaque("after", 1);

/// The numbers of one attempt.
fn random(seed: u64, number: u64) -> Random {
    Random::new(seed.wrapping_mul(0x0000_0100_0000_01B3) ^ number)
}

/// The `number`-th byte of all regions.
fn locate(sample: &Sample, mut number: u64) -> (Region, u64) {
    for region in &sample.regions {
        let len = region.to - region.from;
        if number < len {
            return (*region, region.from + number);
        }
        number -= len;
    }
    unreachable!("there are not so many bytes")
}

/// A byte to be damaged: each part has its turn, and half of the time all bytes are alike.
fn draw(sample: &Sample, random: &mut Random, number: u64) -> (Region, u64) {
    let part = Part::ALL[(number / 2) as usize % Part::ALL.len()];
    let within: Vec<_> = sample.regions.iter().filter(|region| region.part == part).collect();
    if number.is_multiple_of(2) && !within.is_empty() {
        let region = within[random.below(within.len() as u64) as usize];
        return (*region, region.from + random.below(region.to - region.from));
    }
    locate(sample, random.below(sample.bytes()))
}

/// Bit by bit: all, or as many as there is time for.
pub(super) fn bits(sample: &Sample, seed: u64, times: u64) -> Result<Tally, String> {
    let every = times >= 8 * sample.bytes();
    each("bits", sample, times.min(8 * sample.bytes()), |bench, number, tally| {
        let mut random = random(seed, number);
        let ((region, at), bit) = if every {
            (locate(sample, number / 8), number % 8)
        } else {
            (draw(sample, &mut random, number), random.below(8))
        };
        let verdict = flipped(bench, &region, at, bit)?;
        tally.add(region.part, verdict);
        Ok(())
    })
}

/// Flips a bit, opens and judges, and flips it back.
pub(super) fn flipped(
    bench: &mut Bench<'_>,
    region: &Region,
    at: u64,
    bit: u64,
) -> Result<Verdict, String> {
    let sample = bench.sample;
    let byte = sample.files[region.file].bytes[at as usize];
    bench.put(region.file, at, &[byte ^ (1 << bit)]);
    let judged =
        open(bench.root(), sample).and_then(|opened| judge(bench.root(), sample, region, opened));
    bench.put(region.file, at, &[byte]);
    let path = sample.files[region.file].path.display();
    judged.map_err(|error| format!("bit {bit} of byte {at} of {path} ({region:?}): {error}"))
}

/// Sectors and pages, and several of them, that have become zero.
pub(super) fn areas(sample: &Sample, seed: u64, times: u64) -> Result<Tally, String> {
    each("areas", sample, times, |bench, number, tally| {
        let mut random = random(seed ^ 0xA4EA, number);
        let (region, at) = draw(sample, &mut random, number);
        let unit = if random.below(2) == 0 { 512 } else { 4096 };
        let most = if region.segment > 0 { 1 + random.below(4) } else { 1 };
        let bytes = &sample.files[region.file].bytes;
        let from = at / unit * unit;
        let to = (from + unit * most).min(bytes.len() as u64);
        let changed: Vec<Region> = sample
            .regions
            .iter()
            .filter(|other| other.file == region.file)
            .filter(|other| {
                let (from, to) = (other.from.max(from), other.to.min(to));
                from < to && bytes[from as usize..to as usize].iter().any(|byte| *byte != 0)
            })
            .copied()
            .collect();
        let Some(first) = changed.first() else { return Ok(()) };
        bench.put(region.file, from, &vec![0; (to - from) as usize]);
        let judged = open(bench.root(), sample)
            .and_then(|opened| judge_area(bench.root(), sample, &changed, opened));
        bench.restore(region.file, from, to);
        let path = sample.files[region.file].path.display();
        let verdict =
            judged.map_err(|error| format!("{from} to {to} of {path} is zero: {error}"))?;
        tally.add(first.part, verdict);
        Ok(())
    })
}

/// Files that have become shorter: every length up to where something stands, and some behind.
pub(super) fn cuts(sample: &Sample, seed: u64, times: u64) -> Result<Tally, String> {
    let mut lengths = Vec::new();
    for file in 0..sample.files.len() {
        let here = sample.regions.iter().filter(|region| region.file == file);
        let Some(written) =
            here.filter(|region| region.part != Part::Seal).map(|region| region.to).max()
        else {
            continue;
        };
        lengths.extend((0..written).map(|len| (file, len)));
        let whole = sample.files[file].bytes.len() as u64;
        let mut random = random(seed ^ 0xC075, file as u64);
        if written < whole {
            lengths.extend((0..2_000).map(|_| (file, written + random.below(whole - written))));
        }
    }
    let count = lengths.len() as u64;
    each("cuts", sample, times.min(count), |bench, number, tally| {
        let at = if times >= count { number } else { random(seed, number).below(count) };
        let (file, len) = lengths[at as usize];
        bench.set_len(file, len);
        let judged =
            open(bench.root(), sample).and_then(|opened| judge_cut(sample, file, len, opened));
        let whole = sample.files[file].bytes.len() as u64;
        bench.set_len(file, whole);
        // Beyond the frames there is only the SEAL, and nothing between.
        for region in sample.regions.iter().filter(|region| region.file == file) {
            let from = region.from.max(len);
            if from < region.to {
                bench.restore(file, from, region.to);
            }
        }
        let path = sample.files[file].path.display();
        let verdict = judged.map_err(|error| format!("{path} is cut at {len}: {error}"))?;
        let cut = sample.regions.iter().find(|region| region.file == file && region.to > len);
        tally.add(cut.map_or(Part::Seal, |region| region.part), verdict);
        Ok(())
    })
}

/// The same bits for who opens the log to write: it is refused and nothing changes; or all is there,
/// or would be met by a reader, and it goes on behind the last event.
pub(super) fn writers(sample: &Sample, seed: u64, times: u64) -> Result<Tally, String> {
    each("opened for writing", sample, times, |bench, number, tally| {
        let mut random = random(seed ^ 0x3717, number);
        let (region, at) = draw(sample, &mut random, number);
        let byte = sample.files[region.file].bytes[at as usize];
        let bit = random.below(8);
        bench.put(region.file, at, &[byte ^ (1 << bit)]);
        let path = sample.files[region.file].path.display();
        let judged = written(bench, &region);
        tally.add(
            region.part,
            judged.map_err(|error| {
                format!("for writing, bit {bit} of byte {at} of {path} ({region:?}): {error}")
            })?,
        );
        // What was written is gone with the copy.
        *bench = Bench::new(bench.sample);
        Ok(())
    })
}

fn written(bench: &Bench<'_>, region: &Region) -> Result<Verdict, String> {
    let sample = bench.sample;
    let before = Inventory::of(bench.root());
    let mut writer = match options().open(bench.root()) {
        Ok(writer) => writer,
        Err(error @ (OpenError::Io(_) | OpenError::Locked(_) | OpenError::NotClean(_))) => {
            return Err(format!("refused with: {error}"));
        }
        Err(error) => {
            before.assert_unchanged(bench.root());
            let damaged = matches!(error, OpenError::Damaged(_));
            return Ok(if damaged { Verdict::Damaged } else { Verdict::Refused });
        }
    };
    let (events, stopped) = serve(&writer.log(), sample, 0)?;
    let verdict = match (region.part, stopped) {
        (Part::Frame, Some(_)) if events == region.kept => Verdict::Stopped,
        (Part::Header | Part::Frame, _) => {
            return Err(format!("opened, and {events} events are served"));
        }
        (_, None) if events == sample.events.len() => Verdict::WentOn,
        (_, stopped) => return Err(format!("opened, and {events} are served: {stopped:?}")),
    };
    // Nothing was dropped: what comes next comes behind the last event.
    let last = sample.events.last().map_or(0, |event| event.sequence);
    let sequence = writer
        .append(&Opaque::new(&AFTER, b"after"))
        .map_err(|error: AppendError| format!("it does not go on: {error}"))?;
    if sequence.get() != last + 1 {
        return Err(format!("it goes on with {sequence}, but {last} was the last event"));
    }
    Ok(verdict)
}
