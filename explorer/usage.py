"""How codes are used: figures from an index, or from counts, and how codes lie to one another.

Each function is one figure. What has nothing to count (a dead code, a codebook of one code) gives zeros or an empty
list, never NaN.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from explorer.patches import Index, runners_up
from explorer.sets import label_of
from vqvae.metrics import perplexity

MOST_SAMPLED = 100_000  # occurrences that neighbours and places are taken from, evenly over their distances
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

    @property
    def dead(self) -> int:
        """Codes that no cell has."""
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
    )


def top_share(counts: np.ndarray, fraction: float = 0.01) -> float:
    """The share of all cells, 0…1, that have one of the most used codes: that fraction of them, at least one."""
    most = max(1, round(fraction * len(counts)))
    return float(np.sort(counts)[-most:].sum() / max(1, counts.sum()))


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
    """How many cells of each label's images have each code: label -> int64 [K], labels in order of appearance."""
    counts: dict[str, np.ndarray] = {}
    labels = [label_of(name) for name in index.names]
    first = 0
    for image in range(1, index.images + 1):  # images of a label mostly follow one another: one count for each run
        if image == index.images or labels[image] != labels[first]:
            run = np.bincount(index.codes[index.starts[first] : index.starts[image]], minlength=len(index.counts))
            counts[labels[first]] = counts[labels[first]] + run if labels[first] in counts else run
            first = image
    return counts


# --- where ------------------------------------------------------------------------------------------------------------


def position_map(index: Index, code: int, bins: int = 8) -> np.ndarray:
    """Where in the image a code sits: float64 [bins, bins], from the top left; 1 is as often as chance, 0 never.

    Each cell is spread over the bins that it covers, so grids of any shape fit. Since all cells of an image cover it
    evenly, a code that sits anywhere alike has 1 everywhere. The mean of the map is 1; a dead code's map is zero.
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
    lift: float  # count / what chance would give, if neighbours were drawn from all cells


def neighbours(index: Index, code: int, most: int = 8) -> dict[Direction, list[Neighbour]]:
    """The codes that stand left, right, above and below a code most often against chance, by falling lift.

    Chance is the code's share of all cells. Only codes seen there three times or more; at the edge of an image there is
    no neighbour. From at most 100,000 of the code's cells, evenly over their distances.
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
        lifts = counts / (len(beside) * (index.counts[codes] / index.cells))
        order = np.lexsort((codes, -counts, -lifts))[:most]
        result[direction] = [Neighbour(int(codes[i]), int(counts[i]), float(lifts[i])) for i in order]
    return result


# --- codes among codes ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class NearestOthers:
    """Of each code, the nearest other one."""

    codes: np.ndarray  # int64 [K]
    distances: np.ndarray  # float32 [K], Euclidean; infinite where there is no other


def nearest_others(codebook: np.ndarray) -> NearestOthers:
    """Of each code of a codebook [K, D], the nearest other one by Euclidean distance; K² · D steps."""
    vectors = torch.from_numpy(np.ascontiguousarray(codebook, np.float32))
    vectors = vectors - vectors.mean(0)  # what all codes have in common only costs digits
    codes, distances = runners_up(vectors, vectors, torch.arange(len(vectors)))
    return NearestOthers(codes.numpy(), distances.numpy())


@dataclass(frozen=True)
class NearDuplicate:
    """Two codes that are almost one."""

    code: int  # the lower of the two
    other: int
    distance: float  # Euclidean


def near_duplicates(codebook: np.ndarray, fraction: float = 0.1) -> list[NearDuplicate]:
    """Pairs of a code and its nearest other one, closest first, whose distance is at most `fraction` of the median.

    The median is that of all codes' distances to their nearest other one. Where more than half of the codes are equal
    to another it is 0, and only equal codes are pairs. At most K pairs: of many equal codes, each is in one or more.
    """
    if len(codebook) < 2:
        return []
    nearest = nearest_others(codebook)
    close = np.flatnonzero(nearest.distances <= fraction * np.median(nearest.distances))
    pairs = {
        (min(code, other), max(code, other)): float(nearest.distances[code])
        for code, other in zip(close.tolist(), nearest.codes[close].tolist(), strict=True)
    }
    found = [NearDuplicate(code, other, distance) for (code, other), distance in pairs.items()]
    return sorted(found, key=lambda pair: (pair.distance, pair.code, pair.other))


@dataclass(frozen=True)
class NearCode:
    """A code near another."""

    code: int
    value: float  # Euclidean distance, or cosine in −1…1


def nearest_codes(
    codebook: np.ndarray, code: int, most: int = 8, *, measure: Literal["distance", "cosine"] = "distance"
) -> list[NearCode]:
    """The other codes nearest to one, by Euclidean distance or by cosine (0 with a code of length 0), nearest first."""
    vectors = np.asarray(codebook, np.float64)
    if measure == "distance":
        values = np.linalg.norm(vectors - vectors[code], axis=1)
    else:
        lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(vectors[code])
        values = vectors @ vectors[code] / np.where(lengths > 0, lengths, 1)
    order = np.argsort(values if measure == "distance" else -values, kind="stable")
    return [NearCode(int(other), float(values[other])) for other in order[order != code][:most]]
