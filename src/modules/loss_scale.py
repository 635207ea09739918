"""The default loss scaler of a run, chosen by the data type of its convolutions."""

from __future__ import annotations

import logging

import mindspore as ms

from src.config import schema
from src.utils.ascend_settings import FLOAT16_MODES, default_precision_mode
from src.utils.local_adapter import FIRST_910, ascend_chip, convolutions_are_float16, saturates

logger = logging.getLogger(__name__)


def has_float16_convolutions(config: schema.Config) -> bool:
    """Return whether the device computes convolutions in float16, whether configured or not.

    The first Ascend 910, and MindSpore 2.0 on every Ascend, has only float16 convolutions.
    """
    if config.mix or ms.get_context("device_target") != "Ascend":
        return config.mix
    mode = config.precision_mode or default_precision_mode()
    return convolutions_are_float16() or ascend_chip() in FIRST_910 or mode in FLOAT16_MODES


def default_loss_scaler(config: schema.Config) -> str:
    """Return "none" for float32; for float16 "dynamic", or "static" where a status register reports overflows.

    The mean over the pixels of a batch makes gradients so small that many underflow in float16; a scale preserves them.
    A register also reports overflows of the forward pass, which no scale prevents: a dynamic scale could fall to 1.
    """
    if not has_float16_convolutions(config):
        return "none"
    return "static" if saturates() else "dynamic"


def choose_loss_scaler(config: schema.Config) -> str:
    """Return the configured scaler or the default, and log it with what it depends on."""
    scaler = config.ms_loss_scaler or default_loss_scaler(config)
    float16 = has_float16_convolutions(config)
    device = ms.get_context("device_target")
    logger.log(
        logging.WARNING if float16 and scaler == "none" else logging.INFO,
        "convolutions: %s; chip: %s; loss scale: %s%s (%s)",
        "float16" if float16 else "float32",
        (ascend_chip() or "unknown Ascend") if device == "Ascend" else device,
        scaler,
        "" if scaler == "none" else f", {config.ms_loss_scaler_value:g}",
        "chosen with --ms_loss_scaler" if config.ms_loss_scaler else "the default",
    )
    return scaler
