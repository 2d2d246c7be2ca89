"""A Sphinx directive: usage, example and table of options of a subcommand, read from its own parser."""

import argparse

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from optvis.cli.main import build_parser

HEADINGS = ("argument", "meaning", "default")


class Options(SphinxDirective):
    """`{options} render`"""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        command = subcommand(self.arguments[0])
        _, _, example = command.epilog.partition("example: ")
        code = nodes.literal_block(text=example, language="console")
        actions = [action for action in command._actions if action.dest != "help"]
        return [
            nodes.paragraph(text=f"{command.description[:1].upper()}{command.description[1:]}."),
            code,
            table(actions),
        ]


def subcommand(name: str) -> argparse.ArgumentParser:
    """The parser of one subcommand."""
    (commands,) = [action for action in build_parser()._actions if isinstance(action, argparse._SubParsersAction)]
    return commands.choices[name]


def table(actions: list[argparse.Action]) -> nodes.table:
    """One row an argument: its name, its meaning, its default."""
    group = nodes.tgroup(cols=len(HEADINGS))
    group += [nodes.colspec(colwidth=width) for width in (30, 55, 15)]
    head, body = nodes.thead(), nodes.tbody()
    head += row([nodes.Text(heading) for heading in HEADINGS])
    body += [row([nodes.literal(text=name(action)), format_help(action.help), default(action)]) for action in actions]
    group += [head, body]
    return nodes.table("", group, classes=["colwidths-given"])


def row(cells: list[nodes.Node]) -> nodes.row:
    """A row of a table."""
    found = nodes.row()
    found += [nodes.entry("", nodes.paragraph("", "", cell)) for cell in cells]
    return found


def name(action: argparse.Action) -> str:
    """`--size SIZE`, `PHOTO`."""
    if not action.option_strings:
        return f"[{action.metavar}]" if action.nargs == "?" else str(action.metavar)
    if action.nargs == 0:
        return action.option_strings[0]
    value = "|".join(action.choices) if action.choices else (action.metavar or action.dest.upper())
    return f"{action.option_strings[0]} {value}"


def format_help(text: str) -> nodes.Node:
    """Format a text whose `words` in backticks are code."""
    parts = text.split("`")
    parsed = [nodes.literal(text=part) if n % 2 else nodes.Text(part) for n, part in enumerate(parts)]
    return nodes.inline("", "", *parsed, support_smartquotes=False)  # two hyphens are an option's


def default(action: argparse.Action) -> nodes.Node:
    """The default value of an option, or nothing."""
    is_hidden = action.default is None or action.default is False or action.required
    return nodes.Text("") if is_hidden else nodes.literal(text=str(action.default))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive with Sphinx."""
    app.add_directive("options", Options)
    return {"parallel_read_safe": True}
