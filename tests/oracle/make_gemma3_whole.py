"""Makes fixtures/gemma3-whole/: a small random Gemma 3 that sees images, as transformers saves it, and its logits of a text.

    python3 -m venv venv && venv/bin/pip install torch transformers==5.24.0 safetensors
    venv/bin/python tests/oracle/make_gemma3_whole.py

config.json, model.safetensors (bfloat16); expected.safetensors: the last rows of the logits in float32. Token t is
(7 t^2 + 3 t + 11) mod the vocabulary, but 5 to 7, which stand for images, are 8."""

import os
import shutil
import sys

import numpy as np
import torch
import transformers as tf
from safetensors.numpy import save_file

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from families.common import GQA, KEPT, VOCAB, T, fill  # noqa: E402

OUT = os.path.join(HERE, "fixtures", "gemma3-whole")
TEXT = dict(GQA, head_dim=10, sliding_window=7, query_pre_attn_scalar=20, layer_types=["sliding_attention", "full_attention"],
            rope_parameters={"full_attention": dict(rope_type="linear", factor=8.0, rope_theta=1e6), "sliding_attention": dict(rope_type="default", rope_theta=1e4)})
VISION = dict(hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2, image_size=8, patch_size=4)


def main():
    tf.logging.set_verbosity_error()
    torch.set_num_threads(1)
    shutil.rmtree(OUT, ignore_errors=True)
    config = tf.Gemma3Config(text_config=TEXT, vision_config=VISION, mm_tokens_per_image=4, boi_token_index=5, eoi_token_index=6, image_token_index=7)
    model = tf.Gemma3ForConditionalGeneration._from_config(config, attn_implementation="sdpa").float().eval()
    fill(model, 0.0)
    model.to(torch.bfloat16).save_pretrained(OUT)
    extra = os.path.join(OUT, "generation_config.json")
    if os.path.exists(extra):
        os.remove(extra)
    model = tf.Gemma3ForConditionalGeneration.from_pretrained(OUT, attn_implementation="sdpa", dtype=torch.float32).eval()
    token = [(7 * t * t + 3 * t + 11) % VOCAB for t in range(T)]
    with torch.no_grad():
        y = model(torch.tensor([[8 if 5 <= t <= 7 else t for t in token]])).logits[0].numpy()
    save_file({"logits": np.ascontiguousarray(y[-KEPT:]), "spread": np.array([y.std()], dtype=np.float32)}, os.path.join(OUT, "expected.safetensors"))


if __name__ == "__main__":
    main()
