"""The C++ runner as a whole against the Python path, over a stand-in that computes with the installed MindSpore."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from src.offline.timing import Timings
from tests.offline_helpers import export_for_runner, write_runner_inputs
from tests.run_helpers import run_script
from tests.runner_helpers import common, run_runner

RUNTIMES = ("MindSpore Lite", "libmindspore.so")


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return export_for_runner(tmp_path_factory.mktemp("model"))


@pytest.fixture
def inputs(tmp_path) -> Path:
    return write_runner_inputs(tmp_path / "inputs")


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_it_writes_what_the_python_path_writes(runners, model, inputs, tmp_path, runtime):
    log = tmp_path / "device.log"
    results = tmp_path / "a" / "result_Files"
    options = ["--device_id", 3, "--warmup", 2]
    done = run_runner(runners[runtime], *common(model, inputs, results), *options, STAND_IN_LOG=log)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    precision = {"MindSpore Lite": "preferred_fp32", "libmindspore.so": "allow_fp32_to_fp16"}[runtime]
    assert log.read_text().splitlines() == ["Ascend 3", f"precision {precision}"]
    assert f"runtime: {runtime}\n" in done.stdout
    assert re.search(r"^input: \S+image, uint8 1x64x96x3\noutput: \S+, int32 1x64x96$", done.stdout, re.MULTILINE)

    other = tmp_path / "b" / "result_Files"
    python = run_script("scripts/infer_mindir.py", *common(model, inputs, other), "--device_type", "CPU")
    names = [f"{stem}_0.bin" for stem in ("a", "b", "c.d.e", "f", "g")]
    for folder in (results, other):
        assert sorted(path.name for path in folder.iterdir()) == names
    for name in names:
        assert (results / name).read_bytes() == (other / name).read_bytes()
    assert len(np.unique(np.fromfile(results / names[0], np.int32))) > 1

    shape = re.sub(r"[\d.]+", "#", Timings([1.0] * 5, [1.0] * 5, 1.0).report())
    for folder, printed in ((results, done.stdout), (other, python.stdout)):
        text = (folder.parent / "time_Result" / "test_perform_static.txt").read_text()
        assert re.sub(r"[\d.]+", "#", text) == shape
        assert text.startswith("NN inference cost average time: ")
        assert " ms of infer_count 5\n" in text
        assert printed.endswith(text)
