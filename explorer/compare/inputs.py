"""Which input each of several decoders follows, and how far what they are fed lies from their training, side by side.

Each model is tested by itself; what is compared are its figures, and their differences image by image, over the images
that both models were tested on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from explorer.base.bootstrap import Estimate, means
from explorer.base.job import Progress, unheard
from explorer.base.open_model import OpenModel
from explorer.base.verdict import Grade, Verdict
from explorer.images.sets import ImageSet
from explorer.inputs import manifold
from explorer.inputs.reliance.boundary import Change
from explorer.inputs.reliance.measure import ImageEvidence, Settings, measure_set
from explorer.inputs.reliance.report import Report, following_rows
from explorer.inputs.reliance.subject import named, provenance_of, tested
from explorer.inputs.reliance.verdict import figures_of, ranged
from vqvae.errors import BadInput


@dataclass(frozen=True)
class About:
    """A figure that models are compared by."""

    label: str
    meaning: str
    unit: str = "dB"  # dB, % for what is a share of cells, or nothing


AT_HAND = "at the blend at hand"
COMPARED: dict[str, About] = {
    "embedding_share": About(
        "Follows the embedding",
        f"The share with which the decoder follows its embedding {AT_HAND}, at the borders.",
        "",
    ),
    "code_share": About(
        "Follows the code", f"The share with which the decoder follows its code {AT_HAND}, at the borders.", ""
    ),
    "code_size": About(
        "Reads the code apart", "‖A‖ / ‖B‖: how much the code alone moves the picture, of what both inputs do.", ""
    ),
    "not_additive": About(
        "Not additive", "‖A + E − B‖ / ‖B‖: how far the two inputs do not add up; 0 for a linear decoder.", ""
    ),
    "whole": About("Both inputs", "PSNR with both inputs whole; of a decoder with one, from its codes."),
    "codes_only": About("Codes alone", "PSNR with the embedding off."),
    "embedding_only": About("Embedding alone", "PSNR with the embedding, and one mean code in every cell."),
    "embedding_worth": About("Embedding off costs", "What is lost of PSNR without the embedding."),
    "codes_worth": About(
        "Other codes cost", "What other codes cost while the embedding stays: shuffled, and another image's."
    ),
    "codes_gain": About("Codes in place", "The codes alone over the same codes in the wrong places."),
    "against_twin": About("Against its twin", "The codes alone against a decoder of the same size with nothing else."),
    "beyond": About(
        "Beyond training",
        f"The share of the cells that lie beyond what the decoder met in training, as it is fed them {AT_HAND}.",
        "%",
    ),
}
_AT_BORDER = ("embedding_share", "code_share", "code_size", "not_additive")
ONE_INPUT = "one input"  # why a figure is none of a model's


@dataclass(frozen=True, eq=False)
class Side:
    """One of the models, tested."""

    number: int  # of its column
    name: str
    report: Report

    @property
    def inputs(self) -> int:
        return self.report.evidence.inputs


@dataclass(frozen=True, eq=False)
class Difference:
    """How much larger a figure is than another model's, over the images that both were tested on."""

    estimate: Estimate | None  # None where there is no such image
    same: bool = False  # of one and the same model


@dataclass(frozen=True, eq=False)
class Row:
    """A figure of each model."""

    name: str  # in COMPARED
    values: tuple[Estimate | str, ...]  # of each side, or why it has none
    differences: tuple[Difference, ...]  # of each side from one of them

    @property
    def about(self) -> About:
        return COMPARED[self.name]


def check(model: OpenModel) -> None:
    """Raise BadInput for a model that cannot be tested: cells need a grid, and codes of one codebook."""
    levels = model.spec.levels
    if len(levels) != 1 or levels[0].stride is None:
        what = "a row of tokens" if len(levels) == 1 else f"{len(levels)} levels"
        raise BadInput(f"The test moves cells of one grid of codes, and this tokenizer has {what}.")


def tested_on(
    model: OpenModel,
    images: ImageSet,
    settings: Settings,
    *,
    data: str,
    twin: OpenModel | None = None,
    only: tuple[int, int] | None = None,
    progress: Progress = unheard,
) -> Report:
    """Test one of the models over a set; `only` is the height and width that all of them are shown images at.

    data: the set, as a command is told of it. twin: as `measure_set`'s. When `progress` stops it, the report is of the
    images measured by then. Raises Cancelled where there are none, and BadInput.
    """
    check(model)
    evidence = measure_set(tested(model, twin), images, settings, only=only, progress=progress)
    source = provenance_of(model, images, settings, named=named(model), data=data, under=images.under, twin=twin)
    return Report.of(evidence, source)


def figures_by_image(report: Report) -> dict[str, dict[str, float]]:
    """The figures of COMPARED, image by image, by the SHA-256 of its pixels; NaN for one that an image has not.

    Over the images that count, or where there is a single one over that.
    """
    evidence = report.evidence
    place = evidence.settings.blends.index(evidence.settings.blend)
    found: dict[str, dict[str, float]] = {name: {} for name in COMPARED}
    for image in evidence.counted or evidence.images:
        of_image = figures_of(image, evidence.inputs) | _at_border(image, place)
        if image.beyond is not None:
            of_image["beyond"] = image.beyond
        for name in COMPARED:
            found[name][image.digest] = of_image.get(name, np.nan)
    return found


