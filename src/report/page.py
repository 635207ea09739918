"""Write a page that opens from disk: sections in tabs, with all their data inlined.

Text from a data set cannot run code in it: data are in ``<script type="application/json">`` with every "<" escaped, the
scripts create elements and text nodes from them, never HTML, and the page's policy allows only its own script.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from src.base.errors import UserError
from src.base.special_files import special_kind
from src.base.temporary import replacing

GENERATOR = "BiSeNetV2 report"
_HEAD = 2000  # characters within which a page names its generator
_PARTS = Path(__file__).parent / "page"
_STYLES = ("base.css", "sections.css", "pictures.css", "dataset.css")
_SCRIPTS = (  # in the order in which they run
    "core.js",
    "plain.js",
    "scores.js",
    "confusion.js",
    "chart.js",
    "curves.js",
    "maps.js",
    "viewer.js",
    "pictures.js",
    "settings.js",
    "dataset.js",
    "start.js",
)
_ESCAPES = {ord(letter): f"\\u{ord(letter):04x}" for letter in "<>&\u2028\u2029\x7f"}


@dataclass(frozen=True)
class Section:
    """One tab of a page.

    Args:
        kind: name of the renderer, registered in ``page/*.js`` with ``report.section``.
        title: title of the tab.
        data: plain values for the script.
        records: further plain values, e.g. one for each picture, written one by one into a separate list.
        inlined: (id, JSON text of `to_json`) of page elements that the script reads when needed.
    """

    kind: str
    title: str
    data: dict
    records: Iterable[Any] = ()
    inlined: Iterable[tuple[str, str]] = field(default=(), repr=False)


def to_json(value: Any) -> str:
    """Return `value` as JSON that is safe within any script element; numbers that JSON does not have become null."""
    return json.dumps(_finite(value), separators=(",", ":"), default=str).translate(_ESCAPES)


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {str(name): _finite(entry) for name, entry in value.items()}
    return [_finite(entry) for entry in value] if isinstance(value, (list, tuple)) else value


def write_page(
    path: Path, title: str, sections: Iterable[Section], *, subtitle: str = "", live: dict | None = None
) -> None:
    """Write a page atomically; the records of `sections` are never all in memory.

    Args:
        path: the file.
        title: title of the page.
        sections: its tabs, in order.
        subtitle: a line below the title.
        live: for a page that will be written again: "state", the URL of the script with the current version, and
            "version", see `src/report/live.py`.

    Raises:
        UserError: it cannot be written, or `path` is another file.
    """
    require_replaceable(path)
    title = title.encode(errors="replace").decode()  # names of files may not be valid text
    try:
        with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as stream:
            stream.writelines(_page(title, subtitle, sections, live))
    except OSError as err:
        raise UserError(f"cannot write the report {path}: {err.strerror or err}") from err


def _page(title: str, subtitle: str, sections: Iterable[Section], live: dict | None) -> Iterator[str]:
    style, script = (_joined(names) for names in (_STYLES, _SCRIPTS))
    template = (_PARTS / "page.html").read_text(encoding="utf-8")
    before, after = template.split("@@data@@")
    values = {"policy": policy(style, script), "generator": GENERATOR, "style": style, "title": html.escape(title)}
    for name, value in values.items():
        before = before.replace(f"@@{name}@@", value)
    yield before
    heads = []
    for number, section in enumerate(sections):
        heads.append({"kind": section.kind, "title": section.title, "data": section.data})
        yield from _list(f"records-{number}", section.records)
        for element, text in section.inlined:
            yield _element(element, text)
    yield _element("page", to_json({"title": title, "subtitle": subtitle, "sections": heads, "live": live}))
    yield after.replace("@@script@@", script)


def _list(element: str, records: Iterable[Any]) -> Iterator[str]:
    yield f'<script type="application/json" id="{element}">['
    for number, record in enumerate(records):
        yield (",\n" if number else "") + to_json(record)
    yield "]</script>\n"


def _element(element: str, text: str) -> str:
    return f'<script type="application/json" id="{html.escape(element)}">{text}</script>\n'


def _joined(names: Iterable[str]) -> str:
    return "\n" + "".join((_PARTS / name).read_text(encoding="utf-8") for name in names)


def policy(style: str, script: str) -> str:
    """Return the content security policy of a page: it allows its own script and what that loads."""
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script)]
    return (
        f"default-src 'none'; script-src 'sha256-{hashes[1]}' 'strict-dynamic'; style-src 'sha256-{hashes[0]}'; "
        "img-src data: file: 'self'; base-uri 'none'; form-action 'none'"
    )


def require_replaceable(path: Path) -> None:
    """Raise a UserError if `path` exists and is not a page of `write_page`; other files are never replaced."""
    if not path.exists():
        return
    if special_kind(path):
        raise UserError(f"{path}: is {special_kind(path)}, which a report cannot replace; write to another place")
    try:
        with path.open(encoding="utf-8", errors="replace") as stream:
            own = f'content="{GENERATOR}"' in stream.read(_HEAD)
    except OSError:
        own = False
    if not own:
        raise UserError(f"{path} exists and is not a {GENERATOR}; move it, or write to another place")
