"""Paths as users write them: the shell is the oracle for ~ and for where a relative name leads."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from src.base import claims
from src.base.errors import ConfigError
from src.base.paths import expand_path, fitting, path_argument, user_path, user_program
from src.data.eval_samples import unique_stems
from src.predict.inputs import list_inputs
from src.predict.video import legend_name
from tests.run_helpers import ROOT

pytestmark = pytest.mark.once


@pytest.mark.parametrize("text", ["~", "~/x", "~root/x y", "x/~", "./~x", "/a", "a//b/../c", "obs://b/c"])
def test_it_means_what_the_shell_makes_of_it(text, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    quoted = text.replace(" ", "\\ ")
    shell = subprocess.run(["bash", "-c", f"printf %s {quoted}"], capture_output=True, text=True, check=True)
    assert expand_path(text) == shell.stdout


@pytest.mark.parametrize("user", ["~nobody_is_called_so", "~"])
def test_no_such_home_is_one_line_with_a_way_out(user, monkeypatch):
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", lambda number: {}[number])  # this user is in no list
    with pytest.raises(ConfigError, match=r"write the whole path, or \./~\S*/x for a name that begins with ~") as error:
        user_path(f"{user}/x")
    assert "\n" not in str(error.value)


def test_a_program_is_found_from_where_the_user_is(tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    (tmp_path / "real").write_text("#!/bin/sh\necho here\n")
    (tmp_path / "real").chmod(0o755)
    (tmp_path / "bin" / "python9").symlink_to("../real")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"bin:{os.environ['PATH']}")
    for text in ("bin/python9", "~/bin/python9", "python9"):
        program = user_program(text)
        assert program == str(tmp_path / "bin" / "python9")  # the link, not what it leads to
        assert subprocess.run([program], cwd="/", capture_output=True, check=True).stdout == b"here\n"
    assert user_program("no-such-program") == "no-such-program"


@pytest.mark.parametrize("name", ["x" * 250 + ".png", "ä" * 130 + ".png", "x" * 300, "x." + "y" * 280, "x" * 240])
def test_a_long_name_fits_a_file_system(name, tmp_path):
    short = fitting(name, spare=30)
    (tmp_path / (short + "z" * 30)).touch()  # the file system is the judge
    assert short == fitting(name, spare=30) != fitting("_" + name, spare=30)
    assert Path(short).suffix == (".png" if name.endswith(".png") else "")


def test_a_name_that_fits_stays():
    assert fitting("x" * 251 + ".png") == "x" * 251 + ".png"


def test_results_of_pictures_with_long_names_can_be_written(tmp_path):
    """Two of one stem in each other's way, as predict.py and preprocess.py name their results."""
    pictures = tmp_path / "pictures"
    for name in ("x" * 251 + ".png", "x" * 251 + ".jpg", "y" * 250 + ".png"):
        (pictures / "a").mkdir(parents=True, exist_ok=True)
        (pictures / "a" / name).touch()
    names = [file.name for file in list_inputs(pictures)]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert len(set(names)) == 3
    (tmp_path / legend_name(Path("x" * 251 + ".mp4"))).touch()
    for folder in ("a", "b"):
        paths = [f"/{'d' * 200}/{folder}/{letter * 250}.png" for letter in "xy"] + [f"/e/{folder}/x.png"]
        stems = unique_stems([*paths, "/f/x.png", "/x.png"])
        assert len(set(stems)) == 5
        for stem in stems:
            (tmp_path / f"{stem}_pred_labelIds.png").touch()


def test_a_long_name_can_be_claimed(tmp_path):
    path = tmp_path / ("x" * 245 + ".json")
    claims.hold_file(path, "check", "--json")
    (claim,) = tmp_path.iterdir()
    again = "import sys; from src.base import claims; claims.hold_file(sys.argv[1], 'check', '--json')"
    done = subprocess.run([sys.executable, "-c", again, path], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "InUseError" in done.stderr
    claims.release_all()
    assert not list(tmp_path.iterdir())
    assert claim.name.endswith(".claim")


@pytest.mark.parametrize("text", ["~", "~/x y", "~root/x", "x/~", "./~x", ""])
def test_the_shell_scripts_take_it_alike_behind_an_equals_sign(text, tmp_path):
    """``--out=~/x`` comes as it is written; the same in the middle of a command is the shell's own to replace."""
    code = f". {ROOT}/scripts/setup_env.sh; out=$1; expand out; printf '%s' \"$out\""
    environment = {**os.environ, "HOME": str(tmp_path)}
    done = subprocess.run(["bash", "-c", code, "-", text], env=environment, capture_output=True, text=True, check=True)
    quoted = text.replace(" ", "\\ ")
    shell = subprocess.run(
        ["bash", "-c", f"printf %s {quoted}"], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == shell.stdout


def test_the_shell_scripts_refuse_a_user_who_is_not_there():
    code = f". {ROOT}/scripts/setup_env.sh; out=$1; expand out; echo not reached"
    words = ["bash", "-c", code, "-", "~nobody_is_called_so/x"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "no such home folder; write the whole path, or ./~nobody_is_called_so/x" in done.stderr


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "^model: expected the path of a file, got NoneType$"),
        (3, "^model: expected the path of a file, got int$"),
        (b"x", "^model: expected the path of a file, got bytes$"),
        ("", "^model: is empty; give the path of a file$"),
    ],
)
def test_an_argument_that_is_no_path(value, message):
    with pytest.raises(ConfigError, match=message):
        path_argument(value, "model")


def test_an_argument_may_begin_with_a_tilde():
    home = pwd.getpwuid(os.getuid()).pw_dir
    assert path_argument(Path("~/x"), "model") == Path(os.environ.get("HOME", home)) / "x"
