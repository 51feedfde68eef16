"""Writes tests/oracle/fixtures/tokenizer/bos.json: which token each version of transformers puts before a text, for
folders whose files agree or not. One version a run; each adds its column:

    python3.11 -m venv venv && venv/bin/pip install 'transformers==5.2.*'     # then 5.24.*, and 4.57.* (Python 3.11)
    venv/bin/python tests/oracle/make_bos.py
"""

import json
import os
import tempfile

import transformers
from transformers import AutoTokenizer

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fixtures", "tokenizer", "bos.json")
VOCAB = ["<s>", "</s>", "<unk>", "f", "o", "x"]
SPECIAL = [
    {"id": i, "content": VOCAB[i], "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
     "special": True}
    for i in range(3)
]
TOKENIZER = {
    "version": "1.0", "truncation": None, "padding": None, "added_tokens": SPECIAL, "normalizer": None,
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
    "post_processor": None,
    "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
    "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
              "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
              "vocab": {s: i for i, s in enumerate(VOCAB)}, "merges": []},
}
CLASSES = [None, "PreTrainedTokenizerFast", "LlamaTokenizer", "LlamaTokenizerFast", "CodeLlamaTokenizer",
           "GemmaTokenizer", "CohereTokenizerFast", "GPTNeoXTokenizer", "GPT2Tokenizer", "Qwen2Tokenizer"]


def template(token):
    return {"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": token, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"SpecialToken": {"id": token, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                     {"Sequence": {"id": "B", "type_id": 0}}],
            "special_tokens": {token: {"id": token, "ids": [VOCAB.index(token)], "tokens": [token]}}}


POSTS = {"none": None, "<s>": template("<s>"), "</s>": template("</s>"),
         "bytes": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True}}


def rows():
    for post in POSTS:
        yield post, None  # without tokenizer_config.json
        for name in CLASSES:
            for add in ("absent", None, True, False):
                config = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
                if name:
                    config["tokenizer_class"] = name
                if add != "absent":
                    config["add_bos_token"] = add
                yield post, config


def put(post, config):
    """The token before "fox", null for none, or "error"."""
    with tempfile.TemporaryDirectory() as d:
        json.dump(dict(TOKENIZER, post_processor=POSTS[post]), open(os.path.join(d, "tokenizer.json"), "w"))
        json.dump({"architectures": ["LlamaForCausalLM"], "model_type": "llama"},
                  open(os.path.join(d, "config.json"), "w"))
        if config is not None:
            json.dump(config, open(os.path.join(d, "tokenizer_config.json"), "w"))
        try:
            ids = AutoTokenizer.from_pretrained(d)("fox")["input_ids"]
        except Exception:
            return "error"
        return VOCAB[ids[0]] if ids and ids[0] < 2 else None


def main():
    transformers.logging.set_verbosity_error()
    made = {"versions": [], "tokenizer": TOKENIZER, "posts": POSTS, "rows": []}
    if os.path.exists(OUT):
        made = json.load(open(OUT))
    old = {json.dumps(r[:2]): r[2] for r in made["rows"]}
    version = transformers.__version__
    new = []
    for post, config in rows():
        puts = dict(old.get(json.dumps([post, config]), {}))
        puts[version] = put(post, config)
        new.append([post, config, dict(sorted(puts.items()))])
    made["rows"] = new
    made["versions"] = sorted(set(made["versions"]) | {version})
    head = json.dumps({k: made[k] for k in ("versions", "tokenizer", "posts")})[:-1]
    with open(OUT, "w") as f:
        f.write(head + ', "rows": [\n' + ",\n".join(map(json.dumps, new)) + "\n]}\n")


main()
