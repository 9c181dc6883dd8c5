"""Reads a factlog, from what FORMAT.md says and nothing else.

    factlog_reader.py DIR               a whole log
    factlog_reader.py --segment FILE    one segment, without those before it

Prints a JSON object for each event, and one about the end. A contradiction of the format is a
line on stderr and exit code 1.
"""

import json
import os
import re
import struct
import sys

from catalog import DESCRIPTOR, PAGE, page_crc, read_catalog, read_manifest, stream_of
from checks import Contradiction, Key, expect, fingerprint, fold, half
from describe import Renderer, parse


class Log:
    """What the frames so far amount to."""

    def __init__(self, alone, out):
        self.alone, self.out = alone, out
        self.types, self.streams, self.heads = {}, {}, {}
        self.next_type, self.next_stream = 1, 1
        self.sequence, self.ts, self.epoch = None if alone else 1, 0, 0
        self.before = None
        self.events = self.frames = 0
        self.first = True
        self.catalog = None

    def begin(self, catalog):
        """Begins with what a catalog says."""
        self.catalog, self.sequence = catalog, catalog["sequence"]
        for number, (name, head) in enumerate(catalog["streams"], 1):
            self.streams[number], self.heads[number] = name, head
        self.next_stream = len(catalog["streams"]) + 1
        self.before = (catalog["floor"] - 1, catalog["end"], catalog["fold"])

    def segment(self, data):
        """Reads one segment; gives why and where it stopped."""
        expect(len(data) >= PAGE, "a segment is shorter than its header")
        crc, = struct.unpack_from("<I", data, 12)
        expect(data[:8] == b"\xfactlog\r\n", "no segment of a factlog")
        expect(crc == page_crc(0, data[:PAGE], 12), "the segment header does not verify")
        version, bits = struct.unpack_from("<HB", data, 8)
        expect(version == 1 and data[48:56] == DESCRIPTOR, "an unknown version")
        expect(22 <= bits <= 30 and not any(data[56:PAGE]) and data[11] == 0, "a reserved field")
        number, _generation, salt = struct.unpack_from("<IIQ", data, 32)
        self.bits, self.number, self.key = bits, number, Key(salt, number)
        self.fold, self.offset = self.key.empty_fold(), PAGE
        limit = (1 << bits) - PAGE
        while True:
            reason = self.frame(data, limit)
            if reason:
                return reason

    def frame(self, data, limit):
        offset, key = self.offset, self.key
        header = data[offset:offset + 48]
        if len(header) < 48 or offset + 48 > limit:
            return "no room for a frame header"
        if not any(header):
            return "no frame was written here"
        (crc, length, seq, ts, _durable, epoch, count, kind, flags, span,
         hsum) = struct.unpack("<IIQQQIHBBII", header)
        if key.hsum(offset, header) != hsum:
            return "the frame header does not verify"
        expect(1 <= kind <= 6 and flags & ~1 == 0, "an unknown kind or flag of a frame")
        expect(span % 16 == 0 and span >= 48 + length and offset + span <= limit, "a wrong span")
        frame = data[offset:offset + span]
        if key.crc(offset, frame[4:48 + length]) != crc or any(frame[48 + length:]):
            return "the frame does not verify"
        expect((kind == 2) == (offset == PAGE), "a SEGOPEN is missing or misplaced")
        expect(kind == 1 or count == 0, "an engine frame says that it holds events")
        expect(self.sequence in (None, seq), f"sequence {self.sequence} was expected, not {seq}")
        expect(ts > self.ts and epoch >= self.epoch, "time or epoch goes back")
        self.sequence, self.ts, self.epoch = seq, ts, epoch
        body = frame[48:48 + length]
        if kind == 2:
            self.segopen(body)
        elif kind == 3:
            expect(length == 32 and not any(body[24:]), "a wrong EPOCH")
        elif kind == 6:
            expect(length == 16, "a wrong GAP")
            first, last = struct.unpack_from("<QQ", body)
            expect(first == seq and last >= first, "a wrong GAP")
            self.sequence = last + 1
        if kind == 1:
            self.items(body, count)
        self.fold = fold(self.fold, offset, crc)
        self.offset = offset + span
        self.frames += 1
        return None

    def segopen(self, body):
        expect(len(body) >= 64 and not any(body[54:64]), "a SEGOPEN is too short")
        (before_fold, before, end, _wall, next_stream, next_type, types, way,
         why) = struct.unpack_from("<QIIQQHHBB", body, 16)
        expect(way in (1, 2) and why in (1, 2, 3, 4), "an unknown way or reason")
        entries = list(self.split(body[64:]))
        expect(all(entry[0] == 3 for entry in entries), "the type table holds no type")
        table = {number: item for _, number, _, _, item in entries}
        expect(len(table) == types, "the type table is not complete")
        if self.first and (self.alone or self.catalog):
            self.next_type = next_type
            for number, payload in table.items():
                self.add_type(number, payload)
        if self.first and self.alone:
            self.next_stream = next_stream
        else:
            expect((before, end, before_fold) == (self.before or (0, 0, before_fold)),
                   "a SEGOPEN contradicts the segment before it")
            expect((next_type, next_stream) == (self.next_type, self.next_stream),
                   "a SEGOPEN contradicts the numbers before it")
            expect({n: bytes(p) for n, p in table.items()}
                   == {n: t["raw"] for n, t in self.types.items()}, "another type table")
        self.first = False

    @staticmethod
    def split(body):
        """The items: kind, type number, stream, extensions, payload."""
        at = 0
        while at < len(body):
            expect(at + 16 <= len(body), "a body ends inside an item header")
            length, number, flags, ext, stream = struct.unpack_from("<IHBBQ", body, at)
            expect(flags & 0x78 == 0 and 1 <= flags & 7 <= 4, "an unknown kind of item")
            start = at + 16 + 16 * ext
            expect(start + length <= len(body), "an item reaches beyond its frame")
            yield flags & 7, number, stream, body[at + 16:start], body[start:start + length]
            at = start + length + -length % 16

    def items(self, body, count):
        index = 0
        frame_sequence = self.sequence
        for kind, number, stream, extensions, payload in self.split(body):
            if kind == 3:
                expect(number == self.next_type, "a type number is not the next one")
                self.add_type(number, payload)
                self.next_type += 1
            elif kind == 4:
                expect(stream == self.next_stream, "a stream number is not the next one")
                self.add_stream(stream, payload)
                self.next_stream += 1
            elif kind == 1:
                self.event(frame_sequence + index, number, stream, extensions, payload, index)
                index += 1
        expect(index == count, "a frame has another number of events than it says")
        self.sequence = frame_sequence + count
        self.events += count

    def add_type(self, number, payload):
        mark, length, version, name, encoding = struct.unpack_from("<QIHBB", payload)
        expect(len(payload) == 16 + name + length and encoding in (1, 2), "a wrong TYPE")
        description = bytes(payload[16 + name:])
        if encoding == 1:
            expect(fingerprint(description) == mark, "a fingerprint is not that of its description")
        self.types[number] = {"raw": bytes(payload), "name": bytes(payload[16:16 + name]).decode(),
                              "version": version,
                              "nodes": parse(description) if encoding == 1 else None}

    def add_stream(self, number, payload):
        self.streams[number] = stream_of(payload)
        self.heads[number] = (0, 0, 0)

    @staticmethod
    def extensions(data):
        found, at = {}, 0
        while at < len(data):
            tag, units = data[at], data[at + 1]
            expect(units and at + 16 * units <= len(data), "an extension has a wrong length")
            expect(tag < 0x80, f"extension {tag} must be understood")
            found[tag] = data[at:at + 16 * units]
            at += 16 * units
        return found

    def event(self, sequence, number, stream, extensions, payload, index):
        known = self.types.get(number)
        expect(known, f"type number {number} stands for nothing")
        found = self.extensions(extensions)
        version = None
        if stream:
            expect(1 in found, "an event of a stream has no link")
            link = found[1]
            at = int.from_bytes(link[2:4], "little")
            version = int.from_bytes(link[4:9], "little")
            position = int.from_bytes(link[9:16], "little") << 4
            if stream in self.heads:
                expect((version - 1, position, at) == self.heads[stream], "a wrong link")
            else:
                expect(self.alone, f"stream number {stream} stands for nothing")
            here = self.number << self.bits | self.offset
            self.heads[stream] = (version, here, index)
        number_of = lambda tag: struct.unpack_from("<Q", found[tag], 8)[0] if tag in found else None
        metadata = None
        if 9 in found:
            metadata = bytes(found[9][4:4 + int.from_bytes(found[9][2:4], "little")]).hex()
        nodes = known["nodes"]
        self.out({
            "sequence": sequence, "ts": self.ts, "epoch": self.epoch, "segment": self.number,
            "type": known["name"], "version": known["version"],
            "stream": self.streams.get(stream, {"number": stream}) if stream else None,
            "stream_version": version, "cause": number_of(3), "correlation": number_of(4),
            "metadata": metadata,
            "payload": Renderer(nodes, payload).render() if nodes else bytes(payload).hex(),
        })

    def seal(self, data):
        page = data[(1 << self.bits) - PAGE:]
        if len(page) < PAGE or not any(page):
            return
        offset = (1 << self.bits) - PAGE
        crc, end = struct.unpack_from("<II", page, 8)
        expect(page[:8] == b"\xfactsea\r\n" and crc == page_crc(half(self.key.at(offset)), page, 8),
               "the SEAL does not verify")
        _first, following, _first_ts, last_ts, folded, _frames, epoch = struct.unpack_from(
            "<QQQQQII", page, 16)
        expect((end, following, last_ts, folded, epoch)
               == (self.offset, self.sequence, self.ts, self.fold, self.epoch),
               "the SEAL contradicts the segment")

    def end(self, reason):
        return {"end": {"segment": self.number, "offset": self.offset,
                        "next_sequence": self.sequence, "next_stream": self.next_stream,
                        "next_type": self.next_type, "events": self.events,
                        "frames": self.frames, "reason": reason}}


