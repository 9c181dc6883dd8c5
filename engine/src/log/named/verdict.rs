//! From what a cursor's file says and what stands in the log to an answer. A pure function.

use factlog_codec::{CursorPlace, Epoch, LogId, Sequence};

/// What the log has where the place says that its frame stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// That frame: same place, checksum, epoch and history.
    Same,
    /// Another frame, of this epoch.
    Other(Epoch),
    /// A frame that says that the sequence was lost to damage.
    Gap,
    /// Nothing any more: retention has dropped the segment.
    Dropped,
    /// Nothing yet: the log ends before.
    Beyond,
}

/// What an answer is made from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts {
    /// What the file says.
    pub(super) place: CursorPlace,
    /// Identity of the log.
    pub(super) log: LogId,
    /// Whether the file says the cursor's name.
    pub(super) same_name: bool,
    /// The oldest event that is kept.
    pub(super) oldest: Sequence,
    /// The next event to become visible.
    pub(super) end: Sequence,
    /// What stands at the place.
    pub(super) found: Found,
}

/// Whether a cursor can go on, or what else has come to a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// With the next event.
    InOrder,
    /// The file belongs to another log or another cursor.
    Foreign,
    /// What was processed is not in the log any more.
    Lost,
    /// The log has other events there, written in this epoch.
    Rewritten(Epoch),
    /// What comes next, or the proof, has been dropped.
    Behind,
}

/// Decides.
pub(super) fn decide(facts: &Facts) -> Verdict {
    let Facts { place, oldest, end, .. } = *facts;
    if place.log != facts.log || !facts.same_name {
        return Verdict::Foreign;
    }
    if place.next > end {
        return Verdict::Lost;
    }
    if place.next < oldest {
        return Verdict::Behind;
    }
    match facts.found {
        Found::Same => Verdict::InOrder,
        Found::Gap | Found::Beyond => Verdict::Lost,
        Found::Other(epoch) => Verdict::Rewritten(epoch),
        // Who has processed nothing has nothing that could have changed.
        Found::Dropped if place.sequence == Sequence::ZERO => Verdict::InOrder,
        Found::Dropped => Verdict::Behind,
    }
}

#[cfg(test)]
mod tests {
    use factlog_codec::{HistoryId, Position};

    use super::*;

    fn facts(sequence: u64, next: u64, oldest: u64, end: u64, found: Found) -> Facts {
        Facts {
            place: CursorPlace {
                log: LogId::default(),
                sequence: Sequence::new(sequence),
                next: Sequence::new(next),
                position: Position::ZERO,
                frame_crc: 1,
                epoch: Epoch::new(1),
                history: HistoryId::default(),
            },
            log: LogId::default(),
            same_name: true,
            oldest: Sequence::new(oldest),
            end: Sequence::new(end),
            found,
        }
    }

    /// Every row of the table: it goes on only with the frame in its place, or with nothing done.
    #[test]
    fn is_each_verdict_right() {
        let other = Found::Other(Epoch::new(7));
        for (sequence, next, oldest, end, found, verdict) in [
            (5, 6, 1, 6, Found::Same, Verdict::InOrder),
            (5, 6, 6, 9, Found::Same, Verdict::InOrder),
            (5, 6, 1, 9, other, Verdict::Rewritten(Epoch::new(7))),
            (5, 6, 1, 9, Found::Gap, Verdict::Lost),
            (5, 6, 1, 5, Found::Beyond, Verdict::Lost),
            (5, 6, 1, 9, Found::Beyond, Verdict::Lost),
            (5, 6, 7, 9, Found::Dropped, Verdict::Behind),
            (5, 6, 6, 9, Found::Dropped, Verdict::Behind),
            (0, 6, 6, 9, Found::Dropped, Verdict::InOrder),
            (0, 6, 7, 9, Found::Dropped, Verdict::Behind),
            (0, 6, 1, 5, Found::Same, Verdict::Lost),
            (0, 1, 1, 1, Found::Same, Verdict::InOrder),
            (0, 1, 1, 1, other, Verdict::Rewritten(Epoch::new(7))),
        ] {
            let facts = facts(sequence, next, oldest, end, found);
            assert_eq!(decide(&facts), verdict, "{facts:?}");
            let foreign = Facts { same_name: false, ..facts };
            assert_eq!(decide(&foreign), Verdict::Foreign);
        }
    }
}
