"""A predictor for Python code: what it takes, what it returns, and what it says of everything else."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor

from src.base.errors import CheckpointError, ConfigError, DataError
from src.config.loading import load_config
from src.data.transforms.common import Normalize, TransposeImage
from src.data.transforms_factory import Compose
from src.predict import loading
from src.predict.loading import load_predictor
from src.predict.predictor import PadToMultiple, Predictor
from tests.dataset_helpers import MEAN, STD
from tests.run_helpers import ROOT

pytestmark = pytest.mark.once  # of the other versions the example of the README, in tests/test_python_examples.py

SIZE = {"image_size": (64, 96)}
FLIP = {"data.eval_transforms.flip": True}
MINDIR = ROOT / "tests" / "golden" / "tiny_2_0_0.mindir"


def test_an_image_reaches_the_network_of_a_checkpoint_and_the_process_stays_as_it_is(weights):
    before = [ms.get_context(name) for name in ("mode", "device_target")], dict(os.environ)
    predictor, seen = load_predictor(str(weights)), []
    assert ([ms.get_context(name) for name in ("mode", "device_target")], dict(os.environ)) == before
    rows = np.arange(64).repeat(96).reshape(64, 96)

    def classify(array):
        seen.append(array)
        return rows % 19

    predictor.classify = classify
    image = np.random.default_rng(7).integers(0, 256, (50, 70, 3), np.uint8)[..., ::-1]  # BGR, seen as RGB by a view
    found = predictor(image)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, rows[:50, :70] % 19)
    padded = np.pad(image, ((0, 14), (0, 26), (0, 0)))
    np.testing.assert_allclose(seen[0][0], ((padded / 255 - MEAN) / STD).transpose(2, 0, 1), atol=1e-6)


@pytest.fixture
def recorded(monkeypatch) -> SimpleNamespace:
    """What would be made of which file, instead of making it."""
    seen = SimpleNamespace(made=None, devices=[])
    monkeypatch.setattr(loading, "use_device", lambda config: seen.devices.append(config.device_target))
    for name in ("checkpoint_predictor", "model_predictor"):
        monkeypatch.setattr(loading, name, lambda *given, name=name: setattr(seen, "made", (name, *given)) or seen)
    return seen


@pytest.fixture
def own(weights, tmp_path) -> Path:
    """The checkpoint with a configuration beside it."""
    (tmp_path / "own.ckpt").symlink_to(weights)
    (tmp_path / "own.yml").write_text("__BASE__: config/bisenetv2_cityscapes.yml\nbatch_size: 7\n", "utf-8")
    (tmp_path / "other.yml").write_text("__BASE__: own.yml\nbatch_size: 8\n", "utf-8")
    return tmp_path / "own.ckpt"


def test_the_size_may_come_from_the_configuration(own, recorded):
    assert load_predictor(own, image_size=(64, 96)).made[3] == (64, 96)
    assert load_predictor(own, overrides={"image_size": (64, 96)}).made[3] == (64, 96)
    assert load_predictor(own, load_config(None, {"image_size": (64, 96)})).made[3] == (64, 96)
    assert load_predictor(own).made[3] is None


def test_the_configuration_is_the_one_given_or_the_one_beside(own, weights, recorded):
    assert load_predictor(own).made[1].batch_size == 7
    assert load_predictor(own, own.with_name("other.yml")).made[1].batch_size == 8
    given = load_config(overrides={"batch_size": 9})
    name, config, path, size = load_predictor(own, given, overrides={"seed": 5, "device_target": "CPU"}).made
    assert (name, config.batch_size, config.seed, path, size) == ("checkpoint_predictor", 9, 5, own, None)
    assert given.seed == 1
    assert load_predictor(weights).made[1].batch_size == 4
    assert recorded.devices == [None, None, "CPU", None]


def test_scales_and_size_are_options(own, recorded):
    config = load_predictor(own).made[1]
    assert (config.data.eval_transforms.multi_scale, config.data.eval_transforms.flip) == (False, False)
    _, config, _, size = load_predictor(own, multi_scale=True, flip=True, image_size=np.array([64, 96])).made
    assert (config.data.eval_transforms.multi_scale, config.data.eval_transforms.flip) == (True, True)
    assert size == (64, 96)


def test_a_file_is_taken_for_what_it_is(recorded, tmp_path):
    model = shutil.copy(MINDIR, tmp_path / "model.mindir")
    assert load_predictor(model).made[0] == "model_predictor"
    assert recorded.devices == [None]
    (tmp_path / "model.onnx").write_bytes(b"\x08\x07\x12\x07pytorch")
    assert load_predictor(tmp_path / "model.onnx").made[0] == "model_predictor"
    assert recorded.devices == [None]  # which is MindSpore's
    for options in (
        {"flip": True},
        {"image_size": (64, 96)},
        {"overrides": {"weights": "ema"}},
        {"overrides": FLIP},
        {"overrides": SIZE},
    ):
        with pytest.raises(ConfigError, match=r"model\.mindir: runs as it was exported; no image_size"):
            load_predictor(model, **options)
    unnamed = shutil.copy(MINDIR, tmp_path / "model.bin")
    with pytest.raises(ConfigError, match=r"model\.bin: is a MindIR, and its name ends in neither \.mindir nor \.onnx"):
        load_predictor(unnamed)


def test_what_is_no_model_is_one_line(weights, tmp_path):
    torch_file = tmp_path / "weights.pth"
    torch_file.write_bytes(b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.")
    cases = [
        ((tmp_path / "none.ckpt",), {}, ConfigError, r"^no such checkpoint: .*none\.ckpt$"),
        ((str(tmp_path / "none.onnx"),), {}, ConfigError, r"^no such model: .*none\.onnx$"),
        ((tmp_path,), {}, ConfigError, "is a folder; name the checkpoint or the model in it$"),
        (
            (torch_file,),
            {},
            CheckpointError,
            r"is a PyTorch file, not a checkpoint; scripts/convert_torch_checkpoint\.py",
        ),
        ((IMAGE,), {}, ConfigError, "^model: expected the path of a file, got ndarray$"),
        ((weights, "none.yml"), {}, ConfigError, "^cannot read configuration none.yml: No such file"),
        ((weights,), {"image_size": 512}, ConfigError, "image_size: expected a list, got 512$"),
        ((weights,), {"image_size": (16, 64)}, ConfigError, r"image_size: must be at least 32, got \[16, 64\]$"),
        (
            (weights,),
            {"overrides": {"device_target": "TPU"}},
            ConfigError,
            "must be one of Ascend, GPU, CPU; got 'TPU'$",
        ),
    ]
    for arguments, options, error, message in cases:
        with pytest.raises(error, match=message) as caught:
            load_predictor(*arguments, **options)
        assert len(str(caught.value).splitlines()) == 1


IMAGE = np.zeros((4, 5, 3), np.uint8)


@pytest.mark.parametrize(
    ("given", "advice"),
    [
        ("photo.png", r"got the path 'photo\.png'; src\.data\.image_files\.read_image\(path\) reads one"),
        (Path("photo.png"), r"got the path 'photo\.png'"),
        (IMAGE / 255, r"got \(4, 5, 3\) float64; .*\(255 \* image\)\.round\(\)\.astype\(numpy\.uint8\)"),
        (IMAGE.astype(np.int64), r"got \(4, 5, 3\) int64; give values 0\.\.255: image\.astype\(numpy\.uint8\)"),
        (IMAGE[..., 0], r"got \(4, 5\) uint8; of grey, numpy\.repeat\(image\[\.\.\., None\], 3, axis=2\) makes one"),
        (IMAGE[..., :1], r"got \(4, 5, 1\) uint8; of grey, numpy\.repeat\(image, 3, axis=2\) makes one"),
        (np.zeros((4, 5, 4), np.uint8), r"image\[\.\.\., :3\] leaves the alpha channel out"),
        (np.moveaxis(IMAGE, -1, 0), r"got \(3, 4, 5\) uint8; numpy\.moveaxis\(image, 0, -1\) puts the channels last"),
        (IMAGE[None], r"got \(1, 4, 5, 3\) uint8; give one image at a time"),
        (IMAGE[:0], r"got \(0, 5, 3\) uint8$"),
        (Tensor(IMAGE), r"got mindspore's Tensor; give value\.asnumpy\(\)"),
        (IMAGE.tolist(), r"got list; numpy\.asarray may make one of it"),
        (None, r"got NoneType"),
    ],
)
def test_what_is_no_image_is_told_how_to_become_one(given, advice):
    transforms = Compose([PadToMultiple(), Normalize(), TransposeImage()])
    predictor = Predictor(transforms, lambda array: np.zeros(array.shape[2:], np.int32), num_classes=3)
    assert predictor(IMAGE).shape == (4, 5)
    with pytest.raises(DataError, match=r"^an image is an array \(H, W, 3\) uint8 in RGB order, " + f".*{advice}"):
        predictor(given)
