"""Whole jobs as a cloud platform starts them, with a bucket that is a folder and can misbehave."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from src.state import checkpoint
from tests.cloud_helpers import REPLACEMENT
from tests.dataset_helpers import write_cityscapes
from tests.run_helpers import SETTINGS_OF_RANKS, command, keep_graphs, read_metrics, tiny_options
from tests.run_helpers import STEPS_OF_RANKS as STEPS

SETTINGS = [*SETTINGS_OF_RANKS, "--keep_checkpoint_max", 2]
# What a platform adds on its own account.
PLATFORM = ["--num_gpus=1", "--job_label", "nightly", "--init_method", "tcp://host:6666"]
pytestmark = [pytest.mark.slow, pytest.mark.once]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    return write_cityscapes(tmp_path_factory.mktemp("data"), {"train": 6, "val": 3})


class Platform:
    """A bucket, ``obs://b``, and a container with a folder for the job."""

    def __init__(self, root: Path) -> None:
        self.bucket, self.job, self.log = root / "buckets" / "b", root / "job", root / "moxing.log"
        for folder in (self.bucket, self.job):
            folder.mkdir(parents=True)
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("OMPI_", "PMIX_", "MS_"))},
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(REPLACEMENT),
            "FAKE_BUCKETS": str(self.bucket.parent),
            "FAKE_MOXING_LOG": str(self.log),
            "MA_JOB_DIR": str(self.job),
        }

    def rules(self, *entries: dict) -> None:
        """Let the bucket misbehave from now on."""
        self.environment["FAKE_MOXING"] = json.dumps(entries)

    def start(self, script: str, *options: object, ranks: int = 1) -> subprocess.Popen:
        """Start a job in a folder of its own, on as many ranks of one host."""
        words = command(script, "--modelarts", "True", *PLATFORM, *options)
        if ranks > 1:
            words = [*self.launcher(ranks), "python", *words[1:]]
        return subprocess.Popen(
            words, cwd=self.job, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def launcher(self, ranks: int) -> list[str]:
        """Return the command before the ranks' own: what MA_RUN_METHOD=msrun starts, mpirun where there is none."""
        if not shutil.which("msrun", path=self.environment["PATH"]):
            return ["mpirun", "--allow-run-as-root", "-n", str(ranks), "--oversubscribe"]
        port = 20000 + os.getpid() % 20000
        self.environment["MA_RUN_METHOD"] = "msrun"
        own = [f"--worker_num={ranks}", f"--local_worker_num={ranks}", f"--master_port={port}", "--join=True"]
        return ["msrun", *own, f"--log_dir={self.job / 'msrun_log'}"]

    def run(self, script: str, *options: object, expected: int = 0, **more: int) -> str:
        """Run a job to its end and return what it printed."""
        process = self.start(script, *options, **more)
        text, _ = process.communicate(timeout=300)
        assert process.returncode == expected, text[-4000:]
        return text

    def move(self, **variables: str) -> None:
        """Go to another machine, with nothing but the bucket."""
        shutil.rmtree(self.job)
        self.job.mkdir()
        self.environment.update(variables)

    def process_of(self, rank: int) -> int:
        """Return the process of train.py that has the rank."""
        for entry in Path("/proc").iterdir():
            try:
                words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
                variables = (entry / "environ").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            names = {f"RANK_ID={rank}", f"OMPI_COMM_WORLD_RANK={rank}"} & set(variables)
            own = f"MA_JOB_DIR={self.job}" in variables and "MS_ROLE=MS_SCHED" not in variables
            if own and names and any(word.endswith("train.py") for word in words) and "msrun" not in words[1]:
                return int(entry.name)
        raise AssertionError("no such rank")

    def downloads(self) -> list[str]:
        """Return the folders that were copied, one entry a copy."""
        lines = [line.split() for line in self.log.read_text(encoding="utf-8").splitlines()]
        return [words[2] for words in lines if words[1] == "copy_parallel"]

    def checkpoint(self, step: int) -> Path:
        return self.bucket / "out" / "checkpoints" / checkpoint.checkpoint_name(step)

    def saved(self) -> list[int]:
        """Return the steps whose checkpoints are in the bucket."""
        return [step for step, _ in checkpoint.list_checkpoints(self.bucket / "out" / "checkpoints")]

    def logged(self, rank: int) -> str:
        return (self.bucket / "out" / "logs" / f"rank_{rank}.log").read_text(encoding="utf-8")


@pytest.fixture
def platform(tmp_path) -> Platform:
    return Platform(tmp_path)


def options_for(dataset: Path) -> list[str]:
    """Return the options of a tiny run without a data set: the job's URL names it."""
    return [option for option in tiny_options(dataset) if not option.startswith("data.dataset_dir")]


def weights(run: Path, step: int = STEPS) -> dict[str, np.ndarray]:
    return checkpoint.read_checkpoint(run / "checkpoints" / checkpoint.checkpoint_name(step))


@pytest.fixture(scope="module")
def graphs(tmp_path_factory) -> dict[str, str]:
    """The variables for the jobs of STEPS steps on one device, which compile the same."""
    return keep_graphs(tmp_path_factory.mktemp("graphs"))


@pytest.fixture(scope="module")
def mounted(tmp_path_factory, dataset, graphs) -> Path:
    """A job that nothing disturbs, on mounted folders; there is no moxing."""
    platform = Platform(tmp_path_factory.mktemp("mounted"))
    platform.environment.update(graphs, PYTHONPATH="")
    run = platform.job / "mounted_output"
    urls = ["--data_url", dataset, "--train_url", run]
    text = platform.run("train.py", *urls, "--enable_modelarts", "True", *SETTINGS, *options_for(dataset))
    assert "arguments that were ignored: --num_gpus=1 --job_label nightly --init_method tcp://host:6666" in text
    assert "auto_resume: no checkpoint in" in text
    return run


def test_a_mounted_job_writes_into_the_mounted_folder(mounted, dataset):
    names = {path.relative_to(mounted).as_posix() for path in mounted.rglob("*") if path.is_file()}
    checkpoints = {f"checkpoints/{checkpoint.checkpoint_name(step)}" for step in (8, 12)}
    written = {"config.yml", "curves.png", "environment.json", "metrics.jsonl", "logs/rank_0.log"}
    assert names == checkpoints | written | {"report.html", "report_files/state.js"}
    log = (mounted / "logs" / "rank_0.log").read_text(encoding="utf-8")
    assert "arguments that were ignored: --num_gpus=1" in log  # logged before there was a file
    assert f"data_url: {dataset}" in log


def test_a_mounted_job_evaluates_and_exports(mounted, dataset, platform):
    """The checkpoint is the newest one of the training's folder; what is not given as a path goes to the output."""
    platform.environment["PYTHONPATH"] = ""
    urls = ["--data_url", dataset, "--ckpt_url", mounted]
    options = [*options_for(dataset), "--single_scale", "True", "--save_predictions", "predictions"]
    platform.run("eval.py", *urls, "--train_url", platform.job / "eval", *options)
    result = json.loads((platform.job / "eval" / "eval.json").read_text(encoding="utf-8"))
    assert result["images"] == 3
    assert result["checkpoint"] == str(mounted / "checkpoints" / checkpoint.checkpoint_name(STEPS))
    assert len(list((platform.job / "eval" / "predictions").iterdir())) == 3
    platform.run("export.py", *urls, "--train_url", platform.job / "model", *options_for(dataset))
    names = {path.name for path in (platform.job / "model").iterdir()}
    assert names == {"BiSeNetV2.mindir", "BiSeNetV2.json", "logs"}


def test_stopped_and_started_again_elsewhere(mounted, dataset, graphs, platform):
    """SIGTERM, then a second job with nothing but the bucket: the weights of the job that nothing disturbed."""
    shutil.copytree(dataset, platform.bucket / "data" / "cityscapes")  # one level below data_url
    urls = ["--data_url", "obs://b/data/", "--train_url", "obs://b/out/"]
    process = platform.start("train.py", *urls, *SETTINGS, *options_for(dataset))
    for line in process.stdout:
        if f"step 3/{STEPS}" in line:
            there = {path.name for path in (platform.bucket / "out").rglob("*")}
            assert {"config.yml", "rank_0.log"} <= there  # uploaded while it compiled
            process.send_signal(signal.SIGTERM)
    assert process.wait() == 128 + signal.SIGTERM
    step = platform.saved()[-1]
    assert 3 <= step < STEPS
    assert "stopped by signal 15" in platform.logged(0)

    platform.move(**graphs)
    partial = platform.bucket / "out" / "checkpoints" / checkpoint.checkpoint_name(STEPS - 1)
    partial.write_bytes(
        (platform.bucket / "out" / "checkpoints" / checkpoint.checkpoint_name(step)).read_bytes()[:9999]
    )
    text = platform.run("train.py", *urls, *SETTINGS, *options_for(dataset))
    assert f"renamed to {partial.name}.incomplete" in text
    assert f"after step {step}" in text
    expected, actual = weights(mounted), weights(platform.bucket / "out")
    assert expected.keys() == actual.keys()
    for name in expected:
        np.testing.assert_array_equal(expected[name], actual[name], err_msg=name)
    assert sorted(read_metrics(platform.bucket / "out")) == list(range(1, STEPS + 1))
    log = platform.logged(0)
    assert log.index("stopped by signal 15") < log.index("training finished")
    assert platform.saved() == [8, 12]

    text = platform.run("train.py", *urls, *SETTINGS, *options_for(dataset))
    assert f"training finished before, after step {STEPS}" in text
    text = platform.run("train.py", *urls, "--auto_resume", "False", *SETTINGS, *options_for(dataset), expected=2)
    assert "holds a run already" in text


def test_fine_tuning_whose_upload_fails(mounted, dataset, graphs, platform):
    """The newest checkpoint of a folder in the bucket; results that do not arrive are told, and the exit code is 2."""
    shutil.copytree(dataset, platform.bucket / "data")
    shutil.copytree(mounted / "checkpoints", platform.bucket / "earlier" / "checkpoints")
    platform.rules({"call": "copy", "match": "out/metrics.jsonl", "how": "fail"})
    urls = ["--data_url", "obs://b/data", "--train_url", "obs://b/out", "--checkpoint_url", "obs://b/earlier"]
    platform.environment.update(graphs)
    text = platform.run("train.py", *urls, *SETTINGS, *options_for(dataset), expected=2)
    assert f"checkpoint/{checkpoint.checkpoint_name(STEPS)}: " in text
    assert "fine-tuning from" in text
    assert "training finished" in text
    last = text.splitlines()[-1]
    assert "[ERROR] 1 of 9 files were not uploaded: cannot upload" in last
    assert "metrics.jsonl to obs://b/out/metrics.jsonl: the network said no; the results are in" in last
    assert platform.saved() == [8, 12]


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("fail", "cannot download obs://b/data: the network said no"),
        ("partial", "files did not arrive, the first one"),
        ("stall", "(transfer_timeout), given up"),  # of whichever process is first to give up
    ],
)
def test_a_failing_download_ends_both_ranks_with_the_reason(dataset, platform, how, reason):
    """Started one by one, as the platform does: no launcher ends the second rank when the first one fails."""
    shutil.copytree(dataset, platform.bucket / "data")
    platform.rules({"call": "copy_parallel", "how": how})
    urls = ["--data_url", "obs://b/data", "--train_url", "obs://b/out"]
    limit = 3 if how == "stall" else 60
    begin, processes = time.monotonic(), []
    for rank in (0, 1):
        platform.environment.update(
            MS_ROLE="MS_WORKER",
            MS_WORKER_NUM="2",
            RANK_ID=str(rank),
            DEVICE_ID=str(rank),
            MS_SCHED_HOST="127.0.0.1",
            MS_SCHED_PORT="8118",
        )
        processes.append(
            platform.start("train.py", *urls, *SETTINGS, "--transfer_timeout", limit, *options_for(dataset))
        )
    for process in processes:
        text, _ = process.communicate(timeout=60)
        assert process.returncode == 2
        errors = [line for line in text.splitlines() if "[ERROR]" in line]
        assert len(errors) == 1
        assert reason in errors[0]
    assert time.monotonic() - begin < 30


