//! Retention: what is held is not taken, and what was taken cannot be held.

use factlog_codec::{Position, SegmentId, Sequence};

use super::check;
use crate::log::holds::Holds;
use crate::sync::Arc;
use crate::sync::model::{Tracked, spawn};

const BITS: u8 = 22;

fn at(segment: u32) -> Position {
    Position::new(SegmentId::new(segment), 4096, BITS)
}

/// A holder reads a segment while retention takes it, if it may.
#[test]
fn pin_against_retention() {
    check("pin against retention", 3, || {
        let holds = Arc::new(Holds::new(BITS, SegmentId::FIRST));
        let segment = Arc::new(Tracked::new(1));
        let holder = {
            let (holds, segment) = (Arc::clone(&holds), Arc::clone(&segment));
            spawn(move || {
                let Some(id) = holds.hold(at(1), Sequence::FIRST) else { return };
                assert_eq!(segment.get(), 1, "it was taken while it was held");
                // It goes on: from here on the segment can be taken.
                holds.advance(id, at(2), Sequence::new(2));
                holds.release(id);
            })
        };
        for _ in 0..2 {
            if holds.raise(SegmentId::new(2)).is_ok() {
                segment.set(0);
                break;
            }
        }
        holder.join().expect("no panic");
    });
}

/// Two holders come and go, one in the slot of the other; each is protected as long as it holds.
#[test]
fn slot_reuse() {
    check("slot reuse", 2, || {
        let holds = Arc::new(Holds::new(BITS, SegmentId::FIRST));
        let segment = Arc::new(Tracked::new(1));
        // A slot that both find free.
        let id = holds.hold(at(1), Sequence::FIRST).expect("nothing was taken");
        holds.release(id);
        let holders: Vec<_> = (0..2)
            .map(|_| {
                let (holds, segment) = (Arc::clone(&holds), Arc::clone(&segment));
                spawn(move || {
                    let Some(id) = holds.hold(at(1), Sequence::FIRST) else { return };
                    assert_eq!(segment.get(), 1, "it was taken while it was held");
                    holds.release(id);
                })
            })
            .collect();
        if holds.raise(SegmentId::new(2)).is_ok() {
            segment.set(0);
        }
        for holder in holders {
            holder.join().expect("no panic");
        }
    });
}