def read_log(directory, out):
    manifest = read_manifest(directory)
    names = sorted(name for name in os.listdir(os.path.join(directory, "seg"))
                   if re.fullmatch(r"[0-9]{10}\.log", name))
    log, reason, last = Log(False, out), None, None
    catalog = read_catalog(directory, manifest)
    if catalog:
        names = [name for name in names if int(name[:10]) >= catalog["floor"]]
        expect(names and int(names[0][:10]) == catalog["floor"], "the first segment is missing")
        log.begin(catalog)
    for name in names:
        data = open(os.path.join(directory, "seg", name), "rb").read()
        expect(data[16:32] == manifest["log"], f"{name} belongs to another log")
        expect(struct.unpack_from("<I", data, 32)[0] == int(name[:10]), f"{name} has another number")
        if not any(data[PAGE:PAGE + 48]):
            continue  # prepared, not in use
        if last is not None:
            log.seal(last)
            log.before = (log.number, log.offset, log.fold)
        reason, last = log.segment(data), data
    expect(last is not None, "no segment is in use")
    log.seal(last)
    end = log.number << log.bits | log.offset
    expect(end >= manifest["checkpoint"], "the log ends below its checkpoint: damaged")
    out(log.end(reason))


def read_segment(path, out):
    log = Log(True, out)
    data = open(path, "rb").read()
    reason = log.segment(data)
    log.seal(data)
    out(log.end(reason))


def main(words):
    out = lambda value: print(json.dumps(value, ensure_ascii=False))
    try:
        if words[:1] == ["--segment"]:
            read_segment(words[1], out)
        else:
            read_log(words[0], out)
    except Contradiction as contradiction:
        print(f"{words[-1]}: {contradiction}", file=sys.stderr)
        return 1
    except (struct.error, ValueError, LookupError, RecursionError) as error:
        # What verifies and cannot be read.
        print(f"{words[-1]}: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.setrecursionlimit(5000)
    sys.exit(main(sys.argv[1:]))
