"""The C++ runner as a whole against the installed MindSpore: on MindSpore Lite, and over a stand-in for its library."""

from __future__ import annotations

import re
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest

from src.modules.bisenetv2 import BiSeNetV2
from src.offline.timing import Timings
from tests.golden_weights import load_seeded
from tests.offline_helpers import (
    SIZE,
    export_for_lite,
    export_for_runner,
    read_results,
    write_runner_inputs,
)
from tests.run_helpers import run_script
from tests.runner_helpers import common, run_on_lite, run_runner

MEAN, STD = (0.3257, 0.3690, 0.3223), (0.2112, 0.2148, 0.2115)  # of the configuration


@pytest.fixture
def inputs(tmp_path) -> Path:
    return write_runner_inputs(tmp_path / "inputs")


def test_it_writes_what_the_python_path_writes(stand_in, inputs, tmp_path):
    model = export_for_runner(tmp_path)
    log = tmp_path / "device.log"
    results = tmp_path / "a" / "result_Files"
    options = ["--device_id", 3, "--warmup", 2]
    done = run_runner(stand_in.runner, *common(model, inputs, results), *options, STAND_IN_LOG=log)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert log.read_text().splitlines() == ["Ascend 3", "precision allow_fp32_to_fp16"]
    assert "runtime: libmindspore.so\n" in done.stdout
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


@pytest.fixture(scope="module")
def evaluated() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A picture (H, W, 3), what becomes of it (3, H, W), and the logits of that checkpoint's network (C, H, W)."""
    picture = np.random.default_rng(1).integers(0, 256, (*SIZE, 3), np.uint8)
    image = ((picture / 255 - MEAN) / STD).transpose(2, 0, 1).astype(np.float32)
    network = BiSeNetV2(19, aux_heads=False).set_train(False)
    load_seeded(network)
    return picture, image, network(ms.Tensor(image[None])).asnumpy()[0]


@pytest.mark.parametrize(("taken", "returned"), [("float32", "logits"), ("uint8", "argmax")])
def test_mindspore_lite_computes_what_the_network_does(lite, weights, evaluated, tmp_path, taken, returned):
    """The MindIR of MindSpore 2.0.0 as it is; what later versions export as ONNX, by Lite's own converter."""
    model = export_for_lite(weights, tmp_path / "model", lite, "--input", taken, "--output", returned)
    picture, image, expected = evaluated
    (tmp_path / "inputs").mkdir()
    (picture if taken == "uint8" else image).tofile(tmp_path / "inputs" / "a.bin")
    done = run_on_lite(lite, *common(model, tmp_path / "inputs", tmp_path / "results"))
    assert (done.returncode, done.stderr) == (0, "")
    assert "runtime: MindSpore Lite\n" in done.stdout
    if returned == "logits":
        logits = read_results(tmp_path / "results", (19, *SIZE), np.float32)["a"]
        assert np.abs(logits - expected).max() <= 1e-4 * np.abs(expected).max()
    else:
        classes = read_results(tmp_path / "results", SIZE)["a"]
        assert len(np.unique(classes)) > 1
        assert np.count_nonzero(classes != expected.argmax(0)) <= 1  # of 6144
