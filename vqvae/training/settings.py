"""Everything that shapes a run: one table of settings, from which the checks, the options and their help are made."""

import argparse
import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, Self

from vqvae.errors import BadInput, shown
from vqvae.metrics import WINDOW
from vqvae.model import VQVAEConfig

Precision = Literal["auto", "bf16", "float32"]
MODEL = "model"  # the setting that holds the model's own


def setting(
    default: Any,
    meaning: str,
    *,
    within: tuple[float, float] | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    """A field of the table: a default, a line on what it does, and its bounds or what may be chosen.

    Whole bounds make it a whole number, others a number; a default of two numbers a pair of them, in order; one that is
    true or false a switch.
    """
    return field(default=default, metadata={"meaning": meaning, "within": within, "choices": choices})


@dataclass(frozen=True)
class TrainingConfig:
    """Everything that shapes a run; the JSON of --config has these names."""

    model: VQVAEConfig = field(default_factory=VQVAEConfig)
    steps: int = setting(10_000, "batches to learn from", within=(1, 10**9))
    batch: int = setting(
        8,
        "crops in a batch (in each process, where several train together; the saved config holds their sum)",
        within=(1, 1 << 16),
    )
    crop: int = setting(96, "pixels along a side of a crop; a multiple of the stride", within=(WINDOW, 4096))
    short_side: tuple[int, int] = setting(
        (224, 352),
        "a photo is seen at a random size whose short side lies in this range, in pixels",
        within=(1, 16_384),
    )
    learning_rate: float = setting(1e-3, "at the end of the warm-up; a half cosine to zero", within=(0.0, 1.0))
    warmup: int = setting(300, "steps over which the learning rate rises", within=(0, 10**9))
    weight_decay: float = setting(0.01, "of AdamW", within=(0.0, 10.0))
    gradient_clip: float = setting(1.0, "the longest that a step's gradient may be", within=(1e-6, 1e6))
    average_decay: float = setting(
        0.999, "of the moving average of the weights, which is what is saved", within=(0.0, 1.0)
    )
    ssim_weight: float = setting(0.01, "of 1 − SSIM in the loss, beside the square error", within=(0.0, 100.0))
    commitment: float = setting(0.01, "weight of the pull of the embeddings towards their codes", within=(0.0, 100.0))
    embedding_dropout: bool = setting(
        True, "off: the decoder always gets the whole embedding, and learns to bypass the codes"
    )
    codes_only_share: float = setting(
        0.5, "of a batch's images whose decoder gets none of the embedding; counted first", within=(0.0, 1.0)
    )
    whole_share: float = setting(
        0.125, "of a batch's images that get all of it; the rest get something between", within=(0.0, 0.5)
    )
    codebook_decay: float = setting(0.98, "of the moving averages that the codes are", within=(0.0, 1.0))
    dead_below: float = setting(
        0.35, "a code with less than this fraction of an equal share of the cells is dead", within=(0.0, 1.0)
    )
    restart_every: int = setting(20, "steps between restarts of dead codes", within=(1, 10**9))
    restart_until: float = setting(
        0.98,  # codes crowd together again as soon as nothing restarts the rare ones
        "of the steps, in which dead codes are restarted",
        within=(0.0, 1.0),
    )
    kmeans_start: bool = setting(
        True, "off: the codebook starts from random numbers, and few of the codes are ever the nearest one"
    )
    precision: Precision = setting(
        "auto",
        "of the model's passes: auto is bf16 autocast on CUDA and on processors that are fast at it, else float32; "
        "distances, losses and weights are float32 always",
        choices=("auto", "bf16", "float32"),
    )
    seed: int = setting(0, "of all that is drawn at random", within=(0, 10**9))

    @classmethod
    def from_dict(cls, settings: dict[str, Any]) -> Self:
        """Check names, types and bounds; raises BadInput at the first fault."""
        table = {each.name: each for each in fields(cls)}
        if unknown := sorted(set(settings) - set(table)):
            raise BadInput(
                f"The training config has an unknown setting {shown(unknown[0])}; the settings are {sorted(table)}."
            )
        changes = settings.get(MODEL, {})
        if not isinstance(changes, dict):
            raise BadInput("The setting 'model' has to be a JSON object of the model's settings.")
        model = VQVAEConfig.from_dict(VQVAEConfig().to_dict() | changes)
        plain = {name: _checked(name, value) for name, value in settings.items() if name != MODEL}
        config = cls(**plain, model=model)
        if config.crop % model.stride:
            raise BadInput(f"'crop' is {config.crop} and has to be a multiple of the stride, {model.stride}.")
        return config


_TABLE = {each.name: each for each in fields(TrainingConfig) if each.name != MODEL}
_MODEL_MEANINGS = {
    "codes": "K, how many the codebook holds",
    "embedding_dim": "D, numbers in a code and in the embedding of a cell",
    "channels": "of each level, from the finest; so many levels n make a stride of 2ⁿ",
    "blocks": "residual blocks of each level",
    "decoder_inputs": "both: codes and embedding; quantized: the codes alone, a classic VQ-VAE",
    "embedding_channels": "numbers a cell that the second input passes through (default: all D)",
}


def _checked(name: str, value: object) -> Any:
    """A setting of the right type and within its bounds, as TrainingConfig wants it."""
    default, about = _TABLE[name].default, _TABLE[name].metadata
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise BadInput(f"The setting {name!r} has to be true or false, and is {shown(value)}.")
        return value
    if about["choices"]:
        if value not in about["choices"]:
            allowed = ", ".join(about["choices"])
            raise BadInput(f"The setting {name!r} has to be one of {allowed}, and is {shown(value)}.")
        return value
    if isinstance(default, tuple):
        if not isinstance(value, list | tuple) or len(value) != 2:
            raise BadInput(f"The setting {name!r} has to be a list of two numbers of pixels, and is {shown(value)}.")
        low, high = (_number(name, side) for side in value)
        if low > high:
            raise BadInput(f"The setting {name!r} has to go from the smaller to the larger, and is {shown(value)}.")
        return low, high
    return _number(name, value)


def _number(name: str, value: object) -> int | float:
    lower, upper = _TABLE[name].metadata["within"]
    whole = isinstance(lower, int)
    kind = int if whole else int | float
    if isinstance(value, bool) or not isinstance(value, kind) or not lower <= value <= upper:
        wanted = "a whole number" if whole else "a number"
        raise BadInput(f"The setting {name!r} has to be {wanted} from {lower} to {upper:,}, and is {shown(value)}.")
    return value


# --- as JSON ----------------------------------------------------------------------------------------------------------


def training_settings(config: TrainingConfig) -> dict[str, Any]:
    """The settings as plain JSON values."""
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(config).items()}
    return plain | {MODEL: config.model.to_dict()}


