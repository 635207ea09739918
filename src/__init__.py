"""BiSeNetV2 for MindSpore: training and evaluation."""

import os
import sys
from pathlib import Path

if sys.platform == "win32":  # no UserError: what could show one does not load there
    sys.stderr.write("error: this runs on Linux (x86-64 or aarch64); on Windows run it in WSL2\n")
    sys.exit(2)

from src.base.environment import check_environment
from src.base.errors import UserError
from src.base.missing_packages import explain_missing_packages
from src.base.stops import end_by_signals
from src.base.streams import drop_lost_output
from src.utils.local_adapter import cap_onednn, prepare_environment

_ROOT = Path(__file__).resolve().parents[1]
_SCRIPTS = ("train", "eval", "export", "preprocess", "postprocess")  # in the root, where a user's own may stand as well
_file = getattr(sys.modules.get("__main__"), "__file__", None)
_script = Path(_file).resolve() if _file else None
if _script and (_script.parent == _ROOT / "scripts" or _script in [_ROOT / f"{name}.py" for name in _SCRIPTS]):
    # One of ours: a signal while MindSpore loads gets its line, too.
    end_by_signals()
    explain_missing_packages(_ROOT)
    drop_lost_output()
    try:
        check_environment(os.environ)
    except UserError as problem:
        sys.stderr.write(f"error: {problem}\n")
        sys.exit(2)
    cap_onednn()
# Before any module of this package can import NumPy or MindSpore. It changes nothing in a program that no launcher has
# started: those of a user's own stay as they are.
prepare_environment()
