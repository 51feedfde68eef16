#!/usr/bin/env bash
# shellcheck disable=SC1091 # a part that is read in
# Installs the peers into a throw-away virtual environment, bench/.venv (ignored by git; delete the folder to be rid of them).
#   bench/peers.sh [torch] [gptqmodel] [llamacpp]      without arguments: all three
# torch      PyTorch, transformers and tokenizers
# gptqmodel  GPTQModel, built from its sdist
# llamacpp   llama.cpp's perplexity and quantize, for this processor, from the sdist of llama-cpp-python
# Needs python3 with venv and a package index; a compiler and cmake come by apt (the command is printed first). A peer that cannot be
# installed is noted as missing in bench/.venv/peers.tsv, with the reason, and benchmarks go on without it: nothing fails.
set -euo pipefail
. "$(dirname "$0")/help.sh"
answer_help "$@"
cd "$(dirname "$0")"
here=$(pwd -P)
venv=$here/.venv log=$here/.venv/log
gptqmodel_version=7.7.0 llamacpp_version=0.3.36
jobs=${JOBS:-$(getconf _NPROCESSORS_ONLN)}

pip() { "$venv/bin/python" -m pip --disable-pip-version-check "$@"; }
version() { pip show "$1" 2>/dev/null | sed -n 's/^Version: //p'; }

# Every step is joined by &&: the functions run where `set -e` does not reach.
install_torch() {
    pip install torch transformers tokenizers safetensors numpy &&
        "$venv/bin/python" -c 'import tokenizers, torch, transformers' &&
        what="torch $(version torch), transformers $(version transformers), tokenizers $(version tokenizers)"
}

install_gptqmodel() {
    ../tools/deps g++ && pip install "gptqmodel==$gptqmodel_version" &&
        "$venv/bin/python" -c 'import gptqmodel' && what="GPTQModel $(version gptqmodel)"
}

install_llamacpp() {
    local build=$venv/llama.cpp
    ../tools/deps cmake g++ make && rm -rf "$build" && mkdir -p "$build/sdist" "$build/source" &&
        pip download --no-deps --no-binary :all: --dest "$build/sdist" "llama-cpp-python==$llamacpp_version" &&
        tar -xzf "$build"/sdist/llama_cpp_python-*.tar.gz -C "$build/source" --strip-components 1 &&
        cmake -S "$build/source/vendor/llama.cpp" -B "$build/build" -DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=ON -DBUILD_SHARED_LIBS=OFF \
            -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_SERVER=OFF -DLLAMA_BUILD_APP=OFF -DLLAMA_BUILD_UI=OFF \
            -DLLAMA_OPENSSL=OFF &&
        cmake --build "$build/build" --target llama-perplexity llama-quantize -j "$jobs" &&
        cp "$build/build/bin/llama-perplexity" "$build/build/bin/llama-quantize" "$venv/bin/" && rm -rf "$build" &&
        what="llama.cpp of llama-cpp-python $llamacpp_version"
}

# NAME STATE TEXT: replaces the peer's line.
note() {
    { grep -v "^$1	" "$venv/peers.tsv" 2>/dev/null || true; printf '%s\t%s\t%s\n' "$1" "$2" "$3"; } >"$venv/peers.tmp"
    mv "$venv/peers.tmp" "$venv/peers.tsv"
}

[ $# -gt 0 ] || set -- torch gptqmodel llamacpp
for peer in "$@"; do
    case $peer in
    torch | gptqmodel | llamacpp) ;;
    *) echo "bench/peers.sh: $peer: no such peer; there are torch, gptqmodel and llamacpp" >&2 && exit 2 ;;
    esac
done
if ! [ -x "$venv/bin/python" ]; then
    if ! python3 -m venv "$venv"; then
        echo "bench/peers.sh: no virtual environment (Debian: apt-get install python3-venv); benchmarks run without peers" >&2
        exit 0
    fi
fi
mkdir -p "$log"
for peer in "$@"; do
    echo "$peer: installing, output in bench/.venv/log/$peer.txt"
    what=
    if "install_$peer" >"$log/$peer.txt" 2>&1; then
        note "$peer" installed "$what"
        echo "$peer: $what"
    else
        reason=$(grep -iE 'error|not found|no such' "$log/$peer.txt" | tail -n 1 | tr '\t' ' ' | cut -c 1-160 || true)
        note "$peer" missing "${reason:-see bench/.venv/log/$peer.txt}"
        echo "$peer: missing: ${reason:-see bench/.venv/log/$peer.txt}"
    fi
done
