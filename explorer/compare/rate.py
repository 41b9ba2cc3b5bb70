"""How close each model's pictures come for the bits that its codes cost, beside JPEG, WebP and AVIF on the same images.

All is over the images that every model could do which could do any. A model's bits are those of its indices: log2 K
bits each, or entropy-coded in one stream over these images (see `coding`). A codec's bits are those of one file an
image, of the same pixels: with its headers, or with the picture's data alone counted (see `vqvae.codecs`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from explorer.base import tables, tidy
from explorer.base.bootstrap import Estimate, means
from explorer.base.folders import cache_folder
from explorer.base.job import Progress, unheard
from explorer.base.sealed import CHECKSUM, sealed, unsealed
from explorer.base.versions import versions
from explorer.compare.coding import CodeLengths, code_lengths
from explorer.compare.measure import colour_difference
from explorer.compare.records import Compared, Comparison, Row, Seen
from explorer.compare.table import MEASURE, Difference, sentence
from explorer.images.pictures import open_picture
from explorer.images.reconstruction import BEST_PSNR, compare
from explorer.images.sets import PICTURE, ImageSet
from explorer.images.written import Size, Written
from vqvae.checkpoint import write_atomically
from vqvae.codecs import CODECS, Codec
from vqvae.errors import BadInput
from vqvae.images import writers
from vqvae.places import reason_of

Count = Literal["fixed", "order0", "conditioned"]
COUNTS: dict[Count, str] = {"fixed": "log2 K", "order0": "order 0", "conditioned": "by neighbours"}
COUNTED: dict[Count, str] = {"fixed": "log2 K", "order0": "Order 0", "conditioned": "By neighbours"}  # as labels
MEANINGS: dict[Count, str] = {
    "fixed": "What the codes take when each costs the same: log2 K bits. The mean over images; the raw picture has 24.",
    "order0": "What they take in an adaptive code, each by how often it came before: one stream over these images in "
    "their order, which begins with nothing and goes on learning. A decoder that knows K can read it; no table goes "
    "beside it.",
    "conditioned": "What they take in an adaptive code, each by its left and upper neighbour and how often it came "
    "beside them before: one stream over these images in their order. A decoder that knows K can read it.",
}
CLOSENESS = ("psnr", "ssim", "colour_difference")  # names of measures
QUALITIES = {  # of the files that make a codec's curve
    "JPEG": (1, 2, 4, 7, 12, 20, 35, 60, 85),
    "WebP": (0, 2, 5, 10, 20, 40, 60, 80, 92),
    "AVIF": (0, 8, 16, 25, 35, 45, 55, 68, 82),
}
_VERSION = 2  # of a file of what was written; 1 had no checksum


# --- the models -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Point:
    """A model over the images; arrays are float64 [N], one value an image, NaN where it has none."""

    model: Compared
    bits: CodeLengths
    tokens: np.ndarray
    closeness: Mapping[str, np.ndarray]  # by the name of the measure


@dataclass(frozen=True, eq=False)
class Rates:
    """The models over the images that all of them could do."""

    data: str  # the set, for people
    rows: tuple[Row, ...]  # in the set's order
    points: tuple[Point | str, ...]  # in the order of the models; or why one has none, in a sentence
    left_out: int  # images that only some of them could do
    working_size: int
    seed: int

    @cached_property
    def pixels(self) -> np.ndarray:
        """Of each image: [N]."""
        return np.array([row.size[0] * row.size[1] for row in self.rows], float)

    def bits_per_pixel(self, point: Point, count: Count) -> float:
        """The mean over the images."""
        return float((getattr(point.bits, count) / self.pixels).mean())

    @cached_property
    def estimates(self) -> dict[tuple[int, str], Estimate]:
        """The mean of each closeness with its interval, by the number of the model and the measure's name."""
        columns = {
            f"{place} {name}": values
            for place, point in enumerate(self.points)
            if isinstance(point, Point)
            for name, values in point.closeness.items()
        }
        found = means(columns, seed=self.seed)
        return {(int(key.split()[0]), key.split()[1]): estimate for key, estimate in found.items()}


