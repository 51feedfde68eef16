"""Makes fixtures/vocabs.json: hashes of the ids that the tokenizers library gives for real vocabularies, for
tests/real/test_vocabs.c. The vocabularies themselves are not committed (tests/real/fetch-vocabs).

    python3 -m venv venv && venv/bin/pip install tokenizers==0.23.3 sentencepiece==0.2.3 gguf==0.19.0 numpy
    venv/bin/python tests/oracle/make_vocabs.py SOURCE TEXT... -- FILE.gguf...

SOURCE is llama.cpp's src/llama-vocab.cpp: its expressions for tokenizer.ggml.pre are what a GGUF file means, and are given
to the library as Split pre-tokenizers. TEXTs are encoded whole.
"""

import ast
import hashlib
import json
import os
import re
import sys

import gguf
import numpy as np
import sentencepiece
from make_tokenizer import field, sized, varint
from random_text import GROUP, PALETTE, hashes, texts
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fixtures", "vocabs.json")
N = 5000
META = "\u2581"
SPECIAL = [
    "<s>", "</s>", "<unk>", "<pad>", "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|begin_of_text|>", "<|eot_id|>", "<|user|>",
    "<|end|>", "<fim_prefix>", ">>TITLE<<", "<|EOT|>", META, META * 2, "the", " ",
]  # fmt: skip
NAMES = {
    "gpt-2": "GPT2", "mpt": "MPT", "smollm": "SMOLLM", "refact": "REFACT", "starcoder": "STARCODER", "command-r": "COMMAND_R",
    "llama-bpe": "LLAMA3", "qwen2": "QWEN2", "qwen35": "QWEN35", "falcon": "FALCON", "deepseek-llm": "DEEPSEEK_LLM",
    "deepseek-coder": "DEEPSEEK_CODER",
}  # fmt: skip


def expressions(source, pre):
    """The string literals between the name's case and its break."""
    start = source.index(f"case LLAMA_VOCAB_PRE_TYPE_{NAMES[pre]}:", source.index("regex_exprs = {") - 4000)
    body = source[start : source.index("break;", start)]
    lines = [x.strip() for x in body.splitlines() if not x.strip().startswith("//")]
    return [ast.literal_eval(x.rstrip(",").split('", //')[0]) for x in lines if x.startswith('"')]


def merges_by_score(tokens, scores, types):
    """Every way to cut a normal token in two normal ones, best score first."""
    normal = {t: i for i, t in enumerate(tokens) if types[i] == 1}
    ranked = []
    for t, i in normal.items():
        for k in range(1, len(t)):
            if t[:k] in normal and t[k:] in normal:
                ranked.append((-scores[i], i, -k, t[:k], t[k:]))
    return [(a, b) for _, _, _, a, b in sorted(ranked)]


def add_tokens(t, tokens, types):
    for i, s in enumerate(tokens):
        if types[i] in (2, 3):
            t.add_special_tokens([AddedToken(s, normalized=False, special=True)])
        if types[i] == 4:
            t.add_tokens([AddedToken(s, normalized=False)])


