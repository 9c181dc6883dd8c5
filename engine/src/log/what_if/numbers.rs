//! Which event of the origin is which one of the fork.

use factlog_codec::Sequence;

/// Stretches of events that were appended again one behind the other: two numbers for each place at
/// which something was left out.
#[derive(Debug, Clone)]
pub(super) struct Numbers {
    /// Up to here both have the same.
    shared: Sequence,
    /// First there, first here, how many; in order.
    runs: Vec<(u64, u64, u64)>,
}

impl Numbers {
    pub(super) const fn new(shared: Sequence) -> Self {
        Self { shared, runs: Vec::new() }
    }

    /// An event of the origin, appended again.
    pub(super) fn add(&mut self, there: Sequence, here: Sequence) {
        let (there, here) = (there.get(), here.get());
        match self.runs.last_mut() {
            Some((first, begin, count)) if *first + *count == there && *begin + *count == here => {
                *count += 1;
            }
            _ => self.runs.push((there, here, 1)),
        }
    }

    /// Forgets what is at `here` and behind it: it was taken back.
    pub(super) fn take_back(&mut self, here: Sequence) {
        while let Some((_, begin, count)) = self.runs.last_mut() {
            if *begin >= here.get() {
                self.runs.pop();
            } else {
                *count = (*count).min(here.get() - *begin);
                return;
            }
        }
    }

    /// What an event of the origin is here; `None` if it was left out, or has not come yet.
    pub(super) fn here(&self, there: Sequence) -> Option<Sequence> {
        if there <= self.shared {
            return Some(there);
        }
        let at = self.runs.partition_point(|(first, _, _)| *first <= there.get());
        let (first, begin, count) = *self.runs.get(at.checked_sub(1)?)?;
        let within = there.get() - first;
        (within < count).then(|| Sequence::new(begin + within))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Held against a list of all pairs.
    #[test]
    fn is_every_event_found_where_it_went() {
        let mut random = 7_u64;
        let mut next = || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            random >> 33
        };
        for _ in 0..200 {
            let shared = next() % 10;
            let mut numbers = Numbers::new(Sequence::new(shared));
            let (mut all, mut here) = (Vec::new(), shared);
            for there in shared + 1..shared + 60 {
                if next() % 4 == 0 {
                    continue;
                }
                here += 1 + u64::from(next() % 9 == 0);
                numbers.add(Sequence::new(there), Sequence::new(here));
                all.push((there, here));
                if next() % 11 == 0 {
                    let cut = here.saturating_sub(next() % 5);
                    if cut > shared {
                        all.retain(|(_, at)| *at < cut);
                        numbers.take_back(Sequence::new(cut));
                        here = all.last().map_or(shared, |(_, at)| *at);
                    }
                }
            }
            for there in 0..shared + 70 {
                let known = all.iter().find(|(at, _)| *at == there).map(|(_, here)| *here);
                let expected = if there <= shared { Some(there) } else { known };
                assert_eq!(numbers.here(Sequence::new(there)).map(Sequence::get), expected);
            }
        }
    }
}
