"""Makes fixtures/tokenizer/pipelines.json: pipelines of every kind of component, and what the tokenizers library makes of
texts that look for their edges.

    python3 -m venv venv && venv/bin/pip install tokenizers==0.22.2 sentencepiece gguf numpy
    venv/bin/python tests/oracle/make_pipelines.py

NAMED has those of model families, and each component alone; the rest are put together at random: normalizers,
pre-tokenizers, decoders, added tokens with every flag, options of the model. Each has its own texts: the ids with
special tokens parsed and as text, and what they decode to (null: U+FFFD is in it, where bytes stay here).
A run with numbers, `make_pipelines.py FIRST COUNT DIR`, writes that many more random ones for a longer comparison.
"""

import json
import os
import random
import sys

from make_tokenizer import BYTE_LEVEL, CHAR_DECODER, LLAMA3, META, MARKS, NO_REGEX, QWEN2, byte_model, char_model, metaspace, sequence, split, training_text
from tokenizers import Tokenizer

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fixtures", "tokenizer", "pipelines.json")
TEKKEN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
O200K = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
BLOOM = " ?[^(\\s|[.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c])]+"
BEHAVIORS = ["Isolated", "Removed", "Contiguous", "MergedWithPrevious", "MergedWithNext"]
PALETTE = list("theandring isxyz     \n\r\t''.,!12390sStTlLdDmM#$_-+/") + [
    "\u00e9", "\u0301", "e\u0301", "\u0434", "\u4f60", "\ud55c", "\U0001f600", "\u00a0", "\u2003", "\u0661", META, "\u180e", "<s>",
    "</s>", "<|mid|>", "[keep]", "the ", "  ", "'ll", "\r\n", "\u0130", "\u0391\u0345", "\ufb01", "\u32ff", "\ua7f2",
    "\u1e9b\u0323", "\u200d", "\u00bd", "\u00b2", "\u3000", "\u0085", "\U00011938", "\U00011935\U00011930", "\uac01",
    "\u1100\u1161\u11a8", "keep", "mid", "KEEP", "ab", "\x01", "\ufeff", "\u2e43", "\u061d", "\U00011de1", "1234", "999",
    "\u2028", "x</w>", "\u07fd", "\u0898a", "\u01c5", "\u02b0", "Thing", "THE", "caf\u00e9", "\u0436\u0414", "\u060c", "\u3002",
]
WORDS = "the cat isn't HERE; I'll pay $12,345.67 (or 3.14)!  caf\u00e9\n\n\tdef f(x):\r\n    return x_1 + '\u4f60\u597d\u3002' \u060c \u0661\u0662\u0663 \u00bd"


def text_of(rng):
    return "".join(rng.choices(PALETTE, k=rng.choice([0, 1, 2, 3, 5, 8, 13, 30])))


def digits(each):
    return {"type": "Digits", "individual_digits": each}


def punctuation(behavior):
    return {"type": "Punctuation", "behavior": behavior}


