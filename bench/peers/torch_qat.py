"""Quantization-aware training with PyTorch eager: the weights of the blocks' linears are rounded to a min-max grid in every forward pass,
gradients go straight through; all tensors train, with AdamW and gradients clipped to norm 1.

Arguments: MODEL_FOLDER BATCHES STEPS BATCH LENGTH THREADS BITS GROUP|row. BATCHES: the tokens of all steps, written by bench/qat.
Prints "tokens_per_second loss norm": of STEPS steps, after one that is not counted; loss and norm of the gradient in that first one.
"""
import sys
import time

import numpy
import torch
from gptq_solver import fit_grid, to_grid
from transformers import AutoModelForCausalLM

folder, batches = sys.argv[1:3]
steps, batch, length, threads, bits = map(int, sys.argv[3:8])
group = None if sys.argv[8] == "row" else int(sys.argv[8])
torch.set_num_threads(threads)
tokens = torch.from_numpy(numpy.fromfile(batches, dtype=numpy.int32)).long().view(steps + 1, batch, length)
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).train()
maxq = 2**bits - 1


def rounded(W):
    """W on its grid; the gradient is that of W."""
    with torch.no_grad():
        rows, columns = W.shape
        if group is None or columns % group == 0:
            runs = W if group is None else W.reshape(-1, group)
            change = (to_grid(runs, *fit_grid(runs, maxq), maxq) - runs).view(rows, columns)
        else:
            parts = [W[:, c : c + group] for c in range(0, columns, group)]
            change = torch.cat([to_grid(p, *fit_grid(p, maxq), maxq) - p for p in parts], 1)
    return W + change


class RoundedLinear(torch.nn.Linear):
    def forward(self, x):
        return torch.nn.functional.linear(x, rounded(self.weight))


for block in model.model.layers:
    for module in block.modules():
        if type(module) is torch.nn.Linear:
            module.__class__ = RoundedLinear
optimizer = torch.optim.AdamW(model.parameters(), lr=5e-4, betas=(0.9, 0.999), weight_decay=0)


def step(x):
    logits = model(x, use_cache=False).logits
    loss = torch.nn.functional.cross_entropy(logits[:, :-1].reshape(-1, logits.shape[-1]), x[:, 1:].reshape(-1))
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return loss.item(), norm.item()


loss, norm = step(tokens[0])
start = time.perf_counter()
for x in tokens[1:]:
    step(x)
print(f"{steps * batch * length / (time.perf_counter() - start):.2f} {loss:.6g} {norm:.6g}")
