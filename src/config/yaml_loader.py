"""Reading YAML as PyYAML does, but refusing words that YAML 1.1 interprets in surprising ways."""

from __future__ import annotations

import os
from datetime import date, datetime
from pathlib import Path
from typing import Any

import yaml

from src.base.errors import ConfigError, one_line
from src.base.json_text import DEEPEST, read_whole

MOST_VALUES = 10_000  # of a document, with keys and expanded aliases: a second or two of reading
LONGEST_NUMBER = 100  # characters
_TAG = "tag:yaml.org,2002:"
_MERGE = _TAG + "merge"
_KEY_TAGS = {_TAG + kind for kind in ("str", "int", "float", "merge", "value")}


class Text(str):
    """A word that only the key's type can interpret: from the command line, or ``None`` in a file."""

    __slots__ = ()


class _Loader(yaml.SafeLoader):
    """YAML loader that refuses duplicate keys, and words that the command line reads differently.

    PyYAML would drop the first of two equal keys, and read ``0100`` as 64, ``1:30`` as 90, ``0x10`` as 16 and ``on`` as
    True, where the command line reads 100, or no number at all.
    """

    name = ""
    depth = nodes = 0
    merged = 0  # pairs merged through `<<`

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self.depth += 1
        self.nodes += 1
        if self.nodes > MOST_VALUES:
            raise ConfigError(size_message(self.name))
        if self.depth > DEEPEST + 1:  # the innermost node may be a scalar
            raise ConfigError(_depth_message(self.name))
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key_node, _ in node.value:
            place, name = self._place(key_node), key_node.value
            if key_node.tag not in _KEY_TAGS:
                shown = repr(name) if isinstance(key_node, yaml.ScalarNode) else "a list or a mapping"
                raise ConfigError(f"{place}{shown} cannot be a key")
            if name in seen:
                raise ConfigError(f"{place}key {name!r} given twice")
            seen.add(name)
        return node

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Put the pairs that ``<<`` refers to before the mapping's own keys; these win, then the first mapping."""
        own = [pair for pair in node.value if pair[0].tag != _MERGE]
        pairs: dict[str, tuple] = {}
        for value in (value for name, value in node.value if name.tag == _MERGE):
            for other in self._mappings(value):
                self.flatten_mapping(other)
                self.merged += len(other.value)
                if self.merged > MOST_VALUES:
                    raise ConfigError(f"{self._place(node)}<< leads to more than {MOST_VALUES} values")
                pairs = {**{name.value: (name, entry) for name, entry in other.value}, **pairs}
        node.value = [*pairs.values(), *own]

    def _mappings(self, node: yaml.Node) -> list[yaml.MappingNode]:
        nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
        if not all(isinstance(entry, yaml.MappingNode) for entry in nodes):
            raise ConfigError(f"{self._place(node)}<< takes a mapping or a list of mappings")
        return nodes

    def _place(self, node: yaml.Node) -> str:
        return f"{self.name}:{node.start_mark.line + 1}: " if self.name else ""

    def read_plain(self, node: yaml.ScalarNode) -> Any:
        """Return the value of a word that YAML 1.1 does not read as text.

        Raises:
            ConfigError: the command line reads it differently; both readings are named.
            ValueError: it has no value, e.g. a date that does not exist.
        """
        if len(node.value) > LONGEST_NUMBER:
            raise ConfigError(
                f"{self._place(node)}a number of {len(node.value)} letters; the limit is {LONGEST_NUMBER}"
            )
        try:
            value = yaml.SafeLoader.yaml_constructors[node.tag](self, node)
        except (AttributeError, IndexError, KeyError) as err:  # e.g. !!bool x
            raise ValueError(f"{node.value!r} is not a valid {node.tag[len(_TAG) :]}") from err
        if value == _plain_reading(node.value) or value in (float("inf"), float("-inf")) or value != value:
            return value
        raise ConfigError(f"{self._place(node)}{_two_readings(node.value, value)}")


