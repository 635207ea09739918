"""The READMEs and CONTRIBUTING.md say what the code does: keys, defaults, commands, options, files."""

from __future__ import annotations

import dataclasses
import importlib
import re
import shlex
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from scripts import draw_architecture, launch_ranks
from src.config import schema
from src.config.registry import TRANSFORMS
from src.config.saved import nested_keys
from src.utils.config import DEFAULT_CONFIG, load_config
from tools.streets.dataset import DemoOptions

ROOT = Path(__file__).resolve().parents[1]
READMES = ("README.md", "README_CN.md")
DOCUMENTS = (*READMES, "CONTRIBUTING.md")
SCRIPTS = sorted(path.name for path in (ROOT / "scripts").iterdir() if path.suffix in (".py", ".sh"))
PICTURES = ("BiSeNetv2.png", "docs/demo_1.jpg", "docs/demo_2.jpg")
MODULES = ("pip", "venv", "ruff", "pytest")  # what documents run with python -m


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def shown_default(field: dataclasses.Field, language: str) -> str:
    if field.default is dataclasses.MISSING:
        return {"README.md": "required", "README_CN.md": "必填"}[language]
    if isinstance(field.default, tuple):
        return "[" + ", ".join(map(str, field.default)) + "]"
    return "null" if field.default is None else str(field.default)


def table(name: str) -> dict[str, str]:
    """Return the default of each key in the configuration tables of a README."""
    return dict(re.findall(r"^\| `([\w.]+)` \| ([^|]+) \| [^|]+ \|$", read(name), re.MULTILINE))


@pytest.mark.parametrize("name", READMES)
def test_every_key_is_in_the_reference_with_its_default(name):
    expected = {path: shown_default(field, name) for path, field in nested_keys(schema.Config)}
    for transform, section in TRANSFORMS.items():
        expected |= {path: shown_default(f, name) for path, f in nested_keys(section, f"{transform}.")}
    assert table(name) == expected


def blocks(name: str) -> list[str]:
    return re.findall(r"```bash\n(.*?)```", read(name), re.DOTALL)


def commands(name: str) -> list[list[str]]:
    """Return the words of every command in a document's bash blocks, without variables set before it."""
    lines = "".join(blocks(name)).replace("\\\n", " ").splitlines()
    found = [shlex.split(line, comments=True) for line in lines]
    return [words[1:] if re.match(r"[A-Z_]+=", words[0]) else words for words in found if words]


def check_python(script: str, arguments: list[str]) -> None:
    """Let the script's own parser judge its arguments; one without `parse_args` names its options in its docstring."""
    # What a command of the same block has written.
    arguments = [str(DEFAULT_CONFIG) if word == "weights.yml" else word for word in arguments]
    if script in ("train.py", "eval.py", "export.py", "preprocess.py"):
        load_config(arguments, script.removesuffix(".py"))
        return
    if script.startswith("tests/"):
        assert not arguments
        return
    module = importlib.import_module(script.removesuffix(".py").replace("/", "."))
    if hasattr(module, "parse_args"):
        module.parse_args(arguments)
        return
    for word in arguments:
        assert word in module.__doc__ if word.startswith("-") else (ROOT / word).is_file(), word


def check_shell(script: str, arguments: list[str]) -> None:
    """Check what is given to a shell script as the script does, and pass on what it passes on."""
    if script == "scripts/run_standalone_train.sh":
        has_folder = arguments and not arguments[0].startswith("--") and "=" not in arguments[0]
        load_config(arguments[1 if has_folder else 0 :], "train")
    elif script == "scripts/run_eval.sh":
        device, checkpoint, *rest = arguments
        assert device.isdigit()
        load_config(["--checkpoint_path", checkpoint, *rest], "eval")
    elif script == "scripts/run_distribute_train.sh":
        job = launch_ranks.parse_args(arguments)
        load_config(job.train_command()[1:], "train")
    elif script == "scripts/ascend_310_infer.sh":
        model, data, device, *rest = arguments
        assert model.endswith((".mindir", ".onnx"))
        assert data.startswith("/path/to/")
        assert device.isdigit()
        assert rest in ([], ["CPU", "--out", "offline"])
    elif script == "scripts/convert_to_lite.sh":
        model, out = arguments
        assert model.endswith(".onnx")
        assert out.endswith(".mindir")
    elif script == "scripts/run_tests.sh":
        if arguments[:1] == ["--mindspore"]:
            assert arguments[1:] in (["2.0.0"], ["2.10.0"])
        else:
            assert not arguments or arguments == ["-m", "not slow"] or all((ROOT / word).exists() for word in arguments)
    else:
        assert not arguments, (script, arguments)


def check_command(words: list[str]) -> None:
    runner, script, *arguments = words
    assert runner in ("python", "bash", ".venv/bin/python"), words
    if script == "-m":
        assert arguments[0] in MODULES
        files = [word for word in arguments if word.endswith(".txt")]
    else:
        files = [script]
        (check_shell if runner == "bash" else check_python)(script, arguments)
    for file in files:
        assert (ROOT / file).is_file(), file


