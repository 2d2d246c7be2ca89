"""A Sphinx extension: the kernels of the pages are forks of one process, which has imported torch and optvis already.

Each page runs in a kernel of its own, and most run for less time than it takes to start Python and to import torch.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

PRELOADED = (
    "ipykernel.kernelapp",
    "matplotlib_inline",
    "matplotlib.pyplot",
    "torchvision",
    "torch._dynamo",
    "kornia",
    "scipy.stats",
    "sklearn.decomposition",
    "sklearn.manifold",
    "optvis.cli.main",
    "optvis.demo",
    "optvis.world",
)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("builder-inited", offer_kernels)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def offer_kernels(app: Sphinx) -> None:
    """Start the process that forks, and offer it as the kernel `python3`, until the build is finished."""
    folder = tempfile.TemporaryDirectory(prefix="kernels")
    address = str(Path(folder.name) / "socket")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        command = [sys.executable, __file__, "serve", str(listener.fileno())]
        server = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[listener.fileno()])
    spec = Path(folder.name, "kernels", "python3", "kernel.json")
    spec.parent.mkdir(parents=True)
    argv = [sys.executable, __file__, "start", address, "-f", "{connection_file}"]
    spec.write_text(json.dumps({"argv": argv, "display_name": "Python 3", "language": "python"}))
    os.environ["JUPYTER_PATH"] = folder.name

    def end(app: Sphinx, error: Exception | None) -> None:
        server.communicate()
        folder.cleanup()

    app.connect("build-finished", end)


def serve(number: str) -> None:
    """Fork a kernel for each connection to the socket of this number, until the standard input ends."""
    for module in PRELOADED:
        importlib.import_module(module)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system forgets kernels that have ended
    with socket.socket(fileno=int(number)) as server:
        while sys.stdin not in select.select([server, sys.stdin], [], [])[0]:
            connection, _ = server.accept()
            if os.fork() == 0:
                server.close()
                run_kernel(connection)
            connection.close()


def run_kernel(connection: socket.socket) -> None:
    """Be the kernel that a connection asks for. End with the process that asked."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    asked = json.loads(connection.makefile().readline())
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    threading.Thread(target=lambda: (connection.recv(1), os._exit(1)), daemon=True).start()
    from ipykernel.kernelapp import IPKernelApp

    IPKernelApp.launch_instance(argv=asked["arguments"])
    os._exit(0)


def start(address: str, *arguments: str) -> None:
    """Ask for a kernel, and wait for its end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a message asks the kernel to end
    own = (f"--IPKernelApp.parent_handle={os.getpid()}", "--log-level=ERROR")
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        asked = {"arguments": arguments + own, "folder": str(Path.cwd()), "environment": dict(os.environ)}
        connection.sendall(json.dumps(asked).encode() + b"\n")
        connection.recv(1)


if __name__ == "__main__":
    {"serve": serve, "start": start}[sys.argv[1]](*sys.argv[2:])
