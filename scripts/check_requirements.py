"""Print which lines of requirements files the current interpreter does not satisfy; exit code 1 if there are any.

Usage: python scripts/check_requirements.py [--missing] requirements.txt [requirements/dev.txt]
--missing prints the unmet lines as arguments for pip; the exit code is then 0.
"""

from __future__ import annotations

import importlib.metadata
import operator
import re
import sys
from pathlib import Path

# Packages that satisfy a requirement of another name.
ALTERNATIVES = {
    "opencv-python-headless": ("opencv-python", "opencv-contrib-python", "opencv-contrib-python-headless"),
    "onnxruntime": ("onnxruntime-gpu",),
    "mindspore": ("mindspore-ascend", "mindspore-gpu"),
}
# A MindSpore of the machine is kept: Ascend images contain the version that their CANN supports.
REPLACED = {"mindspore": ">=2.0,<2.11"}
COMPARE = {"==": operator.eq, ">=": operator.ge, "<=": operator.le, "<": operator.lt, ">": operator.gt}
_LINE = re.compile(r"([A-Za-z0-9_.-]+)\s*([^;#]*)")


def version_tuple(text: str) -> tuple[int, ...]:
    """Return the leading numbers of a version, five of them: '2.8.0rc1' gives (2, 8, 0, 0, 0)."""
    leading = re.match(r"\d+(\.\d+)*", text)
    assert leading is not None, text
    numbers = [int(number) for number in leading[0].split(".")]
    return tuple((numbers + [0] * 5)[:5])


def installed_version(name: str) -> str | None:
    """Return the version of a package or of an alternative, None if none is installed."""
    for candidate in (name, *ALTERNATIVES.get(name, ())):
        try:
            return importlib.metadata.version(candidate)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None


def satisfies(version: str, specifier: str) -> bool:
    """Return whether `version` meets a specifier such as '>=8.0,<10'."""
    for part in filter(None, (part.strip() for part in specifier.split(","))):
        compared = re.match(r"(==|>=|<=|<|>)\s*(.+)", part)
        assert compared is not None, part
        sign, wanted = compared.groups()
        if not COMPARE[sign](version_tuple(version), version_tuple(wanted)):
            return False
    return True


def unmet(path: Path) -> dict[str, str]:
    """Return the unmet requirements of a file: for each, as pip reads it, the problem."""
    problems = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        match = _LINE.match(line.strip())
        if match:
            name, specifier = match[1].lower(), match[2].strip()
            found = installed_version(name)
            if found is None or not satisfies(found, REPLACED.get(name, specifier)):
                problems[name + specifier] = f"{name}{REPLACED.get(name, specifier)} (found {found or 'none'})"
    return problems


if __name__ == "__main__":
    files = [Path(name) for name in sys.argv[1:] if name != "--missing"]
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(__doc__.strip())
        sys.exit(0)
    if wrong := [str(path) for path in files if not path.is_file()]:
        sys.stderr.write(f"error: {wrong[0]}: no such file; --help says how to call this\n")
        sys.exit(2)
    missing = {line: problem for path in files for line, problem in unmet(path).items()}
    if "--missing" in sys.argv[1:]:
        for line in missing:
            print(line)
        sys.exit(0)
    if missing:
        print("not satisfied: " + ", ".join(missing.values()))
    sys.exit(1 if missing else 0)
