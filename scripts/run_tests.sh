#!/usr/bin/env bash
# Usage: bash scripts/run_tests.sh [--mindspore VERSION] [pytest options]
# Sets up Python (see scripts/setup_env.sh) and runs the test suite in several processes, file by file.
# Tests that compare with PyTorch use .venv-torch, which is made once.
# --mindspore 2.0.0 makes .venv-2.0.0 with that MindSpore, once, and runs the tests that depend on MindSpore there;
# further options come last and take precedence, such as -m '' for all tests.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/setup_env.sh
. scripts/setup_env.sh
selection=()
if [[ ${1-} == --mindspore ]]; then
  [[ -n ${2-} ]] || { echo "error: --mindspore needs a version, e.g. 2.0.0" >&2 && exit 2; }
  setup_version "$2" requirements.txt requirements/dev.txt requirements/onnx.txt
  selection=(-m mindspore)
  shift 2
else
  setup_python requirements.txt requirements/dev.txt requirements/onnx.txt
fi
setup_torch
parallel=(--numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder)
exec "$PYTHON" -m pytest "${parallel[@]}" ${selection[@]+"${selection[@]}"} "$@"
