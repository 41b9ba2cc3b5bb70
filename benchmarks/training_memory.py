"""No speed: the memory of a training process on a set of many small images, in each format that such sets come in.

    python -m benchmarks.training_memory [--images 100000] [--crops 12000] [--formats folder,zip,…]

The images are JPEGs of 128 × 128 pixels, 1,000 different ones over and over, made in a temporary folder (some 700 MB at
a time, 2.5 GB with .npz) and removed again; arrays are of 64 × 64, in colour (.npy, and .npz, which is packed) or grey
(idx, packed with gzip), and CIFAR's pictures of 32 × 32. A process of its own opens each set, makes so many crops, of
photos that it keeps decoded up to the default of --photo-memory, and takes a few steps with the default settings. It
prints the most that it ever held; what an empty process with the same imports holds comes first. Pages of a file that
is mapped (.npy, Parquet) are part of that, though the system may take them back at any time: `own` is what is left
without them at the end, where the system tells.
"""

import argparse
import gzip
import struct
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from functools import cache
from io import BytesIO
from itertools import islice
from pathlib import Path
from tarfile import TarFile, TarInfo

import numpy as np
import torch
from PIL import Image

from benchmarks.index import peak_memory
from vqvae.dataset import open_files
from vqvae.training.crops import Crops, Photos
from vqvae.training.settings import TrainingConfig
from vqvae.training.trainer import Trainer

DIFFERENT, STEPS = 1_000, 3
SIDE, ARRAY_SIDE, CIFAR_SIDE = 128, 64, 32  # pixels
SHARD = 1_000  # images of a WebDataset shard, and of a row group


@cache
def jpegs() -> tuple[bytes, ...]:
    """Files of noise at several scales, as much to compress as a photo has."""
    random = np.random.default_rng(0)
    return tuple(_jpeg(random) for _ in range(DIFFERENT))


