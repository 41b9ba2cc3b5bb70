"""The boundary test: at the border between two codes, which input does the decoder follow?

Where an embedding lies nearly as far from the second nearest code as from its own, a hair's breadth decides which code
the cell has: the code flips and the embedding hardly moves (a regression discontinuity, Thistlethwaite and Campbell
1960). So moving one code's width there, Δ = runner-up − code, is a change that the decoder knows from its training,
whichever of its inputs makes it. With the decoder's output before clamping, let

    A    be the change of the picture when the code alone moves by Δ,
    E    when the embedding alone does,
    B    when both do.

Then ⟨A, B⟩ / ⟨B, B⟩ is the **share** with which the decoder follows the code, and ⟨E, B⟩ / ⟨B, B⟩ that with which it
follows the embedding. They add up to 1 as far as the decoder is linear there; ‖A + E − B‖ / ‖B‖ says how far it is not.
‖A‖ / ‖B‖ says whether it reads the code apart from the embedding at all.

Known answers: of a stem that takes (1 − a) of the code and a of the embedding the shares are 1 − a and a; a decoder of
lerp(quantized, embedding, w) alone has 1 − w and w. At a blend of 0 they are 1 and 0 by definition.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
import torch
from torch import Tensor

from explorer.base.cell import Cell
from vqvae.images import to_pixels
from vqvae.search import Codebook
from vqvae.tokenizer import Encoding, Tokenizer, cells, pixels_of
from vqvae.window import Window

BORDER = 0.05  # relative margin: a cell whose runner-up is at most so much further than its own code is at a border
SAME_POINT = 1e-6  # relative: codes that lie no further apart are one, as far as float32 can tell
CELLS = 8  # of each image, at most
MOST_ROUNDS = 3  # of decodes, each with cells so far apart that none reaches another's pixels
BLENDS = (0.25, 0.5, 0.75, 1.0)  # of the curve


@dataclass(frozen=True)
class Change:
    """How the picture changed around one cell, or around several: sums over the pixels that they reach."""

    code_both: float  # ⟨A, B⟩
    embedding_both: float  # ⟨E, B⟩
    code: float  # ⟨A, A⟩
    both: float  # ⟨B, B⟩
    rest: float  # ‖A + E − B‖²

    @property
    def code_share(self) -> float:
        """How far the decoder follows the code; NaN where nothing moves the picture."""
        return _ratio(self.code_both, self.both)

    @property
    def embedding_share(self) -> float:
        """How far the decoder follows the embedding; NaN where nothing moves the picture."""
        return _ratio(self.embedding_both, self.both)

    @property
    def code_size(self) -> float:
        """‖A‖ / ‖B‖, how much the code alone moves the picture; 0 where it is not read apart from the embedding."""
        return sqrt(_ratio(self.code, self.both))

    @property
    def not_additive(self) -> float:
        """‖A + E − B‖ / ‖B‖; 0 for a decoder that is linear there."""
        return sqrt(_ratio(self.rest, self.both))

    @classmethod
    def between(cls, before: Tensor, code: Tensor, embedding: Tensor, both: Tensor) -> Change:
        """Of four pictures of the same pixels: nothing moved, the code, the embedding, both."""
        a, e, b = ((picture - before).double().flatten() for picture in (code, embedding, both))
        rest = a + e - b
        sums = (a @ b, e @ b, a @ a, b @ b, rest @ rest)
        return cls(*(value.item() for value in sums))

    @classmethod
    def together(cls, changes: Sequence[Change]) -> Change:
        """The sums over several, so that a cell counts by how much of the picture it moves."""
        return cls(
            *(
                sum(getattr(change, name) for change in changes)
                for name in ("code_both", "embedding_both", "code", "both", "rest")
            )
        )


def _ratio(value: float, of: float) -> float:
    return value / of if of > 0 else float("nan")


@dataclass(frozen=True)
class BorderCell:
    """A cell at a border, and what happens to the picture when it is moved across."""

    cell: Cell
    code: int
    runner_up: int
    margin: float  # how much further the runner-up is than the own code, relative to the latter
    changes: tuple[Change, ...]  # at each of the blends


@dataclass(frozen=True, eq=False)
class Border:
    """Which cells of an image lie at a border, nearest to it first."""

    cells: tuple[Cell, ...]
    runners_up: Tensor  # [h, w] int64, of all cells
    margins: np.ndarray  # float32 [h, w], of all cells; inf where there is no other code


def border_of(codebook: Codebook, encoding: Encoding) -> Border:
    """The cells of one image, [1, D, h, w], whose relative margin is at most `BORDER`.

    A cell whose runner-up is the very same code again (to a metric of angles, in the very same direction) is at no
    border: nothing would move. Nor is one whose code is not about the nearest, as a quantizer with a rule of its own
    may have it.
    """
    grid = encoding.grid[0]
    vectors, own = cells(encoding.embedding), grid.flatten()
    near = codebook.runners_up(vectors, own)
    distances = codebook.distances(vectors, own)
    margins = (near.distances - distances).abs() / distances.clamp(min=1e-12)
    if len(codebook) > 1:
        points = codebook.code_points[own]
        apart = (codebook.code_points[near.indices] - points).norm(dim=1)
        margins = torch.where(apart <= SAME_POINT * points.norm(dim=1), torch.inf, margins)
    margins = margins.view_as(grid)
    order = torch.argsort(margins.flatten(), stable=True)
    found = [int(place) for place in order[: int((margins <= BORDER).sum())]]
    columns = grid.shape[1]
    places = tuple((place // columns, place % columns) for place in found)
    return Border(places, near.indices.view_as(grid), margins.float().numpy())


@torch.inference_mode()
def measure(
    tokenizer: Tokenizer,
    encoding: Encoding,
    border: Border,
    *,
    blends: Sequence[float],
    most: int = CELLS,
    seed: int = 0,
) -> tuple[BorderCell, ...]:
    """Move cells of one image, [1, D, h, w], across their borders: at most so many, drawn at random.

    Cells that are far enough apart share their decodes: within the decoder's reach of one nothing of another is seen,
    so that each change is what it would be alone. A decoder that reaches everywhere gets one cell at a time.
    """
    generator = np.random.default_rng(seed)
    waiting = [border.cells[place] for place in generator.permutation(len(border.cells))]
    before = [_drawn(tokenizer, encoding, weight) for weight in blends] if waiting else []
    found: list[BorderCell] = []
    for _ in range(most if tokenizer.spec.reach is None else MOST_ROUNDS):
        apart = _apart(waiting, tokenizer.spec.reach, most=most - len(found))
        if not apart:
            break
        waiting = [cell for cell in waiting if cell not in apart]
        found += _moved(tokenizer, encoding, border, apart, blends, before)
    return tuple(found)


def _apart(waiting: Sequence[Cell], reach: int | None, *, most: int) -> list[Cell]:
    """The first of these cells, and of the others those whose reach does not meet that of one before."""
    taken: list[Cell] = []
    for row, column in waiting:
        if len(taken) == most or (reach is None and taken):
            break
        if all(max(abs(row - other[0]), abs(column - other[1])) > 2 * (reach or 0) for other in taken):
            taken.append((row, column))
    return taken


def _moved(
    tokenizer: Tokenizer,
    encoding: Encoding,
    border: Border,
    places: Sequence[Cell],
    blends: Sequence[float],
    before: Sequence[Tensor],
) -> list[BorderCell]:
    """Move these cells across, all in the same decodes; `before` is the picture at each blend with nothing moved."""
    windows = [_window(tokenizer, encoding, place) for place in places]
    difference = _difference(tokenizer, encoding, border, places)
    changes: list[list[Change]] = [[] for _ in places]
    for weight, picture in zip(blends, before, strict=True):
        pictures = (picture, *_three(tokenizer, encoding, difference, weight))
        for window, its_changes in zip(windows, changes, strict=True):
            its_changes.append(Change.between(*(window.of(one, scale=tokenizer.spec.stride) for one in pictures)))
    return [_border_cell(encoding, border, *one) for one in zip(places, changes, strict=True)]


def _border_cell(encoding: Encoding, border: Border, place: Cell, changes: Sequence[Change]) -> BorderCell:
    return BorderCell(
        cell=place,
        code=int(encoding.grid[0][place]),
        runner_up=int(border.runners_up[place]),
        margin=float(border.margins[place]),
        changes=tuple(changes),
    )


def _window(tokenizer: Tokenizer, encoding: Encoding, place: Cell) -> Window:
    """The cells whose pixels a cell can reach."""
    rows, columns = encoding.grid.shape[-2:]
    if tokenizer.spec.reach is None:
        return Window(0, 0, rows, columns)
    row, column = place
    return Window(row, column, row + 1, column + 1).grown(tokenizer.spec.reach, rows=rows, columns=columns)


def _difference(tokenizer: Tokenizer, encoding: Encoding, border: Border, places: Sequence[Cell]) -> Tensor:
    """Δ at these cells and 0 elsewhere, [1, D, h, w]; by lookups of the whole grid, which may mix neighbours."""
    flipped = encoding.grid.clone()
    for place in places:
        flipped[0, place[0], place[1]] = border.runners_up[place]
    return tokenizer.lookup((flipped,)) - tokenizer.lookup((encoding.grid,))


def _three(tokenizer: Tokenizer, encoding: Encoding, difference: Tensor, weight: float) -> tuple[Tensor, ...]:
    """The pictures with the code moved, the embedding, both."""
    return tuple(
        _drawn(tokenizer, encoding, weight, code=code, embedding=embedding)
        for code, embedding in ((difference, 0), (0, difference), (difference, difference))
    )


def _drawn(
    tokenizer: Tokenizer,
    encoding: Encoding,
    weight: float,
    *,
    code: Tensor | float = 0,
    embedding: Tensor | float = 0,
) -> Tensor:
    """The picture at a blend with each input moved by so much, [1, 3, h·f, w·f], not clamped."""
    codes = encoding.quantized + code
    second = codes.lerp(encoding.embedding + embedding, weight)
    return pixels_of(tokenizer, *(part.contiguous(memory_format=torch.channels_last) for part in (codes, second)))


@dataclass(frozen=True, eq=False)
class Flip:
    """One cell moved across its border by hand: the pixels around it, uint8 [H, W, 3] each, and the figures."""

    before: np.ndarray
    code: np.ndarray
    embedding: np.ndarray
    both: np.ndarray
    moved: BorderCell  # with one change, at the blend at hand
    window: Window  # in cells, what the pictures show


@torch.inference_mode()
def flip(
    tokenizer: Tokenizer, encoding: Encoding, border: Border, place: Cell, *, weight: float, context: int = 4
) -> Flip:
    """Move one cell of an image, [1, D, h, w], across its border at a blend; the pictures show it with so many cells
    around it.

    Raises ValueError where the codebook has no other code to move it to.
    """
    if not np.isfinite(border.margins[place]):
        raise ValueError("There is no border: the codebook has no other code.")
    difference = _difference(tokenizer, encoding, border, [place])
    pictures = (_drawn(tokenizer, encoding, weight), *_three(tokenizer, encoding, difference, weight))
    scale = tokenizer.spec.stride
    reached = _window(tokenizer, encoding, place)
    change = Change.between(*(reached.of(picture, scale=scale) for picture in pictures))
    rows, columns = encoding.grid.shape[-2:]
    row, column = place
    seen = Window(row, column, row + 1, column + 1).grown(context, rows=rows, columns=columns)
    before, code, embedding, both = (to_pixels(seen.of(picture, scale=scale))[0] for picture in pictures)
    return Flip(before, code, embedding, both, _border_cell(encoding, border, place, (change,)), seen)
