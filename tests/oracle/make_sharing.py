"""Makes fixtures/sharing/: a small random Llama each of whose blocks runs twice in a row, as MobileLLM's layer_sharing has it.

    python3 -m venv venv && venv/bin/pip install torch transformers safetensors
    venv/bin/python tests/oracle/make_sharing.py

model/: the folder (config.json of MobileLLMConfig, model.safetensors with each block once, bfloat16). sharing.safetensors: of transformers' Llama with those modules
in its list of blocks, each twice, "logits" (T, vocab), "loss" (mean cross entropy of the next token, nats) and "grad NAME" of every tensor; and "once", the logits where
each block runs once. Token t is (7 t^2 + 3 t + 11) mod the vocabulary."""

import json
import math
import os
import shutil

import torch
import transformers as tf
from safetensors.torch import save_file

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fixtures", "sharing")
STORED, VOCAB, T = 2, 61, 29
SIZES = dict(vocab_size=VOCAB, hidden_size=24, num_attention_heads=4, num_key_value_heads=2, head_dim=6, intermediate_size=36, max_position_embeddings=64, rms_norm_eps=1e-5)


def fill(model):
    g = torch.Generator().manual_seed(7)
    for name, p in model.named_parameters():
        spread = 0.3 if p.ndim == 1 else 0.9 / math.sqrt(p.shape[-1])
        p.data.copy_((float(p.ndim == 1) + spread * torch.randn(p.shape, generator=g)).bfloat16().float())


def run(model, blocks):
    """Logits with these modules as the blocks."""
    model.model.layers = torch.nn.ModuleList(blocks)
    model.config.num_hidden_layers = len(blocks)
    tokens = torch.tensor([[(7 * t * t + 3 * t + 11) % VOCAB for t in range(T)]])
    y = model(tokens, use_cache=False).logits[0]
    return y, torch.nn.functional.cross_entropy(y[:-1], tokens[0, 1:])


def main():
    tf.logging.set_verbosity_error()
    torch.set_num_threads(1)
    shutil.rmtree(OUT, ignore_errors=True)
    os.makedirs(os.path.join(OUT, "model"))
    model = tf.LlamaForCausalLM._from_config(tf.LlamaConfig(**SIZES, num_hidden_layers=STORED, tie_word_embeddings=True), attn_implementation="sdpa").float().eval()
    fill(model)
    stored = list(model.model.layers)
    names = {n: p for n, p in model.named_parameters()}
    once, _ = run(model, stored)
    y, loss = run(model, [b for b in stored for _ in range(2)])
    loss.backward()
    save_file({n: p.data.bfloat16().contiguous() for n, p in names.items()}, os.path.join(OUT, "model", "model.safetensors"), metadata={"format": "pt"})
    config = dict(SIZES, architectures=["MobileLLMForCausalLM"], attention_bias=False, dtype="bfloat16", hidden_act="silu", initializer_range=0.02, layer_sharing=True, mlp_bias=False,
                  model_type="mobilellm", num_hidden_layers=STORED, pretraining_tp=1, rope_scaling=None, rope_theta=10000.0, share_embedding=True, tie_word_embeddings=False)
    with open(os.path.join(OUT, "model", "config.json"), "w") as f:
        json.dump(config, f, indent=2, sort_keys=True)
        f.write("\n")
    out = {"logits": y.detach(), "once": once.detach(), "loss": loss.detach().reshape(1)}
    out.update({f"grad {n}": p.grad.contiguous() for n, p in names.items()})
    save_file(out, os.path.join(OUT, "sharing.safetensors"))


if __name__ == "__main__":
    main()
