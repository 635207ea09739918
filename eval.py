"""Evaluate a checkpoint: ``python eval.py --checkpoint_path X data.dataset_dir=DIR``; ``--help`` lists every option.

Imports nothing but the standard library and `src`, which must come before MindSpore and NumPy.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # PYTHONSAFEPATH keeps it out

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
from src.evaluation.score_records import as_text, classes_of, confusion_lines, scores_of
from src.evaluation.side_by_side import side_by_side
from src.modules.base_modules import MultiScaleInfer
from src.modules.factory import create_network
from src.modules.origin import compare_origin
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
    """Evaluate as the command line says; return 0."""
    config = configure(argv, EVAL)
    config, runtime, communicator = set_up_run(config, claimed_folder)
    if runtime.local_rank == 0:
        splits, labelled = (config.split,), is_scored(config)
        preflight(config.data, num_classes=config.num_classes, splits=splits, seed=config.seed, labelled=labelled)

    values = checkpoint.read_checkpoint(config.checkpoint_path)
    compare_origin(config, values, config.checkpoint_path)
    values = checkpoint.choose_weights(values, config.weights, config.checkpoint_path)
    network = create_network(config, aux_heads=False)
    checkpoint.restore_network(network, values, config.checkpoint_path)
    if runtime.rank == 0:
        write_config(config, Path(config.save_dir))
        write_environment(Path(config.save_dir), device=config.device_target)
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

    Where there are several of `infers`, one for each protocol, predictions are written of the first.
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
    """Return whether there are scores; no label of the test split is read, even where there is one."""
    return config.split != "test"


def claimed_folder(config: schema.Config) -> Path:
    """Return the folder of the results, claimed for this process like that of the predictions."""
    save_dir = claim_results_folder(config, results_folder, "evaluation", parts=("images", "logs", PICTURES))
    remove_records(save_dir)
    if config.save_predictions:
        claims.hold_folder(config.save_predictions, "evaluation", "--save_predictions")
        results_folder(config)  # once more: another process may have filled it meanwhile
    return save_dir


def results_folder(config: schema.Config) -> Path:
    """Return the folder of the results, after every check that can be made before anything is written."""
    save_dir = check_outputs(config)
    checkpoint.require_intact(config.checkpoint_path)
    return save_dir


def check_outputs(config: schema.Config) -> Path:
    """Return the folder of the results, after a check that nothing would be overwritten or mixed up.

    Raises:
        ConfigError: no checkpoint is given, results are there already, or overlays would get among the predictions.
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
    # The official evaluation searches the folder and all below it for an image's name with anything behind it.
    if config.save_images and overlays.resolve().is_relative_to(predictions.resolve()):
        raise ConfigError(
            f"--save_predictions {predictions}: would hold the overlays in {overlays} as well, which the Cityscapes "
            "evaluation takes for predictions; take another folder"
        )
    return save_dir


def report(results: Sequence[Evaluation | Unscored], protocols: Sequence[dict], config: schema.Config) -> None:
    """Log the scores, if there are any, with their protocols and write ``{save_dir}/eval.json``."""
    result, protocol = results[0], protocols[0]
    if isinstance(result, Unscored):
        scores = log_unscored(result, protocol, config)
    elif config.protocols:
        scores = log_comparison(results, protocols, config)
    else:
        scores = log_evaluation(result, protocol, config)
    source = {"checkpoint": config.checkpoint_path, "weights": config.weights}
    record = {**scores, **classes_of(config), "images": result.images, "protocol": protocol, **source}
    if config.protocols and not isinstance(result, Unscored):
        several = zip(config.protocols, results, protocols)
        record["protocols"] = [{"name": name, **scores_of(each), "protocol": used} for name, each, used in several]
    path = Path(config.save_dir) / "eval.json"
    write_whole(path, as_text(record), "the scores ")
    logger.info("results: %s", path)


def write_pages(config: schema.Config) -> None:
    """Write ``{save_dir}/report.html``, with the run that the checkpoint is of where that is there."""
    path, run = Path(config.save_dir) / REPORT, run_of_checkpoint(config.checkpoint_path)
    write_report(path, find_runs([Path(config.save_dir), *([run] if run else [])]))
    logger.info("report: %s", path)


def log_evaluation(result: Evaluation, protocol: dict, config: schema.Config) -> dict:
    """Log the scores; return them as ``eval.json`` holds them."""
    log_scores(result, protocol)
    logger.info("\n%s", class_table(result.iou, class_names(config)))
    logger.info("%s", "\n".join(confusion_lines(result.counts, class_names(config))))
    logger.info("pixel accuracy: %.6f, %.2f images/s", result.pixel_accuracy, result.images_per_second)
    return scores_of(result)


def log_comparison(results: Sequence[Evaluation], protocols: Sequence[dict], config: schema.Config) -> dict:
    """Log the first one's published lines and all scores side by side; return the first's for ``eval.json``."""
    log_scores(results[0], protocols[0])
    for name, protocol in zip(config.protocols, protocols):
        log_protocol(protocol, name)
    logger.info("\n%s", side_by_side(config.protocols, results, class_names(config)))
    logger.info("%s: %s", config.protocols[0], "\n".join(confusion_lines(results[0].counts, class_names(config))))
    if len(results) > 1 and (config.save_images or config.save_predictions):
        logger.info("pictures and predictions are those of %s", config.protocols[0])
    return scores_of(results[0])


def log_unscored(result: Unscored, protocol: dict, config: schema.Config) -> dict:
    """Log where the predictions of a split without labels are; return what ``eval.json`` says instead of scores."""
    logger.info("Total number of images: %d", result.images)
    log_protocol(protocol)
    logger.info("label-id PNGs: %s, %.2f images/s", config.save_predictions, result.images_per_second)
    return {"split": config.split, "predictions": config.save_predictions}


if __name__ == "__main__":
    run_entry(main)
