#!/usr/bin/env bash
# Usage: bash scripts/run_eval.sh [DEVICE_ID] [CHECKPOINT_PATH] [eval.py options]
# Evaluates on one device and writes to eval/<date-time>/ below the current directory (--save_dir overrides).
# DEVICE_TARGET in the environment selects the kind of device.
set -euo pipefail
# shellcheck source=scripts/setup_env.sh
. "$(dirname "$0")/setup_env.sh"
fail() { echo "$1" >&2; exit 2; }

[[ $# -ge 2 ]] || fail "$(sed -n '2s/^# //p' "$0")"
device_id=$1
checkpoint=$2
shift 2
expand checkpoint
[[ $device_id =~ ^[0-9]+$ ]] || fail "DEVICE_ID must be a non-negative integer, got '$device_id'"
[[ -f $checkpoint ]] || fail "CHECKPOINT_PATH: no such file: $checkpoint"
options=(--device_id "$device_id" --checkpoint_path "$(realpath "$checkpoint")")
find_python requirements.txt
exec "$PYTHON" "$repo_root/eval.py" "${options[@]}" ${DEVICE_TARGET:+--device_target "$DEVICE_TARGET"} "$@"
