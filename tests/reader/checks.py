"""The checks of a factlog: FORMAT.md, section 4."""

import zlib

K = (0x243F6A8885A308D3, 0x13198A2E03707345, 0xA4093822299F31D1,
     0x082EFA98EC4E6C89, 0x452821E638D01377, 0xBE5466CF34E90C6D)
MASK = (1 << 64) - 1


class Contradiction(Exception):
    """Something in a file contradicts the format: where, and what."""


def expect(true, what):
    """Holds the format against what stands there."""
    if not true:
        raise Contradiction(what)


def mix(a, b):
    product = a * b
    return (product & MASK) ^ (product >> 64)


def half(x):
    return (x & 0xFFFFFFFF) ^ (x >> 32)


class Key:
    """What the frames of one segment are keyed with."""

    def __init__(self, salt, segment):
        self.salt, self.segment = salt, segment

    def at(self, offset):
        return mix(self.salt ^ K[0], (self.segment << 32 | offset) ^ K[1])

    def hsum(self, offset, header):
        key = self.at(offset)
        w = [int.from_bytes(header[i:i + 8], "little") for i in range(4, 44, 8)]
        return half(mix(w[0] ^ key, w[1] ^ K[2]) ^ mix(w[2] ^ key, w[3] ^ K[3])
                    ^ mix(w[4] ^ key, K[4]))

    def crc(self, offset, data):
        return zlib.crc32(data, half(self.at(offset)))

    def empty_fold(self):
        return mix(self.salt ^ K[5], K[0])


def fold(before, offset, crc):
    return mix(before ^ K[5], (offset << 32 | crc) ^ K[2])


def fingerprint(description):
    x = 0xCBF29CE484222325
    for byte in description:
        x = (x ^ byte) * 0x100000001B3 & MASK
    x ^= x >> 33
    x = x * 0xFF51AFD7ED558CCD & MASK
    x ^= x >> 33
    x = x * 0xC4CEB9FE1A85EC53 & MASK
    return x ^ (x >> 33)
