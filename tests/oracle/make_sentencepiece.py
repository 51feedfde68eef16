"""Makes fixtures/sentencepiece/: small models trained here, and hashes of the ids of 5,000 random texts (random_text.py).

    python3 -m venv venv && venv/bin/pip install tokenizers==0.23.3 sentencepiece==0.2.3 gguf==0.19.0 numpy
    venv/bin/python tests/oracle/make_sentencepiece.py --record     # of the models that are there: the same bytes again
    venv/bin/python tests/oracle/make_sentencepiece.py --train      # other models, and what follows from them

NAME.model      tokenizer.model files of sentencepiece: BPE and Unigram, with rules of replacement and without, with
                bytes, user-defined pieces, the mark of a space behind words
NAME.json       tokenizer.json files with Unigram models; trained.json's was trained by the tokenizers library, whose
                trainer makes another one each time: hence --record, which keeps it as all that was trained
unigram.gguf    unigram-rules.model as GGUF, kind t5
expected.json   the palette of random_text.py, and for each file the hashes by sentencepiece or tokenizers

Of a Unigram tokenizer.model: sentencepiece adds scores in float32, the tokenizers library (which transformers 5 takes for
such a file) in float64; where two ways have the same sum, rounding decides. So the text is normalized by sentencepiece and cut by the
library, and sentencepiece's own cut must have the same sum, and be another one in few texts only.
"""

import argparse
import io
import json
import os

import gguf
import sentencepiece
from make_tokenizer import training_text
from random_text import GROUP, PALETTE, hashes, texts
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fixtures", "sentencepiece")
N = 5000
META = "\u2581"
SPECIAL = ["\u00a8\u0301", "[keep]", "<m>", "<k>", "<s>", "</s>", "<unk>", META, META + META, "the", " "]
# What nmt_nfkc has of each kind, few of each: one to one, to several, several to one, to nothing, to a space.
RULES = [
    ("\uff21", "A"), ("\ufb01", "fi"), ("\u3300", "\u30a2\u30d1\u30fc\u30c8"), ("\u2126", "\u03a9"), ("e\u0301", "\u00e9"),
    ("a\u0308", "\u00e4"), ("o\u0308", "\u00f6"), ("u\u0308", "\u00fc"), ("n\u0303", "\u00f1"), ("\u1e9b\u0323", "\u1e69"), ("\t", " "), ("\n", " "), ("\r", " "),
    ("\u00a0", " "), ("\u2003", " "), ("\u3000", " "), ("\u200b", " "), ("\ufeff", ""), ("\x01", ""), ("\x7f", ""), ("\u2460", "1"),
    ("\u00bd", "1/2"), ("\u1100\u1161", "\uac00"), ("\u00a8", " \u0308"), ("\u00a8\u0301", "\u0385"), ("\ufdfa", "a  b "),
]  # fmt: skip


def train(text, **options):
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(text.split("\n")), model_writer=out, minloglevel=2, num_threads=1, **options
    )
    return out.getvalue()


def spm_models(text, rules):
    plain = {"normalization_rule_name": "identity", "remove_extra_whitespaces": False}
    return {
        "bpe": dict(
            plain, model_type="bpe", vocab_size=420, byte_fallback=True, split_digits=True, character_coverage=0.99,
            user_defined_symbols=["[keep]", "  ", "<m>"],
        ),
        "bpe-plain": dict(plain, model_type="bpe", vocab_size=420, byte_fallback=True, allow_whitespace_only_pieces=True),
        "bpe-rules": dict(
            model_type="bpe", vocab_size=200, normalization_rule_tsv=rules, add_dummy_prefix=False,
            user_defined_symbols=["[keep]", META + "<m>", "\uff21"],
        ),
        "unigram-rules": dict(model_type="unigram", hard_vocab_limit=False, vocab_size=180, normalization_rule_tsv=rules),
        "unigram-bytes": dict(
            plain, model_type="unigram", hard_vocab_limit=False, vocab_size=440, byte_fallback=True, user_defined_symbols=["<k>", "  "]
        ),
        "unigram-suffix": dict(plain, model_type="unigram", hard_vocab_limit=False, vocab_size=180, treat_whitespace_as_suffix=True),
    }  # fmt: skip


