"""How codes lie to one another: the nearest others of each, and pairs that are almost one.

A codebook of one code gives empty lists and infinite distances, never NaN.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from explorer.index.cells import runners_up


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
