#!/usr/bin/env bash
# Usage: bash ascend310_infer/src/build.sh [BUILD_DIR] [cmake options]
# Builds the runner into BUILD_DIR/main (default ascend310_infer/out). The runtime is MindSpore Lite if MS_LITE_HOME or
# LITE_HOME is set, else MINDSPORE_PATH, else the installed MindSpore, which has to be 2.0 or 2.1.
set -euo pipefail
fail() { echo "error: $1" >&2; exit 2; }

source_dir=$(cd "$(dirname "$0")" && pwd)
build_dir=$source_dir/../out
if [[ $# -gt 0 && $1 != -* ]]; then
  build_dir=$1
  shift
fi
lite=${MS_LITE_HOME:-${LITE_HOME:-}}
if [[ -n $lite ]]; then
  runtime=$lite/runtime
  [[ -f $runtime/lib/libmindspore-lite.so ]] || fail "no runtime/lib/libmindspore-lite.so in MS_LITE_HOME (or LITE_HOME): $lite"
elif [[ -n ${MINDSPORE_PATH:-} ]]; then
  runtime=$MINDSPORE_PATH
else
  find='import importlib.util as u; s = u.find_spec("mindspore"); print(s.submodule_search_locations[0] if s else "")'
  runtime=$(python3 -c "$find") || fail "python3 does not run"
  [[ -n $runtime ]] || fail "no runtime: set MS_LITE_HOME to a MindSpore Lite, or install MindSpore 2.0 or 2.1"
fi
[[ -f $runtime/include/api/model.h ]] || fail "$runtime has no C++ API (include/api); set MS_LITE_HOME to a MindSpore Lite"
if [[ ! -f $runtime/lib/libmindspore-lite.so && ! -f $runtime/lib/libmindspore.so ]]; then
  fail "$runtime/lib has no libmindspore.so, as MindSpore's packages since 2.2; set MS_LITE_HOME to a MindSpore Lite"
fi
command -v cmake >/dev/null || fail "cmake 3.14 or later is needed: python -m pip install cmake"
cmake -S "$source_dir" -B "$build_dir" -DMINDSPORE_PATH="$(cd "$runtime" && pwd)" "$@"
cmake --build "$build_dir" --parallel
echo "built: $(cd "$build_dir" && pwd)/main"
