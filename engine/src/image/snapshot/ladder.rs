//! Which snapshots are kept: the newest, and of the older ones the fewer the older they are.

use factlog_codec::Sequence;

/// How many are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ladder {
    /// So many of the newest.
    pub(crate) newest: usize,
    /// And of the others one for each doubling of the distance from the newest.
    pub(crate) rungs: bool,
}

impl Ladder {
    /// Which of these go, of which the newest is the first. The newest stays.
    ///
    /// Of two that are nearly as old the older one stays, so that what stands on a rung stays there
    /// until it is old enough for the next.
    pub(crate) fn surplus(self, sequences: &[Sequence]) -> Vec<Sequence> {
        let Some((first, _)) = sequences.split_first() else { return Vec::new() };
        let (_, older) = sequences.split_at(self.newest.max(1).min(sequences.len()));
        if !self.rungs {
            return older.to_vec();
        }
        let rung = |sequence: Sequence| first.get().saturating_sub(sequence.get()).max(1).ilog2();
        let mut gone = Vec::new();
        for (number, sequence) in older.iter().enumerate() {
            let next = older.get(number + 1);
            if next.is_some_and(|next| rung(*next) == rung(*sequence)) {
                gone.push(*sequence);
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
        assert!(kept.len() <= 16, "{kept:?}");
        for distance in [4_000, 20_000, 100_000, 700_000] {
            let wanted = 1_000_000 - distance;
            let before = kept.iter().find(|sequence| sequence.get() <= wanted).expect("one");
            assert!(1_000_000 - before.get() <= 2 * distance, "{distance}: {kept:?}");
        }
    }
}
