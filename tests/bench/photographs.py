"""Classes blinded on real networks with the defaults, each photograph predicted without units that it helped to choose.

python tests/bench/photographs.py FOLDER [--networks NAME …] [--weights FILE --architecture NAME]

FOLDER has container_ship/, ocean_liner/ and control/ with photographs. Both ways: the container ship out, and the liner
out. Photographs of the class that the network calls something else take part in the choice, and are not counted. It
exits with 1 where an image of the class keeps its label, or another one loses its own.
"""

import argparse
import sys
import time
from pathlib import Path

from optvis import Classifier, load
from optvis.ablation import find_units, leave_one_out
from optvis.data.folders import list_images

WAYS = (("container_ship", "container ship", "ocean_liner"), ("ocean_liner", "liner", "container_ship"))


def blind(net: Classifier, name: str, folder: Path) -> int:
    """Print one line each way, and the photographs that fail; returns how many fail."""
    failures = 0
    for own, label, other in WAYS:
        start = time.perf_counter()
        target, keep = list_images(folder / own), [*list_images(folder / other), *list_images(folder / "control")]
        keep = [path for path, answer in zip(keep, answers(net, keep), strict=True) if answer != label]
        selection = find_units(net, target, label, keep=keep, progress=False)
        rows = leave_one_out(net, target, label, keep=keep, progress=False)
        failed = rows.failures
        failures += len(failed)
        kept = sum(row.set == "target" for row in failed)
        targets = sum(row.set == "target" for row in rows)
        print(
            f"{name:<24}{label:<16}{kept} of {targets} keep it, {len(failed) - kept} of {len(rows) - targets} others "
            f"lose theirs; {time.perf_counter() - start:.0f} s\n{str(selection).splitlines()[0]}; {selection.attempts}"
        )
        if failed:
            print(failed)
        sys.stdout.flush()
    return failures


def answers(net: Classifier, paths) -> list[str]:
    logits = net.logits(net.load_batch([str(path) for path in paths]))
    return [net.label(index).split(",")[0] for index in logits.argmax(1).tolist()]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--networks", nargs="*", default=["squeezenet1_0"], metavar="NAME", help="that load() knows")
    parser.add_argument("--weights", type=Path, help="of one more network")
    parser.add_argument("--architecture", default="timm/tf_efficientnet_lite0", help="of these weights")
    options = parser.parse_args()
    networks = {name: load(name) for name in options.networks}
    if options.weights is not None:
        networks[options.architecture] = load(options.weights, architecture=options.architecture)
    failures = sum(blind(net, name, options.folder) for name, net in networks.items())
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main())
