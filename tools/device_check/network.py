"""Checks 1, 2, 4 and 5: the settings, the network, its gradients and its overflow check, against fixed values."""

from __future__ import annotations

import os
from collections.abc import Iterator

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops

from src.config import schema
from src.config.schema_base import TRAIN
from src.modules.factory import create_criterion, create_network, create_train_cell
from src.modules.loss.loss import WithLossCell
from src.modules.overflow import FiniteByRegister
from src.modules.train_warpper import TrainOneStepCell
from src.utils import local_adapter
from src.utils.ascend_settings import default_precision_mode
from src.utils.config import parse_config
from tools.device_check import seeded
from tools.device_check.result import ROOT, Result, Settings, nearest_to_bound

# By chip: precision mode, overflow check by register instead of values, minimum first loss scale, execution level with
# MindSpore 2.5 to 2.8 and with later versions. From MindSpore's sources: the first Ascend 910 has only float16
# convolutions and saturates; 2.0 does not report the chip ("").
CHIPS = {
    "ascend910": ("allow_fp32_to_fp16", True, 1024.0, ("O2", "O2")),
    "": ("allow_fp32_to_fp16", True, 1024.0, ("O2", "O2")),
    "CPU": (None, False, 1.0, ("", "")),  # has no levels
}
LATER = ("must_keep_origin_dtype", False, 1.0, ("O2", "O0"))
PUBLISHED_PIXELS = 2 * 1024 * 1024  # pixels of a published batch, over which the loss is averaged
VANISHING = 1e-7  # smaller gradients are only rounding
CLEAN_STEPS = 20


def configuration(settings: Settings, *options: str) -> schema.Config:
    """Return the configuration of the published training with `options`."""
    words = ["--config", str(ROOT / "config/bisenetv2_cityscapes.yml"), "--device_target", settings.device_target]
    return parse_config([*words, *settings.options, *options], TRAIN)


def seeded_network(settings: Settings, *options: str, aux_heads: bool = True) -> nn.Cell:
    """Return the configured network with the weights of golden.npz."""
    network = create_network(configuration(settings, *options), aux_heads=aux_heads)
    for parameter in network.get_parameters():
        values = seeded.parameter(seeded.torch_name(parameter.name), parameter.shape)
        parameter.set_data(Tensor(values, parameter.dtype))
    return network


def golden() -> dict[str, np.ndarray]:
    """Return PyTorch's values, see tests/golden/make_device_check.py."""
    with np.load(ROOT / "tools/device_check/golden.npz") as file:
        return dict(file)


def check_settings(settings: Settings) -> Result:
    """Check 1: a training step uses the settings that this chip needs, or those that the options request."""
    on_cpu, config = settings.device_target == "CPU", configuration(settings)
    chip = "CPU" if on_cpu else local_adapter.ascend_chip()
    precision, register, least_scale, levels = CHIPS.get(chip, LATER)
    cell = create_train_cell(seeded_network(settings), config)
    scale = float(cell.loss_scale.asnumpy())
    rows = {
        "device": (ms.get_context("device_target"), settings.device_target),
        "precision": (
            None if on_cpu else config.precision_mode or default_precision_mode(),
            config.precision_mode or precision,
        ),
        "overflow by register": (isinstance(cell.overflow, FiniteByRegister), register),
        "loss scale": (scale, max(scale, least_scale)),
        "level": (effective_level(config), expected_level(config, levels)),
    }
    wrong = [name for name, (found, expected) in rows.items() if found != expected]
    details = {
        name: found if found == expected else f"{found}, expected {expected}"
        for name, (found, expected) in rows.items()
    }
    return Result(
        float(len(wrong)),
        0.0,
        "a table of the chips",
        "run again with ms_loss_scaler=static, jit_level=... or precision_mode=..., and train with the same",
        {"MindSpore": ms.__version__, "chip": chip, "float16": settings.half, "HF32": settings.tensor_float, **details},
    )


def expected_level(config: schema.Config, levels: tuple[str, str]) -> str:
    """Return the expected level of graphs: that forced by a rank table, else the configured one, else of `levels`."""
    version = local_adapter.mindspore_version()
    if config.device_target == "CPU" or config.ms_mode:
        return ""
    if version >= (2, 3) and os.environ.get("RANK_TABLE_FILE"):
        return "O2"
    if config.jit_level != "auto":
        return config.jit_level
    return "" if version < (2, 5) else levels[version >= (2, 9)]


def effective_level(config: schema.Config) -> str:
    """Return the execution level of training's graphs; "" on the CPU and if MindSpore does not report it."""
    if config.device_target == "CPU" or config.ms_mode:
        return ""
    if local_adapter.rank_table_sets_jit_level():
        return "O2"
    asked_for = "" if config.jit_level == "auto" else config.jit_level
    return asked_for or local_adapter.preferred_jit_level() or local_adapter.own_jit_level()


