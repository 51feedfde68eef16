"""Makes fixtures/generate.json: what transformers generates with the random models of make_families.py.

    python3 -m venv venv && venv/bin/pip install torch transformers==5.24.0 safetensors gguf==0.19.0
    venv/bin/python tests/oracle/make_generate.py

greedy  one entry a model: 24 tokens of generate(do_sample=False) with its cache, after the first `prompt` tokens of the
        rule (7 t^2 + 3 t + 11) mod the vocabulary; `last`, of one model a family: every third logit before the last of
        them, and the spread of all. The prompt is the shortest one of at least five tokens for which no choice between
        the two best logits was closer than 1e-3. Models whose rotary angles depend on the sequence's length are left out, and families
        that transformers has no class of.
top_p   logits, a temperature and top_p, and the ids that TopPLogitsWarper keeps of them
accept  two rows of logits, and the sum over the vocabulary of the lesser of their probabilities, in float64"""

import importlib
import json
import os
import sys

import torch
import transformers as tf

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from families.common import VOCAB, load  # noqa: E402
from make_families import OUT, every_name  # noqa: E402

STEPS, GAP = 24, 1e-3


def rule(n):
    return torch.tensor([[(7 * t * t + 3 * t + 11) % VOCAB for t in range(n)]])


def greedy(model, prompt):
    """The tokens, the closest choice, and the logits before the last one."""
    tokens = rule(prompt)
    out = model.generate(tokens, attention_mask=torch.ones_like(tokens), do_sample=False, max_new_tokens=STEPS, min_new_tokens=STEPS, use_cache=True, eos_token_id=None, pad_token_id=0,
                         output_logits=True, return_dict_in_generate=True)
    best = [x[0].topk(2).values for x in out.logits]
    return out.sequences[0, prompt:].tolist(), min(float(b[0] - b[1]) for b in best), out.logits[-1][0]


def turns(config):
    r = getattr(config, "rope_parameters", None) or {}
    kinds = [r.get("rope_type")] + [v.get("rope_type") for v in r.values() if isinstance(v, dict)]
    return any(k in ("dynamic", "longrope") for k in kinds)


def of_model(name, which):
    module = importlib.import_module("families." + name)
    model = load(module, os.path.join(OUT, name, which)).float().eval()
    if not isinstance(model, tf.GenerationMixin) or turns(model.config):
        return None
    for prompt in range(5, 24):
        ids, gap, last = greedy(model, prompt)
        if gap > GAP:
            entry = dict(family=name, model=which, prompt=prompt, ids=ids)
            return entry | (dict(last=[float(f"{x:.8g}") for x in last[::3]], spread=float(last.std())) if which == "a" else {})
    raise ValueError(f"{name} {which}: every prompt has a choice that is too close")


def top_p_cases():
    g = torch.Generator().manual_seed(3)
    for temperature, top_p in ((1.0, 0.9), (0.5, 0.5), (2.0, 0.99), (1.0, 0.05), (1.0, 0.7)):
        x = 3 * torch.randn(20, generator=g)
        kept = tf.TopPLogitsWarper(top_p)(None, (x / temperature)[None])[0]
        yield dict(logits=[float(v) for v in x], temperature=temperature, top_p=top_p, kept=[i for i in range(20) if torch.isfinite(kept[i])])


def accept_cases():
    g = torch.Generator().manual_seed(4)
    for spread in (0.0, 0.3, 2.0):
        p = 2 * torch.randn(31, generator=g)
        q = p + spread * torch.randn(31, generator=g)
        share = torch.minimum(p.double().softmax(0), q.double().softmax(0)).sum()
        yield dict(p=[float(v) for v in p], q=[float(v) for v in q], accept=float(share))


def main():
    tf.logging.set_verbosity_error()
    tf.logging.disable_progress_bar()
    torch.set_num_threads(1)
    models = [of_model(name, which) for name in every_name() for which in importlib.import_module("families." + name).MODELS]
    lists = dict(greedy=[m for m in models if m], top_p=list(top_p_cases()), accept=list(accept_cases()))
    with open(os.path.join(HERE, "fixtures", "generate.json"), "w") as f:
        f.write("{\n" + ",\n".join(f'"{k}": [\n' + ",\n".join(json.dumps(x) for x in v) + "\n]" for k, v in lists.items()) + "\n}\n")
    print(len(lists["greedy"]), "models")


if __name__ == "__main__":
    main()
