"""Makes fixtures/tokenizer/regex.json: where the tokenizers library cuts texts by patterns of its dialect (Oniguruma).

    python3 -m venv venv && venv/bin/pip install tokenizers==0.22.2     (0.23.3 writes the same file)
    venv/bin/python tests/oracle/make_regex.py
    venv/bin/python tests/oracle/make_regex.py --random 20000 SEED FILE   then: test_regex_oracle FILE

texts   the texts, in hexadecimal UTF-8
rows    [pattern, expected, [text, ends...]...]: the ends of the pieces in bytes. Expected: "equal" (the same pieces),
        "refused: WORDS" (the library takes the pattern, but it is refused here with these words), "error" (the library
        refuses it too), "either" (equal or refused)
hashed  [pattern, FNV-1a of the ends]: over one long text, `edges`: the first and the last character of each run of equal
        kind, by the properties below
"""

import json
import os
import random
import sys

from tokenizers import Regex
from tokenizers.pre_tokenizers import Split

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fixtures", "tokenizer", "regex.json")

TEXTS = [
    "aab ab x\n A\u0101 \x01 12345678 ab12  cd\r\n\r\n\tend",
    "It's 'S '\u017f they'LL don't WE'RE I'VE i'm he'd 12 1234567 x\u00b2\u00bd\u2167\u24d0 \u0661\u0662",
    "caf\u00e9 cafe\u0301 \u4f60\u597d\uff0c\u4e16\u754c \ud55c\uad6d \u0434\u043e\u043c \u0e44\u0e17\u0e22 \u3053\u3093\u30ab \U0001f600\U0001f468\u200d\U0001f469 \u1c89\u1c8a\u2ebf0 \U00016d40",
    "\u00a0x\u0085y\u180ez\u200b\u2003\u2028\u3000\ufeff \x0b\x0c\x1c a\u203fb _ \u0345",
    "ss \u00df \u1e9e sS \u017fs fi \ufb01 ffi \ufb03 K\u212ak \u00c5\u212b \u0130i\u0131I i\u0307 \u03a3\u03c3\u03c2 \u01c4\u01c5\u01c6",
    "".join(map(chr, range(1, 128))),
    "aaaaaaaaaaaab aba abab bbbb ba\nab\n\nb",
    "a{2} a{,} {1} (x) [y] a-b.c^d$e|f\\g*h+i?j &&k #l ]m }n /o \"p\" <q> ~r",
    "a\nb\n",
    "abc",
    "ab ab cd",
]
LONG = "abcab" * 3 + " x1 22 333 4444 \n\n" + "\u00e9\u00c9" * 3

LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
O200K_UPPER, O200K_LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}"
CONTRACTION = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"


def o200k(less="", contraction=CONTRACTION, digits=r"\p{N}{1,3}"):
    upper, lower, first = O200K_UPPER + less + "]", O200K_LOWER + less + "]", r"[^\r\n\p{L}\p{N}]?"
    return (
        f"{first}{upper}*{lower}+{contraction}|{first}{upper}+{lower}*{contraction}|{digits}"
        r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )


# Patterns of published tokenizers (GPT-2, GPT-4 old and new, GPT-4o, Llama 3, Qwen 2 and 3.5, DeepSeek, Falcon, Bloom,
# Gemma, Kimi, Mistral, OLMo, Phi, Granite, SmolLM, StarCoder and those that share theirs).
PUBLISHED = [
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    LLAMA3,
    LLAMA3.replace("{1,3}", ""),
    LLAMA3.replace("{1,3}", "{1,2}"),
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s",
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    o200k(),
    o200k(contraction="", digits=r"\p{N}"),
    r"[\p{Han}]+|" + o200k(r"&&[^\p{Han}]"),
    "[\r\n]",
    "\\s?[A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0370-\u0373\u0400-\u0481\u212a-\u212d]+",
    "\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+",
    "\\s+$",
    "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+",
    r"\p{N}{1,3}",
    "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "[0-9][0-9][0-9]",
    " ?[^(\\s|[.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c])]+",
    " ?[^(\\s|.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c)]+",
    " ",
    r"\p{N}",
    r"\p{N}{3}",
    r" ?\p{N}{1,3}| ?[^\s\p{L}\p{N}]{2,}[\r\n/]*| +(?!\S)",
    r"\d{1,3}(?=(?:\d{3})*\b)",
    r"(?=(\d{3})+(?!\d))",
]

