#!/usr/bin/env python3
"""Reads a factlog, or one of its segments, and prints its events as JSON lines."""

import argparse
import json
import os
import re
import struct
import sys
import threading
from contextlib import contextmanager

from dropped import read_dropped
from items import EVENT, STREAM, TYPE, Catalog, parse_items
from segment import (DATA, EPOCH, FIRST, FULL, GAP, PAD, PAGE, REPAIRED, SEGOPEN, Contradiction,
                     Cursor, Manifest, SegOpen, Segment, Summary, map_file, mix, require, K2, K5)

SEGMENT_NAME = re.compile(r"([0-9]{10})\.log", re.ASCII)
# A described payload nests up to 128 pointers times 64 contained values deep.
RECURSION_LIMIT = 100_000
STACK_SIZE = 256 << 20


@contextmanager
def at(place):
    """Name the place in a contradiction; any failure to decode is one."""
    try:
        yield
    except Contradiction as error:
        raise Contradiction(f"{place}: {error}") from None
    except (ValueError, ArithmeticError, LookupError, struct.error, RecursionError,
            MemoryError) as error:
        raise Contradiction(f"{place}: cannot be decoded: {error!r}") from None


class Walk:
    """Follows the frames of a log from segment to segment, and prints its events."""

    def __init__(self, manifest=None, newest=False):
        self.manifest = manifest
        self.newest = newest
        self.catalog = Catalog()
        self.frames = 0
        self.events = 0
        self.next_sequence = None
        self.last = None
        self.histories = {}
        self.epochs = {}
        self.predecessor = None
        self.checkpoint_pending = bool(manifest and manifest.checkpoint)

    def segment(self, segment, limit):
        """Walk the frames of a segment up to `limit` or the first place without one."""
        offset, fold, frames, first = PAGE, segment.empty_fold(), 0, None
        while offset != limit:
            with at(f"segment {segment.number} offset {offset}"):
                frame = segment.frame_at(offset)
                if frame is None:
                    break
                require(limit is None or offset + frame.span <= limit,
                        "frame runs over the end of its segment")
                self._accept(segment, frame)
            first = first or frame
            fold = mix(fold ^ K5, (offset << 32 | frame.crc) ^ K2)
            frames += 1
            offset += frame.span
        if first is None:
            return None
        self.frames += frames
        walked = Summary(offset, first.sequence, self.next_sequence, first.ts, self.last.ts, fold,
                         frames, self.last.epoch)
        self.predecessor = segment.number, walked
        return walked

    def _accept(self, segment, frame):
        segment.check_frame(frame)
        self._check_succession(frame)
        position = segment.position(frame.offset)
        self._check_checkpoint(position, frame)
        self.next_sequence = frame.sequence + frame.count
        if frame.kind == SEGOPEN:
            self._segopen(segment, frame)
        elif frame.kind == EPOCH:
            self._epoch(frame)
        elif frame.kind == GAP:
            self._gap(frame)
        elif frame.kind == PAD:
            require(not frame.body, "PAD frame with a body")
        elif frame.kind == DATA:
            self._data(segment, frame, position)
        self.last = frame

    def _check_succession(self, frame):
        last = self.last
        if last is None:
            require(self.next_sequence in (None, frame.sequence),
                    "the first segment begins with another sequence than the catalog says")
            return
        require(frame.sequence == self.next_sequence,
                f"frame begins with sequence {frame.sequence}, not {self.next_sequence}")
        require(frame.ts > last.ts, "frame is not later than the one before")
        require(not frame.flags or frame.ts == last.ts + 1, "time of a frame contradicts its flag")
        require(frame.epoch >= last.epoch, "frame is of an older epoch than the one before")
        require(frame.epoch == last.epoch or frame.kind in (SEGOPEN, EPOCH),
                "an epoch begins without a frame that says so")
        require(frame.epoch > last.epoch or frame.kind != EPOCH, "EPOCH frame without a new epoch")

    def _check_checkpoint(self, position, frame):
        if self.checkpoint_pending:
            checkpoint = self.manifest.checkpoint
            require(not position < checkpoint < position + frame.span,
                    "the manifest's checkpoint lies inside a frame")
            if checkpoint <= position:
                self._meet_checkpoint(frame.sequence)

    def _meet_checkpoint(self, sequence):
        self.checkpoint_pending = False
        require(self.catalog.lossy or sequence == self.manifest.checkpoint_sequence,
                "sequence at the manifest's checkpoint differs")

    def finish(self, end):
        """Check the manifest against the end of the log."""
        manifest = self.manifest
        if self.checkpoint_pending and self.next_sequence is not None:
            self._meet_checkpoint(self.next_sequence)
        require(self.histories.get(manifest.epoch, manifest.history) == manifest.history,
                "manifest has another history id than its epoch")
        if self.newest:
            require(not manifest.clean or end == manifest.checkpoint,
                    "closed cleanly, but the manifest's checkpoint is not the end of the log")
            require(not self.last or self.last.epoch <= manifest.epoch,
                    "log has a later epoch than the manifest")

    def _enter_epoch(self, frame, history):
        known = self.histories.setdefault(frame.epoch, history)
        require(known == history, "history id changes within an epoch")
        require(self.epochs.setdefault(history, frame.epoch) == frame.epoch,
                "two epochs have one history id")

    def _segopen(self, segment, frame):
        segopen = SegOpen.parse(frame.body)
        if segopen.why == FIRST:
            require((segopen.predecessor, segopen.end, segopen.fold) == (0, 0, 0),
                    "first segment with a predecessor")
            require((frame.sequence, segopen.next_stream, segopen.next_type, segopen.types,
                     frame.flags) == (1, 1, 1, 0, 0), "first segment does not begin a log")
        else:
            require(0 < segopen.predecessor < segment.number, "predecessor is no earlier segment")
            require(segopen.end % 16 == 0 and PAGE < segopen.end <= segment.frames_end,
                    "predecessor's end is out of bounds")
        if self.predecessor:
            number, walked = self.predecessor
            require((segopen.predecessor, segopen.end, segopen.fold)
                    == (number, walked.end, walked.fold), "SEGOPEN differs from the predecessor")
        elif self.manifest:
            require(segopen.predecessor < self.manifest.floor, "predecessor is missing")
        self._enter_epoch(frame, segopen.history)
        require(8 * len(segopen.items) <= segment.size, "SEGOPEN holds too many bytes of types")
        self.catalog.open_segment(segopen, segment.position(PAGE), self.last is None,
                                  segopen.why == REPAIRED)

    def _epoch(self, frame):
        cursor = Cursor(frame.body)
        history = cursor.take(16)
        cursor.take(8)
        cursor.zero(8)
        cursor.finish()
        self._enter_epoch(frame, history)

    def _gap(self, frame):
        cursor = Cursor(frame.body)
        first, last = cursor.uint(8), cursor.uint(8)
        cursor.finish()
        require(first == frame.sequence and last >= first, "illegal bounds of a GAP")
        self.next_sequence = last + 1
        self.catalog.lossy = True

    def _data(self, segment, frame, position):
        events = 0
        for item in parse_items(frame.body):
            if item.kind in (TYPE, STREAM):
                self.catalog.declare(item, position)
            elif item.kind == EVENT:
                sequence = frame.sequence + events
                rendered = {"sequence": sequence, "ts": frame.ts, "epoch": frame.epoch,
                            "segment": segment.number}
                rendered |= self.catalog.event(item, sequence, position, events)
                emit(rendered)
                events += 1
        require(events == frame.count, f"frame of {events} events says {frame.count}")
        self.events += events

    def end(self, segment, offset, reason):
        """Print where the log ends."""
        known = self.last is not None
        emit({"end": {
            "segment": segment.number, "offset": offset, "next_sequence": self.next_sequence,
            "next_stream": self.catalog.next_stream if known else None,
            "next_type": self.catalog.next_type if known else None,
            "events": self.events, "frames": self.frames, "reason": reason}})


