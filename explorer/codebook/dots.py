"""The map of codes as dots: where each lies, how large it is, in which colour, and what is said of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

UNKNOWN = (154, 160, 163)  # a grey: of a code whose colour is not known yet, or that has no value
VIRIDIS = ("#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725")
SMALLEST, LARGEST = 2.5, 8.0  # radius of a dot in CSS pixels
UNUSED = 2.0  # that of a code that no cell has
FEW = 3000  # dots that have room on the screen


@dataclass(frozen=True)
class Scale:
    """What the colours of dots stand for."""

    title: str
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Usage:
    """How much each code of a codebook is used; arrays are [K]."""

    counts: np.ndarray  # int64, cells
    cells: int  # of all codes
    ranks: np.ndarray  # int64, 1 is the most used; equal counts share a rank, and a code without cells has none: 0
    own_distance: np.ndarray  # float32, the mean distance of a code's cells to it; NaN without cells


def usage_of(counts: np.ndarray, offsets: np.ndarray, distances: np.ndarray) -> Usage:
    """From an index: counts [K], offsets [K + 1] into `distances`, float [cells] by code."""
    used = counts > 0
    own = np.full(len(counts), np.nan, np.float32)
    if used.any():
        sums = np.add.reduceat(distances, offsets[:-1][used], dtype=np.float64)  # unused codes take no places
        own[used] = sums / counts[used]
    return Usage(counts, int(counts.sum()), ranks(counts), own)


def ranks(counts: np.ndarray) -> np.ndarray:
    """1 + the number of codes with more cells; 0 for a code without: [K] -> int64 [K]."""
    ordered = np.sort(counts)
    above = len(counts) - np.searchsorted(ordered, counts, side="right")
    return np.where(counts > 0, above + 1, 0)


def drawing_order(counts: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Codes [N] from the bottom to the top: unused ones, then used ones, the least used last, whose dots are small."""
    unused = counts[codes] == 0
    return codes[np.lexsort((codes, -counts[codes], ~unused))]


def crowding(number: int) -> float:
    """How much smaller so many dots are drawn, in ¼…1, so that they do not hide one another."""
    return float(np.clip(np.sqrt(FEW / max(1, number)), 0.25, 1))


def radii(counts: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """In CSS pixels: float32 [N]. What a dot's radius has beyond the smallest grows with the root of its usage."""
    relative = np.sqrt(counts[codes] / max(1, counts.max()))
    sizes = SMALLEST + (LARGEST - SMALLEST) * relative
    return np.where(counts[codes] > 0, sizes, UNUSED).astype(np.float32)


def shades(values: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Numbers [N] as colours of Viridis: uint8 [N, 3], and the values at its two ends; what is not finite is grey."""
    finite = np.isfinite(values)
    low, high = (float(values[finite].min()), float(values[finite].max())) if finite.any() else (0.0, 0.0)
    stops = np.array([[int(stop[at : at + 2], 16) for at in (1, 3, 5)] for stop in VIRIDIS])
    place = np.where(finite, values - low, 0) / ((high - low) or 1) * (len(stops) - 1)
    channels = [np.interp(place, np.arange(len(stops)), channel) for channel in stops.T]
    colours = np.stack(channels, axis=-1).round().astype(np.uint8)
    colours[~finite] = UNKNOWN
    return colours, low, high


def said_of(code: int, usage: Usage, nearest: float) -> str:
    """What is said of a code that is pointed at, in two lines; `nearest`: how far the nearest other one is, or NaN."""
    count = int(usage.counts[code])
    if count:
        cells = f"{count:,} {'cell' if count == 1 else 'cells'} · {count / max(1, usage.cells):.2%}"
        details = [f"rank {usage.ranks[code]:,}", f"its cells lie {usage.own_distance[code]:.2f} from it"]
    else:
        cells, details = "no cell here has it", []
    if np.isfinite(nearest):
        details.append(f"nearest code {nearest:.2f} away")
    return "\n".join(filter(None, (f"Code {code} · {cells}", " · ".join(details))))


def inside(points: np.ndarray, outline: Sequence[tuple[float, float]]) -> np.ndarray:
    """Which points [N, 2] lie inside a closed outline, by the even–odd rule: bool [N]."""
    x, y = points[:, 0], points[:, 1]
    within = np.zeros(len(points), bool)
    for (x0, y0), (x1, y1) in zip(outline, [*outline[1:], outline[0]], strict=True):
        if y0 != y1:
            crosses = (y0 > y) != (y1 > y)
            within ^= crosses & (x < (x1 - x0) * (y - y0) / (y1 - y0) + x0)
    return within


def rows(codes: np.ndarray, points: np.ndarray, counts: np.ndarray) -> list[dict[str, float]]:
    """The map of codes as a table: where each of them lies, points float32 [K, 2], and its cells, counts [K]."""
    return [
        {"code": code, "x": points[code, 0].item(), "y": points[code, 1].item(), "cells": int(counts[code])}
        for code in sorted(codes.tolist())
    ]
