"""Makes fixtures/tokenizer/: small tokenizers, and the ids that the `tokenizers` and `sentencepiece` packages give.

    python3 -m venv venv && venv/bin/pip install tokenizers==0.23.3 sentencepiece==0.2.3 gguf==0.19.0 numpy
    venv/bin/python tests/oracle/make_tokenizer.py
    venv/bin/python tests/oracle/make_tokenizer.py --real SMOLLM2.gguf STORIES260K.gguf TEXT...

variants.json   two BPE models (of bytes, of characters) trained on text made up here; for each combination of
                components the ids of every text, with special tokens parsed and as text
train.json      a training text and the vocabulary and merges that BpeTrainer learns from it
bytes.gguf      the first model as GGUF, kind gpt2, pre-tokenizer llama-bpe
added.gguf      bytes and added tokens as GGUF, of a model that is called Phi-3
scores.gguf     a SentencePiece BPE model as GGUF, kind llama; scores.json has the ids by sentencepiece
--real prints the SHA-256 of the ids (int32, little-endian) of whole texts, for tests/real/test_tokenizer_real.c.
"""

import hashlib
import io
import json
import os
import random
import sys

import gguf
import numpy as np
import sentencepiece
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fixtures", "tokenizer")
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
META = "\u2581"

TEXTS = [
    "",
    " ",
    "a",
    "Hello world",
    "four four leading fourleading",
    " Hello  world  ",
    "the cat's hat isn't what they've said; I'll say I'm sure he'd agree, we're fine",
    "IT'S WE'RE I'LL They'Ve 'S 's '\u017f x'\u017fy 'x",
    "one\r\ntwo\r\n\r\nthree\n\n\n four\n  five\t\tsix \n",
    "   leading, trailing   \n   ",
    "1 12 123 1234 12345 3.14 1,000,000 a1b22c333 \u0661\u0662\u0663 \u2167 \u00bd \u2460",
    "caf\u00e9 cafe\u0301 na\u00efve \u00c5ngstr\u00f6m \u1e9b\u0323 \ufb01 \u2126",
    "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440! \u4f60\u597d\uff0c\u4e16\u754c\u3002 \ud55c\uad6d\uc5b4 "
    "\u0639\u0631\u0628\u064a \u0939\u093f\u0928\u094d\u0926\u0940",
    "\U0001f600\U0001f44d\U0001f3fd \U0001f468\u200d\U0001f469\u200d\U0001f467 \u2764\ufe0f \U0001f1e9\U0001f1ea",
    "nbsp\u00a0here\u00a0\u00a0there\u2003em\u2028line\u3000wide\u0085next \u0085\u0085x a\u180eb  \u180e c\u200b\u200bd",
    "_under_score__ a-b--c... !!! ?!? (x) [y] {z} <w> \"q\" #tag @at $5 50% a&b x^2 ~ ` | \\ /",
    "if (x == 10) {\n\treturn y[3] + 0x1F;\n}\n\n    // done\r\n",
    "\u2581already \u2581\u2581marked\u2581 text",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "                                                                      x",
    "thethethethethethethethethethethethethethethethethethetheandandandandthethetheringing",
    "<s>Hello</s> world<|mid|> more <|mid|>  end<pad> [keep] and  [keep]  more[keep]",
    "<|mid|><|mid|><s><s> x</s>",
    "\x00\x01\x1f\x7f control \u0000",
    "\ufeffbom \ufffd replacement \ue000 private \U0010ffff last",
]


def training_text():
    """Made up: words of a few languages, numbers, code, white space, in random order."""
    rng = random.Random(5)
    words = (
        "the cat and the dog ran to a house near river ring sing king thing there then when what that this with "
        "have said going over under again hello world isn't they've I'll we're he'd Hello The And "
        "caf\u00e9 na\u00efve \u0434\u043e\u043c \u043c\u0438\u0440 \u4f60\u597d \u4e16\u754c \ud55c\uad6d 12 1999 3.14 100 return if else "
        "aaaa  \n \n\n \t ... !! (x) [y] == _ '"
    ).split(" ")
    weights = [1.0 / (k + 3) for k in range(len(words))]
    return " ".join(rng.choices(words, weights, k=3000))


def random_texts(n):
    rng = random.Random(11)
    palette = list("theandring isxyz     \n\r\t''.,!12390sStTlLdDmM") + [
        "\u00e9", "\u0301", "\u0434", "\u4f60", "\ud55c", "\U0001f600", "\u00a0", "\u2003", "\u0661", "\u2581", "\u180e",
        "<s>", "</s>", "<|mid|>", "[keep]", "the ", "  ", "'ll", "\r\n",
    ]
    return ["".join(rng.choices(palette, k=rng.randint(1, 40))) for _ in range(n)]


