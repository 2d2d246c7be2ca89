"""The table network × function: what works on each of many networks, and what is said where something does not.

python -m tests.bench.networks                  prints it
python -m tests.bench.networks --only swin      of some networks
python -m tests.bench.networks --write docs/networks.md
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from tests.fuzz.outcomes import Outcome
from tests.many_networks import NETWORKS
from tests.network_functions import FUNCTIONS, ask

HEADING = "## The table\n"
YES = "yes"
LONGEST = 260  # characters of a reason


def build_table(found: Mapping[str, Mapping[str, Outcome]]) -> str:
    """Write the table in Markdown: "yes", or the number of the sentence that says why not, and what to do."""
    reasons: dict[str, int] = {}
    rows = [["network", *FUNCTIONS], ["---"] * (1 + len(FUNCTIONS))]
    for name, outcomes in found.items():
        rows.append([name, *(_cell(outcomes[label], reasons) for label in FUNCTIONS)])
    lines = [f"| {' | '.join(row)} |" for row in rows]
    notes = [f"{number}. `{reason}`" for reason, number in reasons.items()]
    return "\n".join([*lines, "", *notes, ""])


def _cell(outcome: Outcome, reasons: dict[str, int]) -> str:
    if outcome.kind == "fine":
        return YES
    text = outcome.text.partition(": ")[2] or outcome.text
    text = text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
    return str(reasons.setdefault(text, len(reasons) + 1))


def read_table(text: str) -> dict[str, dict[str, bool]]:
    """Read what the table says: by network and function, whether it works."""
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    head, _, *rows = lines
    return {row[0]: {label: cell == YES for label, cell in zip(head[1:], row[1:], strict=True)} for row in rows}


def main() -> None:
    """Print the table, or write it into a page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", metavar="TEXT", help="networks whose name has this text")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="the page whose table is replaced")
    options = parser.parse_args()
    table = build_table({name: ask(name) for name in NETWORKS if options.only in name})
    if options.write is None:
        print(table)
    else:
        head, _, _ = options.write.read_text("utf-8").partition(HEADING)
        options.write.write_text(f"{head}{HEADING}\n{table}", encoding="utf-8")


if __name__ == "__main__":
    main()