# One construct a row, alone and within others: what is written for PCRE2 must cut as the library does.
EQUAL = r"""
a;ab|b;|a;a|;a||b;();(|a)+b;(a|);(a|ab)(c|bcd);.;a.b;.*;.+?b;(?m).*;(?m)a.b;(?m:.)+;(?-m:.)+;(?mi-x:A.)
^;$;^a;b$;^.*$;\A.;.\z;.\Z;a$\nb;^\z;\Z|b;(?m:.)\z;\b;\B;\b\w+\b;\Ba;\b.\b;\b2\b;(?=a);(?!a).;(?<=a)b;(?<!a)b;(?<=a|bc)d;(?<=^a)b
(?<=\n)b;(?<=\b)b;(?<=(?<=a)b) ;(?<=(a))b;(?<=a{2})b;(?>a+)b;(?>a|ab)c;(?>a*)*b;a(?=b)(?=b);(?=(a))\1;(?!(a))b;a\Kb;\Ka
a*;a+;a?;a*?;a+?;a??;a*+;a++;a?+;a?+a;a++a;a{2};a{2,};a{,3};a{1,3};a{0};a{0}b;a{,0}b;a{0,0}?b;a{2,}?;a{,3}?b;a{1,3}?
a{2}?;a{2}+;a{2,}+;a{,3}+b;a{1,3}+;a{3,1};a{3,1}a;a{3,1}+a;a{2,1}?;\p{N}{1,3}+;\p{N}{,3};(?:12){2}?;(?:ab){1,2}+;a{1}{1}
a**;a+?+;a+++;a?*;a+*?;a??+;a{2}{3};a{2}*;(?:a*)+b;(?:a+)?b;(?:a?)*?b;(?:a+?)*b;(?:a??)*b;(?:a*?)+b
()*a;(?:|a)*b;(?:a|)*b;(?:a*|b)*;(?:a?b?)*x;(?:a|b)*+a;(?:(?:a|b)*?)+b;(a*)*b;(a+|b)*
{;a{;a{1;a{1,;a{1,2;a{x};a{,};a{ 1};a{1 };a{-1};};];a{}
(?i)a;(?i:A)b;(?i)k;(?i:\x{212a});(?i:s);(?i:'s|'t|'re|'ve|'m|'ll|'d);'(?i:[sdmt]|ll|ve|re);(?i)\u0101;(?i)[a-z]+;(?i)[^a];(?i)[a-z&&[^s]]
(?i)\p{Lu};(?i)\P{Lu};(?i)\w;(?i)[^\p{Lu}];(?i)[\W];(?i)[^\W];(?i)[^\u00df]+;(?i)\u03c3+;(?i)\u01c5;(?i)[\u03b1-\u03c9]{2};(?-i)A;(?i-i:A);(?i:a(?-i)b)c
a(?i)b|c;x(?i)a|b;(?:(?i)a|b)B;((?i)a)b;(?i)s(?-i)s;(?i)(?<=A)b;(?i:i);(?i:[\u0131I]);a(?i:b)c|(?i)d
(?x) a b # c;(?x: a b );(?x)[a b];(?x)\ a;(?x)a\#;(?x)a + b;(?x)a+ +;(?x)a+ ?;(?x)a{ 2};(?x)a {2};(?x)(?# c ) a;(?x)a(?-x) b;(?-x) a
(?#x)a;a(?#x)+;a+(?#x)?;a(?#x){2};(?#a\)b)c;a(?#)b
(?<n>a)(b);(?'n'a);(a)\1;(a)(b)\2\1;(a|b)\1;(a)\k<1>;(a)\k'1';(a)\k<-1>;(a)(b)\k<-2>;(?<n>a)\k<n>;(?<n>a|b)(c)?\k<n>;(?<_a1>x)\k<_a1>;(a*)\1b;(?:(a)|b)\1;(a)?\1b
(?:(a)|b)*\1;()()()()()()()()()(a)\10;(a)\10;(a)\01;(\w)\1;(?:(\w)\1)+
\t;\n;\r;\f;\v;\V;\a;\e;\x41;\x4;\x{41};\x{1f600};\u0041;\u4f60;\101;\12;\0;\08;\18;\012a;\o{101};\o{777};\cA;\ca;\C-a;\Qa.b\E;\E;\F;\I;\J;\L;\T;\U;\i;\j;\l;\m;\o;\q;\p;\P;\k;\g;\_;\-;\.;\[;\\;\/;\ ;\<;\>;\`;\';\&;\pL
\d;\D;\s;\S;\w;\W;\h;\H;\R;\R+;\R{2};\N;\O;\N+;\O+;\d+\b;\s+(?!\S);\w+\W;\h+\H
\p{L};\p{l};\p{ L };\p{L_l};\p{Lu};\p{lu};\p{LC};\p{^L};\P{L};\P{^L};\p{Letter};\p{Uppercase_Letter};\p{uppercase letter};\p{Han};\p{hani};\p{Latin}+;\p{Alpha};\p{Punct};\p{Word};\p{Any};\p{Assigned}+;\p{ASCII}+;\p{Cn};\p{C};\p{Zs};\p{M};\p{White_Space};\p{Alphabetic}+
[a];[abc];[a-c];[^a];[^a-c]+;[a-];[-a];[^-a];[a-c-];[a-c-e];[0-9-a-z];[a-b-c-d];[+--/];[a\-z];[\--a];[--a];[!--];[---];[-];[--];[a-c--z];[a-c--];[&-z];[a-\x{7a}]
[]a];[]];[^]];[^]a];[]-a];[]-];[\]-a];[[]a]];[\[-\]];[a&b];[&];[a&];[&a];[&&];[a&&];[&&a];[^&&];[^a&&];[a&&b];[a&&b&&c];[a-z&&b-y&&c-x];[^a-z&&b-y]
[a-z&&[^aeiou]];[[a-z]&&[^a]&&[^b]];[a-&&b];[a-d-&&d];[a-z&&-b];[-&&-];[a&&&b];[a&&&&b];[a-c&&b-];[\w&&[^\d]]+;[\p{L}&&\p{Lu}];[^\s&&[^\n]]
[a[bc]d];[a[^b]];[[a]&&[b]];[a[^b&&[^c]]d];[^[^a]];[^[a]&&[^b]];[a-z-[0-9]];[a-b-[c]];[[a]-z];[[a]-];[a-c[d]-f];[[[a]]b];[[=a=]];[[.a.]];[:alpha:]
[[:alpha:]];[[:^alpha:]];[^[:alpha:]];[a[:digit:]b]+;[[:alnum:]]+;[[:ascii:]]+;[[:blank:]];[[:cntrl:]];[[:graph:]]+;[[:lower:]];[[:print:]]+;[[:punct:]];[[:space:]];[[:upper:]];[[:xdigit:]]+;[[:word:]]+;[[:digit:]a-];[[:alpha:]-];[a-z[:digit:]&&[^5x]]
[\d];[\D];[\s];[\S];[\w]+;[\W];[\h];[\H];[\d-];[-\d];[\d\-a];[a-c-\d];[a-c-[:digit:]];[\s\S];[\s\S]+?b;[^\s\S];[\S\n]+;[\p{L}\p{N}]+;[^\p{L}];[\P{L}];[^\P{L}];[\p{^L}];[\p{L}-];[\pL];[\p{Han}\p{Hiragana}]+
[\n];[\b];[\e\a\f\v];[\v\V];[\t-\r];[\b-\n];[\e-~];[\101];[\1];[\0];[\0-\7];[\8];[\x41];[\x{41}-\x{43}];[\x61-c];[\141-c];[\u0041];[a-\u0063];[\cA];[\C-a];[\o{101}];[\R];[\N];[\O];[\X];[\Q];[\B];[\A\z\Z\G\K];[(-)];[*-+];[ -~];[.-\]];[\\-a];[\\-]
a{1,2}{3}?;(?>a|b)*?c;(?:a|b){2,3}?b;(?:ab|a){2};(?:\s|\S)+?x;[^\r\n]+;\s*[\r\n]+;(?:\r\n|\r|\n);\S+\s*;(?:\p{Lu}\p{Ll}+)+;(?<!\d)\d{2}(?!\d);(?=\d)\d|\D+;(?:(?!ab).)+
"""

