"""A small training's result as a checkpoint: in the folder where the picker finds it, or as a zip."""

import io
import json
import re
import shutil
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from explorer.images.samples import SAMPLES
from explorer.learn.comparing import figures
from explorer.learn.lab import HELD_OUT, LabSettings
from explorer.learn.lab_run import Course
from vqvae import checkpoint
from vqvae.errors import BadInput
from vqvae.families import SCHEMA_VERSION
from vqvae.model import FAMILY, VQVAE
from vqvae.training.settings import training_settings
from vqvae.words import counted

LONGEST_NAME = 40
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_TRAINED_ON = [sample.name for sample in SAMPLES if sample.name != HELD_OUT]


def check_name(name: str) -> str:
    """The name of a checkpoint to be; raises BadInput where it cannot be a folder's on every system."""
    if not _NAME.fullmatch(name) or len(name) > LONGEST_NAME or name.endswith("."):
        raise BadInput(
            f"A checkpoint's name has 1 to {LONGEST_NAME} letters from a to z, digits, dots, underscores or hyphens, "
            "and begins with a letter or a digit; choose such a name."
        )
    return name


def keep(course: Course, root: Path, name: str, *, beside: Sequence[Path] = ()) -> Path:
    """Save what a training has come to as the checkpoint of that name below `root`; its folder.

    beside: other folders of checkpoints, where the name has to be free as well, since it means one checkpoint alone.

    Raises BadInput for a name that is bad or taken, and OSError where nothing can be written there.
    """
    folder = root / check_name(name)
    model = _model_of(course)
    taken = BadInput(f"There is a checkpoint named {name} already; choose another name.")
    if name.lower() in (other.name.lower() for place in (root, *beside) if place.is_dir() for other in place.iterdir()):
        raise taken
    root.mkdir(parents=True, exist_ok=True)
    try:
        folder.mkdir()  # whoever makes it has the name
    except FileExistsError:
        raise taken from None
    try:
        checkpoint.write_atomically(folder / "README.md", card(course, name).encode())
        checkpoint.save(folder, model, about(course))
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)  # a half would hold the name, and be listed as broken
        raise
    return folder


def as_zip(course: Course, name: str) -> bytes:
    """A zip of the folder that `keep` makes; raises BadInput for a bad name."""
    packed = io.BytesIO()
    with tempfile.TemporaryDirectory(prefix="vqvae-kept-") as root, zipfile.ZipFile(packed, "w") as archive:
        for file in sorted(keep(course, Path(root), name).iterdir()):
            archive.write(file, f"{name}/{file.name}")
    return packed.getvalue()


def about(course: Course) -> dict[str, Any]:
    """What its config.json says beside the model's settings."""
    settings = course.settings
    learning = ["moving averages"]
    learning += ["k-means start"] if settings.kmeans else ["random start"]
    learning += ["restart of hardly used codes"] if settings.restarts else ["no restarts"]
    return {
        "summary": summary(course),
        "quantizer": {"search": "nearest code by Euclidean distance, float32", "learning": ", ".join(learning)},
        "preprocessing": "RGB in [0, 1]; padded at the bottom and the right by reflection to a multiple of the stride",
        "source": f"sample photos: trained on the Learn page on {', '.join(_TRAINED_ON)}; {HELD_OUT} was held out",
        "training": training_settings(settings.to_config()) | {"step": course.step},
    }


def summary(course: Course) -> str:
    """What the picker says of it."""
    settings: LabSettings = course.settings
    dropout = "with" if settings.dropout else "without"
    photos = f"{len(_TRAINED_ON)} sample photos"
    return f"Made on the Learn page: {counted(course.step, 'step')} on {photos}, {dropout} embedding dropout."


def card(course: Course, name: str) -> str:
    """Its model card, Markdown."""
    rows = "\n".join(f"| {figure.label} | {figure.value} |" for figure in figures(course))
    settings = json.dumps(training_settings(course.settings.to_config()), indent=2)
    return (
        f"# {name}\n\n{summary(course)}\n\n| at the end | |\n|---|---|\n{rows}\n\n"
        f"PSNR is of one picture alone, {HELD_OUT}, which it was not trained on. Trained for minutes, on "
        f"{', '.join(_TRAINED_ON)}: to learn from, not to use.\n\n```json\n{settings}\n```\n"
    )


def _model_of(course: Course) -> VQVAE:
    """The model that was trained; raises BadInput where its weights are not there or not sound."""
    if course.weights is None:
        raise BadInput("The training has left no weights; start it again.")
    settings = {
        "schema_version": SCHEMA_VERSION,
        "family": FAMILY,
        "model": course.settings.to_config().model.to_dict(),
    }
    model = checkpoint.load_model(course.weights, settings)
    assert isinstance(model, VQVAE)
    return model
