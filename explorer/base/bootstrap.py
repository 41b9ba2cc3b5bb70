"""How sure a mean over images is: intervals by resampling them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, sqrt

import numpy as np

CONFIDENCE = 0.95
RESAMPLES = 4000
FEW = 6  # images
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
    that an image has not; a column of nothing else is left out. The same seed gives the same figures. For the interval
    see `_interval`.

    ratios: by name, the mean of one column over that of another, both over the images that have both. One is left out
    where the mean below is not clearly above 0, since it then may be anything.
    """
    columns, ratios = dict(columns), ratios or {}
    for ratio, pair in ratios.items():
        both = np.isfinite(columns[pair[0]]) & np.isfinite(columns[pair[1]])
        columns |= {_part(ratio, place): np.where(both, columns[name], np.nan) for place, name in enumerate(pair)}
    names = [name for name, values in columns.items() if np.isfinite(values).any()]
    if not names:
        return {}
    values = np.stack([columns[name] for name in names], axis=1).astype(float)  # [N, Q]
    drawn = _resampled(values, seed=seed)  # [R, Q]
    own = {name: values[np.isfinite(values[:, place]), place] for place, name in enumerate(names)}
    found = {name: _estimate(own[name], drawn[:, place]) for place, name in enumerate(names)}
    for ratio in ratios:
        parts = [_part(ratio, place) for place in (0, 1)]
        above, below = (found.pop(part, None) for part in parts)
        if above is None or below is None or below.value <= 0 or (below.low is not None and below.low <= 0):
            continue
        upper, lower = (drawn[:, names.index(part)] for part in parts)
        resampled = np.divide(upper, lower, out=np.full(len(lower), np.nan), where=lower > 0)
        value = above.value / below.value
        linear = value + (own[parts[0]] - value * own[parts[1]]) / below.value  # what each image adds to it, about
        found[ratio] = _estimate(linear, resampled)
    return found


def _estimate(own: np.ndarray, resampled: np.ndarray) -> Estimate:
    low, high = _interval(own, resampled) if len(own) > 1 else (None, None)
    return Estimate(float(own.mean()), low, high, len(own))


def _interval(own: np.ndarray, resampled: np.ndarray) -> tuple[float, float]:
    """Of a mean over two or more images, from their values and from resampled means.

    Each end is the further one of two, since with few images either alone holds the mean too seldom: that of the
    bootstrap's percentiles, widened to what so many images call for (Hesterberg 2015, "expanded percentile": at Φ(z)
    with z = √(n / (n − 1)) · t(0.025, n − 1)); and that of Student's t, corrected for skewness (Johnson 1978). Of fewer
    than FEW images the skewness is mostly chance, so that Student's t without it counts, too.
    In simulations with 3, 6, 12 and 40 images 93 of 100 or more held the mean of a normal law, and with 6 or more that
    of an exponential one.
    """
    from scipy.stats import norm, t  # here, so that pages without a test open sooner

    number, mean, deviation = len(own), own.mean(), own.std(ddof=1)
    reach = t.ppf((1 + CONFIDENCE) / 2, number - 1)
    tail = norm.cdf(-sqrt(number / (number - 1)) * reach)
    low, high = np.nanquantile(resampled, [tail, 1 - tail])
    shift = _skewness(own) / (6 * sqrt(number)) * (1 + 2 * reach**2)
    error = deviation / sqrt(number)
    shifts = (shift, 0.0) if number < FEW else (shift,)
    return float(min(low, mean + error * (min(shifts) - reach))), float(max(high, mean + error * (max(shifts) + reach)))


def _skewness(values: np.ndarray) -> float:
    """Corrected for the number of values, which has to be more than two for it; 0 where they are all the same."""
    number, away = len(values), values - values.mean()
    square = (away**2).mean()
    if number < 3 or square == 0:
        return 0.0
    return float((away**3).mean() / square**1.5 * sqrt(number * (number - 1)) / (number - 2))


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