# What the library takes and Lowbit refuses, by the words that name it.
REFUSED = [
    ("the absence operator", [r"(?~ab)", r"(?~)", r"(?~|ab)"]),
    ("a condition", [r"(a)?(?(1)b|c)"]),
    ("a callout", [r"(*FAIL)", r"(*MAX{2})", r"(?{x})", r"a(*FAIL)"]),
    ("a call of a group", [r"\g<n>(?<n>a)", r"(a)\g<1>", r"(a)\g'1'"]),
    ("a text segment", [r"\X", r"\y", r"\Y", r"\X+"]),
    ("where the search began", [r"\G.", r"a|\G"]),
    ("a new start of the match", [r"(?=\Ka)a", r"(?<=\K)b"]),
    ("a kind of group or an option", [r"(?W:\w)", r"(?W)\b", r"(?D:\d)", r"(?S:\s)", r"(?y{g}).", r"(?y{w}).", r"(?I)a", r"(?L)a", r"(?C)a"]),
    ("the option P", [r"(?P:[[:alpha:]])"]),
    ("a meta character", [r"\M-a", r"[\M-a]", r"\M-\C-a"]),
    ("a control character of no letter", [r"\c?", r"\c1", r"\c["]),
    ("a byte of a character", [r"\xc3\xa9", r"[\xc3\xa9]", r"\377"]),
    ("a list of codes, or an incomplete one", [r"\x{41 42}", r"[\x{41 43}]", r"[\x{41-43}]", r"\x{}", r"\o{}"]),
    ("a code that is no character", [r"\x{110000}", r"\x{d800}"]),
    ("a code without digits", [r"\xg"]),
    ("a look-behind", [r"(?<=a+)d", r"(?<=a*)b", r"(?<!a*)b", r"(?<=a{1,2})b", r"(?<=(?:a|bc))d", r"(?<=a(?:b|cd))e", r"(?<=\R)b"]),
    ("a reference", [r"\1(a)", r"\k<1>(a)", r"(a\1)", r"(a|b\1)+", r"(a)\k<1+0>"]),
    ("a reference that ignores case", [r"(?i:(a)\1)", r"(a)(?i:\1)"]),
    ("a reference in a look-behind", [r"(a)(?<=\1)b"]),
    ("a name of a group", [r"(?<a-b>x)", "(?<\u00e4>x)", r"(a)\k<+1>(b)", r"(?<a>x)\k<a-1>"]),
    ("a name of two groups", [r"(?<n>a)(?<n>b)\k<n>"]),
    ("a range that ends with a class", [r"[a-[b]]"]),
    ("a POSIX bracket that is not known", [r"[[:al]]"]),
    ("a property that is not known here", [r"\p{Emoji}", r"\p{InBasicLatin}", r"[\p{Emoji}a]"]),
    ("a counted repetition", [r"a*{2}", r"a*?{2}", r"(?:a?){3}?", r"(?:){3}a", r"(?:a{0,2}){2}b", r"(?:a|){1,2}"]),
    ("a leading run of any characters", [r"(?m)^.*$", r"(?m)(?=b).+", r"(?=b)\O*", r"(?m)\b(?:.)+"]),
    ("65535 is the limit here", [r"a{65536}", r"a{0,100000}"]),
    ("PCRE2 cannot hold it", [r"(?:[[:alpha:]]{1000}){1000}"]),
    ("ignoring case", ["(?i:ss)", "(?i:ss|fi)", "(?i:fi)", "(?i:st)", "(?i:ffi)", "(?i:\u00df)", "(?i:a\u00dfb)", "(?i:\ufb01)", "(?i:i\u0307)", "(?i:\u0130)", "(?i:\u0390)",
        r"(?i)s(?:s)", r"(?i)(?:s){1}s", r"(?i:s\x73)", r"(?i:s(?#x)s)", r"(?i)\x{df}", r"(?i)j\x{30c}", r"(?i)\x{3b9}\x{308}\x{301}"]),
    ("a class that ignores case", ["(?i:[\u00df])", "(?i:[\u00df]x)", r"(?i:[\p{Ll}])", r"(?i:[[:lower:]])", r"(?i:[\w])", r"(?i:[a-\x{ff}])", "(?i)[[^\u00df]]"]),
]

