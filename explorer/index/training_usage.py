"""The usage of its training photos that a checkpoint carries, so that a page can say "in training" beside "here"."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from vqvae.checkpoint import write_atomically

FILE = "usage.safetensors"


@dataclass(frozen=True, eq=False)
class TrainingUsage:
    """How often each code was used over the photos that the model was trained on."""

    counts: np.ndarray  # int64 [K]
    images: int


def save_training_usage(folder: Path, usage: TrainingUsage, *, checkpoint: str) -> None:
    """Put the counts beside the model; `checkpoint` is its content hash, so that they are not taken for another's."""
    about = {"checkpoint": checkpoint, "images": str(usage.images)}
    write_atomically(folder / FILE, save({"counts": usage.counts.astype(np.int64)}, about))


def load_training_usage(folder: Path, *, checkpoint: str, codes: int) -> TrainingUsage | None:
    """The counts in a checkpoint's folder; None where there are none, or they are damaged or of another model."""
    try:
        with safe_open(folder / FILE, "np") as file:
            about, stored = file.metadata() or {}, file.get_slice("counts")
            if (stored.get_dtype(), stored.get_shape()) != ("I64", [codes]):  # NumPy has not every type of the format
                return None
            counts = file.get_tensor("counts")
    except (OSError, SafetensorError):
        return None
    images = about.get("images", "")
    if about.get("checkpoint") != checkpoint or not images.isdecimal() or (counts < 0).any():
        return None
    return TrainingUsage(counts, int(images))
