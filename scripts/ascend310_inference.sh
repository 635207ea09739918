#!/usr/bin/env bash
# Usage: bash scripts/ascend310_inference.sh [MODEL_PATH] [DATA_PATH] [DEVICE_ID] [DEVICE_TYPE] [options]
# An alias of scripts/ascend_310_infer.sh; see there.
exec bash "$(dirname "$0")/ascend_310_infer.sh" "$@"
