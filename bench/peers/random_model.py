"""A random model of a family, saved by transformers in float32 beside a tokenizer.

Arguments: KIND SIZE TOKENIZER_FOLDER CONTEXT FOLDER. KIND: opt, gpt_neox or mixtral; SIZE: tiny (2 blocks of width 64), or smollm2, the
shapes of SmolLM2-135M (30 blocks of width 576, hidden 1536; Mixtral: 8 of them, with 8 experts of which 2 run).
"""
import os
import shutil
import sys

import torch
import transformers as tf
from tokenizers import Tokenizer

kind, size, tokenizer, context, folder = sys.argv[1:6]
dim, hidden, layers, heads = {"tiny": (64, 172, 2, 4), "smollm2": (576, 1536, 30, 9)}[size]
vocab = Tokenizer.from_file(os.path.join(tokenizer, "tokenizer.json")).get_vocab_size()
common = {"vocab_size": vocab, "hidden_size": dim, "num_attention_heads": heads, "max_position_embeddings": int(context)}
experts = {"num_local_experts": 8, "num_experts_per_tok": 2}
configs = {
    "opt": lambda: tf.OPTConfig(**common, ffn_dim=hidden, num_hidden_layers=layers, word_embed_proj_dim=dim),
    "gpt_neox": lambda: tf.GPTNeoXConfig(**common, intermediate_size=hidden, num_hidden_layers=layers),
    "mixtral": lambda: tf.MixtralConfig(**common, **experts, intermediate_size=hidden, num_hidden_layers=min(layers, 8), num_key_value_heads=1 + heads // 4),
}
torch.manual_seed(1)
config = configs[kind]()
tf.AutoModelForCausalLM.from_config(config).float().save_pretrained(folder)
for name in ("tokenizer.json", "tokenizer_config.json"):
    shutil.copy(os.path.join(tokenizer, name), folder)
