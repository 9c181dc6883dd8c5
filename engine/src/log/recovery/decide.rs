//! From facts to a verdict. Nothing here reads or writes anything.

use factlog_codec::Position;

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Facts {
    /// The first place without a frame.
    pub(crate) end: Position,
    /// Everything below this was durable, by the greatest witness there is.
    pub(crate) durable: Position,
    /// Everything behind the end, in its segment, is zero, but for a SEAL that says that end.
    pub(crate) zero_behind: bool,
    /// Segments behind the end are in use.
    pub(crate) used_behind: bool,
    /// Frames or segments that verify contradict each other.
    pub(crate) contradiction: bool,
    /// Looking behind the end was given up: the bytes there make too much work.
    pub(crate) exhausted: bool,
}

/// What opening for writing does about what a crash has left. See
/// [`Options::recovery`](crate::Options::recovery).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Recovery {
    /// A torn tail, of which nothing was promised, is cut; damage is refused. The default.
    #[default]
    CutTorn,
    /// Anything but a clean end is refused, and nothing is changed.
    Strict,
    /// Damage too is cut: everything from there on is put into `quarantine/`, a GAP says which
    /// sequences were lost, and none of them is ever given again. Opening reads and verifies all
    /// of the log then.
    Repair,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Go on where the log ends.
    GoOn,
    /// End the last segment where its frames end, and go on in a successor.
    Cut,
    /// The same, and say what was lost.
    Repair,
    /// Change nothing.
    Refuse,
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

/// What a verdict leads to. A log that does not begin as it must is not helped by cutting its end.
pub(crate) fn act(verdict: Verdict, recovery: Recovery, headless: bool) -> Action {
    match (verdict, recovery) {
        (Verdict::Clean, _) => Action::GoOn,
        (Verdict::Torn, Recovery::CutTorn | Recovery::Repair) => Action::Cut,
        (Verdict::Damaged, Recovery::Repair) if !headless => Action::Repair,
        (Verdict::Torn | Verdict::Damaged, _) => Action::Refuse,
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

    /// Every verdict under every mode.
    #[test]
    fn does_every_verdict_lead_to_its_action() {
        use Action::{Cut, GoOn, Refuse};
        let table = [
            (Verdict::Clean, [GoOn, GoOn, GoOn]),
            (Verdict::Torn, [Cut, Refuse, Cut]),
            (Verdict::Damaged, [Refuse, Refuse, Action::Repair]),
        ];
        for (verdict, actions) in table {
            let modes = [Recovery::CutTorn, Recovery::Strict, Recovery::Repair];
            for (mode, action) in modes.into_iter().zip(actions) {
                assert_eq!(act(verdict, mode, false), action, "{verdict:?} {mode:?}");
                let headless = if action == Action::Repair { Refuse } else { action };
                assert_eq!(act(verdict, mode, true), headless, "{verdict:?} {mode:?}");
            }
        }
    }
}
