"""The usage of its training photos that a checkpoint carries, so that a page can say "in training" beside "here"."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from explorer.base import beside

FILE = beside.USAGE


@dataclass(frozen=True, eq=False)
class TrainingUsage:
    """How often each code was used over the photos that the model was trained on."""

    counts: np.ndarray  # int64 [K]
    images: int


def save_training_usage(folder: Path, usage: TrainingUsage, *, checkpoint: str, identity: str = "") -> None:
    """Put the counts beside the model; `checkpoint` is its content hash, so that they are not taken for another's.

    identity: that of the set they are of, as its manifest says it; kept with them.
    """
    about = {"checkpoint": checkpoint, "images": str(usage.images), **beside.of_set(identity)}
    beside.write(folder / FILE, {"counts": usage.counts.astype(np.int64)}, about)


def load_training_usage(folder: Path, *, checkpoint: str, codes: int) -> TrainingUsage | None:
    """The counts in a checkpoint's folder; None where there are none, or they are damaged or of another model."""
    found = beside.read(folder / FILE, {"counts": (np.dtype(np.int64), (codes,))})
    if found is None:
        return None
    counts, images = found.arrays["counts"], found.about.get("images", "")
    if found.about.get("checkpoint") != checkpoint or not images.isdecimal() or (counts < 0).any():
        return None
    return TrainingUsage(counts, int(images))
