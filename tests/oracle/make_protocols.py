"""Makes fixtures/protocols: texts, two tokenizers, and the NLL of every window that protocols score of them with two
tiny models of transformers.

    python3 -m venv venv && venv/bin/pip install torch transformers safetensors tokenizers
    venv/bin/python tests/oracle/make_protocols.py

plain/tokenizer.json    a byte-level BPE of 61 tokens that puts nothing before a text; for families/llama/a
bos/tokenizer.json      the same with </s> before a text, as OPT's; for families/opt/a
text.txt                one text
rows.txt                a row a line, blanks at its ends, an empty line
docs.jsonl.gz           1,150 rows of json lines, most of them short
expected.json           of each model and protocol: text, tokens, windows, scored tokens, mean NLL of each window, and
                        the mean that perplexity is the exponential of

The loops below are written from the descriptions: those of the GPTQ authors' program (W2, PTB, C4), of llama.cpp's
perplexity (LCPP), and of the example in transformers' documentation (HF), once as it weighs windows itself."""

import gzip
import json
import os
import random

import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(HERE, "fixtures", "protocols")
BOS = 2
MODELS = {"llama": "plain", "opt": "bos"}


def tokenizer_json(bos):
    special = ["<s>", "<pad>", "</s>"]
    vocab = special + list("abcdefghijklmnopqrstuvwxyz.,") + ["\u0120", "\u010a"]
    merges = [("t", "h"), ("th", "e"), ("\u0120", "the"), ("i", "n"), ("e", "r"), ("a", "n"), ("an", "d"),
              ("\u0120", "a"), ("\u0120", "and"), ("\u010a", "\u010a"), ("o", "n"), ("r", "e"), ("\u0120", "s")]
    vocab += [a + b for a, b in merges]
    vocab += [f"<{i}>" for i in range(61 - len(vocab))]  # the models have rows for so many
    post = None
    if bos:
        post = {"type": "TemplateProcessing",
                "single": [{"SpecialToken": {"id": "</s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
                "special_tokens": {"</s>": {"id": "</s>", "ids": [BOS], "tokens": ["</s>"]}}}
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [{"id": i, "content": t, "single_word": False, "lstrip": False, "rstrip": False,
                          "normalized": False, "special": True} for i, t in enumerate(special)],
        "normalizer": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        "post_processor": post,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                  "vocab": {t: i for i, t in enumerate(vocab)}, "merges": [f"{a} {b}" for a, b in merges]},
    }


def write_inputs():
    draw = random.Random(13)

    def words(n):
        usual = ["the", "and", "in", "a", "there", "sand", "on", "re"]
        made = ["".join(draw.choice("aeinorst") for _ in range(draw.randint(2, 5))) for _ in range(n)]
        return " ".join(draw.choice(usual) if draw.random() < 0.4 else w for w in made)

    for name, bos in (("plain", False), ("bos", True)):
        os.makedirs(os.path.join(OUT, name), exist_ok=True)
        with open(os.path.join(OUT, name, "tokenizer.json"), "w") as f:
            json.dump(tokenizer_json(bos), f, indent=1, ensure_ascii=False)
            f.write("\n")
    with open(os.path.join(OUT, "text.txt"), "w") as f:
        f.write("\n".join(words(draw.randint(3, 9)) + "." for _ in range(25)) + "\n")
    with open(os.path.join(OUT, "rows.txt"), "w") as f:
        for i in range(40):
            f.write("\n" if i == 17 else f" {words(draw.randint(2, 8))} \n")
    lines = []
    for i in range(1150):
        long = draw.random() < 0.06
        text = words(draw.randint(14, 30) if long else draw.randint(1, 4)) + ("\n" if i % 9 == 0 else "")
        lines.append(json.dumps({"timestamp": i, "text": text, "url": "none"}))
    with open(os.path.join(OUT, "docs.jsonl.gz"), "wb") as raw:
        with gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as f:
            f.write(("\n".join(lines) + "\n").encode())


def read(name):
    with open(os.path.join(OUT, name), newline="") as f:
        return f.read()


def documents():
    with gzip.open(os.path.join(OUT, "docs.jsonl.gz"), "rt", newline="") as f:
        return [json.loads(line)["text"] for line in f]


def rows():
    return [line.strip() for line in read("rows.txt").splitlines()]


class Scorer:
    def __init__(self, model, encode):
        self.model, self.encode, self.cache = model, encode, {}

    def token_nll(self, window):
        """Of tokens 2.. of a window; float64 from float32 logits."""
        key = tuple(window)
        if key not in self.cache:
            with torch.no_grad():
                logits = self.model(torch.tensor([window])).logits[0, :-1].double()
            target = torch.tensor(window[1:])
            self.cache[key] = torch.nn.functional.cross_entropy(logits, target, reduction="none")
        return self.cache[key]

    def whole_windows(self, ids, n, most=None):
        count = len(ids) // n
        if most:
            count = min(count, most)
        nll = [self.token_nll(ids[i * n:(i + 1) * n]).mean().item() for i in range(count)]
        return {"tokens": len(ids), "scored": count * (n - 1), "nll": nll, "mean": sum(nll) / count}

    def llama_cpp(self, ids, n):
        out, every = [], []
        for i in range(len(ids) // n):
            window = ids[i * n:(i + 1) * n]
            if ids[0] == BOS:
                window = [BOS] + window[1:]
            part = self.token_nll(window)[n // 2:]
            out.append(part.mean().item())
            every += part.tolist()
        return {"tokens": len(ids), "scored": len(every), "nll": out, "mean": sum(every) / len(every)}

    def strided(self, ids, n, stride):
        out, every, before, theirs, weight = [], [], 0, 0.0, 0
        for begin in range(0, len(ids), stride):
            end = min(begin + n, len(ids))
            fresh = end - before
            labels = [t if k >= end - begin - fresh else -100 for k, t in enumerate(ids[begin:end])]
            kept = torch.tensor(labels[1:]) != -100
            part = self.token_nll(ids[begin:end])[kept]
            if len(part):
                out.append(part.mean().item())
                every += part.tolist()
                valid = sum(t != -100 for t in labels)
                theirs += part.mean().item() * (valid - 1)
                weight += valid - 1
            before = end
            if end == len(ids):
                break
        return {"tokens": len(ids), "scored": len(every), "nll": out, "mean": sum(every) / len(every),
                "transformers": theirs / weight}

    def drawn(self, docs, n):
        random.seed(0)
        ids = []
        for _ in range(256):
            while True:
                i = random.randint(0, len(docs) - 1)
                tokens = self.encode(docs[i])
                if len(tokens) >= n:
                    break
            i = random.randint(0, len(tokens) - n - 1)
            ids += tokens[i:i + n]
        return self.whole_windows(ids, n)


def main():
    write_inputs()
    docs, lines, text = documents(), rows(), read("text.txt")
    expected = {}
    for family, tokenizer in MODELS.items():
        folder = os.path.join(HERE, "fixtures", "families", family, "a")
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa").eval()
        tok = Tokenizer.from_file(os.path.join(OUT, tokenizer, "tokenizer.json"))
        s = Scorer(model, lambda x: tok.encode(x).ids)
        whole = s.encode(text)
        assert (whole[0] == BOS) == (tokenizer == "bos")
        out = {
            "W2-24": ("text.txt", s.whole_windows(whole, 24)),
            "SQ-16": ("text.txt", s.whole_windows(whole, 16)),
            "LCPP-32": ("text.txt", s.llama_cpp(whole, 32)),
            "HF-32/16": ("text.txt", s.strided(whole, 32, 16)),
            "HF-20/7": ("rows.txt", s.strided(s.encode("\n\n".join(lines)), 20, 7)),
            "HF-16/16": ("text.txt", s.strided(whole, 16, 16)),
            "PTB-old-16": ("rows.txt", s.whole_windows(s.encode("\n\n".join(lines)), 16)),
            "PTB-new-16": ("rows.txt", s.whole_windows(s.encode(" ".join(lines)), 16)),
            "C4-old-30": ("docs.jsonl.gz", s.drawn(docs, 30)),
            "C4-new-16": ("docs.jsonl.gz", s.whole_windows(s.encode(" ".join(docs[:1100]))[:256 * 16], 16)),
            "C4-new-60": ("docs.jsonl.gz", s.whole_windows(s.encode(" ".join(docs[:1100]))[:256 * 60], 60)),
        }
        # What is no window's is not told apart by a count: C4-new knows all tokens of its rows.
        for name in ("C4-new-16", "C4-new-60"):
            out[name][1]["tokens"] = len(s.encode(" ".join(docs[:1100])))
        expected[family] = {"tokenizer": tokenizer,
                            "protocols": {k: {"text": t, **{a: rounded(b) for a, b in v.items()}}
                                          for k, (t, v) in out.items()}}
    with open(os.path.join(OUT, "expected.json"), "w") as f:
        json.dump(expected, f, indent=None, separators=(",", ":"))
        f.write("\n")


def rounded(x):
    if isinstance(x, list):
        return [round(v, 7) for v in x]
    return round(x, 9) if isinstance(x, float) else x


main()
