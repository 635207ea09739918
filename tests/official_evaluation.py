"""Run the official Cityscapes evaluation (package cityscapesScripts) on label-id pictures."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import tempfile
from collections.abc import Iterable
from pathlib import Path

from cityscapesscripts.evaluation import evalPixelLevelSemanticLabeling as official  # noqa: N813 -- a module


def official_scores(prediction_dir: str | Path, ground_truth_paths: Iterable[str | Path]) -> dict:
    """Return what the official script exports as JSON; the instance-level scores, which need other files, are off.

    The keys of most use are "classScores" (class name → IoU, NaN for the ignored labels and for classes that are in
    neither picture) and "averageScoreClasses".

    Args:
        prediction_dir: searched recursively for one `<city>_<sequence>_<frame>*.png` a ground truth: label ids (not
            train ids), one channel, the size of the ground truth. A second match is an error, so coloured pictures
            must not lie in the same folder.
        ground_truth_paths: files `<city>_<sequence>_<frame>_gtFine_labelIds.png`.

    Raises:
        RuntimeError: the script gave up; with what it printed.
    """
    args = copy.copy(official.args)
    args.evalInstLevelScore = False
    args.colorized, args.bold, args.nocol = False, "", ""
    args.predictionPath, args.predictionWalk = str(prediction_dir), None
    truths = [str(path) for path in ground_truth_paths]
    printed = io.StringIO()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(printed):
        args.exportFile = str(Path(folder) / "result.json")
        try:
            predictions = [official.getPrediction(args, truth) for truth in truths]
            official.evaluateImgLists(predictions, truths, args)
        except SystemExit as err:  # how the script reports every error
            raise RuntimeError(f"the official evaluation failed:\n{printed.getvalue()}") from err
        return json.loads(Path(args.exportFile).read_text())
