"""`python -m optvis` is the command `optvis`."""

import sys

from optvis.cli.entry import main

if __name__ == "__main__":
    sys.exit(main())
