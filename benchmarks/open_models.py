"""The memory that open models take when many are opened in turn: python -m benchmarks.open_models [--models 12].

Each has weights of its own, about `--megabytes` of them, and its codes are decoded as the Codebook page does. Memory is
what stays resident once a model is open; with four of them kept it stops growing after the fourth.
"""

import argparse
import gc
import os
import tempfile
from pathlib import Path

import numpy as np

from explorer.ui import cache
from vqvae import checkpoint
from vqvae.model import VQVAE, VQVAEConfig
from vqvae.tokenizer import prepare


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=int, default=12)
    parser.add_argument("--megabytes", type=int, default=128, help="of weights a model, about")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        folders = [make(Path(root) / f"model {number}", options.megabytes) for number in range(options.models)]
        before = resident()
        for number, folder in enumerate(folders, 1):
            model = cache.open_model(folder)
            cache.tiles_of(model, np.arange(256))
            parameters = model.parameters or 0
            del model
            print(f"{number:>3} opened, {4 * parameters / 2**20:.0f} MiB each: {resident() - before:>6.0f} MiB more")


def make(folder: Path, megabytes: int) -> Path:
    """A checkpoint with random weights: most of them are codes."""
    config = VQVAEConfig(codes=megabytes * 2**20 // (4 * 256), embedding_dim=256, channels=(8, 16), blocks=(1, 1))
    checkpoint.save(folder, prepare(VQVAE(config)), {})
    return folder


def resident() -> float:
    """MiB of this process that are in memory; on Linux."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    main()
