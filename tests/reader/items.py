"""Items, extensions, types and streams: FORMAT.md sections 7 to 9."""

import uuid
from dataclasses import dataclass

from archive import Archive, fingerprint, parse_description
from segment import ALIGNMENT, Cursor, require, utf8

EVENT, COMMAND, TYPE, STREAM = range(1, 5)
LINK, FURTHER, CAUSE, CORRELATION, INVALIDATES, SOURCE, EFFECT, METADATA = 1, 2, 3, 4, 5, 6, 7, 9
CRITICAL = 0x80
MAX_FURTHER = 7
MAX_CATEGORY = 64
MAX_NAME = 128
ARCHIVED, OPAQUE = 1, 2
U64_KEY, UUID_KEY, TEXT_KEY, BYTES_KEY = range(1, 5)
KEY_LENGTHS = {U64_KEY: 8, UUID_KEY: 16}
TYPE_NUMBERS = 1 << 16


@dataclass(frozen=True)
class Item:
    """One item of the body of a DATA or SEGOPEN frame."""

    kind: int
    type: int
    stream: int
    extensions: dict
    payload: bytes


@dataclass(frozen=True)
class Link:
    """Number of an event in a stream, and the place of the stream's event before it."""

    stream: int
    version: int
    position: int
    index: int


@dataclass
class EventType:
    """What a TYPE item declares."""

    name: str
    version: int
    encoding: int
    fingerprint: int
    description: bytes
    nodes: list | None

    @classmethod
    def parse(cls, payload):
        """Decode and check the payload of a TYPE item."""
        cursor = Cursor(payload)
        declared, length = cursor.uint(8), cursor.uint(4)
        version, name_length, encoding = cursor.uint(2), cursor.uint(1), cursor.uint(1)
        require(version >= 1, "type version is 0")
        require(1 <= name_length <= MAX_NAME, f"type name of {name_length} bytes")
        name, description = utf8(cursor.take(name_length)), cursor.take(length)
        cursor.finish()
        require(encoding in (ARCHIVED, OPAQUE), f"unknown encoding {encoding}")
        if encoding == OPAQUE:
            require(not declared and not length, "an opaque type has a fingerprint or description")
            return cls(name, version, encoding, declared, description, None)
        require(declared == fingerprint(description), "fingerprint differs from the description")
        return cls(name, version, encoding, declared, description, parse_description(description))

    def render(self, payload):
        """Render the payload of an event of this type."""
        return Archive(self.nodes, payload).render() if self.nodes else payload.hex()


def parse_items(body, at=0, table=False):
    """Decode the items from `at` to the end of a body; in a table the last one is padded too."""
    cursor = Cursor(body, at)
    while cursor.remaining():
        length, number, flags, ext = (cursor.uint(size) for size in (4, 2, 1, 1))
        stream = cursor.uint(8)
        kind = flags & 7
        require(EVENT <= kind <= STREAM, f"illegal item kind {kind}")
        require(not flags & 0x78, "unknown item flags")
        extensions = parse_extensions(cursor.take(ALIGNMENT * ext))
        item = Item(kind, number, stream, extensions, cursor.take(length))
        padding = -cursor.at % ALIGNMENT
        if cursor.remaining():
            cursor.zero(padding)
            require(table or cursor.remaining(), "filler behind the last item is counted")
        yield item


def parse_extensions(raw):
    """Decode extensions to a dict from tag to contents."""
    cursor = Cursor(raw)
    extensions = {}
    while cursor.remaining():
        tag, units = cursor.uint(1), cursor.uint(1)
        require(units, "extension of length 0")
        require(not tag & CRITICAL, f"extension {tag:#x} must be understood and is not")
        require(tag not in extensions, f"extension {tag} stands twice")
        contents = Cursor(cursor.take(ALIGNMENT * units - 2))
        if tag in EXTENSION_PARSERS:
            extensions[tag] = EXTENSION_PARSERS[tag](contents)
            contents.zero(contents.remaining())
            require(units == EXTENSION_UNITS.get(tag, units), f"extension {tag} has a wrong length")
    return extensions


def _parse_link(cursor):
    index, version, place = cursor.uint(2), cursor.uint(5), cursor.uint(7)
    return Link(0, version, place * ALIGNMENT, index)


