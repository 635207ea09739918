"""A file given where another kind belongs: every command says what it is, and which one takes it."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

import eval as eval_script
import export as export_script
from scripts import convert_to_lite, convert_torch_checkpoint, infer_model, predict, quantize_onnx
from src.base.errors import CheckpointError, DataError, UserError
from src.data.image_files import read_image
from src.offline.mindir import MindIRError, read_mindir_info
from src.predict.video import VideoReader
from src.state import checkpoint
from src.state.run_folder import training_folder
from src.utils.config import parse_config
from tests.base.test_file_kinds import KINDS, TENSOR
from tests.run_helpers import ROOT

GOLDEN = ROOT / "tests" / "golden"
CHECKPOINT = "is a checkpoint of MindSpore, {}; eval.py and scripts/predict.py take it as --checkpoint_path"
MINDIR = "is a MindIR, not {}; scripts/predict.py takes it as --model"
PYTORCH = "is a PyTorch file, not {}; scripts/convert_torch_checkpoint.py makes a checkpoint of it (--torch_file)"


@pytest.fixture
def files(tmp_path) -> Path:
    """A folder of models and weights whose names say something else."""
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "weights.pth").write_bytes(KINDS["a PyTorch file"])
    (folder / "checkpoint.mindir").write_bytes(b"\x0a" + bytes([len(TENSOR)]) + TENSOR)
    for name in ("model.ckpt", "model.mindir", "model"):
        shutil.copy(GOLDEN / "tiny_2_0_0.mindir", folder / name)
    return folder


COMMANDS = {
    "eval": (eval_script, ["--checkpoint_path", "{}", "--save_dir", "{out}", "--device_target", "CPU"]),
    "export": (export_script, ["--checkpoint_file", "{}", "--file_name", "{out}", "--device_target", "CPU"]),
    "predict": (predict, ["--checkpoint_path", "{}", "--input", "{files}", "--output", "{out}"]),
    "predict model": (predict, ["--model", "{}", "--input", "{files}", "--output", "{out}"]),
    "infer": (infer_model, ["--model_path", "{}", "--dataset_path", "{files}", "--result_path", "{out}"]),
    "quantize": (quantize_onnx, ["--model", "{}", "--output", "{out}.onnx"]),
    "reverse": (convert_torch_checkpoint, ["--reverse", "--checkpoint_path", "{}", "--output", "{out}.pth"]),
    "lite": (convert_to_lite, ["{}", "{out}", "true"]),
}
WRONG = [
    ("eval", "model.ckpt", MINDIR.format("a checkpoint")),
    ("eval", "weights.pth", PYTORCH.format("a checkpoint")),
    ("export", "weights.pth", PYTORCH.format("a checkpoint")),
    ("predict", "model.ckpt", MINDIR.format("a checkpoint")),
    ("predict model", "checkpoint.mindir", CHECKPOINT.format("not a MindIR")),
    ("predict model", "model", "is a MindIR, and its name ends in neither .mindir nor .onnx; scripts/predict.py takes"),
    ("infer", "checkpoint.mindir", CHECKPOINT.format("not a MindIR")),
    ("quantize", "model.mindir", MINDIR.format("an ONNX model")),
    ("reverse", "weights.pth", PYTORCH.format("a checkpoint")),
    ("lite", "model.mindir", MINDIR.format("an ONNX model")),
]


@pytest.mark.once
@pytest.mark.parametrize(("command", "name", "message"), WRONG)
def test_the_line_names_the_kind_and_the_command_that_takes_it(files, tmp_path, command, name, message):
    if command == "quantize":
        pytest.importorskip("onnx")
    (files / "picture.png").write_bytes(KINDS["a PNG"])
    script, words = COMMANDS[command]
    out = tmp_path / "out"
    argv = [word.format(files / name, out=out, files=files) for word in words]
    with pytest.raises(UserError) as error:
        script.main(argv)
    assert str(error.value).startswith(f"{files / name}: {message}")
    assert [path.name for path in tmp_path.iterdir() if not path.name.endswith(".claim")] == ["files"]


def test_training_refuses_before_it_makes_a_folder(files, tmp_path):
    words = ["--finetune_ckpt", str(files / "model.ckpt"), "--save_dir", str(tmp_path / "run")]
    with pytest.raises(CheckpointError, match="is a MindIR, not a checkpoint"):
        training_folder(parse_config(words, "train"))
    words[1] = str(files)
    with pytest.raises(CheckpointError, match="files: is a folder, not a checkpoint; name a file in it"):
        training_folder(parse_config(words, "train"))
    with pytest.raises(UserError, match="cannot read configuration .*model: is a MindIR, not text"):
        parse_config(["--config", str(files / "model")], "train")


@pytest.mark.parametrize("name", ["weights", "weights.bin", "weights.mindir"])
def test_a_checkpoint_is_read_whatever_its_file_is_called(tmp_path, name):
    values = {"a.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.ones(1, np.int32)}
    checkpoint.write_atomically(values, tmp_path / "weights.ckpt")
    path = tmp_path / "weights.ckpt"
    path.rename(tmp_path / name)
    read = checkpoint.read_checkpoint(tmp_path / name)
    assert read.keys() == values.keys()
    for key, value in values.items():
        np.testing.assert_array_equal(read[key], value)
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_a_mindir_with_overwritten_bytes_is_damaged(tmp_path):
    whole = (GOLDEN / "tiny_2_0_0.mindir").read_bytes()
    path = tmp_path / "model.mindir"
    outcomes = set()
    for at in range(0, len(whole) - 4, 7):
        path.write_bytes(whole[:at] + b"\xff\xfe\xfd\xfc" + whole[at + 4 :])
        try:
            read_mindir_info(path)
        except MindIRError as err:
            outcomes.add(str(err).replace(str(path), "PATH"))
    assert all(outcome.startswith("PATH: ") for outcome in outcomes)
    assert any(outcome.startswith("PATH: damaged or truncated") for outcome in outcomes)


def float_tiff(kind: type, channels: int) -> bytes:
    shape = (8, 8, channels)[: 2 + (channels > 1)]
    return cv2.imencode(".tif", np.ones(shape, kind))[1].tobytes()


PICTURES = [
    ("a.png", KINDS["a GIF"], "is a GIF, not an image that OpenCV"),
    ("a.tif", float_tiff(np.float32, 1), "is a TIFF with 32-bit floating-point numbers; save it with 8 bits a channel"),
    ("b.tif", float_tiff(np.float64, 1), "is a TIFF with 64-bit floating-point numbers; save it with 8 bits a channel"),
    ("a.jpg", KINDS["a web page"], "is a web page, not an image that OpenCV"),
    ("a.jpeg", KINDS["a HEIC or AVIF picture"], "is a HEIC or AVIF picture, not an image that OpenCV"),
    ("b.png", KINDS["a Git LFS pointer"], "is a Git LFS pointer, not an image that OpenCV"),
    ("c.png", np.random.default_rng(1).bytes(100), "damaged, or not an image OpenCV can decode"),
]


@pytest.mark.parametrize(("name", "data", "message"), PICTURES, ids=[entry[0] for entry in PICTURES])
def test_a_picture_that_cannot_be_decoded_is_called_what_it_is(tmp_path, name, data, message):
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(DataError) as error:
        read_image(str(path))
    assert str(error.value).startswith(f"{path}: {message}")


def test_a_colour_tiff_of_floating_point_numbers_says_so(tmp_path):
    path = tmp_path / "a.tif"
    path.write_bytes(float_tiff(np.float32, 3))
    with pytest.raises(DataError, match="floating-point .*save it with 8 bits a channel"):
        read_image(str(path))


def test_a_picture_called_like_a_video_is_told(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(KINDS["a Git LFS pointer"])
    with pytest.raises(DataError, match="a.mp4: is a Git LFS pointer, not a video; git lfs pull"):
        VideoReader(path)
