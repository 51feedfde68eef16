"""Processor seconds to tokenize a text with the tokenizers library on one thread.

Arguments: MODEL_FOLDER TEXT REPEATS; the environment must hold TOKENIZERS_PARALLELISM=false and RAYON_NUM_THREADS=1.
Prints "seconds tokens".
"""
import sys
import time

from tokenizers import Tokenizer

tokenizer = Tokenizer.from_file(sys.argv[1] + "/tokenizer.json")
with open(sys.argv[2], encoding="utf-8") as f:
    text = f.read()


def seconds(encode):
    """The median of the repeats, in processor time: a busy machine interrupts long work more often than short work."""
    times = []
    for _ in range(int(sys.argv[3])):
        start = time.process_time()
        encode()
        times.append(time.process_time() - start)
    return sorted(times)[len(times) // 2]


ids = tokenizer.encode(text, add_special_tokens=False).ids
# The second keeps no offsets into the text; whichever is faster counts.
best = min(seconds(lambda: tokenizer.encode(text, add_special_tokens=False)), seconds(lambda: tokenizer.encode_batch_fast([text], add_special_tokens=False)))
print(f"{best:.6f} {len(ids)}")
