"""What was measured of one model over a set, on disk: found again whatever it is compared with, and after a stop.

A folder for each model, set and way of measuring, with files of some images each, under checksums. A file that is
damaged, or of another version, counts as not there: its images are measured again.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from explorer.base import beside
from explorer.base.beside import Contents
from explorer.base.tidy import used
from explorer.compare.records import Seen
from vqvae.checkpoint import write_atomically
from vqvae.places import reason_of

VERSION = 1
SUFFIX = ".seen.safetensors"
SECONDS = 30.0  # of work that a process that is killed can lose
MOST_IMAGES = 256  # of a file
MOST_TOKENS = 1 << 22  # of a file, but for those of its last image
_FIGURES = ("psnr", "ssim", "colour_difference", "encode_ms", "decode_ms", "peak_bytes")  # NaN is None


@dataclass(frozen=True, eq=False)
class Known:
    """What is known of one model on one image."""

    digest: str  # SHA-256 in hex over the pixels that it was given
    size: tuple[int, int]  # H, W in pixels
    seen: Seen


class Kept:
    """What is known of one model on the images of a set, by the images' names; what is added is kept as it comes."""

    def __init__(self, root: Path | None, of: Mapping[str, Any]) -> None:
        """Read what is in the folder below `root` that is named after `of`, all that shapes a measurement."""
        self._of = json.dumps({"version": VERSION, **of}, sort_keys=True)
        self._folder = None if root is None else root / hashlib.sha256(self._of.encode()).hexdigest()[:32]
        self._pending: dict[str, Known] = {}
        self._kept_at = time.monotonic()
        self.images = {} if self._folder is None else _read_folder(self._folder, self._of)
        if self._folder is not None:
            used(self._folder)
        self.fault = ""  # why something could not be kept, in a few words

    def add(self, name: str, known: Known) -> None:
        """Take in what was found out of an image."""
        self.images[name] = self._pending[name] = known
        full = len(self._pending) == MOST_IMAGES or sum(one.seen.tokens for one in self._pending.values()) > MOST_TOKENS
        if full or time.monotonic() - self._kept_at > SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what was not written yet. Where nothing can be written, the work goes on, and `fault` says why not."""
        pending, self._pending, self._kept_at = self._pending, {}, time.monotonic()
        if self._folder is None or not pending:
            return
        data = beside.to_bytes(*_packed(pending, self._of))
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_atomically(self._folder / f"{hashlib.sha256(data).hexdigest()[:32]}{SUFFIX}", data)
        except OSError as fault:
            self.fault = reason_of(fault)


def _read_folder(folder: Path, of: str) -> dict[str, Known]:
    """All sound files of a folder; of an image that several have, what the first has. The others are removed."""
    images: dict[str, Known] = {}
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        found = beside.read_any(path)
        try:
            if found is None or found.about["of"] != of:
                raise ValueError("It is damaged, or of something else.")
            images = _unpacked(found) | images
        except (ValueError, LookupError, TypeError):
            with suppress(OSError):
                path.unlink()
    return images


def _packed(images: Mapping[str, Known], of: str) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Arrays of the figures [N, 6], the sizes [N, 2], and of each level its grids' sizes [N, 2] and all its indices."""
    seen = [one.seen for one in images.values()]
    values = [[getattr(one, name) for name in _FIGURES] for one in seen]
    arrays = {
        "figures": np.array([[np.nan if value is None else value for value in row] for row in values], np.float64),
        "sizes": np.array([one.size for one in images.values()], np.int64),
    }
    for level in range(len(seen[0].indices)):
        grids = [one.indices[level] for one in seen]
        arrays[f"grids {level}"] = np.array([grid.shape for grid in grids], np.int64)
        arrays[f"indices {level}"] = np.concatenate([grid.ravel() for grid in grids])
    names, digests = list(images), [one.digest for one in images.values()]
    return arrays, {"of": of, "names": json.dumps(names), "digests": json.dumps(digests)}


def _unpacked(found: Contents) -> dict[str, Known]:
    """As it was packed; raises ValueError, LookupError or TypeError for anything else."""
    names, digests = json.loads(found.about["names"]), json.loads(found.about["digests"])
    levels: list[list[np.ndarray]] = []
    while (grids := found.arrays.get(f"grids {len(levels)}")) is not None:
        ends = grids.prod(1).cumsum()
        parts = np.split(found.arrays[f"indices {len(levels)}"], ends[:-1])
        levels.append([part.reshape(shape) for part, shape in zip(parts, grids, strict=True)])
    images = {}
    for name, digest, size, figures, *indices in zip(
        names, digests, found.arrays["sizes"], found.arrays["figures"], *levels, strict=True
    ):
        psnr, ssim, colour_difference, encode_ms, decode_ms, peak = map(float, figures)
        seen = Seen(
            psnr,
            None if np.isnan(ssim) else ssim,
            colour_difference,
            encode_ms,
            decode_ms,
            None if np.isnan(peak) else int(peak),
            tuple(indices),
        )
        images[str(name)] = Known(str(digest), (int(size[0]), int(size[1])), seen)
    return images
