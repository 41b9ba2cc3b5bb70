"""The report's part on rate and distortion: models as points beside the codecs' curves, and what equal bits buy."""

from __future__ import annotations

from explorer.compare import rate
from explorer.compare.charts import HEIGHT, Drawn, rate_chart
from explorer.compare.colours import COLOURS
from explorer.compare.distortion import Distortion
from explorer.compare.markup import chart, chip, grid, small, text
from explorer.compare.rate import CLOSENESS, COUNTED, COUNTS, MEANINGS, Count, Equal, Point
from explorer.compare.table import MEASURE, brief

ABOUT = (
    "How close the pictures come for the bits that they cost, drawn from the codes alone, beside JPEG, WebP and AVIF "
    "files of the same images. Further up is closer, further left is smaller."
)
MAIN = "psnr"


def body(found: Distortion | str) -> str:
    """HTML."""
    if isinstance(found, str):
        return f"<p>{text(found)}</p>\n"
    others = [(MAIN, False), *((name, True) for name in CLOSENESS if name != MAIN)]
    more = "".join(
        f"<details><summary>{text(_heading(name, headers=headers))}</summary>{_chart(found, name, headers=headers)}"
        "</details>\n"
        for name, headers in others
        if any((place, name) in found.rates.estimates for place in range(len(found.rates.points)))
    )
    return f"{_chart(found, MAIN, headers=True)}{_table(found)}{_codecs(found)}{_basis(found)}{more}"


def _heading(name: str, *, headers: bool) -> str:
    return f"{MEASURE[name].label} over bits per pixel{'' if headers else ', headers of the files not counted'}"


def _chart(found: Distortion, name: str, *, headers: bool) -> str:
    rates = found.rates

    def told(place: int, count: Count) -> str:
        beside = found.equal[headers][place] if count == "fixed" else ()
        codecs = [rate.told_of_codec(rates, place, one, name, headers=headers) for one in beside]
        return "; ".join([rate.told_of_model(rates, place, count, name), *codecs]) + "."

    looks = [Drawn(place + 1, model, COLOURS[place]) for place, model in enumerate(_names(found))]
    figure = rate_chart(rates, looks, found.curves, measure=name, headers=headers, told=told)
    return chart(figure, label=_heading(name, headers=headers), height=HEIGHT)


def _names(found: Distortion) -> list[str]:
    """Of the models; of one without a point there is none to be drawn."""
    return [point.model.name if isinstance(point, Point) else "" for point in found.rates.points]


def _table(found: Distortion) -> str:
    """Each model's bits three ways, and how close it comes."""
    rates = found.rates
    heads = [f'<span title="{text(MEANINGS[count])}">{COUNTED[count]}</span> <small>bit/px</small>' for count in COUNTS]
    heads += [f"{MEASURE[MAIN].label} <small>{MEASURE[MAIN].unit}</small>"]
    rows = []
    for place, point in enumerate(rates.points):
        if isinstance(point, str):
            rows.append([chip(place), f'<td class="words" colspan="{len(heads)}">{text(point)}</td>'])
            continue
        estimate = rates.estimates[place, MAIN]
        cells = [_bits(found, place, point, count) for count in COUNTS]
        cells.append(f"<td>{MEASURE[MAIN].shown(estimate.value)}{small(MEASURE[MAIN].interval(estimate))}</td>")
        rows.append([f"{chip(place)} {text(point.model.name)}", *cells])
    return grid(["Model", *heads], rows, label="Bits and closeness")


def _codecs(found: Distortion) -> str:
    """A row for each codec, headers counted and not: its best files of as many bytes as each model's codes."""
    points = [(place, point) for place, point in enumerate(found.rates.points) if isinstance(point, Point)]
    rows = []
    for number, curve in enumerate(found.curves):
        for headers in (True, False):
            without = "" if headers else f' <small title="{text(curve.codec.headers)}">headers not counted</small>'
            cells = [_codec(found, place, found.equal[headers][place][number], headers=headers) for place, _ in points]
            rows.append([f'<span title="{text(curve.codec.settings)}">{curve.codec.name}</span>{without}', *cells])
    heads = [f"at the bytes of {chip(place)} {text(point.model.name)}" for place, point in points]
    return grid([f"{MEASURE[MAIN].label} <small>{MEASURE[MAIN].unit}</small>", *heads], rows, label="At equal bytes")


def _bits(found: Distortion, place: int, point: Point, count: Count) -> str:
    told = rate.told_of_model(found.rates, place, count, MAIN)
    share = rate.saved(point, count)
    less = small(f"{share:.0%} less") if count != "fixed" and share >= 0.005 else ""
    return f'<td title="{text(told)}">{found.rates.bits_per_pixel(point, count):.4f}{less}</td>'


def _codec(found: Distortion, place: int, equal: Equal, *, headers: bool) -> str:
    told = rate.told_of_codec(found.rates, place, equal, MAIN, headers=headers)
    difference = rate.above(found.rates, place, equal, MAIN)
    if not equal.fits or difference is None:
        return f'<td class="words" title="{text(told)}">{"none so small" if not equal.fits else "–"}</td>'
    some = "" if equal.fits == len(found.rates.rows) else f", {equal.fits:,} of {len(found.rates.rows):,} images"
    value = MEASURE[MAIN].shown(rate.mean(equal.closeness[MAIN]))
    below = small(f"the model: {brief(MEASURE[MAIN], difference)}{some}")
    return f'<td title="{text(told)}">{value}{below}</td>'


def _basis(found: Distortion) -> str:
    left = found.rates.left_out
    out = f" {left:,} that one of the models could not do {'is' if left == 1 else 'are'} left out." if left else ""
    settings = "; ".join(f"{curve.codec.name}: {curve.codec.settings}" for curve in found.curves)
    return (
        f'<p class="note">Over {len(found.rates.rows):,} images, each a file of its own.{out} Entropy-coded: one '
        "adaptive stream over the images in their order, which a decoder that knows K can read. Of a codec: its best "
        "files of at most the bytes that the codes take at log2 K bits each, and how much the model is above them. "
        f"{text(settings)}.</p>\n"
    )
