"""How sure a mean over images is: intervals by resampling them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, sqrt

import numpy as np

CONFIDENCE = 0.95
RESAMPLES = 4000
MOST_AT_ONCE = 1 << 22  # numbers drawn in one go


@dataclass(frozen=True)
class Estimate:
    """A mean over images with its 95 % interval."""

    value: float
    low: float | None  # None where there are fewer than two images
    high: float | None
    images: int

    def above(self, line: float) -> bool:
        """Whether all of the interval lies above a line, or on it."""
        return self.low is not None and self.low >= line

    def below(self, line: float) -> bool:
        """Whether all of the interval lies below a line."""
        return self.high is not None and self.high < line

    def images_to_clear(self, line: float) -> int | None:
        """How many images would likely bring the interval clear of a line, at this mean and this spread; None where
        that cannot be said. An interval narrows with the root of the number of images."""
        if self.low is None or self.high is None or self.value == line:
            return None
        reach = self.value - self.low if self.value > line else self.high - self.value
        return max(self.images + 1, ceil(self.images * (reach / (self.value - line)) ** 2))


def means(
    columns: Mapping[str, np.ndarray], *, ratios: Mapping[str, tuple[str, str]] | None = None, seed: int = 0
) -> dict[str, Estimate]:
    """Means over images and their intervals, by the bootstrap (Efron 1979): columns [N] float, one value an image.

    All columns are resampled together, image by image, so that differences between columns are paired. NaN is a value
    that an image has not; a column of nothing else is left out. The interval is that of the percentiles, widened to
    what a small number of images calls for (Hesterberg 2015, "expanded percentile"): at α with
    z(α) = √(n / (n − 1)) · t(0.025, n − 1). The same seed gives the same figures.

    ratios: by name, the mean of one column over that of another, both over the images that have both. One is left out
    where the mean below is not clearly above 0, since it then may be anything.
    """
    from scipy.stats import norm, t  # here, so that pages without a test open sooner

    columns, ratios = dict(columns), ratios or {}
    for ratio, pair in ratios.items():
        both = np.isfinite(columns[pair[0]]) & np.isfinite(columns[pair[1]])
        columns |= {_part(ratio, place): np.where(both, columns[name], np.nan) for place, name in enumerate(pair)}
    found = {}
    names = [name for name, values in columns.items() if np.isfinite(values).any()]
    if not names:
        return {}
    values = np.stack([columns[name] for name in names], axis=1).astype(float)  # [N, Q]
    drawn = _resampled(values, seed=seed)  # [R, Q]

    def estimate(value: float, resampled: np.ndarray, number: int) -> Estimate:
        if number < 2:
            return Estimate(value, None, None, number)
        tail = norm.cdf(sqrt(number / (number - 1)) * t.ppf((1 - CONFIDENCE) / 2, number - 1))
        low, high = np.nanquantile(resampled, [tail, 1 - tail])
        return Estimate(value, float(low), float(high), number)

    for place, name in enumerate(names):
        own = values[:, place][np.isfinite(values[:, place])]
        found[name] = estimate(float(own.mean()), drawn[:, place], len(own))
    for ratio in ratios:
        above, below = (found.pop(_part(ratio, place), None) for place in (0, 1))
        if above is None or below is None or below.value <= 0 or (below.low is not None and below.low <= 0):
            continue
        upper, lower = (drawn[:, names.index(_part(ratio, place))] for place in (0, 1))
        with np.errstate(divide="ignore", invalid="ignore"):
            resampled = np.where(lower > 0, upper / lower, np.nan)
        found[ratio] = estimate(above.value / below.value, resampled, above.images)
    return found


def _part(ratio: str, place: int) -> str:
    """The column of what stands above or below in a ratio."""
    return f"{ratio} / {place}"


def _resampled(values: np.ndarray, *, seed: int) -> np.ndarray:
    """Means of [N, Q] over as many rows drawn with putting back, NaN left out: [RESAMPLES, Q]."""
    generator, number = np.random.default_rng(seed), len(values)
    there = np.isfinite(values)
    filled = np.where(there, values, 0.0)
    chunk = max(1, MOST_AT_ONCE // number)
    parts = []
    for start in range(0, RESAMPLES, chunk):
        weights = generator.multinomial(number, np.full(number, 1 / number), size=min(chunk, RESAMPLES - start))
        counts = weights @ there
        parts.append(np.divide(weights @ filled, counts, out=np.full(counts.shape, np.nan), where=counts > 0))
    return np.concatenate(parts)
