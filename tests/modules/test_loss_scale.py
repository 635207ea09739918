"""The loss scale by default: which one where, and that it keeps small gradients which float16 would turn into zero."""

from __future__ import annotations

import logging

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, ops

from src.modules import loss_scale
from src.modules.factory import create_network, create_train_cell
from src.modules.train_warpper import TrainOneStepCell
from src.utils import local_adapter
from src.utils.config import parse_config
from tests.golden.seeded import seeded_image, seeded_label
from tests.golden_weights import load_seeded

SIZE = 128  # of the pictures
SHARE = SIZE**2 / 1024**2  # of the pixels of a training picture: what makes a mean over fewer as small
LATE = 1 / 30  # gradients late in a training, of those at its start


@pytest.mark.parametrize(
    ("device", "version", "chip", "options", "expected"),
    [
        ("CPU", (2, 8, 0), "", "", "none"),
        ("CPU", (2, 0, 0), "", "--mix=True", "dynamic"),
        ("GPU", (2, 0, 0), "", "", "none"),
        ("Ascend", (2, 0, 0), "", "", "static"),
        ("Ascend", (2, 0, 0), "", "--mix=True", "static"),
        ("Ascend", (2, 8, 0), "ascend910", "", "static"),
        ("Ascend", (2, 8, 0), "ascend910", "--mix=True", "static"),
        ("Ascend", (2, 8, 0), "ascend910", "--precision_mode=must_keep_origin_dtype", "static"),
        ("Ascend", (2, 8, 0), "", "", "static"),
        ("Ascend", (2, 8, 0), "ascend910b", "", "none"),
        ("Ascend", (2, 8, 0), "ascend910b", "--mix=True", "dynamic"),
        ("Ascend", (2, 10, 0), "ascend910_93", "--precision_mode=force_fp16", "dynamic"),
        ("Ascend", (2, 10, 0), "ascend910b", "--mix=True --ms_loss_scaler=none", "none"),
        ("Ascend", (2, 8, 0), "ascend910", "--ms_loss_scaler=dynamic", "dynamic"),
    ],
)
def test_which_scale(monkeypatch, caplog, device, version, chip, options, expected):
    monkeypatch.setattr(ms, "get_context", lambda name: device)
    monkeypatch.setattr(local_adapter, "mindspore_version", lambda: version)
    for module in (local_adapter, loss_scale):
        monkeypatch.setattr(module, "ascend_chip", lambda: chip)
    monkeypatch.delenv("MS_ASCEND_CHECK_OVERFLOW_MODE", raising=False)
    config = parse_config(options.split(), "train")
    caplog.set_level(logging.INFO)
    assert loss_scale.choose_loss_scaler(config) == expected
    (record,) = caplog.records
    where = {"Ascend": chip or "unknown Ascend"}.get(device, device)
    assert f"chip: {where}; loss scale: {expected}{'' if expected == 'none' else ', 1024'} (" in record.getMessage()
    float16 = expected != "none" or "mix" in options
    assert f"convolutions: {'float16' if float16 else 'float32'};" in record.getMessage()
    assert record.levelno == (logging.WARNING if "scaler=none" in options else logging.INFO)


def train_cell(*options: str) -> TrainOneStepCell:
    """Return a train cell with seeded weights."""
    config = parse_config(list(options), "train")
    network = create_network(config, aux_heads=True)
    load_seeded(network)
    return create_train_cell(network, config)


def gradients(cell: TrainOneStepCell, size: float) -> dict[str, np.ndarray]:
    """Return the convolutions' gradients by name, `size` the gradient of the loss, which they are divided by again."""
    image = Tensor(seeded_image((2, 3, SIZE, SIZE), 0))
    label = Tensor(seeded_label((2, SIZE, SIZE), 19, 1), ms.int32)
    sensitivity = Tensor(size, ms.float32), ops.zeros((5,), ms.float32)
    found = cell.grad(cell.network, cell.weights)(image, label, sensitivity)
    convolutions = [(p.name, g) for p, g in zip(cell.weights, found) if p.name.endswith("weight") and p.ndim == 4]
    return {name: gradient.asnumpy().astype(np.float64) / size for name, gradient in convolutions}


def errors(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> list[float]:
    return [np.linalg.norm(found[name] - expected[name]) / np.linalg.norm(expected[name]) for name in expected]


@pytest.mark.once
@pytest.mark.slow
def test_the_default_keeps_gradients_that_float16_would_lose(monkeypatch):
    """Float16 convolutions where the chip saturates, the loss a mean over 2 * 1024 * 1024 pixels."""
    monkeypatch.setattr(loss_scale, "saturates", lambda: True)
    ms.set_context(mode=ms.PYNATIVE_MODE)
    exact, rounded = train_cell(), train_cell("--mix", "True")
    scale = float(rounded.loss_scale.asnumpy())
    expected = gradients(exact, SHARE)
    at_start = gradients(rounded, SHARE * scale)
    zeros = [np.mean(at_start[name] == 0) - np.mean(expected[name] == 0) for name in expected]
    assert len(zeros) > 60
    assert max(zeros) < 0.01
    floor = np.median(errors(gradients(rounded, 1024.0), expected))  # nothing is small there
    assert 0.001 < floor < 0.2
    assert np.median(errors(gradients(rounded, SHARE * LATE * scale), expected)) < 1.1 * floor
