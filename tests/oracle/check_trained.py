"""Does transformers see in a model that lowbit trained what lowbit sees? Of every family; exits non-zero if not.

    python3 -m venv venv && venv/bin/pip install torch transformers==5.24.0 safetensors
    venv/bin/python tests/oracle/check_trained.py [FAMILY ...]

Trains a tiny model of each (./lowbit train, a few steps, float32) with its default keys, and with those of MORE, and
compares the mean NLL of every window of 32 tokens, which must agree within 1e-5 nats."""

import json
import os
import re
import subprocess
import sys
import tempfile

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

TOLERANCE, LENGTH, WINDOWS = 1e-5, 32, 6
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LOWBIT, TEXT = os.path.join(ROOT, "lowbit"), os.path.join(ROOT, "data", "builtin", "eval.txt")
SIZES = "--vocab 280 --layers 2 --dim 32 --heads 4 --steps 20 --warmup 1 --batch 2 --length 32 --lr 1e-2 --threads 1 --dtype f32".split()
NOT_IN_TRANSFORMERS = ("mobilellm",)
EAGER = ("gemma2", "bloom")  # sdpa leaves their caps out, or is not the oracle
MORE = {
    "gemma2": [["sliding_window=9", "final_logit_softcapping=null"]],
    "mixtral": [["num_local_experts=3", "sliding_window=10", "hidden_act=gelu"]],
    "gpt_neox": [["use_parallel_residual=false", "rotary_pct=0.5", 'rope_parameters={"rope_type":"linear","factor":2.0,"rope_theta":5000.0}']],
    "falcon": [["new_decoder_architecture=true", "num_kv_heads=2"], ["alibi=true", "parallel_attn=false", "multi_query=false", "bias=true"]],
    "opt": [["do_layer_norm_before=false", "word_embed_proj_dim=24"]],
    "llama": [["attention_bias=true", "mlp_bias=true", "hidden_act=relu", "tie_word_embeddings=false"]],
    "qwen3": [["use_sliding_window=true", "max_window_layers=1", "sliding_window=7"]],
    "cohere": [["use_qk_norm=true"]],
    "gemma3": [["sliding_window=7", "sliding_window_pattern=2"]],
    "smollm3": [["no_rope_layers=[0,1]", "mlp_bias=true"]],
    "qwen3_moe": [["num_experts=3", "decoder_sparse_step=2", "norm_topk_prob=true"]],
    "olmo": [["clip_qkv=0.05"]],
    "granite": [["logits_scaling=3.0", "residual_multiplier=0.5"]],
    "granitemoeshared": [["num_local_experts=3", "shared_intermediate_size=20"]],
}


def families():
    listed = subprocess.run([LOWBIT, "models"], check=True, capture_output=True, text=True).stdout
    return re.findall(r"^  (\w+)[ *]+\S", listed.split("\n\n")[0], re.M)


def worst(folder, family):
    out = folder + ".json"
    subprocess.run([LOWBIT, "eval", folder, TEXT, "--protocol", f"W2-{LENGTH}", "--windows", str(WINDOWS), "--json", out], check=True, capture_output=True)
    with open(out) as f:
        ours = torch.tensor(json.load(f)["window_nll"])
    with open(TEXT, newline="") as f:
        text = f.read(4000)
    ids = AutoTokenizer.from_pretrained(folder)(text, add_special_tokens=False, return_tensors="pt").input_ids[0]
    ids = ids[: LENGTH * WINDOWS].view(WINDOWS, LENGTH)
    how = {"attn_implementation": "eager"} if family in EAGER else {}
    model, info = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, output_loading_info=True, **how)
    if any(info[k] for k in ("missing_keys", "unexpected_keys", "mismatched_keys")):
        raise ValueError(f"weights do not fit: {info}")
    with torch.no_grad():
        logits = model.eval()(ids).logits
    theirs = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
    return (theirs.view(WINDOWS, -1).mean(1) - ours).abs().max().item()


def main(names):
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    bad = 0
    with tempfile.TemporaryDirectory() as tmp:
        for family in names or families():
            for i, keys in enumerate([[], *MORE.get(family, [])]):
                folder = os.path.join(tmp, f"{family}-{i}")
                options = [x for key in keys for x in ("-o", key)]
                subprocess.run([LOWBIT, "train", TEXT, "--family", family, "--out", folder, *SIZES, *options], check=True, capture_output=True)
                if family in NOT_IN_TRANSFORMERS:
                    continue
                off = worst(folder, family)
                bad += not off <= TOLERANCE
                print(f"{family:18} {' '.join(keys) or 'as it is by default':60} worst difference {off:.1e}", flush=True)
    sys.exit(f"{bad} differ" if bad else 0)


main(sys.argv[1:])
