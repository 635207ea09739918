#!/usr/bin/env bash
# To be sourced: finds or makes an interpreter that satisfies the requirements, and sets PYTHON to it.
# Usage: . scripts/setup_env.sh; setup_python requirements.txt [requirements/dev.txt]
#    or: . scripts/setup_env.sh; find_python requirements.txt    (makes none)
#    or: . scripts/setup_env.sh; setup_torch    (makes .venv-torch)
#    or: . scripts/setup_env.sh; setup_version 2.10.0 requirements.txt [requirements/dev.txt]    (makes .venv-2.10.0)
# The current interpreter is used if it satisfies everything. Otherwise the missing packages are installed in .venv, from
# which a MindSpore of the machine, as in Ascend images, remains visible.

if [[ ${1-} == --help || ${1-} == -h ]]; then # of the script that sources this: its first lines
  # From scripts/ if the script has gone to another folder, so that its relative name leads nowhere.
  [[ -f $0 ]] && caller=$0 || caller=$(dirname "${BASH_SOURCE[0]}")/${0##*/}
  sed -n '2,${/^#/!q;s/^# \{0,1\}//p}' "$caller"
  exit 0
fi

# First of all, also in the scripts that source this file: they use much that bash 3.2 of macOS lacks.
if [[ $(uname -s) != Linux ]]; then
  echo "error: this runs on Linux (x86-64 or aarch64; on Windows in WSL2), not on $(uname -s)" >&2
  exit 2
fi

trap 'exit 130' INT # after Ctrl-C, whatever the exit code of the step
trap '' PIPE        # the steps go on after the reader of the output has left

repo_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

_fail() { echo "error: $1" >&2; exit 2; }

expand() { # name of a variable: replace a leading ~, which the shell leaves in "--out=~/x", by the home folder
  local -n path=$1
  local user=${path%%/*} home
  [[ $user == "~"* ]] || return 0
  home=$(getent passwd "${user#\~}" 2>/dev/null | cut -d: -f6) || :
  if [[ $user == "~" ]]; then home=${HOME:-$(getent passwd "$(id -u)" 2>/dev/null | cut -d: -f6)} || :; fi
  [[ -n $home ]] || _fail "$path: no such home folder; write the whole path, or ./$path for a name that begins with ~"
  path=$home${path#"$user"}
}

say() { printf '%s\n' "$1" 2>/dev/null || :; } # text: print it, ignoring a closed output

run_attached() { # command ...: run it, and have it end by SIGTERM when this shell exits
  local command=("$PYTHON" "$repo_root/src/distributed/child_process.py" $$ "$@")
  # In a pipeline this function runs in a subshell, which would be the command's parent instead of this shell.
  if [[ $BASHPID != "$$" ]]; then exec "${command[@]}"; fi
  "${command[@]}"
}

_satisfied() { # interpreter, requirements files
  "$1" "$repo_root/scripts/check_requirements.py" "${@:2}" >/dev/null 2>&1
}

_supported() { # interpreter: it exists, runs, and has a version that MindSpore has packages for
  "$1" -c 'import sys; sys.exit(not (3, 9) <= sys.version_info[:2] <= (3, 12))' >/dev/null 2>&1
}

_find_base() {
  local candidate
  for candidate in python python3 python3.11 python3.12 python3.10 python3.9; do
    if _supported "$candidate"; then
      echo "$candidate"
      return
    fi
  done
  _fail "no Python 3.9 to 3.12 found (tried python, python3 and python3.9 to python3.12)"
}

find_python() { # requirements files, relative to the repository
  local candidate files=("${@/#/$repo_root/}")
  for candidate in python python3 "$repo_root/.venv/bin/python"; do
    if _satisfied "$candidate" "${files[@]}"; then
      PYTHON=$(command -v "$candidate")
      return
    fi
  done
  _fail "python lacks packages of $*: python -m pip install ${*/#/-r }"
}

_pythons_of() { # MindSpore version: prints the Pythons that it has packages for, the best first
  case $1 in
    2.0.* | 2.1.* | 2.2.*) echo 3.9 ;;
    2.3.*) echo 3.10 3.9 ;;
    2.4.* | 2.5.* | 2.6.* | 2.7.*) echo 3.11 3.10 3.9 ;;
    2.8.*) echo 3.11 3.12 3.10 3.9 ;;
    2.9.* | 2.10.*) echo 3.11 3.12 3.10 ;;
    *) _fail "MindSpore $1: give a version from 2.0.0 to 2.10.x" ;;
  esac
}

_is_python() { # interpreter, version
  "$1" -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '$2')" >/dev/null 2>&1
}

