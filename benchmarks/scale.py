"""What an index of very many images takes, from what a few take here: python -m benchmarks.scale [--cells 100000000]

Images are encoded from JPEGs of 768 × 512 pixels and about 100 kB, at 256 px, on one thread; cells are sorted, merged
and written without an image. Both are CPU time, and the rest is multiplication: docs/scale.md says what it leaves out.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.index import LARGE, PHOTOS, WORKING_SIZE, in_a_fresh_process, write_photos
from benchmarks.timing import print_columns
from explorer.base.folders import checkpoints_folder
from explorer.images.sets import ImageSet
from explorer.index.build import build
from explorer.index.format import MOST_CELLS
from vqvae import checkpoint

SETS = (1_300_000, 1_000_000_000)  # images
JPEG_BYTES = 100_000
CORES, DAYS = 16, 7  # of a machine, and how long it may take
RUNS = 2  # the fastest counts


@dataclass(frozen=True)
class Encoding:
    """What an image takes from its file to its cells."""

    name: str
    stride: int
    seconds: float  # of CPU time
    cells: float


@dataclass(frozen=True)
class Sorting:
    """What a cell takes from there to its place in the index."""

    seconds: float  # of CPU time
    bytes: float  # on disk


def encoded(name: str, images: ImageSet, folder: Path) -> Encoding:
    """Read, encode and index the photos with a shipped checkpoint."""
    model = checkpoint.load(checkpoints_folder() / name)
    taken = []
    for number in range(RUNS):
        path = folder / f"{name}-{number}.index"
        started = time.process_time()
        index = build(model, images, checkpoint="0" * 64, working_size=WORKING_SIZE, path=path)
        taken.append(time.process_time() - started)
    stride = model.spec.stride
    assert stride is not None
    return Encoding(name, stride, min(taken) / index.images, index.cells / index.images)


def sorted_and_merged(cells: int, folder: Path) -> tuple[Sorting, float]:
    """An index of so many cells, and the most memory that making it took, in MiB."""
    path = folder / "synthetic.index"
    seconds, peak = in_a_fresh_process(cells, path)
    return Sorting(seconds / cells, path.stat().st_size / cells), peak


def row_of(images: int, one: Encoding, cell: Sorting) -> tuple[str, ...]:
    """What so many images take with a model."""
    cells = images * one.cells
    encoding, sorting = images * one.seconds / 3600, cells * cell.seconds / 3600
    return (
        f"{images:,}",
        one.name,
        f"{cells:,.0f}",
        f"{math.ceil(cells / MOST_CELLS):,}",
        f"{encoding:,.0f}",
        f"{sorting:,.1f}",
        f"{cells * cell.bytes / 1e12:,.3f}",
        f"{images * JPEG_BYTES / 1e12:,.2f}",
        f"{math.ceil((encoding + sorting) / (CORES * 24 * DAYS)):,}",
    )


HEADS = (
    *("images", "model", "cells", "indexes", "CPU h to encode", "CPU h to sort", "TB of index", "TB of photos"),
    f"machines of {CORES} cores for {DAYS} days",
)


STRIDES = (4, 8, 16)
STRIDE_HEADS = (
    *("f", "cells of a square image"),
    *(head for images in SETS for head in (f"cells of {images:,} images", f"indexes of {MOST_CELLS:,} cells")),
)


def row_of_stride(stride: int) -> tuple[str, ...]:
    """How many cells square images have with a model of a stride, and how many indexes hold them."""
    each = (WORKING_SIZE // stride) ** 2
    counts = [images * each for images in SETS]
    return (
        *(f"{stride}", f"{each:,}"),
        *(text for cells in counts for text in (f"{cells:,}", f"{math.ceil(cells / MOST_CELLS):,}")),
    )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoints", nargs="+", default=["photos", "photos-fine"], help="shipped ones, by name")
    parser.add_argument("--cells", type=int, default=LARGE, help=f"of the synthetic index (default: {LARGE:,})")
    parser.add_argument("--folder", type=Path, help="where to put the indices meanwhile, ten bytes a cell twice over")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
        folder = Path(temporary)
        images = write_photos(folder / "photos")
        models = [encoded(name, images, folder) for name in options.checkpoints]
        cell, peak = sorted_and_merged(options.cells, folder)
    for one in models:
        print(
            f"{one.name}, f = {one.stride}: {1000 * one.seconds:.0f} CPU ms from a photo's file to its {one.cells:.0f} "
            f"cells, over {PHOTOS} photos"
        )
    print(
        f"sorting, merging, writing: {1e9 * cell.seconds:.0f} CPU ns and {cell.bytes:.1f} bytes a cell, over "
        f"{options.cells:,} cells, with at most {peak:,.0f} MiB of memory\n"
    )
    print_columns(HEADS, [row_of(number, one, cell) for number in SETS for one in models])
    print()
    print_columns(STRIDE_HEADS, map(row_of_stride, STRIDES))
    return 0


if __name__ == "__main__":
    sys.exit(main())
