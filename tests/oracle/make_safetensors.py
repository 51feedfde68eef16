"""Makes fixtures/io/types.safetensors and the sharded set fixtures/io/sharded/, with the safetensors package.

    python3 -m venv venv && venv/bin/pip install torch safetensors numpy
    venv/bin/python tests/oracle/make_safetensors.py

Element i of a tensor is v(i) = ((37 * i) mod 101 - 50) / 8, exact in every type stored here but the integers (which
hold (37 * i) mod 101 - 50); the test computes the same.
"""

import json
import os

import torch
from safetensors.torch import save_file

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fixtures", "io")


def v(*shape, dtype=torch.float32):
    n = 1
    for d in shape:
        n *= d
    i = torch.arange(n) * 37 % 101 - 50
    return (i if dtype in (torch.int64, torch.int32) else i / 8).reshape(shape).to(dtype).contiguous()


def main():
    save_file(
        {
            "f32": v(3, 5),
            "f16": v(7, dtype=torch.float16),
            "bf16": v(2, 3, 2, 1, dtype=torch.bfloat16),
            "f64": v(2, 2, dtype=torch.float64),
            "i64": v(5, dtype=torch.int64),
            "i32": v(4, 1, dtype=torch.int32),
            "scalar": v(),
            "empty": v(0, 4),
            "name with spaces / naïve": v(1),
        },
        os.path.join(OUT, "types.safetensors"),
        metadata={"format": "pt", "note": "ünicode"},
    )
    folder = os.path.join(OUT, "sharded")
    os.makedirs(folder, exist_ok=True)
    shards = [{"a.weight": v(2, 3), "c.weight": v(4)}, {"b.weight": v(3, 3)}]
    names = [f"model-{i + 1:05d}-of-00002.safetensors" for i in range(2)]
    weight_map = {}
    for name, tensors in zip(names, shards):
        save_file(tensors, os.path.join(folder, name), metadata={"format": "pt", "shard": name})
        weight_map.update({t: name for t in tensors})
    size = sum(t.numel() * 4 for s in shards for t in s.values())
    with open(os.path.join(folder, "model.safetensors.index.json"), "w") as f:
        json.dump({"metadata": {"total_size": size}, "weight_map": dict(sorted(weight_map.items()))}, f, indent=2)
        f.write("\n")


main()
