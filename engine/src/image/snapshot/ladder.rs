//! Which snapshots are kept: the newest, and of the older ones the fewer the older they are.

use factlog_codec::Sequence;

/// How many are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ladder {
    /// So many of the newest.
    pub(crate) newest: usize,
    /// And of the others at most two for each doubling of the distance from the newest.
    pub(crate) rungs: bool,
}

impl Ladder {
    /// Which of these go, of which the newest is the first. The newest stays.
    ///
    /// One goes if the next older one is at most twice as far from the newest as the one that was
    /// kept before it: so there is always one that is less than twice as far back as is wanted.
    pub(crate) fn surplus(self, sequences: &[Sequence]) -> Vec<Sequence> {
        let Some((first, _)) = sequences.split_first() else { return Vec::new() };
        let (kept, older) = sequences.split_at(self.newest.max(1).min(sequences.len()));
        if !self.rungs {
            return older.to_vec();
        }
        let distance = |sequence: &Sequence| first.get().saturating_sub(sequence.get());
        let mut before = kept.last().map_or(0, distance);
        let mut gone = Vec::new();
        for (number, sequence) in older.iter().enumerate() {
            match older.get(number + 1) {
                Some(next) if distance(next) <= before.saturating_mul(2) => gone.push(*sequence),
                _ => before = distance(sequence),
            }
        }
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(numbers: &[u64]) -> Vec<Sequence> {
        numbers.iter().map(|number| Sequence::new(*number)).collect()
    }

    #[test]
    fn are_the_newest_kept() {
        let keep = Ladder { newest: 2, rungs: false };
        assert_eq!(keep.surplus(&all(&[9, 7, 5, 3])), all(&[5, 3]));
        assert_eq!(keep.surplus(&all(&[9])), []);
        assert_eq!(keep.surplus(&[]), []);
        let none = Ladder { newest: 0, rungs: false };
        assert_eq!(none.surplus(&all(&[9, 7])), all(&[7]));
    }

    /// A thousand snapshots, one after the other: few remain, and for each distance one that is at
    /// most as far again.
    #[test]
    fn does_the_ladder_thin_out_what_is_old() {
        let keep = Ladder { newest: 2, rungs: true };
        let mut kept: Vec<Sequence> = Vec::new();
        for number in 1..=1_000 {
            kept.insert(0, Sequence::new(number * 1_000));
            for gone in keep.surplus(&kept) {
                kept.retain(|sequence| *sequence != gone);
            }
        }
        assert!(kept.len() <= 22, "{kept:?}");
        for distance in [4_000, 20_000, 100_000, 700_000] {
            let wanted = 1_000_000 - distance;
            let before = kept.iter().find(|sequence| sequence.get() <= wanted).expect("one");
            assert!(1_000_000 - before.get() <= 2 * distance, "{distance}: {kept:?}");
        }
    }
}
