"""READMEs, pages of docs and CONTRIBUTING.md say what the code does: keys, defaults, commands, options, files."""

from __future__ import annotations

import dataclasses
import importlib
import itertools
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
from src.utils.config import DEFAULT_CONFIG, parse_config
from tools.streets.dataset import DemoOptions

ROOT = Path(__file__).resolve().parents[1]
READMES = ("README.md", "README_CN.md")
PAGES = sorted(path.name for path in (ROOT / "docs").glob("*.md"))
PAIRS = [READMES, *((f"docs/{name}", f"docs/zh/{name}") for name in PAGES)]
DOCUMENTS = (*(name for pair in PAIRS for name in pair), "CONTRIBUTING.md")
LANGUAGES = ("docs", "docs/zh")
MOST_LINES = 350  # of a README
SCRIPTS = sorted(path.name for path in (ROOT / "scripts").iterdir() if path.suffix in (".py", ".sh"))
PICTURES = ("BiSeNetv2.png", "docs/demo_1.jpg", "docs/demo_2.jpg")
SHOWN_IN = {"BiSeNetv2.png": "network.md", "docs/demo_1.jpg": "demo.md", "docs/demo_2.jpg": "demo.md"}
MODULES = ("pip", "venv", "pytest", "pre_commit")  # what documents run with python -m


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def shown_default(field: dataclasses.Field, language: str) -> str:
    if field.default is dataclasses.MISSING:
        return {"docs": "required", "docs/zh": "必填"}[language]
    if isinstance(field.default, tuple):
        return "[" + ", ".join(map(str, field.default)) + "]"
    return "null" if field.default is None else str(field.default)


def table(name: str) -> dict[str, str]:
    """Return the default of each key in the configuration tables of a page."""
    return dict(re.findall(r"^\| `([\w.]+)` \| ([^|]+) \| [^|]+ \|$", read(name), re.MULTILINE))


@pytest.mark.parametrize("name", LANGUAGES)
def test_every_key_is_in_the_reference_with_its_default(name):
    expected = {path: shown_default(field, name) for path, field in nested_keys(schema.Config)}
    for transform, section in TRANSFORMS.items():
        expected |= {path: shown_default(f, name) for path, f in nested_keys(section, f"{transform}.")}
    assert table(f"{name}/configuration.md") == expected


def blocks(name: str) -> list[str]:
    return re.findall(r"```bash\n(.*?)```", read(name), re.DOTALL)


def commands(name: str) -> list[list[str]]:
    """Return the words of every command in a document's bash blocks, without variables set before it."""
    lines = "".join(blocks(name)).replace("\\\n", " ").splitlines()
    found = [shlex.split(line, comments=True) for line in lines]
    return [words[1:] if re.match(r"[A-Z_]+=", words[0]) else words for words in found if words]


def check_python(script: str, arguments: list[str]) -> None:
    """Let the script's own parser judge its arguments; one without `parse_args` names its options in its docstring."""
    # What a command of the same block has written, or its page asks for.
    arguments = [str(DEFAULT_CONFIG) if word in ("weights.yml", "my.yml") else word for word in arguments]
    if script in ("train.py", "eval.py", "export.py", "preprocess.py"):
        parse_config(arguments, script.removesuffix(".py"))
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
        parse_config(arguments[1 if has_folder else 0 :], "train")
    elif script == "scripts/run_eval.sh":
        device, checkpoint, *rest = arguments
        assert device.isdigit()
        parse_config(["--checkpoint_path", checkpoint, *rest], "eval")
    elif script == "scripts/run_distribute_train.sh":
        job = launch_ranks.parse_args(arguments)
        parse_config(job.train_command()[1:], "train")
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
    if runner == "source":
        assert (script, arguments) == (".venv/bin/activate", [])
        return
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
def test_every_command_parses(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # in the repository the results of these commands may lie already
    for words in commands(name):
        for command in stages(words):
            check_command(command)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_block_of_commands_is_valid_bash(name):
    for block in blocks(name):
        done = subprocess.run(["bash", "-n"], input=block, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", READMES)
def test_a_readme_is_short_and_leads_to_every_page(name):
    text, folder = read(name), LANGUAGES[READMES.index(name)]
    assert len(text.splitlines()) <= MOST_LINES
    assert {f"{folder}/{page}" for page in PAGES} <= set(targets(name))
    assert len(commands(name)) >= 15


def test_both_languages_have_the_same_pages():
    assert sorted(path.name for path in (ROOT / "docs/zh").glob("*.md")) == PAGES


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: Path(pair[0]).stem)
def test_both_languages_show_the_same_commands(pair):
    assert blocks(pair[0]) == blocks(pair[1])


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: Path(pair[0]).stem)
def test_both_languages_show_the_same_figures(pair):
    def figures(name: str) -> list[list[str]]:
        rows = re.findall(r"^\| (?!`[\w.]+` \|).*\|$", read(name), re.MULTILINE)  # all but the reference of keys
        return [re.findall(r"@@\w+@@|\d[\d.,²×]*\d|\d", row) for row in rows]

    assert figures(pair[0]) == figures(pair[1])