def named():
    """name, base, normalizer, pre-tokenizer, decoder"""
    pre = lambda *p: sequence("pretokenizers", *p)
    byte = lambda name, *p, normalizer=None: (name, "bytes", normalizer, pre(*p), BYTE_LEVEL)
    char = lambda name, normalizer, p, decoder=CHAR_DECODER: (name, "chars", normalizer, p, decoder)
    marks = {"type": "Replace", "pattern": {"String": META}, "content": " "}
    yield byte("gpt-2, opt, gpt-neox, olmo", BYTE_LEVEL)
    yield byte("bloom", split(BLOOM), NO_REGEX)
    yield byte("llama 3", split(LLAMA3), NO_REGEX)
    yield byte("llama 3, inverted", split(LLAMA3, "Removed", True), NO_REGEX)
    yield byte("qwen 2", split(QWEN2), NO_REGEX, normalizer={"type": "NFC"})
    yield byte("tekken", split(TEKKEN), NO_REGEX)
    yield byte("o200k", split(O200K), NO_REGEX)
    yield byte("falcon", punctuation("Contiguous"), BYTE_LEVEL, digits(False), split("[0-9][0-9][0-9]"))
    yield byte("starcoder, cohere, smollm", digits(True), BYTE_LEVEL)
    yield byte("deepseek", split(r"\p{N}{1,3}"), split("[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"), split(
        "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
        "| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"), NO_REGEX)
    yield char("llama 2", sequence("normalizers", {"type": "Prepend", "prepend": META}, MARKS), None)
    yield char("gemma", MARKS, split(" ", "MergedWithPrevious", kind="String"),
               sequence("decoders", marks, {"type": "ByteFallback"}, {"type": "Fuse"}))
    for scheme in ("always", "first", "never"):
        for cut in (True, False):
            yield char("metaspace %s %s" % (scheme, cut), None, metaspace(scheme, cut), dict(metaspace(scheme, cut)))
    for form in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Nmt", "ByteLevel"):
        yield byte(form, split(r"\s+"), NO_REGEX, normalizer={"type": form})
    for left in (True, False):
        for right in (True, False):
            yield byte("strip %s %s" % (left, right), NO_REGEX,
                       normalizer={"type": "Strip", "strip_left": left, "strip_right": right})
    for behavior in BEHAVIORS:
        yield byte("punctuation " + behavior, punctuation(behavior), NO_REGEX)
        yield byte("split " + behavior, split(r"\s+", behavior), NO_REGEX)
        yield byte("split inverted " + behavior, split("t", behavior, True, "String"), NO_REGEX)
    yield byte("whitespace", {"type": "Whitespace"}, NO_REGEX)
    yield byte("whitespace split", {"type": "WhitespaceSplit"}, NO_REGEX)
    yield byte("bert", {"type": "BertPreTokenizer"}, NO_REGEX)
    yield byte("delimiter", {"type": "CharDelimiterSplit", "delimiter": "e"}, NO_REGEX)
    yield byte("digits in runs", digits(False), NO_REGEX)
    yield byte("a first space", dict(BYTE_LEVEL, add_prefix_space=True))


# ---- at random ----


def one_of_normalizers(rng):
    string, regex = lambda s: {"String": s}, lambda s: {"Regex": s}
    patterns = [string(" "), string("th"), regex(" {2,}"), regex("[a-d]+"), string("'")]
    return rng.choice([
        {"type": rng.choice(["NFC", "NFD", "NFKC", "NFKD"])},
        {"type": rng.choice(["Lowercase", "StripAccents", "Nmt"])},
        {"type": "Strip", "strip_left": rng.random() < 0.5, "strip_right": rng.random() < 0.5},
        {"type": "Prepend", "prepend": rng.choice([META, " ", "x"])},
        {"type": "Replace", "pattern": rng.choice(patterns), "content": rng.choice([META, "", "Z", " "])},
        MARKS,
        None,
        None,
    ])


def one_of_pre_tokenizers(rng):
    patterns = [LLAMA3, QWEN2, TEKKEN, O200K, GPT2, BLOOM, r"\s+", "[0-9][0-9][0-9]", r"\p{N}{1,3}", "(?=t)", r"\b", "x*"]
    invert, behavior = rng.random() < 0.3, rng.choice(BEHAVIORS)
    return rng.choice([
        dict(BYTE_LEVEL, add_prefix_space=rng.random() < 0.3, use_regex=rng.random() < 0.7),
        dict(BYTE_LEVEL, use_regex=rng.random() < 0.7),
        {"type": rng.choice(["Whitespace", "WhitespaceSplit", "BertPreTokenizer"])},
        punctuation(behavior),
        digits(rng.random() < 0.5),
        dict(metaspace(rng.choice(["always", "first", "never"]), rng.random() < 0.5), replacement=rng.choice([META, META, "_"])),
        {"type": "CharDelimiterSplit", "delimiter": rng.choice([" ", "t", META])},
        split(rng.choice(patterns), behavior, invert),
        split(rng.choice(patterns), behavior, invert),
        split(rng.choice([" ", "e", "th"]), behavior, invert, "String"),
    ])


