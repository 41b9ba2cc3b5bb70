"""How codes lie to one another: the nearest others of each, and pairs that are almost one.

A codebook of one code gives empty lists and infinite distances, never NaN.
"""

from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
import torch

from vqvae.search import Codebook

NEAREST = np.dtype([("code", np.int64), ("distance", np.float32)])


@dataclass(frozen=True, eq=False)
class NearestOthers:
    """Of some codes, the nearest other one each."""

    codes: np.ndarray  # int64 [N]
    distances: np.ndarray  # float32 [N]; infinite where there is no other

    @classmethod
    def of_table(cls, table: np.ndarray) -> Self:
        """From what `nearest_table` gives."""
        return cls(table["code"], table["distance"])


def nearest_others(codebook: Codebook) -> NearestOthers:
    """Of each code the nearest other one, as the metric measures it; K² · D steps."""
    return NearestOthers.of_table(nearest_table(codebook, np.arange(len(codebook))))


def nearest_table(codebook: Codebook, codes: np.ndarray) -> np.ndarray:
    """Of some codes, int64 [N], the nearest other one and how far it is: NEAREST [N]; N · K · D steps."""
    found = codebook.nearest_others(torch.from_numpy(codes))
    table = np.empty(len(codes), NEAREST)
    table["code"], table["distance"] = found.indices.numpy(), found.distances.numpy()
    return table


@dataclass(frozen=True)
class NearDuplicate:
    """Two codes that are almost one."""

    code: int  # the lower of the two
    other: int
    distance: float


def near_duplicates(codebook: Codebook, fraction: float = 0.1) -> list[NearDuplicate]:
    """Pairs of a code and its nearest other one that are almost one; see `close_pairs`."""
    return close_pairs(nearest_others(codebook), fraction)


def close_pairs(nearest: NearestOthers, fraction: float = 0.1) -> list[NearDuplicate]:
    """Pairs of a code and its nearest other one, closest first, whose distance is at most `fraction` of the median.

    nearest: of all codes of a codebook, in their order.

    The median is that of all codes' distances to their nearest other one. Where more than half of the codes are equal
    to another it is 0, and only equal codes are pairs. At most K pairs: of many equal codes, each is in one or more.
    """
    if len(nearest.codes) < 2:
        return []
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
    far = values if measure == "distance" else -values
    if len(far) > most + 1:  # of a large codebook only what is no farther than the last one wanted is sorted
        last = np.partition(far, most)[most]
        candidates = np.flatnonzero(far <= last)
    else:
        candidates = np.arange(len(far))
    order = candidates[np.argsort(far[candidates], kind="stable")]
    return [NearCode(int(other), float(values[other])) for other in order[order != code][:most]]
