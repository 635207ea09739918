"""Print the operators that the installed MindSpore 2.0.0 registers on Ascend for the AI CPU alone, as JSON.

`tests/golden/ai_cpu_operators.json` holds them; they are few cores that compute element by element, no place for what
is as large as a picture. They are read from the registrations in ``mindspore/ops/_op_impl``; later wheels have those
for the AI CPU only. For 2.10.0 the file has a list by hand, each operator with where it was read.
"""

from __future__ import annotations

import json
import re
import sys
from importlib.util import find_spec
from pathlib import Path

REGISTRATION = re.compile(r'(?:AiCPURegOp|TBERegOp|CustomRegOp|AkgAscendRegOp)\("(\w+)"\)')
NO_WORK = {"Reshape"}  # gives the same memory another shape


def registered(folder: Path) -> set[str]:
    """Return the operators registered in the files of a folder."""
    return {name for path in folder.rglob("*.py") for name in REGISTRATION.findall(path.read_text(encoding="utf-8"))}


if __name__ == "__main__":
    root = Path(find_spec("mindspore").origin).parent / "ops" / "_op_impl"
    fast = set().union(*(registered(root / name) for name in ("tbe", "akg", "_custom_op")))
    json.dump(sorted(registered(root / "aicpu") - fast - NO_WORK), sys.stdout)
