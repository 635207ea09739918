"""What MindSpore logs of a checkpoint that it cannot write or read: its error says the same, and is told."""

from __future__ import annotations

import logging

from mindspore import log

_TOLD = (
    "Failed to save the checkpoint file",
    "Failed to read the checkpoint file",
    "Failed to load the checkpoint file",
)


def _is_news(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith(_TOLD)


def leave_out_repetitions() -> None:
    """Keep those lines of MindSpore's off standard error."""
    logger = getattr(log, "_get_logger", logging.getLogger)()
    if _is_news not in logger.filters:
        logger.addFilter(_is_news)
