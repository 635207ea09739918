"""scripts/convert_to_lite.sh: what MindSpore Lite's own converter makes of a tiny ONNX file, and mistakes."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.run_helpers import ROOT
from tests.runner_helpers import Programs, build_environment, common, convert_to_lite, run_bash, run_on_lite

SCRIPT = "scripts/convert_to_lite.sh"
TINY = ROOT / "tests" / "golden" / "tiny.onnx"
# In the place of a package's converter_lite, which no package index has: it notes how it is called.
CONVERTER = """#!/bin/sh
printf '%s\\n' "$@" >"$NOTES"; echo "libraries $LD_LIBRARY_PATH" >>"$NOTES"
for word in "$@"; do case $word in --outputFile=*) out=${word#*=} ;; esac; done
"""


@pytest.fixture
def model(tmp_path) -> Path:
    """The tiny model with a description."""
    path = Path(shutil.copy(TINY, tmp_path / "m.v1.onnx"))
    description = {"file": path.name, "bytes": 1, "format": "ONNX", "opset": 11, "input": "float32", "num_classes": 2}
    (tmp_path / "m.v1.onnx.json").write_text(json.dumps(description), encoding="utf-8")
    return path


def home_of(lite: Programs) -> Path:
    return Path(lite.runtime["MS_LITE_HOME"])


def fake_converter(folder: Path, last: str) -> Path:
    """Write a converter_lite that ends with the line `last` of shell."""
    folder.mkdir(parents=True)
    (folder / "converter_lite").write_text(f"{CONVERTER}{last}\n")
    (folder / "converter_lite").chmod(0o755)
    return folder


def test_the_converted_model_computes_what_the_onnx_file_says(lite, model, tmp_path):
    converted = convert_to_lite(model, tmp_path / "out.v2", home_of(lite))
    assert converted == tmp_path / "out.v2.mindir"
    assert converted.stat().st_mode & 0o777 == 0o644
    assert json.loads((tmp_path / "out.v2.json").read_text(encoding="utf-8")) == {
        "file": "out.v2.mindir",
        "bytes": converted.stat().st_size,
        "sha256": hashlib.sha256(converted.read_bytes()).hexdigest(),
        "format": "MINDIR",
        "input": "float32",
        "num_classes": 2,
        "converted_by": "MindSpore Lite 2.0.0",
        "converted_from": "m.v1.onnx",
    }
    image = np.random.default_rng(1).standard_normal((3, 8, 8)).astype(np.float32)
    (tmp_path / "inputs").mkdir()
    image.tofile(tmp_path / "inputs" / "a.bin")
    done = run_on_lite(lite, *common(converted, tmp_path / "inputs", tmp_path / "results"))
    assert (done.returncode, done.stderr) == (0, "")
    weights = np.random.default_rng(0).standard_normal((2, 3, 3, 3)).astype(np.float32)  # as make_lite_models.py
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(image, ((0, 0), (1, 1), (1, 1))), (3, 3), axis=(1, 2))
    expected = np.einsum("cyxhw,kchw->kyx", windows, weights).argmax(0)
    assert 0 < expected.sum() < 64
    assert np.array_equal(np.fromfile(tmp_path / "results" / "a_0.bin", np.int32).reshape(8, 8), expected)

    before = sorted(path.name for path in tmp_path.iterdir())
    done = run_bash(SCRIPT, model, converted, MS_LITE_HOME=home_of(lite))
    assert (done.returncode, done.stderr) == (2, f"error: {converted} exists already; take another name\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_what_cannot_be_converted_is_one_line(lite, model, tmp_path):
    convert_to_lite(model, tmp_path / "first", home_of(lite))  # there is a Python 3.7
    bad = {
        "text": (b"some words, no model", "is text, not an ONNX model; check the name"),
        "empty": (b"", "the file is empty; copy or download it again"),
        "cut": (TINY.read_bytes()[:-20], "truncated, or no ONNX file"),
    }
    taken = (
        "scripts/predict.py takes it as --model, scripts/infer_model.py as --model_path; its name has to end in .mindir"
    )
    for name, (data, _) in bad.items():
        (tmp_path / f"{name}.onnx").write_bytes(data)
    mindir = ROOT / "tests" / "golden" / "tiny_2_0_0.mindir"
    out = tmp_path / "out"
    only = (
        "the wheel's converter takes --optimize=none, general or ascend_oriented alone; for others set MS_LITE_HOME to "
        "a package of MindSpore Lite that has converter_lite"
    )
    ascend = "--optimize=ascend_oriented"
    no_cann = f"{ascend}: the converter needs Ascend's CANN here for it; source CANN's set_env.sh first"
    cases = [
        *([tmp_path / f"{name}.onnx", out, f"{tmp_path}/{name}.onnx: {reason}"] for name, (_, reason) in bad.items()),
        [mindir, out, f"{mindir}: is a MindIR, not an ONNX model; {taken}"],
        [tmp_path / "none", out, f"cannot read the model {tmp_path}/none: No such file or directory"],
        [model, tmp_path / "no" / "out", f"no such folder: {tmp_path}/no"],
        [model, out, ascend, no_cann],
        [model, out, "--inputShape=x:1", f"--inputShape=x:1: {only}"],
        [model, out, "--fmk=TF", "--fmk=TF: this script sets it itself"],
        [model, out, "fast", "fast: give options of the converter as --name=value"],
        [model, "Usage: bash scripts/convert_to_lite.sh MODEL.onnx OUT [converter options]"],
    ]
    before = sorted(path.name for path in tmp_path.iterdir())
    for *arguments, message in cases:
        done = run_bash(SCRIPT, *arguments, MS_LITE_HOME=home_of(lite))
        assert (done.returncode, done.stderr) == (2, f"error: {message}\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_without_a_description_there_is_a_warning(lite, model, tmp_path):
    (tmp_path / "m.v1.onnx.json").unlink()
    convert_to_lite(model, tmp_path / "first", home_of(lite))
    done = run_bash(SCRIPT, model, tmp_path / "out", "--optimize=none", MS_LITE_HOME=home_of(lite))
    warning = f"no {model}.json: there will be no description of {tmp_path}/out.mindir"
    assert (done.returncode, done.stderr) == (0, f"warning: {warning}\n")
    assert not (tmp_path / "out.json").exists()
    (tmp_path / "m.v1.onnx.json").write_text("[]")
    done = run_bash(SCRIPT, model, tmp_path / "third", MS_LITE_HOME=home_of(lite))
    message = f"{model}.json: is not the description that export.py writes beside a model"
    assert (done.returncode, done.stderr) == (2, f"error: {message}\n")
    assert not list(tmp_path.glob("third*"))


@pytest.mark.parametrize("where", ["package", "PATH"])
def test_the_converter_of_a_package_is_called_by_the_book(model, tmp_path, where):
    home, notes = tmp_path / "home", tmp_path / "notes"
    converts = f'cp "{TINY}" "$out.mindir"; chmod 400 "$out.mindir"'
    folder = fake_converter(home / "tools" / "converter" / "converter", converts)
    variables = {"MS_LITE_HOME": home} if where == "package" else {"PATH": f"{folder}:{build_environment()['PATH']}"}
    variables.update(NOTES=notes, LD_LIBRARY_PATH="/mine")
    done = run_bash(SCRIPT, model, tmp_path / "out", "--optimize=ascend_oriented", **variables)
    assert (done.returncode, done.stderr) == (0, "")
    optimize, fmk, source, target, libraries = notes.read_text().splitlines()
    assert (optimize, fmk, source) == ("--optimize=ascend_oriented", "--fmk=ONNX", f"--modelFile={model}")
    assert target.startswith("--outputFile=/")
    own = f"{home}/tools/converter/lib:{home}/runtime/lib:" if where == "package" else ""
    assert libraries == f"libraries {own}/mine"
    assert (tmp_path / "out.mindir").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    ("last", "message"),
    [
        (
            'echo "[ERROR] LITE(1,2,x):now [a.cc:1] Run] no such operator: X"; echo "[ERROR] y"; exit 1',
            "the converter cannot convert {}: no such operator: X (GLOG_v=1 shows all it says)",
        ),
        (
            ': >"$out.mindir"; echo "[ERROR] LITE(1,2,x):now [a.cc:1] Save] disk full"; exit 1',
            "the converter cannot convert {}: disk full (GLOG_v=1 shows all it says)",
        ),
        ('touch "$out.ms"', "the converter wrote model.ms, no single MindIR; nothing was kept"),
        ("kill -SEGV $$", "the converter cannot convert {}: it ended with -11 (GLOG_v=1 shows all it says)"),
    ],
)
def test_a_converter_that_fails_leaves_nothing(model, tmp_path, last, message):
    fake_converter(tmp_path / "home" / "tools" / "converter" / "converter", last)
    done = run_bash(SCRIPT, model, tmp_path / "out", MS_LITE_HOME=tmp_path / "home", NOTES=tmp_path / "notes")
    assert (done.returncode, done.stderr) == (2, f"error: {message.format(model)}\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "m.v1.onnx", "m.v1.onnx.json", "notes"]


def test_without_a_converter_the_line_says_what_to_get(lite, model, tmp_path):
    path = "/usr/bin:/bin"
    done = run_bash(SCRIPT, model, tmp_path / "out", PATH=path)
    message = "no converter: set MS_LITE_HOME to a MindSpore Lite; scripts/get_mindspore_lite.sh gets one"
    assert (done.returncode, done.stderr) == (2, f"error: {message}\n")
    # A copy of the scripts has no .venv-lite yet, and this search finds neither pyenv nor uv.
    if shutil.which("python3.7", path=path):
        pytest.skip("Python 3.7 belongs to this system")
    scripts = Path(shutil.copytree(ROOT / "scripts", tmp_path / "scripts"))
    words = [scripts / "convert_to_lite.sh", model, tmp_path / "out"]
    done = run_bash(*words, MS_LITE_HOME=home_of(lite), PATH=path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    message = "the converter of MindSpore Lite's wheel takes Python 3.7: none found on PATH, by pyenv or by uv"
    assert done.stderr.startswith(f"error: {message}")
