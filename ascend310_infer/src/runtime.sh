# To be sourced: finds the runtime that the runner is built for and runs with.
# Usage: . ascend310_infer/src/runtime.sh; find_runtime; export LD_LIBRARY_PATH=$(runtime_folders)
# The runtime is MindSpore Lite if MS_LITE_HOME or LITE_HOME is set, else MINDSPORE_PATH, else the installed MindSpore,
# which has to be 2.0 or 2.1.
# shellcheck shell=bash

_runtime_fail() { echo "error: $1" >&2; exit 2; }

_find_lite() { # folder: an unpacked package or wheel, or made by scripts/get_mindspore_lite.sh
  local folder name
  for folder in "$1/runtime" "$1/mindspore_lite" "$1"; do
    for name in libmindspore-lite.so libmindspore-extendrt_python.so; do
      if [[ -f $folder/lib/$name ]]; then
        runtime=$(cd "$folder" && pwd)
        library=$runtime/lib/$name
        return
      fi
    done
  done
  _runtime_fail "MS_LITE_HOME (or LITE_HOME) is not a MindSpore Lite: $1 has neither runtime/lib/libmindspore-lite.so, \
as a package, nor mindspore_lite/lib/libmindspore-extendrt_python.so, as a wheel; scripts/get_mindspore_lite.sh gets one"
}

find_runtime() { # sets lite (its home, or empty), runtime (the folder with include and lib) and library
  local find='import importlib.util as u; s = u.find_spec("mindspore"); '
  find+='print(s.submodule_search_locations[0] if s else "")'
  lite=${MS_LITE_HOME:-${LITE_HOME:-}}
  if [[ -n $lite ]]; then
    _find_lite "$lite"
  else
    runtime=${MINDSPORE_PATH:-}
    [[ -n $runtime ]] || runtime=$(python3 -c "$find") || _runtime_fail "python3 does not run"
    [[ -n $runtime ]] ||
      _runtime_fail "no runtime: set MS_LITE_HOME to a MindSpore Lite, or install MindSpore 2.0 or 2.1"
    library=$runtime/lib/libmindspore.so
  fi
  [[ -f $runtime/include/api/model.h ]] ||
    _runtime_fail "$runtime has no C++ API (include/api); set MS_LITE_HOME to a MindSpore Lite"
  [[ -f $library ]] || _runtime_fail "$runtime/lib has no libmindspore.so, as MindSpore's packages since 2.2; \
set MS_LITE_HOME to a MindSpore Lite"
}

runtime_folders() { # prints the value for LD_LIBRARY_PATH, with that of the environment
  local folders
  if [[ -n $lite ]]; then
    folders=$runtime/lib:$runtime/third_party/dnnl:$lite/tools/converter/lib
    folders+=:$runtime/third_party/glog:$runtime/third_party/libjpeg-turbo/lib
    echo "$folders${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
  else # MindSpore's library needs that of the Python it was built for
    folders=$(python3 -c 'import sysconfig; print(sysconfig.get_config_var("LIBDIR") or "")') ||
      _runtime_fail "python3 does not run"
    echo "${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$folders"
  fi
}
