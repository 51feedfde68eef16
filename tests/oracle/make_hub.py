"""Makes fixtures/hub.json: what transformers makes of config.json as published models have it (hub/configs.py).

    python3 -m venv venv && venv/bin/pip install torch transformers==5.24.0 safetensors pillow
    venv/bin/python tests/oracle/make_hub.py

One model a line:

name, config     as published
parameters       of the whole model (its text part), without a head that is its embedding
sizes            what is otherwise in the config of a small model with the same keys (those of a part: in its own object)
tensors          [name, shape, kind] of the small model's file, as the published file names them, with the masks and tables that it
                 has; no kind: numbers; "as NAME": those of that tensor (a head that is the embedding, stored again);
                 "idle": whatever
logits, spread   of the last token of (7 t^2 + 3 t + 11) mod the vocabulary, t < 29; standard deviation of all logits

Numbers, tensor after tensor in the order of the list: s = 1664525 s + 1013904223 mod 2^32 from s = 11; u = (s >> 24) / 128 - 1; a
matrix has u 2^-floor(log2(cols) / 2) (the last dimension), a vector 1 + u/4 where its name ends in "weight", else u/4."""

import json
import os
import sys
import tempfile

import numpy as np
import torch
import transformers as tf
from safetensors.torch import load_file, save_file

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from hub.configs import FILES, HUB  # noqa: E402

T = 29
EAGER = ("gemma2", "bloom")


def smaller(config, sizes):
    return config | {k: smaller(config[k], v) if k.endswith("_config") else v for k, v in sizes.items()}


class Numbers:
    def __init__(self):
        self.s = 11

    def take(self, name, shape):
        u = np.empty(int(np.prod(shape)), dtype=np.float32)
        for i in range(u.size):
            self.s = (1664525 * self.s + 1013904223) % 2**32
            u[i] = (self.s >> 24) / 128 - 1
        if len(shape) > 1:
            u *= np.float32(2.0 ** -((shape[-1].bit_length() - 1) // 2))
        else:
            u = (u / 4 + (1 if name.endswith("weight") else 0)).astype(np.float32)
        return torch.from_numpy(u.reshape(shape))


def model_class(config):
    return getattr(tf, config["architectures"][0])


def write_config(folder, config):
    with open(os.path.join(folder, "config.json"), "w") as f:
        json.dump(config, f)


def read(folder):
    config, _ = tf.PreTrainedConfig.get_config_dict(folder)
    return tf.AutoConfig.from_pretrained(folder), config


def parameters(config, folder):
    write_config(folder, config)
    with torch.device("meta"):
        model = model_class(config)._from_config(read(folder)[0])
    model.tie_weights()
    return sum(p.numel() for n, p in model.named_parameters() if "vision" not in n and "multi_modal" not in n)


def of_text(name):
    return not any(part in name for part in ("vision_tower", "multi_modal_projector"))


def tensors(name, saved):
    """The list of the fixture, from the file that transformers wrote."""
    change = FILES.get(name, {})
    out = [[key.removeprefix(change.get("without", "")), list(saved[key].shape)] for key in sorted(saved) if of_text(key)]
    return out + change.get("more", [])


def fill(listed, folder):
    numbers, out = Numbers(), {}
    for key, shape, *kind in listed:
        if not kind:
            out[key] = numbers.take(key, shape)
        elif kind[0].startswith("as "):
            out[key] = out[kind[0][3:]].clone()
        else:
            out[key] = torch.zeros(shape)
    save_file(out, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})


def entry(name):
    config, sizes = HUB[name]
    if config.get("pad_token_id") is not None:  # transformers wants one of the vocabulary
        sizes = sizes | {"pad_token_id": 0}
    small = smaller(config, sizes)
    with tempfile.TemporaryDirectory() as folder:
        count = parameters(config, folder)
        write_config(folder, small)
        told, _ = read(folder)
        how = "eager" if small["model_type"] in EAGER else "sdpa"
        cls = model_class(small)
        model = cls._from_config(told, attn_implementation=how)
        model.save_pretrained(folder)
        write_config(folder, small)
        saved = load_file(os.path.join(folder, "model.safetensors"))
        listed = tensors(name, saved)
        fill(listed, folder)
        model, info = cls.from_pretrained(folder, attn_implementation=how, dtype=torch.float32, output_loading_info=True)
        missing = [k for k in info["missing_keys"] if of_text(k)]
        if missing or info["mismatched_keys"]:
            raise ValueError(f"{name}: weights do not fit: {missing}, {info['mismatched_keys']}")
        vocab = small.get("text_config", small)["vocab_size"]
        token = torch.tensor([[(7 * t * t + 3 * t + 11) % vocab for t in range(T)]])
        with torch.no_grad():
            y = model.eval()(token).logits[0].numpy()
        if not np.isfinite(y).all():
            raise ValueError(f"{name}: not finite")
    return dict(name=name, config=config, parameters=count, sizes=sizes, tensors=listed, logits=[float(f"{x:.8g}") for x in y[-1]], spread=float(f"{y.std():.6g}"))


def main():
    tf.logging.set_verbosity_error()
    tf.logging.disable_progress_bar()
    torch.set_num_threads(1)
    with open(os.path.join(HERE, "fixtures", "hub.json"), "w") as f:
        f.write("[\n" + ",\n".join(json.dumps(entry(name), separators=(",", ":")) for name in sys.argv[1:] or HUB) + "\n]\n")


if __name__ == "__main__":
    main()