def stages(words: list[str]) -> list[list[str]]:
    """Return the commands of a pipeline; what ``xargs -r`` runs stands for it."""
    if "|" not in words:
        return [words]
    first, second = words[: words.index("|")], words[words.index("|") + 1 :]
    assert second[:2] == ["xargs", "-r"]
    return [first, second[2:]]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_command_parses(name):
    found = commands(name)
    assert len(found) >= 8
    for words in found:
        for command in stages(words):
            check_command(command)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_block_of_commands_is_valid_bash(name):
    for block in blocks(name):
        done = subprocess.run(["bash", "-n"], input=block, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_both_languages_show_the_same_commands():
    assert blocks("README.md") == blocks("README_CN.md")


def test_both_languages_show_the_same_figures():
    def figures(name: str) -> list[list[str]]:
        rows = re.findall(r"^\| (?!`[\w.]+` \|).*\|$", read(name), re.MULTILINE)  # all but the reference of keys
        return [re.findall(r"@@\w+@@|\d[\d.,²×]*\d|\d", row) for row in rows]

    assert figures("README.md") == figures("README_CN.md")


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_pictures_and_named_files_exist(name):
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", read(name))
    files = re.findall(r"`((?:config|scripts|tests|src)/[\w./-]+\.\w+)`", read(name))
    for target in [*targets, *files]:
        assert (ROOT / target).exists(), target


@pytest.mark.parametrize("name", READMES)
def test_the_readme_shows_every_picture(name):
    assert re.findall(r"!\[[^]]+\]\(([^)]+)\)", read(name)) == [*PICTURES[1:], PICTURES[0]]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_inner_links_have_a_heading(name):
    text = read(name)
    headings = {
        re.sub(r"[^\w\- ]", "", line.lstrip("# ")).lower().replace(" ", "-")
        for line in text.splitlines()
        if line.startswith("#")
    }
    for anchor in re.findall(r"\]\(#([^)]+)\)", text):
        assert anchor in headings


@pytest.mark.parametrize("name", DOCUMENTS)
def test_no_figure_is_left_open(name):
    assert re.findall(r".*@@.*", read(name)) == []


@pytest.mark.parametrize("name", READMES)
def test_every_script_is_described_with_all_its_options(name):
    rows = dict(re.findall(r"^\| `(?:python )?(?:scripts/)?([\w.]+)( [^`]*)?` \|", read(name), re.MULTILINE))
    assert set(SCRIPTS) <= set(rows)
    for script in (script for script in SCRIPTS if script.endswith(".py")):
        source = read(f"scripts/{script}")
        pattern = r'add_argument\(\s*"(--\w+)"' if "argparse" in source else r"--\w+"
        options = set(re.findall(pattern, source))
        if script == "make_demo_dataset.py":  # adds them in a loop
            options |= {"--train", "--val", "--test"}
        assert set(re.findall(r"--\w+", rows[script])) == options


@pytest.mark.parametrize("name", READMES)
def test_the_demo_is_described_as_it_is_configured(name):
    steps = load_config(["--config", str(ROOT / "config/bisenetv2_demo.yml")], "train").total_step
    options = DemoOptions()
    paragraph = next(part for part in read(name).split("\n\n") if "config/bisenetv2_demo.yml" in part)
    numbers = set(map(int, re.findall(r"\d+", paragraph)))
    assert {options.train, options.val, options.height, options.width, steps} <= numbers


def layout(name: str) -> dict[str, set[str]]:
    """Return the files that the layout of a README names, by folder ("." for the root)."""
    block = next(text for text in re.findall(r"```text\n(.*?)```", read(name), re.DOTALL) if "src/data/" in text)
    block = re.sub(r"（[^）]*）|\([^)]*\)", "", block)
    found: dict[str, set[str]] = {}
    for line in block.splitlines():
        if not line.startswith(" "):
            folder = re.match(r"[\w/]+/(?= )", line)
            files = found.setdefault(folder[0] if folder else ".", set())
        for prefix, several, suffix in re.findall(r"([\w/]*)(?:\{([\w,]+)\})?(\.\w+)\b", line):
            files |= {prefix + middle + suffix for middle in several.split(",")}
    return found


@pytest.mark.parametrize("name", READMES)
def test_the_layout_lists_every_module_and_script(name):
    found = layout(name)
    assert found.pop("tests/") == set()
    for folder, listed in found.items():
        root = ROOT / folder
        paths = root.rglob("*") if folder.startswith(("src/", "ascend310_infer/")) else root.iterdir()
        paths = [path for path in paths if "out" not in path.parts[len(ROOT.parts) :]]  # where the runner is built
        suffixes = {"config/": (".yml",), "scripts/": (".py", ".sh"), "ascend310_infer/": (".cc", ".h", ".txt", ".sh")}
        suffixes = suffixes.get(folder[: folder.find("/") + 1], (".py",))
        there = {str(p.relative_to(root)) for p in paths if p.suffix in suffixes and p.name != "__init__.py"}
        assert listed == there, folder
    packages = {f"src/{path.name}/" for path in (ROOT / "src").iterdir() if (path / "__init__.py").exists()}
    assert packages <= set(found)


def test_the_picture_of_the_network_is_the_one_the_script_draws(tmp_path):
    draw_architecture.main(["--output", str(tmp_path / "drawn.png")])
    drawn = cv2.imread(str(tmp_path / "drawn.png")).astype(int)
    shown = cv2.imread(str(ROOT / PICTURES[0])).astype(int)
    assert shown.shape == drawn.shape
    # Edges may differ a little from one OpenCV to another; a single changed digit is some twenty pixels.
    assert np.sum(np.abs(shown - drawn).max(axis=-1) > 100) < 10
    blue, green, red = drawn[60 * 3 // 2, 384 * 3 // 2]  # in the first branch, above its boxes
    assert blue > green > red


def test_pictures_are_small():
    sizes = {name: (ROOT / name).stat().st_size for name in PICTURES}
    assert sizes[PICTURES[0]] <= 150_000
    assert sizes[PICTURES[1]] + sizes[PICTURES[2]] <= 200_000


def test_a_picture_that_cannot_be_written_is_one_line(tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        draw_architecture.main(["--output", str(tmp_path / "missing" / "drawn.png")])
    assert stopped.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