# What the library refuses too.
ERROR = r"""
*a;a|*;(*);^*a;\b+a;(?=a)*a;(?=a){2};(?!a)?b;(?<=a)*b;(?<!a)+b;$+;\z?;(?:^)*a;(?:\b)+a;(?i)*a;\K*a;{1};a|{1};({1});(?#c)*a;(?x)( ?:a)
(;);a);(?;(?:;(?<;(?<>a);(?<1>a);(?<n;(?#;(?i;(?i-;(?P<n>a);(?s:.);(?a:b);(?u:b);(?^:b);(?R);(?1);(?&n);(?|a|b);(?@a);(?*a)
[;[a;[];[z-a];[a-\d];[\d-a];[\s-x];[\w-\d];[[:alpha:]-z];[z-[:alpha:]];[a--];[a-\n];[[]];[[]-];[a[b];[[:foo:]];[[:ALPHA:]];[[:alpha]
\;\p{;\p{};\p{Foo};\p{^^L};\p{L&};\p{IsL};\p{Script=Han};\7;\1;(a)\2;(a)\k<x>;(?<n>a)\1;\u41;\u{41};\c;\C;\Ca;\k<>;\k<a;\x{000000041};a{100001};(?<!(a))b;(?<=(?=a)a)b
"""

CATEGORIES = "L Lu Ll Lt LC Lm Lo M Mn Mc Me N Nd Nl No P Pc Pd Ps Pe Pi Pf Po S Sm Sc Sk So Z Zs Zl Zp C Cc Cf Co Cn".split()
POSIX = "alnum alpha ascii blank cntrl digit graph lower print punct space upper xdigit word".split()
SCRIPTS = "Latin Greek Cyrillic Han Hiragana Katakana Hangul Thai Arabic Hebrew Devanagari Common Inherited Unknown".split()