def emit(rendered):
    """Print a JSON line."""
    print(json.dumps(rendered, ensure_ascii=False, separators=(",", ":"), allow_nan=False))


def find_segopen(segment):
    """The SEGOPEN of a segment; None if the segment is not in use."""
    with at(f"segment {segment.number} offset {PAGE}"):
        frame = segment.frame_at(PAGE)
        if frame is None:
            return None
        require(frame.kind == SEGOPEN, "the first frame is no SEGOPEN")
        segopen = SegOpen.parse(frame.body)
        if segopen.why == REPAIRED:
            # Without its GAP a repair has not happened.
            gap = segment.frame_at(PAGE + frame.span)
            if gap is None or gap.kind != GAP:
                return None
        return segopen


def check_seal(segment, walked, successor):
    """Check a SEAL that verifies against the frames."""
    with at(f"segment {segment.number} SEAL"):
        seal = segment.seal()
        if seal is None:
            return
        if successor and successor.why != FULL and seal.end != walked.end:
            # Older than the cut, or of what an ancestor wrote behind a fork.
            return
        require(seal == walked, f"SEAL {seal} differs from the frames {walked}")


def judge_tail(segment, end, later, checkpoint, promised):
    """What stands behind the end of the log says: the reason of the end, if no damage."""
    witnesses = [frame.durable for frame in segment.verified_frames(end)]
    for following in later:
        witnesses += (frame.durable for frame in following.verified_frames(PAGE))
    durable = max([checkpoint, *witnesses])
    place = f"segment {segment.number} offset {end}"
    require(segment.position(end) >= durable,
            f"{place}: damage, proved: no frame, but everything was durable below {durable}")
    if promised:
        return "torn tail: frames that a successor or SEAL speaks of are missing"
    seal_free = segment.frames_end if segment.seal() else segment.size
    if not segment.is_zero(end, seal_free):
        return "torn tail: bytes behind the last frame are no frame"
    if not all(following.is_zero(PAGE, following.size) for following in later):
        return "torn tail: bytes in a later segment are no frame"
    return "clean end: only zeros follow"


