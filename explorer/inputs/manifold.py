"""The off-manifold meter: how far what the decoder is fed lies from what it was trained on.

Cell by cell, a few figures of the pair (quantized, embedding) are held against their ranges over the training photos,
at the blends that training drew; those ranges lie beside the model. No picture is decoded for it.

What it cannot see: each cell is judged by itself, so a grid of codes that no photo has passes here, as long as each
cell is fed a code and something near it; how codes stand beside one another is judged by `neighbours`, in a line of its
own. A residual turned round looks much like one that is not: a blend below 0 is only known where the caller says the
blend.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor

from explorer.base import beside
from explorer.base.figure import Figure
from explorer.base.job import Progress, unheard
from explorer.base.open_model import OpenModel
from explorer.base.verdict import Grade
from explorer.editing.edits import DecoderInputs
from explorer.engines import IN_PROCESS, Engine
from explorer.images.reading import Fit, Opened, each_image
from explorer.images.sets import ImageSet
from explorer.inputs import neighbours
from vqvae.errors import BadInput
from vqvae.families.two_input import model_config
from vqvae.images import to_tensor
from vqvae.model import FAMILY
from vqvae.search import Codebook
from vqvae.tokenizer import Encoding, Spec, cells

if TYPE_CHECKING:
    from vqvae.training.settings import TrainingConfig

FILE = beside.FED
QUANTILES = 201  # of each figure, the smallest and the largest among them: one every half percent
INSIDE = (1, 199)  # which of them bound the range: 0.5 % and 99.5 %
SLACK, FAR = 0.05, 0.15  # units outside the range from which a cell is beyond it, and far beyond it
FEW, MANY = 0.10, 0.35  # up to the first share of cells beyond is good; more than the second far beyond is poor
SAMPLED = 1 << 20  # pairs of a cell and a blend that the quantiles are taken from, as many of each photo
MOST_OF_ONE = 1 << 14  # of them, where there are few photos
_LEAST_UNIT = 1e-6

Measured = Literal["code", "residual", "embedding", "angle", "nearness", "blend"]
Inputs = Literal[1, 2]
Blends = Callable[[int, torch.Generator], Tensor]  # how many, a multiple of 8 -> [N], as training draws them

MEASURED: dict[Measured, tuple[str, str]] = {  # what it means to be below the range, and above it
    "code": ("the first input is a code of the codebook", "the first input is no code of the codebook"),
    "residual": ("the embedding is nearer to its code", "the embedding is further from its code"),
    "embedding": ("the embedding is shorter", "the embedding is longer"),
    "angle": ("the embedding points more like its code", "the embedding points further away from its code"),
    "nearness": ("the embedding is too much its own code's", "the embedding is nearer to other codes than to its own"),
    "blend": ("the blend is lower", "the blend is higher"),
}


# --- figures of a cell ------------------------------------------------------------------------------------------------


def figures_of(quantized: Tensor, embedding: Tensor, codebook: Codebook, *, inputs: Inputs) -> dict[Measured, Tensor]:
    """Figures of each cell, with q and u for its rows of quantized and embedding, [N, D] each -> [N] float32 each.

        code        ‖q − the code nearest to it‖
        residual    ‖u − q‖
        embedding   ‖u‖
        angle       between u and q, in degrees; 0 where one of them is zero
        nearness    ‖u − q‖ / ‖u − e‖ with e the code nearest to u but for q's own: above 1 the cell belongs to e;
                    measured as the codebook's metric does

    A decoder with one input does not see q: for it, q is the code that is nearest to u.

    With nearest-code quantization nearness is at most 1 at every blend in [0, 1]: what lies nearest to a code is
    convex. That is the one figure here that is a law and not only a habit of the training photos.
    """
    quantized, embedding = quantized.float(), embedding.float()
    own = codebook.nearest(embedding if inputs == 1 else quantized)
    codes = codebook.vectors[own].float()
    if inputs == 1:
        quantized = codes
    residual = (embedding - quantized).norm(dim=1)
    length, code_length = embedding.norm(dim=1), quantized.norm(dim=1)
    other = codebook.runners_up(embedding, own).distances
    apart = codebook.distances(embedding, own) if codebook.metric in ("cosine", "dot") else residual
    return {
        "code": (quantized - codes).norm(dim=1),
        "residual": residual,
        "embedding": length,
        "angle": _angle(residual, length, code_length),
        "nearness": apart / other.clamp(min=torch.finfo(torch.float32).tiny),  # two codes may be equal
    }


def _angle(residual: Tensor, length: Tensor, code_length: Tensor) -> Tensor:
    """Degrees between two vectors by the three sides of their triangle (Kahan): exact where an arc cosine is not."""
    longer, shorter = torch.maximum(length, code_length), torch.minimum(length, code_length)
    gap = longer - shorter
    above = (residual - gap).clamp(min=0) * (residual + gap)
    below = (longer + shorter + residual) * (longer + shorter - residual).clamp(min=0)
    return torch.where(shorter > 0, torch.rad2deg(2 * torch.atan2(above.sqrt(), below.sqrt())), 0.0)


def codes_fed(fed: DecoderInputs, codebook: Codebook, *, inputs: Inputs) -> np.ndarray:
    """The code of each cell of what the decoder is fed, [1, D, h, w] each -> int64 [h, w]: the one nearest to it."""
    vectors = fed.embedding if inputs == 1 else fed.quantized
    return codebook.nearest(cells(vectors)).view(vectors.shape[-2:]).numpy()


# --- what training fed ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Reference:
    """What the decoder was fed in training: the quantiles of each figure, over photos and the blends drawn for them."""

    quantiles: dict[Measured, np.ndarray]  # float32 [201] each, rising
    lost: float  # median ‖embedding − quantized‖ of the whole embedding: what quantization loses of a cell
    length: float  # median ‖embedding‖ of the whole embedding
    inputs: Inputs  # of the decoder
    images: int
    cells: int  # pairs of a cell and a blend that were looked at

    def range(self, figure: Measured) -> tuple[float, float]:
        """Where 99 % of the training lies."""
        low, high = self.quantiles[figure][list(INSIDE)]
        return float(low), float(high)

    def unit(self, figure: Measured) -> float:
        """What counts as far for a figure: what quantization loses, as a length or as an angle; 1 for ratios."""
        if figure in ("code", "residual", "embedding"):
            return self.lost
        return math.degrees(math.atan2(self.lost, self.length)) if figure == "angle" else 1.0


def training_blends(settings: Mapping[str, Any], spec: Spec) -> Blends:
    """The blends that a model was trained with, from the content of its config.json; raises BadInput for a bad one.

    Where that says nothing of the training, it is taken to be the usual of its family: for ours half of the blends 0,
    an eighth 1, the others anywhere between; for all others 0, since their training gives the decoder the quantized
    vectors alone, as both inputs where it has two.
    """
    if spec.family != FAMILY:
        return _codes_alone
    from vqvae.training.settings import TrainingConfig

    training = settings.get("fine_tuning", settings.get("training"))  # the last run is what the decoder knows
    said = training if isinstance(training, dict) else {}
    known = {name: said[name] for name in ("embedding_dropout", "codes_only_share", "whole_share") if name in said}
    return partial(_as_trained, replace(TrainingConfig.from_dict(known), model=model_config(settings)))


def _codes_alone(number: int, generator: torch.Generator) -> Tensor:
    return torch.zeros(number)


def _as_trained(config: TrainingConfig, number: int, generator: torch.Generator) -> Tensor:
    from vqvae.training.trainer import draw_blend

    return draw_blend(number, config, generator).flatten()


@dataclass(frozen=True, eq=False)
class Fed:
    """What the decoder was fed over a set of images."""

    reference: Reference
    grids: tuple[np.ndarray, ...]  # int64 [h, w] each, of photos evenly over the set: what `neighbours.learn` takes
    unreadable: tuple[tuple[str, str], ...]  # name and reason of each image that was left out


def measure_fed(
    model: OpenModel,
    images: ImageSet,
    *,
    blends: Blends,
    working_size: int,
    seed: int = 0,
    progress: Progress = unheard,
    engine: Engine = IN_PROCESS,
) -> Fed:
    """What the decoder is fed over a set of images, each with a long side of `working_size` pixels.

    Of each photo as many cells are drawn, each with a blend of its own, as in training each photo is as likely.
    The working size stands for the range of sizes in training. What is drawn of an image depends on the seed and on its
    number in the set alone: the same seed gives the same figures, whatever the engine. `progress` counts images. Raises
    Cancelled, and BadInput when none of them can be read.
    """
    number, every = len(images.names), neighbours.one_in(len(images.names))
    each = max(8, min(MOST_OF_ONE, SAMPLED // number) // 8 * 8)
    drawn: list[_Drawn] = []
    unreadable: list[tuple[str, str]] = []
    work, fit, done = _Look(model, blends, each, seed, every), Fit(working_size, model.spec.sizes.only), 0
    looked = each_image(images, work, fit, engine=engine, waiting=lambda: progress(done, number))
    with closing(looked) as results:
        for done, (name, result) in enumerate(zip(images.names, results, strict=True), start=1):
            if isinstance(result, BadInput):
                unreadable.append((name, str(result)))
            else:
                drawn.append(result)
            progress(done, number)
    if not drawn:
        raise BadInput(f"No image in {images.label} could be read; name a set that holds some.")
    table = np.concatenate([one.figures for one in drawn])
    lost, length = torch.from_numpy(np.concatenate([one.whole for one in drawn])).median(0).values.tolist()
    quantiles = np.quantile(table, np.linspace(0, 1, QUANTILES), axis=0).astype(np.float32)
    found = dict(zip(MEASURED, quantiles.T.copy(), strict=True))
    return Fed(
        Reference(found, lost, length, model.inputs, len(drawn), len(table)),
        tuple(one.grid for one in drawn if one.grid is not None),
        tuple(unreadable),
    )


@dataclass(frozen=True, eq=False)
class _Drawn:
    """What was drawn of one image."""

    figures: np.ndarray  # float32 [N, those of MEASURED], of cells at their blends
    whole: np.ndarray  # float32 [N, 2]: what quantization loses of the same cells, and the length of their embedding
    grid: np.ndarray | None  # int64 [h, w], the codes, of the images whose grids are kept


@dataclass(frozen=True)
class _Look:
    """What is done with each image, by whichever worker."""

    model: OpenModel
    blends: Blends
    each: int  # cells that are drawn of it
    seed: int
    every: int  # the grid of one image in so many is kept

    @torch.inference_mode()
    def __call__(self, image: Opened) -> _Drawn:
        generator = torch.Generator().manual_seed(_seed_of(self.seed, image.number))
        codebook = self.model.codebook
        encoding = self.model.tokenizer.encode(to_tensor(image.pixels))
        sample = _sample(encoding, self.each, generator)
        weight = self.blends(self.each, generator)
        embedding = sample.quantized.lerp(sample.embedding, weight[:, None])
        found = figures_of(sample.quantized, embedding, codebook, inputs=self.model.inputs) | {"blend": weight}
        lost = (sample.embedding - sample.quantized).norm(dim=1)
        return _Drawn(
            figures=torch.stack([found[figure] for figure in MEASURED], dim=1).numpy(),
            whole=torch.stack([lost, sample.embedding.norm(dim=1)], dim=1).numpy(),
            grid=None if image.number % self.every else neighbours.grid_of(encoding, codebook),
        )


def _seed_of(seed: int, number: int) -> int:
    """That of an image's own draws, from the seed of all and its number in the set."""
    return int(np.random.SeedSequence((seed, number)).generate_state(1)[0])


