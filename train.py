"""Train BiSeNetV2: ``python train.py data.dataset_dir=/path/to/cityscapes``; ``--help`` lists every option.

Imports only the standard library and `src`, which must be imported before MindSpore and NumPy.
"""

from __future__ import annotations

import dataclasses
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))  # PYTHONSAFEPATH leaves it out

from src.base.claims import releasing
from src.base.errors import CheckpointError
from src.config import schema
from src.config.protocols import with_protocol
from src.config.saved import differences, to_dict, write_config
from src.config.schema_base import TRAIN
from src.config.yaml_files import read_yaml
from src.data.eval_samples import EvalSamples
from src.data.normalization import warn_of_two_normalizations
from src.data.preflight import preflight
from src.distributed.communicator import Communicator
from src.distributed.heartbeat import Heartbeat, write_stacks_when_asked
from src.evaluation.evaluator import evaluate, log_scores
from src.evaluation.inference import create_infer, evaluation_protocol
from src.modules.base_modules import Network
from src.modules.factory import create_network, create_train_cell, learning_rates
from src.modules.loading import start_from
from src.modules.origin import compare_origin, origin_of
from src.modules.train_warpper import TrainOneStepCell
from src.report.environment import write_environment
from src.report.training import LiveReport, with_saved_scores
from src.state import checkpoint
from src.state.run_folder import claim_training_folder, is_auto_resuming
from src.state.train_state import TrainState, catch_signals
from src.training.liveness import ClaimCheck, StepBeat, with_heartbeat
from src.training.loop import run_training
from src.training.memory import PeakMemory
from src.training.passes import AtUpdates
from src.training.profiling import ProfileSteps
from src.training.rescue import resume_advice, saving_on_failure
from src.utils import callback
from src.utils.common import configure, set_up_run
from src.utils.entry import run_entry
from src.utils.metrics import Evaluation
from src.utils.runtime import Runtime

logger = logging.getLogger(__name__)


@releasing
def main(argv: Sequence[str] | None = None) -> int:
    """Train as configured by the command line; return 0, or 128 + the number of the signal that stopped training."""
    config = configure(argv, TRAIN)
    config, runtime, communicator = set_up_run(config, claim_training_folder)
    write_stacks_when_asked(config.folder, runtime.rank)
    config = continue_run(config, communicator)
    if has_finished(config):
        return 0
    save_dir = config.folder
    if runtime.local_rank == 0:
        splits = ("train", "val") if config.run_eval else ("train",)
        warn_of_two_normalizations(config.data)
        preflight(config.data, num_classes=config.num_classes, splits=splits, seed=config.seed)

    network = create_network(config, aux_heads=True, sync_bn=uses_sync_bn(config, runtime))
    rates = learning_rates(config.optimizer, config.total_step, config.warmup_step)
    train_cell = create_train_cell(network, config, runtime.rank_size, rates)
    done = restore(network, train_cell, config, runtime)
    state = TrainState(done, config.total_step, communicator, last_step(config), config.accumulate_steps)
    if runtime.rank == 0:
        write_config(config, save_dir)
        write_environment(save_dir, device=config.device_target, ranks=runtime.rank_size)
    callbacks = create_callbacks(state, network, train_cell, rates.tolist(), config)
    log_batch_size(config, runtime.rank_size)
    logger.info("Start Training")
    saver = next(item for item in callbacks if isinstance(item, callback.CheckpointSaver))
    if config.accumulate_steps > 1:
        callbacks = [AtUpdates(state, callbacks, Heartbeat(save_dir, runtime.rank).beat)]
    with catch_signals(state), saving_on_failure(state, saver, save_dir):
        run_training(train_cell, state, callbacks, config, runtime)
    code = finish(state, save_dir)
    communicator.barrier()  # a rank that ends early may end the job while a checkpoint is being written
    return code


def last_step(config: schema.Config) -> int:
    """Return the step after which the run ends."""
    return config.stop_step or config.total_step


def total_batch(config: schema.Config, rank_size: int) -> int:
    """Return the number of images per step over all devices."""
    return config.batch_size * config.accumulate_steps * rank_size


