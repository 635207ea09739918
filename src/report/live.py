"""The report in the folder of a training, written again with each checkpoint: an open page notices and reloads."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mindspore.train.callback import Callback

from src.base.files import make_folder, write_whole
from src.base.side_files import side_file
from src.config import schema
from src.evaluation.score_records import as_text, classes_of, scores_of
from src.report.page import to_json
from src.report.pictures import FOLDER
from src.report.runs import LATEST, read_run
from src.report.sections import write_report
from src.state.train_state import TrainState
from src.utils.callback import CheckpointSaver
from src.utils.metrics import Evaluation

NAME = "report.html"
STATE = "state.js"


class LiveReport(Callback):
    """Write ``report.html`` whenever a checkpoint was written, after what the evaluation and the metrics add to it."""

    def __init__(self, state: TrainState, saver: CheckpointSaver, save_dir: Path) -> None:
        super().__init__()
        self.state, self.saver, self.save_dir = state, saver, save_dir

    def on_train_step_end(self, run_context: Any) -> None:
        if self.saver.saved_step == self.state.step:
            with side_file(self.save_dir / NAME):
                write_live_report(self.save_dir, ended=self.state.step == self.state.last_step or self.state.stopping)


def write_live_report(save_dir: Path, *, ended: bool) -> None:
    """Write the report of a training, and then the file that tells open pages so; where it has `ended`, it is the last.

    Raises:
        UserError: it cannot be read or written.
    """
    version = str(time.time_ns())
    live = None if ended else {"state": f"{FOLDER}/{STATE}", "version": version}
    write_report(save_dir / NAME, [read_run(save_dir)], live=live)
    make_folder(save_dir / FOLDER)
    write_whole(save_dir / FOLDER / STATE, f"bisenetReport.arrived({to_json(version)});\n".encode())


def keeping_scores(
    run: Callable[[Callable[[], bool]], Evaluation], config: schema.Config, state: TrainState, protocol: dict
) -> Callable[[Callable[[], bool]], Evaluation]:
    """Return `run`, an evaluation while training, so that rank 0 leaves its scores for the report."""
    path = Path(config.save_dir) / LATEST

    def run_and_keep(should_stop: Callable[[], bool]) -> Evaluation:
        result = run(should_stop)
        if state.others.rank == 0:
            record = {"step": state.step, **scores_of(result), **classes_of(config)}
            with side_file(path):
                write_whole(path, as_text({**record, "images": result.images, "protocol": protocol}))
        return result

    return run_and_keep
