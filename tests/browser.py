"""A window of a headless browser, for tests of pages with real mouse, touch and keys."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = ("--no-sandbox", "--disable-gpu", "--hide-scrollbars")
Share = tuple[float, float]  # of the width and the height of an element


def find_executable(*names: str) -> str | None:
    """The path of a browser, or None."""
    return next(filter(None, map(shutil.which, names)), None)


class Window:
    """A window of a browser, and what its page throws, logs and asks for since it was opened.

    It stays open from test to test: a new one would take longer than most tests.
    """

    page: Page

    def __init__(self, browser: Browser) -> None:
        self.browser = browser
        self.pages: dict[tuple[bool, bool], Page] = {}  # by whether fingers touch it, and whether scripts run
        self.thrown: list[str] = []
        self.logged: list[str] = []
        self.asked: list[str] = []
        self.failed: list[str] = []

    def resize(self, width: int, height: int = 900, *, finger: bool = False, script: bool = True, **media: Any) -> None:
        """Choose the size, and how the page is used; `media` are `color_scheme` and `reduced_motion`."""
        if (finger, script) not in self.pages:
            self.pages[finger, script] = self._open_window(finger, script)
        self.page = self.pages[finger, script]
        self.page.set_viewport_size({"width": width, "height": height})
        self.page.emulate_media(**{"color_scheme": "light", "reduced_motion": "no-preference", **media})

    def widen(self, width: int) -> None:
        """Change the width of the window, and leave its page as it is."""
        self.page.set_viewport_size({"width": width, "height": self.js("innerHeight")})

    def _open_window(self, finger: bool, script: bool) -> Page:
        page = self.browser.new_page(has_touch=finger, is_mobile=finger, java_script_enabled=script)
        page.on("pageerror", lambda error: self.thrown.append(str(error)))
        page.on("console", lambda message: self.logged.append(message.text))
        page.on("dialog", lambda dialog: self.thrown.append(f"dialog: {dialog.message}"))
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("requestfailed", lambda request: self.failed.append(request.url))
        return page

    def open(self, page: Path) -> None:
        for events in (self.thrown, self.logged, self.asked, self.failed):
            events.clear()
        self.page.goto(page.as_uri())

    def js(self, expression: str) -> Any:
        return self.page.evaluate(expression)

    def wait(self, milliseconds: int) -> None:
        self.js(f"new Promise((done) => setTimeout(done, {milliseconds}))")

    def text(self, selector: str) -> str:
        return str(self.js(f"document.querySelector({json.dumps(selector)}).textContent"))

    def texts(self, selector: str) -> list[str]:
        found = self.js(f"[...document.querySelectorAll({json.dumps(selector)})].map((each) => each.textContent)")
        return list(found)

    def box(self, selector: str) -> dict[str, float]:
        return dict(self.js(f"document.querySelector({json.dumps(selector)}).getBoundingClientRect().toJSON()"))

    def at(self, selector: str, at: Share, first: str = "") -> Share:
        """A point of an element in the window."""
        box = self.js(
            f"(() => {{ const element = document.querySelector({json.dumps(selector)}); {first}"
            "return element.getBoundingClientRect().toJSON(); })()"
        )
        return box["x"] + at[0] * box["width"], box["y"] + at[1] * box["height"]

    def middle(self, selector: str, at: Share = (0.5, 0.5)) -> Share:
        """Scroll an element into the middle of the window, and return a point of it."""
        return self.at(selector, at, "element.scrollIntoView({ block: 'center', behavior: 'instant' });")

    def hover(self, selector: str, at: Share = (0.5, 0.5)) -> None:
        self.page.mouse.move(*self.middle(selector, at))

    def click(self, selector: str, at: Share = (0.5, 0.5)) -> None:
        self.page.mouse.click(*self.middle(selector, at))

    def tap(self, selector: str, at: Share = (0.5, 0.5)) -> None:
        self.fingers(selector, [at])

    def double_tap(self, selector: str, at: Share = (0.5, 0.5)) -> None:
        """Tap twice, a tenth of a second apart by the events' own time, however busy the machine is."""
        self.middle(selector)
        x, y = self.at(selector, at)
        touch, start = self.page.context.new_cdp_session(self.page), time.time()
        for later in (0.0, 0.1):
            for kind, points in (("touchStart", [{"x": x, "y": y, "id": 0}]), ("touchEnd", [])):
                event = {"type": kind, "touchPoints": points, "timestamp": start + later}
                touch.send("Input.dispatchTouchEvent", event)
        touch.detach()
        self.wait(60)

    def wheel(self, selector: str, at: Share, down: float) -> None:
        self.hover(selector, at)
        self.page.mouse.wheel(0, down)

    def drag(self, selector: str, at: Share, by: Share) -> None:
        """Drag the mouse by a number of pixels."""
        x, y = self.middle(selector, at)
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        self.page.mouse.move(x + by[0], y + by[1], steps=4)
        self.page.mouse.up()

    def fingers(self, selector: str, *paths: Sequence[Share]) -> None:
        """Move several fingers together, each along points given by shares of the element."""
        self.middle(selector)
        touch = self.page.context.new_cdp_session(self.page)
        for step, places in enumerate(zip(*paths, strict=True)):
            points = [dict(zip("xy", self.at(selector, place), strict=True), id=n) for n, place in enumerate(places)]
            kind = "touchMove" if step else "touchStart"
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        touch.detach()
        self.wait(60)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def screenshot(self, path: Path, *, whole: bool = False) -> Path:
        self.page.screenshot(path=path, full_page=whole)
        return path