def end_of_log(walk, segment, walked, later, promised, checkpoint):
    """Judge and print the end of the log."""
    offset = walked.end if walked else PAGE
    if walked and not promised:
        check_seal(segment, walked, None)
    reason = judge_tail(segment, offset, later, checkpoint, promised)
    position = segment.position(offset)
    if walk.manifest:
        walk.finish(position)
    walk.end(segment, offset, reason)


def sealed_end(segment):
    """Where a SEAL that verifies says that the frames end."""
    with at(f"segment {segment.number} SEAL"):
        seal = segment.seal()
        return seal.end if seal else None


def read_segment(path):
    """Read one segment alone."""
    segment = open_segment(path)
    walk = Walk()
    if find_segopen(segment) is None:
        end_of_log(walk, segment, None, [], False, 0)
        return
    limit = sealed_end(segment)
    walked = walk.segment(segment, limit)
    end_of_log(walk, segment, walked, [], limit not in (None, walked.end), 0)


def open_segment(path):
    """Map a segment, and check its number if it has the name of one."""
    with at(path):
        segment = Segment(path)
        name = SEGMENT_NAME.fullmatch(os.path.basename(path))
        require(not name or int(name[1]) == segment.number, "segment number differs from its name")
        return segment


def read_manifest(directory):
    """The newer slot of the manifest that verifies, and whether both do, so that none is newer."""
    slots = []
    for name in ("MANIFEST-a", "MANIFEST-b"):
        path = os.path.join(directory, name)
        with at(path):
            if os.path.lexists(path):
                data = map_file(path)
                slots.append(Manifest.parse(data[:] if data else b""))
    slots = [slot for slot in slots if slot]
    require(slots, "no slot of the manifest verifies")
    require(len({slot.generation for slot in slots}) == len(slots),
            "both slots of the manifest have one generation")
    require(len({(slot.uuid, slot.bits) for slot in slots}) == 1, "slots of the manifest differ")
    return max(slots, key=lambda slot: slot.generation), len(slots) == 2


