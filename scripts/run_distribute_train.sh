#!/usr/bin/env bash
# Usage: bash scripts/run_distribute_train.sh [DEVICE_NUM] [BATCH_SIZE] [SAVE_DIR] [options] [train.py options]
# Trains data-parallel on DEVICE_NUM devices with BATCH_SIZE images each; published runs: 4 devices x 4, or 8 x 2.
# LAUNCHER=mpirun|msrun|ranktable|cluster selects the launcher; `python scripts/launch_ranks.py --help` explains all
# options.
set -euo pipefail
# shellcheck source=scripts/setup_env.sh
. "$(dirname "$0")/setup_env.sh"
fail() { echo "error: $1" >&2; exit 2; }

[[ $# -ge 3 ]] || fail "$(sed -n '2s/^# //p' "$0")"
find_python requirements.txt
exec "$PYTHON" "$repo_root/scripts/launch_ranks.py" "$@" ${DEVICE_TARGET:+--device_target "$DEVICE_TARGET"}
