"""What a training does for its report: scores kept, and the page written with each checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mindspore.train.callback import Callback

from src.base.files import write_whole
from src.base.side_files import side_file
from src.config import schema
from src.evaluation.score_records import as_text, classes_of, scores_of
from src.report import NAME
from src.report.live import write_live_report
from src.report.runs import LATEST
from src.state.train_state import TrainState
from src.utils.callback import CheckpointSaver
from src.utils.metrics import Evaluation


class LiveReport(Callback):
    """Write ``report.html`` whenever a checkpoint was written, after what the evaluation and the metrics add to it."""

    def __init__(self, state: TrainState, saver: CheckpointSaver, save_dir: Path) -> None:
        super().__init__()
        self.state, self.saver, self.save_dir = state, saver, save_dir

    def on_train_step_end(self, run_context: Any) -> None:
        if self.saver.saved_step == self.state.step:
            with side_file(self.save_dir / NAME):
                write_live_report(self.save_dir, ended=self.state.step == self.state.last_step or self.state.stopping)


def keeping_scores(
    run: Callable[[Callable[[], bool]], Evaluation], config: schema.Config, state: TrainState, protocol: dict
) -> Callable[[Callable[[], bool]], Evaluation]:
    """Return `run`, an evaluation while training, so that rank 0 leaves its scores for the report."""
    path = config.folder / LATEST

    def run_and_keep(should_stop: Callable[[], bool]) -> Evaluation:
        result = run(should_stop)
        if state.communicator.rank == 0:
            record = {"step": state.step, **scores_of(result), **classes_of(config)}
            with side_file(path):
                write_whole(path, as_text({**record, "images": result.images, "protocol": protocol}))
        return result

    return run_and_keep
