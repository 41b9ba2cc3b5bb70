"""Opening and reading a large set in each of its formats, beside a folder of image files: python -m benchmarks.formats

Each format is opened in a process of its own, so that its memory is its own. Times are CPU time of one thread.
"""

import argparse
import io
import json
import os
import pickle
import random
import re
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np

from explorer.images.sets import open_set
from vqvae.images import to_file

IMAGES, LABELS, DIFFERENT = 100_000, 100, 500
SIDE = 32
A_SHARD, A_FILE, A_GROUP = 10_000, 20_000, 1_000  # images
AT_RANDOM = 2_000  # images that are read in random order

T = TypeVar("T")
Write = Callable[[Path, Iterator[bytes]], Path]


# --- the same images in each format


def write_folder(where: Path, files: Iterator[bytes]) -> Path:
    for label in range(LABELS):
        (where / f"{label:03}").mkdir(parents=True)
    for number, data in enumerate(files):
        (where / f"{number % LABELS:03}" / f"{number:07}.png").write_bytes(data)
    return where


def write_zip(where: Path, files: Iterator[bytes]) -> Path:
    with zipfile.ZipFile(where / "set.zip", "w") as archive:
        for number, data in enumerate(files):
            archive.writestr(f"{number % LABELS:03}/{number:07}.png", data)
    return where / "set.zip"


def write_tar(where: Path, files: Iterator[bytes]) -> Path:
    with tarfile.open(where / "set.tar", "w") as archive:
        for number, data in enumerate(files):
            _add(archive, f"{number % LABELS:03}/{number:07}.png", data)
    return where / "set.tar"


def write_webdataset(where: Path, files: Iterator[bytes]) -> Path:
    shard = number = 0
    while some := list(islice(files, A_SHARD)):
        with tarfile.open(where / f"shard-{shard:04}.tar", "w") as archive:
            for number, data in enumerate(some, shard * A_SHARD):
                _add(archive, f"{number:07}.png", data)
                _add(archive, f"{number:07}.cls", str(number % LABELS).encode())
        shard += 1
    return where / f"shard-{{0000..{shard - 1:04}}}.tar"


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))
    archive.members = []


def write_parquet(where: Path, files: Iterator[bytes]) -> Path:
    import pyarrow as arrow
    from pyarrow import parquet

    first = 0
    while some := list(islice(files, A_FILE)):
        images = [{"bytes": data, "path": None} for data in some]
        table = arrow.table({"image": images, "label": [number % LABELS for number in range(first, first + len(some))]})
        parquet.write_table(table, where / f"train-{first // A_FILE:05}-of-99999.parquet", row_group_size=A_GROUP)
        first += len(some)
    return where


def write_npy(where: Path, files: Iterator[bytes]) -> Path:
    count = sum(1 for _ in files)
    np.lib.format.open_memmap(where / "set.npy", "w+", np.uint8, (count, SIDE, SIDE, 3)).flush()
    np.save(where / "set.labels.npy", np.arange(count) % LABELS)
    return where / "set.npy"


def write_idx(where: Path, files: Iterator[bytes]) -> Path:
    count = sum(1 for _ in files)
    with (where / "train-images-idx3-ubyte").open("wb") as file:
        file.write(struct.pack(">HBBIII", 0, 8, 3, count, SIDE, SIDE))
        file.truncate(16 + count * SIDE * SIDE)
    labels = (np.arange(count) % LABELS).astype(np.uint8)
    (where / "train-labels-idx1-ubyte").write_bytes(struct.pack(">HBBI", 0, 8, 1, count) + labels.tobytes())
    return where / "train-images-idx3-ubyte"


def write_cifar(where: Path, files: Iterator[bytes]) -> Path:
    count = sum(1 for _ in files)
    rows = np.memmap(where / "data_batch_1.bin", np.uint8, "w+", shape=(count, 1 + 3 * SIDE * SIDE))
    rows[:, 0] = np.arange(count) % LABELS
    rows.flush()
    return where / "data_batch_1.bin"


FORMATS: dict[str, Write] = {
    "folder": write_folder,
    "zip": write_zip,
    "tar": write_tar,
    "WebDataset": write_webdataset,
    "Parquet": write_parquet,
    ".npy": write_npy,
    "idx": write_idx,
    "CIFAR": write_cifar,
}


def linked(where: Path, times: int) -> Path:
    """The folder of a file, with that file by so many names: a large set without writing it."""
    first, *others = where.iterdir()
    if others:
        sys.exit("--times is for formats that are one file here; name them with --formats, as WebDataset or Parquet.")
    for number in range(1, times):
        os.link(first, where / first.name.replace("0000", f"{number:04}", 1))
    return where


