#!/usr/bin/env bash
# Usage: bash tests/aarch64.sh [FOLDER]
# Does on an emulated ARM processor what most Ascend servers do on a real one, and on this machine the same: makes the
# tiny data set, trains two steps, evaluates, exports, and compares all figures. Then the tests of the C++ runner's parts
# that need no MindSpore, compiled for arm64. Exit code 0: everything agrees.
# The ARM side is Debian's arm64 base system and the aarch64 wheels of requirements.txt, run by qemu-user: one program
# at a time with its own libraries, so that nothing is mounted, no chroot is entered and the kernel needs no settings.
# Wheels come from where this machine's pip gets its own, packages from its Debian mirror or debootstrap's default.
# FOLDER (default: a temporary one, removed at the end) is kept; in a second run it saves the downloads (1 GB).
# By hand, not in CI: takes minutes. Needs root, which debootstrap insists on, and on Debian or Ubuntu:
#   apt-get install debootstrap qemu-user-static g++-aarch64-linux-gnu
set -euo pipefail
repo=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/setup_env.sh
. "$repo/scripts/setup_env.sh"
fail() { echo "error: $1" >&2; exit 2; }

suite=bookworm # with Python 3.11 and glibc 2.36
libc_minor=36
processor=neoverse-n1 # ARMv8.2, as the Kunpeng 920 of Ascend servers

[[ $# -le 1 && ${1-} != -* ]] || fail "$(sed -n '2s/^# //p' "$0")"
[[ ! -e ${1-} || -e $1/.aarch64 || (-d $1 && -z $(ls -A "$1")) ]] || fail "$1: neither new, nor empty, nor of this script"
for program in debootstrap qemu-aarch64-static aarch64-linux-gnu-g++ dpkg-deb; do
  command -v "$program" >/dev/null || fail "no $program: $(sed -n 's/^#   apt/apt/p' "$0")"
done
[[ $(uname -m) == x86_64 ]] || fail "compares with x86-64, and this machine is $(uname -m)"
[[ $EUID -eq 0 ]] || fail "debootstrap insists on root"
find_python requirements.txt
"$PYTHON" -m pip --version >/dev/null 2>&1 || fail "$PYTHON has no pip, which fetches the wheels"

if [[ $# -eq 1 ]]; then
  mkdir -p "$1"
  work=$(realpath "$1")
else
  work=$(mktemp -d)
  trap 'rm -rf --one-file-system "$work"' EXIT
fi
touch "$work/.aarch64"
run=$(mktemp -d "$work/run.XXXXXX")
system=$work/system site=$work/site

step() { printf '\n=== %s, %d s ===\n' "$1" "$SECONDS"; }

logged() { # log file, command: shows the log's end where the command fails
  local log=$1
  shift
  "$@" >"$log" 2>&1 || { tail -n 20 "$log" >&2; echo "error: failed: $*" >&2; exit 1; }
}

fetch_system() { # into $1: Debian's packages, unpacked; none of them is set up, which the libraries do not need
  local mirror='' package
  # debootstrap knows proxies from the environment, apt has its own settings for them.
  [[ -n ${http_proxy-} ]] || eval "$(apt-config shell http_proxy Acquire::http::Proxy)"
  [[ -z ${http_proxy-} ]] || export http_proxy
  # shellcheck disable=SC2016 # apt's own placeholder
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Codename: $suite" 'Component: main' |
    head -n 1)
  logged "$run/debootstrap.log" debootstrap --foreign --arch=arm64 --variant=minbase --include=python3,libgomp1 \
    "$suite" "$1" ${mirror:+"$mirror"}
  for package in "$1"/var/cache/apt/archives/*.deb; do dpkg-deb --extract "$package" "$1"; done
}

fetch_wheels() { # into $1
  local minor platforms=(--platform manylinux2014_aarch64)
  for ((minor = libc_minor; minor >= 17; minor--)); do platforms+=(--platform "manylinux_2_${minor}_aarch64"); done
  logged "$run/pip.log" "$PYTHON" -m pip install --target "$1" --only-binary=:all: --implementation cp \
    --python-version 3.11 "${platforms[@]}" --no-compile --requirement "$repo/requirements.txt"
}

once() { # function, folder: whole or not at all
  [[ ! -d $2 ]] || return 0
  local partial=$run/${2##*/}
  "$1" "$partial"
  mv "$partial" "$2"
}

on_arm() { # program of the arm64 system or for it, arguments
  env -u LD_LIBRARY_PATH -u LD_PRELOAD -u PYTHONHOME PYTHONNOUSERSITE=1 PYTHONPATH="$site" \
    qemu-aarch64-static -cpu "$processor" -L "$system" "$@"
}

use() { # name of the side, command that runs Python: data, training, evaluation, export
  local out=$run/$1
  local settings=(--config "$repo/config/bisenetv2_tiny.yml" --device_target CPU)
  local transforms=data.train_transforms.item_transforms.RandomResizeCrop
  local small=("data.dataset_dir=$out/data" "$transforms.crop_size=[64,64]" "$transforms.base_size=96"
    "data.eval_transforms.item_transforms.Resize.target_size=[64,96]" data.eval_transforms.multi_scale=True
    "data.eval_transforms.img_ratios=[0.75,1.0]")
  local python=("${@:2}") checkpoint=$out/train/checkpoints/BiSeNetV2_2_rank0.ckpt
  mkdir "$out"
  step "$1: data"
  logged "$out/data.log" "${python[@]}" "$repo/scripts/make_tiny_dataset.py" --output "$out/data"
  step "$1: training"
  logged "$out/train.log" "${python[@]}" "$repo/train.py" "${settings[@]}" --save_dir "$out/train" --total_step 2 \
    --batch_size 2 --log_interval 1 --checkpoint_interval 2 --run_eval False warmup_step=0 "${small[@]}"
  step "$1: evaluation"
  logged "$out/eval.log" "${python[@]}" "$repo/eval.py" "${settings[@]}" --checkpoint_path "$checkpoint" \
    --save_dir "$out/eval" "${small[@]}"
  step "$1: export"
  logged "$out/export.log" "${python[@]}" "$repo/export.py" "${settings[@]}" --checkpoint_file "$checkpoint" \
    --file_name "$out/export/BiSeNetV2" --input uint8 --output logits "${small[@]}"
}

test_parts() { # the C++ runner's parts; static, for this compiler's libraries may be newer than the arm64 system's
  local name sources=("$repo/tests/cpp/test_utils.cc")
  for name in utils options pipeline tensors; do sources+=("$repo/ascend310_infer/src/$name.cc"); done
  aarch64-linux-gnu-g++ -std=c++17 -Wall -Wextra -Werror -O1 -static "-I$repo/ascend310_infer" "${sources[@]}" \
    -o "$run/test_utils" -pthread
  mkdir "$run/cpp"
  on_arm "$run/test_utils" "$run/cpp" "$repo/tests/golden/tiny_2_0_0.mindir"
}

step "Debian $suite for arm64"
once fetch_system "$system"
step "aarch64 wheels"
once fetch_wheels "$site"
step "tests of the C++ parts on aarch64"
test_parts
use x86-64 "$PYTHON"
use aarch64 on_arm "$system/usr/bin/python3.11"
step comparison
"$PYTHON" "$repo/tests/compare_runs.py" "$run/x86-64" "$run/aarch64"
step "all agree"
