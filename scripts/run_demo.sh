#!/usr/bin/env bash
# Usage: bash scripts/run_demo.sh [--out DIR] [key=value ...]
# The whole workflow in miniature on the CPU: sets up Python (see scripts/setup_env.sh), renders a small data set of
# street scenes, trains, evaluates single-scale and multi-scale with mirror images, writes overlays, curves and a report
# for the browser, exports the network and scores the exported model offline: the MindIR, and the ONNX file if the
# packages of requirements/onnx.txt are installed.
# Everything goes below DIR (default: demo, in the repository); a second run reuses the data set and takes a new folder.
# key=value overrides config/bisenetv2_demo.yml, e.g. total_step=60 for a quick look.
set -euo pipefail
# shellcheck source=scripts/setup_env.sh
. "$(dirname "$0")/setup_env.sh"
usage() { sed -n '2s/^# //p' "$0" >&2; exit 2; }

repo=$repo_root
out="$repo/demo"
overrides=()
while [[ $# -gt 0 ]]; do
  case $1 in
    --out) [[ $# -ge 2 && -n $2 ]] || usage; out=$2; shift 2 ;;
    --out=?*) out=${1#--out=}; shift ;;
    [a-z]*=*) overrides+=("$1"); shift ;;
    *) usage ;;
  esac
done
expand out
out=$(realpath -m "$out")
setup_python requirements.txt
formats=(mindir)
if "$PYTHON" "$repo/scripts/check_requirements.py" "$repo/requirements/onnx.txt" >/dev/null; then formats+=(onnx); fi

run="$out/$(date +%Y%m%d-%H%M%S)"
while [[ -e $run ]]; do run+=+; done
declare -A folders=([mindir]="$run/offline" [onnx]="$run/offline_onnx")
step=0
announce() { step=$((step + 1)); say $'\n'"=== $step/6 $1 ==="; }

demo() { # script, options: run it with the demo's configuration and data, on the CPU
  run_attached "$PYTHON" "$repo/$1" --config "$repo/config/bisenetv2_demo.yml" --device_target CPU "${@:2}" \
    ${overrides[@]+"${overrides[@]}"} "data.dataset_dir=$out/data"
}

announce "data set"
run_attached "$PYTHON" "$repo/scripts/make_demo_dataset.py" --output "$out/data"

started=$SECONDS
announce "training"
demo train.py --save_dir "$run/train" --run_eval True
checkpoint=$(find "$run/train/checkpoints" -name '*_rank0.ckpt' | sort -V | tail -n 1)

announce "evaluation, single scale"
demo eval.py --checkpoint_path "$checkpoint" --save_dir "$run/eval_single_scale" --single_scale True --save_images True \
  --report True

announce "evaluation, six scales with mirror images"
demo eval.py --checkpoint_path "$checkpoint" --save_dir "$run/eval_multi_scale"
minutes=$(((SECONDS - started + 30) / 60))

announce "export"
for format in "${formats[@]}"; do
  demo export.py --checkpoint_file "$checkpoint" --file_name "$run/export/BiSeNetV2" --input uint8 \
    --file_format "${format^^}"
done

announce "offline inference"
for format in "${formats[@]}"; do
  run_attached env -u MS_LITE_HOME -u LITE_HOME bash "$repo/scripts/ascend_310_infer.sh" "$run/export/BiSeNetV2.$format" "$out/data" \
    0 CPU --out "${folders[$format]}" --config "$repo/config/bisenetv2_demo.yml" ${overrides[@]+"${overrides[@]}"}
done

offline() { awk '/^miou: / { printf "%.4f", $2 }' "${folders[$1]}/acc.log"; }
onnx="not exported; $PYTHON -m pip install -r requirements/onnx.txt installs the packages for it"
[[ ${#formats[@]} -eq 1 ]] || onnx="$(offline onnx) single scale, in ONNX Runtime"
activate=
[[ $PYTHON != "$repo/.venv/bin/python" ]] || activate="; for commands of your own: source $repo/.venv/bin/activate"
miou() { "$PYTHON" -c 'import json, sys; print("%.4f" % json.load(sys.stdin)["miou"])' < "$1/eval.json"; }

run_attached "$PYTHON" "$repo/scripts/report.py" "$run/eval_single_scale" "$run/eval_multi_scale" "$run/train" \
  --output "$run/report.html" >/dev/null
say "
=== done: training and evaluation took about $minutes min ===
mIoU on pictures not trained on: $(miou "$run/eval_single_scale") single scale, $(miou "$run/eval_multi_scale") multi-scale with flip
mIoU of the exported MindIR:     $(offline mindir) single scale, in MindSpore
mIoU of the exported ONNX:       $onnx
exported models: $run/export
overlays:        $run/eval_single_scale/images
learning curves: $run/train/curves.png
all in one page: $run/report.html
checkpoint:      $checkpoint
logs, scores:    $run
data set:        $out/data
Python:          $PYTHON$activate"
