"""Makes fixtures/families/NAME/: two small random models of each family as transformers saves them, and their logits.

    python3 -m venv venv && venv/bin/pip install torch transformers==5.24.0 safetensors gguf==0.19.0
    venv/bin/python tests/oracle/make_families.py [NAME ...]

A family is a module in families/ (families/common.py says what is in it). Without names all are made again. Of each

a/, b/                 config.json, model.safetensors (bfloat16)
a.gguf, b.gguf         where the module says so: tensors named by the gguf package and stored as converters store them
expected.safetensors   the last rows of each model's logits (float32) under "a" and "b"; under "flips" of each change of keys
                       that changes them every fourth logit of the last row; of each model's gradients and of the inputs of its linear layers what
                       families/deep.py records, under "a gradients" and "a inputs"
flips.json             the models with the spread of their logits and their loss, the GGUF files with the flip whose logits they
                       have, and changes of config.json: "flips", those that the module lists (keys "set" to other values or
                       "absent"), and "every_key", those of families/every_key.py, by key and result. Transformers' logits
                       then change ("changes", with the row of "flips"), stay ("same"), or the model cannot be built or loaded
                       ("error"). "refused": an error here, mostly although transformers takes it; "either": that may be taken
                       although transformers fails; the module says why, or families/rules.py.

Token t is (7 t^2 + 3 t + 11) mod the vocabulary."""

import importlib
import json
import os
import shutil
import sys

import numpy as np
import torch
import transformers as tf
from safetensors.numpy import save_file

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from families.deep import record  # noqa: E402
from families.every_key import tries  # noqa: E402
from families.rules import expected_here  # noqa: E402
from families.common import ABSENT, KEPT, flip, load, logits, option, read_config, save, write_gguf  # noqa: E402

OUT = os.path.join(HERE, "fixtures", "families")


def every_name():
    return sorted(f[:-3] for f in os.listdir(os.path.join(HERE, "families")) if f.endswith(".py") and f not in ("common.py", "deep.py", "every_key.py", "rules.py", "__init__.py"))


def flip_entry(which, keys):
    entry = {"model": which, "set": {k: v for k, v in keys.items() if v is not ABSENT}}
    absent = sorted(k for k, v in keys.items() if v is ABSENT)
    return entry | ({"absent": absent} if absent else {})


def make_flips(module, folder, which, base, rows):
    entries = []
    for keys in option(module, "FLIPS", {}).get(which, []):
        entry = flip_entry(which, keys)
        result, y = flip(module, folder, base, keys, folder + ".scratch")
        entry["result"], why = expected_here(module, which, read_config(folder), keys, result)
        if why:
            entry["why"] = why
        if result == "changes":
            entry["row"] = len(rows)
            rows.append(y[-1, ::4])
        entries.append(entry)
    return entries


def make_every_key(module, folder, which, base, rows):
    """One entry a key: {"key", "same": [values], "changes": [[value, row]], "error": [values], "refused": [values], "either": [values]}, a missing key
    as {"absent": true}; and entries as in flips for changes of several keys."""
    by_key, several = {}, []
    for keys in tries(module, which, read_config(folder)):
        result, y = flip(module, folder, base, keys, folder + ".scratch")
        expect, _ = expected_here(module, which, read_config(folder), keys, result)
        if expect == "changes":
            rows.append(y[-1, ::4])
        if len(keys) > 1:
            several.append(flip_entry(which, keys) | {"result": expect} | ({"row": len(rows) - 1} if expect == "changes" else {}))
            continue
        key, value = next(iter(keys.items()))
        value = {"absent": True} if value is ABSENT else value
        by_key.setdefault(key, {"model": which, "key": key}).setdefault(expect, []).append([value, len(rows) - 1] if expect == "changes" else value)
    return list(by_key.values()) + several


def dump(path, lists):
    """One entry a line."""
    with open(path, "w") as f:
        f.write("{\n" + ",\n".join(f'"{k}": [\n' + ",\n".join(json.dumps(x, sort_keys=True) for x in v) + "\n]" for k, v in lists.items()) + "\n}\n")


def make(name):
    module = importlib.import_module("families." + name)
    out = os.path.join(OUT, name)
    shutil.rmtree(out, ignore_errors=True)
    expected, rows, lists = {}, [], {"models": [], "gguf": [], "flips": [], "every_key": []}
    for which in module.MODELS:
        folder = os.path.join(out, which)
        save(module, which, folder)
        base = logits(load(module, folder))
        expected[which] = np.ascontiguousarray(base[-KEPT:])
        loss, expected[which + " gradients"], expected[which + " inputs"] = record(module, folder)
        lists["models"].append(dict(model=which, spread=float(base.std()), loss=loss))
        lists["flips"] += make_flips(module, folder, which, base, rows)
        lists["every_key"] += make_every_key(module, folder, which, base, rows)
        if which in option(module, "GGUF", {}):
            write_gguf(module, which, folder, folder + ".gguf")
            keys = module.GGUF[which].get("flip")
            asked = keys and flip_entry(which, keys)
            same = [i for i, x in enumerate(lists["flips"]) if asked and all(x.get(k) == v for k, v in asked.items()) and x.keys() & {"absent"} == asked.keys() & {"absent"}]
            if keys and not same:
                raise ValueError(f"{name}: the GGUF file's flip {keys} is not one of FLIPS")
            lists["gguf"].append(dict(model=which) | (dict(flip=same[0]) if keys else {}))
    if rows:
        expected["flips"] = np.stack(rows)
    save_file(expected, os.path.join(out, "expected.safetensors"))
    dump(os.path.join(out, "flips.json"), lists)
    results = [x["result"] for x in lists["flips"]]
    print(f"{name}: {len(results)} flips:", ", ".join(f"{results.count(r)} {r}" for r in ("changes", "same", "error", "refused", "either")), flush=True)


def main():
    tf.logging.set_verbosity_error()
    tf.logging.disable_progress_bar()
    torch.set_num_threads(1)
    for name in sys.argv[1:] or every_name():
        make(name)


if __name__ == "__main__":
    main()
