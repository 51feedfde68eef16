"""Checks gptq_solver.py against the fixtures of tests/oracle/test_gptq.c: of each case whose options it knows, the codes that differ.

    bench/.venv/bin/python bench/peers/check_solver.py

The fixtures are float64 and the solver float32: a code next to a tie may differ, and then the rest of its row. Fails if more than one row in
eight does, or if the output MSE is more than 1 % off.
"""
import os
import sys

import torch
from gptq_solver import solve
from safetensors import safe_open

KNOWN = {"bits", "group", "act_order", "static_groups", "percdamp", "block"}
path = os.path.join(os.path.dirname(__file__), "../../tests/oracle/fixtures/gptq.safetensors")
bad = 0
with safe_open(path, "pt") as f:
    notes = f.metadata()
    to_authors_scale = 2 * int(notes.pop("tokens")) / int(notes.pop("sequences"))
    W = f.get_tensor("w").float()
    for name, text in sorted(notes.items()):
        o = dict(word.split("=") for word in text.split())
        if not o.keys() <= KNOWN or o.get("group") == "tensor":
            continue
        H = f.get_tensor("h_dead" if name.startswith("dead") else "h").double()
        want, group = f.get_tensor(name).double(), int(o["group"]) if "group" in o else None
        got = solve(
            W, (H * to_authors_scale).float(), int(o["bits"]), group, o.get("act_order") == "true", o.get("static_groups") == "true",
            float(o.get("percdamp", 0.01)), int(o.get("block", 128)),
        ).double()
        rows = int(((got - want).abs() > 1e-5).any(1).sum())
        mse = [float((((Q - W) @ H) * (Q - W)).sum()) for Q in (got, want)]
        apart = abs(mse[0] / mse[1] - 1)
        wrong = rows > W.shape[0] // 8 or apart > 0.01
        bad += wrong
        print(f"{name:16} {rows:2} of {W.shape[0]} rows differ, output MSE {100 * apart:.4f} % apart{'   WRONG' if wrong else ''}")
sys.exit(bad > 0)