def rows_of(block):
    return [p for line in block.strip("\n").split("\n") for p in line.split(";") if p]


def compiled(pattern):
    try:
        return Split(Regex(pattern), "isolated")
    except Exception:
        return None


def ends(split, text):
    out, at = [], 0
    for piece, _ in split.pre_tokenize_str(text):
        at += len(piece.encode("utf-8"))
        out.append(at)
    return out


def edges():
    """Neighbours at which some property below changes, of all characters up to U+323AF and of planes 14 to 16."""
    codes = [c for c in list(range(0x323C0)) + list(range(0xE0000, 0xE01F8)) if not 0xD800 <= c < 0xE000]
    text = "".join(map(chr, codes))
    cut = set()
    for name in CATEGORIES + SCRIPTS + ["Alphabetic", "Lowercase", "Uppercase"]:
        at = 0
        for piece, _ in Split(Regex(r"\p{%s}+" % name), "isolated").pre_tokenize_str(text):
            at += len(piece)
            cut.add(at)
    keep = sorted({i for c in cut for i in (c - 1, c) if 0 <= i < len(codes)})
    return "".join(chr(codes[i]) for i in keep) + "\U000f0000\U0010fffd\U0010ffff"


def fnv(numbers):
    h = 0xCBF29CE484222325
    for x in numbers:
        for b in x.to_bytes(4, "little"):
            h = (h ^ b) * 0x100000001B3 & (1 << 64) - 1
    return "%016x" % h


class Grammar:
    """Random patterns of what is known here, over few characters so that they match."""

    def __init__(self, rng):
        self.rng = rng

    def pick(self, *parts):
        return self.rng.choice(parts)

    def member(self):
        return self.pick("a", "b", "c", "a-c", "1", "0-9", "-" if self.rng.random() < 0.2 else "x", r"\d", r"\s", r"\w",
                         r"\p{L}", r"\p{Lu}", r"\P{L}", "[:alpha:]", "[:^digit:]", r"\n", "\u00e9", "K", "[ab]", "[^b]")

    def char_class(self, depth=0):
        parts = [self.member() for _ in range(self.rng.randint(1, 3))]
        body = "".join(parts)
        if self.rng.random() < 0.15 and depth < 2:
            body += "&&" + self.pick("b", "a-z", "[^a]", r"\w")
        return "[" + self.pick("", "", "^") + body + "]"

    def atom(self, depth):
        r = self.rng.random()
        if depth <= 0 or r < 0.45:
            return self.pick("a", "b", "c", "ab", ".", "1", " ", "K", r"\d", r"\s", r"\w", r"\S", r"\W", r"\n", r"\p{L}",
                             r"\p{N}", "\u00e9", r"\R", r"\N", r"\O", r"\h")
        if r < 0.6:
            return self.char_class()
        if r < 0.66:
            return self.pick("^", "$", r"\b", r"\B", r"\A", r"\z", r"\Z")
        if r < 0.72:
            return self.pick("(?=", "(?!") + self.alternatives(depth - 1) + ")"
        if r < 0.76:
            return self.pick("(?<=", "(?<!") + self.pick("a", "b|aa", r"\s", "[ab]", r"\w\w", "^a", r"\b1") + ")"
        if r < 0.8:
            return "(?>" + self.alternatives(depth - 1) + ")"
        if r < 0.86:
            return self.pick("(?i:", "(?m:", "(?x: ", "(?-i:", "(?mi:") + self.alternatives(depth - 1) + ")"
        if r < 0.88:
            return self.pick("(?i)", "(?m)", "(?x)", "(?-m)") + self.alternatives(depth - 1)
        if r < 0.92:
            return "(" + self.alternatives(depth - 1) + ")"
        return "(?:" + self.alternatives(depth - 1) + ")"

    def quantified(self, depth):
        atom = self.atom(depth)
        if self.rng.random() < 0.55:
            return atom
        if len(atom) == 2 and atom == "ab":
            atom = "(?:ab)"
        for _ in range(1 + (self.rng.random() < 0.2)):
            atom += self.pick("*", "+", "?", "*?", "+?", "??", "*+", "++", "?+", "{2}", "{1,2}", "{,2}", "{1,}", "{2}?", "{1,2}?",
                              "{1,2}+", "{2}+", "{2,1}", "{0}", "{,1}?", "{1,}+")
        return atom

    def alternatives(self, depth):
        return "|".join(
            "".join(self.quantified(depth) for _ in range(self.pick(0, 1, 1, 2, 2, 3))) for _ in range(self.pick(1, 1, 1, 2, 3))
        )

    def pattern(self):
        p = self.alternatives(3)
        if self.rng.random() < 0.1:
            p = "(" + self.pick("a", "a|b", r"\w", "a*") + ")" + p + r"\1" + self.pick("", "*", "b")
        return p

    def text(self):
        return "".join(self.rng.choices(list("aaabbbcABK11 2 \n\n\r\u00e9\u00c9\u0301-x") + ["ab", "\r\n", "\u4f60"], k=self.rng.randint(0, 16)))


