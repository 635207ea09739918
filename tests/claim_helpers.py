"""Processes that claim a folder, and claims of processes that are elsewhere or gone."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

from src.base.claim_files import Owner
from tests.run_helpers import ROOT

HOLDER = """
    import sys, time
    sys.path.insert(0, {root!r})
    from src.base import claims
    from src.base.errors import UserError
    from src.base.files import write_whole
    folder = sys.argv[1]
    try:
        claims.hold_folder(folder, "training", "--save_dir", parts=("checkpoints",))
    except UserError as err:
        print(err, flush=True)
        sys.exit(2)
    print("held", flush=True)
"""


def start(folder: Path, then: str, **options) -> subprocess.Popen:
    """Start a process that claims `folder`, says "held" and goes on with `then`."""
    code = textwrap.dedent(HOLDER).format(root=str(ROOT)) + textwrap.dedent(then)
    return subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True, **options)


def started(folder: Path, then: str) -> subprocess.Popen:
    process = start(folder, then, stdin=subprocess.PIPE)
    assert process.stdout.readline() == "held\n"
    return process


def stranger(claim: Path, age: float, **changes: object) -> Path:
    """Write the claim of a process of another machine, last touched `age` seconds ago."""
    owner = dataclasses.replace(Owner.this_process("training", "--save_dir"), host="far", machine="m2", **changes)
    claim.parent.mkdir(parents=True, exist_ok=True)
    claim.write_text(json.dumps(dataclasses.asdict(owner)), encoding="utf-8")
    os.utime(claim, (time.time() - age,) * 2)
    return claim


def dead_process() -> tuple[int, str]:
    """Return number and identity of a process that lived a moment ago."""
    with subprocess.Popen(["sleep", "60"]) as process:
        fields = Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        process.kill()
    return process.pid, f"{process.pid}:{fields[19]}"


def started_is_refused(folder: Path) -> bool:
    process = start(folder, "")
    return "is in use by another training" in process.communicate()[0] and process.returncode == 2
