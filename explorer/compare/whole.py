"""A comparison with all its parts, one after another: what the command, a program and the page hand to the report."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from explorer.base.job import Cancelled, Progress, unheard
from explorer.base.open_model import OpenModel
from explorer.compare import examples, measure
from explorer.compare.records import Comparison, Settings
from explorer.compare.report import Report
from explorer.images.sets import ImageSet
from vqvae.errors import BadInput, shown
from vqvae.words import counted

FEWEST, MOST = 2, 4
MEASURING = "Measuring images"  # the stage of the one pass


@dataclass(frozen=True)
class Source:
    """A set of images, and how a command is told of it."""

    images: ImageSet
    data: str
    under: str = ""


def check_number(models: int) -> None:
    """Raise BadInput unless that is a number of models that can be compared."""
    if not FEWEST <= models <= MOST:
        named = "none is named" if not models else counted(models, "is named", "are named")
        raise BadInput(f"Two to four models are compared, and {named}; name so many.")


def check(models: Sequence[OpenModel]) -> None:
    """Raise BadInput unless these are two to four models of which no two are the same."""
    check_number(len(models))
    for number, model in enumerate(models, 1):
        for before, other in enumerate(models[: number - 1], 1):
            if other.fingerprint == model.fingerprint:
                names = " and ".join(dict.fromkeys(shown(one.name) for one in (other, model)))
                raise BadInput(f"Models {before} and {number}, {names}, are the same weights; name another.")


def command_of(models: Sequence[OpenModel], source: Source, settings: Settings) -> str:
    """The command that gives the same figures; -o says where to."""
    words = ["python", "-m", "explorer", "compare"]
    told = [model.argument.partition(" ")[::2] for model in models]
    words += [name for option, name in told if option == "--checkpoint"]
    words += [word for option, name in told if option != "--checkpoint" for word in (option, name)]
    words += ["--set", source.data]
    defaults = Settings()
    said = {
        "--under": (source.under, ""),
        "--size": (settings.working_size, defaults.working_size),
        "--images": (settings.most, defaults.most),
        "--blend": (settings.weight, defaults.weight),
        "--seed": (settings.seed, defaults.seed),
        "--device": (next((model.device for model in models if model.device != "cpu"), "cpu"), "cpu"),
    }
    for name, (value, default) in said.items():
        if value != default:
            words += [name, str(value)]
    return shlex.join(words)


def compare(
    models: Sequence[OpenModel],
    source: Source,
    settings: Settings,
    *,
    progress: Progress = unheard,
) -> Report:
    """Compare two to four models over a set, in all that a report has; what is measured is kept in the cache.

    `progress` counts each stage by itself. Raises BadInput, and Cancelled where `progress` stops the work: the next
    call with the same models and the same set goes on from there.
    """
    check(models)
    folder = measure.kept_folder()
    comparison = measure.measure(models, source.images, settings, progress=staged(progress, MEASURING), kept=folder)
    if not comparison.finished:
        raise Cancelled
    command = command_of(models, source, settings)
    return of(comparison, models, source.images, command=command, progress=progress)


def of(
    comparison: Comparison,
    models: Sequence[OpenModel],
    images: ImageSet,
    *,
    command: str,
    progress: Progress = unheard,
) -> Report:
    """The report of what was measured already."""
    return Report(comparison, command, examples=examples.draw(comparison, models, images, progress=progress))


def staged(progress: Progress, said: str) -> Progress:
    """Progress of a part of the work that says none of its own stages."""

    def heard(done: int, total: int, stage: str = "") -> None:
        progress(done, total, stage or said)

    return heard
