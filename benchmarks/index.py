"""Making and asking an index, as ratios: python -m benchmarks.index [--large]"""

import argparse
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.timing import Timing, compare, print_table
from explorer.base.folders import checkpoints_folder
from explorer.images.sets import ImageSet, open_set
from explorer.index.build import build as build_index
from explorer.index.build import write_index
from explorer.index.cells import CellStream, ImageCells
from explorer.index.cells import measure as measure_image
from explorer.index.format import About, packed
from explorer.index.read import Index, open_index
from vqvae import checkpoint
from vqvae.codecs import JPEG
from vqvae.images import fit_within, load_image, pad_to_multiple, to_image, to_tensor
from vqvae.model import VQVAE, VQVAEConfig
from vqvae.search import Codebook
from vqvae.tokenizer import prepare

PHOTOS = 32
WORKING_SIZE = 256
CODES = 16_384  # K of the synthetic indices
CELLS_PER_IMAGE = 1 << 20
SMALL, USUAL, LARGE = 1_000_000, 10_000_000, 100_000_000  # cells


# --- encoding ---------------------------------------------------------------------------------------------------------


def write_photos(folder: Path) -> ImageSet:
    """JPEGs of 768 × 512 pixels and about 100 kB, so that reading them costs what reading photos does."""
    random = np.random.default_rng(0)
    folder.mkdir()
    for number in range(PHOTOS):
        coarse = to_image(random.integers(0, 256, (32, 48, 3)).astype(np.uint8)).resize((768, 512))
        noisy = np.clip(np.asarray(coarse) + random.normal(0, 4, (512, 768, 3)), 0, 255).astype(np.uint8)
        (folder / f"{number:03}.jpg").write_bytes(JPEG.of_size(noisy, 100_000))
    return open_set(folder)


def encoding(model: VQVAE, images: ImageSet, folder: Path) -> list[Timing]:
    """CPU time of a run over all photos: from files to the index, against the encoder alone on the same pixels."""
    data = [(name, images.read(name)) for name in images.names]

    def read() -> list[Tensor]:
        return [to_tensor(fit_within(load_image(one, name), WORKING_SIZE)) for name, one in data]

    tensors = read()
    codebook = Codebook.of(model)
    padded = [pad_to_multiple(one, model.spec.stride) for one in tensors]

    def encoder() -> None:
        with torch.inference_mode():
            for one in padded:
                model.encoder(one)

    def encode() -> None:
        with torch.inference_mode():
            for one in padded:
                model.encode(one)

    def measure() -> None:
        for one in tensors:
            measure_image(model, codebook, one)

    def build() -> None:
        path = folder / "photos.index"
        build_index(model, images, checkpoint="0" * 64, working_size=WORKING_SIZE, path=path)

    measured = {"encode": encode, "encode, runner-up": measure, "files to index": build, "reading alone": read}
    timings = compare({"encoder alone": encoder}, measured, seconds=12)
    bare, *_, whole, reading = timings
    rest = whole.milliseconds - reading.milliseconds  # reading happens meanwhile, where a core is free for it
    return [*timings, Timing("files to index, but reading", rest, rest / bare.milliseconds)]


# --- sorting, asking --------------------------------------------------------------------------------------------------


