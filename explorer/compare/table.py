"""Every figure of every model, and how much each differs from a model that it is held against, with intervals.

Means are over images, and so are their intervals, by the bootstrap. Differences are paired: image by image, over the
images that both models could do. A difference is never called better or worse: it is so much, and this sure.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from explorer.base import tables
from explorer.base.bootstrap import Estimate, means
from explorer.compare.records import Compared, Comparison, Row, Seen
from explorer.images.reconstruction import BEST_PSNR, amount
from vqvae.tokenizer import Level
from vqvae.words import counted

Kind = Literal["mean", "whole", "model"]  # a mean over images; one number of all images together; one of the model


# --- what there is to know --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Measure:
    """A row of the table."""

    name: str  # in files
    label: str  # on the screen
    unit: str  # that stands behind a number; may be empty
    kind: Kind
    show: Callable[[float], str]  # a number, 0 or more, without its unit
    words: tuple[str, str]  # of a difference above 0 and of one below: "higher", "lower"
    meaning: str
    bounds: tuple[float, float] = (0.0, math.inf)  # of what a figure, and so its mean, can be
    clocked: bool = False  # told by a clock when each model was first measured: a difference is also one of the moment

    def shown(self, value: float, *, plus: bool = False) -> str:
        """A number with its sign, without its unit; one that rounds to 0 has none."""
        text = self.show(abs(value))
        if text == self.show(0.0):
            return text
        return f"−{text}" if value < 0 else f"+{text}" if plus else text

    def ranged(self, estimate: Estimate, *, plus: bool = False) -> str:
        """A mean with its interval, where it has one, without its unit."""
        value = self.shown(estimate.value, plus=plus)
        if estimate.low is None or estimate.high is None:
            return value
        return f"{value} {self.interval(estimate)}"

    def interval(self, estimate: Estimate) -> str:
        """Only its interval; empty where there is none."""
        if estimate.low is None or estimate.high is None:
            return ""
        return f"[{self.shown(estimate.low)}, {self.shown(estimate.high)}]"


def _decimals(digits: int) -> Callable[[float], str]:
    return lambda value: f"{value:,.{digits}f}"


def _number(value: float) -> str:
    """A count, or a mean of counts."""
    return f"{value:,.0f}" if value == round(value) or value >= 1000 else f"{value:,.1f}"


def _milliseconds(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _millions(value: float) -> str:
    return f"{value / 1e6:.2f} M" if value >= 10_000 else f"{value:,.0f}"


MEASURES = (
    Measure(
        "psnr",
        "PSNR",
        "dB",
        "mean",
        _decimals(2),
        ("higher", "lower"),
        f"Peak signal-to-noise ratio: higher is closer to the original; 3 dB more is half the squared error. The mean "
        f"over images; one drawn closer than {BEST_PSNR:.0f} dB, or exactly, counts as {BEST_PSNR:.0f}.",
        (0.0, BEST_PSNR),
    ),
    Measure(
        "ssim",
        "SSIM",
        "",
        "mean",
        _decimals(3),
        ("higher", "lower"),
        "Structural similarity (Wang et al. 2004): higher is closer; 1 is the same, 0 unrelated. The mean over images.",
        (-1.0, 1.0),
    ),
    Measure(
        "colour_difference",
        "Colour difference",
        "ΔE₀₀",
        "mean",
        _decimals(2),
        ("larger", "smaller"),
        "How far apart the colours look: CIEDE2000 (Sharma et al. 2005), the mean over pixels, then over images. Lower "
        "is closer; a difference of about 1 is just visible. It judges each pixel by itself.",
    ),
    Measure(
        "bits_per_pixel",
        "Bits per pixel",
        "",
        "mean",
        _decimals(4),
        ("more", "fewer"),
        "Tokens × log2 K over the pixels, as if every code cost the same: fewer is a smaller file. The raw picture "
        "has 24. The mean over images.",
    ),
    Measure(
        "tokens",
        "Tokens an image",
        "",
        "mean",
        _number,
        ("more", "fewer"),
        "Indices that stand for an image, over all levels: fewer is a shorter sequence. The mean over images.",
    ),
    Measure(
        "distinct_codes",
        "Distinct codes",
        "",
        "whole",
        _number,
        ("more", "fewer"),
        "How many different codes all these images use, of all there are: more of them is a codebook in fuller use. "
        "A count of these images, which grows with their number; it has no interval.",
    ),
    Measure(
        "perplexity",
        "Perplexity",
        "",
        "whole",
        _number,
        ("higher", "lower"),
        "How many codes it would take if all were used equally: exp of the entropy of their use over all these images. "
        "Higher is a more even use, K at most. It has no interval; of several levels, each has its own.",
    ),
    Measure(
        "parameters",
        "Parameters",
        "",
        "model",
        _millions,
        ("more", "fewer"),
        "Weights of encoder, codebook and decoder: fewer is a smaller model.",
    ),
    Measure(
        "encode_ms",
        "Encode",
        "ms",
        "mean",
        _milliseconds,
        ("more", "less"),
        "Time from picture to codes, the mean over images, one at a time, after one that is not counted: lower is "
        "faster. Its interval is over the images. A difference has none: each model was timed when it was first "
        "measured, and the machine may have been busier then.",
        clocked=True,
    ),
    Measure(
        "decode_ms",
        "Decode",
        "ms",
        "mean",
        _milliseconds,
        ("more", "less"),
        "Time from codes to picture, the mean over images, one at a time, after one that is not counted: lower is "
        "faster. Its interval is over the images. A difference has none: each model was timed when it was first "
        "measured, and the machine may have been busier then.",
        clocked=True,
    ),
    Measure(
        "peak_bytes",
        "Memory",
        "",
        "whole",
        amount,
        ("more", "less"),
        "What all of torch's tensors took at once, at most, while one of the largest images was encoded and decoded, "
        "above the weights (4 bytes a parameter): lower is leaner. Measured once, exactly; it has no interval.",
    ),
)
MEASURE = {measure.name: measure for measure in MEASURES}


# --- the table --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cell:
    """What one model has of one figure."""

    estimate: Estimate | None  # None where that is not known, or is not one number
    same: bool  # every image has this very number
    text: str = ""  # in place of the number, or behind it


@dataclass(frozen=True)
class Difference:
    """A model's figure less that of the one it is held against, over the images that both could do."""

    estimate: Estimate
    same: bool  # it is this very number on every image, or is of no images

    @property
    def clear(self) -> bool:
        """Whether it can be told from none."""
        low, high = self.estimate.low, self.estimate.high
        return self.estimate.value != 0 if self.same else low is not None and high is not None and not low <= 0 <= high


