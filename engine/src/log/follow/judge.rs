//! Whether a follower can go on from where it is. First what there is, then a pure function.

use factlog_codec::layout::FIRST_FRAME;
use factlog_codec::{
    Epoch, FollowPlace, FollowRefusal, FrameKind, GapBody, LogId, Position, SegmentId, Sequence,
};

use crate::log::error::ReadError;
use crate::log::named::history_of;
use crate::log::shared::Shared;
use crate::sync::PoisonError;

/// What the leader has where the follower's last frame stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// That frame.
    Same,
    /// Another one, or none, in a place of this epoch.
    Other(Epoch),
    /// Nothing any more: retention has dropped the segment.
    Dropped,
    /// Nothing yet.
    Beyond,
}

#[derive(Debug, Clone, Copy)]
struct Facts {
    /// What the follower says, if it has anything.
    place: Option<FollowPlace>,
    log: LogId,
    /// Whether all of the log is there, and its own: retention has dropped nothing, and it shares no
    /// segment with a log that it was forked from, whose identity those have.
    whole: bool,
    oldest: Sequence,
    /// The next event.
    next: Sequence,
    found: Found,
}

/// Decides.
fn decide(facts: &Facts) -> Result<(), FollowRefusal> {
    match facts.place {
        Some(place) if place.log != facts.log => Err(FollowRefusal::Foreign(facts.log)),
        // From the first segment on, or not at all.
        None if !facts.whole => Err(FollowRefusal::Behind(facts.oldest)),
        None => Ok(()),
        Some(place) if place.frame == Position::ZERO => decide(&Facts { place: None, ..*facts }),
        Some(_) => match facts.found {
            Found::Same => Ok(()),
            Found::Other(epoch) => Err(FollowRefusal::Diverged(epoch)),
            Found::Dropped => Err(FollowRefusal::Behind(facts.oldest)),
            Found::Beyond => Err(FollowRefusal::Ahead(facts.next)),
        },
    }
}

/// Where a follower goes on that is at `place`, or why it does not. `None` is the beginning.
pub(super) fn judge(
    shared: &Shared,
    place: Option<FollowPlace>,
) -> Result<Result<Position, FollowRefusal>, ReadError> {
    let here = place.filter(|place| place.log == shared.log && place.frame != Position::ZERO);
    let facts = Facts {
        place,
        log: shared.log,
        whole: shared.segments.floor() == SegmentId::FIRST && shared.lineage.is_empty(),
        oldest: shared.oldest(),
        next: shared.frontier.visible_pair().1,
        found: match here {
            Some(place) => look(shared, &place)?,
            None => Found::Beyond,
        },
    };
    let first = Position::new(SegmentId::FIRST, FIRST_FRAME, shared.bits);
    Ok(decide(&facts).map(|()| here.map_or(first, |place| place.end)))
}

fn look(shared: &Shared, place: &FollowPlace) -> Result<Found, ReadError> {
    let visible = shared.frontier.visible();
    if place.end > visible.position() || place.frame >= place.end {
        return Ok(Found::Beyond);
    }
    let keeper = shared.keeper.lock().unwrap_or_else(PoisonError::into_inner);
    let epoch = keeper.manifest().epoch;
    drop(keeper);
    let mut pin = None;
    let frame = match shared.frame(&mut pin, visible, place.frame) {
        Ok(frame) => frame,
        Err(ReadError::BehindFloor(_)) => return Ok(Found::Dropped),
        // No frame begins there.
        Err(ReadError::Frame(..) | ReadError::Missing(_)) => return Ok(Found::Other(epoch)),
        Err(error) => return Err(error),
    };
    let header = frame.header;
    let next = match header.kind {
        FrameKind::Gap => GapBody::decode(frame.body).map(|gap| gap.last.after(1)),
        _ => Some(header.next_sequence()),
    };
    let id = place.frame.segment(shared.bits);
    let end = Position::new(id, header.next_offset(), shared.bits);
    let same = (header.crc, header.epoch, end, next)
        == (place.frame_crc, place.epoch, place.end, Some(place.next));
    if same && history_of(shared, visible, place.frame, header.epoch)? == place.history {
        return Ok(Found::Same);
    }
    Ok(Found::Other(header.epoch))
}

#[cfg(test)]
mod tests {
    use factlog_codec::HistoryId;

    use super::*;

    fn place(log: LogId, frame: u64) -> FollowPlace {
        FollowPlace {
            log,
            history: HistoryId::default(),
            epoch: Epoch::new(1),
            frame_crc: 0,
            frame: Position::from_raw(frame),
            end: Position::from_raw(frame + 48),
            next: Sequence::new(5),
        }
    }

    /// Every row of the table: it goes on only from its own frame, or from the very beginning.
    #[test]
    fn is_each_verdict_right() {
        let (own, other) = (LogId::default(), LogId::new(uuid::Uuid::from_u128(7)));
        let (epoch, oldest, next) = (Epoch::new(4), Sequence::new(3), Sequence::new(9));
        let all = [Found::Same, Found::Other(epoch), Found::Dropped, Found::Beyond];
        for found in all {
            for whole in [true, false] {
                let facts = |place| Facts { place, log: own, whole, oldest, next, found };
                let begin = if whole { Ok(()) } else { Err(FollowRefusal::Behind(oldest)) };
                assert_eq!(decide(&facts(None)), begin);
                assert_eq!(decide(&facts(Some(place(own, 0)))), begin);
                let foreign = Err(FollowRefusal::Foreign(own));
                assert_eq!(decide(&facts(Some(place(other, 0)))), foreign);
                assert_eq!(decide(&facts(Some(place(other, 4096)))), foreign);
                let verdict = match found {
                    Found::Same => Ok(()),
                    Found::Other(epoch) => Err(FollowRefusal::Diverged(epoch)),
                    Found::Dropped => Err(FollowRefusal::Behind(oldest)),
                    Found::Beyond => Err(FollowRefusal::Ahead(next)),
                };
                assert_eq!(decide(&facts(Some(place(own, 4096)))), verdict);
            }
        }
    }
}
