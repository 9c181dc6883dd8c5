"""Pages, checks and frames: FORMAT.md sections 2 to 6 and 10."""

import mmap
import os
import re
import stat
import struct
import zlib
from dataclasses import dataclass

PAGE = 4096
ALIGNMENT = 16
FRAME_HEADER = struct.Struct("<IIQQQIHBBII")
FRAME_WORDS = struct.Struct("<4x5Q")
DATA, SEGOPEN, EPOCH, SNAPSHOT, PAD, GAP = range(1, 7)
FIRST, FULL, TORN, REPAIRED, FORKED = range(1, 6)

DESCRIPTOR = bytes.fromhex("0120100100000800")
SEGMENT_MAGIC = b"\xfa" b"ctlog\r\n"
SEAL_MAGIC = b"\xfa" b"ctsea\r\n"
MANIFEST_MAGIC = b"\xfa" b"ctman\r\n"
VERSION = 1
MAX_ANCESTORS = 32
BITS = range(22, 31)

MASK64 = (1 << 64) - 1
K0, K1, K2 = 0x243F6A8885A308D3, 0x13198A2E03707345, 0xA4093822299F31D1
K3, K4, K5 = 0x082EFA98EC4E6C89, 0x452821E638D01377, 0xBE5466CF34E90C6D
ZEROS = bytes(1 << 16)
NONZERO = re.compile(rb"[^\0]")


class Contradiction(Exception):
    """The bytes contradict the format."""


def require(condition, message):
    """Raise a Contradiction unless the condition holds."""
    if not condition:
        raise Contradiction(message)


def mix(a, b):
    """Fold the 128-bit product of two u64 into 64 bits."""
    product = a * b
    return (product & MASK64) ^ (product >> 64)


def half(x):
    """Fold 64 bits into 32."""
    return (x & 0xFFFFFFFF) ^ (x >> 32)


def utf8(raw):
    """Decode UTF-8 text."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise Contradiction("text is not UTF-8") from None


class Cursor:
    """Takes little-endian fields off a byte string, one behind the other."""

    def __init__(self, data, at=0):
        self.data = data
        self.at = at

    def take(self, length):
        """Take the next bytes."""
        end = self.at + length
        require(end <= len(self.data), "a field runs over the end of its record")
        raw = self.data[self.at:end]
        self.at = end
        return raw

    def uint(self, length):
        """Take an unsigned integer of that many bytes."""
        return int.from_bytes(self.take(length), "little")

    def zero(self, length):
        """Take bytes that must be zero."""
        require(not any(self.take(length)), "bytes that must be zero are not")

    def remaining(self):
        """The number of bytes not yet taken."""
        return len(self.data) - self.at

    def finish(self):
        """Require that nothing is left."""
        require(not self.remaining(), "bytes left over at the end of a record")


def map_file(path):
    """Map a regular file, no symbolic link, for reading; None if it is empty."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        status = os.fstat(fd)
        require(stat.S_ISREG(status.st_mode), f"{path} is not a regular file")
        return mmap.mmap(fd, 0, prot=mmap.PROT_READ) if status.st_size else None
    finally:
        os.close(fd)


def page_crc(page, at, seed=0):
    """CRC of a page with the u32 at `at` taken as zero."""
    return zlib.crc32(page[:at] + bytes(4) + page[at + 4:], seed)


