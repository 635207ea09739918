"""Training samples in the report: crop, label overlay and random choices. Does not import MindSpore."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from src.data.browsing import BrowsedSample
from src.report.page import Section
from src.report.pictures import jpeg_url, reduced
from src.visual.sample_sheets import label_over
from src.visual.visualize import Palette

LARGEST = 640  # pixels on the longest side of a picture


def sample_record(sample: BrowsedSample, palette: Palette, ignore_label: int) -> dict[str, Any]:
    """Return the record of a sample for the page.

    Args:
        sample: the sample.
        palette: RGB colour of each class.
        ignore_label: value of ignored pixels in its label.
    """
    image, label = reduced(sample.image, LARGEST), reduced(sample.label, LARGEST)
    over = label_over(image, label, palette, ignore_label)
    pictures = [{"name": "crop", "url": jpeg_url(image)}, {"name": "label over it", "url": jpeg_url(over)}]
    return {"caption": Path(sample.path).name, "path": sample.path, "lines": sample.lines(), "pictures": pictures}


def samples_section(records: Iterable[dict[str, Any]], palette: np.ndarray, names: Sequence[str]) -> Section:
    """Return the tab with the samples.

    Args:
        records: results of `sample_record`.
        palette: RGB colour of each class.
        names: name of each class.
    """
    colors = ("#{:02x}{:02x}{:02x}".format(*color) for color in palette.tolist())
    classes = [{"name": name, "color": color} for name, color in zip(names, colors)]
    note = "Samples as training gets them, normalisation undone; pixels that are ignored are hatched."
    return Section("samples", "Samples", {"notes": [note], "classes": classes}, records)
