"""Quantization-aware training with PyTorch eager: the weights of the blocks' linears are rounded to a min-max grid in every forward pass,
gradients go straight through; all tensors train, with AdamW and gradients clipped to norm 1.

Arguments: MODEL_FOLDER TEXT STEPS BATCH LENGTH THREADS BITS GROUP|row. Prints "tokens_per_second first_loss": of STEPS steps, after one
that is not counted.
"""
import sys
import time

import torch
from gptq_solver import fit_grid, to_grid
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

folder, text = sys.argv[1:3]
steps, batch, length, threads, bits = map(int, sys.argv[3:8])
group = None if sys.argv[8] == "row" else int(sys.argv[8])
torch.set_num_threads(threads)
torch.manual_seed(0)
with open(text, encoding="utf-8") as f:
    ids = torch.tensor(Tokenizer.from_file(folder + "/tokenizer.json").encode(f.read(), add_special_tokens=False).ids)
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


def step():
    first = torch.randint(0, len(ids) - length, (batch,))
    x = torch.stack([ids[i : i + length] for i in first])
    logits = model(x, use_cache=False).logits
    loss = torch.nn.functional.cross_entropy(logits[:, :-1].reshape(-1, logits.shape[-1]), x[:, 1:].reshape(-1))
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return loss.item()


first_loss = step()
start = time.perf_counter()
for _ in range(steps):
    step()
print(f"{steps * batch * length / (time.perf_counter() - start):.2f} {first_loss:.4f}")
