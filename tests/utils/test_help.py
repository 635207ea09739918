"""What a newcomer types first: ``--help`` of every script, and a script in a Python that has none of the packages."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.run_helpers import ROOT

pytestmark = pytest.mark.once
SHELL_SCRIPTS = sorted(path.name for path in (ROOT / "scripts").glob("*.sh"))


def run(words: list[str], cwd: Path) -> subprocess.CompletedProcess:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("script", SHELL_SCRIPTS)
def test_a_shell_script_explains_itself(script, tmp_path):
    done = run(["bash", str(ROOT / "scripts" / script), "--help"], tmp_path)
    comments = []
    for line in (ROOT / "scripts" / script).read_text().splitlines()[1:]:
        if not line.startswith("#"):
            break
        comments.append(line[1:].strip())
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.strip() for line in done.stdout.splitlines()]
    if script == "ascend310_inference.sh":  # another name, which says what the script itself says
        assert lines[0].startswith("Usage: bash scripts/ascend_310_infer.sh")
    else:
        assert lines == comments
    assert not list(tmp_path.iterdir())


def test_the_help_is_found_from_the_folder_of_the_scripts():
    done = run(["bash", "run_tests.sh", "-h"], ROOT / "scripts")
    assert done.stdout.startswith("Usage: bash scripts/run_tests.sh")
    assert done.returncode == 0


WITHOUT_PARSER = ["check_requirements.py", "run_rank.py", "convert_to_lite.py", "lite_wheel_converter.py"]


@pytest.mark.parametrize("script", WITHOUT_PARSER)
def test_a_script_without_options_of_its_own_explains_itself(script, tmp_path):
    done = run([sys.executable, str(ROOT / "scripts" / script), "--help"], tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{script} " in done.stdout


def test_a_requirements_file_that_is_not_there(tmp_path):
    done = run([sys.executable, str(ROOT / "scripts/check_requirements.py"), "no.txt"], tmp_path)
    assert (done.returncode, done.stderr) == (2, "error: no.txt: no such file; --help says how to call this\n")


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory) -> str:
    """An interpreter with the standard library alone."""
    folder = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    return str(folder / "bin" / "python")


ENTRIES = [f"{name}.py" for name in ("train", "eval", "export", "preprocess", "postprocess")]
OTHERS = [
    path.name for path in (ROOT / "scripts").glob("*.py") if path.name not in (*WITHOUT_PARSER, "launch_ranks.py")
]


@pytest.mark.parametrize("script", [*ENTRIES, *sorted(f"scripts/{name}" for name in OTHERS)])
def test_missing_packages_are_one_line(bare_python, script, tmp_path):
    done = run([bare_python, str(ROOT / script), "--help"], tmp_path)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith(f"error: {bare_python} has no package ")
    assert done.stderr.endswith("python -m pip install -r requirements.txt\n")
    assert done.stderr.count("\n") == 1


def test_another_missing_module_is_a_bug(bare_python, tmp_path):
    code = "import sys; sys.argv = ['x']; from src.base.missing_packages import explain_missing_packages as explain\n"
    code += "from pathlib import Path; explain(Path('.')); import no_such_module"
    done = run([bare_python, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{code}"], tmp_path)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