def open_segments(directory, manifest):
    """Map the segments from the manifest's floor on, and check that they are of this log."""
    folder = os.path.join(directory, "seg")
    names = sorted(filter(SEGMENT_NAME.fullmatch, os.listdir(folder)))
    segments = [open_segment(os.path.join(folder, name)) for name in names
                if int(name[:10]) >= manifest.floor]
    require(segments and segments[0].number == manifest.floor, "segment of the floor is missing")
    for segment in segments:
        owner, _ = manifest.owner(segment.number)
        require(segment.uuid == owner, f"segment {segment.number} is of another log")
        require(segment.bits == manifest.bits, f"segment {segment.number} has another size")
    return segments


def read_log(directory):
    """Read a whole log."""
    manifest, newest = read_manifest(directory)
    with at(os.path.join(directory, "CATALOG")):
        dropped, manifest = read_dropped(directory, manifest)
    segments = open_segments(directory, manifest)
    segopens = [find_segopen(segment) for segment in segments]
    used = [place for place, segopen in enumerate(segopens) if segopen]
    walk = Walk(manifest, newest)
    if dropped and segopens[0]:
        dropped.begin(walk)
        dropped.check_first(segopens[0])
    if not used or used[0] != 0:
        end_of_log(walk, segments[0], None, segments[1:], bool(used), manifest.checkpoint)
        return
    numbers = {segment.number for segment in segments}
    for place, following in zip(used, [*used[1:], None]):
        segment = segments[place]
        successor = segopens[following] if following else None
        if successor:
            require(segment.number <= successor.predecessor < segments[following].number
                    and successor.predecessor in numbers,
                    f"segment {segments[following].number}: its predecessor is missing or in use "
                    "by another")
        adjacent = successor and successor.predecessor == segment.number
        _, cut = manifest.owner(segment.number)
        require(not adjacent or cut is None or successor.end == cut,
                f"segment {segment.number}: what was taken ends elsewhere than the lineage says")
        limit = successor.end if adjacent else cut or sealed_end(segment)
        walked = walk.segment(segment, limit)
        if cut is not None and not successor and walked and walked.end == cut:
            # What stands behind that, and what a SEAL says of it, is the ancestor's.
            walk.finish(segment.position(cut))
            walk.end(segment, cut, "forked: not written to yet")
            return
        if not adjacent or walked.end != limit:
            break
        check_seal(segment, walked, successor)
        require(successor.why != FULL or segment.is_zero(walked.end, segment.frames_end),
                f"segment {segment.number}: bytes behind the end of a full segment are not zero")
    promised = bool(successor) or limit not in (None, walked.end)
    end_of_log(walk, segment, walked, segments[place + 1:], promised, manifest.checkpoint)


def run(arguments):
    """Read what the arguments name; returns the exit code."""
    try:
        with at(arguments.path):
            if arguments.segment:
                read_segment(arguments.path)
            else:
                read_log(arguments.path)
            sys.stdout.flush()
    except (Contradiction, OSError) as error:
        sys.stdout.flush()
        print(" ".join(str(error).split()), file=sys.stderr)
        return 1
    return 0


def main():
    """Parse the command line and read, on a stack deep enough for nested payloads."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--segment", action="store_true", help="read one segment file alone")
    parser.add_argument("path", help="directory of the log, or the segment file")
    arguments = parser.parse_args()
    sys.stdout.reconfigure(encoding="utf-8")
    sys.setrecursionlimit(RECURSION_LIMIT)
    threading.stack_size(STACK_SIZE)
    codes = []
    reader = threading.Thread(target=lambda: codes.append(run(arguments)))
    reader.start()
    reader.join()
    return codes[0] if codes else 1


if __name__ == "__main__":
    sys.exit(main())
