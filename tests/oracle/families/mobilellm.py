"""MobileLLM, which transformers has only as Meta's own file: its Llama with each block in the list as often as it runs."""

import json
import os

import torch
from safetensors.torch import load_file, save_file

from families.common import GQA, tf

KEYS = dict(GQA, architectures=["MobileLLMForCausalLM"], attention_bias=False, dtype="bfloat16", head_dim=6, hidden_act="silu", initializer_range=0.02, layer_sharing=True, mlp_bias=False,
            model_type="mobilellm", pretraining_tp=1, rms_norm_eps=1e-5, rope_scaling=None, rope_theta=10000.0, share_embedding=True, tie_word_embeddings=False)
OWN = ("architectures", "model_type", "layer_sharing", "share_embedding", "tie_word_embeddings", "dtype")


class CLASS(torch.nn.Module):
    def __init__(self, config, attention):
        super().__init__()
        llama = tf.LlamaConfig(**{k: v for k, v in config.items() if k not in OWN}, tie_word_embeddings=bool(config.get("share_embedding")))
        self.llama = tf.LlamaForCausalLM._from_config(llama, attn_implementation=attention)
        self.keys = config
        blocks = self.llama.model.layers
        if config.get("layer_sharing"):
            self.llama.model.layers = torch.nn.ModuleList([b for b in blocks for _ in range(2)])
            llama.num_hidden_layers *= 2
        self.stored = {self.llama.lm_head.weight: "lm_head.weight"}
        self.stored.update({p: f"model.layers.{i}.{n}" for i, b in enumerate(blocks) for n, p in b.named_parameters()})
        self.stored.update({self.llama.model.embed_tokens.weight: "model.embed_tokens.weight", self.llama.model.norm.weight: "model.norm.weight"})

    @classmethod
    def _from_config(cls, config, attn_implementation):
        return cls(config, attn_implementation)

    @classmethod
    def from_pretrained(cls, folder, attn_implementation, output_loading_info=True, dtype=torch.float32):
        with open(os.path.join(folder, "config.json")) as f:
            model = cls(json.load(f), attn_implementation).to(dtype)
        held = load_file(os.path.join(folder, "model.safetensors"))
        names = model.names()
        bad = [n for n in names if n not in held or held[n].shape != names[n].shape]
        for n in names.keys() - set(bad):
            names[n].data.copy_(held[n])
        return model, dict(missing_keys=bad, unexpected_keys=held.keys() - names.keys(), mismatched_keys=[])

    def names(self):
        return {n: p for p, n in self.stored.items()}

    def named_parameters(self, *args, **more):
        return list(self.names().items())

    def save_pretrained(self, folder):
        os.makedirs(folder)
        save_file({n: p.data.contiguous() for n, p in self.names().items()}, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
        with open(os.path.join(folder, "config.json"), "w") as f:
            json.dump(self.keys, f, indent=2, sort_keys=True)
            f.write("\n")

    def forward(self, tokens):
        return self.llama(tokens, use_cache=False)  # a cache would mix up a block's two runs


TIED_KEY = "share_embedding"
MODELS = {"a": KEYS, "b": {**KEYS, "layer_sharing": False, "share_embedding": False, "num_key_value_heads": 1, "head_dim": 8, "rope_theta": 500.0}}
FLIPS = {
    "a": [dict(layer_sharing=False), dict(rope_theta=500.0), dict(rms_norm_eps=0.1), dict(num_key_value_heads=4), dict(layer_sharing=None), dict(initializer_range=0.5)],
    "b": [dict(layer_sharing=True), dict(rope_theta=1e4), dict(rms_norm_eps=0.1)],
}
REFUSED = [(dict(tie_word_embeddings=True), "share_embedding ties the head")]