@dataclass(frozen=True, eq=False)
class _Sample:
    embedding: Tensor  # [N, D]
    quantized: Tensor  # [N, D]


def _sample(encoding: Encoding, number: int, generator: torch.Generator) -> _Sample:
    """Cells of one image, drawn with putting back."""
    embedding, quantized = cells(encoding.embedding).float(), cells(encoding.quantized).float()
    drawn = torch.randint(len(embedding), (number,), generator=generator)
    return _Sample(embedding[drawn], quantized[drawn])


def save(folder: Path, reference: Reference, *, checkpoint: str, identity: str = "") -> None:
    """Put the reference beside the model; `checkpoint` is its content hash, so that it is not taken for another's.

    identity: that of the set it is of, as its manifest says it; kept with it.
    """
    about = {
        "checkpoint": checkpoint,
        "inputs": str(reference.inputs),
        "images": str(reference.images),
        "cells": str(reference.cells),
        **beside.of_set(identity),
    }
    arrays: dict[str, np.ndarray] = {"whole": np.array([reference.lost, reference.length], np.float32)}
    for figure, quantiles in reference.quantiles.items():
        arrays[figure] = quantiles
    beside.write(folder / FILE, arrays, about)


def load(folder: Path, *, checkpoint: str) -> Reference | None:
    """The reference in a checkpoint's folder; None where there is none, or it is damaged or of another model.

    `python -m explorer fed DATA --checkpoint NAME` makes it.
    """
    shapes = {"whole": (2,)} | dict.fromkeys(MEASURED, (QUANTILES,))
    found = beside.read(folder / FILE, {name: (np.dtype(np.float32), shape) for name, shape in shapes.items()})
    if found is None:
        return None
    about, stored = found.about, found.arrays
    counted = [about.get(name, "") for name in ("images", "cells")]
    if about.get("checkpoint") != checkpoint or not all(number.isdecimal() for number in counted):
        return None
    if about.get("inputs") not in ("1", "2") or not all(_sound(values) for values in stored.values()):
        return None
    lost, length = stored.pop("whole").tolist()
    quantiles: dict[Measured, np.ndarray] = {figure: stored[figure] for figure in MEASURED}
    if min(lost, length) < 0 or any((np.diff(values) < 0).any() for values in quantiles.values()):
        return None
    images, number = (int(text) for text in counted)
    return Reference(quantiles, lost, length, 1 if about["inputs"] == "1" else 2, images, number)


