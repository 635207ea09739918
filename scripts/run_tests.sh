#!/usr/bin/env bash
# Usage: bash scripts/run_tests.sh [pytest options]
# Sets up what is needed (see scripts/setup_env.sh) and runs the whole test suite.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/setup_env.sh
. scripts/setup_env.sh
setup_python requirements.txt requirements-dev.txt
exec "$PYTHON" -m pytest "$@"
