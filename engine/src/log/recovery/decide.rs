//! From facts to a verdict. Nothing here reads or writes anything.

use factlog_codec::Position;

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Facts {
    /// The first place without a frame.
    pub(crate) end: Position,
    /// Everything below this was durable, by the greatest witness there is.
    pub(crate) durable: Position,
    /// Everything behind the end, in its segment, is zero.
    pub(crate) zero_behind: bool,
    /// Segments behind the end are in use.
    pub(crate) used_behind: bool,
    /// Frames or segments that verify contradict each other.
    pub(crate) contradiction: bool,
    /// Looking behind the end was given up: the bytes there make too much work.
    pub(crate) exhausted: bool,
}

/// What that means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The log ends where its frames end.
    Clean,
    /// Something was being written when the process or the power went: nothing was promised.
    Torn,
    /// Something that was promised is gone or changed.
    Damaged,
}

/// Decides. Each row holds whatever the facts below it say.
pub(crate) fn decide(facts: &Facts) -> Verdict {
    match facts {
        Facts { contradiction: true, .. } => Verdict::Damaged,
        Facts { end, durable, .. } if end < durable => Verdict::Damaged,
        // What cannot be looked at to the end may bear witness: refusing loses nothing.
        Facts { exhausted: true, .. } => Verdict::Damaged,
        Facts { used_behind: true, .. } => Verdict::Torn,
        Facts { zero_behind: false, .. } => Verdict::Torn,
        _ => Verdict::Clean,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every combination of facts, held against the rules in words.
    #[test]
    fn does_every_combination_get_its_verdict() {
        let mut seen = [0; 3];
        for bits in 0..16_u8 {
            for (end, durable) in [(0, 0), (100, 0), (100, 100), (100, 116), (0, 16)] {
                let flag = |bit: u8| bits & (1 << bit) != 0;
                let facts = Facts {
                    end: Position::from_raw(end),
                    durable: Position::from_raw(durable),
                    zero_behind: flag(0),
                    used_behind: flag(1),
                    contradiction: flag(2),
                    exhausted: flag(3),
                };
                let verdict = decide(&facts);
                let proved = end < durable || flag(2) || flag(3);
                assert_eq!(verdict == Verdict::Damaged, proved, "{facts:?}");
                let untouched = flag(0) && !flag(1);
                assert_eq!(verdict == Verdict::Clean, !proved && untouched, "{facts:?}");
                seen[verdict as usize] += 1;
            }
        }
        assert!(seen.iter().all(|count| *count > 0));
    }
}