def viterbi_of(sp):
    """The tokenizers library's search over sentencepiece's pieces: those that are not looked for in texts get names that no
    text has, and user-defined ones sentencepiece's bonus."""
    n = sp.get_piece_size()
    normal = [i for i in range(n) if not (sp.is_control(i) or sp.is_unknown(i) or sp.is_byte(i))]
    user = [i for i in normal if sp.id_to_piece(i) in ("<k>", "  ")]
    scores = [sp.get_score(i) for i in normal if i not in user]
    vocab = []
    for i in range(n):
        piece, score = sp.id_to_piece(i), sp.get_score(i)
        if i not in normal and not sp.is_byte(i):
            piece, score = f"\U0010fffe{i}", max(scores)
        if sp.is_byte(i):
            score = max(scores)
        if i in user:
            score = 0.1 * len(piece.encode()) - 0.1
        vocab.append((piece, score))
    return Tokenizer(models.Unigram(vocab, unk_id=sp.unk_id(), byte_fallback=any(sp.is_byte(i) for i in range(n))))


def make_gguf(sp, charsmap):
    w = gguf.GGUFWriter(os.path.join(OUT, "unigram.gguf"), "t5")
    n = sp.get_piece_size()
    w.add_tokenizer_model("t5")
    w.add_token_list([sp.id_to_piece(i) for i in range(n)])
    w.add_token_scores([sp.get_score(i) for i in range(n)])
    w.add_token_types([2 if sp.is_unknown(i) else 3 if sp.is_control(i) else 1 for i in range(n)])
    w.add_add_space_prefix(True)
    w.add_remove_extra_whitespaces(True)
    w.add_precompiled_charsmap(charsmap)
    w.add_bos_token_id(sp.bos_id())
    w.add_eos_token_id(sp.eos_id())
    w.add_unk_token_id(sp.unk_id())
    w.add_add_bos_token(False)
    w.add_add_eos_token(False)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def spm_ids(name, sp, strings):
    if name.startswith("bpe"):
        return [sp.encode(s) for s in strings]
    search = viterbi_of(sp)
    ids = [search.encode(sp.normalize(s)).ids for s in strings]
    others = 0
    for s, ours in zip(strings, ids):
        theirs = sp.encode(s)
        total = [sum(sp.get_score(i) for i in x) for x in (ours, theirs)]
        assert abs(total[0] - total[1]) <= 1e-5 * abs(total[0]) + 1e-6, (name, s)
        others += ours != theirs
    assert others < len(strings) // 20, (name, others)
    print(name, "ties that sentencepiece breaks otherwise:", others)
    return ids


def pieces_of(sp):
    return [(sp.id_to_piece(i), sp.get_score(i)) for i in range(sp.get_piece_size())]


def train_unigram(text):
    t = Tokenizer(models.Unigram())
    two = normalizers.Replace(Regex(" {2,}"), " ")
    t.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(), two])
    t.pre_tokenizer = pre_tokenizers.Metaspace()
    t.decoder = decoders.Metaspace()
    special = ["<unk>", "<s>", "</s>"]
    t.train_from_iterator(
        [text], trainers.UnigramTrainer(vocab_size=300, unk_token="<unk>", special_tokens=special, show_progress=False)
    )
    return t


