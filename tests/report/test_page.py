"""The frame of a page: what is written, and that no text can leave its place in it."""

from __future__ import annotations

import base64
import hashlib
import html.parser
import json
import re
import shutil
import subprocess
import tracemalloc

import pytest

from src.base.errors import UserError
from src.report.page import Section, to_json, write_page
from tests.report_helpers import ATTACK, HOSTILE
from tests.run_helpers import ROOT

PARTS = ROOT / "src" / "report" / "page"
VALUES = [*HOSTILE, "<!--", "]]>", "\u2029", "\udcff", "'\"&", "@@script@@", "@@data@@"]


class Elements(html.parser.HTMLParser):
    """Read a page as a browser splits it: each script with its attributes and its text."""

    def __init__(self, text):
        super().__init__()
        self.scripts, self.tags, self.title = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append([dict(attrs), ""])

    def handle_endtag(self, tag):
        self.tags.append((f"/{tag}", {}))

    def handle_data(self, data):
        if self.tags and self.tags[-1][0] == "script":
            self.scripts[-1][1] += data
        elif self.tags and self.tags[-1][0] == "title":
            self.title += data


def write(path, *sections, title=ATTACK):
    write_page(path, title, sections, subtitle=ATTACK)
    return Elements(path.read_text(encoding="utf-8"))


def test_what_goes_in_comes_out(tmp_path):
    inlined = ((f"picture-{n}", to_json({"text": value})) for n, value in enumerate(VALUES))
    records = [{"name": value, "nan": float("nan")} for value in VALUES]
    page = write(tmp_path / "a.html", Section("table", VALUES[1], {"columns": VALUES}, iter(records), inlined))
    data = {attrs["id"]: json.loads(text) for attrs, text in page.scripts if "id" in attrs}
    assert data["page"]["sections"] == [{"kind": "table", "title": VALUES[1], "data": {"columns": VALUES}}]
    assert data["page"]["title"] == data["page"]["subtitle"] == ATTACK
    assert data["records-0"] == [{"name": value, "nan": None} for value in VALUES]
    assert [data[f"picture-{n}"]["text"] for n in range(len(VALUES))] == VALUES


def test_no_text_gets_out_of_its_place(tmp_path):
    plain = write(tmp_path / "a.html", Section("table", "x", {}, [{"name": "x"}]), title="x")
    page = write(tmp_path / "b.html", Section("table", ATTACK, {"a": VALUES}, [{v: v} for v in VALUES]))
    assert [tag for tag, _ in page.tags] == [tag for tag, _ in plain.tags]
    assert page.title == ATTACK
    for attrs, text in page.scripts:
        assert attrs.get("type") == "application/json" or "src" not in attrs
        if attrs.get("type"):
            assert not re.search("[<>&\u2028\u2029]", text)


def test_the_policy_allows_this_script_and_this_style_alone(tmp_path):
    page = write(tmp_path / "a.html", Section("table", "x", {}))
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    (policy,) = [attrs["content"] for tag, attrs in page.tags if tag == "meta" and "http-equiv" in attrs]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    (script,) = [text for attrs, text in page.scripts if not attrs]
    style = re.search("<style>(.*?)</style>", text, re.DOTALL)[1]
    for name, content in (("script-src", script), ("style-src", style)):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert rules[name].split()[0] == f"'sha256-{digest}'"
    assert "unsafe" not in policy
    assert "http:" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "https:" not in text


def test_a_page_appears_whole_or_not_at_all(tmp_path):
    def broken():
        yield {"name": "a"}
        raise OSError(28, "No space left on device")

    path = tmp_path / "a.html"
    with pytest.raises(UserError, match=f"^cannot write the report {path}: No space left on device$"):
        write_page(path, "x", [Section("table", "x", {}, broken())])
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UserError, match="cannot write the report"):
        write_page(tmp_path / "no" / "a.html", "x", [])


def test_only_a_page_of_ours_is_replaced(tmp_path):
    write(tmp_path / "a.html", title="first")
    assert write(tmp_path / "a.html", title="second").title == "second"
    (tmp_path / "b.html").write_text("<html>", encoding="utf-8")
    (tmp_path / "c.html").mkdir()
    for path in (tmp_path / "b.html", tmp_path / "c.html"):
        with pytest.raises(UserError, match=f"^{path} exists and is not a BiSeNetV2 report; [^\n]*$"):
            write(path)
    assert (tmp_path / "b.html").read_text(encoding="utf-8") == "<html>"


def test_memory_does_not_grow_with_the_number_of_records(tmp_path):
    def peak(count):
        records = ({"index": n, "text": "x" * 2000} for n in range(count))
        inlined = ((f"picture-{n}", to_json("y" * 2000)) for n in range(count))
        tracemalloc.start()
        write_page(tmp_path / "a.html", "x", [Section("gallery", "x", {}, records, inlined)])
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(1)  # what is read once
    assert peak(5000) < peak(50) + 200_000
    assert (tmp_path / "a.html").stat().st_size > 50 * 4000


@pytest.mark.once
@pytest.mark.skipif(
    shutil.which("node") is None, reason="no node to check the page's scripts with (apt-get install nodejs)"
)
@pytest.mark.parametrize("path", sorted(PARTS.glob("*.js")), ids=lambda path: path.name)
def test_scripts_parse(path):
    done = subprocess.run(["node", "--check", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_scripts_make_no_html_of_text():
    for path in PARTS.glob("*.js"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text), (
            path
        )


def test_every_part_is_in_the_page(tmp_path):
    write(tmp_path / "a.html")
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    for path in (path for path in PARTS.iterdir() if path.suffix in (".js", ".css")):
        assert path.read_text(encoding="utf-8") in text, path.name
