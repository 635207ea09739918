"""Training and evaluation by two processes: the same as by one, with every launcher, and whatever becomes of a rank."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from src.state import checkpoint
from src.utils.local_adapter import mindspore_version
from tests.dataset_helpers import write_cityscapes
from tests.run_helpers import ROOT, command, keep_graphs, read_metrics, run_script, tiny_options
from tests.run_helpers import SETTINGS_OF_RANKS as SETTINGS
from tests.run_helpers import STEPS_OF_RANKS as STEPS

EXACT = ("loss", "loss_main", "loss_aux2", "loss_aux3", "loss_aux4", "loss_aux5_4", "lr", "loss_scale", "overflows")
HAS_MSRUN = mindspore_version() >= (2, 3)
FIRST = "msrun" if HAS_MSRUN else "cluster"  # the launcher of the undisturbed run
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("only_job")]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    return write_cityscapes(tmp_path_factory.mktemp("data"), {"train": 10, "val": 47})


def options_for(dataset: Path) -> list[str]:
    """Return the options of a tiny run, without those that the launching script gives."""
    return [option for option in tiny_options(dataset) if not option.startswith("batch_size")]


def variables(launcher: str | None = None) -> dict[str, str]:
    """Return this process's variables without those of a job, with the programs of this interpreter on PATH."""
    prefixes = ("OMPI_", "PMIX_", "MS_", "RANK_")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(prefixes)}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    return {**environment, **({"LAUNCHER": launcher} if launcher else {})}


def start_job(launcher: str, save_dir: Path, *options: object, **more: str) -> subprocess.Popen:
    """Start a training on two processes with two images each; `more` are further variables."""
    words = ["bash", ROOT / "scripts" / "run_distribute_train.sh", 2, 2, save_dir, *options]
    if launcher in ("msrun", "cluster"):
        words += ["--master_port", 20000 + os.getpid() % 20000]
    environment = {**variables(launcher), **more}
    return subprocess.Popen(
        list(map(str, words)), env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def finish(process: subprocess.Popen, patience: float = 300) -> str:
    """Wait for a job that must succeed; return what it printed."""
    text, _ = process.communicate(timeout=patience)
    assert process.returncode == 0, text[-4000:]
    return text


def weights(save_dir: Path, step: int) -> dict[str, np.ndarray]:
    return checkpoint.read_checkpoint(save_dir / "checkpoints" / checkpoint.checkpoint_name(step))


def digests(save_dir: Path, rank: int) -> list[str]:
    text = (save_dir / "logs" / f"rank_{rank}.log").read_text(encoding="utf-8")
    return re.findall(r"digest of the weights after step (\d+: \w{64})", text)


@pytest.fixture(scope="module")
def straight(tmp_path_factory, dataset, two_rank_graphs, only_job) -> Path:
    """Undisturbed steps with msrun where there is one, evaluated on the way."""
    save_dir = tmp_path_factory.mktemp("straight") / "run"
    text = finish(start_job(FIRST, save_dir, *SETTINGS, "--run_eval", "True", *options_for(dataset), **two_rank_graphs))
    assert f"launcher: {FIRST}, 2 devices on 1 machine, 2 images a device, 4 in total" in text
    assert "batch: 2 images a device, 2 devices, 4 in total" in text
    shape = r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} \[INFO\] step 12/12, loss: \d+\.\d{4}, cur_lr: \d\.\d{6}, cost \d+"
    assert len(re.findall(shape + r"\.\d\d ms$", text, re.MULTILINE)) == 1  # rank 0 alone has the console
    (own, largest) = map(int, re.search(r"so far: (\d+) MB \(host\); of all 2 ranks at most (\d+) MB", text).groups())
    assert 100 < own <= largest < 10_000
    return save_dir


