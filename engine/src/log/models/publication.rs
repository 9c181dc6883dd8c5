//! Publication: what a cursor sees is whole, frozen, and reached in order.

use factlog_codec::{
    LogId, Position, SegmentHeader, SegmentId, Sequence, StreamKey, StreamNumber, StreamVersion,
};

use super::check;
use crate::log::frontier::{Frontier, Pair};
use crate::log::recovery::Head;
use crate::log::segment::Segment;
use crate::log::stream_table::StreamTable;
use crate::log::type_table::TypeTable;
use crate::log::writer::stage::Stage;
use crate::sync::Arc;
use crate::sync::model::{Tracked, spawn, yield_now};

const BITS: u8 = 22;
const FIRST: u32 = 4096;

fn at(segment: u32, offset: u32) -> Position {
    Position::new(SegmentId::new(segment), offset, BITS)
}

fn frontier() -> Frontier {
    Frontier::new(at(1, FIRST), Sequence::FIRST, at(1, FIRST), Sequence::FIRST)
}

/// Two frames are published one after the other; two cursors look at whatever is below the mark.
#[test]
fn publication_with_two_cursors() {
    check("publication with two cursors", 3, || {
        let frontier = Arc::new(frontier());
        let bytes = Arc::new([Tracked::new(0), Tracked::new(0)]);
        let cursors: Vec<_> = (0..2)
            .map(|_| {
                let (frontier, bytes) = (Arc::clone(&frontier), Arc::clone(&bytes));
                spawn(move || {
                    for _ in 0..2 {
                        let end = frontier.visible().position().offset(BITS) - FIRST;
                        for index in 0..end / 64 {
                            assert_eq!(bytes[index as usize].get(), index + 1);
                        }
                    }
                })
            })
            .collect();
        for index in 0..2_u32 {
            bytes[index as usize].set(index + 1);
            frontier.publish(at(1, FIRST + (index + 1) * 64), Sequence::new(2 + u64::from(index)));
        }
        for cursor in cursors {
            cursor.join().expect("no panic");
        }
    });
}

/// Position and sequence belong together, and neither falls.
#[test]
fn the_pair() {
    check("the pair", 2, || {
        let pair = Arc::new(Pair::new(0, 0));
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let pair = Arc::clone(&pair);
                spawn(move || {
                    let mut last = 0;
                    for _ in 0..2 {
                        // In the middle of a change there is none.
                        let Some((key, value)) = pair.try_load() else { continue };
                        assert_eq!(value, key * 10);
                        assert!(key >= last);
                        last = key;
                    }
                })
            })
            .collect();
        pair.store(1, 10);
        pair.store(2, 20);
        for reader in readers {
            reader.join().expect("no panic");
        }
    });
}

/// A frame of two events is there whole; its stream has a name by then, and the stream's head
/// never leads to what is not visible.
#[test]
fn whole_frames_only() {
    check("whole frames only", 3, || {
        let frontier = Arc::new(frontier());
        let streams = Arc::new(StreamTable::default());
        let bytes = Arc::new([Tracked::new(0), Tracked::new(0)]);
        let name = StreamKey::new("account", 7_u64).expect("a name");
        let reader = {
            let (frontier, streams) = (Arc::clone(&frontier), Arc::clone(&streams));
            let (bytes, name) = (Arc::clone(&bytes), name.clone());
            spawn(move || {
                let number = StreamNumber::new(1);
                let (version, frame) = streams.head(number);
                let (visible, next) = frontier.visible_pair();
                if version != StreamVersion::NONE {
                    assert!(frame < visible.position(), "the head leads behind the visible end");
                }
                if next > Sequence::FIRST {
                    assert_eq!(next, Sequence::new(3), "half a frame");
                    assert_eq!((bytes[0].get(), bytes[1].get()), (1, 2));
                    assert_eq!(streams.name(number), Some(&name));
                    assert_eq!(streams.find(&name), Some(number));
                }
            })
        };
        let mut stage = Stage::new(Vec::new(), 0);
        bytes[0].set(1);
        let number = stage.add_stream(&name);
        bytes[1].set(2);
        let head = Head { version: StreamVersion::new(2), position: at(1, FIRST), index: 1 };
        stage.set_head(number, head);
        let end = (at(1, FIRST + 160), Sequence::new(3));
        stage.publish(&TypeTable::default(), &streams, &frontier, end);
        reader.join().expect("no panic");
    });
}

fn segment(number: u32) -> Arc<Segment> {
    let header = SegmentHeader {
        log: LogId::new(uuid::Uuid::from_u128(7)),
        segment: SegmentId::new(number),
        bits: BITS,
        generation: 1,
        salt: 7,
    };
    Arc::new(Segment::new(header.key(), BITS))
}

/// The writer goes on in the next segment while a cursor reads; the cursor crosses after the last
/// frame of the first, and misses nothing.
#[test]
fn rollover_with_a_crossing_cursor() {
    check("rollover with a crossing cursor", 3, || {
        let frontier = Arc::new(frontier());
        let (one, two) = (segment(1), segment(2));
        let bytes = Arc::new([Tracked::new(0), Tracked::new(0), Tracked::new(0)]);
        let cursor = {
            let (frontier, bytes) = (Arc::clone(&frontier), Arc::clone(&bytes));
            let mut segment = Arc::clone(&one);
            spawn(move || {
                let mut offset = FIRST;
                let mut seen = Vec::new();
                while seen.len() < 3 {
                    let mut visible = frontier.visible();
                    if let Some(next) = segment.successor(offset) {
                        (segment, offset) = (next, FIRST);
                        visible = frontier.visible();
                    }
                    let end = segment.frozen_end(visible);
                    if offset >= end {
                        yield_now();
                        continue;
                    }
                    while offset < end {
                        let index = if segment.id() == SegmentId::FIRST { 0 } else { 1 };
                        let index = index + (offset - FIRST) as usize / 64;
                        seen.push(bytes[index].get());
                        offset += 64;
                    }
                }
                assert_eq!(seen, [1, 2, 3]);
            })
        };
        bytes[0].set(1);
        frontier.publish(at(1, FIRST + 64), Sequence::new(2));
        one.hand_over(FIRST + 64, &two);
        bytes[1].set(2);
        bytes[2].set(3);
        frontier.publish(at(2, FIRST + 128), Sequence::new(4));
        cursor.join().expect("no panic");
    });
}