@dataclass(frozen=True)
class Line:
    """A figure of all models."""

    measure: Measure
    cells: tuple[Cell, ...]
    differences: tuple[Difference | None, ...]  # None for the reference itself, and where there is none


@dataclass(frozen=True)
class Table:
    """All figures of all models."""

    models: tuple[str, ...]  # their names
    reference: int  # the number of the model that the others are held against, from 0
    lines: tuple[Line, ...]
    images: int
    failed: tuple[tuple[tuple[str, str], ...], ...]  # by model: each image that it could not do, and why

    def line(self, name: str) -> Line:
        """By the measure's name."""
        return next(line for line in self.lines if line.measure.name == name)


def table_of(comparison: Comparison, *, reference: int = 0) -> Table:
    """The table, each model held against the one of that number. The same comparison gives the same figures."""
    models, rows = comparison.models, comparison.rows
    by_model = [[one if isinstance(one, Seen) else None for one in column] for column in _columns(comparison)]
    columns = {
        (measure.name, place): np.array(
            [
                math.nan if one is None else _of_image(measure, row, models[place], one)
                for row, one in zip(rows, seen, strict=True)
            ]
        )
        for measure in MEASURES
        if measure.kind == "mean"
        for place, seen in enumerate(by_model)
    }
    less = {(name, place): values - columns[name, reference] for (name, place), values in columns.items()}
    named = {f"is {name} {place}": values for (name, place), values in columns.items()}
    named |= {f"less {name} {place}": values for (name, place), values in less.items()}
    estimates = means(named, seed=comparison.settings.seed)

    def line(measure: Measure) -> Line:
        cells, differences = [], []
        for place, model in enumerate(models):
            if measure.kind == "mean":
                key = (measure.name, place)
                found = estimates.get(f"is {measure.name} {place}")
                same = found is not None and _all_the_same(columns[key])
                cells.append(Cell(None if found is None else _within(found, measure.bounds), same))
                found = estimates.get(f"less {measure.name} {place}")
                if found is not None and measure.clocked:
                    found = replace(found, low=None, high=None)
                difference = None if found is None else Difference(found, _all_the_same(less[key]))
            else:
                cells.append(_of_all(measure, model, by_model[place]))
                difference = _difference_of_all(measure, models, by_model, place, reference)
            differences.append(None if place == reference else difference)
        return Line(measure, tuple(cells), tuple(differences))

    failed = tuple(
        tuple((row.name, one) for row, one in zip(rows, column, strict=True) if isinstance(one, str))
        for column in _columns(comparison)
    )
    return Table(tuple(model.name for model in models), reference, tuple(map(line, MEASURES)), len(rows), failed)


