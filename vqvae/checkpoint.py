"""A checkpoint is a folder: config.json and model.safetensors. Find, check, load and save it.

Nothing is unpickled, and nothing is built before its size is known to be sane.
"""

import hashlib
import json
import os
import tempfile
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, deserialize, safe_open
from torch import Tensor

from vqvae.errors import BadInput, shown
from vqvae.model import VQVAE, VQVAEConfig, prepare
from vqvae.tokenizer import Tokenizer

SCHEMA_VERSION = 1
FAMILY = "vqvae-two-input"
CONFIG_FILE, WEIGHTS_FILE = "config.json", "model.safetensors"
MOST_PARAMETERS = 500_000_000
_MOST_CONFIG_BYTES = 1 << 20
_MISSING_WEIGHTS = f"The file {WEIGHTS_FILE} is missing or unreadable; put it beside {CONFIG_FILE}."
_DAMAGED_WEIGHTS = f"The file {WEIGHTS_FILE} is cut off or not in the safetensors format; copy it again."


@dataclass(frozen=True)
class CheckpointInfo:
    """What a picker shows of a checkpoint, read without loading its weights."""

    name: str
    folder: Path
    config: VQVAEConfig
    summary: str  # one line, from config.json
    parameters: int


@dataclass(frozen=True)
class BrokenCheckpoint:
    """A folder that looks like a checkpoint and cannot be used, and why, in one sentence."""

    name: str
    folder: Path
    reason: str


def find(root: Path) -> list[CheckpointInfo | BrokenCheckpoint]:
    """Every folder directly below `root` that holds a config.json or a model.safetensors, sorted by name."""
    if not root.is_dir():
        return []
    folders = (f for f in sorted(root.iterdir()) if (f / CONFIG_FILE).exists() or (f / WEIGHTS_FILE).exists())
    return [_describe(folder) for folder in folders]


def _describe(folder: Path) -> CheckpointInfo | BrokenCheckpoint:
    try:
        settings = read_config(folder)
        config = model_config(settings)
        expected = _expected_tensors(config)
        _check_table(_read_table(folder / WEIGHTS_FILE), expected)
    except BadInput as refusal:
        return BrokenCheckpoint(folder.name, folder, str(refusal))
    summary = " ".join(str(settings.get("summary", "")).split())[:200]
    parameters = sum(shape.numel() for shape in expected.values())
    return CheckpointInfo(folder.name, folder, config, summary, parameters)


def load(folder: Path) -> Tokenizer:
    """The tokenizer in a folder, ready to serve; raises BadInput with one sentence that names the first thing wrong."""
    settings = read_config(folder)
    weights = folder / WEIGHTS_FILE
    try:
        data = weights.read_bytes()
    except OSError:
        raise BadInput(_MISSING_WEIGHTS) from None
    return load_model(data, settings)


def load_model(data: bytes, config: dict[str, Any]) -> VQVAE:
    """The bytes of a model.safetensors and the content of its config.json -> model, ready to serve.

    Checks every name, shape and dtype, and that all weights are finite. Raises BadInput otherwise.
    """
    settings = model_config(config)
    expected = _expected_tensors(settings)
    tensors = _checked_tensors(data, expected)
    model = VQVAE(settings)
    model.load_state_dict(tensors)
    return prepare(model)


def save(folder: Path, model: VQVAE, about: dict[str, Any]) -> None:
    """Write a checkpoint; each file appears whole or not at all. `about` is kept in config.json beside the settings."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {"schema_version": SCHEMA_VERSION, "family": FAMILY, "model": model.config.to_dict(), **about}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    write_atomically(folder / WEIGHTS_FILE, safetensors.torch.save(tensors))
    write_atomically(folder / CONFIG_FILE, (json.dumps(config, indent=2, ensure_ascii=False) + "\n").encode())


def content_hash(folder: Path) -> str:
    """SHA-256 over config.json and model.safetensors, in hex: the same for the same model, wherever it lies."""
    digest = hashlib.sha256()
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        with (folder / name).open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that a reader, or a crash, sees the old content or the new and nothing between."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def read_config(folder: Path) -> dict[str, Any]:
    """The content of a folder's config.json; raises BadInput when it is missing, huge or no JSON object."""
    try:
        with (folder / CONFIG_FILE).open("rb") as file:
            data = file.read(_MOST_CONFIG_BYTES + 1)
    except OSError:
        raise BadInput(f"The file {CONFIG_FILE} is missing or unreadable; put it beside {WEIGHTS_FILE}.") from None
    if len(data) > _MOST_CONFIG_BYTES:
        raise BadInput(f"The file {CONFIG_FILE} is over 1 MiB; it should hold a few settings.")
    try:
        settings = json.loads(data)
    except (ValueError, RecursionError):
        raise BadInput(f"The file {CONFIG_FILE} is not valid JSON; restore it.") from None
    if not isinstance(settings, dict):
        raise BadInput(f"The file {CONFIG_FILE} has to hold a JSON object.")
    return settings