def one_of_decoders(rng):
    patterns = [{"String": META}, {"Regex": "[a-d]+"}]
    return rng.choice([
        BYTE_LEVEL,
        {"type": "ByteFallback"},
        {"type": "Fuse"},
        dict(metaspace(rng.choice(["always", "first", "never"]), True), replacement=rng.choice([META, "_"])),
        {"type": "Replace", "pattern": rng.choice(patterns), "content": rng.choice([" ", "-"])},
        {"type": "Strip", "content": rng.choice([" ", "t"]), "start": rng.randrange(3), "stop": rng.randrange(3)},
        {"type": "BPEDecoder", "suffix": rng.choice(["</w>", "e"])},
        None,
    ])


def several(rng, kind, one):
    members = [m for m in (one(rng) for _ in range(rng.choice([0, 1, 1, 2, 3]))) if m]
    return None if not members else members[0] if len(members) == 1 else sequence(kind, *members)


def added_tokens(rng, vocab):
    out, size = [], len(vocab)
    contents = ["<s>", "</s>", "<|mid|>", "[keep]", "<|mid|> more", "keep", "a", "th", " ", "  ", "\u00e9", "e\u0301", META * 2,
                "the ", "KEEP", "\n", "1"]
    for content in rng.sample(contents, rng.choice([0, 1, 3, 6])):
        token_id = vocab.get(content, size)
        size += token_id == size
        flags = {k: rng.random() < p for k, p in
                 (("single_word", 0.3), ("lstrip", 0.3), ("rstrip", 0.3), ("normalized", 0.4), ("special", 0.5))}
        out.append(dict(flags, id=token_id, content=content))
    return out


def affixed_model(rng):
    """A small model whose symbols have a prefix within words, or a suffix at their ends."""
    prefix, suffix = rng.choice([(None, "</w>"), ("##", None), ("x", "</w>")])
    vocab, merges = {}, []
    add = lambda s: vocab.setdefault(s, len(vocab))
    add("<unk>")
    for c in "theandrigsx, .!0123456789\u0120\u00c3\u010a" + META:
        for p in {"", prefix or ""}:
            for s in {"", suffix or ""}:
                add(p + c + s)
    for a, b in ("th", "in", "he", "an"):
        right = (prefix or "") + b
        add(a + b)
        merges.append([a, right])
        if suffix:
            add(a + b + suffix)
            merges.append([a, right + suffix])
    return {"vocab": vocab, "merges": merges, "continuing_subword_prefix": prefix, "end_of_word_suffix": suffix}


def random_pipeline(seed):
    """base, changes of its model, the other parts."""
    rng = random.Random(seed)
    base = rng.choice(["bytes", "chars"])
    changes = {k: rng.random() < p for k, p in (("ignore_merges", 0.2), ("fuse_unk", 0.5), ("byte_fallback", 0.5))}
    changes["unk_token"] = "<unk>" if base == "chars" and rng.random() < 0.5 else None
    if rng.random() < 0.15:
        changes.update(affixed_model(rng), unk_token=rng.choice([None, "<unk>"]))
    return rng, base, changes, {
        "normalizer": several(rng, "normalizers", one_of_normalizers),
        "pre_tokenizer": several(rng, "pretokenizers", one_of_pre_tokenizers),
        "decoder": several(rng, "decoders", one_of_decoders),
    }


def nothing():
    """name, base, normalizer, pre-tokenizer, decoder: a Replace, a Split, that matches where nothing is."""
    pres = {
        "no": None, "first": metaspace("first", False), "everywhere": split("", "MergedWithNext", kind="String"),
    }  # fmt: skip
    for pattern in ({"Regex": "x*"}, {"Regex": "^"}, {"Regex": "\\b"}, {"Regex": "|t"}, {"String": ""}):
        for content in ("-", " ", META):
            for name, pre in pres.items():
                replace = {"type": "Replace", "pattern": pattern, "content": content}
                yield f"nothing {list(pattern.values())[0]!r} {content!r} {name}", "chars", replace, pre, CHAR_DECODER