def rates_of(comparison: Comparison) -> Rates:
    """The models' bits and closeness. Raises BadInput where there is no image that the models could do."""
    columns = [[row.seen[place] for row in comparison.rows] for place in range(len(comparison.models))]
    able = [place for place, column in enumerate(columns) if any(isinstance(one, Seen) for one in column)]
    rows = [row for row in comparison.rows if able and all(isinstance(row.seen[place], Seen) for place in able)]
    if not rows:
        raise BadInput("There is no image that the models could all do; compare fewer models, or other images.")
    points: list[Point | str] = []
    for place, model in enumerate(comparison.models):
        seen = [one for row in rows if isinstance(one := row.seen[place], Seen)]
        points.append(_point(model, seen) if place in able else f"{columns[place][0]}")
    some = sum(any(isinstance(one, Seen) for one in row.seen) for row in comparison.rows)
    settings = comparison.settings
    return Rates(comparison.data, tuple(rows), tuple(points), some - len(rows), settings.working_size, settings.seed)


def _point(model: Compared, seen: Sequence[Seen]) -> Point:
    return Point(
        model,
        code_lengths([one.indices for one in seen], [level.codes for level in model.spec.levels]),
        np.array([one.tokens for one in seen], float),
        _arrays([_Closeness(one.psnr, one.ssim, one.colour_difference) for one in seen]),
    )


# --- the codecs -------------------------------------------------------------------------------------------------------


def _here() -> tuple[Codec, ...]:
    return tuple(codec for codec in CODECS if codec.available)


@dataclass(frozen=True)
class _Closeness:
    """Of a picture to the original."""

    psnr: float
    ssim: float | None
    colour_difference: float


def _closeness(original: np.ndarray, other: np.ndarray) -> _Closeness:
    quality = compare(original, other)
    return _Closeness(quality.psnr, quality.ssim, colour_difference(original, other))


def _arrays(found: Sequence[_Closeness | None]) -> dict[str, np.ndarray]:
    """By measure [N]; a PSNR is at most BEST_PSNR, so that means stay finite."""

    def value(one: _Closeness | None, name: str) -> float:
        known = None if one is None else getattr(one, name)
        return math.nan if known is None else min(known, BEST_PSNR) if name == "psnr" else known

    return {name: np.array([value(one, name) for one in found], float) for name in CLOSENESS}


@dataclass(frozen=True, eq=False)
class Curve:
    """A codec's files of some qualities: means over the images, [Q] each."""

    codec: Codec
    qualities: tuple[int, ...]
    bits_per_pixel: Mapping[bool, np.ndarray]  # True: headers counted
    closeness: Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Equal:
    """The best file of a codec within a model's bytes, image by image: [N] each, NaN where no file is so small."""

    codec: Codec
    bytes: np.ndarray  # that are counted
    closeness: Mapping[str, np.ndarray]

    @property
    def fits(self) -> int:
        """Images of which there is a file so small."""
        return int(np.isfinite(self.bytes).sum())


def curves(
    rates: Rates, images: ImageSet, only: tuple[int, int] | None, *, progress: Progress = unheard, kept: Path | None
) -> tuple[Curve, ...]:
    """The curve of each codec that can be written here.

    only: the size that the models were given the images at, where one of them takes no other. kept: the folder where
    what is found is looked for and kept (see `kept_folder`). Raises Cancelled, and BadInput where an image has changed.
    """
    found: dict[str, list[list[tuple[Size, _Closeness]]]] = {codec.name: [] for codec in _here()}
    for files in _each(rates, images, only, progress, kept):
        for codec in _here():
            qualities = QUALITIES[codec.name]
            found[codec.name].append([(files.size(codec, one), files.closeness(codec, one)) for one in qualities])
    return tuple(_curve(rates, codec, found[codec.name]) for codec in _here())