def check_forward(settings: Settings) -> Result:
    """Check 2: the logits, relative to the largest."""
    network = seeded_network(settings, aux_heads=False).set_train(False)
    logits = network(Tensor(seeded.image())).asnumpy().ravel()
    expected = golden()["logits"]
    error = np.abs(logits[seeded.places(logits.size, expected.size)] - expected).max() / np.abs(expected).max()
    return Result(
        float(error),
        settings.bound(float32=1e-4, hf32=1e-3, float16=2e-2),
        "values computed with PyTorch",
        "run again with net_args.depthwise_expand=repeat, then with ms_mode=1 (PyNative mode)",
    )


def gradients(settings: Settings, *scales: float) -> Iterator[list[np.ndarray]]:
    """Yield for each loss scale the gradients in the order of PyTorch's names, as float64, divided by the scale.

    They are computed as small as the mean over the published batch makes them, times the scale.
    """
    config = configuration(settings)
    network = seeded_network(settings).set_train(True)
    criterion = create_criterion(config.loss, seeded.NUM_CLASSES, None, config.data.ignore_label)
    cell = WithLossCell(network, criterion, (1.0,) * 5)
    weights = ms.ParameterTuple(sorted(network.trainable_params(), key=lambda p: seeded.torch_name(p.name)))
    image, label = Tensor(seeded.image()), Tensor(seeded.label())
    batch, _, height, width = seeded.SHAPE
    grad = ops.GradOperation(get_by_list=True, sens_param=True)(cell, weights)
    for scale in scales:
        factor = np.float32(scale * batch * height * width / PUBLISHED_PIXELS)
        found = grad(image, label, (Tensor(factor), Tensor(np.zeros(5, np.float32))))
        yield [gradient.asnumpy().astype(np.float64).ravel() / factor for gradient in found]


def compare_gradients(found: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return for each tensor the error relative to its largest entry, and the share of zeros that PyTorch lacks.

    Tensors whose gradient is 0 up to rounding are left out: the shift of a batch normalisation that is followed by a
    1x1 convolution and another batch normalisation, which removes it again (bn of the context embedding, three
    shortcuts). PyTorch's largest entry is below 1e-8 for these, and above 1e-4 for all others.
    """
    values, errors, zeros, start = golden(), [], [], 0
    for gradient, largest in zip(found, values["absmax"]):
        entries = gradient[seeded.places(gradient.size)]
        expected = values["gradients"][start : start + entries.size]
        start += entries.size
        if largest > VANISHING:
            errors.append(np.abs(entries - expected).max() / largest)
            zeros.append(((entries == 0) & (np.abs(expected) > VANISHING)).mean())
    return np.array(errors), np.array(zeros)


def check_gradients(settings: Settings) -> Result:
    """Check 4: the gradients with loss scale 1024, which float16 needs; with scale 1 for information.

    The bounds are about twice the effect of rounding on these gradients, computed with PyTorch: with the inputs of all
    convolutions rounded to HF32 or float16 the median is 0.07, the worst 0.52, and up to 0.04 of a tensor are zeros
    (0.72 with loss scale 1). In float32 a ReLU that switches by rounding changes an entry by up to 6e-4. A missing
    gradient has error 1.
    """
    (errors, zeros), (bare, bare_zeros) = map(compare_gradients, gradients(settings, 1024.0, 1.0))
    parts = {
        "median error": (np.median(errors), settings.bound(float32=1e-4, hf32=0.15, float16=0.15)),
        "worst error": (errors.max(), settings.bound(float32=2e-3, hf32=0.9, float16=0.9)),
        "most zeros": (zeros.max(), 0.25),
    }
    details = {name: {"figure": float(figure), "bound": bound} for name, (figure, bound) in parts.items()}
    details["scale 1"] = {"median error": float(np.median(bare)), "most zeros": float(bare_zeros.max())}
    return Result(
        nearest_to_bound(parts),
        1.0,
        "values computed with PyTorch, parts of the bounds",
        "zeros: gradients leave float16's range, run again with ms_loss_scaler=static ms_loss_scaler_value=8192; else "
        "see check 3",
        details,
    )


def check_overflow(settings: Settings) -> Result:
    """Check 5: steps of a clean run are not flagged; a step with a far too large scale is, and changes no weight."""
    cell = create_train_cell(seeded_network(settings), configuration(settings))
    batch = Tensor(seeded.image()), Tensor(seeded.label())
    for _ in range(CLEAN_STEPS):
        skipped = int(cell(*batch)[3].asnumpy())
    before = [weight.asnumpy().copy() for weight in cell.weights]
    cell.loss_scale.set_data(Tensor(2.0**60 if settings.half else np.inf, ms.float32))  # 2^60 fits float32
    after_overflow = int(cell(*batch)[3].asnumpy())
    moved = changed_weights(before, cell)
    figures = {"clean steps flagged": skipped, "flagged then": after_overflow - skipped, "weights changed": moved}
    return Result(
        float(skipped + abs(after_overflow - skipped - 1) + moved),
        0.0,
        "0 flagged, then exactly 1, no weight changed",
        "unset MS_ASCEND_CHECK_OVERFLOW_MODE; clean steps flagged: the register also reports the forward pass",
        figures,
    )


def changed_weights(before: list[np.ndarray], cell: TrainOneStepCell) -> int:
    """Return the number of tensors that have changed."""
    return sum(not np.array_equal(old, new.asnumpy()) for old, new in zip(before, cell.weights))
