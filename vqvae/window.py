"""Decoding a part of the grid: after a small change only the pixels that it can reach are decoded again.

A decoder of convolutions is local: a cell changes pixels no further than `reach` cells away. So pixels are right when
all cells within the reach are there, and those of a crop's rim, where its zero padding stands for cells that exist,
are thrown away.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vqvae.tokenizer import Tokenizer

WHOLE_FROM = 0.75  # of the grid: a crop this large saves nothing over decoding it all
LEAST_SIDE = 18  # cells: for smaller pictures torch takes kernels that add up in another order, and last bits differ


@dataclass(frozen=True)
class Window:
    """A rectangle of cells, the last row and column not included."""

    top: int
    left: int
    bottom: int
    right: int

    @classmethod
    def around(cls, cells: Tensor) -> Window | None:
        """The smallest window that holds all true cells of a mask [h, w]; None where none is."""
        rows, columns = cells.any(1).nonzero(), cells.any(0).nonzero()
        if not len(rows):
            return None
        return cls(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)

    def grown(self, by: int, *, rows: int, columns: int) -> Window:
        """Grow by so many cells on each side, as far as there are any."""
        return Window(
            max(0, self.top - by), max(0, self.left - by), min(rows, self.bottom + by), min(columns, self.right + by)
        )

    def at_least(self, side: int, *, rows: int, columns: int) -> Window:
        """Widen to so many cells a side, as far as there are any."""
        top, bottom = _widened(self.top, self.bottom, side, rows)
        left, right = _widened(self.left, self.right, side, columns)
        return Window(top, left, bottom, right)

    def scaled(self, by: int) -> Window:
        """What these cells are on a grid so many times as fine."""
        return Window(self.top * by, self.left * by, self.bottom * by, self.right * by)

    def coarsened(self, by: int) -> Window:
        """The cells that these touch of a grid so many times as coarse."""
        return Window(self.top // by, self.left // by, -(-self.bottom // by), -(-self.right // by))

    @property
    def rows(self) -> int:
        return self.bottom - self.top

    @property
    def columns(self) -> int:
        return self.right - self.left

    @property
    def cells(self) -> int:
        return self.rows * self.columns

    def of(self, grid: Tensor, *, scale: int = 1) -> Tensor:
        """This part of [..., h·scale, w·scale], as a view."""
        return grid[..., self.top * scale : self.bottom * scale, self.left * scale : self.right * scale]

    def relative_to(self, outer: Window) -> Window:
        """Count from the corner of a window that holds these cells."""
        return Window(self.top - outer.top, self.left - outer.left, self.bottom - outer.top, self.right - outer.left)


def _widened(start: int, stop: int, least: int, there: int) -> tuple[int, int]:
    length = min(least, there)
    if stop - start >= length:
        return start, stop
    start = min(max(0, start - (length - (stop - start)) // 2), there - length)
    return start, start + length


def decode_window(tokenizer: Tokenizer, quantized: Tensor, embedding: Tensor, window: Window) -> Tensor:
    """The pixels of a window, [B, 3, rows·f, columns·f] in [0, 1], equal to those of the whole picture decoded.

    quantized, embedding: [B, D, h, w], the whole grid. Costs a decode of the window with its surroundings.
    """
    rows, columns = quantized.shape[-2:]
    crop = Window(0, 0, rows, columns)
    if tokenizer.spec.reach is not None:
        crop = window.grown(tokenizer.spec.reach, rows=rows, columns=columns)
        crop = crop.at_least(LEAST_SIDE, rows=rows, columns=columns)
    decoded = tokenizer.decode(
        *(crop.of(part).contiguous(memory_format=torch.channels_last) for part in (quantized, embedding))
    )
    return window.relative_to(crop).of(decoded, scale=tokenizer.spec.stride)


def reached(tokenizer: Tokenizer, changed: Tensor) -> Window | None:
    """The cells whose pixels a change can reach; None where decoding them saves nothing over decoding all.

    changed: [h, w] bool, one or more true.
    """
    box, reach = Window.around(changed), tokenizer.spec.reach
    assert box is not None
    rows, columns = changed.shape
    if reach is None or box.grown(2 * reach, rows=rows, columns=columns).cells > WHOLE_FROM * rows * columns:
        return None
    return box.grown(reach, rows=rows, columns=columns)


def patched(picture: Tensor, pixels: Tensor, window: Window, *, scale: int) -> Tensor:
    """A copy of a picture [B, 3, h·scale, w·scale] with other pixels in a window of cells."""
    after = picture.clone()
    window.of(after, scale=scale).copy_(pixels)
    return after


def redecode(tokenizer: Tokenizer, quantized: Tensor, embedding: Tensor, *, before: Tensor, changed: Tensor) -> Tensor:
    """The whole picture after a change, [1, 3, h·f, w·f] in [0, 1], with only what the change can reach decoded again.

    before: the picture before it; changed: [h, w] bool, the cells of which either input differs from then.
    """
    if not changed.any():
        return before
    window = reached(tokenizer, changed)
    if window is None:
        return tokenizer.decode(quantized, embedding)
    pixels = decode_window(tokenizer, quantized, embedding, window)
    return patched(before, pixels, window, scale=tokenizer.spec.stride)