def _curve(rates: Rates, codec: Codec, found: Sequence[Sequence[tuple[Size, _Closeness]]]) -> Curve:
    by_quality = list(zip(*found, strict=True))

    def bits(headers: bool) -> np.ndarray:
        sizes = np.array([[size.counted(headers=headers) for size, _ in files] for files in by_quality], float)
        return (8 * sizes / rates.pixels).mean(1)

    arrays = [_arrays([closeness for _, closeness in files]) for files in by_quality]
    closeness = {name: np.array([mean(one[name]) for one in arrays]) for name in CLOSENESS}
    return Curve(codec, QUALITIES[codec.name], {True: bits(True), False: bits(False)}, closeness)


def mean(values: np.ndarray) -> float:
    """Over those images that have a value; NaN where none has."""
    there = values[np.isfinite(values)]
    return float(there.mean()) if len(there) else math.nan


def at_equal_bits(
    rates: Rates,
    images: ImageSet,
    only: tuple[int, int] | None,
    *,
    count: Count,
    headers: bool,
    progress: Progress = unheard,
    kept: Path | None,
) -> tuple[tuple[Equal, ...], ...]:
    """For each model, of each codec that can be written here, the best files of as many bits as its codes take.

    Image by image: no file is larger than that model's codes of that image, by the count that is named. A model that
    could do none has none. For the rest see `curves`.
    """
    of_each: list[list[list[tuple[int, _Closeness] | None]]] = [[[] for _ in _here()] for _ in rates.points]
    for number, files in enumerate(_each(rates, images, only, progress, kept)):
        for point, by_codec in zip(rates.points, of_each, strict=True):
            if isinstance(point, Point):
                most = getattr(point.bits, count)[number] / 8
                for codec, found in zip(_here(), by_codec, strict=True):
                    quality = files.best(codec, most, headers=headers)
                    if quality is None:
                        found.append(None)
                    else:
                        size = files.size(codec, quality).counted(headers=headers)
                        found.append((size, files.closeness(codec, quality)))
    return tuple(
        tuple(_equal(codec, found) for codec, found in zip(_here(), by_codec, strict=True) if found)
        for by_codec in of_each
    )


def _equal(codec: Codec, found: Sequence[tuple[int, _Closeness] | None]) -> Equal:
    sizes = np.array([math.nan if one is None else one[0] for one in found], float)
    return Equal(codec, sizes, _arrays([None if one is None else one[1] for one in found]))


def above(rates: Rates, place: int, equal: Equal, name: str) -> Difference | None:
    """How much higher a model's closeness is than a codec's at its bits, over the images of which there is a file."""
    point = rates.points[place]
    assert isinstance(point, Point)
    less = point.closeness[name] - equal.closeness[name]
    found = means({name: less}, seed=rates.seed).get(name)
    there = less[np.isfinite(less)]
    return None if found is None else Difference(found, len(there) > 1 and bool((there == there[0]).all()))


# --- files that were written once -------------------------------------------------------------------------------------


def kept_folder() -> Path:
    """Where sizes and closeness of files are kept."""
    return cache_folder() / tidy.CODECS


def _each(
    rates: Rates, images: ImageSet, only: tuple[int, int] | None, progress: Progress, kept: Path | None
) -> Iterator[Written[_Closeness]]:
    """Each image as files; what is found out of them is kept once the next one is asked for.

    Nothing is kept of a picture that lies nowhere: it may be a visitor's.
    """
    kept = None if images.source == PICTURE else kept
    for number, row in enumerate(rates.rows):
        progress(number, len(rates.rows))
        path = None if kept is None else kept / f"{row.digest[:40]}.json"
        files = Written(_reader(rates, row, images, only), _closeness)
        known = _load(path, files)
        yield files
        if path is not None and _count(files) > known:
            _keep(path, files)
    progress(len(rates.rows), len(rates.rows))


_not_kept: dict[Path, str] = {}  # folder -> why it could not be written to the last time, in a few words


