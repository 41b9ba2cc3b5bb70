"""What two processes of a training do when something befalls one of them; started by torchrun, see test_together.py.

    torchrun --standalone --nproc-per-node 2 -m tests.toy_ranks PHOTOS SETTINGS FOLDER

Each scene is a whole run, FOLDER/SCENE its checkpoint; FOLDER/SCENE-RANK.json is its exit status and what it said, and
FOLDER/threads-RANK.json the threads that a process still has once it has left the others.
"""

import io
import json
import math
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from vqvae import train
from vqvae.errors import Unreachable
from vqvae.training import crops
from vqvae.training.distributed import Together
from vqvae.training.trainer import Trainer

FAR = ("--steps", "100000")


def before_step(step: int, patch: pytest.MonkeyPatch, act: Any) -> None:
    """Have something happen before a step of the next run: what `act` makes of the trainer and its images."""
    real = Trainer.train_step_

    def train_step_(self: Trainer, images: Tensor) -> dict[str, float]:
        return real(self, act(self, images) if self.step == step else images)

    patch.setattr(Trainer, "train_step_", train_step_)


def drift(patch: pytest.MonkeyPatch) -> None:
    def push(trainer: Trainer, images: Tensor) -> Tensor:
        trainer.learner.sums += 1e-4
        return images

    before_step(19, patch, push)


def explode(patch: pytest.MonkeyPatch) -> None:
    before_step(3, patch, lambda _, images: images * math.nan)


def be_told_to_stop(patch: pytest.MonkeyPatch) -> None:
    def tell(trainer: Trainer, images: Tensor) -> Tensor:
        os.kill(os.getpid(), signal.SIGTERM)
        return images

    before_step(3, patch, tell)


def lose_the_images(patch: pytest.MonkeyPatch) -> None:
    real, made = crops.Crops.batch, iter(range(40))

    def batch(self: crops.Crops, step: int) -> Tensor:
        if next(made) == 30:
            raise Unreachable("The disk with the images does not answer; bring it back.")
        return real(self, step)

    patch.setattr(crops.Crops, "batch", batch)


def see_other_images(patch: pytest.MonkeyPatch) -> None:
    real = train.open_files
    patch.setattr(train, "open_files", lambda source, under: real(source.with_name("others"), under=under))


SCENES: dict[str, tuple[Any, tuple[str, ...]]] = {  # what befalls the second process, and more options
    "resumed": (None, ("--resume", "--steps", "12")),
    "unknown": (None, ("--steps", "x")),
    "refused": (None, ("--crop", "17")),
    "others": (see_other_images, FAR),
    "lost": (lose_the_images, FAR),
    "drifted": (drift, FAR),
    "exploded": (explode, FAR),
    "stopped": (be_told_to_stop, FAR),
}


@contextmanager
def rejoined() -> Iterator[Together]:
    yield Together()


def threads() -> list[str]:
    """The names of this process's threads; none where the system does not tell."""
    return sorted(path.read_text("utf-8").strip() for path in Path("/proc/self/task").glob("*/comm"))


def main() -> None:
    torch.set_num_threads(1)
    photos, settings, folder = map(Path, sys.argv[1:])
    with train.joined() as ranks:
        play(photos, settings, folder, rank=ranks.rank)
    (folder / f"threads-{ranks.rank}.json").write_text(json.dumps(threads()), encoding="utf-8")


def play(photos: Path, settings: Path, folder: Path, *, rank: int) -> None:
    """All scenes, by the same group of processes."""
    for scene, (befall, more) in SCENES.items():
        options = [str(photos), "--out", str(folder / scene), "--config", str(settings), *more]
        with pytest.MonkeyPatch.context() as patch, redirect_stderr(io.StringIO()) as told:
            patch.setattr(train, "joined", rejoined)
            if befall and rank == 1:
                befall(patch)
            try:
                code = train.main(options)
            except SystemExit as end:
                code = int(end.code or 0)
        said = {"code": code, "told": told.getvalue()}
        (folder / f"{scene}-{rank}.json").write_text(json.dumps(said), encoding="utf-8")


if __name__ == "__main__":
    main()
