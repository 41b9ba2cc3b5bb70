"""How codes are used: figures from an index, or from counts.

Each function is one figure. What has nothing to count, as of a code that no cell has, gives zeros or an empty list and
never NaN.
"""

import math
from collections import Counter
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from explorer.base import intervals
from explorer.images.sets import label_of
from explorer.index.read import Index
from vqvae.metrics import perplexity

MOST_SAMPLED = 100_000  # occurrences that neighbours and places are taken from, evenly over their distances
MOST_LABEL_COUNTS = 1 << 25  # of labels and codes together, 8 bytes each
OTHER_LABELS = "other labels"
_CELLS_AT_ONCE = 1 << 20
SEEN_ENOUGH = 3  # a pair of neighbours seen fewer times says nothing

Direction = Literal["left", "right", "above", "below"]
_STEPS: dict[Direction, tuple[int, int]] = {"left": (0, -1), "right": (0, 1), "above": (-1, 0), "below": (1, 0)}


# --- how much ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class UsageSummary:
    """The usage of a codebook in a few figures, and the sample that they are taken from."""

    images: int
    cells: int
    codes: int  # K
    active: int  # codes that at least one cell has
    perplexity: float  # 1…K, how many codes used equally would be as varied; 0 without cells
    top_share: float  # 0…1, the share of the cells that have one of the most used 1 % of the codes
    largest_share: float  # 0…1, the share of the cells that have the most used code

    @property
    def unused(self) -> int:
        """Codes that no cell of the sample has; they are dead only where the sample is the training set."""
        return self.codes - self.active

    @property
    def entropy(self) -> float:
        """Bits per cell, 0…log2 K: log2 of the perplexity."""
        return math.log2(self.perplexity) if self.perplexity else 0.0


def summarise(counts: np.ndarray, *, images: int) -> UsageSummary:
    """Counts [K] over so many images -> figures."""
    return UsageSummary(
        images=images,
        cells=int(counts.sum()),
        codes=len(counts),
        active=int(np.count_nonzero(counts)),
        perplexity=perplexity(torch.as_tensor(counts)),
        top_share=top_share(counts),
        largest_share=float(counts.max() / max(1, counts.sum())),
    )


def top_share(counts: np.ndarray, fraction: float = 0.01) -> float:
    """The share of all cells, 0…1, that have one of the most used codes: that fraction of them, at least one."""
    most = max(1, round(fraction * len(counts)))
    return float(np.sort(counts)[-most:].sum() / max(1, counts.sum()))


def ranked(counts: np.ndarray, training: np.ndarray | None) -> list[dict[str, float | None]]:
    """Codes with their rank, cells and share, most used first; counts [K]. A code without a cell has no rank.

    training: the cells that took each in training, [K], where that is known.
    """
    rows: list[dict[str, float | None]] = []
    whole = max(1, int(counts.sum()))
    for rank, code in enumerate(np.argsort(-counts, kind="stable").tolist(), 1):
        cells = int(counts[code])
        row = {"rank": rank if cells else None, "code": code, "cells": cells, "share of the cells": cells / whole}
        rows.append(row if training is None else row | {"cells in training": int(training[code])})
    return rows


def distinct_curve(index: Index) -> np.ndarray:
    """How many different codes the first 1, 2, … images have together, in the order of the index: int64 [images]."""
    used = index.counts > 0
    first = np.minimum.reduceat(index.positions, index.offsets[:-1][used])  # of each code, its first cell
    return np.cumsum(np.bincount(index.image_of(first), minlength=index.images))


# --- in which images and labels ---------------------------------------------------------------------------------------


def counts_of_image(index: Index, image: int) -> np.ndarray:
    """How many cells of an image have each code: int64 [K]."""
    return np.bincount(index.grid(image).ravel(), minlength=len(index.counts))


def distinct_by_image(index: Index) -> np.ndarray:
    """How many different codes each image has: int64 [images]."""
    return np.array([len(np.unique(index.grid(image))) for image in range(index.images)])


def perplexity_by_image(index: Index) -> np.ndarray:
    """The perplexity of the codes within each image, 1 or more: float64 [images]."""
    counts = (np.unique(index.grid(image), return_counts=True)[1] for image in range(index.images))
    return np.array([perplexity(torch.from_numpy(one)) for one in counts])