def _sound(values: np.ndarray) -> bool:
    return bool(np.isfinite(values).all())


# --- the meter --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Meter:
    """How far what the decoder is fed lies from its training."""

    grade: Grade
    sentence: str
    share: float  # 0…1, of the cells that are beyond the training range; of the edited ones where that is more
    out: np.ndarray  # float32 [h, w], how far beyond the range a cell is, in units; 0 within it
    beyond: np.ndarray  # bool [h, w], which cells count as beyond
    medians: dict[Measured, float]  # over all cells; no "blend" where the caller did not say it


def measure(
    fed: DecoderInputs,
    codebook: Codebook,
    reference: Reference,
    *,
    weight: float | np.ndarray | None = None,
    edited: np.ndarray | None = None,
) -> Meter:
    """Hold the decoder's inputs, [1, D, h, w] each, against its training.

    weight: the blend of each cell, a number or [h, w], where it is known; without it a blend below 0
    can go unseen. edited: [h, w] bool, cells to judge by themselves too, since a few of them are lost among all: the
    worse of the two counts.

    A cell is beyond its training when any of its figures is more than 0.05 units outside the range of 99 % of it, and
    far beyond from 0.15 on. Good: at most 10 % are beyond (in training, for each figure, at most 1 %). Poor: more than
    35 % are far beyond. Fair: what is between.
    """
    rows, columns = fed.quantized.shape[-2:]
    found = figures_of(cells(fed.quantized), cells(fed.embedding), codebook, inputs=reference.inputs)
    if weight is not None:
        found["blend"] = torch.as_tensor(weight, dtype=torch.float32).expand(rows, columns).flatten()
    out = torch.stack([_outside(values, reference, figure) for figure, values in found.items()])
    if weight is not None:
        out[-1] = out[-1].where(found["residual"] > 0, 0.0)  # of nothing, any blend is nothing
    worst = out.flatten(0, 1).amax(0)
    judged, what = torch.ones_like(worst, dtype=torch.bool), "cells"
    if edited is not None and edited.any():
        among = torch.from_numpy(edited).flatten()
        if (worst[among] > SLACK).float().mean() > (worst > SLACK).float().mean():
            judged, what = among, "edited cells"
    grade, share, far = _grade(worst[judged])
    outermost = out.flatten(0, 1).argmax(0)[judged & (worst > SLACK)]
    reasons = [text for figure in found for text in MEASURED[figure]]
    reason = reasons[int(outermost.bincount(minlength=len(reasons)).argmax())]
    return Meter(
        grade=grade,
        sentence=_sentence(grade, share, far, total=int(judged.sum()), what=what, reason=reason),
        share=share,
        out=worst.view(rows, columns).numpy(),
        beyond=(worst > SLACK).view(rows, columns).numpy(),
        medians={figure: values.median().item() for figure, values in found.items()},
    )


