"""A command goes on when nobody reads what it prints; started as users do, through a pipe that is closed early."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from src.base.environment import check_environment
from src.base.errors import UserError
from tests.dataset_helpers import write_generic
from tests.run_helpers import ROOT, command

pytestmark = pytest.mark.once

OPTIONS = ("--config", ROOT / "config" / "bisenetv2_tiny.yml")


@pytest.fixture(scope="module")
def check(tmp_path_factory) -> list[str]:
    """The command that checks a data set without faults and prints some lines."""
    root = write_generic(tmp_path_factory.mktemp("data"))
    return command("scripts/check_dataset.py", *OPTIONS, f"data.dataset_dir={root}")


def run(words: list[str], end: str, folder: Path) -> subprocess.CompletedProcess:
    """Run a command in a shell that goes on with `end`; the command's own exit code goes to the file "code"."""
    line = f'{{ "$@" {end}'
    return subprocess.run(["bash", "-c", line, "-", *words], cwd=folder, capture_output=True, text=True, check=False)


GONE = {
    "a reader that leaves": "; echo $? > code; } | head -n 1",
    "both streams to it": "2>&1; echo $? > code; } 2>&1 | head -n 1",
    "closed": ">&-; echo $? > code; }",
    "all closed": "<&- >&- 2>&-; echo $? > code; }",
}


@pytest.mark.parametrize("how", GONE)
def test_the_verdict_stays(check, tmp_path, how):
    """The report is written, too, as it is without a reader."""
    done = run([*check, "--json", "report.json"], GONE[how], tmp_path)
    assert (done.stderr, (tmp_path / "code").read_text()) == ("", "0\n")
    assert '"val"' in (tmp_path / "report.json").read_text()
    assert done.stdout.count("\n") == (1 if "head" in GONE[how] else 0)


def test_a_mistake_has_its_code_without_anybody_to_hear_it(check, tmp_path):
    run([*check, "total_step=0"], "2>&-; echo $? > code; }", tmp_path)
    assert (tmp_path / "code").read_text() == "2\n"


def test_a_log_goes_on_in_its_file(tmp_path):
    """What training and evaluation do: a thousand lines to both, of which the console's reader takes one."""
    script = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "import logging, pathlib, time\n"
        "from src.base.streams import drop_lost_output\n"
        "from src.utils.entry import run_entry\n"
        "from src.utils.logger import setup_logging\n"
        "def main(argv):\n"
        "    setup_logging(pathlib.Path('.').resolve())\n"
        "    for i in range(1000): logging.info('line %d', i); print('x' * 100)\n"
        "    logging.error('wrong')\n"
        "    return 7\n"
        "drop_lost_output()\n"
        "run_entry(main)\n"
    )
    done = run([sys.executable, "-c", script], "2>&1; echo $? > code; } 2>&1 | head -n 1", tmp_path)
    assert (done.stderr, (tmp_path / "code").read_text()) == ("", "7\n")
    log = (tmp_path / "logs" / "rank_0.log").read_text().splitlines()
    assert [line.split("] ")[1] for line in log] == [*(f"line {i}" for i in range(1000)), "wrong"]


def test_no_file_takes_the_place_of_a_stream_that_was_closed(tmp_path):
    script = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from src.base.streams import drop_lost_output\n"
        "drop_lost_output()\n"
        "file = open('mine', 'w')\n"
        "print('not for the file', flush=True); sys.stderr.write('nor this')\n"
        "import os; os.write(1, b'from a library'); os.write(2, b'and another')\n"
        "file.write('mine')\n"
    )
    run([sys.executable, "-c", script], "<&- >&- 2>&-; echo $? > code; }", tmp_path)
    assert ((tmp_path / "mine").read_text(), (tmp_path / "code").read_text()) == ("mine", "0\n")


@pytest.mark.parametrize("unbuffered", [(), ("-u",)])
def test_what_is_read_arrives_as_it_is(unbuffered):
    script = (
        "from src.base.streams import drop_lost_output\n"
        "drop_lost_output()\n"
        "import os, sys\n"
        "print('ä 1'); sys.stdout.flush(); os.write(1, b'2\\n'); sys.stdout.buffer.write(b'3\\n')\n"
        "sys.stdout.flush(); print('\\udcff 4'); print('5', file=sys.stderr)\n"
    )
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8:surrogateescape"}
    done = subprocess.run(
        [sys.executable, *unbuffered, "-c", script], cwd=ROOT, env=environment, capture_output=True, check=True
    )
    assert done.stdout == "ä 1\n2\n3\n".encode() + b"\xff 4\n"
    assert done.stderr == b"5\n"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DEVICE_ID", "-1"),
        ("DEVICE_ID", "x"),
        ("DEVICE_ID", "4294967296"),
        ("DEVICE_ID", "9" * 30),
        ("GLOG_v", "-1"),
        ("GLOG_v", "x"),
        ("GLOG_stderrthreshold", "5"),
        ("GLOG_logtostderr", "2"),
        ("GLOG_logtostderr", "0"),
    ],
)
def test_variables_with_which_mindspore_does_not_load(name, value):
    with pytest.raises(UserError, match=f"^environment variable {name} ") as error:
        check_environment({name: value})
    assert re.search("unset it$", str(error.value))


def test_other_variables_pass():
    for value in ("", "0", "7", "007", " 1 ", "2147483647"):
        check_environment({"DEVICE_ID": value})
    check_environment({"GLOG_v": "4", "GLOG_stderrthreshold": "0", "GLOG_logtostderr": "0", "GLOG_log_dir": "/tmp"})
    check_environment({"GLOG_v": "", "GLOG_logtostderr": "1"})


INTERRUPTED = """
import sys
from src.base.streams import drop_lost_output
drop_lost_output()

def trace(frame, event, arg):
    if event == "return":  # the exception of a signal that comes when all is written
        sys.settrace(None)
        raise KeyboardInterrupt
    return trace if frame.f_code.co_name == "write" else None

sys.settrace(trace)
try:
    sys.stdout.write("here\\n")
    sys.stdout.flush()
except KeyboardInterrupt:
    print("and there", flush=True)
"""


@pytest.mark.parametrize("words", [[], ["-u"]])
def test_what_a_signal_interrupts_is_written_once(words):
    command = [sys.executable, *words, "-c", INTERRUPTED]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "here\nand there\n"
