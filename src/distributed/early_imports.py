"""What has to be imported before anything else of this package."""

from __future__ import annotations

import contextlib
import importlib
import signal


def hold_signals() -> None:
    """Import NumPy and OpenCV so that the threads they start never receive SIGINT.

    It is for the main thread alone, which takes it between two training steps. On any other thread MindSpore's own
    handler, which is in force while a graph runs, would turn it into SIGTERM.
    """
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        for name in ("numpy", "cv2"):
            with contextlib.suppress(ImportError):  # not every module of this package needs both
                importlib.import_module(name)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