def differing(one: TrainingConfig, other: TrainingConfig) -> list[str]:
    """In which settings two runs differ, those of the model one by one: "seed is 0 there and 1 here"."""
    theirs, ours = (_flat(training_settings(config)) for config in (one, other))
    names = [*theirs, *(name for name in ours if name not in theirs)]
    return [
        f"{name} is {theirs.get(name)} there and {ours.get(name)} here"
        for name in names
        if theirs.get(name) != ours.get(name)
    ]


def _flat(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name != MODEL} | settings[MODEL]


def read_settings(path: Path) -> dict[str, Any]:
    """The settings in a JSON file; of a checkpoint's config.json, those that it was trained with."""
    try:
        settings = json.loads(path.read_bytes())
    except OSError:
        raise BadInput(f"{path} is missing or unreadable; check the path.") from None
    except (ValueError, RecursionError):
        raise BadInput(f"{path} is not valid JSON; restore it.") from None
    if isinstance(settings, dict) and isinstance(settings.get("training"), dict):
        settings = {name: value for name, value in settings["training"].items() if name != "step"}
    if not isinstance(settings, dict):
        raise BadInput(f"{path} has to hold a JSON object of settings.")
    return settings


# --- as options -------------------------------------------------------------------------------------------------------


def add_options(parser: argparse.ArgumentParser) -> None:
    """An option for each setting of a run, and for each of the model; one that is not given leaves no trace."""
    run = parser.add_argument_group("settings of the run", "each goes before --config")
    for name, entry in _TABLE.items():
        _add_option(run, name, name, entry.default, entry.metadata["meaning"], entry.metadata["choices"])
    model = parser.add_argument_group("settings of the model", "each goes before --config")
    for entry in fields(VQVAEConfig):
        choices = ("both", "quantized") if entry.name == "decoder_inputs" else ()
        _add_option(model, entry.name, f"{MODEL}.{entry.name}", entry.default, _MODEL_MEANINGS[entry.name], choices)


def _add_option(group: Any, name: str, key: str, default: Any, meaning: str, choices: tuple[str, ...]) -> None:
    flag, more = f"--{name.replace('_', '-')}", {"dest": key, "default": argparse.SUPPRESS}
    if isinstance(default, bool):
        said = f"{meaning} (default: {'on' if default else 'off'})"
        group.add_argument(flag, action=argparse.BooleanOptionalAction, help=said, **more)
        return
    said = ",".join(map(str, default)) if isinstance(default, tuple) else default
    help = (meaning if default is None else f"{meaning} (default: {said})").replace("%", "%%")
    if choices:
        group.add_argument(flag, choices=choices, help=help, **more)
    elif isinstance(default, tuple):
        group.add_argument(flag, type=_whole_numbers, metavar="N,N,…", help=help, **more)
    elif isinstance(default, float):
        group.add_argument(flag, type=float, metavar="X", help=help, **more)
    else:
        group.add_argument(flag, type=int, metavar="N", help=help, **more)


def _whole_numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{shown(text)} is no list of whole numbers, such as 48,96,192") from None


def given(options: argparse.Namespace) -> dict[str, Any]:
    """The settings that were given as options, as JSON would name them."""
    said = {name: value for name, value in vars(options).items() if name in _TABLE}
    below = f"{MODEL}."
    model = {name.removeprefix(below): value for name, value in vars(options).items() if name.startswith(below)}
    return said | ({MODEL: model} if model else {})


def laid_over(settings: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Settings with changes that go before them; those of the model one by one."""
    model = settings.get(MODEL, {})
    if MODEL in changes and isinstance(model, dict):
        changes = changes | {MODEL: model | changes[MODEL]}
    return settings | changes
