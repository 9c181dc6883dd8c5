"""Descriptions, and payloads rendered by them alone: FORMAT.md, section 9."""

import math
import struct
import uuid

from checks import Contradiction

NUMBERS = {2: "<B", 3: "<b", 4: "<H", 5: "<h", 6: "<I", 7: "<i", 8: "<Q", 9: "<q",
           12: "<f", 13: "<d"}


class Cursor:
    """Takes pieces off the front of bytes; what is missing is an error."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        if self.at + count > len(self.data):
            raise Contradiction("a description ends too early")
        piece = self.data[self.at:self.at + count]
        self.at += count
        return bytes(piece)

    def number(self, form):
        return struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))[0]

    def text(self):
        return self.take(self.number("B")).decode("utf-8")

    def fields(self):
        return [(self.text(), self.number("I"), self.number("H"))
                for _ in range(self.number("H"))]


def parse(data):
    """The nodes of a description: dictionaries; the first is the root."""
    cursor = Cursor(data)
    if cursor.number("B") != 1:
        raise Contradiction("unknown form of a description")
    nodes = []
    for _ in range(cursor.number("H")):
        tag, size, align = cursor.number("B"), cursor.number("I"), cursor.number("B")
        node = {"tag": tag, "size": size, "align": align}
        if tag == 20:
            node["node"], node["offset"] = cursor.number("H"), cursor.number("I")
        elif tag == 21:
            node["node"], node["count"] = cursor.number("H"), cursor.number("I")
        elif tag in (22, 23):
            node["node"] = cursor.number("H")
        elif tag == 26:
            node["name"], node["fields"] = cursor.text(), cursor.fields()
        elif tag == 27:
            node["name"] = cursor.text()
            node["variants"] = {}
            for _ in range(cursor.number("H")):
                name, discriminant = cursor.text(), cursor.number("B")
                node["variants"][discriminant] = (name, cursor.fields())
        elif tag == 28:
            node["name"] = cursor.text()
        elif not 1 <= tag <= 19:
            raise Contradiction(f"unknown kind of type: {tag}")
        nodes.append(node)
    if cursor.at != len(data) or not nodes:
        raise Contradiction("a description has bytes left over, or no nodes")
    return nodes


class Renderer:
    """Renders one payload as a value that `json` can print."""

    def __init__(self, nodes, payload):
        self.nodes, self.payload = nodes, payload

    def render(self):
        start = len(self.payload) - self.nodes[0]["size"]
        if start < 0:
            raise Contradiction("a payload is shorter than its root")
        return self.value(0, start, 0)

    def slice(self, at, count):
        if at < 0 or at + count > len(self.payload):
            raise Contradiction("a value lies outside its payload")
        return self.payload[at:at + count]

    def unpack(self, form, at):
        return struct.unpack(form, self.slice(at, struct.calcsize(form)))[0]

    def value(self, number, at, depth):
        if depth > 300 or number >= len(self.nodes):
            raise Contradiction("a payload is nested too deeply, or its description has a hole")
        node = self.nodes[number]
        tag = node["tag"]
        if tag in NUMBERS:
            value = self.unpack(NUMBERS[tag], at)
            if isinstance(value, float) and not math.isfinite(value):
                return "NaN" if value != value else "inf" if value > 0 else "-inf"
            return value
        if tag == 1:
            return {0: False, 1: True}[self.unpack("<B", at)]
        if tag in (10, 11):
            return str(int.from_bytes(self.slice(at, 16), "little", signed=tag == 11))
        if tag == 14:
            return chr(self.unpack("<I", at))
        if tag == 15:
            return None
        if tag == 16:
            return self.string(at)
        if tag == 17:
            return str(uuid.UUID(bytes=bytes(self.slice(at, 16))))
        if tag == 18:
            return {"secs": self.unpack("<Q", at), "nanos": self.unpack("<I", at + 8)}
        if tag == 19:
            target, count = at + self.unpack("<i", at), self.unpack("<I", at + 4)
            return bytes(self.slice(target, count)).decode("utf-8")
        if tag == 20:
            some = self.unpack("<B", at)
            return self.value(node["node"], at + node["offset"], depth + 1) if some else None
        if tag == 21:
            return self.elements(node["node"], at, node["count"], depth)
        if tag == 22:
            target, count = at + self.unpack("<i", at), self.unpack("<I", at + 4)
            return self.elements(node["node"], target, count, depth)
        if tag == 23:
            return self.value(node["node"], at + self.unpack("<i", at), depth + 1)
        if tag == 26:
            return self.fields(node["fields"], at, depth)
        if tag == 27:
            discriminant = self.unpack("<B", at)
            if discriminant not in node["variants"]:
                raise Contradiction(f"no variant {discriminant}")
            name, fields = node["variants"][discriminant]
            return {name: self.fields(fields, at, depth)} if fields else name
        return bytes(self.slice(at, node["size"])).hex()

    def fields(self, fields, at, depth):
        return {name: self.value(node, at + offset, depth + 1) for name, offset, node in fields}

    def elements(self, number, at, count, depth):
        size = self.nodes[number]["size"]
        if size == 0 or count and (at < 0 or at + size * count > len(self.payload)):
            raise Contradiction("a list lies outside its payload")
        return [self.value(number, at + index * size, depth + 1) for index in range(count)]

    def string(self, at):
        form = bytes(self.slice(at, 8))
        if form[0] & 0xC0 != 0x80:
            return form.split(b"\xff")[0].decode("utf-8")
        word, pointer = struct.unpack("<Ii", form)
        count = (word & 0x3F) | ((word & 0xFFFFFF00) >> 2)
        return bytes(self.slice(at + pointer, count)).decode("utf-8")
