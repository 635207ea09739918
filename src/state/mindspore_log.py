"""Filtering MindSpore's log lines about unreadable checkpoints, which its exceptions repeat."""

from __future__ import annotations

import logging

from mindspore import log

_REDUNDANT = (
    "Failed to save the checkpoint file",
    "Failed to read the checkpoint file",
    "Failed to load the checkpoint file",
)


def _is_not_redundant(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith(_REDUNDANT)


def filter_redundant_errors() -> None:
    """Keep those lines of MindSpore's off standard error."""
    logger = getattr(log, "_get_logger", logging.getLogger)()
    if _is_not_redundant not in logger.filters:
        logger.addFilter(_is_not_redundant)
