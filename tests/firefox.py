"""A headless Firefox, asked by Marionette, the protocol of its own tests, what it makes of a page."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

TIMEOUT = 60  # seconds
FIREFOX = ("firefox-esr", "firefox")
FLAGS = ("--headless", "--no-remote", "--marionette", "--remote-allow-system-access", "--new-instance")
# The errors of pages alone: the browser has its own, about services that it does not reach.
ERRORS = """
const found = Services.console.getMessageArray().filter((each) => each instanceof Ci.nsIScriptError);
Services.console.reset();
return found.filter((each) => each.sourceName.startsWith("file:") || /content|CSP/i.test(each.category))
            .map((each) => String(each.message));
"""


class Firefox:
    """A browser with one page."""

    def __init__(self, executable: str, profile: Path) -> None:
        port = _free_port()
        settings = {"marionette.port": port, "browser.shell.checkDefaultBrowser": False, "app.update.enabled": False}
        lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in settings.items()]
        (profile / "user.js").write_text("".join(lines), encoding="utf-8")
        command = [executable, *FLAGS, "--profile", str(profile)]
        environment = {**os.environ, "HOME": str(profile), "MOZ_CRASHREPORTER_DISABLE": "1"}
        silence = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(command, env=environment, **silence)
        self.socket, self.count = _connect(port), 0
        self.stream = self.socket.makefile("rb")
        self._receive()  # the browser's greeting
        self.send("WebDriver:NewSession")

    def close(self) -> None:
        self.send("Marionette:Quit", flags=["eForceQuit"])
        self.stream.close()
        self.socket.close()
        self.process.wait(TIMEOUT)

    def send(self, command: str, **parameters: Any) -> Any:
        self.count += 1
        message = json.dumps([0, self.count, command, parameters]).encode()
        self.socket.sendall(f"{len(message)}:".encode() + message)
        _, _, error, result = self._receive()
        assert error is None, error
        return result

    def _receive(self) -> Any:
        length = b""
        while not length.endswith(b":"):
            length += self.stream.read(1)
        return json.loads(self.stream.read(int(length[:-1])))

    def js(self, expression: str) -> Any:
        return self.send("WebDriver:ExecuteScript", script=f"return {expression}", args=[])["value"]

    def open(self, page: Path) -> list[str]:
        """Open a page; return what its scripts threw, and what its policy refused."""
        self.send("WebDriver:Navigate", url=page.as_uri())
        self.js("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        self.send("Marionette:SetContext", value="chrome")
        errors = self.send("WebDriver:ExecuteScript", script=ERRORS, args=[])["value"]
        self.send("Marionette:SetContext", value="content")
        return list(errors)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _connect(port: int) -> socket.socket:
    end = time.monotonic() + TIMEOUT
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), TIMEOUT)
        except ConnectionRefusedError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
