"""Makes fixtures/ragged.safetensors: statistics of the inputs of small models over sequences that differ in their length,
from what PyTorch's own modules read when each goes through the model by itself (tests/oracle/test_token_weights.c).

    python3 -m venv venv && venv/bin/pip install torch transformers safetensors
    venv/bin/python tests/oracle/make_ragged.py

The models and numbers are those of make_token_weights.py, of seven sequences of LENGTHS tokens; behind its numbers stand
those of H itself (its diagonal, and vᵀHv with v_i = cos(i)), and the largest |x| of each channel, as SmoothQuant takes
it over all its sequences."""

import os

import numpy as np
import torch
import transformers as tf
from safetensors.numpy import save_file

import make_token_weights as same

LENGTHS = (29, 3, 1, 17, 2, 29, 8)
SEQUENCES = [[(7 * t * t + 3 * t + 11 + 5 * s) % same.VOCAB for t in range(n)] for s, n in enumerate(LENGTHS)]


def of_input(parts, weights):
    H = largest = 0
    tokens = 0
    for x, _ in parts:
        for row in x:
            H = H + np.outer(row, row)
            largest = np.maximum(largest, abs(row))
            tokens += 1
    H = H / tokens
    v = np.cos(np.arange(len(H)))
    more = np.array([*np.diag(H), v @ H @ v, *largest], np.float32)
    return np.concatenate([same.of_input(parts, weights), more])


def main():
    tf.logging.set_verbosity_error()
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    out = {}
    for name in ("llama/a", "mixtral/a", "gemma2/a"):
        same.add_model(name, out, SEQUENCES, of_input)
    path = os.path.join(same.HERE, "fixtures", "ragged.safetensors")
    save_file({name: v for name, v in out.items() if "received" not in name}, path)
    print(f"{path}: {len(out)} tensors, {os.path.getsize(path)} bytes")


if __name__ == "__main__":
    main()
