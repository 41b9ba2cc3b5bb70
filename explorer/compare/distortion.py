"""Rate and distortion with all that a report says of it: the models' points, the codecs' curves, and equal bits."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from explorer.base.job import Progress, at_stage, unheard
from explorer.base.open_model import OpenModel
from explorer.compare import rate
from explorer.compare.measure import only_size
from explorer.compare.rate import Curve, Equal, Rates
from explorer.compare.records import Comparison
from explorer.images.sets import ImageSet
from vqvae.errors import BadInput

CURVES, EQUAL = "Writing JPEG, WebP and AVIF", "Their best files at equal bits"  # stages of the work


@dataclass(frozen=True, eq=False)
class Distortion:
    """The models, from their codes alone, beside the codecs on the same images."""

    rates: Rates
    curves: tuple[Curve, ...]
    equal: Mapping[bool, tuple[tuple[Equal, ...], ...]]  # at the models' log2 K bits; True: headers counted


def look_at(
    comparison: Comparison, models: Sequence[OpenModel], images: ImageSet, *, progress: Progress = unheard
) -> Distortion | str:
    """What the codecs make of the images; files that were written before are found again.

    comparison: of the codes alone. Returns why there is nothing to say, in a sentence, where that is so. Raises
    Cancelled: what was written by then is kept.
    """
    only, kept = only_size(models), rate.kept_folder()
    try:
        rates = rate.rates_of(comparison)
        curves = rate.curves(rates, images, only, progress=at_stage(progress, CURVES), kept=kept)
        equal = {
            headers: rate.at_equal_bits(
                rates, images, only, count="fixed", headers=headers, progress=at_stage(progress, EQUAL), kept=kept
            )
            for headers in (True, False)
        }
    except BadInput as refusal:
        return str(refusal)
    return Distortion(rates, curves, equal)


def plain(found: Distortion) -> dict[str, Any]:
    """As JSON values: a row for each measure of each model beside each codec, and the codecs' curves."""
    return {
        "images": len(found.rates.rows),
        "left_out": found.rates.left_out,
        "rows": [
            {name: _finite_or_none(value) for name, value in row.items()}
            for headers, equal in found.equal.items()
            for row in rate.plain(found.rates, equal, count="fixed", headers=headers)
        ],
        "curves": [_plain_curve(curve) for curve in found.curves],
        "refused": [point for point in found.rates.points if isinstance(point, str)],
    }


def _plain_curve(curve: Curve) -> dict[str, Any]:
    return {
        "codec": curve.codec.name,
        "settings": curve.codec.settings,
        "not_counted": curve.codec.headers,
        "qualities": list(curve.qualities),
        "bits_per_pixel": _finite(curve.bits_per_pixel[True]),
        "bits_per_pixel_without_headers": _finite(curve.bits_per_pixel[False]),
        "closeness": {name: _finite(values) for name, values in curve.closeness.items()},
    }


def _finite(values: np.ndarray) -> list[Any]:
    return [_finite_or_none(float(value)) for value in values]


def _finite_or_none(value: Any) -> Any:
    """NaN is a figure that there is not."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