def random_rows(count, seed, index):
    rng = random.Random(seed)
    g, rows = Grammar(rng), []
    while len(rows) < count:
        pattern = g.pattern()
        split = compiled(pattern)
        if split is None or not pattern or "\x00" in pattern:
            continue
        cuts = []
        try:
            for text in [g.text() for _ in range(4)]:
                cuts.append((text, ends(split, text)))
        except BaseException as e:  # the library panics where it has tried too often
            if type(e).__name__ != "PanicException":
                raise
            continue
        cuts = [[index(text)] + cut for text, cut in cuts]
        rows.append([pattern, "either", *cuts])
    return rows


def table_rows(index):
    rows = []
    for pattern, expected in (
        [(p, "equal") for p in PUBLISHED + rows_of(EQUAL)]
        + [(p, "refused: " + words) for words, patterns in REFUSED for p in patterns]
        + [(p, "error") for p in rows_of(ERROR)]
    ):
        split = compiled(pattern)
        assert (split is None) == (expected == "error"), pattern
        texts = TEXTS + [LONG] if expected == "equal" else []
        rows.append([pattern, expected] + [[index(t)] + ends(split, t) for t in texts])
    return rows


def hashed_rows(text):
    patterns = [r"\p{%s}+" % n for n in CATEGORIES + SCRIPTS] + [r"[[:%s:]]+" % n for n in POSIX]
    patterns += [r"\p{%s}+" % n for n in POSIX] + [r"\w+", r"[\w]+", r"\s+", r"\d+", r"\h+", r"\b", r"\W+", r"[^\s\p{L}\p{N}]+"]
    patterns += [r"[\P{L}]+", r"[\p{L}&&[^\p{Han}]]+", r"(?i)[^a-z]+", PUBLISHED[0], PUBLISHED[4], o200k()]
    return [[p, fnv(ends(compiled(p), text))] for p in patterns]


def main():
    texts, at = [], {}

    def index(text):
        if text not in at:
            at[text] = len(texts)
            texts.append(text.encode("utf-8").hex())
        return at[text]

    out = {"texts": texts}
    path = OUT
    if sys.argv[1:2] == ["--random"]:
        out["rows"], path = random_rows(int(sys.argv[2]), int(sys.argv[3]), index), sys.argv[4]
    else:
        out["rows"] = table_rows(index) + random_rows(500, 9, index)
        long_text = edges()
        out["edges"] = long_text.encode("utf-8").hex()
        out["hashed"] = hashed_rows(long_text)
    with open(path, "w", encoding="utf-8") as f:
        f.write('{"texts":%s,\n' % json.dumps(texts, separators=(",", ":")))
        for key in ("edges", "hashed"):
            if key in out:
                f.write('"%s":%s,\n' % (key, json.dumps(out[key], separators=(",", ":"))))
        f.write('"rows":[\n' + ",\n".join(json.dumps(r, separators=(",", ":")) for r in out["rows"]) + "]}\n")
    print(len(out["rows"]), "rows", len(texts), "texts", os.path.getsize(path), "bytes")


main()
