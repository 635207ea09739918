"""Export a checkpoint for inference: ``python export.py --checkpoint_file X``; ``--help`` lists every option.

Imports only the standard library and `src`, which must be imported before MindSpore and NumPy.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # PYTHONSAFEPATH leaves it out

from src.base.claims import releasing
from src.base.errors import ConfigError
from src.config import schema
from src.config.schema_base import EXPORT
from src.modules.factory import create_network
from src.modules.inference_graph import InferenceGraph
from src.modules.origin import compare_origin
from src.offline import exporting, onnx_export
from src.offline.descriptions import description_path, publish
from src.state import checkpoint
from src.utils import local_adapter
from src.utils.common import configure, set_up_run
from src.utils.entry import run_entry

logger = logging.getLogger(__name__)


@releasing
def main(argv: Sequence[str] | None = None) -> int:
    """Export as configured by the command line; return 0."""
    config = configure(argv, EXPORT)
    source = config.checkpoint_file
    if not source:
        raise ConfigError("--checkpoint_file: required")
    target = exporting.claim_target(config)
    values = checkpoint.read_checkpoint(source)
    config, runtime, _ = set_up_run(config, job_folder if config.train_url else None)
    exporting.check_device(config, runtime)

    compare_origin(config, values, source)
    values = checkpoint.choose_weights(values, config.weights, source)
    reference = create_network(config, aux_heads=False).set_train(False)
    checkpoint.restore_network(reference, values, source)
    network = exporting.deployed_network(config, values)
    graph = InferenceGraph(network, output=config.output, normalize=exporting.input_stage(config))
    with exporting.written_model(graph, config, target) as model:
        record = exporting.describe(config)
        if config.file_format == exporting.ONNX:
            onnx_export.complete(model, record)
        if config.file_format != exporting.AIR:  # MindSpore cannot load an AIR file
            record |= exporting.check_model(model, reference, config, runtime.device_target)
        record = publish(model.read_bytes(), target, record)
    if (config.file_format, config.input) == (exporting.MINDIR, "uint8") and not local_adapter.writes_lasting_casts():
        logger.warning("with uint8 input a MindIR of MindSpore 2.0 runs only in 2.0 and Lite, not in later versions")
    for line in exporting.summary(record):
        logger.info("%s", line)
    logger.info("description: %s", description_path(target))
    return 0


def job_folder(config: schema.Config) -> Path:
    """Return the folder of a cloud job's results."""
    return config.folder


if __name__ == "__main__":
    run_entry(main)
