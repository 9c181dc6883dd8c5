"""The manifest and the catalog: where a log begins."""

import os
import struct
import uuid
import zlib

from checks import expect

PAGE = 4096
DESCRIPTOR = struct.pack("<BBBBHH", 1, 32, 16, 1, 0, 8)


def page_crc(seed, page, field):
    """The checksum of a page whose field of four bytes counts as zero."""
    return zlib.crc32(page[:field] + bytes(4) + page[field + 4:], seed)


def read_manifest(directory):
    """The newer of the two slots that verify."""
    found = []
    for slot in ("MANIFEST-a", "MANIFEST-b"):
        path = os.path.join(directory, slot)
        if not os.path.exists(path):
            continue
        page = open(path, "rb").read(PAGE)
        if len(page) == PAGE and page[:8] == b"\xfactman\r\n":
            crc, version, bits, flags, generation = struct.unpack_from("<IHBBQ", page, 8)
            if crc == page_crc(0, page, 8):
                expect(version == 1 and page[56:64] == DESCRIPTOR, "an unknown manifest")
                expect(flags & ~1 == 0, "an unknown flag of the manifest")
                floor, checkpoint, _, lineage, zero = struct.unpack_from("<IQQII", page, 68)
                expect(lineage <= 32 and zero == 0 and not any(page[96 + 40 * lineage:]),
                       "a reserved field of the manifest is in use")
                found.append({"generation": generation, "bits": bits, "log": page[24:40],
                              "clean": flags & 1, "floor": floor, "checkpoint": checkpoint})
    expect(found, "no slot of the manifest verifies")
    return max(found, key=lambda manifest: manifest["generation"])


def stream_of(payload):
    """What the payload of a STREAM item, or an entry of the catalog, names."""
    expect(len(payload) >= 4, "a stream's name is too short")
    category, kind, length, zero = payload[:4]
    expect(len(payload) == 4 + category + length and zero == 0, "a wrong STREAM")
    key = bytes(payload[4 + category:])
    expect(kind in (1, 2, 3, 4), "an unknown kind of key")
    expect(kind not in (1, 2) or length == (8, 16)[kind - 1], "a key of a wrong length")
    shown = {1: lambda: int.from_bytes(key, "little"), 2: lambda: str(uuid.UUID(bytes=key)),
             3: lambda: key.decode(), 4: lambda: "hex:" + key.hex()}[kind]()
    return {"category": bytes(payload[4:4 + category]).decode(), "key": shown}


def read_catalog(directory, manifest):
    """The streams of what retention has dropped; None if it has dropped nothing."""
    path = os.path.join(directory, "CATALOG")
    if not os.path.exists(path):
        expect(manifest["floor"] <= 1, "the catalog is missing")
        return None
    data = open(path, "rb").read()
    expect(len(data) >= 96 and data[:8] == b"\xfactcat\r\n", "no catalog of a factlog")
    crc, version, zero = struct.unpack_from("<IHH", data, 8)
    expect(crc == page_crc(0, data[:96], 8), "the catalog's head does not verify")
    expect(version == 1 and zero == 0 and not any(data[76:96]), "an unknown catalog")
    floor, end, sequence, fold, count, size, entries = struct.unpack_from("<IIQQQQI", data, 32)
    expect(data[16:32] == manifest["log"] and floor >= manifest["floor"],
           "the catalog belongs to another log, or to an earlier floor")
    rest = data[96:]
    expect(len(rest) == size and zlib.crc32(rest) == entries, "the catalog does not verify")
    streams, at = [], 0
    for _ in range(count):
        expect(at + 24 <= size, "the catalog has fewer streams than it says")
        version, position, index, length, zero = struct.unpack_from("<QQHHI", rest, at)
        name = rest[at + 24:at + 24 + length]
        expect(len(name) == length and zero == 0 and version < 1 << 40, "a wrong entry")
        streams.append((stream_of(name), (version, position, index)))
        at += 24 + length
    expect(at == size, "the catalog has more than its streams")
    return {"floor": floor, "end": end, "sequence": sequence, "fold": fold, "streams": streams}

