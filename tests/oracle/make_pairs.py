"""Makes fixtures/pairs/: a vocabulary as vocab.json and merges.txt, as the hub folders of OPT hold it, and what
transformers makes of it with different files beside it. One version a run, 5.2 first, into an empty folder; some rows
load only there:

    python3 -m venv venv && venv/bin/pip install 'transformers==5.2.*' numpy     # then 5.24.*
    venv/bin/python tests/oracle/make_pairs.py

vocab.json, merges.txt   byte-level BPE with OPT's four special tokens, trained on text made up here
expected.json            rows: the files beside the two, model_type, tokens that are in vocab.json too; then for random
                         texts (random_text.py) hashes of the ids with special tokens parsed and as text, how many tokens
                         there are, ids of the named tokens, the id before a text. "other_ids": transformers gives a
                         token another id than the file says, which is refused here. "versions_differ": what the first
                         version gives is not what another does, which is refused too.
"""

import hashlib
import json
import os
import random
import tempfile

import transformers
from make_tokenizer import training_text
from random_text import GROUP, PALETTE, hashes, texts
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import AutoTokenizer

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fixtures", "pairs")
FRONT = ["<s>", "<pad>", "</s>", "<unk>"]
END = "<|endoftext|>"
SPECIAL = FRONT + [END, "<|padding|>", "<x>", "<y>", "<z>", "the", "<s", "e\u0301"]


def train():
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    # 0x0b has no token, as some bytes of published vocabularies have none
    trainer = trainers.BpeTrainer(vocab_size=420, special_tokens=FRONT, initial_alphabet=alphabet, show_progress=False)
    t.train_from_iterator([training_text()], trainer)
    t.model.save(OUT)
    vocab = json.load(open(os.path.join(OUT, "vocab.json"), encoding="utf-8"))
    lost = vocab.pop(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str("\x0b")[0][0])
    vocab = {s: i - (i > lost) for s, i in sorted(vocab.items(), key=lambda p: p[1])}
    with open(os.path.join(OUT, "vocab.json"), "w", encoding="utf-8") as f:
        json.dump(vocab, f, ensure_ascii=False)
        f.write("\n")
    return len(vocab)


def added(content, mark=True, **flags):
    token = {"content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": True}
    token.update(flags)
    if mark:
        token["__type"] = "AddedToken"
    return token


def named_rows(n):
    opt = {"errors": "replace", "unk_token": added("</s>"), "bos_token": added("</s>"), "eos_token": added("</s>"),
           "pad_token": added("<pad>"), "add_prefix_space": False, "add_bos_token": True, "special_tokens_map_file": None,
           "tokenizer_class": "GPT2Tokenizer"}  # fmt: skip
    opt_map = {"bos_token": added("</s>", False), "eos_token": added("</s>", False), "unk_token": added("</s>", False),
               "pad_token": added("<pad>", False)}  # fmt: skip
    end = {END: n}
    yield "opt", "opt", {"tokenizer_config.json": opt, "special_tokens_map.json": opt_map}, {}
    yield "gpt2", "gpt2", {}, end
    yield "neox", "gpt_neox", {"tokenizer_config.json": {"tokenizer_class": "GPTNeoXTokenizer", "add_bos_token": True}}, end
    yield "qwen2", "qwen2", {"tokenizer_config.json": {"tokenizer_class": "Qwen2Tokenizer"}}, end
    names = {"<x>": n + 1, " <y>": n + 2}
    yield "phi", "phi", {"tokenizer_config.json": {"tokenizer_class": "CodeGenTokenizer"}, "added_tokens.json": names}, end


def small_rows(n):
    yield "bare", "opt", {}, {}
    for kind in "gpt2 opt phi starcoder2 granite granitemoe gpt_neox olmo olmo2 olmoe qwen2 qwen2_moe qwen3 qwen3_moe".split():
        yield "type " + kind, kind, {}, {}
    yield "another's type", "llama", {"tokenizer_config.json": {"tokenizer_class": "GPT2TokenizerFast"}}, {END: n}
    for name in ("GPT2Tokenizer", "GPTNeoXTokenizer", "Qwen2Tokenizer", "CodeGenTokenizer"):
        yield "prefix " + name, "gpt2", {"tokenizer_config.json": {"tokenizer_class": name, "add_prefix_space": True}}, {}
    yield "no tokens", "gpt2", {"tokenizer_config.json": {
        "bos_token": None, "eos_token": None, "unk_token": None, "add_bos_token": None}}, {}  # fmt: skip
    yield "twice", "opt", {"tokenizer_config.json": {
        "bos_token": added("<x>", lstrip=True), "eos_token": "<x>", "unk_token": added("<x>", rstrip=True)}}, {}  # fmt: skip
    yield "twice the other way", "opt", {"tokenizer_config.json": {
        "bos_token": "<x>", "eos_token": added("<x>", lstrip=True), "unk_token": "<x>"}}, {}  # fmt: skip
    yield "not special", "opt", {"added_tokens.json": {"<x>": n, END: n + 1, "<s>": 0},
                                 "special_tokens_map.json": {"additional_special_tokens": ["<x>"], "bos_token": "<s>"}}, {}  # fmt: skip
    yield "gap", "opt", {"added_tokens.json": {"<x>": n + 5}}, {}