def byte_model(text):
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        min_frequency=2,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    t.train_from_iterator([text], trainer)
    return json.loads(t.to_str())["model"]


def char_model(text):
    """Llama 2's form: <unk> <s> </s>, 256 bytes, pieces with the mark; merges by frequency."""
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    special = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)]
    t.train_from_iterator(
        [text], trainers.BpeTrainer(vocab_size=420, min_frequency=2, special_tokens=special, show_progress=False)
    )
    return json.loads(t.to_str())["model"]


BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
NO_REGEX = dict(BYTE_LEVEL, use_regex=False)
MARKS = {"type": "Replace", "pattern": {"String": " "}, "content": META}
CHAR_DECODER = {
    "type": "Sequence",
    "decoders": [
        {"type": "Replace", "pattern": {"String": META}, "content": " "},
        {"type": "ByteFallback"},
        {"type": "Fuse"},
        {"type": "Strip", "content": " ", "start": 1, "stop": 0},
    ],
}


WHOLE_WORDS = {"four": 400, "\u0120four": 401, "\u0120leading": 402}  # no merges make these


def full_model(base, override):
    """The model with the variant's changes: keys replaced, tokens and merges added."""
    m = dict(base, **{k: v for k, v in override.items() if not k.startswith("extra_")})
    assert not m["vocab"].keys() & override.get("extra_vocab", {}).keys()
    m["vocab"] = dict(m["vocab"], **override.get("extra_vocab", {}))
    m["merges"] = m["merges"] + override.get("extra_merges", [])
    return m


def sequence(kind, *members):
    return {"type": "Sequence", kind: list(members)}


def split(pattern, behavior="Isolated", invert=False, kind="Regex"):
    return {"type": "Split", "pattern": {kind: pattern}, "behavior": behavior, "invert": invert}


def metaspace(scheme, cut):
    return {"type": "Metaspace", "replacement": META, "prepend_scheme": scheme, "split": cut}