def pictures(count: int) -> Iterator[bytes]:
    """So many PNG files, of which some are different."""
    chance = np.random.default_rng(0)
    shape = (DIFFERENT, SIDE, SIDE, 3)
    different = [to_file(one, "PNG") for one in chance.integers(0, 256, shape, dtype=np.uint8) // 16 * 16]
    return (different[number % DIFFERENT] for number in range(count))


# --- what they cost


@dataclass(frozen=True)
class Cost:
    """Of one set; times are µs of CPU an image, memory is bytes an image beyond what the process had before."""

    images: int
    listing: float
    listing_peak: float
    in_order: float
    at_random: float
    reading_peak: float
    pickled: int  # bytes of the whole set
    reopening: float


def measure(source: Path, reads: int) -> Cost:
    """Open a set and read of it: so many of its images in order, and AT_RANDOM in random order."""
    peak_before = _peak()
    listing, images = _timed(lambda: open_set(source))
    count, listing_peak = len(images.names), _peak() - peak_before
    in_order, _ = _timed(lambda: [len(images.read(name)) for name in images.names[:reads]])
    chosen = random.Random(0).sample(images.names, min(AT_RANDOM, reads))
    at_random, _ = _timed(lambda: [len(images.read(name)) for name in chosen])
    reading_peak, handed = _peak() - peak_before, pickle.dumps(images)
    reopening, _ = _timed(lambda: pickle.loads(handed))
    return Cost(
        images=count,
        listing=listing / count,
        listing_peak=listing_peak / count,
        in_order=in_order / reads if reads else 0,
        at_random=at_random / len(chosen) if chosen else 0,
        reading_peak=reading_peak / count,
        pickled=len(handed),
        reopening=reopening / count,
    )


def _timed(call: Callable[[], T]) -> tuple[float, T]:
    """µs of CPU, and what the call returns."""
    started = time.process_time()
    result = call()
    return 1e6 * (time.process_time() - started), result


def _peak() -> int:
    """The most memory that this process has had, in bytes; on Linux since it began, elsewhere since it was forked."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1]) * 1024
    import resource  # not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def measured_apart(source: Path, reads: int) -> Cost:
    words = [sys.executable, "-m", "benchmarks.formats", "--measure", str(source), "--reads", str(reads)]
    said = subprocess.run(words, check=True, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    return Cost(**json.loads(said.stdout))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.formats", description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=IMAGES, help=f"in the set (default: {IMAGES:,})")
    parser.add_argument("--reads", type=int, help="of them, how many are read (default: all; 0 lists only)")
    parser.add_argument("--formats", nargs="*", choices=FORMATS, default=list(FORMATS), help="default: all")
    parser.add_argument(
        "--times", type=int, default=1, help="list a set of so many times these images: its one file by many names"
    )
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    reads = options.images if options.reads is None else options.reads
    if options.measure:
        print(json.dumps(asdict(measure(options.measure, reads))))
        return 0
    number = f"{options.images * options.times:,}"
    print(f"{number} images of {SIDE} × {SIDE} px with {LABELS} labels. An image costs, beside one of the first:")
    print(f"{'':12}{'to list':>19}{'to read':>19}{'at random':>19}{'memory':>9}{'read':>9}{'in a worker':>13}")
    bare: Cost | None = None
    for name in options.formats:
        where = Path(tempfile.mkdtemp(prefix="formats-"))
        try:
            source = FORMATS[name](where, pictures(options.images))
            cost = measured_apart(linked(where, options.times) if options.times > 1 else source, reads)
        finally:
            shutil.rmtree(where)
        bare = bare or cost
        cells = [
            f"{getattr(cost, one):9.1f} µs {_ratio(getattr(cost, one), getattr(bare, one))}"
            for one in ("listing", "in_order", "at_random")
        ]
        memory = f"{cost.listing_peak:7.0f} B{cost.reading_peak:7.0f} B"
        print(f"{name:12}{''.join(f'{cell:>19}' for cell in cells)}{memory}{cost.reopening:10.1f} µs", flush=True)
    print("Memory is the most that the process took more, once listed and once read; a mapped file's pages count too.")
    print("In a worker: what it costs to be handed the set, a few hundred bytes, and to list it again, once.")
    return 0


def _ratio(cost: float, bare: float) -> str:
    return f"{cost / bare:6.2f}×" if bare else ""


if __name__ == "__main__":
    sys.exit(main())
