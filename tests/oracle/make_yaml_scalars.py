"""Makes fixtures/yaml_scalars.h: plain scalars with what YAML 1.1 and the core schema of YAML 1.2 read.

    python3 -m venv venv && venv/bin/pip install pyyaml==6.0.4 ruamel.yaml==0.19.1
    venv/bin/python tests/oracle/make_yaml_scalars.py

1.1 is PyYAML, with the type repository's y and n (yaml.org/type/bool), which PyYAML leaves out. 1.2 is the table of
10.3.2 of YAML 1.2.2, as regular expressions; ruamel.yaml, which resolves by 1.2 as well, is asked too, and where it
differs from the table the script stops unless the difference is listed below.
"""

import datetime
import itertools
import math
import os
import re

import ruamel.yaml
import yaml

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fixtures", "yaml_scalars.h")

WORDS = """true True TRUE tRUE false False FALSE yes Yes YES yEs no No NO on On ON oN off Off OFF y Y n N
~ null Null NULL nULL none None
= << 2001-01-01 2001-1-1 2001-12-14t21:59:43.10-05:00
.inf .Inf .INF .iNF -.inf +.INF .nan .NaN .NAN .Nan -.nan inf nan Infinity
1:30 1:30:15 -1:30 +190:20:30 190:20:30.15 1:60 1:5 0:30 00:30 1:30. 1:2:3:4 1:300 a:30 1_0:30
12e03 -2E+05 1e3 1E3 1e+3 1.5e3 1.5e+3 1. -1. +1. .5 -.5 +.5 .5e .5e3 .5e+3 . - + e5 1e 1e+ 1.2.3
_1 1_ 1_000 -1_000 +1_0 1__0 1_000.5 1.5_0 ._5 .5_0 1._5 1_0e+3 1_0.5e+3 1_0.5e3 685_230.15 6.8523015e+5
0 -0 +0 00 007 010 -010 +010 089 08 0o17 0o8 0o 0O17 -0o17 0x1F 0x1f 0X1F 0x -0x1F +0x1F 0x_1F 0x1_F 0xG 0_7 0_8 01_0
0b101 0b1_01 -0b1 0b2 0b 0B1 0.5 00.5 010.5 -010.5 0e0 0e3 07e2
1 12 -12 +12 9223372036854775807 -9223372036854775808 --1 1,000 1a row W2-256 gptq 0.1.2 v1.0 1-2 3/4""".split()


def generated():
    """Every short text over what numbers are written with."""
    for n in (1, 2, 3):
        for t in itertools.product("01789._:-+exob", repeat=n):
            yield "".join(t)


CORE = [
    ("null", r"null|Null|NULL|~"),
    ("bool", r"true|True|TRUE|false|False|FALSE"),
    ("int", r"[-+]?[0-9]+"),
    ("int", r"0o[0-7]+"),
    ("int", r"0x[0-9a-fA-F]+"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"),
    ("float", r"[-+]?(\.inf|\.Inf|\.INF)"),
    ("float", r"\.nan|\.NaN|\.NAN"),
]


def core(text):
    for kind, pattern in CORE:
        if re.fullmatch(pattern, text):
            if kind == "bool":
                return kind, text.lower() == "true"
            if kind == "int":
                base = {"0o": 8, "0x": 16}.get(text[:2], 10)
                return kind, int(text[2:], base) if base != 10 else int(text)
            if kind == "float":
                return kind, float(text.replace(".inf", "inf").replace(".Inf", "inf").replace(".INF", "inf")
                                   .replace(".nan", "nan").replace(".NaN", "nan").replace(".NAN", "nan"))
            return kind, None
    return "text", text


def kind_of(value):
    if value is None:
        return "null", None
    for t, kind in ((bool, "bool"), (int, "int"), (float, "float"), (str, "text")):
        if isinstance(value, t):
            return kind, value
    if isinstance(value, (datetime.date, datetime.datetime)):
        return "date", None
    raise TypeError(repr(value))


def one_one(text):
    if text in ("y", "Y", "n", "N"):
        return "bool", text in "yY"
    # PyYAML takes these for numbers and then fails to convert them
    try:
        return kind_of(yaml.safe_load("[%s]" % text)[0])
    except (ValueError, TypeError):
        return "int", None
    except yaml.constructor.ConstructorError:
        return "special", None


# Where ruamel.yaml is not the table: it keeps 1.1's dates, "=", "<<" and signs before 0x and 0o, counts _ as a digit, and
# knows 0b, and wants a sign in the exponent of .5e3.
def ruamel_differs(text):
    return "_" in text or re.match(r"[-+]0[xo]|[-+]?0b|[-+]?\.\d+[eE]\d|\d{4}-|=$|<<$|-\.nan", text) is not None


def same(a, b):
    if {a[0], b[0]} <= {"int", "float"} and a[1] is not None and b[1] is not None:
        return a[1] == b[1] or (math.isnan(a[1]) and math.isnan(b[1]))
    return a == b


def outcome(text, old, new):
    """Where a config may not hold it. A text keeps the characters of what both take for a number."""
    if old[0] in ("text", "date") or same(old, new):
        zero = re.fullmatch(r"[-+]?0[0-9]+", text)
        return "as number" if zero else "nowhere"
    return "as number" if {old[0], new[0]} <= {"int", "float"} else "everywhere"


def c_number(kind, value):
    if kind == "bool":
        return "1" if value else "0"
    if kind in ("null", "text"):
        return "0"
    if math.isinf(value):
        return "INFINITY" if value > 0 else "-INFINITY"
    return "NAN" if math.isnan(value) else repr(float(value))


def main():
    safe = ruamel.yaml.YAML(typ="safe", pure=True)
    rows, seen = [], set()
    for text in itertools.chain(WORDS, generated()):
        if text in seen:
            continue
        seen.add(text)
        try:
            if yaml.compose("[%s]" % text).value[0].value != text:
                continue  # no scalar of its own: "-", ": ", ...
            old = one_one(text)
        except (yaml.YAMLError, AttributeError, IndexError):
            continue
        new = core(text)
        if not ruamel_differs(text):
            try:
                theirs = kind_of(safe.load("[%s]" % text)[0])
            except ValueError:
                continue
            if not same(theirs, new):
                raise SystemExit("%s: the table says %r, ruamel.yaml %r" % (text, new, theirs))
        do = outcome(text, old, new)
        # short ones made by rule: only those that somebody reads as more than text
        if text not in WORDS and old[0] == "text" and new[0] == "text":
            continue
        rows.append('    {"%s", "%s", "%s", %s, "%s"},' % (text, old[0], new[0], c_number(*new), do))
    with open(OUT, "w") as f:
        f.write("/* Made by tests/oracle/make_yaml_scalars.py (PyYAML %s, ruamel.yaml %s): do not edit. */\n"
                % (yaml.__version__, ruamel.yaml.__version__))
        f.write("/* text, what YAML 1.1 reads, what 1.2 reads, its value, where a config may not hold it */\n")
        f.write("static const struct {\n    const char *text, *old, *core;\n    double value;\n    const char *refused;\n"
                "} yaml_scalar[] = {\n/* clang-format off */\n")
        f.write("\n".join(rows) + "\n/* clang-format on */\n};\n")
    print(len(rows), "scalars")


main()
