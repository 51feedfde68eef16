"""Makes fixtures/tokenizer/gguf_pre.json: the words that llama.cpp cuts texts into, for each pre-tokenizer's name.

    pip download --no-deps --no-binary :all: llama-cpp-python==0.3.36 && tar xf llama_cpp_python-*.tar.gz
    python3 tests/oracle/make_gguf_pre.py llama_cpp_python-*/vendor/llama.cpp/src

Names and expressions are taken out of llama-vocab.cpp; unicode.cpp, which cuts, is compiled with a main of ours (g++).
Only names whose words Lowbit takes from expressions are kept: NAMES. Those with the same expressions stand together.
"""

import json
import os
import random
import re
import struct
import subprocess
import sys
import tempfile

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fixtures", "tokenizer", "gguf_pre.json")
NAMES = """
gpt-2 phi-2 jina-es jina-de jina-v2-es jina-v2-de gigachat a.x-4.0 mellum modern-bert mpt olmo jais trillion
granite-docling exaone4 smollm starcoder refact command-r codeshell exaone minerva-7b mellum2 llama-bpe llama3 llama-v3
falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano dbrx smaug-bpe chatglm-bpe glm4 glm5 qwen2 deepseek-r1-qwen kormo
f2llmv2 stablelm2 hunyuan solar-open megrez grok-2 qwen35 falcon default bloom poro-chat gpt3-finnish viking tekken
gpt-4o llama4 kanana2 talkie minimax-m2 deepseek-llm deepseek-coder deepseek-v3 hunyuan-dense joyai-llm hy_v4
bailingmoe bailingmoe2 llada-moe seed-coder minicpm5
""".split()
PALETTE = list("theandring isxyz     \n\r\t''.,!12390sStTlLdDmM#$_-+ABCD()[]/|^`~<=>") + [
    "\u00e9", "\u0301", "\u0434", "\u4f60", "\ud55c", "\U0001f600", "\u00a0", "\u2003", "\u0661", "\u2581", "the ", "  ", "'ll", "\r\n",
    "\u0130", "\ufb01", "\u1e9b\u0323", "\u200d", "\u00bd", "\u00b2", "\u3000", "\u0085", "1234", "999", "\u2028", "Re", "\u00c9", "\u00c0",
    "\u01c5", "\u02b0", "\u00aa", "\u4e2d", "\u306e", "\u30ab", "\u0e01", "\u0627", "\u060c", "\u3002", "\u2026", "\u2019", "\u201c", "\x0b", "\u00ad",
]
MAIN = r"""
#include "unicode.h"
#include <cstdint>
#include <cstdio>
#include <map>
static const std::map<std::string, std::vector<std::string>> table = {
#include "table.h"
};
int main(int, char ** v) {
    FILE * f = fopen(v[2], "rb");
    for (uint32_t n; fread(&n, 4, 1, f) == 1;) {
        std::string s(n, 0);
        if (n && fread(&s[0], 1, n, f) != n) return 2;
        for (auto & word : unicode_regex_split(s, table.at(v[1]), false)) printf("%zu ", word.size());
        puts("");
    }
}
"""


def expressions(source):
    """name -> the C++ text of its list of expressions."""
    switch = source[source.index("switch (vocab.get_pre_type()) {"):source.index("std::vector<std::string> regex_exprs;")]
    of_type, types = {}, []
    for m in re.finditer(r"case (LLAMA_VOCAB_PRE_TYPE_\w+):|(default):|regex_exprs = \{(.*?)\n\s*\};", switch, re.S):
        if m.group(3) is None:
            types.append(m.group(1) or "LLAMA_VOCAB_PRE_TYPE_DEFAULT")
            continue
        text = "\n".join(line for line in m.group(3).split("\n") if not line.strip().startswith("//"))
        of_type.update((t, text) for t in types)
        types = []
    chain = source[source.index("if (tokenizer_pre.empty()) {"):]
    chain = chain[:chain.index("unknown pre-tokenizer type")]
    of_name, names = {}, []
    for m in re.finditer(r'tokenizer_pre == "([^"]+)"|pre_type = (LLAMA_VOCAB_PRE_TYPE_\w+)', chain):
        if m.group(1):
            names.append(m.group(1))
            continue
        of_name.update((n, of_type[m.group(2)]) for n in names if m.group(2) in of_type)
        names = []
    return of_name


def main():
    folder = sys.argv[1]
    table = expressions(open(os.path.join(folder, "llama-vocab.cpp"), encoding="utf-8").read())
    rng = random.Random(7)
    texts = ["the cat isn't HERE; I'll pay $12,345.67 (or 3.14)!  caf\u00e9\n\n\tdef f(x):\r\n    return x_1"]
    texts += ["".join(rng.choices(PALETTE, k=rng.choice([3, 8, 20, 40]))) for _ in range(60)]
    groups = {}
    with tempfile.TemporaryDirectory() as tmp:
        path = lambda name: os.path.join(tmp, name)
        with open(path("table.h"), "w", encoding="utf-8") as f:
            f.writelines('{"%s", {%s}},\n' % (n, table[n]) for n in NAMES)
        with open(path("main.cpp"), "w", encoding="utf-8") as f:
            f.write(MAIN)
        with open(path("texts"), "wb") as f:
            for t in texts:
                f.write(struct.pack("<I", len(t.encode())) + t.encode())
        sources = [path("main.cpp")] + [os.path.join(folder, n) for n in ("unicode.cpp", "unicode-data.cpp")]
        subprocess.run(["g++", "-O1", "-std=c++17", "-I" + folder, *sources, "-o", path("cut")], check=True)
        for name in NAMES:
            lines = subprocess.run([path("cut"), name, path("texts")], check=True, capture_output=True, text=True).stdout
            groups.setdefault(lines, []).append(name)
    out = {
        "texts": [t.encode().hex() for t in texts],
        "groups": [{"names": names, "words": lines.splitlines()} for lines, names in groups.items()],
    }
    with open(OUT, "w", encoding="ascii") as f:
        json.dump(out, f, separators=(",", ":"))
        f.write("\n")
    print(OUT, os.path.getsize(OUT), len(groups), "groups")


if __name__ == "__main__":
    main()