_find_version() { # Python version: prints an interpreter of it, from PATH, pyenv or uv
  local candidate root
  if _is_python "python$1" "$1"; then
    echo "python$1"
    return
  fi
  if root=$(pyenv root 2>/dev/null); then
    for candidate in "$root"/versions/"$1".*/bin/python; do
      if _is_python "$candidate" "$1"; then
        echo "$candidate"
        return
      fi
    done
  fi
  if candidate=$(uv python find "$1" 2>/dev/null) && _is_python "$candidate" "$1"; then
    echo "$candidate"
    return
  fi
  return 1
}

_bounds() { # requirements files: what they ask for, but for MindSpore, of which the machine may bring another one
  sed '/^ *\(#\|$\)/d; /^mindspore/d' "$@"
}

setup_version() { # MindSpore version, requirements files relative to the repository; sets PYTHON
  local version=$1 files=("${@:2}") wanted pythons base='' missing pins=() venv="$repo_root/.venv-$1"
  files=("${files[@]/#/$repo_root/}")
  pythons=$(_pythons_of "$version") || exit 2
  PYTHON="$venv/bin/python"
  if [[ ! -x "$PYTHON" ]]; then
    for wanted in $pythons; do
      base=$(_find_version "$wanted") && break
    done
    [[ -n "$base" ]] || _fail "MindSpore $version needs Python ${pythons// / or }: none found on PATH, by pyenv or by uv"
    echo "making $venv (once) with $base"
    "$base" -m venv "$venv" || _fail "cannot make a virtual environment with $base -m venv"
  fi
  mapfile -t missing < <("$PYTHON" "$repo_root/scripts/check_requirements.py" --missing "${files[@]}" | grep -v '^mindspore')
  if [[ $("$PYTHON" -m pip show mindspore 2>/dev/null | sed -n 's/^Version: //p') != "$version" ]]; then
    missing+=("mindspore==$version")
  fi
  [[ ${#missing[@]} -gt 0 ]] || return 0
  [[ $version != 2.0.* ]] || pins=(--constraint "$repo_root/requirements/pins-2.0.txt")
  echo "installing: ${missing[*]}"
  "$PYTHON" -m pip install --quiet --disable-pip-version-check --constraint <(_bounds "${files[@]}") \
    ${pins[@]+"${pins[@]}"} "${missing[@]}" || _fail "pip install failed, see above"
}

setup_torch() { # makes .venv-torch with PyTorch and nothing of this repository, for the tests that compare with it
  local wanted base='' missing venv="$repo_root/.venv-torch"
  if [[ ! -x "$venv/bin/python" ]]; then
    for wanted in 3.11 3.12 3.10; do
      base=$(_find_version "$wanted") && break
    done
    if [[ -z "$base" ]]; then
      echo "no Python 3.10 to 3.12 for PyTorch found: the tests that compare with it are left out"
      return 0
    fi
    echo "making $venv (once) with $base"
    "$base" -m venv "$venv" || _fail "cannot make a virtual environment with $base -m venv"
  fi
  mapfile -t missing < <("$venv/bin/python" "$repo_root/scripts/check_requirements.py" --missing "$repo_root/requirements/torch.txt")
  [[ ${#missing[@]} -gt 0 ]] || return 0
  echo "installing: ${missing[*]}"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "${missing[@]}" ||
    echo "PyTorch could not be installed: the tests that compare with it are left out"
}

setup_python() { # requirements files, relative to the repository
  local files=("${@/#/$repo_root/}") base venv="$repo_root/.venv"
  if (find_python "$@") 2>/dev/null; then
    find_python "$@"
    return
  fi
  PYTHON="$venv/bin/python"
  base=$(_find_base)
  if [[ ! -x "$PYTHON" ]]; then
    echo "making $venv (once)"
    # A MindSpore of the machine remains visible in .venv; one of a virtual environment does not.
    local options=()
    if "$base" "$repo_root/scripts/check_requirements.py" --missing "${files[0]}" | grep -q '^mindspore' ||
      "$base" -c 'import sys; sys.exit(sys.prefix == sys.base_prefix)'; then
      echo "with a MindSpore of its own"
    else
      echo "with the MindSpore of $base"
      options=(--system-site-packages)
    fi
    "$base" -m venv ${options[@]+"${options[@]}"} "$venv" || _fail "cannot make a virtual environment with $base -m venv"
  fi
  local missing
  mapfile -t missing < <("$PYTHON" "$repo_root/scripts/check_requirements.py" --missing "${files[@]}")
  [[ ${#missing[@]} -gt 0 ]] || return 0
  echo "installing: ${missing[*]}"
  # What is there already stays within its bounds, too: a package for the tests would bring NumPy 2 along.
  run_attached "$PYTHON" -m pip install --quiet --disable-pip-version-check --constraint <(_bounds "${files[@]}") \
    "${missing[@]}" || _fail "pip install failed, see above"
}
