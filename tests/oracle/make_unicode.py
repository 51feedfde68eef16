"""Makes src/model/tokenizer/unicode_table.c: what the tokenizers library's regular expressions take each character for.

    python3.11 -m venv venv && venv/bin/pip install tokenizers==0.22.2
    venv/bin/python tests/oracle/make_unicode.py

Every property is asked of the library itself: it splits a text of all characters by \\p{NAME}, and single characters by
(?i:[c]) for case. Python 3.11, because its unicodedata (Unicode 14) tells which characters the oldest PCRE2 that is
trusted with categories does not know. Takes some minutes.
"""

import os
import sys
import unicodedata

from tokenizers import Regex
from tokenizers.pre_tokenizers import Split

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "src", "model", "tokenizer", "unicode_table.c")
CATEGORIES = "Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Cs Co Cn".split()
# Long and short names as Oniguruma takes them (it ignores case, '-', '_' and spaces).
SCRIPTS = """
adlam adlm, ahom, anatolianhieroglyphs hluw, arabic arab, armenian armn, avestan avst, balinese bali, bamum bamu,
bassavah bass, batak batk, bengali beng, bhaiksuki bhks, bopomofo bopo, brahmi brah, braille brai, buginese bugi,
buhid buhd, canadianaboriginal cans, carian cari, caucasianalbanian aghb, chakma cakm, cham, cherokee cher,
chorasmian chrs, common zyyy, coptic copt qaac, cuneiform xsux, cypriot cprt, cyprominoan cpmn, cyrillic cyrl,
deseret dsrt, devanagari deva, divesakuru diak, dogra dogr, duployan dupl, egyptianhieroglyphs egyp, elbasan elba,
elymaic elym, ethiopic ethi, garay gara, georgian geor, glagolitic glag, gothic goth, grantha gran, greek grek,
gujarati gujr, gunjalagondi gong, gurmukhi guru, gurungkhema gukh, han hani, hangul hang, hanifirohingya rohg,
hanunoo hano, hatran hatr, hebrew hebr, hiragana hira, imperialaramaic armi, inherited zinh qaai,
inscriptionalpahlavi phli, inscriptionalparthian prti, javanese java, kaithi kthi, kannada knda, katakana kana, kawi,
kayahli kali, kharoshthi khar, khitansmallscript kits, khmer khmr, khojki khoj, khudawadi sind, kiratrai krai,
lao laoo, latin latn, lepcha lepc, limbu limb, lineara lina, linearb linb, lisu, lycian lyci, lydian lydi,
mahajani mahj, makasar maka, malayalam mlym, mandaic mand, manichaean mani, marchen marc, masaramgondi gonm,
medefaidrin medf, meeteimayek mtei, mendekikakui mend, meroiticcursive merc, meroitichieroglyphs mero, miao plrd,
modi, mongolian mong, mro mroo, multani mult, myanmar mymr, nabataean nbat, nagmundari nagm, nandinagari nand,
newtailue talu, newa, nko nkoo, nushu nshu, nyiakengpuachuehmong hmnp, ogham ogam, olchiki olck, oldhungarian hung,
olditalic ital, oldnortharabian narb, oldpermic perm, oldpersian xpeo, oldsogdian sogo, oldsoutharabian sarb,
oldturkic orkh, olduyghur ougr, olonal onao, oriya orya, osage osge, osmanya osma, pahawhhmong hmng, palmyrene palm,
paucinhau pauc, phagspa phag, phoenician phnx, psalterpahlavi phlp, rejang rjng, runic runr, samaritan samr,
saurashtra saur, sharada shrd, shavian shaw, siddham sidd, signwriting sgnw, sinhala sinh, sogdian sogd,
sorasompeng sora, soyombo soyo, sundanese sund, sunuwar sunu, sylotinagri sylo, syriac syrc, tagalog tglg,
tagbanwa tagb, taile tale, taitham lana, taiviet tavt, takri takr, tamil taml, tangsa tnsa, tangut tang, telugu telu,
thaana thaa, thai, tibetan tibt, tifinagh tfng, tirhuta tirh, todhri todr, toto, tulutigalari tutg, ugaritic ugar,
unknown zzzz, vai vaii, vithkuqi vith, wancho wcho, warangciti wara, yezidi yezi, yi yiii, zanabazarsquare zanb
"""
ALPHABETIC, LOWERCASE, UPPERCASE, NEWER = 1, 2, 4, 8