def bos_template(name, token_id):
    special, a = {"SpecialToken": {"id": name, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}
    return {
        "type": "TemplateProcessing",
        "single": [special, a],
        "pair": [special, a, special, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {name: {"id": name, "ids": [token_id], "tokens": [name]}},
    }


def added(token_id, content, special=True, lstrip=False, rstrip=False, normalized=False):
    return {
        "id": token_id,
        "content": content,
        "single_word": False,
        "lstrip": lstrip,
        "rstrip": rstrip,
        "normalized": normalized,
        "special": special,
    }


def variants():
    """name, model, tokenizer.json without its model, overrides of the model."""
    byte_added = [added(0, "<|endoftext|>"), added(400, "<s>"), added(401, "</s>"), added(402, "<|mid|>", special=False)]
    later = [added(0, "<|endoftext|>"), added(403, "<s>"), added(404, "</s>"), added(405, "<|mid|>", special=False)]
    strips = byte_added[:3] + [
        added(402, "<|mid|>", special=False, rstrip=True),
        added(403, "[keep]", special=False, lstrip=True, rstrip=True),
        added(404, "<|mid|> more", special=False),
    ]
    char_added = [added(0, "<unk>"), added(1, "<s>"), added(2, "</s>")]
    old_llama = [dict(a, normalized=True) for a in char_added] + [added(420, "[keep]", special=False, normalized=True)]
    llama_norm = sequence("normalizers", {"type": "Prepend", "prepend": META}, MARKS)

    def part(tokens, normalizer=None, pre=None, post=None, decoder=None):
        return {
            "added_tokens": tokens,
            "normalizer": normalizer,
            "pre_tokenizer": pre,
            "post_processor": post,
            "decoder": decoder,
        }

    digits = {"type": "Digits", "individual_digits": True}
    b, c = dict(decoder=BYTE_LEVEL), dict(decoder=CHAR_DECODER)
    deepseek = sequence(
        "pretokenizers",
        split("[\r\n]"),
        split("\\s?[A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6]+"),
        split("\\s?[!-/:-~\uff01-\uff0f\u2018-\u201f\u3000-\u3002]+"),
        split("\\s+$"),
        split("[\u4e00-\u9fa5\uac00-\ud7ff]+"),
        {"type": "Digits", "individual_digits": False},
        NO_REGEX,
    )
    behaviors = sequence(
        "pretokenizers",
        split("\\n", "MergedWithPrevious"),
        split(" ", "MergedWithNext", kind="String"),
        split("[0-9]", "Contiguous"),
        split("[^\\s]", "Contiguous", invert=True),
        split("\\t", "Removed"),
        NO_REGEX,
    )
    return [
        ("gpt-2", "bytes", part(byte_added, pre=BYTE_LEVEL, **b), {}),
        ("gpt-2 with a first space", "bytes", part(strips, pre=dict(BYTE_LEVEL, add_prefix_space=True), **b), {}),
        ("smollm", "bytes", part(strips, pre=sequence("pretokenizers", digits, BYTE_LEVEL), **b), {}),
        (
            "llama 3",
            "bytes",
            part(later, pre=sequence("pretokenizers", split(LLAMA3), NO_REGEX), post=bos_template("<s>", 403), **b),
            {"ignore_merges": True, "extra_vocab": WHOLE_WORDS},
        ),
        (
            "qwen 2",
            "bytes",
            part(byte_added, {"type": "NFC"}, sequence("pretokenizers", split(QWEN2), NO_REGEX), **b),
            {},
        ),
        ("several patterns", "bytes", part(byte_added, {"type": "NFKD"}, deepseek, **b), {}),
        ("behaviors", "bytes", part(byte_added, pre=behaviors, **b), {}),
        (
            "kept matches",
            "bytes",
            part(byte_added, pre=sequence("pretokenizers", split(LLAMA3.replace("?i:", "?:"), "Removed", True), NO_REGEX), **b),
            {},
        ),
        (
            "a previous letter",
            "bytes",
            part(byte_added, pre=sequence("pretokenizers", split("a", "MergedWithPrevious", kind="String"), NO_REGEX), **b),
            {},
        ),
        ("llama 2", "chars", part(char_added, llama_norm, None, bos_template("<s>", 1), **c), {}),
        (
            "runs of marks",
            "chars",
            part(char_added, llama_norm, None, bos_template("<s>", 1), **c),
            {"extra_vocab": {META * 2: 420}, "extra_merges": [[META, META]]},
        ),
        (
            "marks within",
            "chars",
            part(char_added, llama_norm, None, bos_template("<s>", 1), **c),
            {"extra_vocab": {"e" + META: 420, "a" + META: 421}, "extra_merges": [["e", META], ["a", META]]},
        ),
        ("old llama 2", "chars", part(old_llama, llama_norm, None, bos_template("<s>", 1), **c), {}),
        ("metaspace first", "chars", part(char_added, None, metaspace("first", False), **c), {}),
        ("metaspace always", "chars", part(char_added, None, metaspace("always", True), **c), {}),
        (
            "no byte fallback",
            "chars",
            part(
                char_added,
                sequence("normalizers", {"type": "NFKC"}, {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}),
                metaspace("never", True),
                **c,
            ),
            {"byte_fallback": False},
        ),
        (
            "no unknown token",
            "chars",
            part(char_added, None, metaspace("always", True), **c),
            {"byte_fallback": False, "unk_token": None},
        ),
    ]


def write(name, value):
    path = os.path.join(OUT, name)
    with open(path, "w", encoding="utf-8") as f:
        json.dump(value, f, ensure_ascii=True, separators=(",", ":"))
        f.write("\n")
    print(name, os.path.getsize(path))


def ids_of(encode, texts):
    return [[t.encode("utf-8").hex(), list(encode(t))] for t in texts]


def make_variants(text):
    bases = {"bytes": byte_model(text), "chars": char_model(text)}
    texts = TEXTS + random_texts(12)
    out = {"models": bases, "texts": [t.encode("utf-8").hex() for t in texts], "variants": []}
    for name, base, parts, override in variants():
        spec = dict({"version": "1.0", "truncation": None, "padding": None}, **parts)
        spec["model"] = full_model(bases[base], override)
        t = Tokenizer.from_str(json.dumps(spec))
        v = {"name": name, "base": base, "parts": parts, "model": override}
        t.encode_special_tokens = False
        v["special"] = [t.encode(s, add_special_tokens=False).ids for s in texts]
        t.encode_special_tokens = True
        plain = [t.encode(s, add_special_tokens=False).ids for s in texts]
        v["text"] = [None if a == b else a for a, b in zip(plain, v["special"])]  # null: the same
        out["variants"].append(v)
    write("variants.json", out)
    m = bases["bytes"]
    write("train.json", {"text": text, "vocab": m["vocab"], "merges": m["merges"]})
    return m


def make_byte_gguf(model):
    w = gguf.GGUFWriter(os.path.join(OUT, "bytes.gguf"), "llama")
    tokens = sorted(model["vocab"], key=model["vocab"].get) + list(WHOLE_WORDS) + ["<s>", "</s>", "<|mid|>"]
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("llama-bpe")
    w.add_token_list(tokens)
    w.add_token_types([3] + [1] * 402 + [3, 3, 4])
    w.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in model["merges"]])
    w.add_bos_token_id(403)
    w.add_eos_token_id(404)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def make_added_gguf():
    """Bytes alone, and added tokens of every type that llama.cpp treats by name; tests/unit/test_tokenizer.c has what it
    makes of texts."""
    w = gguf.GGUFWriter(os.path.join(OUT, "added.gguf"), "phi3")
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(256) if b not in printable]
    alphabet = [chr(b) if b in printable else chr(256 + rest.index(b)) for b in range(256)]
    w.add_name("Phi-3 mini")
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("gpt-2")
    w.add_token_list(alphabet + ["!!", "ab", "bcd", "<|end|>", "<|user|>", "<s>", "<|start|>"])
    w.add_token_types([1] * 257 + [4, 4, 4, 3, 3, 3])
    w.add_token_merges(["! !"])
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def make_scores(text):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(text.split("\n")),
        model_writer=model,
        model_type="bpe",
        vocab_size=420,
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        split_digits=True,
        allow_whitespace_only_pieces=True,
        user_defined_symbols=["[keep]", "  "],
        character_coverage=0.99,
        minloglevel=2,
    )
    sp = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    n = sp.get_piece_size()
    types = [
        2 if sp.is_unknown(i) else 3 if sp.is_control(i) else 6 if sp.is_byte(i)
        else 4 if sp.id_to_piece(i) in ("[keep]", "  ", META + META) else 1
        for i in range(n)
    ]
    # As converters to GGUF do: user-defined pieces are matched in the raw text, so their marks are spaces again.
    tokens = [sp.id_to_piece(i).replace(META, " ") if types[i] == 4 else sp.id_to_piece(i) for i in range(n)]
    w = gguf.GGUFWriter(os.path.join(OUT, "scores.gguf"), "llama")
    w.add_tokenizer_model("llama")
    w.add_token_list(tokens)
    w.add_token_scores([sp.get_score(i) for i in range(n)])
    w.add_token_types(types)
    w.add_bos_token_id(sp.bos_id())
    w.add_eos_token_id(sp.eos_id())
    w.add_unk_token_id(sp.unk_id())
    w.add_add_bos_token(True)
    w.add_add_space_prefix(True)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    # User-defined pieces end a stretch, after which GGUF's convention prepends a space again: not sentencepiece's. NUL
    # ends a text for sentencepiece.
    texts = [t for t in TEXTS + random_texts(40) if "\0" not in t and "[keep]" not in t and "  " not in t and META not in t]
    write("scores.json", {"cases": ids_of(sp.encode, texts)})


