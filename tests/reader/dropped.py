"""The catalog of what retention has dropped: FORMAT.md section 11."""

import os
import zlib
from dataclasses import dataclass, replace

from items import Link, parse_stream
from segment import VERSION, Cursor, map_file, page_crc, require, Summary

CATALOG_MAGIC = b"\xfa" b"ctcat\r\n"
HEAD = 96


@dataclass
class Dropped:
    """The streams as of the end of what was dropped, and where that was."""

    floor: int
    end: int
    sequence: int
    fold: int
    streams: list

    @classmethod
    def parse(cls, data, manifest):
        """From a whole file."""
        head = Cursor(data[:HEAD])
        require(head.take(8) == CATALOG_MAGIC, "no catalog")
        require(head.uint(4) == page_crc(data[:HEAD], 8), "the catalog's head does not verify")
        require(head.uint(2) == VERSION, "unknown version of a catalog")
        head.zero(2)
        require(head.take(16) == manifest.uuid, "the catalog is of another log")
        floor, end, sequence, fold, count, size, crc = (
            head.uint(width) for width in (4, 4, 8, 8, 8, 8, 4))
        head.zero(20)
        require(floor >= manifest.floor, "the catalog is of an earlier floor")
        entries = data[HEAD:]
        require(len(entries) == size and zlib.crc32(entries) == crc,
                "the catalog does not verify")
        body, streams = Cursor(entries), []
        for number in range(1, count + 1):
            version, position, index, length = (body.uint(width) for width in (8, 8, 2, 2))
            body.zero(4)
            name = parse_stream(body.take(length))
            streams.append((name, Link(number, version, position, index)))
        body.finish()
        return cls(floor, end, sequence, fold, streams)

    def begin(self, walk):
        """Let a walk begin with what was dropped."""
        catalog = walk.catalog
        for name, head in self.streams:
            require(name not in catalog._names, f"stream {name!r} has two numbers")
            catalog._names.add(name)
            catalog.streams[head.stream] = name
            catalog._heads[head.stream] = head
        walk.next_sequence = self.sequence
        walk.predecessor = self.floor - 1, Summary(self.end, 0, self.sequence, 0, 0, self.fold, 0, 0)

    def check_first(self, segopen):
        """The first segment that is left goes on from there."""
        require(segopen.next_stream == len(self.streams) + 1,
                "the catalog has other streams than the first segment says")


def read_dropped(directory, manifest):
    """The catalog, if there is one, and the manifest with the floor that holds."""
    path = os.path.join(directory, "CATALOG")
    if not os.path.lexists(path):
        require(manifest.floor == 1, "the catalog is missing")
        return None, manifest
    dropped = Dropped.parse(bytes(map_file(path)[:]), manifest)
    return dropped, replace(manifest, floor=dropped.floor)
