#!/bin/sh
# Makes tests/fixtures/old-results: a results folder as the program wrote it before an index said which cells wait. It
# builds that program from this repository's history (make, gcc, what `make deps-check` names) and runs two sweeps of one
# name, so that one result, a baseline over fewer windows, is of the first alone.
set -eu
commit=16f515c31b20819e4d7663b770447ec41f1de6aa
root=$(git rev-parse --show-toplevel)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
git clone -q --no-local "$root" "$tmp/tree"
cd "$tmp/tree"
git checkout -q "$commit"
make -j2 DEPS=manual build
cat > old-results.yaml <<'END'
model: data/builtin/model
calibration: {text: data/builtin/calibration.txt, samples: 8, length: 128}
eval: {name: small-world, text: data/builtin/eval.txt, protocol: W2-256, windows: 8}
quantize:
  - {method: gptq, bits: 3, group: 64}
END
LOWBIT_KERNELS=plain build/release/lowbit run old-results.yaml --no-report -o eval.windows=4 -o 'quantize=[{method: none}]'
LOWBIT_KERNELS=plain build/release/lowbit run old-results.yaml --no-report
to=$root/tests/fixtures/old-results
rm -rf "$to"
mkdir -p "$to"
cp results/old-results/sweep.json results/old-results/*.h5 "$to/"
du -sh "$to"