def random_rows(n):
    rng = random.Random(11)
    contents = FRONT + [END, "<x>", "<y>", "<z>", "the"]

    def token(mark=True, strings=True):
        content = rng.choice(contents)
        if strings and rng.random() < 0.5:
            return content
        flags = {k: True for k in ("single_word", "lstrip", "rstrip") if rng.random() < 0.25}
        return added(content, mark, normalized=rng.random() < 0.5, **flags)

    def some_named(mark):
        keys = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"]
        out = {k: token(mark) for k in keys if rng.random() < 0.4}
        if rng.random() < 0.2:
            out["eos_token"] = None
        if rng.random() < 0.4:
            out[rng.choice(["additional_special_tokens", "extra_special_tokens"])] = [
                rng.choice(contents) for _ in range(1 + rng.randrange(3))
            ]
        return out

    def some_added():
        """Ids that the library would give, mostly."""
        out, at = {}, n
        for content in rng.sample(contents, rng.randrange(1, 5)):
            own = FRONT.index(content) if content in FRONT else None
            out[content] = at if own is None else own
            at += own is None
        if rng.random() < 0.1:
            out[rng.choice(list(out))] = n + 7
        return out

    for k in range(100):
        files = {"tokenizer_config.json": dict(some_named(True), tokenizer_class=rng.choice(
            ["GPT2Tokenizer", "GPT2Tokenizer", "GPTNeoXTokenizer", "Qwen2Tokenizer"]))}  # fmt: skip
        if rng.random() < 0.5:
            files["special_tokens_map.json"] = some_named(False)
        if rng.random() < 0.4:
            files["added_tokens.json"] = some_added()
        if rng.random() < 0.4:
            decoder = {}
            for content, i in some_added().items():
                t = dict(token(False, False), content=content, special=rng.random() < 0.5)
                for key in ("normalized", "special"):
                    if rng.random() < 0.1:
                        del t[key]
                decoder[str(i)] = t
            files["tokenizer_config.json"]["added_tokens_decoder"] = decoder
        yield f"random {k}", "gpt2", files, {}


def measure(row, n_texts):
    name, kind, files, more = row
    out = {"name": name, "type": kind, "files": files, "more": more}
    with tempfile.TemporaryDirectory() as d:
        vocab = json.load(open(os.path.join(OUT, "vocab.json"), encoding="utf-8"))
        vocab.update(more)
        files = dict(files, **{"vocab.json": vocab, "config.json": {"model_type": kind}})
        for file, content in files.items():
            json.dump(content, open(os.path.join(d, file), "w", encoding="utf-8"))
        with open(os.path.join(d, "merges.txt"), "w", encoding="utf-8") as f:
            f.write(open(os.path.join(OUT, "merges.txt"), encoding="utf-8").read())
        try:
            t = AutoTokenizer.from_pretrained(d)
        except ValueError:  # 5.24 takes no class for some types
            return None
    given = {s: i for s, i in files.get("added_tokens.json", {}).items()}
    decoder = files.get("tokenizer_config.json", {}).get("added_tokens_decoder")
    if decoder is not None:
        given = {token["content"]: int(i) for i, token in decoder.items()}
    if any(t.convert_tokens_to_ids(s) != i for s, i in given.items()):
        return dict(out, other_ids=True)
    strings = texts(n_texts, SPECIAL)
    backend = t._tokenizer
    for key, as_text in (("special", False), ("text", True)):
        backend.encode_special_tokens = as_text
        out[key] = hashes([backend.encode(s, add_special_tokens=False).ids for s in strings])
    with_bos, without = t("fox")["input_ids"], backend.encode("fox", add_special_tokens=False).ids
    assert with_bos[len(with_bos) - len(without) :] == without and len(with_bos) - len(without) < 2
    ids = [t.bos_token_id, t.eos_token_id]
    return dict(out, size=len(t), puts=with_bos[0] if len(with_bos) > len(without) else -1,
                bos_eos=[-1 if i is None else i for i in ids])  # fmt: skip


def main():
    transformers.logging.set_verbosity_error()
    os.makedirs(OUT, exist_ok=True)
    n = train()
    rows = [measure(r, 2500) for r in named_rows(n)]
    rows += [measure(r, GROUP) for r in list(small_rows(n)) + list(random_rows(n))]
    path, versions = os.path.join(OUT, "expected.json"), {transformers.__version__}
    if os.path.exists(path):
        old = json.load(open(path))
        rows = [r or o for r, o in zip(json.loads(json.dumps(rows)), old["rows"])]
        rows = [o if r == o or "versions_differ" in o else dict(o, versions_differ=True) for r, o in zip(rows, old["rows"])]
        versions |= set(old["versions"])
    head = json.dumps({"versions": sorted(versions), "palette": PALETTE, "special": SPECIAL, "group": GROUP})[:-1]
    with open(path, "w") as f:
        f.write(head + ', "rows": [\n' + ",\n".join(map(json.dumps, rows)) + "\n]}\n")
    print(len(rows), "rows,", sum("other_ids" in r for r in rows), "refused,", hashlib.sha256(open(path, "rb").read()).hexdigest())


if __name__ == "__main__":
    main()
