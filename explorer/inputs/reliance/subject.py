"""What is tested, held against what, and on what: as page and command hand it to the test."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from explorer.base.job import Progress, unheard
from explorer.base.open_model import OpenModel, open_folder
from explorer.engines import IN_PROCESS, Engine
from explorer.images.sets import ImageSet
from explorer.inputs import manifold
from explorer.inputs.manifold import Reference
from explorer.inputs.reliance.ablations import Met
from explorer.inputs.reliance.measure import Settings, Tested, Twin, measure_set
from explorer.inputs.reliance.report import Provenance, Report
from vqvae import checkpoint
from vqvae.checkpoint import CheckpointInfo
from vqvae.errors import BadInput
from vqvae.places import checkpoints_folder

OF_THE_INPUTS = ("decoder_inputs", "embedding_channels")  # settings in which a twin differs


def find_twin(model: OpenModel, root: Path) -> Path | None:
    """The folder below `root` of a checkpoint like a model with two inputs in all settings but theirs, with one input.

    The first by name; None where there is none, or the model has one input itself.
    """
    wanted = _size(model.settings)
    if model.inputs == 1 or wanted is None:
        return None
    for info in checkpoint.find(root):
        if not isinstance(info, CheckpointInfo) or info.spec.inputs != 1 or info.spec.family != model.spec.family:
            continue
        try:
            settings = checkpoint.read_config(info.folder)
        except BadInput:
            continue
        if _size(settings) == wanted:
            return info.folder
    return None


def _size(settings: Mapping[str, Any]) -> dict[str, Any] | None:
    """The settings of a model but for those of its inputs."""
    model = settings.get("model")
    if not isinstance(model, dict):
        return None
    return {name: value for name, value in model.items() if name not in OF_THE_INPUTS}


def tested(model: OpenModel, twin: OpenModel | None) -> Tested:
    """The model as what is tested, with what it met in training where that is known."""
    return _of_models(model, twin, manifold.load(model.folder, checkpoint=model.fingerprint))


def _of_models(model: OpenModel, twin: OpenModel | None, reference: Reference | None) -> Tested:
    return Tested(
        model.tokenizer,
        model.codebook,
        None if reference is None else Met(model.codebook, reference),
        None if twin is None else Twin(twin.name, twin.tokenizer),
        again=partial(_of_models, model, twin, reference),
    )


def named(model: OpenModel) -> str:
    """What names a model to the command: a checkpoint by itself, code of one's own by its option."""
    return model.argument.removeprefix("--checkpoint ")


def run_test(
    model: OpenModel,
    images: ImageSet,
    settings: Settings,
    *,
    named: str,
    data: str,
    under: str,
    progress: Progress = unheard,
    engine: Engine = IN_PROCESS,
) -> Report:
    """Test a model over a set, against its twin where there is one, and draw the conclusions.

    named, data, under: as for `provenance_of`. When `progress` raises Cancelled, the report is of the images measured
    by then; raises it too where there are none, and BadInput where no image can be read.
    """
    folder = find_twin(model, checkpoints_folder())
    twin = None if folder is None else open_folder(folder)
    evidence = measure_set(tested(model, twin), images, settings, progress=progress, engine=engine)
    source = provenance_of(model, images, settings, named=named, data=data, under=under, twin=twin)
    return Report.of(evidence, source)


def provenance_of(
    model: OpenModel,
    images: ImageSet,
    settings: Settings,
    *,
    named: str,
    data: str,
    under: str,
    twin: OpenModel | None,
) -> Provenance:
    """Hashes, and the command that gives the same figures.

    named: the model, as the command is told of it; data, under: the set, likewise.
    """
    words = [data]
    defaults = Settings()
    said = {
        "--under": (under, ""),
        "--size": (settings.working_size, defaults.working_size),
        "--images": (settings.images, defaults.images),
        "--seed": (settings.seed, defaults.seed),
        "--partners": (settings.partners, defaults.partners),
        "--blend": (settings.blend, defaults.blend),
    }
    for name, (value, default) in said.items():
        if value != default:
            words += [name, str(value)]
    return Provenance(
        model=model.name,
        fingerprint=model.fingerprint,
        data=images.label,
        identity=images.identity,
        command=f"python -m explorer reliance {named} {shlex.join(words)}",
        twin="" if twin is None else twin.fingerprint,
    )
