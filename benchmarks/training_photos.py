"""Batches for training from photos that are decoded as they are needed, beside photos that are held in memory.

    python -m benchmarks.training_photos [PHOTOS] [--under train]

Without PHOTOS: JPEGs of 2 and of 12 megapixels, made on the spot. A step of training is there for scale.
"""

import argparse
import io
import itertools
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.timing import clock_name, compare, print_table
from vqvae.dataset import ImageFiles, open_files
from vqvae.formats import KINDS
from vqvae.images import load_image
from vqvae.training.crops import Crops, Photos
from vqvae.training.settings import TrainingConfig
from vqvae.training.trainer import Trainer

MOST = 24  # photos of a set


def batches(crops: Crops) -> Callable[[], object]:
    """Makes the next batch at each call."""
    steps = itertools.count()
    return lambda: crops.batch(next(steps))


def measure(heading: str, files: ImageFiles, config: TrainingConfig) -> None:
    held = [load_image(files.read(name), name) for name in files.names]
    trainer = Trainer(config, torch.device("cpu"))
    images = Crops(held, config).batch(0)
    print_table(
        heading,
        compare(
            {"held in memory": batches(Crops(held, config))},
            {
                "kept after the first time": batches(Crops(Photos.of(files, config), config)),
                "decoded each time": batches(Crops(Photos.of(files, config, kept_bytes=0), config)),
                "a step of training": lambda: trainer.train_step_(images),
            },
        ),
    )


def made(folder: Path, width: int, height: int) -> ImageFiles:
    """Six JPEGs with detail of every size."""
    random = np.random.default_rng(0)
    for number in range(6):
        noise = sum(
            np.asarray(
                Image.fromarray(random.integers(0, 64, (height // part, width // part, 3), np.uint8)).resize(
                    (width, height)
                ),
                np.uint16,
            )
            for part in (4, 16, 64)
        )
        buffer = io.BytesIO()
        Image.fromarray(np.clip(noise, 0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=90)
        (folder / f"{width}-{number}.jpg").write_bytes(buffer.getvalue())
    return open_files(folder)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training_photos", description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path, nargs="?", help=KINDS)
    parser.add_argument("--under", default="", help="use only images below this folder of the set")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    config = TrainingConfig()
    print(f"{clock_name()} of a batch of {config.batch} crops of {config.crop} × {config.crop} pixels\n")
    if options.photos:
        files = open_files(options.photos, under=options.under)
        some = ImageFiles(files.names[:: max(1, len(files.names) // MOST)][:MOST], files.identity, files.read)
        measure(f"{len(some.names)} photos of {options.photos}", some, config)
        return 0
    for width, height in ((1632, 1224), (4000, 3000)):
        with tempfile.TemporaryDirectory() as folder:
            measure(f"JPEGs of {width} × {height}", made(Path(folder), width, height), config)
    return 0


if __name__ == "__main__":
    sys.exit(main())
