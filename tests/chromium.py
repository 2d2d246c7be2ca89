"""A headless Chromium driven over a pipe, for tests of pages with real mouse, touch and keys."""

from __future__ import annotations

import json
import os
import select
import shutil
from base64 import b64decode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

TIMEOUT = 60  # seconds
EXECUTABLES = ("chromium", "chromium-browser", "google-chrome", "chrome")
KEYS = {"Tab": 9, "Enter": 13, "Escape": 27, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}
KEYS |= {"+": 187, "-": 189, "0": 48}


def find_browser() -> str | None:
    """The path of a Chromium, or None; file descriptors by number need POSIX."""
    return next(filter(None, map(shutil.which, EXECUTABLES)), None) if os.name == "posix" else None


def _pipe() -> list[int]:
    """Both ends of a pipe, with descriptors above those that the browser uses."""
    import fcntl

    ends = os.pipe()
    ends_above = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends]
    for end in ends:
        os.close(end)
    return ends_above


class Chromium:
    """A browser with one page; `events` has what it logs, throws and requests."""

    def __init__(self, profile: Path) -> None:
        browser_reads, self.write = _pipe()
        self.read, browser_writes = _pipe()
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars"]
        command = [str(find_browser()), *flags, "--remote-debugging-pipe", f"--user-data-dir={profile}", "about:blank"]
        silence = [(os.POSIX_SPAWN_OPEN, stream, os.devnull, os.O_WRONLY, 0) for stream in (1, 2)]
        # The browser reads from descriptor 3 and writes to 4.
        pipes = [(os.POSIX_SPAWN_DUP2, browser_reads, 3), (os.POSIX_SPAWN_DUP2, browser_writes, 4)]
        self.process = os.posix_spawn(command[0], command, os.environ, file_actions=silence + pipes)
        os.close(browser_reads)
        os.close(browser_writes)
        self.count, self.rest, self.session = 0, b"", ""
        self.events: list[dict[str, Any]] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log", "DOM"):
            self.send(f"{domain}.enable")

    def close(self) -> None:
        self.session = ""
        try:
            self.send("Browser.close")
            while True:
                self.receive()
        except (EOFError, OSError):  # TimeoutError is one
            os.close(self.read)
            os.close(self.write)
            os.waitpid(self.process, 0)

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        self.count += 1
        request = {"id": self.count, "method": method, "params": parameters}
        request |= {"sessionId": self.session} if self.session else {}
        os.write(self.write, json.dumps(request).encode() + b"\0")
        while True:
            message = self.receive()
            if message.get("id") == self.count:
                assert "error" not in message, message["error"]
                return dict(message["result"])
            self.events.append(message)

    def receive(self) -> dict[str, Any]:
        while b"\0" not in self.rest:
            if not select.select([self.read], [], [], TIMEOUT)[0]:
                raise TimeoutError(f"no message from Chromium for {TIMEOUT} seconds")
            part = os.read(self.read, 1 << 20)
            if not part:
                raise EOFError("Chromium has exited")
            self.rest += part
        message, _, self.rest = self.rest.partition(b"\0")
        return dict(json.loads(message))

    def messages(self, method: str) -> list[dict[str, Any]]:
        return [event["params"] for event in self.events if event.get("method") == method]

    def window(self, width: int, height: int = 900, *, finger: bool = False, **features: str) -> None:
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=finger)
        self.send("Emulation.setTouchEmulationEnabled", enabled=finger)
        request = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.send("Emulation.setEmulatedMedia", media="screen", features=request)

    def open(self, page: Path, *, script: bool = True) -> None:
        self.events.clear()
        self.send("Emulation.setScriptExecutionDisabled", value=not script)
        self.send("Page.navigate", url=page.as_uri())
        while not self.messages("Page.loadEventFired"):
            self.events.append(self.receive())

    def js(self, expression: str) -> Any:
        reply = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in reply, reply["exceptionDetails"]
        return reply["result"].get("value")

    def at(self, selector: str, at: tuple[float, float]) -> dict[str, float]:
        """A point of an element in the window, by its shares of the width and the height."""
        box = self.js(f"document.querySelector({json.dumps(selector)}).getBoundingClientRect().toJSON()")
        return {"x": box["x"] + at[0] * box["width"], "y": box["y"] + at[1] * box["height"]}

    def middle(self, selector: str, at: tuple[float, float] = (0.5, 0.5)) -> tuple[float, float]:
        """Scroll an element into the middle of the window, and return a point of it."""
        name = json.dumps(selector)
        self.js(f"document.querySelector({name}).scrollIntoView({{ block: 'center', behavior: 'instant' }})")
        place = self.at(selector, at)
        return place["x"], place["y"]

    def hover(self, selector: str, at: tuple[float, float] = (0.5, 0.5)) -> None:
        x, y = self.middle(selector, at)
        self.send("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def click(self, selector: str, at: tuple[float, float] = (0.5, 0.5)) -> None:
        x, y = self.middle(selector, at)
        self.send("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def tap(self, selector: str, at: tuple[float, float] = (0.5, 0.5)) -> None:
        x, y = self.middle(selector, at)
        self.send("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
        self.send("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
        self.js("new Promise((done) => setTimeout(done, 60))")

    def wheel(self, selector: str, at: tuple[float, float], down: float) -> None:
        x, y = self.middle(selector, at)
        self.send("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        self.send("Input.dispatchMouseEvent", type="mouseWheel", x=x, y=y, deltaX=0, deltaY=down)

    def drag(self, selector: str, at: tuple[float, float], by: tuple[float, float]) -> None:
        """Drag the mouse by a number of pixels."""
        x, y = self.middle(selector, at)
        self.send("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        self.send("Input.dispatchMouseEvent", type="mousePressed", x=x, y=y, button="left", clickCount=1)
        for part in (0.25, 0.5, 0.75, 1):
            position = {"x": x + part * by[0], "y": y + part * by[1], "button": "left", "buttons": 1}
            self.send("Input.dispatchMouseEvent", type="mouseMoved", **position)
        self.send("Input.dispatchMouseEvent", type="mouseReleased", x=x + by[0], y=y + by[1], button="left")

    def fingers(self, selector: str, *paths: Sequence[tuple[float, float]]) -> None:
        """Move several fingers together, each along points given by shares of the element."""
        self.middle(selector)
        for step, places in enumerate(zip(*paths, strict=True)):
            points = [{**self.at(selector, place), "id": finger} for finger, place in enumerate(places)]
            self.send("Input.dispatchTouchEvent", type="touchMove" if step else "touchStart", touchPoints=points)
        self.send("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
        self.js("new Promise((done) => setTimeout(done, 60))")

    def press(self, *keys: str, shift: bool = False) -> None:
        for key in keys:
            parts = {"key": key, "code": key, "windowsVirtualKeyCode": KEYS[key], "modifiers": 8 if shift else 0}
            self.send("Input.dispatchKeyEvent", type="keyDown", **parts, **({"text": "\r"} if key == "Enter" else {}))
            self.send("Input.dispatchKeyEvent", type="keyUp", **parts)

    def screenshot(self, path: Path, *, whole: bool = False) -> Path:
        picture = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        path.write_bytes(b64decode(picture))
        return path