def synthetic_image(seed: int) -> ImageCells:
    """An image of a million cells, whose codes are used as unevenly as in a real codebook."""
    random = np.random.default_rng(seed)
    shape = (1024, CELLS_PER_IMAGE // 1024)
    codes = (CODES * random.random(shape, np.float32) ** 2).astype(np.int64)
    return ImageCells(codes, random.random(shape, np.float32), random.random(shape, np.float32), size=(8192, 8192))


def build_synthetic(cells: int, path: Path) -> tuple[float, float]:
    """Write an index of so many cells; CPU seconds without making them up, and the process's peak memory in MiB."""
    made = [synthetic_image(seed) for seed in range(4)]
    images = -(-cells // CELLS_PER_IMAGE)
    about = About("0" * 64, "0" * 64, "", "", "", WORKING_SIZE, CODES)

    def cells_from(first: int) -> CellStream:
        for number in range(first, images):
            yield made[number % len(made)]

    started = time.process_time()
    write_index(cells_from, tuple(map(str, range(images))), about, path=path)
    return time.process_time() - started, peak_memory()


def peak_memory() -> float:
    """The most memory that this process has had, in MiB; NaN on Windows, where Python does not know."""
    try:
        import resource
    except ImportError:
        return float("nan")
    unit = 1 if sys.platform == "darwin" else 1 << 10  # bytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / (1 << 20)


def in_a_fresh_process(cells: int, path: Path) -> tuple[float, float]:
    """`build_synthetic`, where nothing else has used memory yet."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(build_synthetic, (cells, path))


def sorts(cells: int) -> list[tuple[str, float]]:
    """CPU seconds of NumPy's stable sorts of as many codes, and of the index's own, each the best of 2."""
    images = [synthetic_image(seed) for seed in range(4)]
    parts = [images[number % 4] for number in range(-(-cells // CELLS_PER_IMAGE))]
    codes = np.concatenate([part.codes.ravel() for part in parts]).astype(np.uint16)
    distances = np.concatenate([part.distances.ravel() for part in parts]).astype(np.float16)

    def seconds(call: Callable[[], object]) -> float:
        taken = []
        for _ in range(2):
            started = time.process_time()
            call()
            taken.append(time.process_time() - started)
        return min(taken)

    keys = packed(codes, distances)
    return [
        ("stable sort of the codes, 16 bits", seconds(lambda: np.sort(codes, kind="stable"))),
        ("stable argsort of the codes", seconds(lambda: np.argsort(codes, kind="stable"))),
        ("stable sort of the keys, 64 bits", seconds(lambda: np.sort(keys, kind="stable"))),
        ("keys packed and sorted", seconds(lambda: packed(codes, distances).sort())),
    ]


def open_synthetic(path: Path) -> Index:
    return open_index(path, checkpoint="0" * 64, identity="0" * 64, codes=CODES)


def opening(path: Path) -> list[Timing]:
    """A large index opened, whose cells are held against their checksums as they are looked at; and other ways."""

    def first_top() -> None:
        index = open_synthetic(path)
        for code in np.random.default_rng(0).integers(0, CODES, 100).tolist():
            index.top(code)

    def whole() -> None:
        open_index(path, checkpoint="0" * 64, identity="0" * 64, codes=CODES, whole=True)

    ways = {"open, and 100 × top the first time": first_top, "open, all held against checksums": whole}
    return compare({"open": lambda: open_synthetic(path)}, ways)


def asking(small: Index, large: Index) -> list[Timing]:
    """A hundred dossiers' patches: the nearest 24, and 24 over all distances."""
    codes = np.random.default_rng(0).integers(0, CODES, 100).tolist()

    def top(index: Index) -> Callable[[], object]:
        return lambda: [index.top(code) for code in codes]

    def spread(index: Index) -> Callable[[], object]:
        return lambda: [index.spread(code) for code in codes]

    bare = {f"100 × top, {small.cells / 1e6:.0f} M cells": top(small)}
    name = f"{large.cells / 1e6:.0f} M cells"
    return compare(bare, {f"100 × top, {name}": top(large), f"100 × spread, {name}": spread(large)}, seconds=2)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.index", description=__doc__)
    parser.add_argument("--checkpoint", help="a name in checkpoints/ (default: a model of random weights)")
    parser.add_argument("--cells", type=int, default=USUAL, help=f"of the synthetic index (default: {USUAL:,})")
    parser.add_argument("--large", action="store_const", const=LARGE, dest="cells", help=f"the same as --cells {LARGE}")
    parser.add_argument("--folder", type=Path, help="where to put the indices meanwhile, ten bytes a cell twice over")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    name = options.checkpoint
    loaded = checkpoint.load(checkpoints_folder() / name) if name else prepare(VQVAE(VQVAEConfig()))
    assert isinstance(loaded, VQVAE)
    with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
        folder = Path(temporary)
        images = write_photos(folder / "photos")
        print_table(f"{PHOTOS} photos at {WORKING_SIZE} px, CPU time", encoding(loaded, images, folder))

        small, large = folder / "small", folder / "large"
        in_a_fresh_process(SMALL, small)
        taken, peak = in_a_fresh_process(options.cells, large)
        rows = sorts(options.cells)
        print(f"{options.cells / 1e6:.0f} M cells, CPU seconds; ratio to each")
        for sort, seconds in rows:
            print(f"  {sort:<34}{seconds:>9.2f} s{taken / seconds:>8.2f}×")
        print(f"  {'cells to index, through files':<34}{taken:>9.2f} s   peak {peak:,.0f} MiB\n")
        print_table(f"opening {large.stat().st_size / 1e6:,.0f} MB", opening(large))
        print_table("asking, warm", asking(open_synthetic(small), open_synthetic(large)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
