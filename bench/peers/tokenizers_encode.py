"""Processor seconds to tokenize a text with the tokenizers library on one thread.

Arguments: MODEL_FOLDER TEXT REPEATS [apart]; the environment must hold TOKENIZERS_PARALLELISM=false and RAYON_NUM_THREADS=1.
apart: TEXT holds many texts, each ended by a NUL, each a text of its own. Prints "seconds tokens".
"""
import sys
import time

from tokenizers import Tokenizer

tokenizer = Tokenizer.from_file(sys.argv[1] + "/tokenizer.json")
with open(sys.argv[2], encoding="utf-8", newline="") as f:
    text = f.read()
texts = text.split("\0")[:-1] if sys.argv[4:] == ["apart"] else [text]


def seconds(encode):
    """The median of the repeats, in processor time: a busy machine interrupts long work more often than short work."""
    times = []
    for _ in range(int(sys.argv[3])):
        start = time.process_time()
        encode()
        times.append(time.process_time() - start)
    return sorted(times)[len(times) // 2]


def one_by_one():
    for s in texts:
        tokenizer.encode(s, add_special_tokens=False)


tokenizer.encode_special_tokens = True  # their text is text
count = sum(len(e.ids) for e in tokenizer.encode_batch(texts, add_special_tokens=False))
# The second keeps no offsets into the text and is one call for all texts; whichever is faster counts.
best = min(seconds(one_by_one), seconds(lambda: tokenizer.encode_batch_fast(texts, add_special_tokens=False)))
print(f"{best:.6f} {count}")