def targets(name: str) -> list[str]:
    """Return what a document's links and pictures lead to, as paths from the root, anchors left out."""
    folder = (ROOT / name).parent
    found = re.findall(r"\]\((?!https?:)([^)#]+)", read(name))
    return [(folder / target).resolve().relative_to(ROOT).as_posix() for target in found]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_pictures_and_named_files_exist(name):
    files = re.findall(r"`((?:config|scripts|tests|src)/[\w./-]+\.\w+)`", read(name))
    for target in [*targets(name), *files]:
        assert (ROOT / target).exists(), target


@pytest.mark.parametrize("folder", LANGUAGES)
def test_every_picture_is_shown(folder):
    for picture, page in SHOWN_IN.items():
        assert picture in targets(f"{folder}/{page}")


def anchors(name: str) -> set[str]:
    """Return the anchors of a document's headings, as GitHub and Gitee make them."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", read(name), flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_to_a_heading_find_it(name):
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#([^)]+)\)", read(name)):
        page = ((ROOT / name).parent / target).resolve() if target else ROOT / name
        assert anchor in anchors(page.relative_to(ROOT).as_posix()), (target, anchor)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_no_figure_is_left_open(name):
    assert re.findall(r".*@@.*", read(name)) == []


@pytest.mark.parametrize("folder", LANGUAGES)
def test_every_script_is_described_with_all_its_options(folder):
    text = read(f"{folder}/scripts.md")
    rows = dict(re.findall(r"^\| `(?:python )?(?:scripts/)?([\w.]+)( [^`]*)?` \|", text, re.MULTILINE))
    assert set(SCRIPTS) <= set(rows)
    for script in (script for script in SCRIPTS if script.endswith(".py")):
        source = read(f"scripts/{script}")
        pattern = r'add_argument\(\s*"(--\w+)"' if "argparse" in source else r"--\w+"
        options = set(re.findall(pattern, source)) - {"--help"}
        if script == "make_demo_dataset.py":  # adds them in a loop
            options |= {"--train", "--val", "--test"}
        assert set(re.findall(r"--\w+", rows[script])) == options


@pytest.mark.parametrize("folder", LANGUAGES)
def test_the_demo_is_described_as_it_is_configured(folder):
    steps = parse_config(["--config", str(ROOT / "config/bisenetv2_demo.yml")], "train").total_step
    options = DemoOptions()
    paragraph = next(part for part in read(f"{folder}/demo.md").split("\n\n") if "config/bisenetv2_demo.yml" in part)
    numbers = set(map(int, re.findall(r"\d+", paragraph)))
    assert {options.train, options.val, options.height, options.width, steps} <= numbers


def rooms() -> list[list[str]]:
    """Return the packages of src by rows, from the top down, as the contract of pyproject.toml has them."""
    contract = read("pyproject.toml").split("exhaustive = true")[1]
    rows = re.findall(r'^    "([\w |]+)",$', contract[: contract.index("]")], re.MULTILINE)
    return [row.split(" | ") for row in rows]


@pytest.mark.parametrize("folder", LANGUAGES)
def test_every_package_has_its_paragraph_and_its_place_in_the_picture(folder):
    text, rows = read(f"{folder}/architecture.md"), rooms()
    packages = {path.parent.name for path in (ROOT / "src").glob("*/__init__.py")}
    assert {name for row in rows for name in row} == packages
    described = re.findall(r"^### src/(\w+)\n\n(.+)", text, re.MULTILINE)
    names = iter(name for name, paragraph in described if len(paragraph) > 10)
    for row in reversed(rows):
        assert set(itertools.islice(names, len(row))) == set(row)
    arrows = [line.split("-->") for line in text.split("```")[1].splitlines() if "-->" in line]
    labels = {"deploy": " | ".join(next(row for row in rows if len(row) > 1))}
    drawn = [re.sub(r'\w+\["(.+)"\]', r"\1", lower.strip()) for _, lower in arrows]
    assert drawn == [" | ".join(row) for row in rows]
    assert [labels.get(upper.strip(), upper.strip()) for upper, _ in arrows[1:]] == drawn[:-1]


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
