"""The off-manifold meter on the screen: a line for the cells, each by itself, and one for what stands beside what."""

from dataclasses import dataclass, replace

import numpy as np

from explorer.base.figure import Figure
from explorer.base.open_model import OpenModel
from explorer.base.verdict import Verdict
from explorer.editing.edits import DecoderInputs
from explorer.inputs import manifold, neighbours
from explorer.ui import cache


@dataclass(frozen=True)
class Lines:
    """What the meter says."""

    cells: Verdict
    neighbours: Verdict | None  # None where nothing at all is known of the training
    figures: tuple[Figure, ...] = ()  # those that tell most

    @property
    def verdicts(self) -> list[Verdict]:
        return [self.cells] if self.neighbours is None else [self.cells, self.neighbours]


def read(
    model: OpenModel,
    fed: DecoderInputs,
    *,
    weight: float | np.ndarray | None = None,
    edited: np.ndarray | None = None,
) -> Lines:
    """How far what the decoder is fed lies from its training; `weight` and `edited` as in `manifold.measure`."""
    reference = cache.fed_reference(model)
    if reference is None:
        return unknown(model)
    meter = manifold.measure(fed, model.codebook, reference, weight=weight, edited=edited)
    shown = dict(zip(meter.medians, manifold.meter_figures(meter, reference), strict=True))
    telling = manifold.telling(meter, reference)
    figures = tuple(_with_training(shown.pop(name), *reference.range(name)) for name in telling)
    details = ", ".join(f"{figure.label.lower()} {figure.value}" for figure in shown.values())
    judged = Verdict(meter.grade, meter.sentence, f"Also measured, as medians over the cells: {details}.")
    return Lines(judged, beside(model, manifold.codes_fed(fed, model.codebook, inputs=model.inputs), edited), figures)


def unknown(model: OpenModel) -> Lines:
    """What is said where there are no figures of the training."""
    how = f"python -m explorer fed PHOTOS {model.argument}"
    why = cache.damage(model, manifold.FILE) or f"Nothing says what this decoder was fed in training; {how} adds that."
    return Lines(Verdict("unsure", why), None)


def beside(model: OpenModel, indices: np.ndarray, edited: np.ndarray | None) -> Verdict:
    """How far a grid of codes keeps to what stood beside what in training."""
    learned = cache.neighbourhoods(model)
    if learned is None:
        return Verdict("unsure", cache.damage(model, neighbours.FILE) or neighbours.unknown(model.argument))
    return neighbours.measure(indices, learned, edited=edited).verdict


def _with_training(figure: Figure, low: float, high: float) -> Figure:
    """A figure of the meter with where 99 % of the training lies."""
    return replace(figure, label=f"{figure.label} (training)", value=f"{figure.value} ({low:.1f} – {high:.1f})")
