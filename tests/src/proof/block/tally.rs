//! What was counted, by name; as lines of text, from one process to the next.

use std::collections::BTreeMap;
use std::fmt;

/// Counts by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tally(BTreeMap<String, u64>);

impl Tally {
    pub(super) fn add(&mut self, name: &str, count: u64) {
        *self.0.entry(name.to_owned()).or_insert(0) += count;
    }

    pub(super) fn get(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// For people.
    pub(super) fn lines(&self) -> Vec<String> {
        self.0.iter().map(|(name, count)| format!("{name} {count}")).collect()
    }

    /// Takes in `count NUMBER NAME`; whether it is such a line.
    pub(super) fn read(&mut self, line: &str) -> bool {
        let parts = line.strip_prefix("count ").and_then(|rest| rest.split_once(' '));
        let Some((Ok(count), name)) = parts.map(|(count, name)| (count.parse(), name)) else {
            return false;
        };
        self.add(name, count);
        true
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(name, count)| writeln!(f, "count {count} {name}"))
    }
}
