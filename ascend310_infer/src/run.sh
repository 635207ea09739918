#!/usr/bin/env bash
# Usage: bash ascend310_infer/src/run.sh BUILD_DIR [runner options]
# Runs BUILD_DIR/main with the libraries of its runtime, which the environment names as for build.sh.
set -euo pipefail
fail() { echo "error: $1" >&2; exit 2; }

[[ $# -ge 1 && $1 != -* ]] || fail "$(sed -n '2s/^# //p' "$0")"
program=$1/main
shift
[[ -x $program ]] || fail "no program $program; build it: bash ascend310_infer/src/build.sh $(dirname "$program")"
# shellcheck source=ascend310_infer/src/runtime.sh
. "$(dirname "$0")/runtime.sh"
find_runtime
LD_LIBRARY_PATH=$(runtime_folders)
export LD_LIBRARY_PATH
exec "$program" "$@"
