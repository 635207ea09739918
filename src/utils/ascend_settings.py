"""What is set on an Ascend beside device and rank, all in one place, each with its source.

- Data sink: `src/training/loop.py`; as long as the distance of logs and checkpoints allows, on graph mode alone
  (Model.train's documentation: the CPU runs without one in every version).
- Time for the ranks to meet: `HCCL_CONNECT_TIMEOUT`, `local_adapter.init_cluster` and `expect_slow_start`. CANN's
  documentation says 120 s by default, MindSpore's error pages 600 s: so it is set.
- Overflow: `src/modules/overflow.py`.
- Gradients of all layers in few messages: `COMM_FUSION`, in `runtime.join_job`.
- Precision and repeatability: here.
"""

from __future__ import annotations

import logging

from src.base.errors import UserError
from src.config import schema
from src.utils import local_adapter

logger = logging.getLogger(__name__)


def default_precision_mode() -> str:
    """Return the precision mode that keeps float32 where the chip can.

    What MindSpore does by itself on the first Ascend 910 is told differently by its documentation: "force_fp16" (2.7
    and 2.8, English) or "allow_fp32_to_fp16" (2.5 and master, Chinese). The latter is set: float16 only for operators
    that have no float32 there, as convolution. The 910B and later ones keep the type, which is their default, too.
    """
    return "allow_fp32_to_fp16" if local_adapter.ascend_chip() in ("", "ascend910") else "must_keep_origin_dtype"


def apply_settings(config: schema.Config, device_target: str) -> None:
    """Set precision mode and determinism; elsewhere than on an Ascend say what was asked for in vain.

    Raises:
        UserError: this MindSpore does not take a mode that was asked for.
    """
    if device_target != "Ascend":
        for name in ("precision_mode", "deterministic"):
            if getattr(config, name):
                logger.info("%s: for Ascend only, nothing to set on %s", name, device_target)
        return
    mode = config.precision_mode or default_precision_mode()
    try:
        local_adapter.set_precision_mode(mode)
        logger.info("precision mode: %s", mode)
    except UserError as err:  # 2.0 documents it for the 910B only
        if config.precision_mode:
            raise
        logger.warning("%s; left as it is", err)
    if config.deterministic:
        local_adapter.set_deterministic()
        logger.info("deterministic kernels: the same results in every run, more slowly")
