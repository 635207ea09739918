"""What is around the code: linters, hooks, workflow, templates for reports and the citation agree with each other."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.run_helpers import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

pytestmark = pytest.mark.once

FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
OTHERS = (".pre-commit-config.yaml", ".github/workflows/ci.yml", "CITATION.cff")
WORKFLOW = ".github/workflows/ci.yml"
# Packages that mypy knows no types of; torch_network is that of tests/golden.
UNTYPED = {"mindspore.*", "mindspore_lite.*", "cv2.*", "torch.*", "torch_network", "google.protobuf.*"}
# What CONTRIBUTING.md asks of every report, and of those about numbers; commands and files it sets as code.
EVERY = ("command", "expected", "device", "operating system", "Python", "MindSpore", "CANN", "driver")
NUMBERS = ("scores", "data set", "split", "protocol", "speed")
FILES = {"`logs/rank_0.log`", "`config.yml`", "`bash scripts/run_demo.sh`"}
NUMBER_FILES = {"`eval.json`", "`python scripts/benchmark.py`"}
CHINESE = (
    "完整的命令",
    "期望",
    "设备",
    "操作系统",
    "Python",
    "MindSpore",
    "CANN",
    "驱动",
    "数据集",
    "划分",
    "评估协议",
)


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def parsed(name: str | Path) -> Any:
    return yaml.safe_load(read(str(name)))


def strings(value: Any) -> list[str]:
    """Return every text in nested lists and mappings."""
    if isinstance(value, dict):
        return [text for item in value.values() for text in strings(item)]
    if isinstance(value, list):
        return [text for item in value for text in strings(item)]
    return [value] if isinstance(value, str) else []


def reporting() -> str:
    return read("CONTRIBUTING.md").partition("## Reporting a problem")[2]


@pytest.mark.parametrize("name", OTHERS)
def test_what_programs_read_is_a_mapping(name):
    assert isinstance(parsed(name), dict)


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_a_form_has_what_the_forge_asks_of_one(path):
    form = parsed(path)
    assert {"name", "description", "body"} <= form.keys()
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    assert all(field["attributes"]["label"] for field in fields)
    assert all(field["attributes"]["options"] for field in fields if field["type"] == "dropdown")
    names = [field["id"] for field in fields]
    assert len(set(names)) == len(names)
    assert any(field.get("validations", {}).get("required") for field in fields)


def test_the_list_below_is_that_of_contributing():
    text = reporting()
    assert set(re.findall(r"`[^`]+`", text.replace("\n  ", " "))) == FILES | NUMBER_FILES
    assert [word for word in (*EVERY, *NUMBERS) if word not in text] == []


@pytest.mark.parametrize(
    ("name", "words"),
    [("bug_report", (*EVERY, *FILES)), ("scores_or_speed", (*EVERY, *NUMBERS, *FILES, *NUMBER_FILES))],
)
def test_forms_ask_what_contributing_asks(name, words):
    text = "\n".join(strings(parsed(f".github/ISSUE_TEMPLATE/{name}.yml"))).lower()
    assert [word for word in words if word.lower() not in text] == []


def test_the_chinese_template_asks_the_same():
    text = read(".gitee/ISSUE_TEMPLATE.zh-CN.md")
    assert [word for word in (*CHINESE, *FILES, *NUMBER_FILES) if word not in text] == []


@pytest.mark.parametrize("name", [".github/PULL_REQUEST_TEMPLATE.md", ".gitee/PULL_REQUEST_TEMPLATE.zh-CN.md"])
def test_a_change_is_asked_for_its_checks(name):
    text = read(name)
    scripts = set(re.findall(r"`bash ([\w./]+)`", text))
    assert scripts == {".ci/run", ".ci/lint"}
    assert all((ROOT / script).is_file() for script in scripts)
    assert "CHANGELOG.md" in text


def test_the_workflow_runs_everything_with_few_rights():
    workflow = parsed(WORKFLOW)
    assert {"push", "pull_request"} == workflow[True].keys()  # `on` is True in YAML 1.1
    assert workflow["permissions"] == {"contents": "read"}
    (job,) = workflow["jobs"].values()
    assert job["timeout-minutes"] == 90
    assert any(step.get("run", "").endswith("bash .ci/run") for step in job["steps"])
    used = [step["uses"] for step in job["steps"] if "uses" in step]
    assert used
    assert all(re.fullmatch(r"actions/[a-z-]+@v\d+", action) for action in used)


def known_linters() -> list[str]:
    done = subprocess.run(["bash", ".ci/lint", "?"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    return line.partition("there are: ")[2].split()


def test_every_linter_is_a_hook_and_every_hook_a_linter():
    (repository,) = parsed(".pre-commit-config.yaml")["repos"]
    assert repository["repo"] == "local"  # of no other one, which would be fetched
    hooks = repository["hooks"]
    assert [hook["id"] for hook in hooks] == known_linters()
    for hook in hooks:
        assert hook["entry"] == f"bash .ci/lint {hook['id']}"
        assert hook["language"] == "system"
        assert hook["pass_filenames"] is False
    assert read(".ci/run").rstrip().endswith("\nbash .ci/lint")  # all of them


@pytest.fixture
def checkout(tmp_path) -> Path:
    """A repository with the linters, an empty script and nothing else."""
    for name in (".ci/lint", "scripts/setup_env.sh", "scripts/check_requirements.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "requirements").mkdir()
    for name in ("requirements.txt", "requirements/dev.txt"):
        (tmp_path / name).write_text("pyyaml\n", encoding="utf-8")
    for folder in ("ascend310_infer/src", "tests"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "some.sh").write_text("true\n", encoding="utf-8")
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    return tmp_path


def add_all(folder: Path) -> None:
    subprocess.run(["git", "add", "--all"], cwd=folder, check=True)


def lint(folder: Path, *linters: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    words = ["bash", ".ci/lint", *linters]
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_linters_tell_what_is_wrong_and_go_on(checkout):
    add_all(checkout)
    done = lint(checkout, "bash", "files")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["bash: passed", "files: passed", "linters: bash files passed"]

    (checkout / "tests" / "some.sh").write_text("if true; then\n", encoding="utf-8")
    (checkout / "cut.txt").write_text("no end", encoding="utf-8")
    (checkout / "blank.txt").write_text("blanks  \n", encoding="utf-8")
    (checkout / "large.bin").write_bytes(bytes(600_000))
    add_all(checkout)
    done = lint(checkout, "files", "bash")
    assert done.returncode == 1
    assert done.stdout.splitlines() == ["files: failed", "bash: failed"]
    for fault in ("cut.txt: no newline", "blank.txt:1: trailing whitespace", "large.bin: 600000", "some.sh: line 2"):
        assert fault in done.stderr
    assert done.stderr.splitlines()[-1] == "linters: files bash failed"


def test_without_git_there_are_no_files_to_look_at(checkout):
    shutil.rmtree(checkout / ".git")
    done = lint(checkout, "files", "bash")
    assert done.returncode == 0
    assert done.stdout.splitlines()[0] == "files: left out, this is no checkout of git"
    assert done.stdout.splitlines()[-1] == "linters: bash passed"


def test_mypy_ignores_nothing_but_packages_without_types():
    settings = tomllib.loads(read("pyproject.toml"))["tool"]["mypy"]
    assert settings["strict"] is True
    assert {"src", "tools", "scripts", *(path.name for path in ROOT.glob("*.py"))} == set(settings["files"])
    assert not {"ignore_errors", "ignore_missing_imports", "disable_error_code", "exclude"} & settings.keys()
    found = set()
    for override in settings["overrides"]:
        assert override.keys() <= {"module", "ignore_missing_imports", "follow_imports", "follow_imports_for_stubs"}
        found |= set(override["module"])
    assert found == UNTYPED
    files = [path for folder in ("src", "tools", "scripts") for path in (ROOT / folder).rglob("*.py")]
    relaxed = [path for path in files if re.search(r"# mypy:|type: ignore", read(str(path)))]
    assert relaxed == []


def test_the_citation_is_the_paper_of_the_readme():
    citation = parsed("CITATION.cff")
    assert citation["license"] == "Apache-2.0"
    assert all(author.keys() == {"name"} for author in citation["authors"])  # nobody is named who is not of the paper
    paper = citation["preferred-citation"]
    (link,) = re.findall(r"\[(BiSeNet V2: [^]]+)\]\(https://arxiv.org/abs/([\d.]+)\)", read("README.md"))
    assert (paper["title"], paper["url"]) == (link[0], f"https://arxiv.org/abs/{link[1]}")
    assert [entry["value"] for entry in paper["identifiers"]] == [f"arXiv:{link[1]}"]
    people = [f"{author['given-names']} {author['family-names']}" for author in paper["authors"]]
    (line,) = re.findall(r"> (.+):\n> \[BiSeNet V2: ", read("README.md"))
    assert people == line.split(", ")
