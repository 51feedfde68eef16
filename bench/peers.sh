#!/bin/sh
# Installs the peers into a throw-away virtual environment, bench/.venv (ignored by git). Needs python3-venv and a package index.
set -eu
cd "$(dirname "$0")"
[ -d .venv ] || python3 -m venv .venv
.venv/bin/pip install --quiet torch transformers tokenizers safetensors numpy
.venv/bin/python - <<'EOF'
import tokenizers, torch, transformers
print("peers: torch", torch.__version__, "transformers", transformers.__version__, "tokenizers", tokenizers.__version__)
EOF