def remark() -> str:
    """A sentence on why what is found of files cannot be kept; nothing where it can."""
    folder = kept_folder()
    why = _not_kept.get(folder)
    return f"What JPEG, WebP and AVIF take could not be kept in {folder} ({why}); it is found out again." if why else ""


def _keep(path: Path, files: Written[_Closeness]) -> None:
    """Where nothing can be written the work goes on: that costs time, no figures."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, _to_json(files))
        _not_kept.pop(path.parent, None)
    except OSError as fault:
        _not_kept[path.parent] = reason_of(fault)


def _reader(rates: Rates, row: Row, images: ImageSet, only: tuple[int, int] | None) -> Callable[[], np.ndarray]:
    """What reads the pixels that the models were given."""

    def read() -> np.ndarray:
        picture = open_picture(images.read(row.name), row.name, working_size=rates.working_size, only=only)
        if picture.key != row.digest:
            raise BadInput(f"The image {row.name} has changed since the models were given it; compare them anew.")
        return picture.pixels

    return read


def _count(files: Written[_Closeness]) -> int:
    return sum(map(len, files.sizes.values())) + sum(map(len, files.measured.values()))


def _to_json(files: Written[_Closeness]) -> bytes:
    def row(codec: str, quality: int) -> list[float | None]:
        closeness = files.measured.get(codec, {}).get(quality)
        return [*files.sizes[codec][quality], *(() if closeness is None else astuple(closeness))]

    held = {codec: {str(one): row(codec, one) for one in sizes} for codec, sizes in files.sizes.items()}
    return json.dumps(sealed({"version": _VERSION, "writers": _writers(), "files": held})).encode()


def _load(path: Path | None, files: Written[_Closeness]) -> int:
    """Take what is kept of an image, and how much that is; what does not read back whole is no loss."""
    if path is None:
        return 0
    try:
        read: dict[str, Any] = json.loads(path.read_bytes())
        found = unsealed(read)
        if found["version"] not in (1, _VERSION) or (found["version"] == _VERSION and CHECKSUM not in read):
            return 0
        if found["writers"] != _writers():
            return 0
        tidy.used(path)
        for codec, held in found["files"].items():
            for quality, (file, data, *closeness) in held.items():
                size, measured = Size(int(file), int(data)), _of_numbers(*closeness) if closeness else None
                files.sizes.setdefault(codec, {})[int(quality)] = size
                if measured is not None:
                    files.measured.setdefault(codec, {})[int(quality)] = measured
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        files.sizes.clear()
        files.measured.clear()
    return _count(files)


def _of_numbers(psnr: float, ssim: float | None, colour: float) -> _Closeness:
    return _Closeness(float(psnr), None if ssim is None else float(ssim), float(colour))


@cache
def _writers() -> str:
    """What the files, and how close they come, depend on beside the pixels."""
    settings = (f"{codec.name} {sorted(codec.options.items())}" for codec in CODECS)
    measured_by = (f"{name} {number}" for name, number in versions().items())
    return "; ".join([writers(), *settings, *measured_by])


# --- in words ---------------------------------------------------------------------------------------------------------

COLUMNS = (
    "model",
    "images",
    "measure",
    "value",
    "low",
    "high",
    "bits_per_pixel",
    "bits_per_pixel_order0",
    "bits_per_pixel_by_neighbours",
    "codec",
    "codec_bits_by",
    "codec_headers_counted",
    "codec_images",
    "value_on_codec_images",
    "codec_value",
    "difference",
    "difference_low",
    "difference_high",
)


def as_csv(rates: Rates, equal: Sequence[Sequence[Equal]], *, count: Count, headers: bool) -> str:
    """A row for each measure of each model and codec; a difference is the model's less the codec's.

    It is over those images of which there is a file of the codec, as the two values before it are.
    """
    return tables.as_csv(COLUMNS, plain(rates, equal, count=count, headers=headers))


def plain(
    rates: Rates, equal: Sequence[Sequence[Equal]] | None, *, count: Count, headers: bool
) -> Iterator[Mapping[str, Any]]:
    """The rows of `as_csv`, with all of COLUMNS; None where there is none. Without `equal` a row for each measure."""
    for place, point in enumerate(rates.points):
        if not isinstance(point, Point):
            continue
        bits = [rates.bits_per_pixel(point, by) for by in COUNTS]
        for name in CLOSENESS:
            estimate = rates.estimates.get((place, name))
            of_model = [point.model.name, len(rates.rows), name, *_ends(estimate), *bits]
            if equal is None:
                yield dict(zip(COLUMNS, [*of_model, *[None] * (len(COLUMNS) - len(of_model))], strict=True))
                continue
            for one in equal[place]:
                difference = above(rates, place, one, name)
                codec_values = one.closeness[name]
                same = mean(np.where(np.isfinite(codec_values), point.closeness[name], math.nan))
                of_codec = [one.codec.name, COUNTS[count], headers, one.fits, same, mean(codec_values)]
                less = _ends(None if difference is None else difference.estimate)
                yield dict(zip(COLUMNS, [*of_model, *of_codec, *less], strict=True))


def _ends(estimate: Estimate | None) -> tuple[float | None, float | None, float | None]:
    return (None, None, None) if estimate is None else (estimate.value, estimate.low, estimate.high)


CODED: dict[Count, str] = {
    "order0": "entropy-coded by how often each came before",
    "conditioned": "entropy-coded by the left and the upper neighbour",
}


def told_of_model(rates: Rates, place: int, count: Count, name: str) -> str:
    """What a model's point stands for: images, bits and closeness."""
    point = rates.points[place]
    assert isinstance(point, Point)
    measure, estimate = MEASURE[name], rates.estimates.get((place, name))
    number = len(rates.rows)
    images = rates.data if number == 1 else f"{number:,} images of {rates.data}"
    cost = ", ".join(filter(None, (_cells(point), CODED.get(count))))
    cost += f" = {rates.bits_per_pixel(point, count):.4f} bit/px"
    if (share := saved(point, count)) >= 0.005:
        cost += f" ({share:.0%} less than log2 K)"
    close = "no figure" if estimate is None else f"{measure.ranged(estimate)} {measure.unit}".rstrip()
    return f"{point.model.name}: {images}, codes only, {cost} → {measure.label} {close}"


