#!/usr/bin/env bash
# Usage: bash scripts/ascend310_inference.sh [MODEL_PATH] [DATA_PATH] [DEVICE_ID] [DEVICE_TYPE] [options]
# Another published name of scripts/ascend_310_infer.sh, which says what it does.
exec bash "$(dirname "$0")/ascend_310_infer.sh" "$@"
