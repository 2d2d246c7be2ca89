"""The `optvis` command."""

from __future__ import annotations

import argparse
import os
import select
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from optvis.cli.options import UsageError, create_command, shorten
from optvis.errors import suggest
from optvis.formatting.version import __version__
from optvis.progress import hide_bars

FAILED, WRONG_USAGE, NOT_REACHED, INTERRUPTED = 1, 2, 3, 130
OUT_OF_MEMORY = "can't allocate memory"  # in what torch says of the memory beside the CPU
NEAR = 0.65  # of difflib's similarity of options, whose two hyphens are alike
COMMANDS = (
    *("layers", "render", "dream", "classify", "grid", "attribute", "blind"),
    *("atlas", "microscope", "hinton", "patch", "demo"),
    *("survey", "store", "plan"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code.

    0; 1 for an error, 2 for wrong usage, 3 where it did not reach its goal, 130 after Ctrl-C.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    options = build_parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], bool | None] = options.run
    try:
        with _brief_warnings(), hide_bars(options.quiet):
            has_reached = run(options)
    except Exception as error:  # --debug shows where
        if isinstance(error, BrokenPipeError) and _is_reader_gone():
            return FAILED
        if options.debug:
            raise
        print(f"optvis: error: {describe_error(error)}", file=sys.stderr)
        return WRONG_USAGE if isinstance(error, UsageError) else FAILED
    except KeyboardInterrupt:
        print("optvis: interrupted", file=sys.stderr)
        return INTERRUPTED
    if _is_reader_gone():
        return FAILED
    return NOT_REACHED if has_reached is False else 0


def _is_reader_gone() -> bool:
    """Whether the program that reads the output has ended, as `head` does; then no more is written."""
    with suppress(AttributeError, OSError, ValueError):  # no stream, or a closed one
        sys.stdout.flush()
    with suppress(AttributeError, OSError, ValueError):
        poll, output = select.poll(), sys.stdout.fileno()  # not on Windows
        poll.register(output, 0)
        if any(event & select.POLLERR for _, event in poll.poll(0)):
            os.dup2(os.open(os.devnull, os.O_WRONLY), output)  # for Python's own flush at the end
            return True
    return False


@contextmanager
def _brief_warnings() -> Iterator[None]:
    """Inside, a warning is one line without the place in the code, which the user of a command cannot change."""
    before = warnings.formatwarning
    warnings.formatwarning = lambda message, *_place: f"optvis: warning: {message}\n"
    try:
        yield
    finally:
        warnings.formatwarning = before


def describe_error(error: Exception) -> str:
    """Say in one line what went wrong.

    >>> describe_error(KeyError("no layer 'x'")), describe_error(MemoryError())
    ("no layer 'x'", 'the memory of this machine is not enough; choose fewer or smaller images')
    """
    text = " ".join(str(error.args[0] if isinstance(error, KeyError) and error.args else error).split())
    if isinstance(error, MemoryError) or OUT_OF_MEMORY in text:
        return "the memory of this machine is not enough; choose fewer or smaller images"
    return text or type(error).__name__


class _Command(argparse.ArgumentParser):
    """A subcommand: it takes options between positional arguments too, `render NETWORK --weights none LAYER`."""

    is_intermixing = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        if self.is_intermixing:
            return super().parse_known_args(args, namespace)
        self.is_intermixing = True
        try:
            found, unknown = self.parse_known_intermixed_args(args, namespace)
        finally:
            self.is_intermixing = False
        if unknown:
            self.error(self._explain_unknown(unknown))
        return found, unknown

    def _explain_unknown(self, words: Sequence[str]) -> str:
        """Say of words that are no argument of this command which option is nearest."""
        options = [word.partition("=")[0] for word in words if word.startswith("-")]
        if not options:
            return f"unexpected argument {shorten(words[0])!r}"
        cure = suggest(
            options[0], self._option_string_actions, f"{self.prog} --help lists the options", count=1, cutoff=NEAR
        )
        return f"unknown option {shorten(options[0])!r}; {cure}"


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command and its subcommands."""
    parser = argparse.ArgumentParser(
        prog="optvis",
        description="Feature visualization for PyTorch: what a vision network has learned, tested by ablation.",
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"optvis {__version__}")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Command)
    for command in COMMANDS:
        create_command(subparsers, command)
    return parser


if __name__ == "__main__":
    sys.exit(main())
