"""What can be asked about a grid and an edit of it: how far a cell reaches, whether an edit lasts, where it is fragile.

Each answer is a dataclass with what to draw, and a sentence or figures that say it.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from explorer.base.cell import Cell
from explorer.base.figure import Figure
from explorer.editing.edits import Edit, edited_cells, inputs_of_grids
from explorer.images.reconstruction import decibels
from vqvae.errors import BadInput, shown
from vqvae.images import to_tensor
from vqvae.search import Codebook
from vqvae.tokenizer import Encoding, Tokenizer
from vqvae.tokenizer import cells as rows_of
from vqvae.window import Window, decode_window
from vqvae.words import counted

CELLS_PER_BATCH = 1 << 14  # decoded at once: bounds the memory, also for a decoder whose every cell reaches everywhere
MOST_OF_IT = 0.9  # the share of the change that lies within the radius of influence
ONE_LEVEL = 1.0  # of 255: what changes less is not seen
CLOSE_CALL = 0.9  # the fragility from which a cell counts as one
CHANGES_FULL = 64  # levels: a change so large, or larger, is drawn brightest


# --- what the colours of the maps mean --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scale:
    """What the two ends of a heat map's colours stand for."""

    low: str
    high: str


@dataclass(frozen=True)
class Chip:
    """What one colour stands for, in a map that marks cells by kind."""

    label: str
    kind: str  # names the colour


CHANGES_SCALE = Scale("0", f"{CHANGES_FULL} levels or more")
MARGIN_SCALE = Scale("safe", "a tie")
NEIGHBOURS_SCALE = Scale("as anywhere", "hardly ever beside these")
CYCLE_CHIPS = (
    Chip("came back", "returned"),
    Chip("smoothed away", "lost"),
    Chip("changed because of the edit", "drifted"),
    Chip("changes without it, too", "drifted anyway"),
)


# --- other codes in one cell ------------------------------------------------------------------------------------------


def size_of_grid(rows: int, columns: int) -> str:
    """A grid's size and numbering, for a refusal: 22 rows, 0 to 21, and 32 columns, 0 to 31."""
    return f"{_numbered(rows, 'row')}, and {_numbered(columns, 'column')}"


def _numbered(count: int, what: str) -> str:
    return f"1 {what}, 0" if count == 1 else f"{count:,} {what}s, 0 to {count - 1:,}"


def surroundings(cell: Cell, by: int | None, *, rows: int, columns: int) -> Window:
    """A cell with so many more on each side, as far as there are any; None: the whole grid. Raises BadInput."""
    row, column = cell
    if not (0 <= row < rows and 0 <= column < columns):
        raise BadInput(f"There is no cell {shown(cell)}; the grid has {size_of_grid(rows, columns)}.")
    if by is None:
        return Window(0, 0, rows, columns)
    return Window(row, column, row + 1, column + 1).grown(by, rows=rows, columns=columns)