def _at_border(image: ImageEvidence, place: int) -> dict[str, float]:
    together = Change.together([cell.changes[place] for cell in image.moved])
    return {name: getattr(together, name) for name in _AT_BORDER}


def rows(sides: Sequence[Side], *, base: int = 0) -> tuple[Row, ...]:
    """Every figure that at least one of the models has, with differences from the model at `base`."""
    if not sides:
        return ()
    by_image = [figures_by_image(side.report) for side in sides]
    own = [estimates_of(side.report) for side in sides]
    apart = [
        {} if place == base else differences(sides[base], sides[place], by_image[base], by_image[place])
        for place in range(len(sides))
    ]
    return tuple(
        Row(
            name,
            tuple(estimates.get(name, _why_none(name, side)) for side, estimates in zip(sides, own, strict=True)),
            tuple(Difference(one.get(name), same=place == base) for place, one in enumerate(apart)),
        )
        for name in COMPARED
        if any(name in estimates for estimates in own)
    )


def estimates_of(report: Report) -> dict[str, Estimate]:
    """The means of the figures of COMPARED over a model's images, as its own test has them."""
    columns = {name: np.array(list(values.values())) for name, values in figures_by_image(report).items()}
    return means(columns, seed=report.evidence.settings.seed)


def _why_none(name: str, side: Side) -> str:
    if name == "beyond":
        return "not known"
    if name == "against_twin":
        return ONE_INPUT if side.inputs == 1 else "no twin"
    return ONE_INPUT if side.inputs == 1 else "not measured"


def differences(
    base: Side,
    other: Side,
    of_base: Mapping[str, Mapping[str, float]],
    of_other: Mapping[str, Mapping[str, float]],
) -> dict[str, Estimate]:
    """By how much each figure of a model is larger than another's: means over the images that both have it for.

    Image by image, so that what is hard for both falls out; 95 % intervals by the bootstrap over those images.
    """
    shared = [digest for digest in of_base["whole"] if digest in of_other["whole"]]
    columns = {
        name: np.array([of_other[name][digest] - of_base[name][digest] for digest in shared]) for name in COMPARED
    }
    seed = min(base.report.evidence.settings.seed, other.report.evidence.settings.seed)
    return means(columns, seed=seed) if shared else {}


# --- how near to its training a decoder is fed ------------------------------------------------------------------------


def how_near(report: Report) -> Verdict | None:
    """What the meter says of the cells of a test's images, all together; None where nobody knows the training."""
    share = estimates_of(report).get("beyond")
    if share is None:
        return None
    grade: Grade = "good" if share.value <= manifold.FEW else "fair"
    where = "On known ground" if grade == "good" else "Near the edge"
    said = f"{where}: of an image's cells, {percent(share)} are beyond what the decoder met in training."
    return Verdict(grade, said, f"The mean over {share.images:,} images.")


def said_of(report: Report) -> list[str]:
    """A sentence each: whom the decoder follows, what stands alone, and, where it is known, how near it is fed."""
    near = how_near(report)
    return [*(part.sentence for part in report.judgement.parts), *([near.sentence] if near else [])]


def percent(value: Estimate) -> str:
    """A share with its interval, as percentages."""
    low, high = (None if end is None else 100 * end for end in (value.low, value.high))
    said, _, interval = ranged(Estimate(100 * value.value, low, high, value.images), digits=1).partition(" [")
    return f"{said} %{f' [{interval}' if interval else ''}"


# --- for other programs -----------------------------------------------------------------------------------------------

COLUMNS = ("figure", "meaning", "unit", "model", "minus", "value", "low", "high", "images", "says")


def plain_rows(sides: Sequence[Side]) -> list[dict[str, Any]]:
    """Every figure of every model, then every difference of two of them, with those of COLUMNS that it has.

    low, high: of the 95 % interval; nothing where there is one image. says: why there is no value.
    """
    return [*_own_rows(sides), *_rows_of_pairs(sides)]


def curve_rows(sides: Sequence[Side]) -> list[dict[str, Any]]:
    """Whom each model follows at each blend, with 95 % intervals; nothing of one with one input."""
    return [{"model": side.name} | row for side in sides for row in following_rows(side.report.summary)]


def _own_rows(sides: Sequence[Side]) -> Iterator[dict[str, Any]]:
    for row in rows(sides):
        for side, value in zip(sides, row.values, strict=True):
            yield _named(row.name) | {"model": side.name} | _plain(value)


def _rows_of_pairs(sides: Sequence[Side]) -> Iterator[dict[str, Any]]:
    for base in range(len(sides)):
        for row in rows(sides, base=base):
            for other in range(base + 1, len(sides)):
                found = row.differences[other].estimate
                if found is not None:
                    yield _named(row.name) | {"model": sides[other].name, "minus": sides[base].name} | _plain(found)


def _named(name: str) -> dict[str, Any]:
    about = COMPARED[name]
    return {"figure": name, "meaning": about.meaning, "unit": "" if about.unit == "%" else about.unit}


def _plain(value: Estimate | str) -> dict[str, Any]:
    return {"says": value} if isinstance(value, str) else asdict(value)


def verdicts(sides: Sequence[Side]) -> list[dict[str, Any]]:
    """Both parts of each model's verdict: its grade, its name in a few words, and the sentence with its figures."""
    return [
        {"model": side.name, "part": part, "grade": found.grade, "name": found.name, "sentence": found.sentence}
        for side in sides
        for part, found in zip(("follows", "stands_alone"), side.report.judgement.parts, strict=True)
    ]
