"""Makes src/model/tokenizer/char_sets.c: what the tokenizers library's normalizers and pre-tokenizers take characters for.

    python3.11 -m venv venv && venv/bin/pip install tokenizers==0.22.2
    venv/bin/python tests/oracle/make_char_sets.py

Each of them has the Unicode version of the crate it is built on, so every set is asked of the library itself.
"""

import os

from make_unicode import fold_runs, table
from tokenizers import Regex, normalizers, pre_tokenizers

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "src", "model", "tokenizer", "char_sets.c")
CODES = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]


def ranges(codes):
    out = []
    for c in sorted(codes):
        if out and out[-1][1] == c - 1:
            out[-1][1] = c
        else:
            out.append([c, c])
    return out


def active():
    """What normalization may change: characters that decompose, that are reordered, that compose with one before."""
    nfd, nfkd = normalizers.NFD().normalize_str, normalizers.NFKD().normalize_str
    found = set(range(0x1161, 0x1176)) | set(range(0x11A8, 0x11C3))  # vowels and last consonants of Hangul
    for c in CODES:
        s = chr(c)
        parts = nfd(s)
        if len(parts) > 1:
            found.add(ord(parts[-1]))
        moves = [t for t in ("a" + s + "\u0334", "a\u0300" + s) if nfd(t) != t]  # classes 1 and 230
        if parts != s or nfkd(s) != s or moves:
            found.add(c)
    return found


def splits_from_a(pre):
    return {c for c in CODES if len(pre.pre_tokenize_str("a" + chr(c))) == 2}


def newer_numbers():
    numbers = pre_tokenizers.Split(Regex(r"\p{N}+"), "removed", True)
    known = set(map(ord, "".join(s for s, _ in numbers.pre_tokenize_str("".join(map(chr, CODES))))))
    found = splits_from_a(pre_tokenizers.Digits(True))
    assert known <= found
    return found - known


def check_words():
    """Whitespace's \\w is made of the properties of unicode_table.c."""
    words = pre_tokenizers.Split(Regex(r"[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{200c}\x{200d}]+"), "removed", True)
    known = set(map(ord, "".join(s for s, _ in words.pre_tokenize_str("".join(map(chr, CODES))))))
    pre = pre_tokenizers.Whitespace()
    assert known == {c for c in CODES if [s for s, _ in pre.pre_tokenize_str("a" + chr(c))] == ["a" + chr(c)]}


def lower():
    low = {c: normalizers.Lowercase().normalize_str(chr(c)) for c in CODES}
    longer = {c: s for c, s in low.items() if len(s) > 1}
    assert longer == {0x130: "i\u0307"}  # the code has it
    return {c: ord(s) for c, s in low.items() if s != chr(c) and len(s) == 1}


def put_ranges(f, name, what, codes):
    table(f, "\n/* %s */\nconst lb_uni_range %s[] = {" % (what, name), ["{0x%X,0x%X}" % tuple(r) for r in ranges(codes)])
    f.write("const int %s = sizeof %s / sizeof *%s;\n" % (name.replace("lb_uni_", "lb_uni_n_"), name, name))


def main():
    check_words()
    strip = normalizers.StripAccents()
    with open(OUT, "w", encoding="ascii") as f:
        f.write(
            "/* Made by tests/oracle/make_char_sets.py: what the tokenizers library's normalizers and pre-tokenizers take\n"
            " * characters for. */\n"
            '#include "model/tokenizer/unicode.h"\n\n/* clang-format off */'
        )
        put_ranges(f, "lb_uni_active", "what NFC, NFD, NFKC and NFKD may change", active())
        put_ranges(f, "lb_uni_accent", "what StripAccents drops",
                   {c for c in CODES if strip.normalize_str("a" + chr(c)) == "a"})
        put_ranges(f, "lb_uni_punctuation", "Punctuation", splits_from_a(pre_tokenizers.Punctuation("isolated")))
        put_ranges(f, "lb_uni_number", "Digits has them beside N", newer_numbers())
        table(f, "\n/* Lowercase */\nconst lb_uni_fold_run lb_uni_lower[] = {",
              ["{0x%X,0x%X,%d,%d}" % tuple(r) for r in fold_runs(lower())])
        f.write("const int lb_uni_n_lower = sizeof lb_uni_lower / sizeof *lb_uni_lower;\n")
    print(OUT, os.path.getsize(OUT))


if __name__ == "__main__":
    main()
