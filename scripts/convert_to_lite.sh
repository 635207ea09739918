#!/usr/bin/env bash
# Usage: bash scripts/convert_to_lite.sh MODEL.onnx OUT [converter options]
# Converts an ONNX file of export.py to a MindIR for MindSpore Lite: OUT, with or without the suffix .mindir, and its
# description from MODEL.onnx.json. The converter is converter_lite of the package in MS_LITE_HOME or LITE_HOME; else
# that of the wheel in MS_LITE_HOME, as scripts/get_mindspore_lite.sh fetches it, which needs Python 3.7 (NumPy for it is
# installed in .venv-lite, once); else converter_lite on PATH.
# Options are passed to converter_lite, such as --optimize=ascend_oriented for Ascend; the wheel only has --optimize.
# GLOG_v=1 in the environment shows the converter's log.
set -euo pipefail
# shellcheck source=scripts/setup_env.sh
. "$(dirname "$0")/setup_env.sh"
fail() { echo "error: $1" >&2; exit 2; }

[[ $# -ge 2 && $1 != -* && $2 != -* ]] || fail "$(sed -n '2s/^# //p' "$0")"
model=$1 out=$2
shift 2
for option in "$@"; do
  case $option in
    --fmk* | --modelFile* | --outputFile* | --saveType*) fail "$option: this script sets it itself" ;;
    --?*=?*) ;;
    *) fail "$option: give options of the converter as --name=value" ;;
  esac
done

find_wheel() { # sets wheel: the folder that holds the Python package of Lite
  local folder
  for folder in "$1/tools/converter/python" "$1" "$1/.."; do
    if [[ -f $folder/mindspore_lite/converter.py ]]; then
      wheel=$(cd "$folder" && pwd)
      return
    fi
  done
  return 1
}

check_wheel_options() {
  local option libraries=$wheel/mindspore_lite/lib
  for option in "$@"; do
    case $option in
      --optimize=none | --optimize=general) ;;
      --optimize=ascend_oriented)
        if LD_LIBRARY_PATH=$libraries:${LD_LIBRARY_PATH:-} ldd "$libraries/libascend_pass_plugin.so" |
          grep 'not found' >/dev/null; then
          fail "$option: the converter needs Ascend's CANN here for it; source CANN's set_env.sh first"
        fi ;;
      *) fail "$option: the wheel's converter takes --optimize=none, general or ascend_oriented alone; \
for others set MS_LITE_HOME to a package of MindSpore Lite that has converter_lite" ;;
    esac
  done
}

setup_lite() { # makes .venv-lite, a Python 3.7 with NumPy, which the wheel needs
  local base venv=$repo_root/.venv-lite
  if ! "$venv/bin/python" -c 'import numpy' 2>/dev/null; then
    base=$(_find_version 3.7) || fail "the converter of MindSpore Lite's wheel takes Python 3.7: none found on PATH, by \
pyenv or by uv; or set MS_LITE_HOME to a package of MindSpore Lite that has converter_lite"
    echo "making $venv (once) with $base" >&2
    "$base" -m venv "$venv" || fail "cannot make a virtual environment with $base -m venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check numpy || fail "pip install failed, see above"
  fi
  converter=("$venv/bin/python" "$repo_root/scripts/lite_wheel_converter.py")
}

home=${MS_LITE_HOME:-${LITE_HOME:-}}
folders=''
if [[ -x $home/tools/converter/converter/converter_lite ]]; then
  converter=("$home/tools/converter/converter/converter_lite")
  folders=$home/tools/converter/lib:$home/runtime/lib
elif [[ -n $home ]] && find_wheel "$home"; then
  check_wheel_options "$@"
  setup_lite
  export PYTHONPATH=$wheel
elif command -v converter_lite >/dev/null; then
  converter=(converter_lite)
else
  fail "no converter: set MS_LITE_HOME to a MindSpore Lite; scripts/get_mindspore_lite.sh gets one"
fi
[[ -z $folders ]] || export LD_LIBRARY_PATH=$folders${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
python=$(_find_base)
exec "$python" "$repo_root/scripts/convert_to_lite.py" "$model" "$out" "${converter[@]}" "$@"
