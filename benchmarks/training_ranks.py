"""No speed: what a step of training costs one process, and each of several that share its batch.

    python -m benchmarks.training_ranks [--processes 1 2] [--batch 8 32] [--steps 30]

Each run is of the default settings, on the CPU and on one thread a process, started by torchrun as in the README
(pip install .[scale]), with a batch of so many crops in all. The photos are JPEGs of 768 × 512 pixels, made on the
spot. The first steps do not count. CPU time is of a step with its share of the crops. What is added up over all
processes is counted where it is handed to PyTorch's process group: gradients, what the codes counted and added up,
figures, and whether all go on; restarts of dead codes are in it, as often as they are. A ring sends 2·(n − 1)/n of that
from each of n processes. Memory is the most that a process ever held, with the photos that it keeps decoded.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, distributed

from benchmarks.index import peak_memory
from benchmarks.timing import print_columns
from vqvae.dataset import open_files
from vqvae.training.crops import Crops, Photos, codebook_batches, prefetch
from vqvae.training.distributed import Ranks, joined
from vqvae.training.settings import TrainingConfig
from vqvae.training.trainer import Trainer

WARM_UP = 5  # steps
PHOTOS = 12


def write_photos(folder: Path) -> None:
    random = np.random.default_rng(0)
    for number in range(PHOTOS):
        small = Image.fromarray(random.integers(0, 256, (64, 96, 3), np.uint8))
        small.resize((768, 512), Image.Resampling.BICUBIC).save(folder / f"{number:02}.jpg", quality=90)


class Sent:
    """Bytes that a process hands over to be added up with those of the others, or to be given to them, by what."""

    def __init__(self) -> None:
        self.bytes: Counter[str] = Counter()

    def watch(self, trainer: Trainer) -> None:
        """From now on; each process's model has been spread."""
        for name in ("all_reduce", "all_gather", "broadcast"):
            self._count(name, of=1 if name == "all_gather" else 0)
        trainer.forward.register_comm_hook(None, self._gradients)  # type: ignore[attr-defined]  # it is DDP's

    def _count(self, name: str, *, of: int) -> None:
        real = getattr(distributed, name)

        def counted(*arguments: Any, **more: Any) -> Any:
            self.bytes["all"] += arguments[of].nbytes
            return real(*arguments, **more)

        setattr(distributed, name, counted)

    def _gradients(self, _: object, bucket: distributed.GradBucket) -> torch.futures.Future[Tensor]:
        from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook

        self.bytes["gradients"] += bucket.buffer().nbytes
        return allreduce_hook(distributed.group.WORLD, bucket)


def train(folder: Path, ranks: Ranks, *, batch: int, steps: int) -> dict[str, float]:
    """What a step costs this process."""
    config = TrainingConfig(batch=batch, steps=WARM_UP + steps)
    device = ranks.device("cpu")
    photos = Photos.of(open_files(folder), config, tell=ranks.tell)
    trainer, crops = Trainer(config, device, ranks=ranks), Crops(photos, config, share=ranks.share(batch))
    trainer.start_codebook_(codebook_batches(crops))
    trainer.join_()
    sent = Sent()
    if ranks.size > 1:
        sent.watch(trainer)
    began = 0.0
    for step, images in enumerate(prefetch(crops, 0, config.steps)):
        if step == WARM_UP:
            sent.bytes.clear()
            began = time.process_time()
        trainer.train_step_(images)
    return {
        "images": len(ranks.share(batch)),
        "seconds": (time.process_time() - began) / steps,
        "gradients": sent.bytes["gradients"] / steps,
        "others": (sent.bytes["all"] - sent.bytes["gradients"]) / steps,
        "memory": peak_memory(),
    }


def measured(photos: Path, processes: int, batch: int, steps: int) -> list[dict[str, float]]:
    """What `train` says in each of so many processes."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["--one", folder, "--photos", photos, "--batch", batch, "--steps", steps]
        start = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", processes, "-m"]
        command = [sys.executable, *map(str, [*start, "benchmarks.training_ranks", *words])]
        subprocess.run(
            command,
            check=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(Path(folder).iterdir())]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training_ranks", description=__doc__.splitlines()[0])
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2], metavar="N", help="(default: 1 2)")
    parser.add_argument(
        "--batch", type=int, nargs="+", default=[8, 32], metavar="N", help="crops in all (default: 8 32)"
    )
    parser.add_argument("--steps", type=int, default=30, metavar="N", help="that count (default: 30)")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)  # where one of the processes says what it found
    parser.add_argument("--photos", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.one:
        torch.set_num_threads(1)
        with joined() as ranks:
            found = train(options.photos, ranks, batch=options.batch[0], steps=options.steps)
            (options.one / f"{ranks.rank:03}.json").write_text(json.dumps(found), encoding="utf-8")
        return 0
    rows = []
    with tempfile.TemporaryDirectory() as photos:
        write_photos(Path(photos))
        for batch, processes in product(options.batch, options.processes):
            each = measured(Path(photos), processes, batch, options.steps)
            all_seconds = sum(one["seconds"] for one in each)
            if processes == options.processes[0]:
                before = all_seconds
            first = each[0]
            rows.append(
                [
                    str(processes),
                    " + ".join(f"{one['images']}" for one in each),
                    " + ".join(f"{one['seconds']:.2f}" for one in each),
                    f"{all_seconds / before:.2f}×",
                    f"{first['gradients'] / 2**20:.2f}",
                    f"{first['others'] / 2**10:.1f}",
                    f"{max(one['memory'] for one in each):,.0f}",
                ]
            )
    heads = ["processes", "crops of each", "CPU s a step", "of all", "gradients, MiB", "others, KiB", "at most, MiB"]
    print_columns(heads, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
