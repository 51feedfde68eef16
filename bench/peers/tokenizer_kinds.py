"""Tokenizers of the kinds that families have, to compare on one text.

Arguments: MODEL_FOLDER TEXT OUT. OUT/KIND/tokenizer.json is written: MODEL_FOLDER's byte-level vocabulary with the
pre-tokenizer of each kind; a vocabulary of characters, learned from the first megabyte of TEXT, as Llama 2, Gemma and
SentencePieceBPETokenizer cut a text; and a Unigram model learned from the same, its words apart or its text whole, with and
without bytes for unknown characters. OUT/short holds 5,000 random texts, each ended by a NUL. Prints the kinds.
"""
import copy
import json
import os
import sys

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "tests", "oracle"))
from random_text import texts  # noqa: E402

META = "\u2581"
REST = r"\p{N}@| ?[^\s\p{L}\p{N}]+[\r\n%]*|\s*[\r\n]+|\s+(?!\S)|\s+"
CONTRACTION = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
SMALL = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
CAPITAL = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"


def rest(digits, slash=""):
    return REST.replace("@", digits).replace("%", slash)


def byte_level(regex):
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": regex}


def split(pattern):
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


def sequence(*members):
    return {"type": "Sequence", "pretokenizers": list(members)}


def patterned(pattern):
    return sequence(split(pattern), byte_level(False))


LETTERS = CONTRACTION + r"|[^\r\n\p{L}\p{N}]?\p{L}+|"
BYTES = {
    "gpt-2": byte_level(True),
    "llama-3": patterned(LETTERS + rest("{1,3}")),
    "qwen-2": patterned(LETTERS + rest("")),
    "tekken": patterned(SMALL + "|" + CAPITAL + "|" + rest("", "/")),
    "gpt-4o": patterned(SMALL + CONTRACTION + "?|" + CAPITAL + CONTRACTION + "?|" + rest("{1,3}", "/")),
    "bloom": patterned(" ?[^(\\s|[.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c])]+"),
    "falcon": sequence(
        {"type": "Punctuation", "behavior": "Contiguous"},
        byte_level(True),
        {"type": "Digits", "individual_digits": False},
        split("[0-9][0-9][0-9]"),
    ),
    "starcoder": sequence({"type": "Digits", "individual_digits": True}, byte_level(True)),
}
MARKS = {"type": "Replace", "pattern": {"String": " "}, "content": META}
LLAMA = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": META}, MARKS]}


def metaspace(split):
    return {"type": "Metaspace", "replacement": META, "prepend_scheme": "always", "split": split}


CHARACTERS = {
    "llama-2": (LLAMA, None),
    "gemma": (MARKS, {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False}),
    "metaspace": (None, metaspace(True)),
}
UNIGRAM = {  # and whether unknown characters become bytes
    "unigram": (None, metaspace(True), False),
    "unigram-nfkc": ({"type": "NFKC"}, metaspace(True), False),
    "unigram-whole": (None, metaspace(False), False),
    "unigram-bytes": (LLAMA, None, True),
}


def characters(text):
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    t.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<unk>"] + [f"<0x{b:02X}>" for b in range(256)]
    t.train_from_iterator([text], trainers.BpeTrainer(vocab_size=16000, special_tokens=special, show_progress=False))
    spec = json.loads(t.to_str())
    spec["added_tokens"] = spec["added_tokens"][:1]
    return spec


def unigram(text):
    t = Tokenizer(models.Unigram())
    t.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=8000, special_tokens=["<unk>"], unk_token="<unk>", show_progress=False)
    t.train_from_iterator([line for line in text.split("\n") if line.strip()], trainer)
    spec = json.loads(t.to_str())
    vocab = spec["model"]["vocab"]
    worst = min(score for _, score in vocab)
    known = {piece for piece, _ in vocab}
    vocab += [[b, worst] for b in (f"<0x{b:02X}>" for b in range(256)) if b not in known]
    return spec


def main():
    folder, text, out = sys.argv[1:]
    with open(os.path.join(folder, "tokenizer.json"), encoding="utf-8") as f:
        base = json.load(f)
    with open(text, encoding="utf-8") as f:
        taste = f.read(1 << 20)
    learned, pieces = characters(taste), unigram(taste)
    specs = {kind: dict(base, normalizer=None, pre_tokenizer=pre) for kind, pre in BYTES.items()}
    for kind, (normalizer, pre) in CHARACTERS.items():
        specs[kind] = dict(copy.deepcopy(learned), normalizer=normalizer, pre_tokenizer=pre)
    for kind, (normalizer, pre, fallback) in UNIGRAM.items():
        specs[kind] = dict(copy.deepcopy(pieces), normalizer=normalizer, pre_tokenizer=pre)
        specs[kind]["model"]["byte_fallback"] = fallback
    for kind, spec in specs.items():
        os.makedirs(os.path.join(out, kind), exist_ok=True)
        with open(os.path.join(out, kind, "tokenizer.json"), "w", encoding="utf-8") as f:
            json.dump(dict(spec, post_processor=None), f)
    with open(os.path.join(out, "short"), "wb") as f:
        f.write(b"".join(s.encode() + b"\0" for s in texts(5000, ["the", META])))
    print(*specs)


main()
