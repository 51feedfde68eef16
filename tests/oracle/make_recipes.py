"""Makes fixtures/recipes/: a text of rows (rows.jsonl.gz) cut from data/builtin/calibration.txt, and the sequences that
the loaders of papers' codes take of it, written anew after their description. Run in an environment with tokenizers and
numpy, from anywhere; where `datasets` is there too, its own shuffle is asked:

    python3 tests/oracle/make_recipes.py

expected.json: for each recipe, seed, number and length the sequences' count, their first tokens and the SHA-256 of all
tokens as little-endian 32-bit integers, and the lengths of sequences that differ in it; or the line of the row at which
the reference program stops.
"""

import gzip
import hashlib
import json
import os
import random
import struct

import numpy
from tokenizers import Tokenizer

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
OUT = os.path.join(HERE, "fixtures", "recipes")
TOKENIZER = Tokenizer.from_file(os.path.join(ROOT, "data", "builtin", "model", "tokenizer.json"))
BOS = TOKENIZER.token_to_id("<|endoftext|>")


def make_rows():
    text = open(os.path.join(ROOT, "data", "builtin", "calibration.txt")).read().replace("\n", " ")
    parts = [s + "." for s in text.split(". ")]
    rng, rows, at = random.Random(3), [], 0
    while len(rows) < 90:
        n = rng.choice([1, 2, 3, 5, 8, 13, 21, 34])
        rows.append(rng.choice(["", " ", "\n"]) + " ".join(parts[at : at + n]) + rng.choice(["", "  ", "\n\n"]))
        at += n
    rows[17] = rows[40] = "  \n"
    return rows


def ids(text, bos):
    return ([BOS] if bos else []) + TOKENIZER.encode(text).ids


def shuffled(rows, seed):
    order = numpy.random.default_rng(seed).permutation(len(rows)).tolist()
    try:
        import datasets
    except ImportError:
        return [rows[i] for i in order]
    data = datasets.Dataset.from_dict({"text": rows}).shuffle(seed=seed)
    assert data["text"][:] == [rows[i] for i in order]
    return data["text"][:]


def joined(rows, seed, samples, length, bos):
    tokens = ids("\n\n".join(rows), bos)
    random.seed(seed)
    out = []
    for _ in range(samples):
        i = random.randint(0, len(tokens) - length - 1)
        out.append(tokens[i : i + length])
    return out


def documents(rows, seed, samples, length, bos, longer=False):
    random.seed(seed)
    out = []
    for _ in range(samples):
        while True:
            row = random.randint(0, len(rows) - 1)
            tokens = ids(rows[row], bos)
            if len(tokens) > length or (len(tokens) == length and not longer):
                break
        try:
            i = random.randint(0, len(tokens) - length - 1)
        except ValueError:
            return row + 1
        out.append(tokens[i : i + length])
    return out


def documents_longer(*arguments):
    return documents(*arguments, longer=True)


def blocks(rows, seed, samples, length, bos):
    taken = []
    for text in shuffled(rows, seed):
        tokens = ids(text.strip(), bos)
        if len(tokens) > length or not tokens:
            continue
        taken.append(tokens)
        if len(taken) == samples:
            break
    assert len(taken) == samples
    flat = sum(taken, [])
    return [flat[i * length : (i + 1) * length] for i in range(len(flat) // length)]


def first_tokens(rows, seed, samples, length, bos):
    long = [ids(text, bos) for text in shuffled(rows, seed)]
    long = [tokens[:length] for tokens in long if len(tokens) >= length][:samples]
    assert len(long) == samples
    return long


def truncated(rows, seed, samples, length, bos):
    order = [ids(text, bos)[:length] for text in shuffled(rows, seed)]
    return [tokens for tokens in order if tokens][:samples]


def main():
    os.makedirs(OUT, exist_ok=True)
    rows = make_rows()
    lines = "".join(json.dumps({"n": i, "text": text}) + "\n" for i, text in enumerate(rows))
    with open(os.path.join(OUT, "rows.jsonl.gz"), "wb") as f:
        f.write(gzip.compress(lines.encode(), mtime=0))
    lengths = sorted(len(ids(text, False)) for text in rows)
    exact = lengths[len(lengths) * 2 // 3]  # of which there is a row
    cases = []
    for recipe in (joined, documents, documents_longer, blocks, first_tokens, truncated):
        for seed in (0, 1, 42, 2**32 + 5):
            for samples, length in ((1, 16), (12, 32), (12, exact), (40, exact)):
                for bos in (False, True):
                    if recipe is first_tokens and samples > 20:
                        samples = 8
                    made = recipe(rows, seed, samples, length, bos)
                    case = {"recipe": recipe.__name__, "seed": seed, "samples": samples, "length": length, "bos": bos}
                    if isinstance(made, int):
                        cases.append({**case, "stops_at_line": made})
                        continue
                    if not made:
                        continue
                    flat = sum(made, [])
                    data = struct.pack(f"<{len(flat)}i", *flat)
                    if recipe is truncated:
                        case["lengths"] = [len(tokens) for tokens in made]
                    cases.append({**case, "sequences": len(made), "first": flat[:4], "sha256": hashlib.sha256(data).hexdigest()})
    with open(os.path.join(OUT, "expected.json"), "w") as f:
        f.write("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")
    stops = sum("stops_at_line" in c for c in cases)
    print(len(cases), "cases,", stops, "stop, rows of", lengths[0], "to", lengths[-1], "tokens, exact", exact)


main()
