"""Some images of a comparison with what each model makes of them: those on which the models differ most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from explorer.base.job import Progress, unheard
from explorer.base.open_model import OpenModel
from explorer.compare.measure import only_size
from explorer.compare.records import Comparison, Row, Seen
from explorer.images.pictures import Picture, open_picture
from explorer.images.reconstruction import BEST_PSNR, encode_picture, render
from explorer.images.sets import ImageSet
from vqvae.errors import BadInput
from vqvae.served import quoted

MOST = 12


@dataclass(frozen=True, eq=False)
class Example:
    """One image as it is, and as each model draws it."""

    row: Row
    original: np.ndarray  # uint8 [H, W, 3]
    drawn: tuple[np.ndarray | str, ...]  # uint8 [H, W, 3] by each model, in their order, or why it could not


def apart(row: Row) -> float | None:
    """By how many dB the best of the models differs from the worst on an image; None where fewer than two drew it."""
    values = [min(seen.psnr, BEST_PSNR) for seen in row.seen if isinstance(seen, Seen)]
    return max(values) - min(values) if len(values) > 1 else None


def most_apart(rows: Sequence[Row], *, most: int = MOST) -> list[Row]:
    """The images on which the models differ most, the furthest apart first; of equals what comes first in the set."""
    differ = [(gap, row) for row in rows if (gap := apart(row)) is not None]
    return [row for _, row in sorted(differ, key=lambda pair: -pair[0])[:most]]


def draw(
    comparison: Comparison,
    models: Sequence[OpenModel],
    images: ImageSet,
    *,
    most: int = MOST,
    progress: Progress = unheard,
) -> tuple[Example, ...]:
    """Draw the images on which the models differ most, once more; those that have changed since are left out.

    models: those that were compared, in the comparison's order. Raises what `progress` raises.
    """
    chosen = most_apart(comparison.rows, most=most)
    only = only_size(models)
    drawn = []
    for number, row in enumerate(chosen, 1):
        try:
            size = comparison.settings.working_size
            picture = open_picture(images.read(row.name), row.name, working_size=size, only=only)
        except (BadInput, OSError):
            picture = None
        if picture is not None and picture.key == row.digest:
            drawn.append(Example(row, picture.pixels, _drawn(row, models, picture, comparison.settings.weight)))
        progress(number, len(chosen), "Drawing images")
    return tuple(drawn)


def _drawn(row: Row, models: Sequence[OpenModel], picture: Picture, weight: float) -> tuple[np.ndarray | str, ...]:
    """The picture by each model, at a blend where its decoder has two inputs; one that fails says why."""
    found: list[np.ndarray | str] = []
    for model, seen in zip(models, row.seen, strict=True):
        if isinstance(seen, str):
            found.append(seen)
            continue
        try:
            encoded = encode_picture(model.tokenizer, picture)
            drawn = render(model.tokenizer, encoded, picture, weight=weight if model.inputs == 2 else 0.0)
            found.append(drawn.pixels)
        except BadInput as refusal:
            found.append(str(refusal))
        except Exception as fault:
            found.append(f"The model could not draw this image again: it raises {quoted(fault)}.")
    return tuple(found)