# ---- whole texts, real tokenizers ----


def field(number, wire, payload):
    return bytes([number << 3 | wire]) + payload if number < 16 else varint(number << 3 | wire) + payload


def varint(n):
    out = b""
    while n >= 128:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def sized(b):
    return varint(len(b)) + b


def sentencepiece_of(path):
    """A sentencepiece model out of GGUF metadata, written by hand (ModelProto: pieces, trainer_spec, normalizer_spec)."""
    f = gguf.GGUFReader(path).fields
    get = lambda k: f["tokenizer.ggml." + k].contents()
    out = b""
    for s, score, kind in zip(get("tokens"), get("scores"), get("token_type")):
        piece = field(1, 2, sized(s.encode())) + field(2, 5, np.float32(score).tobytes()) + field(3, 0, varint(kind))
        out += field(1, 2, sized(piece))
    out += field(2, 2, sized(field(3, 0, varint(2)) + field(35, 0, varint(1))))
    out += field(3, 2, sized(field(1, 2, sized(b"identity")) + field(3, 0, b"\1") + field(4, 0, b"\0") + field(5, 0, b"\1")))
    return sentencepiece.SentencePieceProcessor(model_proto=out)


def smollm_of(path):
    f = gguf.GGUFReader(path).fields
    get = lambda k: f["tokenizer.ggml." + k].contents()
    t = Tokenizer(models.BPE({s: i for i, s in enumerate(get("tokens"))}, [tuple(m.split(" ", 1)) for m in get("merges")]))
    t.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    return t


def real(smollm_path, stories_path, paths):
    smollm, stories = smollm_of(smollm_path), sentencepiece_of(stories_path)
    for path in paths:
        text = open(path, encoding="utf-8", newline="").read()
        for name, ids in (("smollm2", smollm.encode(text).ids), ("stories260K", stories.encode(text))):
            digest = hashlib.sha256(np.array(ids, dtype="<i4").tobytes()).hexdigest()
            print(f"{os.path.basename(path)} {name} {len(ids)} {digest}")


def main():
    if sys.argv[1:2] == ["--real"]:
        return real(sys.argv[2], sys.argv[3], sys.argv[4:])
    os.makedirs(OUT, exist_ok=True)
    text = training_text()
    make_byte_gguf(make_variants(text))
    make_scores(text)
    make_added_gguf()


if __name__ == "__main__":
    main()
