"""Several models over a set in one pass, against the sum of one pass for each: python -m benchmarks.compare_set

A pass is what `measure` does for one model: images read and shrunk, encoded, decoded, and every figure of the table.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.timing import Timing, clock_name, compare, print_table
from explorer.base.open_model import OpenModel, open_folder
from explorer.compare.measure import measure
from explorer.compare.records import Settings
from explorer.compare.table import table_of
from explorer.images.sets import SAMPLES, ImageSet, find_set
from vqvae.errors import BadInput
from vqvae.formats import KINDS
from vqvae.places import find_checkpoint

SHIPPED = ["photos", "photos-fine", "photos-classic"]


def measure_passes(models: Sequence[OpenModel], images: ImageSet, settings: Settings, folder: Path) -> list[Timing]:
    """All models at once, kept on disk and not, beside each by itself; then what a second look costs."""
    comparison = measure(models, images, settings, kept=folder / "kept")
    fresh = iter(range(10**6))
    return compare(
        {f"{len(models)} passes, one by one": lambda: [measure([model], images, settings) for model in models]},
        {
            "one pass for all": lambda: measure(models, images, settings),
            "one pass, kept on disk": lambda: measure(models, images, settings, kept=folder / str(next(fresh))),
            "again, found on disk": lambda: measure(models, images, settings, kept=folder / "kept"),
            "the table with its intervals": lambda: table_of(comparison),
        },
        seconds=0,
    )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare_set", description="N models against N passes.")
    parser.add_argument("checkpoints", nargs="*", default=SHIPPED, help="names or folders")
    parser.add_argument("--set", default=SAMPLES, help=f"{KINDS} (default: the bundled photos)")
    parser.add_argument("--images", type=int, default=12, help="of the set, spread evenly over it")
    options = parser.parse_args(arguments)
    try:
        models = [open_folder(find_checkpoint(name)) for name in options.checkpoints]
        images = find_set(options.set)
    except BadInput as refusal:
        print(f"error: {refusal}", file=sys.stderr)
        return 2
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        timings = measure_passes(models, images, Settings(most=options.images), Path(folder))
    print_table(f"{len(models)} models, {options.images} images ({clock_name()})", timings)
    return 0


if __name__ == "__main__":
    sys.exit(main())
