"""A headless Chromium, asked over a pipe: real pointers, fingers and keys, for tests of pages."""

from __future__ import annotations

import json
import os
import select
import shutil
from base64 import b64decode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PATIENCE = 60  # seconds
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
KEYS = {"Tab": 9, "Enter": 13, "Escape": 27, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}
KEYS |= {"+": 187, "-": 189, "0": 48}


def found() -> str | None:
    """Where there is a Chromium, or None; pipes by number are POSIX's."""
    return next(filter(None, map(shutil.which, NAMES)), None) if os.name == "posix" else None


def _pipe() -> list[int]:
    """Both ends of a pipe, under numbers that are in nobody's way."""
    import fcntl

    ends = os.pipe()
    moved = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends]
    for end in ends:
        os.close(end)
    return moved


class Chromium:
    """A browser with one page; what it logs, throws or asks the network for is kept."""

    def __init__(self, profile: Path) -> None:
        take, self.write = _pipe()
        self.read, give = _pipe()
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars"]
        command = [str(found()), *flags, "--remote-debugging-pipe", f"--user-data-dir={profile}", "about:blank"]
        quiet = [(os.POSIX_SPAWN_OPEN, stream, os.devnull, os.O_WRONLY, 0) for stream in (1, 2)]
        joined = [(os.POSIX_SPAWN_DUP2, take, 3), (os.POSIX_SPAWN_DUP2, give, 4)]  # where it reads and writes
        self.process = os.posix_spawn(command[0], command, os.environ, file_actions=quiet + joined)
        os.close(take)
        os.close(give)
        self.count, self.rest, self.session = 0, b"", ""
        self.events: list[dict[str, Any]] = []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log", "DOM"):
            self.ask(f"{domain}.enable")

    def close(self) -> None:
        self.session = ""
        try:
            self.ask("Browser.close")
            while True:
                self.hear()
        except (EOFError, OSError):  # TimeoutError is one
            os.close(self.read)
            os.close(self.write)
            os.waitpid(self.process, 0)

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        self.count += 1
        told = {"id": self.count, "method": method, "params": parameters}
        told |= {"sessionId": self.session} if self.session else {}
        os.write(self.write, json.dumps(told).encode() + b"\0")
        while True:
            heard = self.hear()
            if heard.get("id") == self.count:
                assert "error" not in heard, heard["error"]
                return dict(heard["result"])
            self.events.append(heard)

    def hear(self) -> dict[str, Any]:
        while b"\0" not in self.rest:
            if not select.select([self.read], [], [], PATIENCE)[0]:
                raise TimeoutError(f"Chromium has said nothing for {PATIENCE} seconds")
            part = os.read(self.read, 1 << 20)
            if not part:
                raise EOFError("Chromium is gone")
            self.rest += part
        message, _, self.rest = self.rest.partition(b"\0")
        return dict(json.loads(message))

    def happened(self, method: str) -> list[dict[str, Any]]:
        return [event["params"] for event in self.events if event.get("method") == method]

    def window(self, width: int, height: int = 900, *, finger: bool = False, **features: str) -> None:
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=finger)
        self.ask("Emulation.setTouchEmulationEnabled", enabled=finger)
        told = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.ask("Emulation.setEmulatedMedia", media="screen", features=told)

    def open(self, page: Path, *, script: bool = True) -> None:
        self.events.clear()
        self.ask("Emulation.setScriptExecutionDisabled", value=not script)
        self.ask("Page.navigate", url=page.as_uri())
        while not self.happened("Page.loadEventFired"):
            self.events.append(self.hear())

    def js(self, expression: str) -> Any:
        answer = self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def at(self, selector: str, at: tuple[float, float]) -> dict[str, float]:
        """Where a part of an element lies in the window, by its share of the element from the left and the top."""
        box = self.js(f"document.querySelector({json.dumps(selector)}).getBoundingClientRect().toJSON()")
        return {"x": box["x"] + at[0] * box["width"], "y": box["y"] + at[1] * box["height"]}

    def middle(self, selector: str, at: tuple[float, float] = (0.5, 0.5)) -> tuple[float, float]:
        """The same, once the element has been brought into the middle of the window."""
        name = json.dumps(selector)
        self.js(f"document.querySelector({name}).scrollIntoView({{ block: 'center', behavior: 'instant' }})")
        place = self.at(selector, at)
        return place["x"], place["y"]

    def hover(self, selector: str, at: tuple[float, float] = (0.5, 0.5)) -> None:
        x, y = self.middle(selector, at)
        self.ask("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def click(self, selector: str, at: tuple[float, float] = (0.5, 0.5)) -> None:
        x, y = self.middle(selector, at)
        self.ask("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        for kind in ("mousePressed", "mouseReleased"):
            self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def tap(self, selector: str, at: tuple[float, float] = (0.5, 0.5)) -> None:
        x, y = self.middle(selector, at)
        self.ask("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
        self.ask("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
        self.js("new Promise((done) => setTimeout(done, 60))")

    def wheel(self, selector: str, at: tuple[float, float], down: float) -> None:
        x, y = self.middle(selector, at)
        self.ask("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        self.ask("Input.dispatchMouseEvent", type="mouseWheel", x=x, y=y, deltaX=0, deltaY=down)

    def drag(self, selector: str, at: tuple[float, float], by: tuple[float, float]) -> None:
        """A mouse that is held down over so many pixels."""
        x, y = self.middle(selector, at)
        self.ask("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        self.ask("Input.dispatchMouseEvent", type="mousePressed", x=x, y=y, button="left", clickCount=1)
        for part in (0.25, 0.5, 0.75, 1):
            moved = {"x": x + part * by[0], "y": y + part * by[1], "button": "left", "buttons": 1}
            self.ask("Input.dispatchMouseEvent", type="mouseMoved", **moved)
        self.ask("Input.dispatchMouseEvent", type="mouseReleased", x=x + by[0], y=y + by[1], button="left")

    def fingers(self, selector: str, *paths: Sequence[tuple[float, float]]) -> None:
        """Fingers that go along together, each from place to place by shares of the element."""
        self.middle(selector)
        for step, places in enumerate(zip(*paths, strict=True)):
            points = [{**self.at(selector, place), "id": finger} for finger, place in enumerate(places)]
            self.ask("Input.dispatchTouchEvent", type="touchMove" if step else "touchStart", touchPoints=points)
        self.ask("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
        self.js("new Promise((done) => setTimeout(done, 60))")

    def press(self, *keys: str, shift: bool = False) -> None:
        for key in keys:
            parts = {"key": key, "code": key, "windowsVirtualKeyCode": KEYS[key], "modifiers": 8 if shift else 0}
            self.ask("Input.dispatchKeyEvent", type="keyDown", **parts, **({"text": "\r"} if key == "Enter" else {}))
            self.ask("Input.dispatchKeyEvent", type="keyUp", **parts)

    def screenshot(self, path: Path, *, whole: bool = False) -> Path:
        picture = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        path.write_bytes(b64decode(picture))
        return path
