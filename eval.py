"""Evaluate a checkpoint: ``python eval.py --checkpoint_path X data.dataset_dir=DIR``; ``--help`` lists every option.

Imports only the standard library and `src`, which must be imported before MindSpore and NumPy.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # PYTHONSAFEPATH leaves it out

from src.base import claims
from src.base.errors import ConfigError
from src.base.files import holds_anything, write_whole
from src.config import schema
from src.config.protocols import with_protocol
from src.config.saved import write_config
from src.config.schema_base import EVAL
from src.data.classes import class_names
from src.data.eval_samples import EvalSamples
from src.data.preflight import preflight
from src.distributed.communicator import Communicator
from src.evaluation.evaluator import Unscored, evaluate_all, log_protocol, log_scores, predict_unlabelled
from src.evaluation.inference import create_infers, evaluation_protocol
from src.evaluation.score_records import classes_of, confusion_lines, json_bytes, scores_of
from src.evaluation.side_by_side import side_by_side
from src.modules.base_modules import MultiScaleInfer
from src.modules.loading import load_network
from src.report import NAME as REPORT
from src.report.environment import write_environment
from src.report.page import require_replaceable
from src.report.pictures import FOLDER as PICTURES
from src.report.pictures import picture_writers, remove_records
from src.report.runs import find_runs, run_of_checkpoint
from src.report.sections import write_report
from src.state import checkpoint
from src.state.run_folder import claim_results_folder, dated_folder
from src.utils.common import configure, set_up_run
from src.utils.entry import run_entry
from src.utils.metrics import Evaluation, class_table

logger = logging.getLogger(__name__)


@claims.releasing
def main(argv: Sequence[str] | None = None) -> int:
    """Evaluate as configured by the command line; return 0."""
    config = configure(argv, EVAL)
    config, runtime, communicator = set_up_run(config, claim_folders)
    assert config.checkpoint_path is not None  # check_outputs refuses to go on without
    if runtime.local_rank == 0:
        splits, labelled = (config.split,), is_scored(config)
        preflight(config.data, num_classes=config.num_classes, splits=splits, seed=config.seed, labelled=labelled)

    network = load_network(config, config.checkpoint_path)
    if runtime.rank == 0:
        write_config(config, config.folder)
        write_environment(config.folder, device=config.device_target)
    elif not config.eval_parallel:
        logger.info("rank 0 evaluates alone (eval_parallel False)")
        return 0
    chosen = [with_protocol(config.data, name) for name in config.protocols or ()] or [config.data]
    transforms = [data.eval_transforms for data in chosen]
    results = run_split(create_infers(network, transforms), config, communicator if config.eval_parallel else None)
    if runtime.rank == 0:
        report(results, [evaluation_protocol(used) for used in transforms], config)
        if config.report:
            write_pages(config)
    return 0


def run_split(
    infers: Sequence[MultiScaleInfer], config: schema.Config, communicator: Communicator | None
) -> list[Evaluation] | list[Unscored]:
    """Predict this rank's images of the configured split, or all of them without `communicator`, and score them.

    With several of `infers`, one for each protocol, the predictions of the first are written.
    """
    samples = EvalSamples(config.data, num_classes=config.num_classes, split=config.split, labelled=is_scored(config))
    write = picture_writers(config, samples, communicator)
    if not is_scored(config):
        return [predict_unlabelled(infer, samples, write, communicator) for infer in infers]
    return evaluate_all(
        infers,
        samples,
        num_classes=config.num_classes,
        ignore_label=config.data.ignore_label,
        on_prediction=write,
        communicator=communicator,
    )


def is_scored(config: schema.Config) -> bool:
    """Return whether the split is scored; labels of the test split are never read."""
    return config.split != "test"


def claim_folders(config: schema.Config) -> Path:
    """Claim the folders of the results and predictions for this process; return that of the results."""
    save_dir = claim_results_folder(config, results_folder, "evaluation", parts=("images", "logs", PICTURES))
    remove_records(save_dir)
    if config.save_predictions:
        claims.hold_folder(config.save_predictions, "evaluation", "--save_predictions")
        results_folder(config)  # again: another process may have filled it meanwhile
    return save_dir


def results_folder(config: schema.Config) -> Path:
    """Return the folder of the results, after all checks that are possible before anything is written."""
    save_dir = check_outputs(config)
    assert config.checkpoint_path is not None  # checked as well
    checkpoint.require_intact(config.checkpoint_path)
    return save_dir


def check_outputs(config: schema.Config) -> Path:
    """Return the folder of the results, after checking that nothing would be overwritten or mixed up.

    Raises:
        ConfigError: no checkpoint is given, results exist already, or overlays would be among the predictions.
    """
    if not config.checkpoint_path:
        raise ConfigError("--checkpoint_path: required")
    save_dir = Path(config.save_dir) if config.save_dir else dated_folder("eval")
    if (save_dir / "eval.json").exists():
        raise ConfigError(f"{save_dir} holds an evaluation already; take another --save_dir")
    if config.report:
        require_replaceable(save_dir / REPORT)
    if not config.save_predictions:
        return save_dir
    predictions, overlays = Path(config.save_predictions), save_dir / "images"
    if holds_anything(predictions):
        raise ConfigError(f"--save_predictions {predictions}: not empty; take an empty or a new folder")
    # The official evaluation searches the folder recursively for files whose names start with an image's name.
    if config.save_images and overlays.resolve().is_relative_to(predictions.resolve()):
        raise ConfigError(
            f"--save_predictions {predictions}: would hold the overlays in {overlays} as well, which the Cityscapes "
            "evaluation takes for predictions; take another folder"
        )
    return save_dir


def report(results: Sequence[Evaluation | Unscored], protocols: Sequence[dict], config: schema.Config) -> None:
    """Log the scores, if any, with their protocols, and write ``{save_dir}/eval.json``."""
    result, protocol = results[0], protocols[0]
    scored = [each for each in results if isinstance(each, Evaluation)]
    if isinstance(result, Unscored):
        scores = log_unscored(result, protocol, config)
    elif config.protocols:
        scores = log_comparison(config.protocols, scored, protocols, config)
    else:
        scores = log_evaluation(result, protocol, config)
    source = {"checkpoint": config.checkpoint_path, "weights": config.weights}
    record = {**scores, **classes_of(config), "images": result.images, "protocol": protocol, **source}
    if config.protocols and scored:
        several = zip(config.protocols, scored, protocols)
        record["protocols"] = [{"name": name, **scores_of(each), "protocol": used} for name, each, used in several]
    path = config.folder / "eval.json"
    write_whole(path, json_bytes(record), "the scores ")
    logger.info("results: %s", path)


def write_pages(config: schema.Config) -> None:
    """Write ``{save_dir}/report.html``, including the run of the checkpoint if it is available."""
    assert config.checkpoint_path is not None  # checked before the run
    path, run = config.folder / REPORT, run_of_checkpoint(config.checkpoint_path)
    write_report(path, find_runs([config.folder, *([run] if run else [])]))
    logger.info("report: %s", path)


def log_evaluation(result: Evaluation, protocol: dict, config: schema.Config) -> dict:
    """Log the scores; return them in the form of ``eval.json``."""
    log_scores(result, protocol)
    logger.info("\n%s", class_table(result.iou, class_names(config)))
    logger.info("%s", "\n".join(confusion_lines(result.counts, class_names(config))))
    logger.info("pixel accuracy: %.6f, %.2f images/s", result.pixel_accuracy, result.images_per_second)
    return scores_of(result)


def log_comparison(
    names: Sequence[str], results: Sequence[Evaluation], protocols: Sequence[dict], config: schema.Config
) -> dict:
    """Log the first result as published and all scores side by side; return those of the first for ``eval.json``."""
    log_scores(results[0], protocols[0])
    for name, protocol in zip(names, protocols):
        log_protocol(protocol, name)
    logger.info("\n%s", side_by_side(names, results, class_names(config)))
    logger.info("%s: %s", names[0], "\n".join(confusion_lines(results[0].counts, class_names(config))))
    if len(results) > 1 and (config.save_images or config.save_predictions):
        logger.info("pictures and predictions are those of %s", names[0])
    return scores_of(results[0])


def log_unscored(result: Unscored, protocol: dict, config: schema.Config) -> dict:
    """Log where the predictions of a split without labels are; return the entries of ``eval.json`` for them."""
    logger.info("Total number of images: %d", result.images)
    log_protocol(protocol)
    logger.info("label-id PNGs: %s, %.2f images/s", config.save_predictions, result.images_per_second)
    return {"split": config.split, "predictions": config.save_predictions}


if __name__ == "__main__":
    run_entry(main)
