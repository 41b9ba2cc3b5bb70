"""The file of an index: what it is of, which arrays it holds, and the numbers by which its cells are sorted."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from explorer.base import arrays
from explorer.base.arrays import MOST_HEADER_BYTES, names_too_long
from vqvae.errors import BadInput

VERSION = 1
SUFFIX = ".index.safetensors"
FARTHEST = 65_504.0  # the largest finite float16; what is farther is stored as this
CODE_BITS, DISTANCE_BITS, POSITION_BITS = 18, 15, 31  # a distance has no sign
MOST_CELLS = 1 << POSITION_BITS
_REST_OF_HEADER = 1 << 16  # bytes for all but the names
_PACKED_AT_ONCE = 1 << 15  # cells; so few that what is in between stays in the processor's cache


def index_path(folder: Path, checkpoint: str, identity: str) -> Path:
    """Where in a folder the index of a set with a checkpoint lies, both given as hashes in hex."""
    return folder / f"{checkpoint[:16]}-{identity[:16]}{SUFFIX}"


def forms(cells: int, images: int, codes: int) -> dict[str, arrays.Form]:
    """The arrays of an index."""
    return {
        "offsets": (np.dtype(np.int64), (codes + 1,)),
        "positions": (np.dtype(np.uint32), (cells,)),
        "grids": (np.dtype(np.int32), (images, 2)),
        "sizes": (np.dtype(np.int32), (images, 2)),
        "codes": (code_dtype(codes), (cells,)),
        "margins": (np.dtype(np.float16), (cells,)),
        "distances": (np.dtype(np.float16), (cells,)),
    }


def code_dtype(codes: int) -> np.dtype:
    return np.dtype(np.uint16 if codes <= 1 << 16 else np.uint32)


@dataclass(frozen=True)
class About:
    """What an index is of."""

    checkpoint: str
    identity: str
    label: str
    source: str
    under: str
    working_size: int
    codes: int  # K


class NoIndex(BadInput):
    """What was encoded can never become an index."""


def too_many_cells() -> NoIndex:
    """The refusal of more than MOST_CELLS."""
    return NoIndex(f"The set has over {MOST_CELLS:,} cells; index a part of it, or at a smaller size.")


def check_names(names: tuple[str, ...]) -> None:
    """Raise BadInput, before any work, where the names of all images do not fit into the header of an index."""
    if len(json.dumps(json.dumps(names))) > MOST_HEADER_BYTES - _REST_OF_HEADER:
        raise names_too_long()


def packed(codes: np.ndarray, distances: np.ndarray) -> np.ndarray:
    """One number a cell that sorts as wanted: code, bits of the distance (≥ 0, so they sort as it does), position.

    Positions count from 0.
    """
    keys = np.empty(len(codes), np.uint64)
    bits = distances.view(np.uint16)
    for start in range(0, len(keys), _PACKED_AT_ONCE):
        part = slice(start, start + _PACKED_AT_ONCE)
        block = keys[part]
        block[:] = codes[part]
        block <<= np.uint64(DISTANCE_BITS)
        block |= bits[part] & np.uint16((1 << DISTANCE_BITS) - 1)
        block <<= np.uint64(POSITION_BITS)
        block |= np.arange(start, start + len(block), dtype=np.uint64)
    return keys


def unpacked(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions, uint32, and distances, float16."""
    positions, bits = np.empty(len(keys), np.uint32), np.empty(len(keys), np.uint16)
    for start in range(0, len(keys), _PACKED_AT_ONCE):
        part = slice(start, start + _PACKED_AT_ONCE)
        positions[part] = keys[part] & np.uint64((1 << POSITION_BITS) - 1)
        bits[part] = (keys[part] >> np.uint64(POSITION_BITS)) & np.uint64((1 << DISTANCE_BITS) - 1)
    return positions, bits.view(np.float16)
