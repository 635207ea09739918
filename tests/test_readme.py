"""The READMEs say what the code does: keys, defaults, commands, files."""

from __future__ import annotations

import dataclasses
import re
import shlex
from pathlib import Path

import pytest

from src.utils import schema
from src.utils.config import load_config, nested_keys

ROOT = Path(__file__).resolve().parents[1]
READMES = ("README.md", "README_CN.md")


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
    for transform, section in schema.TRANSFORM_ARGS.items():
        expected |= {path: shown_default(f, name) for path, f in nested_keys(section, f"{transform}.")}
    assert table(name) == expected


def commands(name: str) -> list[list[str]]:
    """Return the words of every command in a README's bash blocks."""
    blocks = re.findall(r"```bash\n(.*?)```", read(name), re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True) for line in lines if line.strip() and not line.startswith("#")]


@pytest.mark.parametrize("name", READMES)
def test_every_command_parses(name):
    found = commands(name)
    assert len(found) >= 8
    for words in found:
        script = next((word for word in words if word.endswith((".py", ".sh"))), None)
        if script is None:
            assert words[:3] == ["python", "-m", "pip"], words
            continue
        assert (ROOT / script).is_file(), script
        if script in ("train.py", "eval.py"):
            load_config(words[words.index(script) + 1 :], script.removesuffix(".py"))


def test_both_languages_show_the_same_commands():
    assert commands("README.md") == commands("README_CN.md")


@pytest.mark.parametrize("name", READMES)
def test_links_and_named_files_exist(name):
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", read(name))
    files = re.findall(r"`((?:config|scripts|tests|src)/[\w./-]+\.\w+)`", read(name))
    for target in [*targets, *files]:
        assert (ROOT / target).exists(), target


@pytest.mark.parametrize("name", READMES)
def test_inner_links_have_a_heading(name):
    text = read(name)
    headings = {
        re.sub(r"[^\w\- ]", "", line.lstrip("# ")).lower().replace(" ", "-")
        for line in text.splitlines()
        if line.startswith("#")
    }
    for anchor in re.findall(r"\]\(#([^)]+)\)", text):
        assert anchor in headings
