"""Type descriptions and the archived payloads that they describe: FORMAT.md section 9."""

import math
import struct
import uuid
from dataclasses import dataclass

from segment import MASK64, Contradiction, Cursor, require, utf8

MAX_NODES = 4096
MAX_DESCRIPTION = 60 * 1024
MAX_CONTAINMENT = 64
MAX_POINTERS = 128
# No limit of the format: bounds the work on crafted payloads whose pointers share targets.
VALUES_PER_BYTE = 16
SPARE_VALUES = 1 << 20

(BOOL, U8, I8, U16, I16, U32, I32, U64, I64, U128, I128, F32, F64, CHAR, UNIT, STRING, UUID,
 DURATION, TEXT, OPTION, ARRAY, LIST, BOX) = range(1, 24)
STRUCT, ENUM, OPAQUE = 26, 27, 28

LAYOUTS = {
    BOOL: (1, 1), U8: (1, 1), I8: (1, 1), U16: (2, 2), I16: (2, 2), U32: (4, 4), I32: (4, 4),
    U64: (8, 8), I64: (8, 8), U128: (16, 16), I128: (16, 16), F32: (4, 4), F64: (8, 8),
    CHAR: (4, 4), UNIT: (0, 1), STRING: (8, 4), UUID: (16, 1), DURATION: (16, 8), TEXT: (8, 4),
    LIST: (8, 4), BOX: (4, 4),
}
VARYING = {OPTION, ARRAY, STRUCT, ENUM, OPAQUE}
SIGNED = {I8, I16, I32, I64, I128}
INTEGERS = SIGNED | {U8, U16, U32, U64, U128}


@dataclass(frozen=True)
class Field:
    """A part of a value: its name, its offset and the number of its node."""

    name: str
    offset: int
    node: int


@dataclass(frozen=True)
class Variant:
    """A variant of an enum."""

    name: str
    fields: tuple


@dataclass(frozen=True)
class Node:
    """A node of a description."""

    tag: int
    size: int
    align: int
    name: str = ""
    target: int | None = None
    offset: int = 0
    count: int = 0
    fields: tuple = ()
    variants: dict | None = None

    def references(self):
        """The nodes that the body refers to, in its order."""
        if self.target is not None:
            return [self.target]
        groups = [variant.fields for variant in (self.variants or {}).values()]
        return [field.node for group in [self.fields, *groups] for field in group]

    def contained(self):
        """The nodes of the values that lie inside a value of this one."""
        return [] if self.tag in (LIST, BOX) else self.references()


def fingerprint(description):
    """FNV-1a over a description, with a finalizer."""
    x = 0xCBF29CE484222325
    for byte in description:
        x = (x ^ byte) * 0x100000001B3 & MASK64
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        x = (x ^ x >> 33) * factor & MASK64
    return x ^ x >> 33


def parse_description(raw):
    """Decode and check a description; returns its nodes."""
    require(len(raw) <= MAX_DESCRIPTION, "description too long")
    cursor = Cursor(raw)
    require(cursor.uint(1) == 1, "unknown form of description")
    count = cursor.uint(2)
    require(1 <= count <= MAX_NODES, f"description of {count} nodes")
    nodes = [_parse_node(cursor) for _ in range(count)]
    cursor.finish()
    _check_order(nodes)
    for node in nodes:
        _check_layout(nodes, node)
    _check_containment(nodes)
    root = nodes[0]
    require(root.tag == OPAQUE or not root.name, "the root of a description has a name")
    return nodes


def _parse_text(cursor):
    return utf8(cursor.take(cursor.uint(1)))


def _parse_fields(cursor):
    return tuple(Field(_parse_text(cursor), cursor.uint(4), cursor.uint(2))
                 for _ in range(cursor.uint(2)))


def _parse_variants(cursor):
    variants = {}
    for _ in range(cursor.uint(2)):
        name, discriminant = _parse_text(cursor), cursor.uint(1)
        require(discriminant not in variants, "two variants have one discriminant")
        variants[discriminant] = Variant(name, _parse_fields(cursor))
    require(variants, "enum without variants")
    return variants