def byte_level(get, has, source):
    tokens, types = get("tokens"), get("token_type")
    pre = get("pre")
    merges = [tuple(m.split(" ", 1)) for m in get("merges")]
    t = Tokenizer(models.BPE({s: i for i, s in enumerate(tokens)}, merges, ignore_merges=pre == "llama-bpe"))
    t.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(p), "isolated") for p in expressions(source, pre)]
        + [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    add_tokens(t, tokens, types)
    return t


def spm(get, has, source):
    tokens, types, scores = get("tokens"), get("token_type"), get("scores")
    unk = tokens[get("unknown_token_id") if has("unknown_token_id") else 0]
    merges = merges_by_score(tokens, scores, types)
    t = Tokenizer(models.BPE({s: i for i, s in enumerate(tokens)}, merges, unk_token=unk, fuse_unk=True, byte_fallback=True))
    mark = normalizers.Replace(" ", META)
    t.normalizer = normalizers.Sequence([normalizers.Prepend(META), mark])
    add_tokens(t, tokens, types)
    return t


class Unigram:
    """sentencepiece normalizes (a model put together from the file), the library's search cuts."""

    def __init__(self, get, has, source):
        tokens, types, scores = get("tokens"), get("token_type"), get("scores")
        pieces = b""
        for s, score, kind in zip(tokens, scores, types):
            kind = 5 if kind not in (1, 2, 3) else kind
            pieces += field(1, 2, sized(field(1, 2, sized(s.encode())) + field(2, 5, np.float32(score).tobytes()) + field(3, 0, varint(kind))))
        unk = tokens[get("unknown_token_id")].encode()
        trainer = field(3, 0, varint(1)) + field(40, 0, varint(get("unknown_token_id"))) + field(45, 2, sized(unk))
        rules = field(2, 2, sized(bytes(int(b) & 255 for b in get("precompiled_charsmap"))))
        flags = field(3, 0, varint(get("add_space_prefix"))) + field(4, 0, varint(get("remove_extra_whitespaces")))
        model = pieces + field(2, 2, sized(trainer)) + field(3, 2, sized(rules + flags))
        self.sp = sentencepiece.SentencePieceProcessor(model_proto=model)
        best = max(s for s, k in zip(scores, types) if k == 1)
        vocab = [(s, float(x)) if k == 1 else (f"\U0010fffe{i}", best) for i, (s, x, k) in enumerate(zip(tokens, scores, types))]
        self.search = Tokenizer(models.Unigram(vocab, unk_id=get("unknown_token_id")))

    def ids(self, s):
        return self.search.encode(self.sp.normalize(s)).ids


def lossless(get):
    """Whether decoding gives every text again: byte-level, with a token for every byte, and no added token that the decoder
    would take for bytes."""
    tokens, types = get("tokens"), get("token_type")
    alike = any(kind == 4 and not token.isascii() for token, kind in zip(tokens, types))
    return get("model") == "gpt2" and not alike and set(pre_tokenizers.ByteLevel.alphabet()) <= set(tokens)


# Where a GGUF file's added tokens are llama.cpp's, not the library's: the longest first, ends of texts by their names,
# Phi-3's with the space behind. Random texts are full of them.
OTHERWISE = {
    "ggml-vocab-qwen2.gguf": ["special"],
    "ggml-vocab-qwen35.gguf": ["special"],
    "ggml-vocab-phi-3.gguf": ["text", "special"],
    "ggml-vocab-deepseek-llm.gguf": ["text", "special"],
}
KINDS = {"gpt2": byte_level, "llama": spm, "t5": Unigram}


def record(path, source, whole):
    fields = gguf.GGUFReader(path).fields
    get = lambda k: fields["tokenizer.ggml." + k].contents()
    has = lambda k: "tokenizer.ggml." + k in fields
    with open(path, "rb") as f:
        out = {"name": os.path.basename(path), "sha256": hashlib.sha256(f.read()).hexdigest()}
    out["lossless"] = lossless(get)
    t = KINDS[get("model")](get, has, source)
    strings = texts(N, SPECIAL)
    if isinstance(t, Unigram):
        encode = t.ids
        out["text"] = hashes([encode(s) for s in strings])
    else:
        encode = lambda s: t.encode(s, add_special_tokens=False).ids
        for key, as_text in (("special", False), ("text", True)):
            t.encode_special_tokens = as_text
            out[key] = hashes([encode(s) for s in strings])
    for key in OTHERWISE.get(out["name"], []):
        del out[key]
    out["whole"] = []
    for sha, text in whole:
        if "text" in OTHERWISE.get(out["name"], []) and "</s>" in text:
            continue
        ids = encode(text)
        digest = hashlib.sha256(np.array(ids, dtype="<i4").tobytes()).hexdigest()
        out["whole"].append([sha, len(ids), digest])
    print(out["name"], [n for _, n, _ in out["whole"]], flush=True)
    return out


def main():
    cut = sys.argv.index("--")
    source = open(sys.argv[1], encoding="utf-8").read()
    whole = []
    for path in sys.argv[2:cut]:
        with open(path, "rb") as f:
            data = f.read()
        whole.append((hashlib.sha256(data).hexdigest(), data.decode("utf-8")))
    out = {"palette": PALETTE, "special": SPECIAL, "group": GROUP, "vocabs": [record(p, source, whole) for p in sys.argv[cut + 1 :]]}
    with open(OUT, "w", encoding="utf-8") as f:
        json.dump(out, f, ensure_ascii=True, separators=(",", ":"))
        f.write("\n")


if __name__ == "__main__":
    main()