def json_models(trained, spm):
    rules, plain = spm["unigram-rules"], spm["unigram-bytes"]
    charsmap = charsmap_of(rules)
    sp_rules = sentencepiece.SentencePieceProcessor(model_proto=rules)
    sp_bytes = sentencepiece.SentencePieceProcessor(model_proto=plain)
    two = normalizers.Replace(Regex(" {2,}"), " ")

    def make(pieces, unk, byte_fallback, normalizer, pre, decoder):
        t = Tokenizer(models.Unigram(pieces, unk_id=unk, byte_fallback=byte_fallback))
        if normalizer:
            t.normalizer = normalizer
        if pre:
            t.pre_tokenizer = pre
        t.decoder = decoder
        t.add_special_tokens(["<s>", "</s>"])
        t.add_tokens([AddedToken("[keep]", lstrip=True, normalized=False), AddedToken("<m>", rstrip=True)])
        return t

    meta = decoders.Metaspace()
    bytes_decoder = decoders.Sequence(
        [decoders.Replace(META, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return {
        "trained": trained,
        "words": make(
            pieces_of(sp_rules), 0, False, normalizers.Sequence([normalizers.Precompiled(charsmap), two]),
            pre_tokenizers.Metaspace(prepend_scheme="always", split=True), meta,
        ),
        "whole": make(
            pieces_of(sp_rules), 0, False, normalizers.Sequence([normalizers.Precompiled(charsmap), two]),
            pre_tokenizers.Metaspace(prepend_scheme="first", split=False), meta,
        ),
        "bytes": make(
            pieces_of(sp_bytes), sp_bytes.unk_id(), True, None,
            pre_tokenizers.Metaspace(prepend_scheme="always", split=False), bytes_decoder,
        ),
    }  # fmt: skip


def charsmap_of(model):
    """normalizer_spec (field 3) of ModelProto, its field 2: walked by hand."""

    def fields(b):
        at = 0
        while at < len(b):
            key, at = varint_at(b, at)
            if key & 7 == 2:
                n, at = varint_at(b, at)
                yield key >> 3, b[at : at + n]
                at += n
            elif key & 7 == 0:
                _, at = varint_at(b, at)
            else:
                at += {1: 8, 5: 4}[key & 7]

    def varint_at(b, at):
        v = shift = 0
        while True:
            v |= (b[at] & 127) << shift
            shift += 7
            at += 1
            if b[at - 1] < 128:
                return v, at

    spec = next(v for k, v in fields(model) if k == 3)
    return next(v for k, v in fields(spec) if k == 2)


def train_all(text):
    """Writes what --record keeps."""
    os.chdir(OUT)
    rules = "rules.tsv"  # a model holds the name
    with open(rules, "w", encoding="utf-8") as f:
        for a, b in RULES:
            f.write(" ".join(f"{ord(c):X}" for c in a) + "\t" + " ".join(f"{ord(c):X}" for c in b) + "\n")
    for name, options in spm_models(text, rules).items():
        with open(os.path.join(OUT, name + ".model"), "wb") as f:
            f.write(train(text, **options))
    os.remove(rules)
    train_unigram(text).save(os.path.join(OUT, "trained.json"), pretty=False)


def main():
    parser = argparse.ArgumentParser()
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--record", action="store_true", help="keep NAME.model and trained.json")
    how.add_argument("--train", action="store_true", help="train them anew")
    os.makedirs(OUT, exist_ok=True)
    if parser.parse_args().train:
        train_all(training_text())
    strings = texts(N, SPECIAL)
    out = {"palette": PALETTE, "special": SPECIAL, "group": GROUP, "models": [], "json": []}
    spm = {}
    for name in spm_models("", ""):
        with open(os.path.join(OUT, name + ".model"), "rb") as f:
            spm[name] = f.read()
        sp = sentencepiece.SentencePieceProcessor(model_proto=spm[name])
        out["models"].append(
            {
                "name": name, "bos": sp.bos_id(), "eos": sp.eos_id(), "pieces": sp.get_piece_size(),
                "lossless": name in ("bpe", "bpe-plain", "unigram-bytes"), "text": hashes(spm_ids(name, sp, strings)),
            }
        )  # fmt: skip
    make_gguf(sentencepiece.SentencePieceProcessor(model_proto=spm["unigram-rules"]), charsmap_of(spm["unigram-rules"]))
    for name, t in json_models(Tokenizer.from_file(os.path.join(OUT, "trained.json")), spm).items():
        if name != "trained":
            t.save(os.path.join(OUT, name + ".json"), pretty=False)
        entry = {"name": name}
        for key, as_text in (("special", False), ("text", True)):
            t.encode_special_tokens = as_text
            entry[key] = hashes([t.encode(s, add_special_tokens=False).ids for s in strings])
        out["json"].append(entry)
    with open(os.path.join(OUT, "expected.json"), "w", encoding="utf-8") as f:
        json.dump(out, f, ensure_ascii=True, separators=(",", ":"))
        f.write("\n")
    for name in sorted(os.listdir(OUT)):
        print(name, os.path.getsize(os.path.join(OUT, name)))


if __name__ == "__main__":
    main()
