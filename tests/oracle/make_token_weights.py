"""Makes fixtures/token_weights.safetensors: who carries H of the inputs of small models, and H of tokens that count
otherwise, from what PyTorch's own modules read (tests/oracle/test_token_weights.c).

    python3 -m venv venv && venv/bin/pip install torch transformers safetensors
    venv/bin/python tests/oracle/make_token_weights.py

The models are those of fixtures/families, in float32 with the attention that gives its weights back. Two sequences of 29
tokens: token t of sequence s is (7 t^2 + 3 t + 11 + 5 s) mod 61. Of an input "MODEL 1.down": tokens, participation ratio,
share of each sequence's first four, share that has half; then of H of x / |x|, of H clipped at 1.05 times the median
|x| of a sequence, and of H by received attention: the diagonal, and vᵀHv with v_i = cos(i). "MODEL 1 received": the
attention that the tokens of the first sequence receive in a block."""

import os

import numpy as np
import torch
import transformers as tf
from safetensors.numpy import save_file

HERE = os.path.dirname(os.path.abspath(__file__))
T, VOCAB, SEQUENCES, CLIP, LEAST = 29, 61, 2, 1.05, 0.005


def received(weights):
    return weights.double().sum(dim=(0, 1))  # over heads and queries


def by_attention(a):
    if a.max() == a.min():
        return np.ones(len(a))
    w = LEAST + (1 - LEAST) * (a - a.min()) / (a.max() - a.min())
    return w / w.mean()


def lower_median(x):
    return np.sort(x)[(len(x) - 1) // 2]


def of_input(parts, weights):
    """parts: of each sequence its rows (n, cols) and which tokens they are."""
    rows = np.concatenate([x for x, _ in parts])
    energy = (rows**2).sum(1)
    order = np.sort(energy)[::-1].cumsum()
    first = sum((x[at < 4] ** 2).sum() for x, at in parts)
    out = [len(rows), energy.sum() ** 2 / (len(rows) * (energy**2).sum()), first / energy.sum(),
           (np.searchsorted(order, energy.sum() / 2) + 1) / len(rows)]
    norm, clip, attention = [], [], []
    for (x, at), w in zip(parts, weights):
        length = np.sqrt((x**2).sum(1))
        norm.append(1 / length**2)
        if len(x):
            clip.append(np.minimum(1, (CLIP * lower_median(length) / length) ** 2))
        attention.append(w[at])
    v = np.cos(np.arange(rows.shape[1]))
    for w in (norm, clip, attention):
        H = (rows * np.concatenate(w)[:, None]).T @ rows / len(rows)
        out += [*np.diag(H), v @ H @ v]
    return np.array(out, np.float32)


class Taken:
    """What a module reads, sequence by sequence."""

    def __init__(self, module):
        self.x = []
        module.register_forward_pre_hook(lambda _, args: self.x.append(args[0].detach().double().reshape(-1, args[0].shape[-1])))


def plain_inputs(block):
    at, mlp = block.self_attn, block.mlp
    inputs = {"q": at.q_proj, "o": at.o_proj}
    return {**inputs, **({"gate": mlp.gate_proj, "down": mlp.down_proj} if hasattr(mlp, "gate_proj") else {})}


def expert_parts(mlp, x):
    """Rows of gate and down of each expert, from the router's own choice."""
    logits = torch.nn.functional.linear(x.float(), mlp.gate.weight).double()
    chosen = torch.topk(torch.softmax(logits, -1), mlp.gate.top_k, dim=-1).indices
    for e in range(logits.shape[1]):
        at = torch.nonzero((chosen == e).any(-1)).flatten()
        gate, up = (x[at] @ mlp.experts.gate_up_proj[e].double().T).chunk(2, -1)
        yield e, at.numpy(), x[at].numpy(), (torch.nn.functional.silu(gate) * up).numpy()


SAME_LENGTH = [[(7 * t * t + 3 * t + 11 + 5 * s) % VOCAB for t in range(T)] for s in range(SEQUENCES)]


def add_model(name, out, sequences=SAME_LENGTH, of_input=of_input):
    folder = os.path.join(HERE, "fixtures", "families", name)
    model = tf.AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32).eval()
    blocks = model.model.layers
    taken = [{role: Taken(m) for role, m in plain_inputs(b).items()} for b in blocks]
    mlps = [Taken(b.mlp) for b in blocks]
    attentions = [model(torch.tensor([one]), output_attentions=True).attentions for one in sequences]
    for b, block in enumerate(blocks):
        each = [received(a[b][0]) for a in attentions]
        weights = [by_attention(a.numpy()) for a in each]
        out[f"{name} {b} received"] = each[0].numpy().astype(np.float32)
        for role, t in taken[b].items():
            out[f"{name} {b}.{role}"] = of_input([(x.numpy(), np.arange(len(x))) for x in t.x], weights)
        if hasattr(block.mlp, "gate_proj"):
            continue
        of_expert = {}
        for x in mlps[b].x:
            for e, at, gate, down in expert_parts(block.mlp, x):
                of_expert.setdefault(f"{e}.gate", []).append((gate, at))
                of_expert.setdefault(f"{e}.down", []).append((down, at))
        for role, parts in of_expert.items():
            out[f"{name} {b}.expert.{role}"] = of_input(parts, weights)


def main():
    tf.logging.set_verbosity_error()
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    out = {}
    for name in ("llama/a", "mixtral/a", "gemma2/a"):
        add_model(name, out)
    path = os.path.join(HERE, "fixtures", "token_weights.safetensors")
    save_file(out, path)
    print(f"{path}: {len(out)} tensors, {os.path.getsize(path)} bytes")


if __name__ == "__main__":
    main()