def counts_by_label(index: Index) -> dict[str, np.ndarray]:
    """How many cells of each label's images have each code: label -> int64 [K], labels in order of appearance.

    Where there are more labels than memory is for, those with the fewest images are counted as one, OTHER_LABELS.
    """
    labels, codes = [label_of(name) for name in index.names], len(index.counts)
    images = Counter(labels)
    most = max(2, MOST_LABEL_COUNTS // codes)
    named = set(images if len(images) <= most else dict(images.most_common(most - 1)))
    rows: dict[str, int] = {}
    row_of = np.array([rows.setdefault(one if one in named else OTHER_LABELS, len(rows)) for one in labels], np.int64)
    counts = np.zeros((len(rows), codes), np.int64)
    starts = index.starts
    first = 0
    while first < index.images:
        last = max(first + 1, int(np.searchsorted(starts, starts[first] + _CELLS_AT_ONCE, side="right")) - 1)
        places = np.repeat(row_of[first:last] * codes, np.diff(starts[first : last + 1]))
        places += index.codes[starts[first] : starts[last]]
        np.add.at(counts.reshape(-1), places, 1)
        first = last
    return {label: counts[row] for label, row in rows.items()}


# --- where ------------------------------------------------------------------------------------------------------------


MOST_BINS = 8  # along a side of a map of places
CELLS_A_BIN = 8  # that chance alone would put into each: with fewer, a map shows where those few happen to lie


def bins_for(cells: int) -> int:
    """How many bins along a side so many cells fill with 8 each by chance, 2…8; 0 where they do not fill 2 × 2."""
    bins = min(MOST_BINS, int(math.sqrt(cells / CELLS_A_BIN)))
    return bins if bins > 1 else 0


@dataclass(frozen=True, eq=False)
class Places:
    """Where in the image a code sits, [bins, bins] from the top left; 1 is as often as chance, 0 never."""

    times: np.ndarray
    # Ends of the 95 % interval of each, for cells that are independent: neighbours go together, so that the doubt is
    # larger rather than smaller.
    low: np.ndarray
    high: np.ndarray
    cells: int  # that it is of


def places(index: Index, code: int) -> Places | None:
    """Where in the image a code sits, in as many bins as its cells fill; None where they are too few to say."""
    cells = len(index.places(code, MOST_SAMPLED))
    bins = bins_for(cells)
    if not bins:
        return None
    times = position_map(index, code, bins)
    by_chance = cells / bins**2
    doubt = intervals.of_rate(times * by_chance)
    return Places(times, doubt.low / by_chance, doubt.high / by_chance, cells)


def position_map(index: Index, code: int, bins: int = MOST_BINS) -> np.ndarray:
    """Where in the image a code sits: float64 [bins, bins], from the top left; 1 is as often as chance, 0 never.

    Each cell is spread over the bins that it covers, so grids of any shape fit. Since all cells of an image cover it
    evenly, a code that sits anywhere alike has 1 everywhere. The mean of the map is 1; it is zero where no cell has it.
    """
    found = index.locate(*_sampled(index, code))
    total = np.zeros((bins, bins))
    shapes, which = np.unique(index.grids[found.image], axis=0, return_inverse=True)
    for number, (rows, columns) in enumerate(shapes):
        here = which.ravel() == number
        cells = np.bincount(found.row[here] * columns + found.column[here], minlength=rows * columns)
        total += _overlap(bins, rows) @ cells.reshape(rows, columns) @ _overlap(bins, columns).T
    return total * (bins * bins / max(1, len(found)))


def _overlap(bins: int, cells: int) -> np.ndarray:
    """The share of each of `cells` equal parts of a line that lies in each of `bins` equal parts: [bins, cells]."""
    ends, edges = np.arange(1, bins + 1)[:, None] / bins, np.arange(1, cells + 1) / cells
    shared = np.minimum(ends, edges) - np.maximum(ends - 1 / bins, edges - 1 / cells)
    return shared.clip(min=0) * cells


def _sampled(index: Index, code: int) -> tuple[np.ndarray, np.ndarray]:
    places = index.places(code, MOST_SAMPLED)
    return index.positions[places], index.distances[places]


@dataclass(frozen=True)
class Neighbour:
    """A code that stands next to another."""

    code: int
    count: int  # times seen there
    of: int  # cells that were looked at there
    lift: float  # count / what chance would give, if neighbours were drawn from all cells
    low: float  # ends of the interval that the lift lies in; at 95 % the intervals of all codes hold at once
    high: float


def neighbours(index: Index, code: int, most: int = 8) -> dict[Direction, list[Neighbour]]:
    """The codes that stand left, right, above and below a code most surely against chance.

    Chance is the code's share of all cells. Only codes seen there three times or more; at the edge of an image there is
    no neighbour. The order is by the low end of the lift, so that what was seen a few times does not come before what
    was seen often: among many codes some rare one always stands beside it by chance. For that reason, too, the doubt of
    5 % is divided among all codes (Bonferroni). From at most 100,000 of the code's cells, evenly over their distances.
    """
    positions, distances = _sampled(index, code)
    found = index.locate(positions, distances)
    rows, columns = index.grids[found.image].T
    result: dict[Direction, list[Neighbour]] = {}
    for direction, (down, right) in _STEPS.items():
        row, column = found.row + down, found.column + right
        inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
        beside = index.codes[index.starts[found.image[inside]] + row[inside] * columns[inside] + column[inside]]
        codes, counts = np.unique(beside, return_counts=True)
        codes, counts = codes[counts >= SEEN_ENOUGH], counts[counts >= SEEN_ENOUGH]
        chance = index.counts[codes] / index.cells
        share = intervals.of_share(counts, len(beside), doubt=0.05 / len(index.counts))
        lifts, low, high = counts / (max(1, len(beside)) * chance), share.low / chance, share.high / chance
        order = np.lexsort((codes, -counts, -low))[:most]
        result[direction] = [
            Neighbour(int(codes[i]), int(counts[i]), len(beside), float(lifts[i]), float(low[i]), float(high[i]))
            for i in order
        ]
    return result
