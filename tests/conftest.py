"""Fixtures of all tests: small networks, their fingerprints, real weights and photos beside the checkout."""

from __future__ import annotations

import copy
import os
import re
import signal
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from optvis import IMAGENET, Classifier, load
from optvis.world import dataset

from .browser import CHROMIUM, FLAGS, Window, find_executable

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"
LABELS = ("cat", "dog", "container ship, box ship", "ocean liner", "tench, Tinca tinca")

# The only reasons for which a test may be skipped. A run with a skip for another reason fails.
ALLOWED_SKIPS = (
    # the machine
    *([] if "CI" in os.environ else [r"no (Chromium|Firefox) on this machine's path"]),
    r"root may write everywhere",
    r"permission bits are POSIX's",
    r"forks, so that torch is loaded once",
    r"torch's compiler needs g\+\+ and Python's headers",
    # what lies beside the checkout
    r"no weights of .* \(set TORCH_HOME\)",
    r"no photographs .*",
    # how optvis is installed
    r"an editable install points at the tree itself",
    # packages that only a bench needs, or that not every Python has
    r"no Ray for this Python",
    r"could not import '(onnxscript|onnxruntime|overcomplete.sae)': .*",
    # laws that do not apply to one member of a family
    r"it changes the gradient: .*",
    r"it reads no planes, or places in them",
)

# Files that take longest, by measured time: they begin first, so that no worker ends long after the others.
SLOWEST_FILES = (
    "sweeps",
    "atlas",
    "real_features",
    "demo_tour",
    "microscope",
    "demo_vit",
    "template_network",
    "many_networks",
    "operations",
    "channels_of_images",
    "embedded_network",
    "networks",
    "pages_all",
    "find_units",
    "world",
    "readme",
    "evaluation_statistics",
    "architecture",
    "report",
    "world_training",
    "own_model",
)


def pytest_configure(config: pytest.Config) -> None:
    """Watch the reasons of skips, and interrupt as in the foreground: a shell's background job ignores SIGINT."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    config.pluginmanager.register(SkipGate(), "skip gate")
    if hasattr(config.option, "loadscopereorder"):  # pytest-xdist would begin with the files that have most tests
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the slowest files."""
    places = {f"test_{name}": place for place, name in enumerate(SLOWEST_FILES)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))


