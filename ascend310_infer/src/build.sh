#!/usr/bin/env bash
# Usage: bash ascend310_infer/src/build.sh [BUILD_DIR] [cmake options]
# Builds the runner into BUILD_DIR/main (default ascend310_infer/out). The runtime is MindSpore Lite if MS_LITE_HOME or
# LITE_HOME is set, to its unpacked package or wheel, else MINDSPORE_PATH, else the installed MindSpore, which has to be
# 2.0 or 2.1. run.sh runs it.
set -euo pipefail
fail() { echo "error: $1" >&2; exit 2; }

source_dir=$(cd "$(dirname "$0")" && pwd)
build_dir=$source_dir/../out
if [[ $# -gt 0 && $1 != -* ]]; then
  build_dir=$1
  shift
fi
# shellcheck source=ascend310_infer/src/runtime.sh
. "$source_dir/runtime.sh"
find_runtime
command -v cmake >/dev/null || fail "cmake 3.14 or later is needed: python -m pip install cmake"
runtime=$(cd "$runtime" && pwd)
cmake -S "$source_dir" -B "$build_dir" -DMINDSPORE_PATH="$runtime" -DRUNTIME_LIBRARY="$runtime/lib/${library##*/}" "$@"
cmake --build "$build_dir" --parallel
echo "built: $(cd "$build_dir" && pwd)/main"
