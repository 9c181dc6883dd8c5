//! What the log that was recorded has told outside: lines of text.
//!
//! ```text
//! fact SERIAL LEN STREAM     an event, in the order of sequences
//! durable BYTES SEQUENCE     acknowledged, when so many bytes of the device were recorded
//! floor BYTES SEQUENCE       from here on retention may drop what is before this event
//! count NUMBER NAME          for the table
//! end                        nothing is missing above
//! ```

use std::fmt;

use crate::power_cut::model::{Fact, Model};

use super::tally::Tally;

/// What was told.
#[derive(Debug, Clone, Default)]
pub(super) struct Told {
    pub(super) facts: Vec<Fact>,
    /// How many bytes were recorded, and which event was durable by then.
    pub(super) durable: Vec<(u64, u64)>,
    floors: Vec<(u64, u64)>,
    pub(super) counts: Tally,
}

impl Told {
    /// From its lines.
    ///
    /// # Errors
    ///
    /// There is a line of no such form, or the last one is missing.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let mut told = Self::default();
        let mut ended = false;
        for line in text.lines() {
            if told.counts.read(line) {
                continue;
            }
            let mut words = line.split(' ');
            let word = words.next().unwrap_or_default();
            let numbers: Vec<u64> = words.filter_map(|word| word.parse().ok()).collect();
            match (word, numbers.as_slice()) {
                ("fact", &[serial, len, stream]) => {
                    told.facts.push(Fact { serial, len: len as usize, stream });
                }
                ("durable", &[bytes, sequence]) => told.durable.push((bytes, sequence)),
                ("floor", &[bytes, sequence]) => told.floors.push((bytes, sequence)),
                ("end", []) => ended = true,
                _ => return Err(format!("what was told has a line {line:?}")),
            }
        }
        if ended { Ok(told) } else { Err("what was told has no end".to_owned()) }
    }

    /// The last event that had been acknowledged when so many bytes were recorded.
    pub(super) fn durable_at(&self, bytes: u64) -> u64 {
        greatest(&self.durable, bytes)
    }

    /// The first event that retention could not have dropped by then.
    pub(super) fn floor_at(&self, bytes: u64) -> u64 {
        greatest(&self.floors, bytes)
    }

    /// What a log may have that was cut when so many bytes were recorded.
    pub(super) fn model_at(&self, bytes: u64) -> Model {
        let mut model = Model::default();
        self.facts.iter().for_each(|fact| model.add(*fact));
        model.floor = self.floor_at(bytes);
        model
    }

    /// As if nothing behind the first `count` events had ever been: what is told of an image of
    /// that moment, before anything of the next log is recorded.
    pub(super) fn first(&self, count: usize, bytes: u64) -> Self {
        Self {
            facts: self.facts.iter().take(count).copied().collect(),
            durable: vec![(0, self.durable_at(bytes))],
            floors: vec![(0, self.floor_at(bytes))],
            counts: Tally::default(),
        }
    }
}

fn greatest(told: &[(u64, u64)], bytes: u64) -> u64 {
    let by_then = told.iter().filter(|(at, _)| *at <= bytes);
    by_then.map(|(_, sequence)| *sequence).max().unwrap_or(0)
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Fact { serial, len, stream } in &self.facts {
            writeln!(f, "fact {serial} {len} {stream}")?;
        }
        for (bytes, sequence) in &self.durable {
            writeln!(f, "durable {bytes} {sequence}")?;
        }
        for (bytes, sequence) in &self.floors {
            writeln!(f, "floor {bytes} {sequence}")?;
        }
        write!(f, "{}", self.counts)
    }
}

#[test]
fn is_what_was_told_read_again() {
    let text = "fact 7 100 2\nfact 8 9 0\ndurable 512 1\ndurable 2048 2\nfloor 1024 2\n";
    let told = Told::read(&format!("{text}count 3 rollovers\nend\n")).expect("whole");
    assert_eq!((told.durable_at(2047), told.durable_at(2048)), (1, 2));
    assert_eq!((told.floor_at(1023), told.floor_at(1024)), (0, 2));
    assert_eq!(told.to_string(), format!("{text}count 3 rollovers\n"));
    let first = told.first(1, 2047);
    assert_eq!((first.facts.len(), first.durable_at(0), first.floor_at(0)), (1, 1, 2));
    assert!(Told::read(text).is_err(), "it has no end");
    assert!(Told::read("fact 7 x 2\nend\n").is_err());
}