def test_two_ranks_share_one_download_of_an_archive(dataset, two_rank_graphs, platform, only_job):
    (platform.bucket / "data").mkdir()
    for name in ("leftImg8bit", "gtFine"):  # as the data set is published: an archive of the images, one of the labels
        with zipfile.ZipFile(platform.bucket / "data" / f"{name}_trainvaltest.zip", "w") as archive:
            for path in sorted((dataset / name).rglob("*.png")):
                archive.write(path, path.relative_to(dataset))
    urls = ["--data_url", "s3://b/data", "--train_url", "s3://b/out"]
    platform.rules({"call": "copy", "match": "out/checkpoints", "how": "slow"})
    platform.environment.update(two_rank_graphs)
    process = platform.start("train.py", *urls, *SETTINGS, *options_for(dataset), ranks=2)
    end = time.monotonic() + 240
    while time.monotonic() < end and not any("step 3/" in log.read_text() for log in platform.job.rglob("rank_0.log")):
        time.sleep(0.05)
    os.kill(platform.process_of(1), signal.SIGTERM)  # which has nothing to upload, and waits for the one that has
    process.communicate(timeout=240)
    assert process.returncode != 0, platform.logged(0)[-2000:]
    assert "batch: 2 images a device, 2 devices, 4 in total" in platform.logged(0)
    assert platform.downloads() == ["s3://b/data"]
    for rank in (0, 1):
        assert "stopped by signal 15" in platform.logged(rank)
        assert f"rank {rank} of 2" in platform.logged(rank)
    # By the first process of the host, which MindSpore 2.0 may give another rank than mpirun.
    assert (platform.logged(0) + platform.logged(1)).count("[INFO] unpacked ") == 2
    assert platform.saved()[-1] == int(re.search(r"stopped by signal 15 after step (\d+)", platform.logged(0))[1])
