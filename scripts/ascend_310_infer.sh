#!/usr/bin/env bash
# Usage: bash scripts/ascend_310_infer.sh [MODEL_PATH] [DATA_PATH] [DEVICE_ID] [DEVICE_TYPE] [options]
# Measures an exported model on DATA_PATH, a data set in the layout of Cityscapes: preprocess.py, inference,
# postprocess.py. DEVICE_ID defaults to the environment variable device_id, else 0. DEVICE_TYPE is Ascend (default), GPU
# or CPU. A .mindir runs in the C++ runner of ascend310_infer, or in MindSpore on the CPU without MindSpore Lite; a .onnx
# runs in ONNX Runtime, on CPU or GPU.
# Options: --out DIR (default: the current directory); for the inference --precision_mode MODE, --warmup N,
# --num_threads N and --verbose; for postprocess.py --save_images True; all others, such as --config FILE, are passed to
# preprocess.py.
# MS_LITE_HOME (or LITE_HOME) in the environment: the MindSpore Lite to use. BUILD_DIR: where the runner is built
# (default ascend310_infer/out).
# Writes preprocess_Result, result_Files, time_Result and preprocess.log, build.log, infer.log, acc.log.
set -euo pipefail
# shellcheck source=scripts/setup_env.sh
. "$(dirname "$0")/setup_env.sh"
fail() { echo "error: $1" >&2; exit 2; }

[[ $# -ge 2 ]] || fail "$(sed -n '2s/^# //p' "$0")"
model=$1
data=$2
shift 2
device_id=${device_id:-0}
if [[ $# -gt 0 && $1 != -* && $1 != *=* ]]; then
  device_id=$1
  shift
fi
device_type=Ascend
if [[ $# -gt 0 && $1 != -* && $1 != *=* ]]; then
  device_type=$1
  shift
fi
out=$PWD
inputs=() runner=() scores=()
while [[ $# -gt 0 ]]; do
  case $1 in
    --output_path* | --result_path* | --model_path* | --mindir_path* | --data_path* | --dataset_dir* | data.dataset_dir=*)
      fail "$1: this script sets it itself; --out DIR names the folder" ;;
    --out=* | --precision_mode=* | --warmup=* | --num_threads=* | --save_images=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" ;;
    --out | --precision_mode | --warmup | --num_threads | --save_images) [[ $# -ge 2 ]] || fail "$1: needs a value" ;;&
    --out) out=$2; shift 2 ;;
    --precision_mode | --warmup | --num_threads) runner+=("$1" "$2"); shift 2 ;;
    --verbose) runner+=("$1"); shift ;;
    --save_images) scores+=("$1" "$2"); shift 2 ;;
    *) inputs+=("$1"); shift ;;
  esac
done
expand model
expand data
expand out
[[ $device_id =~ ^[0-9]+$ ]] || fail "DEVICE_ID must be a non-negative integer, got '$device_id'"
[[ $device_type =~ ^(Ascend|GPU|CPU)$ ]] || fail "DEVICE_TYPE must be Ascend, GPU or CPU, got '$device_type'"
[[ $model =~ \.(mindir|onnx)$ ]] || fail "MODEL_PATH must be a .mindir or a .onnx, got '$model'"
[[ -f $model ]] || fail "MODEL_PATH: no such file: $model"
if [[ $model == *.onnx && $device_type == Ascend ]]; then
  convert="bash scripts/convert_to_lite.sh $model OUT --optimize=ascend_oriented"
  fail "a .onnx does not run on Ascend; $convert makes a MindIR that does"
fi
[[ -d $data ]] || fail "DATA_PATH: no such folder: $data"
lite=${MS_LITE_HOME:-${LITE_HOME:-}}
if [[ $model == *.onnx ]]; then
  find_python requirements/infer.txt requirements/onnx.txt
elif [[ $device_type == CPU && -z $lite ]]; then
  find_python requirements.txt
else # the runner brings its own MindSpore
  find_python requirements/infer.txt
fi
model=$(realpath "$model")
data=$(realpath "$data")
# The steps run in the user's current directory, so that relative names in the other options are valid.
mkdir -p "$out" 2>/dev/null || fail "cannot make the folder $out"
out=$(cd "$out" && pwd)
# Logs that this script did not write are not replaced; the mark says that it wrote those in this folder.
mark=$out/.ascend_310_infer
for name in preprocess.log build.log infer.log acc.log time_Result; do
  [[ -e $mark || ! -e $out/$name ]] || fail "$out holds $name, not written by this script; give another --out"
done
: 2>/dev/null >"$mark" || fail "cannot write to $out"

keep=(tee -a)
! tee -p </dev/null &>/dev/null || keep=(tee -p -a) # goes on writing the log after the reader has left
step() { # name, log, command ...: run one step, show and log its output, exit if it fails
  local name=$1 log=$out/$2 status=0
  shift 2
  say "=== $name ==="
  : 2>/dev/null >"$log" || fail "cannot write $log"
  run_attached "$@" 2>"$log.err" | "${keep[@]}" "$log" || status=$?
  cat "$log.err" >>"$log"
  rm -f "$log.err"
  [[ $status -eq 0 ]] && return
  {
    echo "error: $name failed with exit code $status; the end of $log:"
    tail -n 5 "$log"
  } >&2
  exit "$status"
}

step preprocessing preprocess.log "$PYTHON" "$repo_root/preprocess.py" ${inputs[@]+"${inputs[@]}"} \
  --data_path "$data" --model_path "$model" --output_path "$out/preprocess_Result" --result_path "$out/result_Files"

if [[ $model == *.onnx || ($device_type == CPU && -z $lite) ]]; then
  program=("$PYTHON" "$repo_root/scripts/infer_model.py")
else
  build=${BUILD_DIR:-$repo_root/ascend310_infer/out}
  with_python=(env PATH="$(dirname "$PYTHON"):$PATH" bash)
  step build build.log "${with_python[@]}" "$repo_root/ascend310_infer/src/build.sh" "$build"
  program=("${with_python[@]}" "$repo_root/ascend310_infer/src/run.sh" "$build")
fi
step inference infer.log "${program[@]}" --model_path "$model" --dataset_path "$out/preprocess_Result/image" \
  --result_path "$out/result_Files" --device_id "$device_id" --device_type "$device_type" ${runner[@]+"${runner[@]}"}

step scoring acc.log "$PYTHON" "$repo_root/postprocess.py" --result_path "$out/result_Files" \
  --label_path "$out/preprocess_Result/label" ${scores[@]+"${scores[@]}"}