def _parse_node(cursor):
    tag, size, align = cursor.uint(1), cursor.uint(4), cursor.uint(1)
    require(tag in VARYING or tag in LAYOUTS, f"unknown node tag {tag}")
    node = {"tag": tag, "size": size, "align": align}
    if tag == OPTION:
        node.update(target=cursor.uint(2), offset=cursor.uint(4))
    elif tag == ARRAY:
        node.update(target=cursor.uint(2), count=cursor.uint(4))
    elif tag in (LIST, BOX):
        node.update(target=cursor.uint(2))
    elif tag == STRUCT:
        node.update(name=_parse_text(cursor), fields=_parse_fields(cursor))
    elif tag == ENUM:
        node.update(name=_parse_text(cursor), variants=_parse_variants(cursor))
    elif tag == OPAQUE:
        node.update(name=_parse_text(cursor))
    return Node(**node)


def _check_order(nodes):
    """Nodes are numbered as they are first met, depth first, and all are met."""
    met = 1
    stack = [iter(nodes[0].references())]
    while stack:
        reference = next(stack[-1], None)
        if reference is None:
            stack.pop()
            continue
        require(reference < len(nodes), "reference to a missing node")
        require(reference <= met, "nodes out of order")
        if reference == met:
            met += 1
            stack.append(iter(nodes[reference].references()))
    require(met == len(nodes), "description holds a node that is not met")


def _check_layout(nodes, node):
    require(node.align in (1, 2, 4, 8, 16), f"illegal alignment {node.align}")
    require(node.size % node.align == 0, "size is no multiple of the alignment")
    layout = LAYOUTS.get(node.tag, (node.size, node.align))
    require(layout == (node.size, node.align), f"wrong size or alignment of a node of tag {node.tag}")
    if node.tag in (OPTION, ARRAY, LIST):
        element = nodes[node.target]
        require(element.size > 0, "element without a size")
    if node.tag == OPTION:
        _check_parts(nodes, node, [Field("", node.offset, node.target)], 1)
    elif node.tag == ARRAY:
        require(node.size == node.count * element.size and node.align == element.align,
                "size or alignment of an array differs from its elements'")
    elif node.tag == STRUCT:
        _check_parts(nodes, node, node.fields, 0)
    elif node.tag == ENUM:
        for variant in node.variants.values():
            _check_parts(nodes, node, variant.fields, 1)


def _check_parts(nodes, whole, fields, end):
    """Parts lie inside their whole, aligned, in order, one behind the other."""
    for field in fields:
        part = nodes[field.node]
        require(field.offset >= end, "parts overlap or are out of order")
        require(part.align <= whole.align and field.offset % part.align == 0,
                "a part is not aligned")
        end = field.offset + part.size
    require(end <= whole.size, "a part lies outside of its whole")


def _check_containment(nodes):
    """Values contain others at most MAX_CONTAINMENT deep, so never themselves."""
    heights = {}

    def height(index, above):
        require(above <= MAX_CONTAINMENT, "values contain others too deep")
        if index not in heights:
            heights[index] = max((1 + height(part, above + 1)
                                  for part in nodes[index].contained()), default=0)
        return heights[index]

    for index in range(len(nodes)):
        require(height(index, 0) <= MAX_CONTAINMENT, "values contain others too deep")


def render_float(raw):
    """A float of 4 or 8 bytes: the double of its shortest form, or a string if not finite."""
    form = "<f" if len(raw) == 4 else "<d"
    number, = struct.unpack(form, raw)
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "inf" if number > 0 else "-inf"
    if len(raw) == 8:
        return number
    for digits in range(1, 9):
        shortest = float(f"{number:.{digits}g}")
        try:
            if struct.pack(form, shortest) == raw:
                return shortest
        except OverflowError:
            pass
    return float(f"{number:.9g}")


