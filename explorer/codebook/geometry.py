"""How codes lie to one another: the nearest others of each, and pairs that are almost one.

A codebook of one code gives empty lists and infinite distances, never NaN.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from vqvae.search import Codebook


@dataclass(frozen=True, eq=False)
class NearestOthers:
    """Of each code, the nearest other one."""

    codes: np.ndarray  # int64 [K]
    distances: np.ndarray  # float32 [K]; infinite where there is no other


def nearest_others(codebook: Codebook) -> NearestOthers:
    """Of each code the nearest other one, as the metric measures it; K² · D steps."""
    found = codebook.nearest_others()
    return NearestOthers(found.indices.numpy(), found.distances.numpy())


@dataclass(frozen=True)
class NearDuplicate:
    """Two codes that are almost one."""

    code: int  # the lower of the two
    other: int
    distance: float


def near_duplicates(codebook: Codebook, fraction: float = 0.1) -> list[NearDuplicate]:
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
    value: float  # distance as the metric measures it, or cosine in −1…1


def nearest_codes(
    codebook: Codebook, code: int, most: int = 8, *, measure: Literal["distance", "cosine"] = "distance"
) -> list[NearCode]:
    """The other codes nearest to one by the metric or by cosine (0 with a code of length 0), nearest first."""
    values = codebook.distances_between(code) if measure == "distance" else codebook.cosines(code)
    order = np.argsort(values if measure == "distance" else -values, kind="stable")
    return [NearCode(int(other), float(values[other])) for other in order[order != code][:most]]
