//! What inputs got to.

use std::collections::BTreeMap;
use std::fmt;

/// How often something was reached: frames that were accepted, verdicts of recovery, and so on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reached(BTreeMap<String, u64>);

impl Reached {
    /// Nothing so far.
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// One more of `what`.
    pub fn note(&mut self, what: &str) {
        self.count(what, 1);
    }

    /// So many more of `what`, which is one word.
    pub fn count(&mut self, what: &str, more: u64) {
        if more == 0 {
            return;
        }
        match self.0.get_mut(what) {
            Some(count) => *count += more,
            None => {
                self.0.insert(what.to_owned(), more);
            }
        }
    }

    /// How often.
    pub fn of(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or(0)
    }

    /// All of `other` as well.
    pub fn add(&mut self, other: &Self) {
        for (what, more) in &other.0 {
            self.count(what, *more);
        }
    }

    /// Reads what [`Display`](fmt::Display) wrote; what is no count is left out.
    pub fn parse(text: &str) -> Self {
        let mut reached = Self::new();
        for (what, count) in text.split(' ').filter_map(|part| part.split_once('=')) {
            if let Ok(count) = count.trim().parse() {
                reached.count(what, count);
            }
        }
        reached
    }
}

impl fmt::Display for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (what, count)) in self.0.iter().enumerate() {
            let space = if index == 0 { "" } else { " " };
            write!(f, "{space}{what}={count}")?;
        }
        Ok(())
    }
}
