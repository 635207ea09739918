"""Find out the device and the precision of its convolutions."""

from __future__ import annotations

import platform
import sys

import mindspore as ms

from src.config.schema_base import TRAIN
from src.modules.loss_scale import has_float16_convolutions
from src.utils import local_adapter
from src.utils.ascend_settings import HF32_CHIPS
from src.utils.config import parse_config
from tools.device_check.result import Settings


def probe(settings: Settings) -> dict[str, object]:
    """Return versions and chip, and whether float32 convolutions are float16 (`half`) or HF32 (`tensor_float`)."""
    config = parse_config(["--device_target", settings.device_target, *settings.options], TRAIN)
    chip = "" if settings.device_target == "CPU" else local_adapter.ascend_chip()
    half = has_float16_convolutions(config)
    tensor_float = not half and config.conv_allow_hf32 is not False and chip.startswith(HF32_CHIPS)
    return {
        "MindSpore": ms.__version__,
        "Python": sys.version.split()[0],
        "system": platform.platform(),
        "chip": chip,
        "half": half,
        "tensor_float": tensor_float,
    }
