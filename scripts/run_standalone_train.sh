#!/usr/bin/env bash
# Usage: bash scripts/run_standalone_train.sh [SAVE_DIR] [train.py options]
# Trains on one device, which DEVICE_TARGET and DEVICE_ID in the environment select.
set -euo pipefail
# shellcheck source=scripts/setup_env.sh
. "$(dirname "$0")/setup_env.sh"
options=()
if [[ $# -gt 0 && $1 != --* && $1 != *=* ]]; then
  save_dir=$1
  expand save_dir
  options+=(--save_dir "$(realpath -m "$save_dir")")
  shift
fi
find_python requirements.txt
exec "$PYTHON" "$repo_root/train.py" ${options[@]+"${options[@]}"} ${DEVICE_TARGET:+--device_target "$DEVICE_TARGET"} "$@"