def log_batch_size(config: schema.Config, rank_size: int) -> None:
    """Log the number of images per device and per step."""
    passes = f"{config.accumulate_steps} passes a step, " if config.accumulate_steps > 1 else ""
    total = total_batch(config, rank_size)
    logger.info("batch: %d images a device, %d devices, %s%d in total", config.batch_size, rank_size, passes, total)


def continue_run(config: schema.Config, communicator: Communicator) -> schema.Config:
    """Return `config`, set to resume from the newest complete checkpoint in `save_dir` if auto_resume finds one."""
    if not is_auto_resuming(config):
        return config
    own = checkpoint.newest_complete(checkpoint_folder(config)) if communicator.rank == 0 else None
    newest = communicator.broadcast_text(str(own or ""))
    if not newest:
        logger.info("auto_resume: no checkpoint in %s, a new run", checkpoint_folder(config))
        return config
    for name in ("resume_ckpt", "finetune_ckpt"):
        if getattr(config, name):
            logger.info("auto_resume: %s is there; --%s %s is not used", newest, name, getattr(config, name))
    return dataclasses.replace(config, resume_ckpt=newest, finetune_ckpt=None)


def has_finished(config: schema.Config) -> bool:
    """Return whether an automatically resumed run has nothing left to train; a restarted job then succeeds."""
    if not (is_auto_resuming(config) and config.resume_ckpt):
        return False
    path = Path(config.resume_ckpt)
    step = checkpoint.step_of(path.name)
    if step is None or step < last_step(config) or path.parent != checkpoint_folder(config):
        return False
    logger.info("training finished before, after step %d: %s", step, config.save_dir)
    return True


def uses_sync_bn(config: schema.Config, runtime: Runtime) -> bool:
    """Return whether batch normalisation uses statistics of all devices: if configured and possible."""
    possible = runtime.device_target == "Ascend" and runtime.rank_size > 1
    if config.sync_bn and not possible:
        logger.info("sync_bn: plain batch normalisation here; synchronised it needs several Ascend devices")
    return config.sync_bn and possible


def restore(network: Network, train_cell: TrainOneStepCell, config: schema.Config, runtime: Runtime) -> int:
    """Load the checkpoint to resume or fine-tune from, if any; return the number of steps already done.

    Raises:
        CheckpointError: it does not fit, or there is nothing left to train.
    """
    if config.finetune_ckpt:
        start_from(network, config, config.finetune_ckpt)
    if not config.resume_ckpt:
        return 0
    values = checkpoint.read_checkpoint(config.resume_ckpt)
    info = checkpoint.read_run_info(values, config.resume_ckpt)
    compare_origin(config, values, config.resume_ckpt, training=True)
    if info.step >= last_step(config):
        raise CheckpointError(f"{config.resume_ckpt}: {info.step} steps done, nothing left of {last_step(config)}")
    newer = [path for step, path in checkpoint.list_checkpoints(checkpoint_folder(config)) if step > info.step]
    if newer and runtime.rank == 0:
        raise CheckpointError(f"{newer[-1]} is newer than {config.resume_ckpt}; resume it, or take another --save_dir")
    now = run_info(config, total_batch(config, runtime.rank_size), info.step)
    if now.total_batch != info.total_batch:
        logger.warning("total batch was %d, is %d now: not the same run", info.total_batch, now.total_batch)
    warn_of_changes(config, Path(config.resume_ckpt).resolve().parent.parent / "config.yml")
    checkpoint.restore_training(train_cell, values, config.resume_ckpt)
    logger.info("resumed from %s after step %d", config.resume_ckpt, info.step)
    return info.step


def warn_of_changes(config: schema.Config, saved: Path) -> None:
    """Warn of every key whose value differs from the saved configuration of the run to resume."""
    if saved.is_file():
        for line in differences(read_yaml(saved), to_dict(config)):
            logger.warning("%s: not the same run", line)


def run_info(config: schema.Config, images: int, step: int) -> checkpoint.RunInfo:
    """Return the description of the run for a checkpoint after `step` steps of `images` images each."""
    return checkpoint.RunInfo(step, config.total_step, images, config.seed, origin_of(config))


def checkpoint_folder(config: schema.Config) -> Path:
    """Return the folder of the run's checkpoints."""
    return config.folder / checkpoint.FOLDER


