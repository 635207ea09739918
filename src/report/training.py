"""The report of a training: save the scores, and write the page with each checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mindspore.train.callback import Callback

from src.base.files import write_whole
from src.base.side_files import side_file
from src.config import schema
from src.evaluation.score_records import classes_of, json_bytes, scores_of
from src.report import NAME
from src.report.live import write_live_report
from src.report.runs import LATEST
from src.state.train_state import TrainState
from src.utils.callback import CheckpointSaver
from src.utils.metrics import Evaluation


class LiveReport(Callback):
    """Write ``report.html`` after each checkpoint; must come after the callbacks that evaluate and write metrics."""

    def __init__(self, state: TrainState, saver: CheckpointSaver, save_dir: Path) -> None:
        super().__init__()
        self.state, self.saver, self.save_dir = state, saver, save_dir

    def on_train_step_end(self, run_context: Any) -> None:
        if self.saver.saved_step == self.state.step:
            with side_file(self.save_dir / NAME):
                write_live_report(self.save_dir, ended=self.state.step == self.state.last_step or self.state.stopping)


def with_saved_scores(
    run: Callable[[Callable[[], bool]], Evaluation], config: schema.Config, state: TrainState, protocol: dict
) -> Callable[[Callable[[], bool]], Evaluation]:
    """Return `run`, an evaluation during training, extended so that rank 0 saves its scores for the report."""
    path = config.folder / LATEST

    def run_and_save(should_stop: Callable[[], bool]) -> Evaluation:
        result = run(should_stop)
        if state.communicator.rank == 0:
            record = {"step": state.step, **scores_of(result), **classes_of(config)}
            with side_file(path):
                write_whole(path, json_bytes({**record, "images": result.images, "protocol": protocol}))
        return result

    return run_and_save