@dataclass(frozen=True)
class Manifest:
    """One slot of the manifest."""

    bits: int
    clean: bool
    generation: int
    uuid: bytes
    history: bytes
    epoch: int
    floor: int
    checkpoint: int
    checkpoint_sequence: int
    ancestors: tuple

    def owner(self, number):
        """Whose a segment is, and where it ends at the latest for this log; None if that is open."""
        for uuid, end in self.ancestors:
            last, offset = end >> self.bits, end & ((1 << self.bits) - 1)
            if number <= last:
                return uuid, offset if number == last else None
        return self.uuid, None

    @classmethod
    def parse(cls, page):
        """Decode a slot; None if it does not verify."""
        if len(page) != PAGE or page[:8] != MANIFEST_MAGIC:
            return None
        cursor = Cursor(page, 8)
        if cursor.uint(4) != page_crc(page, 8):
            return None
        require(cursor.uint(2) == VERSION, "unknown manifest version")
        bits, flags = cursor.uint(1), cursor.uint(1)
        require(bits in BITS, f"manifest bits {bits} out of range")
        require(flags <= 1, "unknown manifest flags")
        generation = cursor.uint(8)
        uuid, history = cursor.take(16), cursor.take(16)
        require(cursor.take(8) == DESCRIPTOR, "unknown manifest descriptor")
        epoch, floor = cursor.uint(4), cursor.uint(4)
        require(floor >= 1, "the manifest's floor is no segment")
        checkpoint, checkpoint_sequence = cursor.uint(8), cursor.uint(8)
        count = cursor.uint(4)
        require(count <= MAX_ANCESTORS, "too many ancestors in the manifest")
        cursor.zero(4)
        ancestors, before = [], (0, 0)
        for _ in range(count):
            ancestor, _, last, end = cursor.take(16), cursor.take(16), cursor.uint(8), cursor.uint(8)
            offset = end & ((1 << bits) - 1)
            require(before <= (end, last) and before[1] <= last, "the lineage goes back")
            require(1 <= end >> bits < 1 << 32 and end % 16 == 0
                    and PAGE < offset <= (1 << bits) - PAGE, "an ancestor ends where no frame can")
            before = end, last
            ancestors.append((ancestor, end))
        cursor.zero(cursor.remaining())
        return cls(bits, bool(flags), generation, uuid, history, epoch, floor,
                   checkpoint, checkpoint_sequence, tuple(ancestors))


@dataclass(frozen=True)
class Frame:
    """A frame that verifies."""

    offset: int
    crc: int
    sequence: int
    ts: int
    durable: int
    epoch: int
    count: int
    kind: int
    flags: int
    span: int
    body: bytes


@dataclass(frozen=True)
class SegOpen:
    """The fixed part of the body of a SEGOPEN frame, and its TYPE items."""

    history: bytes
    fold: int
    predecessor: int
    end: int
    next_stream: int
    next_type: int
    types: int
    why: int
    items: bytes

    @classmethod
    def parse(cls, body):
        """Decode the body of a SEGOPEN frame."""
        cursor = Cursor(body)
        history, fold = cursor.take(16), cursor.uint(8)
        predecessor, end = cursor.uint(4), cursor.uint(4)
        cursor.take(8)
        next_stream, next_type, types = cursor.uint(8), cursor.uint(2), cursor.uint(2)
        way, why = cursor.uint(1), cursor.uint(1)
        cursor.zero(10)
        require(way in (1, 2), f"unknown way {way}")
        require(FIRST <= why <= FORKED, f"unknown why {why}")
        require(next_stream >= 1, "next stream is 0")
        return cls(history, fold, predecessor, end, next_stream, next_type, types, why,
                   cursor.take(cursor.remaining()))


@dataclass(frozen=True)
class Summary:
    """What a SEAL says of a segment's frames, and what a walk finds."""

    end: int
    first_sequence: int
    next_sequence: int
    first_ts: int
    last_ts: int
    fold: int
    frames: int
    epoch: int