def refused(parts):
    """What is refused by name: docs/tokenizers.md says why."""
    pre, normalizer = json.dumps(parts["pre_tokenizer"]), json.dumps(parts["normalizer"])
    first = '"prepend_scheme": "first"' in pre
    return first and ("Prepend" in normalizer or "ByteLevel" in pre or pre.count("Metaspace") > 1)


def answers(spec, texts):
    """Per text: hex of it, ids with special tokens parsed, ids as text (null: the same), what the first decode to."""
    t = Tokenizer.from_str(json.dumps(spec))
    out = []
    for s in texts:
        try:
            t.encode_special_tokens = False
            ids = t.encode(s, add_special_tokens=False).ids
            t.encode_special_tokens = True
            plain = t.encode(s, add_special_tokens=False).ids
            back = t.decode(ids, skip_special_tokens=False)
        except BaseException:  # the library panics on some texts
            continue
        back = None if "\ufffd" in back else back.encode().hex()
        out.append([s.encode().hex(), ids, None if plain == ids else plain, back])
    return out


def case(name, base, bases, changes, parts, texts):
    model = dict(bases[base], **changes)
    parts = dict({"added_tokens": [], "post_processor": None}, **parts)
    spec = dict({"version": "1.0", "truncation": None, "padding": None, "model": model}, **parts)
    return {"name": name, "base": base, "model": changes, "parts": parts, "texts": answers(spec, texts)}


def random_case(seed, bases, n_texts):
    rng, base, changes, parts = random_pipeline(seed)
    vocab = changes.get("vocab", bases[base]["vocab"])
    parts["added_tokens"] = added_tokens(rng, vocab)
    if refused(parts):
        return None
    spec = {"version": "1.0", "added_tokens": [], "normalizer": parts["normalizer"], "model": {"type": "BPE", "vocab": {}, "merges": []}}
    normalizer = Tokenizer.from_str(json.dumps(spec)).normalizer
    for a in parts["added_tokens"]:  # empty once normalized: refused
        if normalizer and not normalizer.normalize_str(a["content"]):
            a["normalized"] = False
    return case("random %d" % seed, base, bases, changes, parts, [text_of(rng) for _ in range(n_texts)])


def main():
    training = training_text()
    bases = {"bytes": byte_model(training), "chars": char_model(training)}
    out, cases = OUT, []
    if len(sys.argv) == 4:
        first, count, out = int(sys.argv[1]), int(sys.argv[2]), os.path.join(sys.argv[3], "pipelines.json")
        cases = [random_case(seed, bases, 30) for seed in range(first, first + count)]
    else:
        for i, (name, base, normalizer, pre, decoder) in enumerate(named()):
            rng = random.Random(i)
            texts = [WORDS] + [text_of(rng) for _ in range(8)]
            parts = {"normalizer": normalizer, "pre_tokenizer": pre, "decoder": decoder}
            cases.append(case(name, base, bases, {}, parts, texts))
        cases += [random_case(seed, bases, 7) for seed in range(90)]
        for i, (name, base, normalizer, pre, decoder) in enumerate(nothing()):
            rng = random.Random(1000 + i)
            texts = ["xe", "the x"] + [text_of(rng) for _ in range(3)]
            parts = {"normalizer": normalizer, "pre_tokenizer": pre, "decoder": decoder}
            cases.append(case(name, base, bases, {}, parts, texts))
    cases = [c for c in cases if c]
    with open(out, "w", encoding="utf-8") as f:
        json.dump({"models": bases, "cases": cases}, f, ensure_ascii=True, separators=(",", ":"))
        f.write("\n")
    print(out, len(cases), "pipelines", sum(len(c["texts"]) for c in cases), "texts", os.path.getsize(out))


if __name__ == "__main__":
    main()
