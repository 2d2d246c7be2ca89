"""What the command `optvis` runs. It is installed as `optvis_command`, because an import under `optvis` takes seconds.

So Ctrl-C while that is imported is one line.
"""

from __future__ import annotations

import sys

INTERRUPTED = 130


def main() -> int:
    """Import the command and run it; returns its exit code."""
    try:
        from optvis.cli.main import main as run

        return run()
    except KeyboardInterrupt:
        print("optvis: interrupted", file=sys.stderr)
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
