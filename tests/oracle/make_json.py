"""Writes tests/oracle/fixtures/json.txt: texts, and what Python's json.load makes of each.

A line a text: its bytes in hex, a tab, "refused" or the value in a form that keeps every bit (see `form`). Python only:
python tests/oracle/make_json.py
"""

import json
import os
import random
import struct

NUMBERS = """0 -0 7 -7 10 01 -01 +1 1. .5 1.5 -1.5 1e5 1E5 1e+5 1e-5 1e 1e+ 1.5e3 -1.5E-3 0e0 0.0 -0.0 1_000 0x10 1e400 -1e400 1e-400
9223372036854775807 9223372036854775808 -9223372036854775808 -9223372036854775809 18446744073709551616
1000000000000000019884624838656 -1000000000000000019884624838656 123456789012345678901234567890.5 1e308 1.7976931348623159e308
4.9e-324 2.4703282292062327e-324 0.1 123456789.123456789 NaN -NaN nan Infinity -Infinity +Infinity infinity Inf - -- 1-1 1e5.5""".split()
NUMBERS.append("9" * 400)
STRINGS = [
    '""', '"a"', '"\\n\\t\\r\\b\\f\\/\\\\\\""', '"\\u0041"', '"\\u00e9"', '"\\u20AC"', '"\\u0000"', '"a\\u0000b"', '"\\ud83d\\ude00"',
    '"\\uD83D\\uDE00"', '"\\ud800"', '"\\udc00"', '"\\ud800\\ud800"', '"\\ud800x"', '"\\ud83d\\u0041"', '"\\udc00\\ud800"', '"\\ud800\\n"',
    '"\\u12"', '"\\u12g4"', '"\\x41"', '"\\a"', '"\\', '"\\"', '"abc', '"a\nb"', '"a\tb"', '"\x7f"', '"é€😀"', "'a'", '"\\U0041"', '"\\u 041"',
]
WHOLE = [
    "", " ", "null", "true", "false", "True", "nul", "nulll", "[]", "{}", "[ ]", "{ }", "[1]", "[1,]", "[,1]", "[1,2]", "[1 2]", "[1", "]", "[[]]",
    '{"a":1}', '{"a":1,}', '{"a" 1}', '{"a":}', '{a:1}', '{"a":1 "b":2}', '{1:2}', '{"a":1', '{"a"', "{} {}", "[] 1", " [1] ", "\t\r\n[1]", "\v[1]",
    '{"a":1,"a":2}', '{"a":1,"a":1}', '{"a":1,"b":2,"a":3}', '{"a":{"b":1},"a":{"b":1}}', '{"":0}', '{"\\u0000":1}', '{"a\\u0000":1,"a":2}',
    '{"\\ud800":1,"\\ud801":2}', '{"a":NaN,"b":[Infinity]}', "// c\n1", "/* */1", "[1]//", "\u00a0[1]", "[1]\u0000", "[" * 300 + "]" * 300,
    "[" * 3000, '{"a":' * 300 + "1" + "}" * 300,
]
SEEDS = [
    '{"name": "x", "n": [1, -2.5e3, null, true], "o": {"k": "\\u00e9\\n", "k2": []}}',
    '[0, 1000000000000000019884624838656, "\\ud83d\\ude00", {"a": NaN, "a": 1}]',
]


def form(v):
    """i: the digits, f: the bits, s: the bytes (surrogates as three bytes each), and lists and objects of those."""
    if v is None or v is True or v is False:
        return {None: "n", True: "t", False: "x"}[v]
    if isinstance(v, int):
        return "i%d" % v
    if isinstance(v, float):
        return "fnan" if v != v else "f" + struct.pack(">d", v).hex()
    if isinstance(v, str):
        return "s" + v.encode("utf-8", "surrogatepass").hex() + "."
    if isinstance(v, list):
        return "[" + ",".join(form(x) for x in v) + "]"
    return "{" + ",".join(sorted(form(k) + ":" + form(x) for k, x in v.items())) + "}"


def mutated(r):
    s = bytearray(r.choice(SEEDS).encode())
    for _ in range(r.randint(1, 3)):
        i = r.randrange(len(s))
        kind = r.randrange(4)
        if kind == 0:
            s[i] = r.choice(b'{}[]",:\\0123456789eE+-.nulltrue NIu \n\x80\xc3\xff')
        elif kind == 1:
            del s[i]
        elif kind == 2:
            s.insert(i, r.choice(b'{}[]",:\\019eE+-.NI '))
        else:
            del s[i:]
            s += b" "
    return bytes(s)


def main():
    r = random.Random(7)
    texts = [t.encode() for t in NUMBERS + STRINGS + WHOLE]
    texts += [b'"\xff"', b'"\xc3"', b'"\xc0\x80"', b'"\xed\xa0\x80"', b'"\xf4\x90\x80\x80"', b'"\xe0\x80\x80"', b'{"\xc3(":1}']
    texts += [b"[" + t + b"]" for t in texts[:20]]
    texts += [mutated(r) for _ in range(300)]
    here = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(here, "fixtures", "json.txt"), "w") as f:
        for t in texts:
            try:
                result = form(json.loads(t.decode("utf-8")))
            except (ValueError, RecursionError):
                result = "refused"
            f.write(t.hex() + "\t" + result + "\n")


main()
