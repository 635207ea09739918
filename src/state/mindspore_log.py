"""What MindSpore logs of a checkpoint that it cannot write: the error that it raises says the same, and is told."""

from __future__ import annotations

import logging

from mindspore import log


def _is_news(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith("Failed to save the checkpoint file")


def leave_out_repetitions() -> None:
    """Keep that line of MindSpore's off standard error."""
    logger = getattr(log, "_get_logger", logging.getLogger)()
    if _is_news not in logger.filters:
        logger.addFilter(_is_news)
