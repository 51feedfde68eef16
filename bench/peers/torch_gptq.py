"""GPTQ of all linear layers of a Llama with PyTorch + transformers: block by block, all linears of a block on the inputs of one pass.

Arguments: MODEL_FOLDER TEXT SAMPLES LENGTH THREADS BITS GROUP|row quantized|original [act_order=true] [static_groups=true]. propagate "quantized": the next block's inputs come
from the quantized block (a second pass); "original": from the block as it was. Linears that read the same input share its H.
Prints "seconds output_mse": the time from embedded tokens to the last layer, and the output MSE of layer 0.q, to check that the work is
the same.
"""
import sys
import time

import torch
from gptq_solver import solve
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

folder, text = sys.argv[1:3]
samples, length, threads, bits = map(int, sys.argv[3:7])
group, quantized = None if sys.argv[7] == "row" else int(sys.argv[7]), sys.argv[8] == "quantized"
options = {name: name + "=true" in sys.argv[9:] for name in ("act_order", "static_groups")}
torch.set_num_threads(threads)
with open(text, encoding="utf-8") as f:
    ids = Tokenizer.from_file(folder + "/tokenizer.json").encode(f.read(), add_special_tokens=False).ids
tokens = torch.tensor(ids[: samples * length]).view(samples, length)
network = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval().model
# The linears that read one input.
INPUTS = (("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"), ("self_attn.o_proj",), ("mlp.gate_proj", "mlp.up_proj"), ("mlp.down_proj",))


def forward(block, x, positions):
    y = block(x[None], position_embeddings=positions)
    return (y[0] if isinstance(y, tuple) else y)[0]


def statistics(block, states, positions, keep):
    """H of each input over all sequences; the states move on if `keep`."""
    H = [None] * len(INPUTS)

    def add_to(k):
        def hook(_, arguments):
            x = arguments[0][0]
            if H[k] is None:
                H[k] = torch.zeros(x.shape[1], x.shape[1])
            H[k].addmm_(x.T, x, alpha=2 / samples)

        return hook

    hooks = [block.get_submodule(names[0]).register_forward_pre_hook(add_to(k)) for k, names in enumerate(INPUTS)]
    for s in range(samples):
        y = forward(block, states[s], positions)
        if keep:
            states[s] = y
    for hook in hooks:
        hook.remove()
    return H


start = time.perf_counter()
check = float("nan")
with torch.inference_mode():
    states = network.embed_tokens(tokens)
    positions = network.rotary_emb(states[:1], torch.arange(length)[None])
    for number, block in enumerate(network.layers):
        H = statistics(block, states, positions, keep=not quantized)
        for k, names in enumerate(INPUTS):
            for name in names:
                weight = block.get_submodule(name).weight
                Q = solve(weight.data, H[k], bits, group, **options)
                if number == 0 and name.endswith("q_proj"):
                    D = (Q - weight.data).double()
                    check = float(((D @ H[k].double()) * D).sum() / D.shape[0] / 2 / length)
                weight.data.copy_(Q)
        if quantized:
            for s in range(samples):
                states[s] = forward(block, states[s], positions)
print(f"{time.perf_counter() - start:.3f} {check:.6g}")