def test_all_ranks_have_the_same_weights_and_rank_0_writes(straight):
    assert len(digests(straight, 0)) == 3
    assert digests(straight, 0) == digests(straight, 1)
    assert sorted(read_metrics(straight)) == list(range(1, STEPS + 1))
    names = sorted(path.name for path in (straight / "checkpoints").iterdir())
    assert names == sorted([*(checkpoint.checkpoint_name(step) for step in (4, 8, 12)), checkpoint.BEST_NAME])
    evaluations = (straight / "evaluations.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["step"] for line in evaluations] == [4, 8, 12]
    assert (straight / "curves.png").is_file()


def test_parallel_evaluation_equals_that_of_one_process(straight, dataset, tmp_path):
    """47 images, so that the ranks have different numbers of them; in eval.py as in training.

    The one process gets as many cores as each rank: on another number MindSpore rounds otherwise.
    """
    path = straight / "checkpoints" / checkpoint.checkpoint_name(STEPS)
    options = ["--checkpoint_path", path, "--single_scale", "True", *options_for(dataset)]
    cores = sorted(os.sched_getaffinity(0))
    share = cores[: max(1, len(cores) // 2)]
    run_script("eval.py", *options, "--save_dir", tmp_path / "one", preexec_fn=lambda: os.sched_setaffinity(0, share))
    mpirun = ["mpirun", "--allow-run-as-root", "-n", "2", "--bind-to", "none", "--oversubscribe"]
    own = ["--save_dir", tmp_path / "two", "--save_predictions", tmp_path / "predictions"]
    words = [*mpirun, *command("eval.py", *options, *own)]
    done = subprocess.run(words, env=variables(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    one, two = (json.loads((tmp_path / name / "eval.json").read_text(encoding="utf-8")) for name in ("one", "two"))
    assert one == two
    assert one["images"] == 47
    assert len(list((tmp_path / "predictions").iterdir())) == 47
    last = json.loads((straight / "evaluations.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    assert (last["miou"], last["pixel_accuracy"]) == (one["miou"], one["pixel_accuracy"])


def test_a_killed_rank_ends_the_job_which_resumes_exactly(straight, dataset, two_rank_graphs, tmp_path):
    """kill -9 in the middle under mpirun, then resumed with mpirun: the losses of the undisturbed run by msrun."""
    save_dir = tmp_path / "run"
    options = [*SETTINGS, *options_for(dataset)]
    process = start_job("mpirun", save_dir, *options, **two_rank_graphs)
    lines, killed = [], None
    for line in process.stdout:
        lines.append(line)
        if f"step 5/{STEPS}" in line:
            os.kill(rank_process(save_dir, 1), signal.SIGKILL)
            killed = time.monotonic()
            break
    rest, _ = process.communicate(timeout=100)
    text = "".join(lines) + rest
    assert killed, text[-6000:]
    assert process.returncode != 0
    while processes_of(save_dir) and time.monotonic() - killed < 60:
        time.sleep(0.2)
    assert time.monotonic() - killed < 60
    assert re.search(
        r"error: rank 1 of 2 on \S+ \(process \d+\) ended by signal 9 \(SIGKILL\); the end of \S+rank_1", text
    )
    assert not processes_of(save_dir)
    step, path = checkpoint.list_checkpoints(save_dir / "checkpoints")[-1]
    assert step in (4, 8)
    finish(start_job("mpirun", save_dir, "--resume_ckpt", path, *options, **two_rank_graphs))
    expected, actual = read_metrics(straight), read_metrics(save_dir)
    for number in range(1, STEPS + 1):
        for name in EXACT:
            assert actual[number][name] == expected[number][name], (number, name)
    one, two = weights(straight, STEPS), weights(save_dir, STEPS)
    for name in one:
        np.testing.assert_array_equal(one[name], two[name], err_msg=name)


@pytest.mark.once
def test_a_job_goes_on_through_a_killed_and_a_stopped_rank(straight, dataset, two_rank_graphs, tmp_path):
    """Left alone overnight: kill -9, then SIGSTOP, and in the end the weights of the undisturbed run."""
    save_dir = tmp_path / "run"
    overnight = ["--restarts", 2, "--hang_minutes", 0.5]
    process = start_job(FIRST, save_dir, *overnight, *SETTINGS, *options_for(dataset), **two_rank_graphs)
    lines, waiting = [], [(5, signal.SIGKILL), (9, signal.SIGSTOP)]
    for line in process.stdout:
        lines.append(line)
        if waiting and f"step {waiting[0][0]}/{STEPS}" in line:
            beat = (save_dir / "logs" / "rank_1.beat").read_text(encoding="utf-8")
            os.kill(int(beat.split()[1]), waiting.pop(0)[1])
    text = "".join(lines)
    assert (process.wait(timeout=120), waiting) == (0, []), text[-6000:]
    assert re.search(r"the job ended with exit code \d+; restart 1 of 2", text)
    assert "the job ended with exit code 75; restart 2 of 2" in text
    for rank in (0, 1):
        assert "in run_training" in (save_dir / "logs" / f"rank_{rank}.stacks").read_text(encoding="utf-8")
    assert not processes_of(save_dir)
    one, two = weights(straight, STEPS), weights(save_dir, STEPS)
    assert one.keys() == two.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], two[name], err_msg=name)


def processes_of(save_dir: Path) -> dict[int, str]:
    """Return the command line of every process that names the folder of the run, and of every scheduler and relay."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if str(save_dir) in words or "src.launch.scheduler_process" in words or "src.launch.relay" in words:
                found[int(entry.name)] = words
    return found


def rank_process(save_dir: Path, rank: int) -> int:
    """Return the process of train.py that has the rank."""
    for number, words in processes_of(save_dir).items():
        environment = (Path("/proc") / str(number) / "environ").read_bytes().decode(errors="replace").split("\0")
        if "run_rank.py" not in words and f"OMPI_COMM_WORLD_RANK={rank}" in environment and "train.py" in words:
            return number
    raise AssertionError("no such rank")


def test_two_processes_train_as_one_with_the_total_batch(dataset, tmp_path):
    """With batch normalisation frozen nothing is left that differs: losses and weights agree up to rounding.

    So one process may go on where two have stopped.
    """
    settings = ["--total_step", 10, "--log_interval", 1, "--checkpoint_interval", 5, "net_args.freeze_bn=True"]
    settings += ["data.map_label=null", *options_for(dataset)]
    alone = {"env": {**variables(), **keep_graphs(tmp_path / "graphs")}}
    run_script("train.py", "--batch_size", 4, "--save_dir", tmp_path / "one", *settings, **alone)
    finish(start_job("cluster", tmp_path / "two", *settings))
    one, two = read_metrics(tmp_path / "one"), read_metrics(tmp_path / "two")
    for step in range(1, 11):
        for name in EXACT:
            np.testing.assert_allclose(two[step][name], one[step][name], rtol=1e-5, atol=1e-9, err_msg=f"{step} {name}")
    first, second = (
        {name: value for name, value in weights(tmp_path / run, 10).items() if not checkpoint.is_training_state(name)}
        for run in ("one", "two")
    )
    assert first.keys() == second.keys()
    # Over all weights: a bias of batch normalisation alone is still so near 0 that rounding shows.
    flat, other = (np.concatenate([values[name].ravel() for name in first]) for values in (first, second))
    assert np.linalg.norm(other - flat) <= 1e-5 * np.linalg.norm(flat)
    assert np.abs(other - flat).max() <= 1e-5 * np.abs(flat).max()

    half = tmp_path / "three" / "checkpoints" / checkpoint.checkpoint_name(5)
    half.parent.mkdir(parents=True)
    shutil.copy(tmp_path / "two" / "checkpoints" / half.name, half)
    done = run_script("train.py", "--batch_size", 4, "--resume_ckpt", half, *settings, **alone)
    assert "not the same run" not in done.stdout
    resumed = read_metrics(tmp_path / "three")
    assert sorted(resumed) == list(range(6, 11))
    for step, record in resumed.items():
        np.testing.assert_allclose(record["loss"], two[step]["loss"], rtol=1e-5, err_msg=str(step))


def test_sigterm_stops_all_ranks_after_the_same_step(dataset, two_rank_graphs, tmp_path):
    process = start_job("mpirun", tmp_path / "run", *SETTINGS, *options_for(dataset), **two_rank_graphs)
    for line in process.stdout:
        if f"step 2/{STEPS}" in line:
            os.kill(rank_process(tmp_path / "run", 1), signal.SIGTERM)  # not even rank 0
            break
    text, _ = process.communicate(timeout=100)
    assert process.returncode == 128 + signal.SIGTERM, text[-3000:]
    step, path = checkpoint.list_checkpoints(tmp_path / "run" / "checkpoints")[-1]
    assert step < STEPS
    assert f"resume with the same options and --resume_ckpt {path}" in text
    assert digests(tmp_path / "run", 0) == digests(tmp_path / "run", 1)
    assert digests(tmp_path / "run", 0)[-1].startswith(f"{step}: ")


@pytest.mark.skipif(not HAS_MSRUN, reason="MindSpore has msrun, which joins two machines on the CPU, since 2.3")
def test_two_machines(dataset, two_rank_graphs, tmp_path):
    """Two network namespaces joined by a pair of virtual cards, one rank in each, msrun across them."""
    script = ROOT / "tests" / "two_machines.sh"
    probe = subprocess.run(["bash", script, "--probe"], capture_output=True, text=True, check=False)
    if probe.returncode:
        pytest.skip(f"no network namespaces here: {probe.stderr.strip() or 'ip and root are needed'}")
    words = ["bash", script, sys.executable, tmp_path / "run", *SETTINGS, *options_for(dataset)]
    environment = {**variables("msrun"), **two_rank_graphs}
    done = subprocess.run(list(map(str, words)), env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert sorted(read_metrics(tmp_path / "run")) == list(range(1, STEPS + 1))
    assert digests(tmp_path / "run", 0) == digests(tmp_path / "run", 1)
    assert "launcher: msrun, 2 devices on 2 machines" in done.stdout
    assert (
        not shutil.which("ip")
        or "bisenet" not in subprocess.run(["ip", "netns"], capture_output=True, text=True, check=False).stdout
    )
