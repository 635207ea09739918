#!/usr/bin/env bash
# Usage: bash scripts/get_mindspore_lite.sh [DIR]
# Fetches MindSpore Lite for x86-64 (169 MB), verifies it and unpacks it to DIR (default: mindspore_lite in the
# repository, 485 MB): runtime/ as in Lite's own packages, the converter for Python 3.7 in tools/converter/python.
# Needs Python with pip, but not MindSpore. The last line of output is the variable to set: MS_LITE_HOME=DIR
set -euo pipefail
if [[ ${1-} == --help || ${1-} == -h ]]; then
  sed -n '2,5s/^# //p' "$0"
  exit
fi
fail() { echo "error: $1" >&2; exit 2; }

[[ $# -le 1 && ${1-} != -* ]] || fail "$(sed -n '2s/^# //p' "$0")"
repo_root=$(cd "$(dirname "$0")/.." && pwd)
target=$(realpath -m "${1:-$repo_root/mindspore_lite}")
version=$(sed -n 's/^mindspore-lite==\([^ ]*\) .*/\1/p' "$repo_root/requirements/lite.txt")

system=$(uname -s)-$(uname -m)
[[ $system == Linux-x86_64 ]] || fail "no package for $system can be fetched; unpack mindspore-lite-<version> for it \
from https://www.mindspore.cn/lite/docs/en/master/use/downloads.html and set MS_LITE_HOME to its folder"
if [[ -f $target/runtime/lib/libmindspore-lite.so &&
  $(cat "$target/tools/converter/python/mindspore_lite/version.py" 2>/dev/null) == "__version__ = '$version'" ]]; then
  echo "MindSpore Lite $version is there already"
  echo "MS_LITE_HOME=$target"
  exit
fi
[[ ! -e $target || (-d $target && -z $(ls -A "$target")) ]] ||
  fail "$target is there and holds no MindSpore Lite $version; give another DIR, or remove it"

python=''
for candidate in python3 python "$repo_root/.venv/bin/python"; do
  if "$candidate" -m pip --version >/dev/null 2>&1; then
    python=$candidate
    break
  fi
done
[[ -n $python ]] || fail "no Python with pip found (tried python3, python and .venv)"

mkdir -p "$(dirname "$target")" 2>/dev/null || fail "cannot make the folder $(dirname "$target")"
work=$(mktemp -d "$target.XXXXXX" 2>/dev/null) || fail "cannot write to $(dirname "$target")"
trap 'rm -rf "$work"' EXIT
echo "fetching MindSpore Lite $version (169 MB)"
wanted=(--platform manylinux1_x86_64 --python-version 3.7 --implementation cp --abi cp37m --only-binary=:all: --no-deps)
"$python" -m pip download --quiet --disable-pip-version-check --no-cache-dir "${wanted[@]}" --dest "$work" \
  --require-hashes --requirement "$repo_root/requirements/lite.txt" >"$work/log" 2>&1 || {
  ! grep -q 'DO NOT MATCH THE HASHES' "$work/log" ||
    fail "what pip fetched as mindspore-lite $version has another SHA-256 than requirements/lite.txt says; nothing was unpacked"
  fail "pip cannot fetch mindspore-lite $version: $(sed -n 's/^ERROR: //p' "$work/log" | head -n 1)"
}

# Unpacked beside the target and renamed last, so that the folder never appears incomplete.
package=$work/new/tools/converter/python/mindspore_lite
mkdir -p "$work/new/runtime"
"$python" -m zipfile -e "$work"/*.whl "$work/new/tools/converter/python" || fail "cannot unpack it to $work"
mv "$package/lib" "$package/include" "$work/new/runtime"
ln -s ../../../../runtime/lib "$package/lib"
ln -s libmindspore-extendrt_python.so "$work/new/runtime/lib/libmindspore-lite.so" # its name in Lite's own packages
mv -T "$work/new" "$target" || fail "cannot name the folder $target"
echo "MS_LITE_HOME=$target"
