"""Write the inputs of an offline inference, and the labels to score it: ``python preprocess.py --data_path DIR``.

``--help`` lists every option. Does not import MindSpore.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # PYTHONSAFEPATH leaves it out

from src.base import claims
from src.config.schema_base import PREPROCESS
from src.data.eval_samples import EvalSamples
from src.data.preflight import preflight
from src.offline import preparing
from src.offline.folders import clear_earlier_run, refuse_file
from src.utils.config import parse_config
from src.utils.entry import run_entry
from src.utils.logger import setup_logging

logger = logging.getLogger(__name__)


@claims.releasing
def main(argv: Sequence[str] | None = None) -> int:
    """Preprocess as configured by the command line; return 0."""
    config = parse_config(argv, PREPROCESS)
    setup_logging(None)
    config = preparing.match_model(config)
    preflight(config.data, num_classes=config.num_classes, splits=("val",), seed=config.seed)
    folder, results = Path(config.output_path), Path(config.result_path) if config.result_path else None
    claim(folder, results)
    clear_earlier_run(folder, results)

    start = time.monotonic()
    samples = EvalSamples(config.data, num_classes=config.num_classes, normalized=config.input == "float32")
    manifest = preparing.new_manifest(config, samples.stems)
    total = preparing.write_inputs(samples, manifest, folder)
    logger.info(
        "%d inputs, %s of %dx%d (height x width), %.1f MB, written to %s in %.1f s",
        len(samples),
        config.input,
        *manifest.image_size,
        total / 1e6,
        folder,
        time.monotonic() - start,
    )
    return 0


def claim(folder: Path, results: Path | None) -> None:
    """Claim both folders for this process.

    Raises:
        UserError: one is a file, in use, or cannot be written.
    """
    for path in filter(None, (folder, results)):
        refuse_file(path)
    claims.hold_folder(folder, "preprocessing", "--output_path", parts=("image", "label"))
    if results is not None:
        claims.hold_folder(results, "preprocessing", "--result_path")


if __name__ == "__main__":
    run_entry(main)