def create_callbacks(
    state: TrainState,
    network: Network,
    train_cell: TrainOneStepCell,
    rates: Sequence[float],
    config: schema.Config,
) -> list:
    """Make the callbacks in the order in which they must run; ranks other than 0 write only their log."""
    save_dir, first = config.folder, state.communicator.rank == 0
    heart = Heartbeat(save_dir, state.communicator.rank)
    images = total_batch(config, state.communicator.rank_size)
    metrics = save_dir / "metrics.jsonl" if first else None
    step_logger = callback.StepLogger(state, rates, images, config.log_interval, metrics, head_names=network.head_names)
    saver = callback.CheckpointSaver(
        state,
        train_cell,
        checkpoint_folder(config),
        interval=config.checkpoint_interval,
        keep_max=config.keep_checkpoint_max,
        run_info=lambda step: run_info(config, images, step),
    )
    guard = callback.NonFiniteGuard(state, train_cell.overflow.advice)
    callbacks = [callback.StepCounter(state), ClaimCheck(), StepBeat(heart), step_logger, guard, saver]
    callbacks.append(PeakMemory(state, saver))  # before rank 0 may evaluate alone: all ranks take part
    if config.run_eval and (first or config.eval_parallel):
        results = save_dir / "evaluations.jsonl"
        run = make_evaluation(network, train_cell, config, state.communicator if config.eval_parallel else None)
        run = with_saved_scores(run, config, state, evaluation_protocol(quick_transforms(config)))
        run, shared = with_heartbeat(heart, run), config.eval_parallel
        callbacks.append(callback.Evaluator(state, saver, run, results, shared=shared, protocol=config.eval_protocol))
    if config.run_profiler and first:
        callbacks.append(ProfileSteps(state, save_dir / "profiler"))
    if first:
        callbacks.append(callback.CurvePlotter(state, saver, save_dir))
        if config.report is not False:
            callbacks.append(LiveReport(state, saver, save_dir))
    return [*callbacks, callback.StepEnd(state, saver)]


def quick_transforms(config: schema.Config) -> schema.EvalTransforms:
    """Return the transforms of the evaluation during training."""
    return with_protocol(config.data, config.eval_protocol).eval_transforms


def make_evaluation(
    network: Network, train_cell: TrainOneStepCell, config: schema.Config, communicator: Communicator | None
) -> Callable[[Callable[[], bool]], Evaluation]:
    """Return a function that evaluates like ``eval.py --protocols`` with `eval_protocol`.

    If the weights are averaged, it evaluates their average, in a second network; otherwise `network`.
    """
    averaged = create_network(config, aux_heads=False) if config.ema_decay else None
    quick = quick_transforms(config)
    infer = create_infer(averaged or network, quick)
    samples = EvalSamples(config.data, num_classes=config.num_classes)
    settings: dict[str, Any] = {
        "num_classes": config.num_classes,
        "ignore_label": config.data.ignore_label,
        "communicator": communicator,
    }

    def run(should_stop: Callable[[], bool]) -> Evaluation:
        if averaged:
            checkpoint.copy_average(train_cell, averaged)
            logger.info("evaluating the averaged weights (ema)")
        infer.set_train(False)
        try:
            result = evaluate(infer, samples, should_stop=should_stop, **settings)
            if communicator is None or communicator.rank == 0:
                log_scores(result, evaluation_protocol(quick))
            return result
        finally:
            network.set_train(True)

    return run


def finish(state: TrainState, save_dir: Path) -> int:
    """Log where the results are, or how to resume; return the exit code."""
    if state.signal_number is None or state.step == state.last_step:
        if state.step < state.total_step:
            advice = resume_advice(save_dir, state.step)
            text = "stop_step: after step %d of %d; %s, and a later stop_step"
            logger.info(text, state.step, state.total_step, advice)
        logger.info("training finished: %s", save_dir)
        return 0
    advice = resume_advice(save_dir, state.step)
    logger.info("stopped by signal %d after step %d; %s", state.signal_number, state.step, advice)
    return 128 + state.signal_number


if __name__ == "__main__":
    run_entry(main)
