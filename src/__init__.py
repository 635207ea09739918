"""BiSeNetV2 for MindSpore: training and evaluation."""

import os
import sys
from pathlib import Path

if sys.platform == "win32":  # no UserError: what could show one does not load there
    sys.stderr.write("error: this runs on Linux (x86-64 or aarch64); on Windows run it in WSL2\n")
    sys.exit(2)

from src.base.environment import check_environment
from src.base.errors import UserError
from src.base.stops import end_by_signals
from src.base.streams import drop_lost_output
from src.utils.local_adapter import cap_onednn, prepare_environment

_ROOT = Path(__file__).resolve().parents[1]
_script = Path(getattr(sys.modules.get("__main__"), "__file__", None) or "").resolve()
if _script.parent in (_ROOT, _ROOT / "scripts"):  # one of ours: a signal while MindSpore loads gets its line, too
    end_by_signals()
    drop_lost_output()
    try:
        check_environment(os.environ)
    except UserError as problem:
        sys.stderr.write(f"error: {problem}\n")
        sys.exit(2)
    cap_onednn()
# Before any module of this package can import NumPy or MindSpore. In a program that no launcher has started this, and
# all else that `import src` does, leaves the process as it is.
prepare_environment()