class SkipGate:
    """Collect what is skipped for a reason that is not allowed, and let the run fail."""

    def __init__(self) -> None:
        self.refused: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.check(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self.check(report)

    def check(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        """Note a test or a file that was skipped for another reason than those of ALLOWED_SKIPS."""
        if report.skipped and isinstance(report.longrepr, tuple):
            reason = report.longrepr[2].removeprefix("Skipped: ")
            if not any(re.fullmatch(allowed, reason) for allowed in ALLOWED_SKIPS):
                self.refused.append(f"{report.nodeid}: {reason}")

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if self.refused and exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for line in self.refused:
            terminalreporter.write_line(f"not in ALLOWED_SKIPS of tests/conftest.py: {line}", red=True)


class Fuse(nn.Module):
    """Return its input, count the calls, and raise an error at a chosen call."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[int] = []
        self.error: BaseException | None = None
        self.at = 0
        self.most: int | None = None

    def arm(self, error: BaseException, at: int) -> None:
        """Raise at the n-th call from now, counted from 1."""
        self.calls.clear()
        self.error, self.at = error, at

    def limit(self, most: int, at: int = 1) -> None:
        """Raise an out-of-memory error for batches larger than `most`, from the n-th such call on."""
        self.calls.clear()
        self.most, self.at = most, at

    def forward(self, x: Tensor) -> Tensor:
        self.calls.append(len(x))
        if self.error is not None and len(self.calls) == self.at:
            raise self.error
        if self.most is not None and len(x) > self.most and sum(n > self.most for n in self.calls) >= self.at:
            raise torch.OutOfMemoryError("no room for so many images")
        return x


def small_network() -> nn.Sequential:
    """Convolutions, BatchNorm with statistics of its own, in-place ReLU, a fuse, a linear layer; in training mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        parts = OrderedDict(
            conv1=nn.Conv2d(3, 8, 3, padding=1),
            bn1=nn.BatchNorm2d(8),
            relu1=nn.ReLU(inplace=True),
            fuse=Fuse(),
            conv2=nn.Conv2d(8, 12, 3),
            relu2=nn.ReLU(inplace=True),
            pool=nn.AdaptiveAvgPool2d(1),
            flat=nn.Flatten(),
            fc=nn.Linear(12, len(LABELS)),
        )
        parts["bn1"].running_mean.uniform_(-0.5, 0.5)
        parts["bn1"].running_var.uniform_(0.5, 2)
        return nn.Sequential(parts)


@pytest.fixture(scope="session")
def browser() -> Iterator[Window]:
    """The one Chromium of a worker; a test chooses the size of the window and opens a page."""
    from playwright.sync_api import sync_playwright

    executable = find_executable(*CHROMIUM)
    if executable is None:
        pytest.skip("no Chromium on this machine's path")
    with sync_playwright() as driver, driver.chromium.launch(executable_path=executable, args=FLAGS) as chromium:
        yield Window(chromium)


@pytest.fixture(scope="session")
def demo() -> Classifier:
    """The embedded network."""
    return load("demo")


@pytest.fixture(scope="session")
def scenes() -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Three of each class to find on, and two to judge on."""
    images, labels = dataset(5 * 16, seed=51)
    return (images[:48], labels[:48]), (images[48:], labels[48:])


@pytest.fixture
def network() -> nn.Sequential:
    """The small network, bare, float32, in training mode."""
    return small_network()


@pytest.fixture
def small() -> Classifier:
    """The small network in float64, 20 pixels, with five labels."""
    return Classifier(small_network().double(), IMAGENET, 20, labels=LABELS, name="small")


@pytest.fixture(params=[torch.float32, torch.float64], ids=str)
def dtype(request: pytest.FixtureRequest) -> Iterator[torch.dtype]:
    """torch's default dtype during the test: each of the two."""
    usual = torch.get_default_dtype()
    torch.set_default_dtype(request.param)
    yield request.param
    torch.set_default_dtype(usual)


@pytest.fixture
def exact() -> Iterator[None]:
    """During the test torch's default dtype is float64."""
    usual = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(usual)


@pytest.fixture
def fingerprint() -> Callable[[nn.Module], dict[str, Any]]:
    """Everything about a network that a call could change, as values that compare by ==."""
    return fingerprint_of


@pytest.fixture
def untouched() -> Callable[[nn.Module], AbstractContextManager[None]]:
    """`with untouched(network):` fails if the network differs afterwards, also after an error inside."""
    return _untouched


@contextmanager
def _untouched(network: nn.Module) -> Iterator[None]:
    before = fingerprint_of(network)
    try:
        yield
    finally:
        after = fingerprint_of(network)
        assert {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)} == set()


def fingerprint_of(network: nn.Module) -> dict[str, Any]:
    """Everything about a network that a call could change, as values that compare by ==."""
    found: dict[str, Any] = {}
    for name, module in network.named_modules():
        hooks = {key: list(value.items()) for key, value in vars(module).items() if "hooks" in key}
        found[f"{name} (module)"] = id(module), type(module), sorted(vars(module)), module.training, hooks
    named = [*network.named_parameters(), *network.named_buffers()]
    for name, tensor in named:
        grad = None if tensor.grad is None else _bytes(tensor.grad)
        place = id(tensor), tensor.data_ptr(), tensor.stride(), tensor.dtype, tensor.requires_grad
        found[name] = place, _bytes(tensor), grad
    found["state_dict"] = list(network.state_dict())
    found["global hooks"] = [
        list(value) for key, value in sorted(vars(nn.modules.module).items()) if key.startswith("_global_") and value
    ]
    return found


def _bytes(tensor: Tensor) -> bytes:
    return tensor.detach().contiguous().view(torch.uint8).numpy().tobytes() if tensor.dim() else str(tensor).encode()


@pytest.fixture
def answer() -> Callable[[nn.Module, Tensor], Tensor]:
    """The output of a copy of a network in eval mode."""

    def evaluate(network: nn.Module, images: Tensor) -> Tensor:
        with torch.no_grad():
            output: Tensor = copy.deepcopy(network).eval()(images)
        return output

    return evaluate


@pytest.fixture(scope="session")
def random_squeezenet() -> Classifier:
    """A real architecture with random weights; tests must not change it."""
    return load("squeezenet1_0", weights=None)


@pytest.fixture(scope="session")
def squeezenet() -> Iterator[Classifier]:
    """SqueezeNet with published weights, from $TORCH_HOME or from the folder beside the checkout."""
    home = Path(os.environ["TORCH_HOME"]) if "TORCH_HOME" in os.environ else SHARED / "torch_home"
    if not list(home.glob("hub/checkpoints/squeezenet1_0-*.pth")):
        pytest.skip(f"no weights of squeezenet1_0 under {home} (set TORCH_HOME)")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCH_HOME", str(home))
        yield load("squeezenet1_0")


@pytest.fixture(scope="session")
def photographs() -> list[Path]:
    """Photographs in folders named after their class, beside the checkout."""
    found = sorted((SHARED / "images").glob("*/*.jpg"))
    if not found:
        pytest.skip(f"no photographs in {SHARED / 'images'}")
    return found
