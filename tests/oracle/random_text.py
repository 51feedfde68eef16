"""Random Unicode texts that tests/support/random_text.c makes too, so that fixtures need only hold hashes of their ids.

A text is up to twelve parts, each drawn from one of the palette's lists, or a run, a control character, a code point at
random. The palette goes into the fixture; `special` is the tokenizer's own: tokens that may stand inside a text.
"""

import hashlib

import numpy as np

PALETTE = [
    "the and ring is xyz Hello World it's we'll THEY'VE don't 3.14 1,000 foo_bar --- ... !? (x) [y] caf\u00e9 na\u00efve".split(),
    [" ", "  ", "    ", "\t", "\n", "\r\n", "\r", "\u00a0", "\u2003", "\u3000", "\u2028", "\u0085", "\u200b", "\ufeff", "\u180e",
     "\u1680", "\u202f"],
    ["\U0001f600", "\U0001f44d\U0001f3fd", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\u2764\ufe0f",
     "\U0001f1e9\U0001f1ea", "\U0001f1e9", "\u200d", "\ufe0f", "\U0001f3fb", "1\ufe0f\u20e3"],
    [chr(c) for c in (0x301, 0x308, 0x483, 0x591, 0x5B0, 0x64B, 0x670, 0x93C, 0x94D, 0xE31, 0xE47, 0x1AB0, 0x1DC0, 0x20D0,
                      0x20E3, 0xFE20, 0x1D165)],
    list("\u0430\u0431\u0432\u4f60\u597d\uff0c\ud55c\uad6d\u0639\u0631\u0939\u093f\u0928\u094d\u0926\u0940\ufb01\u2126\u212b\uff21"
         "\u00bd\u2460\u3300\u1e9b\u0660\u0e01\u0e33\u1100\u1161\u11a8"),
    ["\ufffd", "\ufffd\ufffd", "\ufffd\ufffd\ufffd"],
    list("aeiouncEU"),
]  # fmt: skip
MASK = 2**64 - 1


class Random:
    """xorshift64*"""

    def __init__(self, seed):
        self.x = (88172645463325252 + seed * 0x9E3779B97F4A7C15) & MASK

    def below(self, n):
        x = self.x
        x ^= x >> 12
        x ^= x << 25 & MASK
        x ^= x >> 27
        self.x = x
        return ((x * 2685821657736338717 & MASK) >> 32) % n


def part(r, special):
    kind = r.below(13)
    if kind < 6:
        return PALETTE[kind][r.below(len(PALETTE[kind]))]
    if kind == 6:  # a letter under one to three combining marks
        n = 1 + r.below(3)
        return PALETTE[6][r.below(len(PALETTE[6]))] + "".join(chr(0x300 + r.below(0x70)) for _ in range(n))
    if kind == 7:
        return chr(32 + r.below(95))
    if kind == 8:
        return chr(1 + r.below(31))
    if kind == 9:
        first, n = ((0x80, 0x780), (0x800, 0xD000), (0xE000, 0x2000), (0x10000, 0x20000))[r.below(4)]
        return chr(first + r.below(n))
    if kind == 10:  # a run
        c = " aA0."[r.below(5)]
        return c * (2 + r.below(59))
    if kind == 11:
        return "".join(chr(48 + r.below(10)) for _ in range(1 + r.below(30)))
    return special[r.below(len(special))]


def text(seed, special):
    r = Random(seed)
    return "".join(part(r, special) for _ in range(1 + r.below(12)))


def texts(n, special):
    return [text(i, special) for i in range(n)]


GROUP = 100  # texts under one hash


def hashes(ids):
    """Per GROUP texts the first 16 digits of the SHA-256 of their ids, int32, -1 behind each text."""
    out = []
    for k in range(0, len(ids), GROUP):
        flat = [i for one in ids[k : k + GROUP] for i in list(one) + [-1]]
        out.append(hashlib.sha256(np.array(flat, dtype="<i4").tobytes()).hexdigest()[:16])
    return out
