"""What is set on an Ascend beside device and rank, all in one place, each with its source.

- Data sink: `src/training/loop.py`; as long as the distance of logs and checkpoints allows, on graph mode alone
  (Model.train's documentation: the CPU runs without one in every version).
- Time for the ranks to meet: `HCCL_CONNECT_TIMEOUT`, `local_adapter.init_cluster` and `expect_slow_start`. CANN's
  documentation says 120 s by default, MindSpore's error pages 600 s: so it is set.
- Overflow: `src/modules/overflow.py`.
- Gradients of all layers in few messages: `COMM_FUSION`, in `runtime.join_job`.
- Execution level: here. By `MsContext::GetJitLevel` it is what was set, else O2 on the first Ascend 910 and O0 on later
  ones; with a rank table O2, whatever was set.
- Precision and repeatability: here.
"""

from __future__ import annotations

import logging

from src.base.errors import ConfigError, UserError
from src.config import schema
from src.utils import local_adapter

logger = logging.getLogger(__name__)

FLOAT16_MODES = ("allow_fp32_to_fp16", "force_fp16", "allow_mix_precision")  # what they do to float32 convolutions
HF32_CHIPS = ("ascend910b", "ascend910_93", "ascend950")  # by CANN's documentation of --allow_hf32
SEVERITY = (logging.INFO, logging.WARNING)  # the second where something was asked for in vain


def default_precision_mode() -> str:
    """Return the precision mode that keeps float32 where the chip can.

    What MindSpore does by itself on the first Ascend 910 is told differently by its documentation: "force_fp16" (2.7
    and 2.8, English) or "allow_fp32_to_fp16" (2.5 and master, Chinese). The latter is set: float16 only for operators
    that have no float32 there, as convolution. The 910B and later ones keep the type, which is their default, too.
    """
    return "allow_fp32_to_fp16" if local_adapter.ascend_chip() in local_adapter.FIRST_910 else "must_keep_origin_dtype"


def apply_settings(config: schema.Config, device_target: str) -> None:
    """Set level, precision and determinism, and log what is in effect; elsewhere say what was asked for in vain.

    After the device is chosen and before the ranks meet: deterministic kernels must be asked for before HCCL begins.

    Raises:
        UserError: this MindSpore does not take what was asked for; it names the key.
    """
    if device_target != "Ascend":
        for name in ("jit_level", "precision_mode", "conv_allow_hf32", "deterministic"):
            if getattr(config, name) != schema.Config.__dataclass_fields__[name].default:
                logger.info("%s: for Ascend only, nothing to set on %s", name, device_target)
        return
    _choose_jit_level(config)
    mode = _choose_precision(config.precision_mode)
    _choose_hf32(config.conv_allow_hf32, float16=config.mix or mode in FLOAT16_MODES)
    if config.deterministic:
        set_deterministic()
        logger.info("deterministic kernels: the same results in every run, more slowly")


def _choose_jit_level(config: schema.Config) -> None:
    asked_for = "" if config.jit_level == "auto" else config.jit_level
    level = asked_for or local_adapter.preferred_jit_level()
    if config.ms_mode:
        level, state = "", "none, PyNative mode runs operator by operator"
    elif local_adapter.rank_table_sets_jit_level():
        state = "O2, which the rank table forces"
    else:
        state = level or f"MindSpore's own {local_adapter.own_jit_level()}".rstrip()
    if level:
        set_jit_level(level)
    in_vain = bool(asked_for) and not state.startswith(asked_for)
    logger.log(SEVERITY[in_vain], "execution level (jit_level %s): %s", config.jit_level, state)


def _choose_precision(asked_for: str | None) -> str:
    """Set the precision mode; return the one that convolutions have."""
    mode = asked_for or default_precision_mode()
    if local_adapter.convolutions_are_float16():  # 2.0, which documents the mode for the 910B only
        if asked_for:
            set_op_precision("precision_mode", mode)
        logger.info("precision: fixed: float16 convolutions%s", f"; all else {mode}" if asked_for else "")
        return FLOAT16_MODES[0]
    try:
        set_op_precision("precision_mode", mode)
        logger.info("precision mode: %s", mode)
    except UserError as err:
        if asked_for:
            raise
        logger.warning("%s; left as it is", err)
    return mode


def _choose_hf32(asked_for: bool | None, *, float16: bool) -> None:
    """Set and log whether float32 convolutions round to HF32: 11 bits of mantissa instead of 23, CANN's default."""
    if asked_for is not None:
        set_op_precision("conv_allow_hf32", asked_for)
    chip = local_adapter.ascend_chip()
    if float16:
        state = "none, convolutions are float16"
    elif chip and not chip.startswith(HF32_CHIPS):
        state = f"{chip} has none"
    elif asked_for is None:
        where = "" if chip else " where the chip has it"
        state = f"on{where}, CANN's default: results within about 1e-3 of float32's"
    else:
        state = "on" if asked_for else "off"
    in_vain = bool(asked_for) and state != "on"
    logger.log(SEVERITY[in_vain], "HF32 convolutions (conv_allow_hf32 %s): %s", asked_for, state)


def set_jit_level(level: str) -> None:
    """Set the execution level of graphs, "O0", "O1" or "O2".

    Raises:
        ConfigError: this MindSpore does not have it; such levels are there since 2.3.
    """
    import mindspore as ms

    try:
        ms.set_context(jit_config={"jit_level": level})
    except (RuntimeError, ValueError) as err:
        raise ConfigError(f"jit_level: MindSpore {ms.__version__} has no {level}; take auto") from err


def set_op_precision(name: str, value: str | bool) -> None:
    """Set "precision_mode" or "conv_allow_hf32" on Ascend, by MindSpore's values; other devices have no such choice.

    Raises:
        UserError: this MindSpore does not take it.
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
    """Take kernels on Ascend whose results are the same in every run. Once in a process: 2.5 and later refuse more."""
    import mindspore as ms

    if hasattr(ms, "set_deterministic"):  # 2.5 and later, where set_context(deterministic=...) is deprecated
        ms.set_deterministic(True)
    else:
        ms.set_context(deterministic="ON")
