//! Durability: what is called durable is on the medium, visible, and never less than before; and
//! rollover, in both ways of writing.

use std::io;

use factlog_codec::{Epoch, Fold, LogId, Position, Seal, SegmentHeader, SegmentId, Sequence};

use super::check;
use crate::log::frontier::Frontier;
use crate::log::recovery::Unproven;
use crate::log::rollover::go_over;
use crate::log::segment::Segment;
use crate::log::staged::{Staged, Target};
use crate::log::syncer::{Failed, Medium, Owed, Retired, SyncOrder};
use crate::sync::Arc;
use crate::sync::atomic::{AtomicU32, Ordering};
use crate::sync::model::{Tracked, spawn};

const BITS: u8 = 22;
const FIRST: u32 = 4096;
const FRAME: u32 = 64;

fn at(segment: usize, offset: u32) -> Position {
    Position::new(SegmentId::new(segment as u32 + 1), offset, BITS)
}

fn segment(number: usize) -> Arc<Segment> {
    let header = SegmentHeader {
        log: LogId::new(uuid::Uuid::from_u128(1)),
        segment: SegmentId::new(number as u32 + 1),
        bits: BITS,
        generation: 1,
        salt: 7,
    };
    Arc::new(Segment::new(header.key(), BITS))
}

fn seal(end: u32, next: u64) -> Seal {
    Seal {
        end,
        first_sequence: Sequence::FIRST,
        next_sequence: Sequence::new(next),
        first_ts: 1,
        last_ts: 2,
        fold: Fold::default(),
        frames: 1,
        epoch: Epoch::new(1),
        chain: [0; 32],
    }
}

/// Two segments: how far each is written in the page cache, and how far on the medium.
struct Disk {
    frontier: Frontier,
    written: [AtomicU32; 2],
    medium: [AtomicU32; 2],
    /// Where the first one ends, once it has ended.
    end: AtomicU32,
}

impl Disk {
    fn new() -> Self {
        let start = || AtomicU32::new(FIRST);
        Self {
            frontier: Frontier::new(at(0, FIRST), Sequence::FIRST, at(0, FIRST), Sequence::FIRST),
            written: [start(), start()],
            medium: [start(), start()],
            end: AtomicU32::new(u32::MAX),
        }
    }

    /// Brings what is written now to the medium.
    fn bring(&self, segment: usize) {
        let written = self.written[segment].load(Ordering::Relaxed);
        self.medium[segment].fetch_max(written, Ordering::Relaxed);
    }

    /// What is called durable is there: of this segment, and all of the one before.
    fn assert_there(&self, end: Position) {
        let segment = end.segment(BITS).get() as usize - 1;
        assert!(self.medium[segment].load(Ordering::Relaxed) >= end.offset(BITS), "not synced");
        if segment == 1 {
            let before = self.end.load(Ordering::Relaxed);
            let synced = self.medium[0].load(Ordering::Relaxed);
            assert!(synced >= before, "the segment before is not synced");
        }
    }
}

impl Medium for Disk {
    type Segment = usize;

    fn failed(&self) -> Option<Failed> {
        None
    }
    fn id(&self, segment: &usize) -> SegmentId {
        SegmentId::new(*segment as u32 + 1)
    }
    fn write_again(&self, _: Unproven) -> Result<(), Failed> {
        Ok(())
    }
    fn seal_late(&self, _: SegmentId, _: &Seal) -> Result<(), Failed> {
        Ok(())
    }
    fn settle(&self, left: &usize, _: &Seal) -> Result<(), Failed> {
        self.bring(*left);
        Ok(())
    }
    fn sync(&self, in_use: &usize, id: SegmentId) -> Result<(), Failed> {
        assert_eq!(self.id(in_use), id, "another segment than the writer's");
        self.bring(*in_use);
        Ok(())
    }
    fn bear_witness(&self, end: Position, _: Sequence) -> Result<(), Failed> {
        self.assert_there(end);
        Ok(())
    }
}