class Archive:
    """Renders the payload of one event by the nodes of its type."""

    def __init__(self, nodes, payload):
        self.nodes = nodes
        self.payload = payload
        self.budget = VALUES_PER_BYTE * len(payload) + SPARE_VALUES

    def render(self):
        """Render the root as JSON values."""
        root = self.nodes[0]
        at = len(self.payload) - root.size
        require(at >= 0, "payload shorter than its root")
        require(at % root.align == 0, "the root of a payload is not aligned")
        return self._value(root, at, at, 0)

    def _value(self, node, at, limit, depth):
        """Render a value; its pointers lead below `limit`, `depth` were followed so far."""
        self.budget -= 1
        require(self.budget >= 0, "payload renders to too many values")
        raw = self.payload[at:at + node.size]
        tag = node.tag
        if tag == BOOL:
            require(raw[0] <= 1, "bool is neither 0 nor 1")
            return raw[0] == 1
        if tag in INTEGERS:
            number = int.from_bytes(raw, "little", signed=tag in SIGNED)
            return str(number) if tag in (U128, I128) else number
        if tag in (F32, F64):
            return render_float(raw)
        if tag == CHAR:
            return self._char(int.from_bytes(raw, "little"))
        if tag == UNIT:
            return None
        if tag == STRING:
            return self._string(raw, at, limit, depth)
        if tag == UUID:
            return str(uuid.UUID(bytes=raw))
        if tag == DURATION:
            return self._duration(raw)
        if tag == TEXT:
            length = int.from_bytes(raw[4:], "little")
            start = self._follow(raw[:4], at, length, 1, limit, depth)
            return utf8(self.payload[start:start + length])
        if tag == OPTION:
            require(raw[0] <= 1, "option is neither nothing nor a value")
            part = self.nodes[node.target]
            return self._value(part, at + node.offset, limit, depth) if raw[0] else None
        if tag == ARRAY:
            return self._elements(node.target, node.count, at, limit, depth)
        if tag == LIST:
            count = int.from_bytes(raw[4:], "little")
            if not count:
                return []
            element = self.nodes[node.target]
            start = self._follow(raw[:4], at, count * element.size, element.align, limit, depth)
            return self._elements(node.target, count, start, start, depth + 1)
        if tag == BOX:
            target = self.nodes[node.target]
            start = self._follow(raw, at, target.size, target.align, limit, depth)
            return self._value(target, start, start, depth + 1)
        if tag == STRUCT:
            return self._fields(node.fields, at, limit, depth)
        if tag == ENUM:
            variant = node.variants.get(raw[0])
            require(variant, f"unknown discriminant {raw[0]}")
            if not variant.fields:
                return variant.name
            return {variant.name: self._fields(variant.fields, at, limit, depth)}
        return raw.hex()

    def _fields(self, fields, at, limit, depth):
        rendered = {}
        for field in fields:
            part = self.nodes[field.node]
            rendered[field.name] = self._value(part, at + field.offset, limit, depth)
        return rendered

    def _elements(self, index, count, at, limit, depth):
        element = self.nodes[index]
        rendered = []
        for start in range(at, at + count * element.size, element.size):
            rendered.append(self._value(element, start, limit, depth))
        return rendered

    def _follow(self, raw, base, size, align, limit, depth):
        """Where a relative pointer counted from `base` leads to."""
        start = base + int.from_bytes(raw, "little", signed=True)
        require(depth < MAX_POINTERS, "too many pointers one behind the other")
        require(start >= 0 and start + size <= limit, "a pointer leads out of bounds")
        require(start % align == 0, "a pointer leads to an unaligned value")
        return start

    def _string(self, raw, at, limit, depth):
        if raw[0] >> 6 != 0b10:
            return utf8(raw.split(b"\xff", 1)[0])
        x = int.from_bytes(raw[:4], "little")
        length = x & 0x3F | (x & 0xFFFFFF00) >> 2
        require(length > 8, "a short string is out of place")
        start = self._follow(raw[4:], at, length, 1, limit, depth)
        return utf8(self.payload[start:start + length])

    @staticmethod
    def _char(scalar):
        if scalar > 0x10FFFF or 0xD800 <= scalar <= 0xDFFF:
            raise Contradiction(f"{scalar:#x} is no Unicode scalar value")
        return chr(scalar)

    @staticmethod
    def _duration(raw):
        cursor = Cursor(raw)
        secs, nanos = cursor.uint(8), cursor.uint(4)
        cursor.zero(4)
        require(nanos < 1_000_000_000, "duration has too many nanoseconds")
        return {"secs": secs, "nanos": nanos}