def _plain_reading(text: str) -> Any:
    """Return the value that the command line reads: True, False, a number or the text."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        return float(text)
    except ValueError:
        return text


def _two_readings(text: str, value: Any) -> str:
    """Say how YAML 1.1 reads a word, how the command line does, and what to write instead."""
    plain = _plain_reading(text)
    other = f"the number {plain:.15g}" if isinstance(plain, float) else f"the text {text!r}"
    if isinstance(value, (date, datetime)):
        return f"{text} is a date in YAML 1.1, {other} elsewhere; quote it: {text!r}"
    if isinstance(value, bool):
        return f"{text} is {value} in YAML 1.1, {other} elsewhere; write {value}, or {text!r} in quotes"
    meant = f" or {plain:.15g}" if isinstance(plain, float) else ""
    return f"{text} is {value} in YAML 1.1, {other} elsewhere; write {value}{meant}, or {text!r} in quotes"


def _read_text(loader: _Loader, node: yaml.ScalarNode) -> str:
    text = loader.construct_scalar(node)
    return Text(text) if node.style is None and text.lower() == "none" else text


for _kind in ("int", "float", "bool", "timestamp"):
    _Loader.add_constructor(_TAG + _kind, _Loader.read_plain)
_Loader.add_constructor(_TAG + "str", _read_text)


def read_text(text: str, name: str = "") -> Any:
    """Read one YAML document.

    Args:
        text: the document.
        name: name of its file, for messages; empty for a list on the command line.

    Returns:
        Plain values, no two of which are the same object, so that setting a key in one place changes no other. An
        unquoted ``None`` is a `Text`.

    Raises:
        ConfigError: a key is given twice or is not text, a value contains itself, YAML 1.1 and the command line read a
            word differently, or the document exceeds a limit, also by expanded aliases.
        yaml.YAMLError: it is not YAML.
        ValueError: a word has no value, e.g. a date that does not exist.
    """
    loader = _Loader(text)
    loader.name = name
    try:
        return _Copier(name).copy(loader.get_single_data())
    except RecursionError as err:
        raise ConfigError(_cycle_message(name)) from err


def read_document(text: str, name: str = "") -> Any:
    """Read one YAML document as `read_text` does.

    Raises:
        ConfigError: as there, or it is not YAML.
    """
    try:
        return read_text(text, name)
    except (yaml.YAMLError, ValueError) as err:
        raise ConfigError(f"{name}: not YAML: {one_line(err)}".removeprefix(": ")) from err


def read_file(path: Path, encoding: str = "utf-8", *, may_be_pipe: bool = False) -> Any:
    """Read a YAML file of up to 1 MB, or with `may_be_pipe` a pipe, as `read_document` does.

    Raises:
        ConfigError: as there.
        OSError: the file cannot be read.
        ValueError: it is larger, not a regular file, or not in that encoding.
    """
    return read_document(read_whole(path, may_be_pipe=may_be_pipe).decode(encoding), str(path))


class _Copier:
    """Copies values so that no two are the same object, with limits on their number and depth."""

    def __init__(self, name: str) -> None:
        self.name, self.left = name, MOST_VALUES
        self.above: list[int] = []

    def copy(self, value: Any) -> Any:
        self.left -= 1
        if self.left < 0:
            raise ConfigError(f"{self.name or 'list'}: aliases (*) lead to more than {MOST_VALUES} values")
        if isinstance(value, str):
            self._require_whole(value)
        if not isinstance(value, (dict, list)):
            return value
        if id(value) in self.above:
            raise ConfigError(_cycle_message(self.name))
        if len(self.above) == DEEPEST:
            raise ConfigError(_depth_message(self.name))
        self.above.append(id(value))
        entries = {key: self.copy(entry) for key, entry in value.items()} if isinstance(value, dict) else None
        copied = [self.copy(entry) for entry in value] if entries is None else entries
        self.above.pop()
        return copied

    def _require_whole(self, text: str) -> None:
        try:
            os.fsencode(text)
        except UnicodeEncodeError as err:
            raise ConfigError(f"{self.name or 'list'}: {text[:40]!r} holds half a character, as of \\ud800") from err


def _cycle_message(name: str) -> str:
    return f"{name or 'list'}: an alias (*) leads to a value that contains itself"


def size_message(name: str) -> str:
    """Return the message for a document or configuration that is too large."""
    return f"{name or 'list'}: has more than {MOST_VALUES} keys and values, which is the limit"


def _depth_message(name: str) -> str:
    return f"{name or 'list'}: has lists and mappings in each other more than {DEEPEST} deep"
