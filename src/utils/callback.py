"""Callbacks between training steps: logging, guarding, saving, evaluating, drawing, stopping."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mindspore import nn
from mindspore.train.callback import Callback

from src.base.errors import EvaluationInterruptedError, TrainingError
from src.base.json_lines import append_json, read_json_lines
from src.base.progress import format_seconds
from src.base.side_files import side_file
from src.state.checkpoint import (
    BEST_NAME,
    RunInfo,
    average_statistics,
    check_equal_weights,
    checkpoint_name,
    copy_atomically,
    training_parameters,
)
from src.state.data_wait import compare_waits, wait_text
from src.state.saving import save_and_prune
from src.state.train_state import StepOutputs, TrainState
from src.utils.metrics import Evaluation
from src.visual.curves import write_curves

logger = logging.getLogger(__name__)

MAX_BAD_STREAK = 50
PROGRESS_SECONDS = 60.0


class StepCounter(Callback):
    """Count and time the steps in `TrainState`; must be the first callback, because the others read the state.

    A data sink advances by several steps. The time spent in callbacks, evaluation and checkpoints included, is not
    training time; `StepEnd` marks its end.
    """

    def __init__(self, state: TrainState) -> None:
        super().__init__()
        self.state, self.begun = state, 0.0

    def on_train_begin(self, run_context: Any) -> None:
        self.state.segment_start, self.state.callbacks_done = self.state.step, time.monotonic()

    def on_train_step_begin(self, run_context: Any) -> None:
        self.begun = time.monotonic()
        self.state.data_wait += self.begun - self.state.callbacks_done

    def on_train_step_end(self, run_context: Any) -> None:
        arguments, passes = run_context.original_args(), self.state.accumulate_steps
        self.state.bad_streak = int(StepOutputs(*arguments.net_outputs).bad_streak.asnumpy())  # waits for the device
        before, self.state.step = self.state.step, self.state.segment_start + arguments.cur_step_num // passes
        if self.state.feed:  # a sink waits inside its graph
            batches = passes * (self.state.step - before)
            self.state.data_wait += self.state.feed.waiting_seconds(batches, self.begun, time.monotonic())
        self.state.agree_on_stop()
        self.state.elapsed += time.monotonic() - self.state.callbacks_done


class StepLogger(Callback):
    """Report every `log_interval` steps, to the log and to a JSON lines file.

    Args:
        state: progress of the run.
        rates: learning rate of each step, (total_step,).
        total_batch: images per step over all devices.
        log_interval: steps between two reports.
        metrics_path: the JSON lines file, appended to; None writes none.
        head_names: the network's heads.
    """

    def __init__(
        self,
        state: TrainState,
        rates: Sequence[float],
        total_batch: int,
        log_interval: int,
        metrics_path: Path | None,
        *,
        head_names: Sequence[str],
    ) -> None:
        super().__init__()
        self.head_names = head_names
        self.state, self.rates, self.total_batch = state, rates, total_batch
        self.log_interval, self.metrics_path = log_interval, metrics_path
        self.overflows = 0 if state.step == 0 else None  # a resumed run does not report earlier ones again
        self.last_progress = time.monotonic()
        self.window = (state.step, state.elapsed, state.data_wait)  # at the start of the interval
        self.pace = 0.0  # seconds per step, to estimate the time left
        self.reports = 0

    def on_train_step_end(self, run_context: Any) -> None:
        if self.state.step % self.log_interval == 0 or self.state.step == self.state.last_step:
            self._report(StepOutputs(*(output.asnumpy() for output in run_context.original_args().net_outputs)))

    def _report(self, outputs: StepOutputs) -> None:
        loss, heads, scale, overflows, _ = outputs
        step, first, elapsed, waited = self.state.step, *self.window
        self.window = (step, self.state.elapsed, self.state.data_wait)
        steps, per_step = step - first, (self.state.elapsed - elapsed) / (step - first)
        rate, wait_ms = self.rates[step - 1], 1000 * (self.state.data_wait - waited) / steps
        total, cost = self.state.total_step, 1000 * per_step
        logger.info("step %d/%d, loss: %.4f, cur_lr: %.6f, cost %.2f ms", step, total, float(loss), rate, cost)
        record = {"step": step, "loss": float(loss)}
        record.update({f"loss_{name}": float(value) for name, value in zip(self.head_names, heads)})
        record.update(
            lr=float(rate),
            ms_per_step=cost,
            images_per_s=self.total_batch / per_step,
            data_wait_ms=wait_ms,
            **compare_waits(wait_ms, self.state.communicator),
            loss_scale=float(scale),
            overflows=int(overflows),
        )
        if self.metrics_path is not None:
            with side_file(self.metrics_path):
                append_json(self.metrics_path, record)
        if self.overflows is not None and int(overflows) > self.overflows:
            logger.warning("gradients of %d steps so far were not finite, loss scale %g", overflows, scale)
        self.overflows = int(overflows)
        self._log_progress(per_step, record)

    def _log_progress(self, per_step: float, record: dict) -> None:
        now = time.monotonic()
        self.reports += 1
        # the first interval includes compilation, so it does not predict later steps
        self.pace = per_step if self.reports <= 2 else 0.7 * self.pace + 0.3 * per_step
        if self.reports > 1 and now - self.last_progress < PROGRESS_SECONDS:
            return
        done = 100 * self.state.step / self.state.total_step
        left = format_seconds((self.state.last_step - self.state.step) * self.pace)
        text = "%.1f %% done, about %s left, %.2f images/s, data wait %s, loss scale %g, %d overflows"
        logger.info(
            text, done, left, record["images_per_s"], wait_text(record), record["loss_scale"], record["overflows"]
        )
        self.last_progress = now


class NonFiniteGuard(Callback):
    """Stop a run whose loss or gradients stay non-finite for MAX_BAD_STREAK steps in a row; `advice` ends the error."""

    def __init__(self, state: TrainState, advice: str = "") -> None:
        super().__init__()
        self.state, self.advice = state, advice

    def on_train_step_end(self, run_context: Any) -> None:
        streak = self.state.bad_streak
        if streak >= MAX_BAD_STREAK:
            raise TrainingError(
                f"step {self.state.step}: loss or gradients were not finite for {streak} consecutive steps; "
                "try a lower --lr_init, a longer --warmup_step, or --ms_loss_scaler dynamic with --mix True"
                + self.advice
            )


class CheckpointSaver(Callback):
    """Write a checkpoint every `interval` steps, at the last step and before a requested stop.

    Args:
        state: progress of the run.
        train_cell: the cell whose parameters are saved.
        folder: folder of the checkpoints.
        interval: steps between two checkpoints.
        keep_max: number of numbered checkpoints to keep, the newest ones.
        run_info: returns the description of the run at a step.
    """

    def __init__(
        self,
        state: TrainState,
        train_cell: nn.Cell,
        folder: Path,
        *,
        interval: int,
        keep_max: int,
        run_info: Callable[[int], RunInfo],
    ) -> None:
        super().__init__()
        self.state, self.train_cell, self.folder = state, train_cell, folder
        self.interval, self.keep_max, self.run_info = interval, keep_max, run_info
        self.saved_step: int | None = None

    def is_due(self) -> bool:
        """Return whether a checkpoint is to be written after this step."""
        step = self.state.step
        return step % self.interval == 0 or step == self.state.last_step or self.state.stopping

    def on_train_step_end(self, run_context: Any) -> None:
        if self.is_due():
            self.save()

    def save(self) -> None:
        """Write the checkpoint of this step and remove the oldest ones beyond `keep_max`, on rank 0.

        The running statistics, which each rank computes from its own images, are first averaged over all ranks.
        """
        step, communicator = self.state.step, self.state.communicator
        if communicator.rank_size > 1:
            average_statistics(self.train_cell.statistics, communicator)
            check_equal_weights(self.train_cell.get_parameters(), communicator, step)
        self.saved_step = step
        if communicator.rank > 0:
            return
        path = self.folder / checkpoint_name(step)
        save_and_prune(training_parameters(self.train_cell, self.run_info(step)), path, self.keep_max)


class Evaluator(Callback):
    """Evaluate whenever a checkpoint was written, and keep the best one.

    Args:
        state: progress of the run.
        saver: writes the checkpoints; must come before this callback.
        evaluate: runs the evaluation; its argument is a function that returns whether to stop early.
        results_path: JSON lines file, appended to.
        shared: whether all ranks evaluate together, and therefore stop together; otherwise the other ranks learn of a
            signal only after their next step.
        protocol: name of the evaluation protocol; scores of another protocol, from before a resumption, do not count.
    """

    def __init__(
        self,
        state: TrainState,
        saver: CheckpointSaver,
        evaluate: Callable[[Callable[[], bool]], Evaluation],
        results_path: Path,
        *,
        shared: bool = True,
        protocol: str = "ss",
    ) -> None:
        super().__init__()
        self.state, self.saver, self.evaluate, self.shared = state, saver, evaluate, shared
        self.results_path, self.named = results_path, {} if protocol == "ss" else {"protocol": protocol}
        records = [record for record in read_json_lines(results_path) if record["step"] <= state.step]
        records = [record for record in records if record.get("protocol", "ss") == protocol]
        earlier = [record["miou"] for record in records if isinstance(record.get("miou"), float)]
        self.best = max(earlier, default=-math.inf)

    def on_train_step_end(self, run_context: Any) -> None:
        if self.saver.saved_step != self.state.step or self.state.stopping:
            return
        try:
            result = self.evaluate(self.state.asked_to_stop)
        except EvaluationInterruptedError:
            logger.info("evaluation abandoned")
            if self.shared:
                self.state.agree_on_stop()
            return
        if self.state.communicator.rank > 0:
            return
        miou = None if math.isnan(result.miou) else result.miou
        with side_file(self.results_path):
            record = {"step": self.state.step, "miou": miou, "pixel_accuracy": result.pixel_accuracy, **self.named}
            append_json(self.results_path, record)
        if result.miou > self.best:
            self.best = result.miou
            self._keep_best()

    def _keep_best(self) -> None:
        target = self.saver.folder / BEST_NAME
        copy_atomically(self.saver.folder / checkpoint_name(self.state.step), target)
        logger.info("best so far: %s", target)


class CurvePlotter(Callback):
    """Draw the learning curves whenever a checkpoint was written."""

    def __init__(self, state: TrainState, saver: CheckpointSaver, save_dir: Path) -> None:
        super().__init__()
        self.state, self.saver, self.save_dir = state, saver, save_dir

    def on_train_step_end(self, run_context: Any) -> None:
        if self.saver.saved_step == self.state.step:
            with side_file(self.save_dir / "curves.png"):
                write_curves(self.save_dir)


class StepEnd(Callback):
    """End a step: if a signal asked to stop, save a checkpoint of this step and stop. Must be the last callback."""

    def __init__(self, state: TrainState, saver: CheckpointSaver) -> None:
        super().__init__()
        self.state, self.saver = state, saver

    def on_train_step_end(self, run_context: Any) -> None:
        if self.state.stopping:
            if self.saver.saved_step != self.state.step:  # the signal came after the saver ran
                self.saver.save()
            run_context.request_stop()
        self.state.callbacks_done = time.monotonic()