# All characters but those of planes 4 to 13 (unassigned) and most of the private planes, whose ends are here.
CODES = [c for c in range(0x33480) if not 0xD800 <= c < 0xE000] + list(range(0xE0000, 0xE0200))
CODES += [0x40000, 0xDFFFF, 0xEFFFF, 0xF0000, 0xFFFFD, 0xFFFFE, 0x100000, 0x10FFFD, 0x10FFFE, 0x10FFFF]
CODES = sorted(set(CODES) | {0x1FFFE, 0x2FFFE})
TEXT = "".join(map(chr, CODES))


def matches(pattern, text):
    return [s for s, _ in Split(Regex(pattern), "removed", True).pre_tokenize_str(text)]


def property_of(name):
    return set(map(ord, "".join(matches(r"\p{%s}+" % name, TEXT))))


def one_of(names):
    """code -> the only one of the names whose property has it."""
    of = {}
    for i, name in enumerate(names):
        for c in property_of(name):
            assert c not in of, (hex(c), name)
            of[c] = i
    assert len(of) >= len(CODES), "properties that do not cover every character"
    return of


def classify(scripts):
    """The runs of characters of one kind, as (first, kind), and the kinds."""
    category = one_of([n for n in CATEGORIES if n != "Cs"])  # Cs is asked of no text: surrogates are no characters
    names = [n for n in CATEGORIES if n != "Cs"]
    script = one_of([s[0] for s in scripts])
    alphabetic, lower, upper = (property_of(n) for n in ("Alphabetic", "Lowercase", "Uppercase"))
    unknown = [s[0] for s in scripts].index("unknown")
    kinds, runs, last, moved = {}, [], None, []
    for c in sorted(CODES + [0xD800]):
        if c == 0xD800:
            key = (CATEGORIES.index("Cs"), unknown, 0)
        else:
            name = names[category[c]]
            flags = ALPHABETIC * (c in alphabetic) + LOWERCASE * (c in lower) + UPPERCASE * (c in upper)
            older = unicodedata.category(chr(c))
            flags += NEWER * (older != name)
            if older not in ("Cn", name):
                moved.append((c, CATEGORIES.index(older)))
            key = (CATEGORIES.index(name), script[c], flags)
        if key != last:
            runs.append((c, kinds.setdefault(key, len(kinds))))
            last = key
    return runs, kinds, moved


def newer_ranges(runs, kinds):
    """The characters that are NEWER, as (first, last)."""
    ranges = []
    for (first, kind), (end, _) in zip(runs, runs[1:] + [(0x110000, 0)]):
        if not kinds[kind][2] & NEWER:
            continue
        if ranges and ranges[-1][1] == first - 1:
            first = ranges.pop()[0]
        ranges.append((first, end - 1))
    return ranges


def fold():
    """code -> the least of the characters that equal it when case is ignored; code -> what it equals that is longer."""
    cased = property_of("Cased") | property_of("CWU") | property_of("CWL")
    cased |= {c for c in CODES if any(f(chr(c)) != chr(c) for f in (str.lower, str.upper, str.title, str.casefold))}
    longer = sorted({chr(c).casefold() for c in CODES if len(chr(c).casefold()) > 1})
    text = "\n".join(list(map(chr, sorted(cased))) + longer) + "\n"
    least, several, classes = {}, {}, {}
    for c in sorted(cased):
        found = matches("(?i:[%s])" % chr(c), text)
        same = frozenset(ord(s) for s in found if len(s) == 1)
        assert c in same and all(classes.get(d, same) == same for d in same), hex(c)
        classes[c] = same
        least[c] = min(same)
        rest = sorted({s for s in found if len(s) > 1})
        assert len(rest) <= 1, hex(c)
        if rest:
            several[c] = rest[0]
    several = {c: [least.get(ord(x), ord(x)) for x in s] for c, s in several.items()}
    return {c: k for c, k in least.items() if k != c}, several


