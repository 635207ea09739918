"""Files of one MindSpore version in the others: checkpoints evaluate alike, models run where their format allows.

Each version works in the environment that ``scripts/run_tests.sh --mindspore VERSION`` makes.
"""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from src.utils.local_adapter import mindspore_version
from tests.dataset_helpers import write_cityscapes
from tests.run_helpers import ROOT
from tests.runner_helpers import missing

OTHERS = ("2.0.0", "2.10.0")
MODELS = ("argmax", "logits", "uint8")
pytestmark = pytest.mark.slow


def interpreter(version: str) -> str:
    """Return the Python of a version's environment."""
    path = ROOT / f".venv-{version}" / "bin" / "python"
    if not path.exists():
        missing(f"no {path.parents[1].name}: bash scripts/run_tests.sh --mindspore {version} makes it")
    return str(path)


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> dict[str, dict[str, dict]]:
    """What every version makes of the files of every version: reader, writer, what."""
    own = ".".join(map(str, mindspore_version()))
    pythons = {**{version: interpreter(version) for version in OTHERS}, own: sys.executable}
    root = tmp_path_factory.mktemp("versions")
    data = write_cityscapes(root / "data", {"val": 3})
    for seed, (version, python) in enumerate(pythons.items()):
        folder = root / "written" / version
        folder.mkdir(parents=True)
        run(python, "make", folder, seed)
    found = {}
    for version, python in pythons.items():
        result = root / f"{version}.json"
        run(python, "use", data, result, root / "written")
        found[version] = json.loads(result.read_text(encoding="utf-8"))["found"]
    return found


def run(python: str, *arguments: object) -> None:
    words = [python, str(ROOT / "tests" / "version_work.py"), *map(str, arguments)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, f"{words}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"


def test_checkpoints_of_every_version_evaluate_alike_in_every_version(results):
    own = ".".join(map(str, mindspore_version()))
    assert set(results) == {*OTHERS, own}
    for writer in results[own]:
        reference = results[own][writer]
        assert reference["miou"] > 0
        for found in results.values():
            for score in ("miou", "pixel_accuracy"):
                assert abs(found[writer][score] - reference[score]) <= 1e-4, (writer, score)
    scores = [entry["miou"] for entry in results[own].values()]
    assert len(set(scores)) == len(scores)  # each writer had weights of its own


@pytest.mark.parametrize("model", ["argmax", "logits"])
def test_models_of_the_oldest_version_run_alike_in_every_version(results, model):
    maps = [np.array(found["2.0.0"][model]) for found in results.values()]
    assert maps[0].shape == (1, 64, 96)
    assert len(np.unique(maps[0])) > 1
    for other in maps[1:]:
        assert np.mean(other == maps[0]) > 0.9999  # scores that are equal but for rounding may swap


def test_what_the_oldest_version_writes_for_uint8_runs_there_alone(results):
    """Its Cast in front of other operators is not understood by later versions, which say so in one line."""
    maps = {reader: found["2.0.0"]["uint8"] for reader, found in results.items()}
    assert np.array(maps.pop("2.0.0")).shape == (1, 64, 96)
    for reader, message in maps.items():
        assert f"uint8.mindir: MindSpore {reader} cannot run it" in message
        assert message.endswith(
            "later versions do not run what MindSpore 2.0 writes for uint8 input: export with this one"
        )
        assert len(message.splitlines()) == 1


def test_an_onnx_of_any_version_runs_alike_beside_every_version(results):
    """Each environment has an ONNX Runtime of its own; the weights are those of the writer."""
    for writer in results:
        maps = [np.array(found[writer]["onnx"]) for found in results.values()]
        assert maps[0].shape == (1, 64, 96)
        assert len(np.unique(maps[0])) > 1
        for other in maps[1:]:
            assert np.mean(other == maps[0]) > 0.9999  # scores that are equal but for rounding may swap


@pytest.mark.parametrize("model", MODELS)
def test_models_of_newer_versions_run_alike_and_an_older_one_says_why_not(results, model):
    own = ".".join(map(str, mindspore_version()))
    for writer in (own, "2.10.0"):
        first, second = (np.array(results[reader][writer][model]) for reader in (own, "2.10.0"))
        assert np.mean(first == second) > 0.9999
        message = results["2.0.0"][writer][model]
        assert "MindIR format 3, written by MindSpore" in message
        assert len(message.splitlines()) == 1
