"""Tokenizers of the kinds that families have, to compare on one text.

Arguments: MODEL_FOLDER TEXT OUT. OUT/KIND/tokenizer.json is written: MODEL_FOLDER's byte-level vocabulary with the
pre-tokenizer of each kind; and a vocabulary of characters, learned from the first megabyte of TEXT, as Llama 2, Gemma and
SentencePieceBPETokenizer cut a text. Prints the kinds.
"""
import copy
import json
import os
import sys

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

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
CHARACTERS = {
    "llama-2": ({"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": META}, MARKS]}, None),
    "gemma": (MARKS, {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False}),
    "metaspace": (None, {"type": "Metaspace", "replacement": META, "prepend_scheme": "always", "split": True}),
}


def characters(text):
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    t.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<unk>"] + [f"<0x{b:02X}>" for b in range(256)]
    t.train_from_iterator([text], trainers.BpeTrainer(vocab_size=16000, special_tokens=special, show_progress=False))
    spec = json.loads(t.to_str())
    spec["added_tokens"] = spec["added_tokens"][:1]
    return spec


def main():
    folder, text, out = sys.argv[1:]
    with open(os.path.join(folder, "tokenizer.json"), encoding="utf-8") as f:
        base = json.load(f)
    with open(text, encoding="utf-8") as f:
        learned = characters(f.read(1 << 20))
    specs = {kind: dict(base, normalizer=None, pre_tokenizer=pre) for kind, pre in BYTES.items()}
    for kind, (normalizer, pre) in CHARACTERS.items():
        specs[kind] = dict(copy.deepcopy(learned), normalizer=normalizer, pre_tokenizer=pre)
    for kind, spec in specs.items():
        os.makedirs(os.path.join(out, kind), exist_ok=True)
        with open(os.path.join(out, kind, "tokenizer.json"), "w", encoding="utf-8") as f:
            json.dump(dict(spec, post_processor=None), f)
    print(*specs)


main()
