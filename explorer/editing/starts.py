"""What an edit starts from: a picture's own grid, one code everywhere, two pictures mixed, or random codes."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from vqvae.errors import BadInput
from vqvae.tokenizer import Encoding, Tokenizer

Kind = Literal["picture", "one code", "mix", "random"]
Mask = Literal["left half", "top half", "centre", "checkerboard", "random"]

KINDS: dict[Kind, str] = {
    "picture": "The picture's own codes, as the encoder gave them.",
    "one code": "The same code in every cell: an empty canvas.",
    "mix": "Some cells from this picture, the others from a second one.",
    "random": "Codes drawn at random, each as often as it is used.",
}
MASKS: tuple[Mask, ...] = ("left half", "top half", "centre", "checkerboard", "random")
LARGEST_SEED = (1 << 32) - 1


@dataclass(frozen=True)
class Start:
    """A choice of what to start from; what its kind has no use for is left out of account."""

    kind: Kind = "picture"
    code: int = 0  # of "one code", in 0…K−1
    mask: Mask = "left half"  # of "mix": the cells that come from the second picture
    other: str = ""  # of "mix": a name of the second picture
    seed: int = 0  # of "random" and of the mask of that name, in 0…2³² − 1

    @property
    def key(self) -> str:
        """A short text, different for starts that can differ: with the picture and the usage it names the grid."""
        if self.kind == "one code":
            return f"one code {self.code}"
        if self.kind == "random":
            return f"random {self.seed}"
        if self.kind == "mix":
            mask = f"random {self.seed}" if self.mask == "random" else self.mask
            return f"mix {mask} {self.other}"
        return "picture"


def begin(
    tokenizer: Tokenizer, start: Start, encoded: Encoding, *, other: Encoding | None, counts: np.ndarray | None
) -> Encoding:
    """The grid that an edit starts from, with batch 1 and as many cells as the picture's own encoding.

    other: the encoding of the second picture, for "mix". Where it has no cell, the first picture keeps its own.
    counts: [K], how often each code is used, for "random"; None or nothing but zeros: all alike.
    Raises BadInput for a code that the codebook does not have, and when the second picture is missing.
    """
    rows, columns = encoded.grid.shape[-2:]
    codes = tokenizer.spec.grid.codes
    if start.kind == "one code":
        if not 0 <= start.code < codes:
            raise BadInput(f"The codebook has the codes 0 to {codes - 1:,}; choose one of these to start from.")
        return of_codes(tokenizer, np.full((rows, columns), start.code))
    if start.kind == "random":
        return of_codes(tokenizer, random_codes(rows, columns, codes=codes, counts=counts, seed=start.seed))
    if start.kind == "mix":
        if other is None:
            raise BadInput("A mix needs a second picture; choose one.")
        return mix(tokenizer, encoded, other, mask_of(start.mask, rows, columns, start.seed))
    return encoded


def of_codes(tokenizer: Tokenizer, indices: np.ndarray) -> Encoding:
    """A grid of codes [h, w] that no picture stands behind: the embedding is the codes', so the residual is zero."""
    grid = torch.from_numpy(indices.astype(np.int64))[None]
    quantized = tokenizer.lookup((grid,))
    return Encoding(indices=(grid,), embedding=quantized, quantized=quantized)


def mix(tokenizer: Tokenizer, first: Encoding, second: Encoding, mask: np.ndarray) -> Encoding:
    """The second picture's cells where the mask [h, w] says so, as far as it has any; else the first's."""
    rows, columns = (min(sides) for sides in zip(first.grid.shape[-2:], second.grid.shape[-2:], strict=True))
    chosen = torch.from_numpy(mask[:rows, :columns])

    def mixed(one: Tensor, two: Tensor) -> Tensor:
        result = one.clone()
        part = result[..., :rows, :columns]
        part.copy_(torch.where(chosen, two[..., :rows, :columns], part))
        return result

    grid = (mixed(first.grid, second.grid),)
    return Encoding(grid, mixed(first.embedding, second.embedding), tokenizer.lookup(grid))


def mask_of(mask: Mask, rows: int, columns: int, seed: int) -> np.ndarray:
    """Which cells come from the second picture: bool [h, w]. Halves and the centre leave odd ones to the first."""
    row, column = np.mgrid[:rows, :columns]
    if mask == "left half":
        return column < columns // 2
    if mask == "top half":
        return row < rows // 2
    if mask == "centre":
        return _in_middle_half(row, rows) & _in_middle_half(column, columns)
    if mask == "checkerboard":
        return (row + column) % 2 == 1
    return (_random(rows * columns, seed) < 0.5).reshape(rows, columns)


def random_codes(rows: int, columns: int, *, codes: int, counts: np.ndarray | None, seed: int) -> np.ndarray:
    """Independent draws, int64 [h, w] in 0…K−1, each code as likely as its share of the counts [K]."""
    if counts is None or not counts.any():
        counts = np.ones(codes)
    edges = np.cumsum(counts, dtype=np.float64)
    drawn = np.searchsorted(edges, _random(rows * columns, seed) * edges[-1], side="right")
    return drawn.reshape(rows, columns)


def _in_middle_half(place: np.ndarray, length: int) -> np.ndarray:
    margin = -(-length // 4)
    return (place >= margin) & (place < length - margin)


def _random(number: int, seed: int) -> np.ndarray:
    """Float64 in [0, 1). From the bare bits: NumPy keeps these for a seed from version to version, and only these."""
    return (np.random.PCG64(seed).random_raw(number) >> np.uint64(11)) * 2.0**-53