def _columns(comparison: Comparison) -> list[list[Seen | str]]:
    """What each model made of the images."""
    return [[row.seen[place] for row in comparison.rows] for place in range(len(comparison.models))]


def _within(estimate: Estimate, bounds: tuple[float, float]) -> Estimate:
    """A mean whose interval, which may be wide where there are few images, holds nothing that cannot be."""
    if estimate.low is None or estimate.high is None:
        return estimate
    lowest, highest = bounds
    return replace(estimate, low=max(lowest, estimate.low), high=min(highest, estimate.high))


def _all_the_same(values: np.ndarray) -> bool:
    there = values[np.isfinite(values)]
    return len(there) > 1 and bool((there == there[0]).all())


def bits(model: Compared, seen: Seen) -> float:
    """What the indices of an image take where every code costs the same."""
    return sum(grid.size * math.log2(level.codes) for grid, level in zip(seen.indices, model.spec.levels, strict=True))


def _of_image(measure: Measure, row: Row, model: Compared, seen: Seen) -> float:
    """A figure of one image; NaN where it has none."""
    if measure.name == "bits_per_pixel":
        return bits(model, seen) / (row.size[0] * row.size[1])
    if measure.name == "psnr":
        return min(seen.psnr, BEST_PSNR)
    value = getattr(seen, measure.name)
    return math.nan if value is None else float(value)


def _of_all(measure: Measure, model: Compared, seen: Sequence[Seen | None]) -> Cell:
    """A figure of all images together, or of the model."""
    there = [one for one in seen if one is not None]
    if measure.name == "parameters":
        return Cell(None if model.parameters is None else _exact(model.parameters, len(there)), True)
    if not there:
        return Cell(None, False)
    if measure.name == "peak_bytes":
        known = [one.peak_bytes for one in there if one.peak_bytes is not None]
        return Cell(_exact(max(known), len(known)) if known else None, True)
    by_level = [
        _of_level(measure, level, [one.indices[number] for one in there])
        for number, level in enumerate(model.spec.levels)
    ]
    if measure.name == "distinct_codes":
        of = " + ".join(f"{level.codes:,}" for level in model.spec.levels)
        return Cell(_exact(sum(by_level), len(there)), True, f"of {of}")
    if len(by_level) > 1:
        return Cell(None, True, " + ".join(map(measure.shown, by_level)))
    return Cell(_exact(by_level[0], len(there)), True)


def _of_level(measure: Measure, level: Level, grids: Sequence[np.ndarray]) -> float:
    """How many codes of one level some grids use, or their perplexity."""
    if level.codes <= 1 << 20:
        counts = sum(np.bincount(grid.ravel(), minlength=level.codes) for grid in grids)
    else:  # a codebook of which hardly any code is used; a count for each would fill the memory
        counts = np.unique(np.concatenate([grid.ravel() for grid in grids]), return_counts=True)[1]
    shares = np.asarray(counts, np.float64)
    shares = shares[shares > 0] / shares.sum()
    return len(shares) if measure.name == "distinct_codes" else math.exp(-(shares * np.log(shares)).sum())


def _exact(value: float, images: int) -> Estimate:
    """A number that is no mean."""
    return Estimate(float(value), None, None, images)


def _difference_of_all(
    measure: Measure, models: Sequence[Compared], seen: Sequence[Sequence[Seen | None]], place: int, reference: int
) -> Difference | None:
    """Of figures that are no means, over the images that both models could do."""
    both = [a is not None and b is not None for a, b in zip(seen[place], seen[reference], strict=True)]
    one, other = (
        _of_all(measure, models[at], [found for found, there in zip(seen[at], both, strict=True) if there]).estimate
        for at in (place, reference)
    )
    if one is None or other is None:
        return None
    return Difference(_exact(one.value - other.value, one.images), True)


# --- in words ---------------------------------------------------------------------------------------------------------


def sentence(measure: Measure, difference: Difference) -> str:
    """What can be said of a difference: "2.31 dB higher [1.90, 2.70]", or that so many images show none."""
    estimate = difference.estimate
    size = measure.shown(abs(estimate.value))
    turned = _turned(estimate)
    amount_of_it = " ".join(filter(None, (size, measure.unit, measure.words[estimate.value < 0])))
    if measure.kind != "mean":
        return amount_of_it if estimate.value else "the same"
    if estimate.images == 1:
        return f"{amount_of_it if estimate.value else 'the same'}; one picture: no interval"
    every = f"in each of {estimate.images:,} images"
    if difference.same:
        return f"{amount_of_it}, {every}" if estimate.value else f"the same {every}"
    if measure.clocked:
        return f"{amount_of_it}; timed at different moments: no interval"
    if difference.clear:
        return f"{amount_of_it} {measure.interval(turned)}"
    behind = f" {measure.unit}" if measure.unit else ""
    return (
        f"no difference that {counted(estimate.images, 'image')} can show: "
        f"{measure.ranged(estimate, plus=True)}{behind}"
    )


