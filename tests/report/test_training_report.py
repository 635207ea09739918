"""The report of a training, with each checkpoint, driven by hand."""

from __future__ import annotations

import json
import logging
import re
from types import SimpleNamespace

import numpy as np

from src.report.training import LiveReport, with_saved_scores
from src.state.train_state import TrainState
from src.utils.metrics import Evaluation
from tests.report_helpers import make_config, write_training


def embedded(path):
    text = path.read_text(encoding="utf-8")
    return json.loads(re.search(r'<script type="application/json" id="page">(.*?)</script>', text, re.DOTALL)[1])


def version(folder):
    text = (folder / "report_files" / "state.js").read_text(encoding="utf-8")
    return re.fullmatch(r'bisenetReport\.arrived\("(\d+)"\);\n', text)[1]


def test_it_is_written_with_each_checkpoint_and_says_when_the_training_has_ended(tmp_path):
    write_training(tmp_path)
    state, saver = TrainState(0, 30), SimpleNamespace(saved_step=None)
    report, seen = LiveReport(state, saver, tmp_path), []
    for state.step in range(1, 31):
        if state.step % 10 == 0:
            saver.saved_step = state.step
        report.on_train_step_end(None)
        if saver.saved_step == state.step:
            seen.append((embedded(tmp_path / "report.html")["live"], version(tmp_path)))
        else:
            assert (tmp_path / "report.html").exists() == bool(seen)
    assert len({number for _, number in seen}) == 3
    assert [live for live, _ in seen] == [{"state": "report_files/state.js", "version": v} for _, v in seen[:2]] + [
        None
    ]


def test_what_cannot_be_written_is_a_warning(tmp_path, caplog):
    write_training(tmp_path)
    (tmp_path / "report.html").mkdir()
    state = TrainState(5, 30)
    LiveReport(state, SimpleNamespace(saved_step=5), tmp_path).on_train_step_end(None)
    (record,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "report.html" in record.getMessage()
    assert "the run goes on without it" in record.getMessage()


def test_the_latest_scores_are_kept_by_rank_0(tmp_path):
    counts = np.array([[5, 1, 0, 0], [0, 4, 0, 0], [0, 0, 0, 0], [2, 0, 0, 3]])
    result = Evaluation(7, 0.5, np.array([0.7, 0.8, np.nan, 0.6]), 0.8, 1.0, counts)
    protocol = {"flip": False}
    for rank in (1, 0):
        state = TrainState(20, 30, SimpleNamespace(rank=rank))
        run = with_saved_scores(lambda should_stop: result, make_config(tmp_path), state, protocol)
        assert run(lambda: False) is result
        assert (tmp_path / "latest_evaluation.json").exists() == (rank == 0)
    record = json.loads((tmp_path / "latest_evaluation.json").read_text(encoding="utf-8"))
    assert record.pop("class_names")[2].startswith("汽车")
    assert len(record.pop("class_colors")) == 4
    assert record == {
        "step": 20,
        "miou": 0.5,
        "iou": [0.7, 0.8, None, 0.6],
        "pixel_accuracy": 0.8,
        "confusion_matrix": counts.tolist(),
        "images": 7,
        "protocol": protocol,
    }