def telling(meter: Meter, reference: Reference, *, most: int = 2) -> list[Measured]:
    """The figures that say most of what is fed: those that varied most in training, for their units, the widest first.

    One that did not vary there tells nothing, unless it is beyond that now. The blend, which is set by hand, is none.
    """
    width: dict[Measured, float] = {}
    for figure, value in meter.medians.items():
        (low, high), unit = reference.range(figure), max(reference.unit(figure), _LEAST_UNIT)
        beyond = max(low - value, value - high)
        if figure != "blend" and max(high - low, beyond) > SLACK * unit:
            width[figure] = (high - low) / unit
    return sorted(width, key=width.__getitem__, reverse=True)[:most]


def _outside(values: Tensor, reference: Reference, figure: Measured) -> Tensor:
    """How far below and above the range each is, in units: [N] -> [2, N]; what is no number is infinitely far."""
    low, high = reference.range(figure)
    away = torch.stack([low - values, values - high]).clamp(min=0) / max(reference.unit(figure), _LEAST_UNIT)
    return away.nan_to_num(nan=torch.inf)


def _grade(out: Tensor) -> tuple[Grade, float, float]:
    """The verdict on cells so far out, [N], and the share of them that is beyond, and far beyond."""
    share, far = (int((out > limit).sum()) / len(out) for limit in (SLACK, FAR))
    return "good" if share <= FEW else "poor" if far > MANY else "fair", share, far


