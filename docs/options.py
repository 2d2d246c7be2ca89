"""Write the options of each command into `docs/command_line.md`: `python docs/options.py`.

They stand between two comments, `<!-- options of NAME -->` and `<!-- end of options -->`, as plain Markdown, which is
read on any site. Options that all commands with a network share stand there once, as those of NETWORK.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable
from pathlib import Path

from optvis.cli.main import build_parser
from optvis.cli.options import NEEDS_NO_NETWORK

PAGE = Path(__file__).parent / "command_line.md"
BLOCK = re.compile(r"<!-- options of (\w+) -->\n.*?<!-- end of options -->", re.DOTALL)
HEAD = "| argument | meaning | default |\n| --- | --- | --- |"
SAID = re.compile(r" \(default: (.*)\)$")
WIDEST = 84  # characters of a line of code
SHARED = "NETWORK"  # the name of the block of options that all commands with a network have


def fill_page(text: str) -> str:
    """The page with the options of the parser in its blocks."""
    return BLOCK.sub(
        lambda block: f"<!-- options of {block[1]} -->\n\n{describe(block[1])}\n\n<!-- end of options -->", text
    )


def describe(name: str) -> str:
    """What a command does, an example, and a table of its own options; or the table of the shared ones."""
    commands = list_commands()
    shared = find_shared(commands)
    if name == SHARED:
        return write_table(shared.values())
    command = commands[name]
    _, _, example = command.epilog.partition("example: ")
    known = {} if name in NEEDS_NO_NETWORK else shared
    own = [action for action in list_actions(command) if not is_same(action, known.get(action.dest))]
    parts = [f"{command.description[:1].upper()}{command.description[1:]}.", f"```console\n{fold(example)}\n```"]
    return "\n\n".join([*parts, write_table(own)] if own else parts)


def fold(command: str) -> str:
    """A command line on lines that fit beside the menu of the site, broken before options."""
    lines = [""]
    for part in re.split(r" (?=--)", command):
        if len(lines[-1]) + len(part) > WIDEST:
            lines.append("   ")
        lines[-1] += f" {part}"
    return " \\\n".join(lines).removeprefix(" ")


def list_commands() -> dict[str, argparse.ArgumentParser]:
    """The parser of each command, by its name."""
    (commands,) = [action for action in build_parser()._actions if isinstance(action, argparse._SubParsersAction)]
    return commands.choices


def list_actions(command: argparse.ArgumentParser) -> list[argparse.Action]:
    """The arguments of a command but `--help`."""
    return [action for action in command._actions if action.dest != "help"]


def find_shared(commands: dict[str, argparse.ArgumentParser]) -> dict[str, argparse.Action]:
    """The arguments that all commands with a network have, as `classify` has them."""
    others = [command for name, command in commands.items() if name not in NEEDS_NO_NETWORK]
    names = set.intersection(*({action.dest for action in list_actions(command)} for command in others))
    return {action.dest: action for action in list_actions(commands["classify"]) if action.dest in names}


def is_same(action: argparse.Action, shared: argparse.Action | None) -> bool:
    """Whether an argument is the shared one; the network that may be left out is still the network."""
    if shared is None:
        return False
    return not action.option_strings or (action.help, action.default) == (shared.help, shared.default)


def write_table(actions: Iterable[argparse.Action]) -> str:
    """One row an argument: its name, its meaning, its default."""
    rows = ([f"`{name(action)}`", mark_options(SAID.sub("", action.help or "")), default(action)] for action in actions)
    cells = ([cell.replace("|", r"\|") for cell in row] for row in rows)
    return "\n".join([HEAD, *(f"| {' | '.join(row)} |".replace("  ", " ") for row in cells)])


def mark_options(text: str) -> str:
    """Mark options in a text as code, since two hyphens would become a dash; what is code already stays.

    >>> mark_options("`optvis layers`, with --param fft")
    '`optvis layers`, with `--param` fft'
    """
    return re.sub(r"(`[^`]*`)|(--[a-z][a-z-]*)", lambda found: found[1] or f"`{found[2]}`", text)


def name(action: argparse.Action) -> str:
    """`--size SIZE`, `PHOTO`, `ls|check`."""
    if not action.option_strings:
        label = "|".join(action.choices) if action.choices else str(action.metavar)
        return {"+": f"{label} …", "?": f"[{label}]"}.get(action.nargs, label)
    if action.nargs == 0:
        return action.option_strings[0]
    value = "|".join(action.choices) if action.choices else (action.metavar or action.dest.upper())
    value = {"+": f"{value} …", "?": f"[{value}]"}.get(action.nargs, value)
    return f"{action.option_strings[0]} {value}"


def default(action: argparse.Action) -> str:
    """The default value of an option, or nothing."""
    is_hidden = action.default is None or action.default is False or action.required
    if action.help and (said := SAID.search(action.help)):  # of an option that does something only beside another
        return f"`{said[1]}`"
    text = " ".join(map(str, action.default)) if isinstance(action.default, list) else action.default
    return "" if is_hidden else f"`{text}`"


if __name__ == "__main__":
    PAGE.write_text(fill_page(PAGE.read_text("utf-8")), "utf-8")