class Segment:
    """A mapped segment file whose header holds."""

    def __init__(self, path):
        self.data = map_file(path)
        size = len(self.data) if self.data else 0
        require(size in (1 << bits for bits in BITS), f"no segment has {size} bytes")
        self.size = size
        self.frames_end = size - PAGE
        self._parse_header(self.data[:PAGE])

    def _parse_header(self, page):
        cursor = Cursor(page)
        require(cursor.take(8) == SEGMENT_MAGIC, "no segment magic")
        version, self.bits = cursor.uint(2), cursor.uint(1)
        cursor.zero(1)
        require(cursor.uint(4) == page_crc(page, 12), "segment header checksum does not hold")
        require(version == VERSION, f"unknown segment version {version}")
        require(self.size == 1 << self.bits, "segment size differs from its header")
        self.uuid, self.number = cursor.take(16), cursor.uint(4)
        require(self.number >= 1, "segment number is 0")
        require(cursor.uint(4) >= 1, "segment generation is 0")
        self.salt = cursor.uint(8)
        require(cursor.take(8) == DESCRIPTOR, "unknown segment descriptor")
        cursor.zero(cursor.remaining())

    def position(self, offset):
        """The log-wide position of an offset."""
        return self.number << self.bits | offset

    def key(self, offset):
        """The key of an offset."""
        return mix(self.salt ^ K0, (self.number << 32 | offset) ^ K1)

    def empty_fold(self):
        """The fold of no frames."""
        return mix(self.salt ^ K5, K0)

    def is_zero(self, start, end):
        """Whether all bytes of a range are zero."""
        return self.first_nonzero(start, end) is None

    def first_nonzero(self, start, end):
        """The offset of the first byte of a range that is not zero, or None."""
        for at in range(start, end, len(ZEROS)):
            chunk = self.data[at:min(at + len(ZEROS), end)]
            if chunk != ZEROS[:len(chunk)]:
                return at + NONZERO.search(chunk).start()
        return None

    def frame_at(self, offset):
        """The frame at an offset; None if none verifies there."""
        body = offset + FRAME_HEADER.size
        if body > self.frames_end:
            return None
        key = self.key(offset)
        w0, w1, w2, w3, w4 = FRAME_WORDS.unpack_from(self.data, offset)
        (crc, length, sequence, ts, durable, epoch, count, kind, flags, span,
         hsum) = FRAME_HEADER.unpack_from(self.data, offset)
        if hsum != half(mix(w0 ^ key, w1 ^ K2) ^ mix(w2 ^ key, w3 ^ K3) ^ mix(w4 ^ key, K4)):
            return None
        if body + length > self.frames_end:
            return None
        if crc != zlib.crc32(self.data[offset + 4:body + length], half(key)):
            return None
        return Frame(offset, crc, sequence, ts, durable, epoch, count, kind, flags, span,
                     self.data[body:body + length])

    def check_frame(self, frame):
        """Check what a verified frame says by itself."""
        require(DATA <= frame.kind <= GAP, f"illegal frame kind {frame.kind}")
        require((frame.kind == SEGOPEN) == (frame.offset == PAGE),
                "the first frame, and no other, is a SEGOPEN")
        require(frame.flags <= 1, "unknown frame flags")
        require(frame.kind == DATA or not frame.count, "only DATA frames have events")
        require(frame.sequence >= 1, "frame sequence is 0")
        require(frame.epoch >= 1, "frame epoch is 0")
        require(frame.durable <= self.position(frame.offset),
                "a frame witnesses durability above itself")
        end = frame.offset + FRAME_HEADER.size + len(frame.body)
        following = frame.offset + frame.span
        require(frame.span % ALIGNMENT == 0 and following >= end, f"illegal span {frame.span}")
        require(following <= self.frames_end, "frame runs into the SEAL page")
        require(self.is_zero(end, following), "filler behind a frame is not zero")

    def verified_frames(self, offset):
        """Every frame that verifies at or behind an offset, wherever it stands."""
        while (nonzero := self.first_nonzero(offset, self.frames_end)) is not None:
            offset = max(offset, nonzero // ALIGNMENT * ALIGNMENT)
            frame = self.frame_at(offset)
            if frame is None:
                offset += ALIGNMENT
            else:
                yield frame
                length = FRAME_HEADER.size + len(frame.body)
                offset += -(-length // ALIGNMENT) * ALIGNMENT

    def seal(self):
        """The SEAL; None if it is missing or does not verify."""
        page = self.data[self.frames_end:]
        cursor = Cursor(page)
        if cursor.take(8) != SEAL_MAGIC:
            return None
        if cursor.uint(4) != page_crc(page, 8, half(self.key(self.frames_end))):
            return None
        end, first_sequence, next_sequence = cursor.uint(4), cursor.uint(8), cursor.uint(8)
        first_ts, last_ts, fold = cursor.uint(8), cursor.uint(8), cursor.uint(8)
        frames, epoch = cursor.uint(4), cursor.uint(4)
        cursor.zero(cursor.remaining())
        require(end % ALIGNMENT == 0 and PAGE < end <= self.frames_end,
                "the SEAL's end is out of bounds")
        return Summary(end, first_sequence, next_sequence, first_ts, last_ts, fold, frames, epoch)