/// The writer writes a frame, goes over to the next segment, and writes one there; one or two
/// threads sync, and look.
fn durable(name: &str, syncing: usize, preemptions: usize) {
    check(name, preemptions, move || {
        let disk = Arc::new(Disk::new());
        let order = Arc::new(SyncOrder::new(Owed::default(), 0, BITS));
        let threads: Vec<_> = (0..syncing)
            .map(|_| {
                let (disk, order) = (Arc::clone(&disk), Arc::clone(&order));
                spawn(move || {
                    let mut last = Position::ZERO;
                    for round in 0..2 {
                        // Of two threads each syncs once, and looks twice.
                        if syncing == 1 || round == 0 {
                            order.sync(&*disk, &disk.frontier).expect("nothing fails");
                        }
                        let durable = disk.frontier.durable();
                        assert!(durable >= last, "the durable position fell");
                        assert!(durable <= disk.frontier.visible().position(), "ahead of visible");
                        disk.assert_there(durable);
                        last = durable;
                    }
                })
            })
            .collect();
        disk.written[0].store(FIRST + FRAME, Ordering::Relaxed);
        disk.frontier.publish(at(0, FIRST + FRAME), Sequence::new(2));
        let (one, two) = (segment(0), segment(1));
        disk.written[1].store(FIRST + FRAME, Ordering::Relaxed);
        disk.end.store(FIRST + FRAME, Ordering::Relaxed);
        let retired = Retired { left: 0, seal: seal(FIRST + FRAME, 2), next: 1 };
        let retire = || order.retire(retired);
        let visible = (at(1, FIRST + FRAME), Sequence::new(2));
        go_over(&one, FIRST + FRAME, &two, retire, (&disk.frontier, visible));
        disk.written[1].store(FIRST + 2 * FRAME, Ordering::Relaxed);
        disk.frontier.publish(at(1, FIRST + 2 * FRAME), Sequence::new(3));
        for thread in threads {
            thread.join().expect("no panic");
        }
    });
}

#[test]
fn durable_is_on_the_medium() {
    durable("durable is on the medium", 1, 3);
}

#[test]
fn durable_never_falls() {
    durable("durable never falls", 2, 2);
}

/// The bytes of a segment, one cell for each frame.
#[derive(Clone)]
struct Cells(Arc<[Tracked<u8>; 3]>);

impl Cells {
    fn new() -> Self {
        Self(Arc::new([Tracked::new(0), Tracked::new(0), Tracked::new(0)]))
    }
}

impl Target for Cells {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        for (index, frame) in bytes.chunks(FRAME as usize).enumerate() {
            self.0[(offset as u32 - FIRST) as usize / FRAME as usize + index].set(frame[0]);
        }
        Ok(())
    }
}

/// Puts a frame into a segment: by stores, or by a write of the whole.
enum Way {
    Mapped { cells: Cells, tail: u32 },
    Staged(Box<Staged<Cells>>),
}

impl Way {
    fn new(staged: bool, cells: &Cells) -> Self {
        let cells = cells.clone();
        if staged {
            let limit = (FIRST + 3 * FRAME) as usize;
            return Self::Staged(Box::new(Staged::new(cells, FIRST as usize, limit)));
        }
        Self::Mapped { cells, tail: FIRST }
    }

    /// Where the frame ends.
    fn put(&mut self, value: u8) -> u32 {
        match self {
            Self::Mapped { cells, tail } => {
                cells.0[(*tail - FIRST) as usize / FRAME as usize].set(value);
                *tail += FRAME;
                *tail
            }
            Self::Staged(staged) => {
                staged.space(FRAME as usize).fill(value);
                staged.write(FRAME as usize).expect("it is only memory");
                staged.tail() as u32
            }
        }
    }
}

/// Two frames, a rollover, two more; a cursor reads all it can see, in order.
fn rollover(name: &str, staged: [bool; 2]) {
    check(name, 3, move || {
        let frontier =
            Arc::new(Frontier::new(at(0, FIRST), Sequence::FIRST, at(0, FIRST), Sequence::FIRST));
        let cells = [Cells::new(), Cells::new()];
        let segments = [segment(0), segment(1)];
        let cursor = {
            let (frontier, cells) = (Arc::clone(&frontier), cells.clone());
            let segments = segments.clone();
            spawn(move || {
                let (mut number, mut offset, mut next) = (0, FIRST, 1);
                for _ in 0..3 {
                    let visible = frontier.visible();
                    loop {
                        let end = segments[number].frozen_end(visible);
                        while offset < end {
                            let index = (offset - FIRST) / FRAME;
                            assert_eq!(cells[number].0[index as usize].get(), next);
                            next += 1;
                            offset += FRAME;
                        }
                        if segments[number].successor(offset).is_none() {
                            break;
                        }
                        (number, offset) = (1, FIRST);
                    }
                    // All that was visible has been read.
                    let position = visible.position();
                    assert!(at(number, offset) >= position, "it did not find its way");
                }
            })
        };
        let mut way = Way::new(staged[0], &cells[0]);
        for value in 1..=2 {
            let end = way.put(value);
            frontier.publish(at(0, end), Sequence::new(u64::from(value) + 1));
        }
        let mut way = Way::new(staged[1], &cells[1]);
        let opened = way.put(3);
        let visible = (at(1, opened), Sequence::new(4));
        go_over(&segments[0], FIRST + 2 * FRAME, &segments[1], || (), (&frontier, visible));
        let end = way.put(4);
        frontier.publish(at(1, end), Sequence::new(5));
        cursor.join().expect("no panic");
    });
}

#[test]
fn rollover_mapped_to_staged() {
    rollover("rollover, mapped to staged", [false, true]);
}

#[test]
fn rollover_staged_to_mapped() {
    rollover("rollover, staged to mapped", [true, false]);
}