def model_config(settings: dict[str, Any]) -> VQVAEConfig:
    """The checked model settings of a config.json's content; raises BadInput at the first fault."""
    if not isinstance(settings, dict):
        raise BadInput("The config has to be a JSON object.")
    version, family = settings.get("schema_version"), settings.get("family")
    if type(version) is not int or version != SCHEMA_VERSION:
        raise BadInput(
            f"The config's schema_version is {shown(version)}, and this app reads {SCHEMA_VERSION}; convert it."
        )
    if family != FAMILY:
        raise BadInput(f"The config's family is {shown(family)}, and this app reads {FAMILY!r}.")
    if not isinstance(settings.get("model"), dict):
        raise BadInput('The config lacks the object "model" with the model\'s settings; add it.')
    config = VQVAEConfig.from_dict(settings["model"])
    if (parameters := _most_parameters(config)) > MOST_PARAMETERS:
        raise BadInput(
            f"The config describes a model of {parameters:,} parameters; at most {MOST_PARAMETERS:,} are read."
        )
    return config


def _most_parameters(config: VQVAEConfig) -> int:
    """An upper bound by arithmetic alone, before anything is built."""
    widths = (3, *config.channels)
    blocks = sum(
        2 * depth * 10 * width * (width + 1) for width, depth in zip(config.channels, config.blocks, strict=True)
    )
    steps = sum(2 * 9 * 4 * before * after for before, after in pairwise(widths))
    return blocks + steps + config.embedding_dim * (config.codes + 3 * widths[-1])


def _expected_tensors(config: VQVAEConfig) -> dict[str, torch.Size]:
    with torch.device("meta"):  # shapes only, no memory
        return {name: tensor.shape for name, tensor in VQVAE(config).state_dict().items()}


_Table = dict[str, tuple[list[int], str]]  # name -> shape and dtype of each tensor in a file


def _read_table(path: Path) -> _Table:
    """What a weights file says it holds, without reading the weights."""
    try:
        with safe_open(path, "pt") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            return {name: (list(part.get_shape()), part.get_dtype()) for name, part in slices.items()}
    except FileNotFoundError:
        raise BadInput(_MISSING_WEIGHTS) from None
    except (SafetensorError, OSError, ValueError):
        raise BadInput(_DAMAGED_WEIGHTS) from None


def _check_table(found: _Table, expected: dict[str, torch.Size]) -> None:
    for name in expected:
        if name not in found:
            raise BadInput(f"The weights lack the tensor {name!r} that the config calls for; save them again.")
    for name in found:
        if name not in expected:
            raise BadInput(
                f"The weights hold a tensor {shown(name)} that the config does not know; correct the config."
            )
    for name, (shape, dtype) in found.items():
        wanted = list(expected[name])
        if shape != wanted:
            raise BadInput(
                f"The tensor {name!r} has shape {shown(shape)} and the config calls for {wanted}; correct one."
            )
        if dtype != "F32":
            raise BadInput(f"The tensor {name!r} is of type {dtype} and has to be F32; save it as float32.")


def _checked_tensors(data: bytes, expected: dict[str, torch.Size]) -> dict[str, Tensor]:
    try:
        entries = deserialize(data)
        _check_table({name: (list(entry["shape"]), entry["dtype"]) for name, entry in entries}, expected)
        tensors = safetensors.torch.load(data)
    except SafetensorError:
        raise BadInput(_DAMAGED_WEIGHTS) from None
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise BadInput(f"The tensor {name!r} has values that are not finite; train or save the model again.")
    return tensors
