"""GPTQ by GPTQModel on the same calibration tokens, asymmetric, no act-order, damping 0.01.

Arguments: MODEL_FOLDER TEXT SAMPLES LENGTH THREADS BITS GROUP; the environment should hold GPTQMODEL_CPU_WORKERS, without which it does not
run on two cores. The last line printed is the seconds that quantizing took, without loading.
"""
import os
import shutil
import sys
import tempfile
import time

folder, text = map(os.path.abspath, sys.argv[1:3])
scratch = tempfile.mkdtemp()
os.chdir(scratch)  # it writes logs where it runs

import torch
from gptqmodel import GPTQModel, QuantizeConfig
from tokenizers import Tokenizer

samples, length, threads, bits, group = map(int, sys.argv[3:8])
torch.set_num_threads(threads)
with open(text, encoding="utf-8") as f:
    ids = Tokenizer.from_file(folder + "/tokenizer.json").encode(f.read(), add_special_tokens=False).ids
windows = torch.tensor(ids[: samples * length]).view(samples, length)
config = QuantizeConfig(bits=bits, group_size=group, sym=False, desc_act=False, act_group_aware=False, damp_percent=0.01)
model = GPTQModel.load(folder, config, device="cpu", dtype=torch.float32)
start = time.perf_counter()
model.quantize([{"input_ids": w, "attention_mask": torch.ones_like(w)} for w in windows], batch_size=1)
seconds = time.perf_counter() - start
print(f"\n{seconds:.3f}", flush=True)
shutil.rmtree(scratch, ignore_errors=True)
os._exit(0)  # its worker threads may keep the program alive
