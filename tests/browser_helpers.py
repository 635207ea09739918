"""A real browser for tests of pages: Chromium, headless, which opens files from disk."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests import runner_helpers

NAMES = ("chromium", "chromium-browser", "google-chrome")


def find_browser() -> str:
    """Return the program; without it, or without what drives it, the test is skipped, but never in CI."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    lacking = []
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        lacking.append("python -m pip install -r requirements/dev.txt")
    if found is None:
        lacking.append("apt-get install chromium")
    if lacking:
        runner_helpers.missing(f"no browser to open the report with: {'; '.join(lacking)}")
    return found


@contextlib.contextmanager
def running_browser() -> Iterator[Any]:
    """Yield a running browser of playwright's."""
    program = find_browser()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


class Opened:
    """A page opened from disk, and everything that went wrong in it.

    Args:
        browser: see `running_browser`; or a context of one.
        path: the page.
        fragment: what the address says behind "#".
    """

    def __init__(self, browser: Any, path: Path, fragment: str = "") -> None:
        self.page = browser.new_page()
        self.page.set_viewport_size({"width": 1360, "height": 900})
        self.problems: list[str] = []
        self.page.on("console", lambda message: self.problems.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.problems.append(f"error: {error}"))
        self.page.on("dialog", lambda dialog: (self.problems.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        self.address = path.resolve().as_uri()
        self.page.goto(self.address + (f"#{fragment}" if fragment else ""))

    def tab(self, name: str) -> None:
        """Open one of the page's tabs."""
        self.page.get_by_role("tab", name=name, exact=True).click()

    def wait_for(self, selector: str, text: str | None = None, *, more_than: int = 0) -> None:
        """Wait until `selector` finds an element, with `text` if it is given, behind the first `more_than` ones."""
        found = self.page.locator(selector)
        (found if text is None else found.filter(has_text=text)).nth(more_than).wait_for(state="attached")

    def values(self, selector: str) -> list[float | None]:
        """Return the exact numbers of all elements that `selector` finds."""
        texts = self.page.eval_on_selector_all(selector, "all => all.map(each => each.dataset.value ?? null)")
        return [None if text is None else float(text) for text in texts]

    def texts(self, selector: str) -> list[str]:
        """Return the texts of all elements that `selector` finds."""
        return self.page.eval_on_selector_all(selector, "all => all.map(each => each.textContent)")
