"""A comparison with all its parts, one after another: what the command, a program and the page hand to the report."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count

from explorer.base.job import Cancelled, Progress, at_stage, unheard
from explorer.base.open_model import OpenModel, open_folder
from explorer.compare import codebooks, distortion, examples, measure
from explorer.compare.inputs import Side, tested_on
from explorer.compare.records import Comparison, Settings
from explorer.compare.report import Report
from explorer.images.sets import ImageSet
from explorer.inputs.reliance import measure as tests
from explorer.inputs.reliance.report import Report as TestReport
from explorer.inputs.reliance.subject import find_twin
from vqvae.errors import BadInput, Unreachable, shown
from vqvae.places import checkpoints_folder
from vqvae.served import quoted
from vqvae.words import counted

FEWEST, MOST = 2, 4
MEASURING, CODES_ALONE = "Measuring images", "Measuring images from the codes alone"  # stages of the work
MATCHING = "Matching codes"


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


def told_apart(models: Sequence[OpenModel]) -> list[OpenModel]:
    """The models, of which those that share a name have their number behind it: "m (1)"."""
    names = [model.name for model in models]
    found: list[OpenModel] = []
    for place, model in enumerate(models, 1):
        if names.count(model.name) == 1:
            found.append(model)
            continue
        taken = {*names, *(one.name for one in found)}
        numbered = (f"{model.name} ({number})" for number in count(place))
        found.append(replace(model, name=next(name for name in numbered if name not in taken)))
    return found


def command_of(models: Sequence[OpenModel], source: Source, settings: Settings, *, with_reliance: bool = False) -> str:
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
    return shlex.join([*words, *(["--reliance"] if with_reliance else [])])


def compare(
    models: Sequence[OpenModel],
    source: Source,
    settings: Settings,
    *,
    with_reliance: bool = False,
    progress: Progress = unheard,
) -> Report:
    """Compare two to four models over a set, in all that a report has; what is measured is kept in the cache.

    with_reliance: also find out which input each decoder follows; it comes last, since it is not kept.
    `progress` counts each stage by itself. Raises BadInput, and Cancelled where `progress` stops the work: the next
    call with the same models and the same set goes on from there, but starts the test of reliance again.
    """
    check(models)
    models = told_apart(models)
    folder = measure.kept_folder()
    comparison = measure.measure(models, source.images, settings, progress=at_stage(progress, MEASURING), kept=folder)
    if not comparison.finished:
        raise Cancelled
    command = command_of(models, source, settings, with_reliance=with_reliance)
    report = of(comparison, models, source.images, command=command, progress=progress)
    if not with_reliance:
        return report
    return replace(report, sides=reliance(models, source, settings, progress=progress))


def of(
    comparison: Comparison,
    models: Sequence[OpenModel],
    images: ImageSet,
    *,
    command: str,
    sides: tuple[Side | str, ...] = (),
    progress: Progress = unheard,
) -> Report:
    """The report of a comparison, with all that follows from it; raises Cancelled.

    sides: the reliance test of each model, as `reliance` gives it, where it is known already.
    """
    return Report(
        comparison,
        command,
        distortion=distortion.look_at(
            codes_alone(comparison, models, images, progress=progress), models, images, progress=progress
        ),
        codebooks=codebooks.look_at(comparison, models, progress=at_stage(progress, MATCHING)),
        examples=examples.draw(comparison, models, images, progress=progress),
        sides=sides,
    )


def codes_alone(
    comparison: Comparison, models: Sequence[OpenModel], images: ImageSet, *, progress: Progress = unheard
) -> Comparison:
    """The comparison with decoders that are fed the codes alone: what their bits are counted for. Raises Cancelled."""
    if comparison.settings.weight == 0:
        return comparison
    settings, folder = replace(comparison.settings, weight=0.0), measure.kept_folder()
    found = measure.measure(models, images, settings, progress=at_stage(progress, CODES_ALONE), kept=folder)
    if not found.finished:
        raise Cancelled
    return found


def reliance(
    models: Sequence[OpenModel], source: Source, settings: Settings, *, progress: Progress = unheard
) -> tuple[Side | str, ...]:
    """The reliance test of each model over the same images, or why it cannot be tested, in a sentence.

    At a blend of 1, whatever the blend is that the models are compared at. Raises Cancelled.
    """
    wanted = settings_of_tests(settings)
    sides: list[Side | str] = []
    for number, model in enumerate(models, 1):
        try:
            folder = find_twin(model, checkpoints_folder())
            found = tested_on(
                model,
                source.images,
                wanted,
                data=source.data,
                twin=None if folder is None else open_folder(folder),
                only=measure.only_size(models),
                progress=at_stage(progress, f"Reliance of {model.name}"),
            )
        except BadInput as refusal:
            sides.append(str(refusal))
            continue
        except (Cancelled, Unreachable):
            raise
        except Exception as fault:
            sides.append(f"The model could not be tested: it raises {quoted(fault)}.")
            continue
        if not found.evidence.finished:
            raise Cancelled
        sides.append(Side(number, model.name, found))
    return tuple(sides)


def side_of(number: int, name: str, report: TestReport, comparison: Comparison) -> Side | None:
    """A test of one of the models over the comparison's set, made elsewhere, as `reliance` gives it.

    None where it is not whole, of other images than the comparison, or made with other settings than `reliance` has:
    then its figures are others.
    """
    evidence, wanted = report.evidence, settings_of_tests(comparison.settings)
    same_images = report.provenance.identity == comparison.identity and evidence.asked == comparison.asked
    if not same_images or not evidence.finished:
        return None
    told = replace(evidence.settings, images=wanted.images)  # a larger limit on as many images changes nothing
    return Side(number, name, replace(report, evidence=replace(evidence, settings=told))) if told == wanted else None


def settings_of_tests(settings: Settings) -> tests.Settings:
    """With what each model is tested where models are compared with those settings."""
    return tests.Settings(seed=settings.seed, images=settings.most, working_size=settings.working_size)
