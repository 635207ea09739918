"""Progress bars on a real pseudo-terminal: what is to be seen at every moment, and that nothing of it stays."""

from __future__ import annotations

import logging
import os
import re
import signal
import threading
import time
import unicodedata
from types import SimpleNamespace

import pytest

from src.base import log_handlers, progress, progress_bar
from src.base.progress import Progress
from tests.dataset_helpers import write_generic
from tests.run_helpers import ROOT, run_script
from tests.terminal_helpers import Screen, start_on, terminal

pytestmark = pytest.mark.once
BAR = re.compile(r"\[#*\.*\]")


@pytest.fixture
def shown(monkeypatch):
    """A terminal that is standard output and standard error; every step is drawn."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(progress_bar, "REDRAW_SECONDS", 0)
    with terminal() as found:
        monkeypatch.setattr(progress_bar, "sys", SimpleNamespace(stderr=found.stream))  # pytest sets sys.stderr itself
        yield found
        assert progress_bar._bars == []


@pytest.fixture
def console(shown):
    """The log on that terminal, as `setup_logging` makes it for rank 0."""
    yield from attach(log_handlers.ConsoleHandler(shown.stream, "the log"))


def attach(handler, level=logging.INFO):
    root = logging.getLogger()
    before = root.level
    handler.setLevel(level)
    root.setLevel(logging.INFO)
    root.addHandler(handler)
    yield handler
    root.removeHandler(handler)
    root.setLevel(before)


def seen(shown, width=80):
    return Screen(width).feed(shown.read()).lines()


def test_it_counts_and_vanishes(shown):
    with Progress(4, "made", "pictures") as loop:
        assert seen(shown) == [f"made 0/4 pictures [{'.' * 40}] 0 %"]
        loop.advance()
        assert seen(shown) == [f"made 1/4 pictures [{'#' * 10}{'.' * 30}] 25 %"]
        loop.advance()
        (line,) = seen(shown)
        assert re.fullmatch(r"made 2/4 pictures \[#+\.+\] 50 %, 0:00:00 left, [\d.]+ pictures/s", line)
        loop.advance()
        loop.advance()
        assert "4/4" in seen(shown)[0]
    assert seen(shown) == []


def test_a_log_line_stands_above_it(shown, console):
    with Progress(3, "made") as loop:
        loop.advance()
        logging.getLogger("x").warning("a line")
        assert [BAR.sub("", line) for line in seen(shown)] == ["a line", "made 1/3 images  33 %"]
        logging.getLogger("x").error("b")
        loop.advance()
        first, second, third = seen(shown)
        assert [first, second, third[:8]] == ["a line", "b", "made 2/3"]
    assert seen(shown) == ["a line", "b"]


def test_lines_of_threads_do_not_meet(shown, console):
    def log(name):
        for number in range(20):
            logging.getLogger("x").warning("%s-%d", name, number)

    threads = [threading.Thread(target=log, args=(name,)) for name in "abc"]
    with Progress(50, "made") as loop:
        for thread in threads:
            thread.start()
        for _ in range(50):
            loop.advance()
        for thread in threads:
            thread.join()
    assert sorted(seen(shown)) == sorted(f"{name}-{number}" for name in "abc" for number in range(20))


def test_what_others_write_begins_at_the_left(shown):
    with Progress(3, "made") as loop:
        loop.advance()
        os.write(shown.stream.fileno(), b"[WARNING] of a library" + b" " * 60 + b"\n")
        loop.advance()
        assert seen(shown)[0] == "[WARNING] of a library"
        assert seen(shown)[-1].startswith("made 2/3")


def test_of_two_the_inner_one_is_seen(shown):
    with Progress(10, "outer") as outer:
        outer.advance()
        with Progress(2, "inner") as inner:
            inner.advance()
            assert seen(shown)[0].startswith("inner 1/2")
            outer.advance()
            assert len(seen(shown)) == 1
            assert seen(shown)[0].startswith("inner 1/2")
        assert seen(shown)[0].startswith("outer 2/10")


@pytest.mark.parametrize("width", [1, 7, 20, 40, 79, 200])
def test_it_keeps_to_the_width(shown, width):
    shown.resize(width)
    with Progress(1234, "evaluated") as loop:
        for _ in range(3):
            loop.advance()
        (line,) = seen(shown, width) or [""]
        assert len(line) < width or width == 1
        assert ("3/1234"[: width - 1]) in line


def test_40_columns_show_what_matters(shown):
    shown.resize(40)
    with Progress(500, "evaluated") as loop:
        loop.advance()
        loop.advance()
        assert re.fullmatch(r"evaluated 2/500 .*0 %, \d:\d\d:\d\d left", seen(shown, 40)[0])


def test_a_terminal_made_narrower_keeps_no_rest(shown):
    with Progress(9, "made") as loop:
        loop.advance()
        loop.advance()
        before, (line,) = shown.read(), seen(shown)
        shown.resize(30)
        loop.advance()
        after = shown.read()[len(before) :]
        wrapped = Screen(30).feed(line)  # a terminal wraps what is there; the cursor stays in the cell where it was
        assert len(wrapped.lines()) > 1
        wrapped.row = wrapped.column = 0
        (line,) = wrapped.feed(after).lines()
        assert line.startswith("made 3/9")


def test_letters_of_two_cells_count_two(shown):
    shown.resize(30)
    with Progress(9, "汽车汽车汽车汽车\x1b[2J") as loop:
        loop.advance()
    for line in re.findall(r"\x1b\[J([^\r\x1b]+)\r", shown.read()):
        assert sum(1 + (unicodedata.east_asian_width(letter) == "W") for letter in line) < 30
    assert "\x1b[2J" not in shown.read()


@pytest.mark.parametrize("name", ["dumb", ""])
def test_a_terminal_that_cannot_gets_lines(shown, monkeypatch, name):
    monkeypatch.setenv("TERM", name)
    monkeypatch.setattr(progress, "PROGRESS_SECONDS", 0)
    lines = []
    with Progress(3, "made", say=lines.append) as loop:
        for _ in range(3):
            loop.advance()
    assert shown.read() == ""
    assert [line[:8] for line in lines] == ["made 2/3", "made 3/3"]


def test_it_has_no_colours(shown, console):
    with Progress(3, "made") as loop:
        loop.advance()
        logging.getLogger("x").warning("a line")
    assert set(re.findall(r"\x1b\[[^A-Za-z]*[A-Za-z]", shown.read())) == {"\x1b[J"}


def test_lines_go_to_files_and_not_beside_the_bar(shown, console, monkeypatch, tmp_path):
    monkeypatch.setattr(progress, "PROGRESS_SECONDS", 0)
    for _ in attach(log_handlers.FileHandler(str(tmp_path / "log"))):
        with Progress(4, "made") as loop:
            for _ in range(4):
                loop.advance()
                assert len(seen(shown)) == 1
    assert [line[:8] for line in (tmp_path / "log").read_text().splitlines()] == ["made 2/4", "made 3/4", "made 4/4"]
    lines = []
    with Progress(3, "made", say=lines.append) as loop:
        for _ in range(3):
            loop.advance()
    assert lines == []


def test_with_the_log_in_a_file_that_file_has_its_lines(shown, monkeypatch, tmp_path):
    """Standard output goes to a file, standard error to the terminal: each has what it had, and the bar."""
    monkeypatch.setattr(progress, "PROGRESS_SECONDS", 0)
    with (tmp_path / "out").open("w") as stream:
        for _ in attach(log_handlers.ConsoleHandler(stream, "the log")):
            with Progress(3, "made") as loop:
                loop.advance()
                loop.advance()
                assert seen(shown)[0].startswith("made 2/3")
    assert (tmp_path / "out").read_text().startswith("made 2/3 images, about 0:00:00 left, ")


def test_other_ranks_draw_none(shown):
    """They log errors alone on the console."""
    for _ in attach(log_handlers.ConsoleHandler(shown.stream, "errors"), logging.ERROR):
        with Progress(3, "made") as loop:
            loop.advance()
    assert shown.read() == ""


def test_a_terminal_that_is_gone_harms_nothing(shown):
    with Progress(3, "made") as loop:
        loop.advance()
        os.close(shown.master)
        loop.advance()
    assert loop.done == 2


def test_an_unknown_total_and_none_at_all(shown):
    with Progress(0, "read", "frames") as loop:
        loop.advance()
        loop.advance()
        assert re.fullmatch(r"read 2 frames, [\d.]+ frames/s", seen(shown)[0])
    assert seen(shown) == []


def test_a_child_that_was_forked_off_leaves_it_alone(shown, console):
    with Progress(3, "made") as loop:
        loop.advance()
        before = shown.read()
        child = os.fork()
        if not child:
            loop.advance()
            with progress_bar.hidden():
                pass
            loop.__exit__()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert shown.read() == before


LOOP = """
import sys, time
from src.base.progress import Progress
from src.utils.entry import run_entry
def main(argv):
    with Progress(10000, "made") as loop:
        while True:
            loop.advance()
            time.sleep(0.02)
run_entry(main)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_its_line_alone(number):
    with terminal() as shown:
        process = start_on(shown, LOOP, cwd=ROOT)
        end = time.monotonic() + 60
        while not re.search("made [1-9]", shown.read()):
            assert process.poll() is None, shown.text
            assert time.monotonic() < end
        if number == signal.SIGINT:
            os.write(shown.master, b"\x03")  # as a person presses it
        else:
            process.send_signal(number)
        assert process.wait(60) == 128 + number
        lines = seen(shown)
    assert lines == [f"stopped by signal {int(number)} ({signal.Signals(number).name})"]


def test_a_script_leaves_on_a_terminal_what_it_writes_to_a_pipe(tmp_path):
    options = ["--dataset_dir", str(write_generic(tmp_path)), "data.name=generic", "num_classes=3"]
    options += ["data.map_label=null"]
    piped = run_script("scripts/check_dataset.py", *options)
    assert "\x1b" not in piped.stdout + piped.stderr
    with terminal(300) as shown:
        code = f"from scripts.check_dataset import main\nmain({options!r})"
        assert start_on(shown, code, cwd=ROOT).wait(60) == 0
        assert "train: 0/6 pairs [" in shown.read()
        assert seen(shown, 300) == piped.stdout.splitlines()
