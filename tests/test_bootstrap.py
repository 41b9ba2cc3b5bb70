"""Intervals of means over images: against SciPy's, and against what they promise."""

import math

import numpy as np
import pytest
from scipy.stats import bootstrap, norm, skew, t

from explorer.base.bootstrap import Estimate, means

LAWS = {"normal": (np.random.Generator.standard_normal, 0.0), "skewed": (np.random.Generator.standard_exponential, 1.0)}


def sample(kind: str, number: int, seed: int) -> np.ndarray:
    return LAWS[kind][0](np.random.default_rng(seed), number)


def by_scipy(values: np.ndarray) -> tuple[float, float]:
    """SciPy's percentiles at the expanded level, and Student's t shifted by skewness, of few images also unshifted."""
    number = len(values)
    quantile = t.ppf(0.975, number - 1)
    level = 1 - 2 * norm.cdf(-math.sqrt(number / (number - 1)) * quantile)
    percentiles = bootstrap(
        (values,),
        np.mean,
        confidence_level=level,
        method="percentile",
        n_resamples=40_000,
        rng=np.random.default_rng(7),
    ).confidence_interval
    error = values.std(ddof=1) / math.sqrt(number)
    middle = values.mean() + error * skew(values, bias=False) / (6 * math.sqrt(number)) * (1 + 2 * quantile**2)
    ends = [percentiles.low, percentiles.high, middle - error * quantile, middle + error * quantile]
    if number < 6:
        ends += t.interval(0.95, number - 1, values.mean(), error)
    return min(ends), max(ends)


@pytest.mark.parametrize("kind", LAWS)
@pytest.mark.parametrize("number", [3, 8, 25, 120])
def test_the_ends_are_the_further_of_scipys(kind: str, number: int) -> None:
    values = sample(kind, number, 5)
    found = means({"it": values}, seed=1)["it"]
    low, high = by_scipy(values)
    assert found.value == pytest.approx(values.mean())
    assert found.low == pytest.approx(low, abs=0.05 * (high - low))  # the ends of 4,000 resamples vary so much
    assert found.high == pytest.approx(high, abs=0.05 * (high - low))
    assert found.images == number


@pytest.mark.parametrize(
    ("kind", "number"), [("normal", 3), ("normal", 4), *((kind, number) for kind in LAWS for number in (6, 12, 40))]
)
def test_it_holds_the_mean_as_often_as_it_says(kind: str, number: int) -> None:
    held = 0
    for seed in range(300):
        found = means({"it": sample(kind, number, 1000 * number + seed)}, seed=seed)["it"]
        assert found.low is not None and found.high is not None
        held += found.low <= LAWS[kind][1] <= found.high
    assert held / 300 >= 0.93, f"{kind}, {number} images: only {held / 300:.1%} of the intervals hold the mean"


def test_columns_are_paired() -> None:
    """Two columns that differ by little vary much; their difference hardly does."""
    one = sample("normal", 12, 3) * 10
    other = one + 1 + 0.01 * sample("normal", 12, 4)
    found = means({"one": one, "other": other, "difference": other - one, "sum": one + other})
    widths = {name: (it.high or 0) - (it.low or 0) for name, it in found.items()}
    assert widths["difference"] < 0.02 < 1 < widths["one"]
    assert widths["sum"] == pytest.approx(widths["one"] + widths["other"], rel=1e-6)  # all drawn with the same images


def test_what_an_image_has_not_is_left_out() -> None:
    full = sample("normal", 30, 1)
    holes = np.where(np.arange(30) % 3 == 0, np.nan, full)
    found = means(
        {"full": full, "holes": holes, "nothing": np.full(30, np.nan), "one": np.r_[4.0, np.full(29, np.nan)]}
    )
    assert set(found) == {"full", "holes", "one"}
    assert found["holes"].value == pytest.approx(np.nanmean(holes))
    assert found["holes"].images == 20
    low, high = by_scipy(holes[np.isfinite(holes)])
    assert found["holes"].low == pytest.approx(low, abs=0.1 * (high - low))
    assert found["holes"].high == pytest.approx(high, abs=0.1 * (high - low))
    assert found["one"] == Estimate(4.0, None, None, 1)
    assert means({"nothing": np.full(3, np.nan)}) == means({}) == {}


def test_a_single_image_has_no_interval() -> None:
    found = means({"it": np.array([2.0])})["it"]
    assert found == Estimate(2.0, None, None, 1)
    assert not found.above(-100) and not found.below(100)
    assert found.images_to_clear(1.0) is None


def test_equal_values_have_an_interval_of_no_width() -> None:
    assert means({"it": np.full(7, 0.25)})["it"] == Estimate(0.25, 0.25, 0.25, 7)


def test_the_same_seed_gives_the_same_and_another_another() -> None:
    columns = {"a": sample("skewed", 40, 1), "b": sample("skewed", 40, 2)}
    assert means(columns, seed=3) == means(columns, seed=3)
    found = [means(columns, seed=seed)["a"] for seed in range(5)]
    assert len({(one.low, one.high) for one in found}) > 1
    assert {one.value for one in found} == {columns["a"].mean()}


def test_an_interval_clears_a_line_or_does_not() -> None:
    found = Estimate(0.5, 0.4, 0.7, 12)
    assert [found.above(line) for line in (0.3, 0.4, 0.41, 0.8)] == [True, True, False, False]
    assert [found.below(line) for line in (0.3, 0.69, 0.7, 0.71)] == [False, False, False, True]


@pytest.mark.parametrize("line", [0.1, 0.452, 0.499, 0.51, 0.6, 0.9])
def test_as_many_images_clear_a_line_as_shrink_the_interval_enough(line: float) -> None:
    found = Estimate(0.5, 0.35, 0.72, 12)
    assert found.low is not None and found.high is not None
    more = 13  # by trying: half-widths shrink with the root of the number
    while True:
        shrunk = math.sqrt(12 / more)
        low, high = 0.5 - (0.5 - found.low) * shrunk, 0.5 + (found.high - 0.5) * shrunk
        if low >= line or high <= line:
            break
        more += 1
    assert found.images_to_clear(line) == more
    assert found.images_to_clear(0.5) is None


def test_a_ratio_is_that_of_the_means_over_the_images_that_have_both() -> None:
    generator = np.random.default_rng(0)
    below = generator.uniform(2, 6, 400)
    above = 0.3 * below + 0.5 * generator.standard_normal(400)
    above[:100] = np.nan
    found = means({"above": above, "below": below}, ratios={"ratio": ("above", "below")})
    assert set(found) == {"above", "below", "ratio"}
    ratio = found["ratio"]
    assert ratio.value == pytest.approx(above[100:].mean() / below[100:].mean())
    assert ratio.images == 300
    error = 0.5 / math.sqrt(300) / below[100:].mean()  # of the ratio, by the rule that such data are made with
    assert ratio.low == pytest.approx(ratio.value - 1.96 * error, abs=0.25 * error)
    assert ratio.high == pytest.approx(ratio.value + 1.96 * error, abs=0.25 * error)


@pytest.mark.parametrize("below", [np.zeros(8), -np.ones(8), np.array([-3.0, 2, -1, 1, 3, -2, 1, 0])])
def test_a_ratio_to_what_may_be_nothing_is_left_out(below: np.ndarray) -> None:
    assert set(means({"above": np.ones(8), "below": below}, ratios={"ratio": ("above", "below")})) == {"above", "below"}
