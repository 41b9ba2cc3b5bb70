"""Shards of an index in the making: runs of images whose cells are sorted, on disk until all are merged."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from explorer.base import arrays
from explorer.index.cells import ImageCells
from explorer.index.format import FARTHEST, VERSION, About, code_dtype, packed
from vqvae.errors import BadInput

_SHARD_SUFFIX = ".shard.safetensors"
_SAMPLE_EVERY = 4096  # cells between two samples of a shard's keys, by which shards are merged


@dataclass(frozen=True, eq=False)
class Shard:
    """A run of images whose cells are sorted, on disk."""

    path: Path
    slots: dict[str, arrays.Slot]
    metadata: dict[str, Any]

    @property
    def first(self) -> int:
        return int(self.metadata["first"])

    @property
    def next(self) -> int:
        """The number, among the names of the set, of the first image after these."""
        return int(self.metadata["next"])

    @property
    def unreadable(self) -> dict[int, str]:
        return {int(number): str(reason) for number, reason in json.loads(self.metadata["unreadable"])}

    @property
    def cells(self) -> int:
        return self.slots["keys"].shape[0]

    def take(self, name: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        return arrays.take(self.path, self.slots[name], start, stop)


def _open_shard(path: Path) -> Shard:
    layout = arrays.read_layout(path)
    return Shard(path, layout.slots, layout.metadata)


def find_shards(folder: Path, about: About) -> list[Shard]:
    """The shards that follow one another from the first image on; all else in the folder is removed."""
    shards: list[Shard] = []
    for path in sorted(folder.iterdir()):
        if path.name.endswith(_SHARD_SUFFIX):
            try:
                arrays.check(path)
                shard = _open_shard(path)
                wanted = _about_text(about), shards[-1].next if shards else 0
                if (shard.metadata["about"], shard.first) == wanted:
                    shards.append(shard)
                    continue
            except (ValueError, KeyError):
                pass  # of another version, or damaged: those images are encoded again
        if path.name != "lock":
            path.unlink()
    return shards


def _about_text(about: About) -> str:
    return json.dumps({"version": VERSION, **asdict(about)})


def sorted_cells(images: list[ImageCells | BadInput], about: About, *, before: int = 0) -> dict[str, np.ndarray]:
    """The arrays of a run of images, the first of whose cells has the position `before`: `keys` are sorted."""
    readable = [image for image in images if not isinstance(image, BadInput)]
    codes = _joined([image.codes for image in readable], code_dtype(about.codes))
    keys = packed(codes, _joined([image.distances for image in readable], np.dtype(np.float16)), before)
    keys.sort()
    return {
        "keys": keys,
        "codes": codes,
        "margins": _joined([image.margins for image in readable], np.dtype(np.float16)),
        "grids": np.array([image.codes.shape for image in readable], np.int32).reshape(-1, 2),
        "sizes": np.array([image.size for image in readable], np.int32).reshape(-1, 2),
    }


def unreadable_among(images: list[ImageCells | BadInput], first: int = 0) -> list[tuple[int, str]]:
    """Number and reason of each image that could not be read, counted from `first`."""
    return [(number, str(image)) for number, image in enumerate(images, first) if isinstance(image, BadInput)]


def write_shard(
    folder: Path, images: list[ImageCells | BadInput], about: About, *, first: int, before: int, shard_cells: int
) -> Shard:
    found = sorted_cells(images, about, before=before)
    sample_every = max(1, min(_SAMPLE_EVERY, shard_cells // 64))
    path = folder / f"{first:012}{_SHARD_SUFFIX}"
    arrays.write(
        path,
        {**found, "samples": found["keys"][::sample_every]},
        {
            "about": _about_text(about),
            "first": str(first),
            "next": str(first + len(images)),
            "sample_every": str(sample_every),
            "unreadable": json.dumps(unreadable_among(images, first)),
        },
        temporary=folder / "temporary",
    )
    return _open_shard(path)


def compact(image: ImageCells, codes: int) -> ImageCells:
    """Turn to the types of the file, and to finite numbers."""
    distances, margins = (np.fmin(part, FARTHEST).astype(np.float16) for part in (image.distances, image.margins))
    return ImageCells(image.codes.astype(code_dtype(codes)), distances, margins, image.size)


def _joined(parts: list[np.ndarray], dtype: np.dtype) -> np.ndarray:
    return np.concatenate([np.empty(0, dtype), *(part.ravel() for part in parts)])
