"""How the entry scripts start, in an environment that is not as usual; each answer is that of the whole program."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from src.convert import converting
from src.distributed import scheduler
from tests.run_helpers import ROOT, run_script

SCRIPTS = ("train.py", "eval.py", "export.py", "preprocess.py", "postprocess.py")
OTHERS = sorted(
    f"scripts/{path.name}"
    for path in (ROOT / "scripts").glob("*.py")
    if "add_argument" in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("device", ["-1", "99999999999999999999"])
def test_a_device_number_that_ends_mindspore(device):
    """MindSpore's library aborts the process while it loads."""
    done = run_script("eval.py", "--checkpoint_path", "x.ckpt", check=False, env={**os.environ, "DEVICE_ID": device})
    assert done.returncode == 2
    expected = "a non-negative integer, the number of a device"
    assert done.stderr == (
        f"error: environment variable DEVICE_ID must be {expected}; got '{device}'; set it so, or unset it\n"
    )


@pytest.mark.once
@pytest.mark.parametrize("script", ["train.py", "postprocess.py"])
def test_a_script_finds_its_modules_on_a_safe_path(script, tmp_path):
    """From another folder, in which a module by the name of ours must not be taken for it."""
    (tmp_path / "src.py").write_text("raise SystemExit('taken from the working directory')")
    done = run_script(script, "--help", cwd=tmp_path, env={**os.environ, "PYTHONSAFEPATH": "1"})
    assert done.stdout.startswith("usage: ")
    assert script in done.stdout


@pytest.mark.once
@pytest.mark.skipif(sys.version_info < (3, 11), reason="this Python has no -P")
def test_the_other_scripts_do_so_by_their_first_lines():
    assert len(OTHERS) > 8
    for script in (*SCRIPTS, *OTHERS):
        lines = (ROOT / script).read_text(encoding="utf-8").splitlines()
        first = next(number for number, line in enumerate(lines) if line.startswith(("from src", "from tools")))
        assert any(line.startswith("sys.path.insert(0, str(Path(__file__).resolve()") for line in lines[:first]), script


@pytest.mark.once
def test_so_does_what_they_start(tmp_path, monkeypatch):
    """PyTorch's side of a conversion, and the scheduler of a job, both by ``python -m``."""
    monkeypatch.setenv("PYTHONSAFEPATH", "1")
    monkeypatch.chdir(tmp_path)
    program = tmp_path / "python9"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -c "import src.convert.torch_files; print(1 / 0)"\n')
    program.chmod(0o755)
    with pytest.raises(Exception, match="division by zero"):  # it got past the import
        converting.write_torch_file({}, tmp_path / "x.pth", str(program))
    port = scheduler.free_port()
    process = scheduler.start_scheduler(scheduler.LOOPBACK, port, 2, os.environ)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


@pytest.mark.once
def test_a_program_named_from_where_the_user_is(tmp_path):
    """``--torch_python bin/python``, whose process runs in the project's folder."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "python"
    program.write_text("#!/bin/sh\necho I was started >&2; exit 3\n")
    program.chmod(0o755)
    (tmp_path / "x.pth").write_bytes(b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.")
    words = ["--torch_file", "x.pth", "--output", "x.ckpt", "--torch_python", "bin/python"]
    done = run_script("scripts/convert_torch_checkpoint.py", *words, check=False, cwd=tmp_path)
    assert (done.returncode, done.stderr.split("] ")[1]) == (2, "I was started\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bin", "x.pth"]
