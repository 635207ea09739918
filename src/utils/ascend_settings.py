"""Settings for Ascend other than device and rank, each with its source.

- Data sink: `src/training/loop.py`; in graph mode only, as long as the intervals of logs and checkpoints allow
  (Model.train's documentation: the CPU runs without one in every version).
- Connection timeout: `HCCL_CONNECT_TIMEOUT`, `local_adapter.init_cluster` and `expect_slow_start`. It is set
  explicitly because CANN documents a default of 120 s and MindSpore's error pages 600 s.
- Overflow: `src/modules/overflow.py`.
- Fusion of gradient messages: `COMM_FUSION`, in `runtime.join_job`.
- Execution level: this file. `MsContext::GetJitLevel` returns the level that was set, else O2 on the first Ascend 910
  and O0 on later chips; with a rank table it always returns O2.
- Precision and determinism: this file.
"""

from __future__ import annotations

import logging

from src.base.errors import ConfigError, UserError
from src.config import schema
from src.utils import local_adapter

logger = logging.getLogger(__name__)

FLOAT16_MODES = ("allow_fp32_to_fp16", "force_fp16", "allow_mix_precision")  # float32 convolutions become float16
HF32_CHIPS = ("ascend910b", "ascend910_93", "ascend950")  # according to CANN's documentation of --allow_hf32
SEVERITY = (logging.INFO, logging.WARNING)  # a warning if a requested setting has no effect


def default_precision_mode() -> str:
    """Return the precision mode that keeps float32 wherever the chip supports it.

    MindSpore's documentation disagrees on its default for the first Ascend 910: "force_fp16" (2.7 and 2.8, English) or
    "allow_fp32_to_fp16" (2.5 and master, Chinese). We set the latter, which uses float16 only for operators without a
    float32 version, such as convolution. The 910B and later chips keep the type, which is also their default.
    """
    return "allow_fp32_to_fp16" if local_adapter.ascend_chip() in local_adapter.FIRST_910 else "must_keep_origin_dtype"


def apply_settings(config: schema.Config, device_target: str) -> None:
    """Set level, precision and determinism on Ascend and log them; on other devices log which settings have no effect.

    Call it after the device is chosen and before the ranks connect: determinism must be set before HCCL starts.

    Raises:
        UserError: this MindSpore does not accept a requested setting; the message names the key.
    """
    if device_target != "Ascend":
        for name in ("jit_level", "precision_mode", "conv_allow_hf32", "deterministic"):
            if getattr(config, name) != schema.Config.__dataclass_fields__[name].default:
                logger.info("%s: for Ascend only, nothing to set on %s", name, device_target)
        return
    _apply_jit_level(config)
    mode = _apply_precision(config.precision_mode)
    _apply_hf32(config.conv_allow_hf32, float16=config.mix or mode in FLOAT16_MODES)
    if config.deterministic:
        set_deterministic()
        logger.info("deterministic kernels: the same results in every run, more slowly")


def _apply_jit_level(config: schema.Config) -> None:
    requested = "" if config.jit_level == "auto" else config.jit_level
    level = requested or local_adapter.preferred_jit_level()
    if config.ms_mode:
        level, state = "", "none, PyNative mode runs operator by operator"
    elif local_adapter.rank_table_sets_jit_level():
        state = "O2, which the rank table forces"
    else:
        state = level or f"MindSpore's own {local_adapter.own_jit_level()}".rstrip()
    if level:
        set_jit_level(level)
    without_effect = bool(requested) and not state.startswith(requested)
    logger.log(SEVERITY[without_effect], "execution level (jit_level %s): %s", config.jit_level, state)


def _apply_precision(requested: str | None) -> str:
    """Set the precision mode; return the mode that applies to convolutions."""
    mode = requested or default_precision_mode()
    if local_adapter.convolutions_are_float16():  # 2.0, which documents the mode for the 910B only
        if requested:
            set_op_precision("precision_mode", mode)
        logger.info("precision: fixed: float16 convolutions%s", f"; all else {mode}" if requested else "")
        return FLOAT16_MODES[0]
    try:
        set_op_precision("precision_mode", mode)
        logger.info("precision mode: %s", mode)
    except UserError as err:
        if requested:
            raise
        logger.warning("%s; left as it is", err)
    return mode


def _apply_hf32(requested: bool | None, *, float16: bool) -> None:
    """Set and log whether float32 convolutions round to HF32, CANN's default: 11 bits of mantissa instead of 23."""
    if requested is not None:
        set_op_precision("conv_allow_hf32", requested)
    chip = local_adapter.ascend_chip()
    if float16:
        state = "none, convolutions are float16"
    elif chip and not chip.startswith(HF32_CHIPS):
        state = f"{chip} has none"
    elif requested is None:
        where = "" if chip else " where the chip has it"
        state = f"on{where}, CANN's default: results within about 1e-3 of float32's"
    else:
        state = "on" if requested else "off"
    without_effect = bool(requested) and state != "on"
    logger.log(SEVERITY[without_effect], "HF32 convolutions (conv_allow_hf32 %s): %s", requested, state)


def set_jit_level(level: str) -> None:
    """Set the execution level of graphs, "O0", "O1" or "O2".

    Raises:
        ConfigError: this MindSpore does not have the level; levels exist since 2.3.
    """
    import mindspore as ms

    try:
        ms.set_context(jit_config={"jit_level": level})
    except (RuntimeError, ValueError) as err:
        raise ConfigError(f"jit_level: MindSpore {ms.__version__} has no {level}; take auto") from err


def set_op_precision(name: str, value: str | bool) -> None:
    """Set "precision_mode" or "conv_allow_hf32" to one of MindSpore's values on Ascend; do nothing on other devices.

    Raises:
        UserError: this MindSpore does not accept the value.
    """
    import mindspore as ms

    if ms.get_context("device_target") != "Ascend":
        return
    try:
        if hasattr(ms, "device_context") and hasattr(ms.device_context, "ascend"):  # 2.5 and later
            getattr(ms.device_context.ascend.op_precision, name)(value)
        else:
            ms.set_context(ascend_config={name: value})
    except (RuntimeError, ValueError) as err:
        raise UserError(f"{name}: MindSpore {ms.__version__} does not take {value} here") from err


def set_deterministic() -> None:
    """Use Ascend kernels that give the same results in every run; from MindSpore 2.5 on only one call per process."""
    import mindspore as ms

    if hasattr(ms, "set_deterministic"):  # 2.5 and later, where set_context(deterministic=...) is deprecated
        ms.set_deterministic(True)
    else:
        ms.set_context(deterministic="ON")