def fold_runs(least):
    """[first, last, step, delta]: every step-th character of first..last has the least equal one at + delta."""
    runs = []
    for c in sorted(least):
        d = least[c] - c
        if runs and runs[-1][3] == d:
            first, last, step, _ = runs[-1]
            if c - last == step or (first == last and c - last <= 2):
                runs[-1] = [first, c, c - last, d]
                continue
        runs.append([c, c, 1, d])
    return runs


def table(f, head, items, end="};\n"):
    f.write(head + "\n")
    line = "    "
    for item in items:
        if len(line) + len(item) + 1 > 120:
            f.write(line.rstrip() + "\n")
            line = "    "
        line += item + ","
    f.write(line.rstrip() + "\n" + end)


def main():
    if unicodedata.unidata_version != "14.0.0":
        sys.exit("Python 3.11 is needed: its unicodedata is of Unicode 14")
    scripts = [s.split() for s in SCRIPTS.replace("\n", " ").split(",")]
    for names in scripts:
        for other in names[1:]:
            assert matches(r"\p{%s}" % other, TEXT[:3000]) == matches(r"\p{%s}" % names[0], TEXT[:3000]), names
    runs, kinds, moved = classify(scripts)
    least, several = fold()
    with open(OUT, "w", encoding="ascii") as f:
        f.write(
            "/* Made by tests/oracle/make_unicode.py: what the tokenizers library (Oniguruma, Unicode 16) takes each\n"
            " * character for. Data of the Unicode Character Database. */\n"
            '#include "model/tokenizer/unicode.h"\n\n/* clang-format off */\n'
        )
        table(f, "/* category | script << 5 | flags << 13 */\nconst uint32_t lb_uni_kind[] = {",
              ["0x%X" % (g | s << 5 | fl << 13) for g, s, fl in kinds])
        table(f, "\n/* first character << 11 | kind, in order */\nconst uint32_t lb_uni_packed[] = {",
              ["0x%X" % (c << 11 | k) for c, k in runs])
        f.write("const int lb_uni_n_run = sizeof lb_uni_packed / sizeof *lb_uni_packed;\n")
        table(f, "\nconst lb_uni_range lb_uni_newer[] = {", ["{0x%X,0x%X}" % r for r in newer_ranges(runs, list(kinds))])
        f.write("const int lb_uni_n_newer = sizeof lb_uni_newer / sizeof *lb_uni_newer;\n")
        table(f, "const lb_uni_moved_one lb_uni_moved[] = {", ["{0x%X,%d}" % m for m in moved])
        f.write("const int lb_uni_n_moved = sizeof lb_uni_moved / sizeof *lb_uni_moved;\n")
        f.write("\n/* Names of the scripts: the first is the long one. */\n")
        table(f, "const char *const lb_uni_script[][3] = {",
              ["{%s}" % ", ".join('"%s"' % n for n in s) for s in scripts])
        f.write("const int lb_uni_n_script = sizeof lb_uni_script / sizeof *lb_uni_script;\n")
        table(f, "\nconst lb_uni_fold_run lb_uni_fold[] = {",
              ["{0x%X, 0x%X, %d, %d}" % tuple(r) for r in fold_runs(least)])
        f.write("const int lb_uni_n_fold = sizeof lb_uni_fold / sizeof *lb_uni_fold;\n")
        table(f, "\nconst lb_uni_several lb_uni_folds_to_several[] = {",
              ["{0x%X, {%s}}" % (c, ", ".join("0x%X" % x for x in s)) for c, s in sorted(several.items())])
        f.write("const int lb_uni_n_several = sizeof lb_uni_folds_to_several / sizeof *lb_uni_folds_to_several;\n")
    print(len(runs), "runs", len(kinds), "kinds", len(fold_runs(least)), "folds", len(several), "several")
    assert len(kinds) < 2048


main()