def _parse_further(cursor):
    count = cursor.uint(2)
    require(count <= MAX_FURTHER, f"{count} further streams")
    cursor.zero(4)
    links = []
    for _ in range(count):
        stream, index, version, place = (cursor.uint(size) for size in (8, 2, 5, 7))
        cursor.zero(2)
        links.append(Link(stream, version, place * ALIGNMENT, index))
    require(cursor.remaining() < ALIGNMENT, "extension 2 has a wrong length")
    return links


def _parse_sequence(cursor):
    cursor.zero(6)
    return cursor.uint(8)


def _parse_source(cursor):
    cursor.zero(6)
    return cursor.take(40)


def _parse_bytes(cursor):
    raw = cursor.take(cursor.uint(2))
    require(cursor.remaining() < ALIGNMENT, "extension is longer than its bytes")
    return raw


EXTENSION_PARSERS = {
    LINK: _parse_link, FURTHER: _parse_further, CAUSE: _parse_sequence,
    CORRELATION: _parse_sequence, INVALIDATES: _parse_sequence, SOURCE: _parse_source,
    EFFECT: _parse_bytes, METADATA: _parse_bytes,
}
EXTENSION_UNITS = {LINK: 1, CAUSE: 1, CORRELATION: 1, INVALIDATES: 1, SOURCE: 3}


def parse_stream(payload):
    """Decode the payload of a STREAM item: its category, key kind and key."""
    cursor = Cursor(payload)
    category_length, kind, key_length = (cursor.uint(1) for _ in range(3))
    cursor.zero(1)
    require(1 <= category_length <= MAX_CATEGORY, f"category of {category_length} bytes")
    require(U64_KEY <= kind <= BYTES_KEY, f"unknown key kind {kind}")
    require(key_length == KEY_LENGTHS.get(kind, key_length), f"key of {key_length} bytes")
    category, key = utf8(cursor.take(category_length)), cursor.take(key_length)
    cursor.finish()
    if kind == TEXT_KEY:
        utf8(key)
    return category, kind, key


def render_stream(category, kind, key):
    """Render the name of a stream."""
    if kind == U64_KEY:
        rendered = int.from_bytes(key, "little")
    elif kind == UUID_KEY:
        rendered = str(uuid.UUID(bytes=key))
    elif kind == TEXT_KEY:
        rendered = utf8(key)
    else:
        rendered = f"hex:{key.hex()}"
    return {"category": category, "key": rendered}