def _jpeg(random: np.random.Generator) -> bytes:
    small = Image.fromarray(random.integers(0, 256, (SIDE // 8, SIDE // 8, 3), np.uint8))
    buffer = BytesIO()
    small.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def named(images: int) -> Iterator[tuple[str, bytes]]:
    files = jpegs()
    return ((f"{number % 100:02}/{number:07}.jpg", files[number % len(files)]) for number in range(images))


def write_folder(place: Path, images: int) -> Path:
    for number in range(100):
        (place / f"{number:02}").mkdir()
    for name, data in named(images):
        (place / name).write_bytes(data)
    return place


def write_zip(place: Path, images: int) -> Path:
    with zipfile.ZipFile(place / "set.zip", "w") as archive:
        for name, data in named(images):
            archive.writestr(name, data)
    return place / "set.zip"


def write_tar(place: Path, images: int) -> Path:
    with TarFile.open(place / "set.tar", "w") as archive:
        for name, data in named(images):
            _add(archive, name, data)
    return place / "set.tar"


def write_shards(place: Path, images: int) -> Path:
    files = named(images)
    shards = -(-images // SHARD)
    for shard in range(shards):
        with TarFile.open(place / f"shard-{shard:04}.tar", "w") as archive:
            for name, data in islice(files, SHARD):
                stem = name.replace("/", "-").removesuffix(".jpg")
                _add(archive, f"{stem}.jpg", data)
                _add(archive, f"{stem}.cls", name[:2].encode())
    return place / f"shard-{{0000..{shards - 1:04}}}.tar"


def _add(archive: TarFile, name: str, data: bytes) -> None:
    member = TarInfo(name)
    member.size = len(data)
    archive.addfile(member, BytesIO(data))


def write_parquet(place: Path, images: int) -> Path:
    import pyarrow as pa
    from pyarrow import parquet

    kind = pa.schema([("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])), ("label", pa.int64())])
    files = named(images)
    with parquet.ParquetWriter(place / "train.parquet", kind) as writer:
        for _ in range(-(-images // SHARD)):
            rows = list(islice(files, SHARD))
            cells = [{"bytes": data, "path": name} for name, data in rows]
            writer.write_table(pa.table({"image": cells, "label": [int(name[:2]) for name, _ in rows]}, schema=kind))
    return place / "train.parquet"


def write_npy(place: Path, images: int) -> Path:
    array = np.lib.format.open_memmap(
        place / "set.npy", mode="w+", dtype=np.uint8, shape=(images, ARRAY_SIDE, ARRAY_SIDE, 3)
    )
    first = 0
    for some in noise(images, ARRAY_SIDE, ARRAY_SIDE, 3):
        array[first : first + len(some)] = some
        first += len(some)
    return place / "set.npy"


def write_npz(place: Path, images: int) -> Path:
    array = np.load(write_npy(place, images), mmap_mode="r")
    np.savez_compressed(place / "set.npz", images=array)
    return place / "set.npz"


def write_idx(place: Path, images: int) -> Path:
    path = place / "train-images-idx3-ubyte.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(struct.pack(">HBBIII", 0, 8, 3, images, ARRAY_SIDE, ARRAY_SIDE))
        for some in noise(images, ARRAY_SIDE, ARRAY_SIDE):
            file.write(some.tobytes())
    return path


def write_cifar(place: Path, images: int) -> Path:
    path = place / "data_batch_1.bin"
    with path.open("wb") as file:
        for some in noise(images, 1 + 3 * CIFAR_SIDE**2):  # a label, which is noise as well, and three planes
            file.write(some.tobytes())
    return path


def noise(images: int, *shape: int) -> Iterator[np.ndarray]:
    """So many arrays of bytes of a shape, DIFFERENT at a time: [N, …] uint8."""
    random = np.random.default_rng(0)
    for first in range(0, images, DIFFERENT):
        yield random.integers(0, 256, (min(DIFFERENT, images - first), *shape), np.uint8)


WRITERS: dict[str, Callable[[Path, int], Path]] = {
    "folder": write_folder,
    "zip": write_zip,
    "tar": write_tar,
    "webdataset": write_shards,
    "parquet": write_parquet,
    "npy": write_npy,
    "npz": write_npz,
    "idx": write_idx,
    "cifar": write_cifar,
}


def train_on(source: Path, crops: int) -> None:
    """What a process does that trains on a set; prints how many images it has."""
    torch.set_num_threads(1)
    config = TrainingConfig()
    photos = Photos.of(open_files(source), config)
    made = Crops(photos, config)
    for step in range(crops // config.batch):
        made.batch(step)
    trainer = Trainer(config, torch.device("cpu"))
    for step in range(STEPS):
        trainer.train_step_(made.batch(step))
    print(len(photos), photos._kept_bytes >> 20, end=" ")
    print(f"{peak_memory():.0f}", own_memory())


def own_memory() -> str:
    """What this process holds now beside pages of files, in MiB; a dash where the system does not say."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return "–"
    return next((f"{int(line.split()[1]) >> 10}" for line in lines if line.startswith("RssAnon:")), "–")


def measured(*arguments: object) -> list[str]:
    """What a process of this module prints."""
    command = [sys.executable, "-m", "benchmarks.training_memory", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout.split()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training_memory", description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=100_000, metavar="N", help="in each set (default: 100000)")
    parser.add_argument("--crops", type=int, default=12_000, metavar="N", help="that are made (default: 12000)")
    parser.add_argument("--formats", default=",".join(WRITERS), help="which of them (default: all)")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)  # the set that this process trains on
    parser.add_argument("--none", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.one or options.none:
        if options.one:
            train_on(options.one, options.crops)
        else:
            print(f"{peak_memory():.0f}", own_memory())
        return 0
    print(f"{'format':<12}{'images':>9}{'kept, MiB':>11}{'at most, MiB':>14}{'own, MiB':>10}")
    most, own = measured("--none")
    print(f"{'none':<12}{0:>9,}{0:>11}{most:>14}{own:>10}", flush=True)
    for name in options.formats.split(","):
        with tempfile.TemporaryDirectory() as folder:
            source = WRITERS[name](Path(folder), options.images)
            images, kept, most, own = measured("--one", source, "--crops", options.crops)
        print(f"{name:<12}{int(images):>9,}{kept:>11}{most:>14}{own:>10}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