def _sentence(grade: Grade, share: float, far: float, *, total: int, what: str, reason: str) -> str:
    if share == 0:
        return f"On known ground: all {total:,} {what} are fed what the decoder met in training."
    number, far_number = round(share * total), round(far * total)
    if grade == "good":
        return f"On known ground: only {number:,} of {total:,} {what} are beyond what the decoder met in training."
    if grade == "fair":
        counted = f"{number:,} of {total:,} {what} ({share:.0%}) are beyond what the decoder met in training"
        return f"Near the edge: {counted}, mostly because {reason}."
    counted = f"{far_number:,} of {total:,} {what} ({far:.0%}) are far beyond what the decoder met in training"
    return f"Off the manifold: {counted}, mostly because {reason}."


def meter_figures(meter: Meter, reference: Reference) -> list[Figure]:
    """The figures behind a verdict: the median over the cells, and the range of the training."""
    names: dict[Measured, tuple[str, str, str]] = {
        "code": ("Off the codebook", "", "Distance of the first input from the nearest code."),
        "residual": ("Residual", "", "Distance of the embedding that is fed from its code."),
        "embedding": ("Length", "", "Length of the embedding that is fed."),
        "angle": ("Angle", "°", "Between the embedding that is fed and its code."),
        "nearness": (
            "Nearness",
            "",
            "Distance to its own code over that to the nearest other; above 1, it is not its.",
        ),
        "blend": ("Blend", "", "How much of the embedding is blended in."),
    }
    shown_figures = []
    for figure, value in meter.medians.items():
        (label, sign, meaning), (low, high) = names[figure], reference.range(figure)
        trained = f"In training 99 % lie between {low:.2f}{sign} and {high:.2f}{sign}."
        shown_figures.append(Figure(label, f"{value:.2f}{sign}", f"{meaning} Median over the cells. {trained}"))
    return shown_figures