class Catalog:
    """The types and streams of a log, and where each stream stands."""

    def __init__(self):
        self.types = {}
        self.streams = {}
        self.next_type = 1
        self.next_stream = 1
        self.foreign_streams = 1
        self.origin = 0
        self.lossy = False
        self._titles = set()
        self._names = set()
        self._heads = {}
        self._homes = {}
        self._unused = {}

    def open_segment(self, segopen, origin, first, repaired):
        """Take over, and check, what a SEGOPEN says of types and streams."""
        types = {}
        for item in parse_items(segopen.items, table=True):
            require(item.kind == TYPE, "SEGOPEN holds an item that is no TYPE")
            require(item.type not in types, "SEGOPEN holds a type twice")
            require(item.type < self._ceiling(segopen.next_type),
                    "SEGOPEN holds a type that was not given")
            types[item.type] = self._parse_type(item)
        titles = {(declared.name, declared.version) for declared in types.values()}
        require(len(titles) == len(types), "SEGOPEN holds a name and version twice")
        require(len(types) == segopen.types, "SEGOPEN holds another number of types than it says")
        if not first:
            for number, known in self.types.items():
                require(types.get(number) == known, f"SEGOPEN differs on type {number}")
            require(repaired or len(types) == len(self.types), "SEGOPEN holds an undeclared type")
            require(segopen.next_stream >= self.next_stream, "next stream goes back")
            require(self._ceiling(segopen.next_type) >= self._ceiling(self.next_type),
                    "next type goes back")
        if first:
            self.foreign_streams = segopen.next_stream
            self.origin = origin
        self.lossy |= repaired
        self._titles = titles
        self.types = types
        self.next_stream, self.next_type = segopen.next_stream, segopen.next_type

    @staticmethod
    def _ceiling(number):
        return number or TYPE_NUMBERS

    @staticmethod
    def _parse_type(item):
        require(item.type and not item.stream, "a TYPE item has no number, or has a stream")
        return EventType.parse(item.payload)

    def declare(self, item, frame_position):
        """Take over a TYPE or STREAM item of a DATA frame."""
        if item.kind == TYPE:
            require(self._ceiling(self.next_type) <= item.type,
                    f"type number {item.type} is given twice")
            declared = self._parse_type(item)
            title = declared.name, declared.version
            require(title not in self._titles, f"type {title!r} has two numbers")
            self._titles.add(title)
            self.types[item.type] = declared
            self.next_type = (item.type + 1) % TYPE_NUMBERS
        else:
            require(not item.type, "a STREAM item has a type")
            require(item.stream >= self.next_stream, f"stream number {item.stream} is given twice")
            name = parse_stream(item.payload)
            require(name not in self._names, f"stream {name!r} has two numbers")
            self._names.add(name)
            self.streams[item.stream] = name
            self.next_stream = item.stream + 1
        self._unused[item.kind, item.type or item.stream] = frame_position

    def _use(self, kind, number, frame_position):
        declared = self._unused.pop((kind, number), frame_position)
        require(declared == frame_position, "first use stands in a later frame than its declaration")

    def event(self, item, sequence, frame_position, index):
        """Check an EVENT item; returns what is printed of it."""
        kind = self.types.get(item.type)
        require(kind, f"type {item.type} is not declared")
        self._use(TYPE, item.type, frame_position)
        links = self._links(item)
        for link in links:
            self._check_link(link, frame_position)
            self._heads[link.stream] = Link(link.stream, link.version, frame_position, index)
        self._check_relations(item.extensions, sequence, links)
        own = item.extensions.get(LINK)
        metadata = item.extensions.get(METADATA)
        return {
            "type": kind.name,
            "version": kind.version,
            "stream": self._render_stream(item.stream),
            "stream_version": own.version if own else None,
            "cause": item.extensions.get(CAUSE),
            "correlation": item.extensions.get(CORRELATION),
            "metadata": metadata.hex() if metadata else None,
            "payload": kind.render(item.payload),
        }

    def _links(self, item):
        links = list(item.extensions.get(FURTHER, ()))
        own = item.extensions.get(LINK)
        if item.stream:
            require(own, "an event of a stream has no link")
            links.insert(0, Link(item.stream, own.version, own.position, own.index))
        else:
            require(not own and not links, "an event of no stream has a link")
        require(len({link.stream for link in links}) == len(links), "an event is in a stream twice")
        return links

    def _check_link(self, link, frame_position):
        known = link.stream in self.streams
        foreign_streams = self.next_stream if self.lossy else self.foreign_streams
        require(known or 0 < link.stream < foreign_streams,
                f"stream {link.stream} is not declared")
        self._use(STREAM, link.stream, frame_position)
        head = self._heads.get(link.stream)
        if self.lossy:
            require(link.version > (head.version if head else 0)
                    and link.position <= frame_position, "a link goes back")
        elif head:
            require(link == Link(link.stream, head.version + 1, head.position, head.index),
                    f"link of stream {link.stream} does not lead to its previous event")
        elif known:
            require(link == Link(link.stream, 1, 0, 0),
                    f"link of the first event of stream {link.stream} is not empty")
        else:
            require(link.version > 1 and 0 < link.position < self.origin,
                    f"link of stream {link.stream} does not lead to an earlier segment")

    def _check_relations(self, extensions, sequence, links):
        for tag, latest in ((CAUSE, sequence - 1), (INVALIDATES, sequence - 1),
                            (CORRELATION, sequence)):
            if tag in extensions:
                require(1 <= extensions[tag] <= latest, f"extension {tag} names no earlier event")
        streams = frozenset(link.stream for link in links)
        if INVALIDATES in extensions:
            home = self._homes.get(extensions[INVALIDATES], streams)
            require(streams & home, "an event invalidates one of another stream")
        self._homes[sequence] = streams

    def _render_stream(self, number):
        if not number:
            return None
        if number not in self.streams:
            return {"category": None, "key": None, "number": number}
        return render_stream(*self.streams[number])
