"""Every family against transformers, side by side: `make check-parity` runs it.

    python check.py DUMP CSV [NAME ...]      DUMP: the program of dump.c; NAME: these families alone

Two random models of each family are made anew from its module (tests/oracle/families/NAME.py), not taken from the fixtures, and
run by both. All elements are compared:

logits            largest difference, in spreads of transformers' logits
loss              mean NLL of the next tokens, difference in nats
gradients         of every tensor, largest difference over its largest entry (where all of it is less than a hundredth of the
                  largest gradient of the model: over that hundredth)
H                 of what every layer reads, largest difference over the largest entry; of an expert's, of the tokens routed to it
expert counts     layers of experts that were read by other numbers of tokens
export            logits of the folder that lowbit writes, as transformers loads it, against its logits of its own folder
export bytes      tensors of that folder that are not transformers' numbers
GGUF              logits of the file that the gguf package writes of the same weights
GGUF export       logits of the folder that lowbit writes of that file, as transformers loads it

Writes a row of each to CSV. Exits non-zero where a tolerance is exceeded, or where a family of the program has no rows."""

import csv
import importlib
import json
import os
import subprocess
import sys
import tempfile

import numpy as np
import torch
import transformers as tf
from safetensors.numpy import load_file

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "oracle"))
from families import deep  # noqa: E402
from families.common import flipped, load, logits, option, read_config, save, write_gguf  # noqa: E402

TOLERANCE = {"logits": 2e-5, "loss": 1e-5, "gradients": 1e-4, "H": 1e-5, "expert counts": 0, "export": 1e-5, "export bytes": 0, "GGUF": 2e-5, "GGUF export": 1e-5}


def apart(have, want):
    """Largest difference; infinite where shapes differ or a number is not finite."""
    if have.shape != want.shape or not np.isfinite(have).all():
        return float("inf")
    return float(np.abs(have.astype(np.float64) - want.astype(np.float64)).max())


def dump(program, kind, model, out):
    os.makedirs(out)
    subprocess.run([program, kind, model, out], check=True)
    return load_file(os.path.join(out, "numbers.safetensors"))


def gradients_apart(ours, theirs):
    if ours.keys() != theirs.keys():
        raise SystemExit(f"gradients of other tensors: {sorted(ours.keys() ^ theirs.keys())}")
    whole = max(np.abs(g).max() for g in theirs.values())
    return max(apart(ours[n], g) / max(np.abs(g).max(), 0.01 * whole) for n, g in theirs.items())


def inputs_apart(ours, theirs):
    """H's and the counts' differences."""
    extra = {n[2:] for n in ours if n.startswith("H ")} - theirs.keys()
    if extra:
        raise SystemExit(f"no linear layers there: {sorted(extra)}")
    worst, wrong, experts = 0.0, 0, 0
    for key, rows in theirs.items():
        expert = ".experts." in key or key.endswith("]")
        experts += expert
        H, want = ours["H " + key], deep.hessian(rows)
        wrong += int(ours["tokens " + key][0, 0]) != rows.shape[0]
        if rows.shape[0]:
            worst = max(worst, apart(H, want) / np.abs(want).max())
    return worst, wrong, experts


def flip_config(folder, keys):
    config = flipped(read_config(folder), keys)
    with open(os.path.join(folder, "config.json"), "w") as f:
        json.dump(config, f)


def check_model(program, module, which, scratch):
    """{quantity: worst difference}"""
    folder = os.path.join(scratch, "model")
    save(module, which, folder)
    base = logits(load(module, folder))
    spread = float(base.std())
    ours = dump(program, "all", folder, os.path.join(scratch, "ours"))
    loss, gradients = deep.gradients(module, folder)
    worst, wrong, experts = inputs_apart(ours, deep.inputs(module, folder))
    export = os.path.join(scratch, "ours", "export")
    written, theirs = load_file(os.path.join(export, "model.safetensors")), deep.written(load(module, folder))
    out = {
        "logits": apart(ours["logits"], base) / spread,
        "loss": abs(float(ours["loss"][0, 0]) - loss),
        "gradients": gradients_apart(load_file(os.path.join(scratch, "ours", "gradients", "model.safetensors")), gradients),
        "H": worst,
        "export": apart(logits(load(module, export)), base) / spread,
        "export bytes": sum(n not in written or n not in theirs or apart(written[n], theirs[n]) != 0 for n in written.keys() | theirs.keys()),
    }
    if experts:
        out["expert counts"] = wrong
    elif wrong:
        raise SystemExit(f"{wrong} layers read other numbers of tokens")
    spec = option(module, "GGUF", {}).get(which)
    if spec:
        write_gguf(module, which, folder, folder + ".gguf")
        if spec.get("flip"):
            flip_config(folder, spec["flip"])
            base = logits(load(module, folder))
        out["GGUF"] = apart(dump(program, "all", folder + ".gguf", os.path.join(scratch, "gguf"))["logits"], base) / float(base.std())
        out["GGUF export"] = apart(logits(load(module, os.path.join(scratch, "gguf", "export"))), base) / float(base.std())
    return out


def rows_of(program, family):
    module = importlib.import_module("families." + family)
    for which in module.MODELS:
        with tempfile.TemporaryDirectory() as scratch:
            for quantity, worst in check_model(program, module, which, scratch).items():
                yield [family, which, quantity, f"{worst:.2g}", f"{TOLERANCE[quantity]:g}", "yes" if worst <= TOLERANCE[quantity] else "NO"]


def main(program, path, *names):
    tf.logging.set_verbosity_error()
    tf.logging.disable_progress_bar()
    torch.set_num_threads(1)
    table = subprocess.run([program, "families"], check=True, capture_output=True, text=True).stdout.split()
    rows, failed = [], []
    for family in names or table:
        try:
            rows += rows_of(program, family)
        except (Exception, SystemExit) as e:  # the others are looked at too
            failed.append(f"{family}: {type(e).__name__}: {e}")
        print(f"{family}: " + ", ".join(f"{q} {m} {w}" for f, m, q, w, _, _ in rows if f == family), flush=True)
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(path, "w", newline="") as f:
        out = csv.writer(f, lineterminator="\n")
        out.writerow(["family", "model", "quantity", "worst difference", "tolerance", "within"])
        out.writerows(rows)
    failed += [" ".join(r) for r in rows if r[5] == "NO"]
    failed += [f"{f}: no rows" for f in names or table if not any(r[0] == f for r in rows)]
    print(f"{path}: {len(rows)} rows, {len({r[0] for r in rows})} families")
    if failed:
        sys.exit("\n".join(["FAILED:"] + failed))


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
