"""Drawing pictures from arrays."""

from src.base.early_imports import import_without_signals

import_without_signals("cv2")  # before any module of this package imports it