def brief(measure: Measure, difference: Difference) -> str:
    """The same in a few signs, for a cell: "+2.31 [1.90, 2.70]"; where it is not clear, that is said."""
    estimate = difference.estimate
    if measure.kind != "mean" or estimate.images == 1 or difference.same or measure.clocked:
        return measure.shown(estimate.value, plus=True) if estimate.value else "the same"
    return f"{'' if difference.clear else 'not clear: '}{measure.ranged(estimate, plus=True)}"


def _turned(estimate: Estimate) -> Estimate:
    """As a size: one below 0 is turned round."""
    if estimate.value >= 0 or estimate.low is None or estimate.high is None:
        return estimate
    return Estimate(-estimate.value, -estimate.high, -estimate.low, estimate.images)


# --- where two differ -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Apart:
    """One image, and how far apart two models are on it."""

    name: str
    psnr: tuple[float, float]  # dB, of the one and the other; inf where the picture is drawn exactly

    @property
    def difference(self) -> float:
        """How much higher the other one's is, in dB."""
        one, other = (min(psnr, BEST_PSNR) for psnr in self.psnr)
        return other - one


def farthest_apart(comparison: Comparison, one: int, other: int) -> list[Apart]:
    """The images that two models, by number, could both do, those on which their PSNR differs most first."""
    found = []
    for row in comparison.rows:
        a, b = row.seen[one], row.seen[other]
        if isinstance(a, Seen) and isinstance(b, Seen):
            found.append(Apart(row.name, (a.psnr, b.psnr)))
    return sorted(found, key=lambda apart: -abs(apart.difference))


# --- to compute with --------------------------------------------------------------------------------------------------

COLUMNS = (
    "figure",
    "unit",
    "model",
    "value",
    "low",
    "high",
    "images",
    "reference",
    "difference",
    "difference_low",
    "difference_high",
    "difference_images",
)


def as_csv(table: Table) -> str:
    """A row for each figure of each model; memory is in bytes, times in milliseconds. See `tables.as_csv`."""
    return tables.as_csv(COLUMNS, plain(table))


def plain(table: Table) -> Iterator[Mapping[str, Any]]:
    """Each figure of each model, with all of COLUMNS; None where there is none."""
    units = {"peak_bytes": "bytes"}
    for line in table.lines:
        for name, cell, difference in zip(table.models, line.cells, line.differences, strict=True):
            row: dict[str, Any] = dict.fromkeys(COLUMNS)
            unit = units.get(line.measure.name, line.measure.unit)
            row |= {"figure": line.measure.name, "unit": unit, "model": name, **_ends(cell.estimate)}
            if difference is not None:
                row["reference"] = table.models[table.reference]
                row |= _ends(difference.estimate, difference="difference")
            yield row


def _ends(estimate: Estimate | None, *, difference: str = "") -> dict[str, Any]:
    if estimate is None:
        return {}
    before = f"{difference}_" if difference else ""
    return {
        difference or "value": estimate.value,
        f"{before}low": estimate.low,
        f"{before}high": estimate.high,
        f"{before}images": estimate.images,
    }


def as_text(table: Table) -> str:
    """To read in a terminal: a figure in each row, and a column for each model; below them how they differ."""
    cells = [[cell_text(line.measure, cell) for cell in line.cells] for line in table.lines]
    labels = [" ".join(filter(None, (line.measure.label, line.measure.unit))) for line in table.lines]
    widths = [max(map(len, column)) for column in zip(table.models, *cells, strict=True)]
    first = max(map(len, labels))

    def row(label: str, values: Sequence[str]) -> str:
        return "  ".join(
            [f"{label:<{first}}", *(f"{value:>{width}}" for value, width in zip(values, widths, strict=True))]
        )

    lines = [row("", table.models), *map(row, labels, cells)]
    for place, name in enumerate(table.models):
        if place != table.reference:
            lines += ["", f"{name}, held against {table.models[table.reference]}:"]
            told = [(line.measure, line.differences[place]) for line in table.lines]
            lines += [f"  {measure.label}: {sentence(measure, found)}" for measure, found in told if found is not None]
    return "\n".join(lines)


def cell_text(measure: Measure, cell: Cell) -> str:
    """A figure with its interval, where it has one."""
    if cell.estimate is None:
        return cell.text or "–"
    number = measure.shown(cell.estimate.value) if cell.same else measure.ranged(cell.estimate)
    return " ".join(filter(None, (number, cell.text)))
