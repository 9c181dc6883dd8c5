//! From one segment to the next, in the one order in which nobody is led astray.

use factlog_codec::{Position, Sequence};

use super::frontier::Frontier;
use super::segment::Segment;
use crate::sync::Arc;

/// The writer goes on in `next`, whose first frame stands, from `end` of `left` on.
///
/// First the old segment says where it ends and what comes next, so that a cursor which sees
/// anything of the next one finds its way there. Then whoever syncs is told, so that nothing of
/// the next one is called durable before all of the old one is. Then the next one is visible.
pub(crate) fn go_over(
    left: &Segment,
    end: u32,
    next: &Arc<Segment>,
    retire: impl FnOnce(),
    (frontier, visible): (&Frontier, (Position, Sequence)),
) {
    left.hand_over(end, next);
    retire();
    // The SEGOPEN too: what becomes durable is never ahead of what is visible.
    frontier.publish(visible.0, visible.1);
    frontier.notify();
}