@torch.inference_mode()
def decode_each(
    tokenizer: Tokenizer, base: Encoding, edit: Edit, cell: Cell, codes: np.ndarray, *, around: int | None
) -> Tensor:
    """The pixels around a cell with each of some codes put there: int64 [N] -> [N, 3, rows·f, columns·f] in [0, 1].

    The rest of the edit, and its rule, stay; the pixels are those of `surroundings(cell, around)` in the whole picture
    decoded. One decode of what can reach them, batched over the codes. Raises BadInput.
    """
    rows, columns = edit.indices.shape
    window = surroundings(cell, around, rows=rows, columns=columns)
    outside = codes[(codes < 0) | (codes >= tokenizer.spec.grid.codes)]
    if len(outside):
        raise BadInput(f"There is no code {outside[0]:,}; codes run from 0 to {tokenizer.spec.grid.codes - 1:,}.")
    crop = Window(0, 0, rows, columns)
    if tokenizer.spec.reach is not None:
        crop = window.grown(tokenizer.spec.reach, rows=rows, columns=columns)
    grid, decoded = torch.from_numpy(edit.indices), []
    for part in torch.from_numpy(codes).split(max(1, CELLS_PER_BATCH // grid.numel())):
        grids = grid.repeat(len(part), 1, 1)
        grids[:, cell[0], cell[1]] = part
        fed = inputs_of_grids(tokenizer, base, grids, edit)
        decoded.append(
            decode_window(tokenizer, crop.of(fed.quantized), crop.of(fed.embedding), window.relative_to(crop))
        )
    return torch.cat(decoded)


# --- influence --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Influence:
    """How far one cell changes the picture, measured in it."""

    window: Window  # the cells whose pixels it can change
    change: np.ndarray  # float32 [rows·f, columns·f] of the window, 0…255 levels, mean over the tries and channels
    tried: np.ndarray  # int64 [tries], the codes that were put there
    radius: float  # pixels from the cell's centre to the farthest pixel's within which 90 % of the change lies
    outermost: float  # pixels from the cell's centre to the farthest pixel that changes by a level or more
    reach_pixels: int | None  # beyond the cell's border nothing can change further away; None: there is no limit

    @property
    def most(self) -> float:
        """The largest change of any pixel, in levels."""
        return float(self.change.max(initial=0))

    @property
    def full(self) -> float:
        """The change that is drawn brightest, in levels: the largest one, but what cannot be seen stays dark."""
        return max(ONE_LEVEL, self.most)

    @property
    def scale(self) -> Scale:
        return Scale("0", "1 level" if self.full == ONE_LEVEL else f"{self.full:.3g} levels")

    @property
    def sentence(self) -> str:
        if not len(self.tried):
            return "The codebook has no other code to put here, so nothing can be measured."
        limit = (
            "this decoder lets a cell change pixels anywhere"
            if self.reach_pixels is None
            else f"further than {self.reach_pixels} px from its border nothing ever changes"
        )
        number = counted(len(self.tried), "other code")
        if not self.change.any():
            return f"With {number} in this cell no pixel changes: the decoder ignores which code stands here."
        far = (
            f"the farthest pixel that changes by one level or more is {self.outermost:.0f} px away"
            if self.outermost
            else "no pixel changes by as much as one level"
        )
        return (
            f"With {number} in this cell, 90 % of the change lies within {self.radius:.0f} px of its centre and {far}; "
            f"{limit}."
        )


def influence(
    tokenizer: Tokenizer,
    base: Encoding,
    edit: Edit,
    cell: Cell,
    *,
    counts: np.ndarray | None = None,
    tries: int = 8,
    seed: int = 0,
) -> Influence:
    """Which pixels one cell changes in this picture, and by how much; raises BadInput for a cell that is not there.

    Other codes are put there, each once, drawn by usage (counts [K]; None: all alike), and the pixels compared with
    those of the edit as it is. Changes are of [0, 1] pixels times 255, not rounded.
    """
    rows, columns = edit.indices.shape
    reach, stride = tokenizer.spec.reach, tokenizer.spec.stride
    window = surroundings(cell, reach, rows=rows, columns=columns)
    own = edit.indices[cell]
    tried = _draw_others(own, np.ones(tokenizer.spec.grid.codes) if counts is None else counts, tries, seed)
    decoded = decode_each(tokenizer, base, edit, cell, np.concatenate([[own], tried]), around=reach)
    change = torch.zeros(decoded.shape[-2:])
    if len(tried):
        change = 255 * (decoded[1:] - decoded[0]).abs().mean((0, 1))
    away = _distances(window, cell, stride)
    return Influence(
        window=window,
        change=change.numpy(),
        tried=tried,
        radius=_radius(change.numpy(), away),
        outermost=float(away[change.numpy() >= ONE_LEVEL].max(initial=0)),
        reach_pixels=None if reach is None else reach * stride,
    )


def _draw_others(own: int, counts: np.ndarray, tries: int, seed: int) -> np.ndarray:
    """Codes but for one, without repeats, drawn by their counts [K]; where none has any, all alike: int64 [≤ tries]."""
    weights = np.array(counts, np.float64)
    weights[own] = 0
    if not weights.any():
        weights = np.ones(len(counts))
        weights[own] = 0
    number = min(tries, int(np.count_nonzero(weights)))
    if not number:
        return np.empty(0, np.int64)
    return np.random.default_rng(seed).choice(len(weights), number, replace=False, p=weights / weights.sum())


def _distances(window: Window, cell: Cell, stride: int) -> np.ndarray:
    """How far each pixel's centre in a window of cells lies from the cell's centre: float64 [rows·f, columns·f]."""
    down = np.arange(window.top * stride, window.bottom * stride) + 0.5 - (cell[0] + 0.5) * stride
    across = np.arange(window.left * stride, window.right * stride) + 0.5 - (cell[1] + 0.5) * stride
    return np.hypot(down[:, None], across)


def _radius(change: np.ndarray, away: np.ndarray) -> float:
    """The smallest distance within which 90 % of the change lies; 0 where nothing changes."""
    order = np.argsort(away, axis=None, kind="stable")
    within = np.cumsum(change.ravel()[order], dtype=np.float64)
    if not within[-1]:
        return 0.0
    return float(away.ravel()[order[np.searchsorted(within, MOST_OF_IT * within[-1])]])


# --- the cycle --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class CycleCheck:
    """What the encoder makes of an edited picture that was saved; all [h, w]."""

    indices: np.ndarray  # int64, the codes that it gives the picture
    edited: np.ndarray  # bool
    returned: np.ndarray  # bool: edited, and the code that was put in came back
    drifted: np.ndarray  # bool: not edited, and yet another code than before, which it keeps without the edit
    drifted_anyway: np.ndarray  # bool: not edited, and another code than before, without the edit as well

    @property
    def marks(self) -> np.ndarray:
        """Which of `CYCLE_CHIPS` is each cell's, counted from 1, and 0 for none: uint8 [h, w]."""
        return np.select([self.returned, self.edited, self.drifted, self.drifted_anyway], [1, 2, 3, 4], 0).astype(
            np.uint8
        )

    @property
    def sentence(self) -> str:
        masks = (self.edited, self.returned, self.drifted, self.drifted_anyway)
        edited, returned, drifted, anyway = (int(mask.sum()) for mask in masks)
        others = self.edited.size - edited
        if not edited:
            blend = f", and {drifted:,} more because of the blend that was painted" if drifted else ""
            return (
                f"No cell is edited; saved and encoded again, {anyway:,} of {counted(others, 'cell')} "
                f"{'changes' if anyway == 1 else 'change'} code anyway{blend}."
            )
        kept = f"{returned:,} of {counted(edited, 'edited cell')} came back as the code put in"
        if not others:
            return f"Saved and encoded again, {kept}."
        return (
            f"Saved and encoded again, {kept}; of the {others:,} not edited, {drifted:,} changed code because of the "
            f"edit, and {counted(anyway, 'changes', 'change')} it without the edit, too."
        )


def cycle_check(
    tokenizer: Tokenizer, base: Encoding, edit: Edit, pixels: np.ndarray, unedited: np.ndarray
) -> CycleCheck:
    """Encode an edited picture again as it would be saved, and the unedited reconstruction beside it.

    Pictures are uint8 [H, W, 3], cropped to the picture's own size; `unedited` is decoded at the edit's level and rule
    with nothing painted. What changes in that one, too, the edit is not to blame for.
    """
    again, baseline = (_encoded_again(tokenizer, picture, edit.indices.shape) for picture in (pixels, unedited))
    before = base.grid[0].numpy()
    edited = edited_cells(base, edit)
    same = again == edit.indices
    drifting = baseline != before
    return CycleCheck(
        again,
        edited,
        returned=edited & same,
        drifted=~edited & ~same & ~drifting,
        drifted_anyway=~edited & ~same & drifting,
    )


@torch.inference_mode()
def _encoded_again(tokenizer: Tokenizer, pixels: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The codes [h, w] of a picture uint8 [H, W, 3] whose grid is known."""
    indices = tokenizer.encode(to_tensor(pixels)).grid[0].numpy()
    if indices.shape != shape:
        raise ValueError(f"The picture has {indices.shape} cells, and the edit {shape}.")
    return indices


# --- margins ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Margins:
    """How nearly each cell took its runner-up, the nearest code but for its own; all [h, w]."""

    distance: np.ndarray  # float32, as the metric measures it, from the embedding to the own code
    runner_up: np.ndarray  # int64; the own code where the codebook has no other
    runner_up_distance: np.ndarray  # float32, infinite where there is none
    gap: np.ndarray  # float32 ≥ 0, how much farther the runner-up is
    fragility: np.ndarray  # float32 in 0…1 (`MARGIN_SCALE`): 1 is a tie, 0 an embedding on its code or beyond

    @property
    def figures(self) -> list[Figure]:
        close = self.fragility >= CLOSE_CALL
        median = float(np.median(self.gap))
        return [
            Figure(
                "Close calls",
                f"{close.mean():.0%} of cells",
                f"Cells with a fragility of {CLOSE_CALL} or more. Fragility is how far the embedding stands on the way "
                "from its code (0) to the border with the runner-up (1), beyond which that one would be nearer.",
            ),
            Figure(
                "Median gap",
                f"{median:.3f}" if np.isfinite(median) else "–",
                "How much farther the runner-up is than the own code, in the space of embeddings: half of the cells "
                "have less.",
            ),
        ]


@torch.inference_mode()
def margins(codebook: Codebook, base: Encoding) -> Margins:
    """How nearly each cell of a base [1, D, h, w] took another code.

        fragility = 1 − (d₂² − d₁²) / ‖e₂ − e₁‖²,    kept within 0…1

    with the own code e₁ and the runner-up e₂ at distances d₁ and d₂. This is the place of the embedding along the line
    from e₁, 0, to halfway to e₂, 1, where both are equally near. Equal codes are a tie, and an only code is never one.
    """
    vectors, own = rows_of(base.embedding), base.grid.flatten()
    other = codebook.runners_up(vectors, own)
    distance = codebook.distances(vectors, own)
    gap = (other.distances - distance).clamp(min=0)
    fragility = torch.zeros_like(gap)
    if len(codebook) > 1:
        points = codebook.code_points
        apart = (points[other.indices] - points[own]).square().sum(1)
        inward = gap * (other.distances + distance)
        fragility = 1 - torch.where(apart > 0, inward / apart, 0).clamp(0, 1)
    maps = (distance, other.indices, other.distances, gap, fragility)
    return Margins(*(part.view(base.grid.shape[-2:]).numpy() for part in maps))


# --- before and after -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Difference:
    """What is different between two pictures of one size."""

    changed: np.ndarray  # bool [H, W]: any channel
    mean_change: float  # 0…255 levels, over all pixels and channels
    psnr: float  # dB, of after against before; inf when they are equal

    @property
    def pixels(self) -> int:
        """How many changed."""
        return int(self.changed.sum())

    @property
    def share(self) -> float:
        """The share of all pixels that changed, 0…1."""
        return float(self.changed.mean())


def difference(before: np.ndarray, after: np.ndarray) -> Difference:
    """Compare two pictures as they are on the screen: uint8 [H, W, 3] twice."""
    if before.shape != after.shape:
        raise ValueError(f"The pictures are {before.shape} and {after.shape}, and have to be of one size.")
    levels = np.abs(before.astype(np.int16) - after)
    return Difference(
        changed=levels.any(axis=2),
        mean_change=float(levels.mean()),
        psnr=_psnr(levels),
    )


def _psnr(levels: np.ndarray) -> float:
    """PSNR from differences in 0…255, whole numbers all the way."""
    squares = int(np.square(levels, dtype=np.int32).sum(dtype=np.int64))
    return 10 * math.log10(255**2 * levels.size / squares) if squares else math.inf


def edit_figures(edited: np.ndarray, seen: Difference) -> list[Figure]:
    """An edit in figures: its cells, bool [h, w], and what is seen of it against the unedited reconstruction."""
    return [
        Figure(
            "Changed cells",
            f"{edited.sum():,} of {edited.size:,}",
            "Cells that have another code than the encoder gave them.",
        ),
        Figure(
            "Changed pixels",
            f"{seen.pixels:,} ({seen.share:.1%})",
            "Pixels of which any channel differs from the unedited reconstruction. Over the whole picture the channels "
            f"differ by {seen.mean_change:.2f} of 255 levels on average.",
        ),
        Figure(
            "PSNR, unedited → edited",
            f"{decibels(seen.psnr)} dB",
            "Peak signal-to-noise ratio in decibels of the edited picture against the unedited reconstruction; the "
            "lower, the more the edit shows, and ∞ when the pixels are equal.",
        ),
    ]