def _cells(point: Point) -> str:
    """The codes of an image and their bits: "1,024 codes × 10 bits"."""
    levels, usual = point.model.spec.levels, float(point.tokens.mean())
    codes = f"{usual:,.0f} codes{'' if (point.tokens == usual).all() else ' an image in the mean'}"
    if len(levels) > 1:
        return f"{codes} in {len(levels)} levels"
    return f"{codes} × {f'{math.log2(levels[0].codes):.2f}'.rstrip('0').rstrip('.')} bits"


def saved(point: Point, count: Count) -> float:
    """The share of the fixed bits that entropy coding saves, over all images; 0 where they are 0."""
    fixed = point.bits.fixed.sum()
    return float(1 - getattr(point.bits, count).sum() / fixed) if fixed else 0.0


def told_of_codec(rates: Rates, place: int, equal: Equal, name: str, *, headers: bool) -> str:
    """How close a codec's best files of a model's bits come, and how much closer or farther the model is."""
    point, measure, codec = rates.points[place], MEASURE[name], equal.codec.name
    assert isinstance(point, Point)
    counted = "" if headers else ", headers not counted"
    number, difference = len(rates.rows), above(rates, place, equal, name)
    if not equal.fits:
        return f"no {codec} is this small{counted}"
    if difference is None:
        return f"the best {codec} of as many bytes{counted}: no figure"
    some = "" if equal.fits == number else f" on {equal.fits:,} of {number:,} images, of the others none is this small"
    value = f"{measure.shown(mean(equal.closeness[name]))} {measure.unit}".rstrip()
    told = f"the best {codec} of as many bytes{counted}: {value}{some}"
    return f"{told}; {point.model.name} against it: {sentence(measure, difference)}"
