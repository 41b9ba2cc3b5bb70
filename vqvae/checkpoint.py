"""A checkpoint is a folder: config.json and weights in the safetensors format. Find, check, load and save it.

Nothing is unpickled, and nothing is built before its size is known to be sane.
"""

import errno
import hashlib
import json
import os
import re
import shlex
import stat
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, deserialize, safe_open
from torch import Tensor

from vqvae.errors import BadInput, shown
from vqvae.families import SCHEMA_VERSION, Family, family_of
from vqvae.images import display_name
from vqvae.model import FAMILY, VQVAE
from vqvae.tokenizer import Spec, TokenizerModule, prepare

CONFIG_FILE, WEIGHTS_FILE = "config.json", "model.safetensors"
WEIGHTS_FILES = (WEIGHTS_FILE, "diffusion_pytorch_model.safetensors")
MOST_PARAMETERS = 500_000_000
_MOST_CONFIG_BYTES = 1 << 20
_FLOATS = ("F32", "F16", "BF16")
_FLOAT_TYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
_BYTES_AT_ONCE = 1 << 24
LEFT_BEHIND = 3600  # seconds after which nobody writes on a file that is still in the making
PICKLES = (".bin", ".ckpt", ".pt", ".pth")


@dataclass(frozen=True)
class CheckpointInfo:
    """What a picker shows of a checkpoint, read without loading its weights."""

    name: str
    folder: Path
    weights: Path
    spec: Spec
    summary: str  # one line, from config.json
    parameters: int


@dataclass(frozen=True)
class BrokenCheckpoint:
    """A folder that looks like a checkpoint, or a file of weights, and cannot be used: why, in one sentence."""

    name: str
    folder: Path  # or the file
    reason: str
    command: str = ""  # what makes a checkpoint of it, where that is known


def find(root: Path) -> list[CheckpointInfo | BrokenCheckpoint]:
    """Every folder directly below `root` that holds a config.json or weights, and every file of weights, by name."""
    if not root.is_dir():
        return []
    found = (_look_at(place) for place in sorted(root.iterdir()) if not place.name.startswith("."))
    return [entry for entry in found if entry is not None]


def _look_at(place: Path) -> CheckpointInfo | BrokenCheckpoint | None:
    if place.suffix.lower() in (*PICKLES, ".safetensors") and place.is_file():
        return _unconverted(place)
    if any((place / name).exists() for name in WEIGHTS_FILES):
        return _describe(place)
    if pickles := _pickles_in(place):
        return _unconverted(place / pickles[0], place)
    return _describe(place) if (place / CONFIG_FILE).exists() else None


def _unconverted(weights: Path, folder: Path | None = None) -> BrokenCheckpoint:
    """A file of weights, by itself or in a folder, with the command that makes a checkpoint of it."""
    out = weights.with_suffix("") if folder is None else folder.with_name(f"{folder.name}-converted")
    if out.exists():
        out = out.with_name(f"{out.name}-converted")
    of_folder = folder is not None and len(_pickles_in(folder)) == 1  # its config is then found, too
    parts = ["python", "-m", "vqvae.convert", str(folder if of_folder else weights), str(out)]
    entry = folder or weights
    return BrokenCheckpoint(entry.name, entry, str(_not_ours(weights)), shlex.join(parts))


def _pickles_in(folder: Path) -> list[str]:
    with suppress(OSError):
        return sorted(file.name for file in folder.iterdir() if file.suffix.lower() in PICKLES)
    return []


def _describe(folder: Path) -> CheckpointInfo | BrokenCheckpoint:
    try:
        settings = read_config(folder)
        family = family_of(settings)
        skeleton = _skeleton(family, settings)
        expected = _shapes(skeleton)
        _check_table(_renamed(family, _read_table(folder / family.WEIGHTS_FILE)), expected)
    except BadInput as refusal:
        return BrokenCheckpoint(folder.name, folder, str(refusal))
    parameters = sum(shape.numel() for shape in expected.values())
    weights = folder / family.WEIGHTS_FILE
    return CheckpointInfo(folder.name, folder, weights, skeleton.spec, summary_of(settings), parameters)


def summary_of(settings: Mapping[str, Any]) -> str:
    """What a config.json says of its model in a line, for showing; empty where it says nothing."""
    return " ".join(str(settings.get("summary", "")).split())[:200]


def load(folder: Path) -> TokenizerModule:
    """The tokenizer in a folder, ready to serve; raises BadInput with one sentence that names the first thing wrong."""
    settings = read_config(folder)
    return load_model(_read_weights(folder / family_of(settings).WEIGHTS_FILE), settings)


def load_model(data: bytes, settings: dict[str, Any]) -> TokenizerModule:
    """The bytes of a weights file and the content of its config.json -> model, ready to serve.

    Checks every name, shape and dtype, and that all weights are finite. Raises BadInput otherwise.
    """
    if not isinstance(settings, dict):
        raise BadInput("The config has to be a JSON object.")
    family = family_of(settings)
    model = _skeleton(family, settings)
    tensors = _checked_tensors(data, family, _shapes(model))
    model.load_state_dict(tensors, assign=True)
    return prepare(model)


def faults(folder: Path) -> list[str]:
    """All that is wrong with a folder's files, a sentence each; nothing where `load` opens it."""
    found: list[str] = []
    path, family, expected = weights_file(folder), None, None
    try:
        settings = read_config(folder)
        family = family_of(settings)
        path = folder / family.WEIGHTS_FILE
        expected = _shapes(_skeleton(family, settings))
    except BadInput as refusal:
        found.append(str(refusal))
    try:
        table = _read_table(path)
        if family is not None and expected is not None:
            found += _table_faults(_renamed(family, table), expected)
        found += _value_faults(path)
    except BadInput as refusal:
        found.append(str(refusal))
    return found


def value_fault(folder: Path, listen: Callable[[], None] = lambda: None) -> str:
    """The first tensor of a checkpoint that is not finite, in a sentence; nothing where all are.

    Reads all weights, in little memory; `listen` is called after each tensor, and may raise to end it.
    """
    try:
        return next(_value_faults(weights_file(folder), listen), "")
    except BadInput as refusal:
        return str(refusal)


def _value_faults(path: Path, listen: Callable[[], None] = lambda: None) -> Iterator[str]:
    """Tensors that are not finite, read a piece at a time.

    Not mapped: whoever writes over a file that is mapped ends the process.
    """
    _read_table(path)  # refuses what is no such file
    try:
        with _open_file(path) as file:
            header_bytes = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(header_bytes))
            for name, entry in sorted(header.items()):
                if name == "__metadata__" or entry["dtype"] not in _FLOAT_TYPES:
                    continue
                begin, end = entry["data_offsets"]
                file.seek(8 + header_bytes + begin)
                if not all(_is_finite(piece) for piece in _pieces(file, end - begin, _FLOAT_TYPES[entry["dtype"]])):
                    yield f"The tensor {shown(name)} has values that are not finite; train or save the model again."
                listen()
    except (OSError, ValueError, KeyError):
        raise _damaged(path.name) from None


def _pieces(file: BufferedReader, length: int, dtype: torch.dtype) -> Iterator[Tensor]:
    """The numbers in the next so many bytes of a file, some at a time; raises ValueError where it ends before."""
    while length > 0:
        piece = bytearray(file.read(min(length, _BYTES_AT_ONCE)))
        if not piece or len(piece) % dtype.itemsize:
            raise ValueError("The file was cut off while it was read.")
        yield torch.frombuffer(piece, dtype=dtype)
        length -= len(piece)


def _is_finite(tensor: Tensor) -> bool:
    """Whether every value is, in one pass without a copy: a NaN anywhere is both the least and the largest."""
    if not tensor.is_floating_point() or not tensor.numel():
        return True
    least, largest = tensor.aminmax()
    return bool(least.isfinite() and largest.isfinite())


def save(folder: Path, model: VQVAE, about: dict[str, Any]) -> None:
    """Write a checkpoint; each file appears whole or not at all. `about` is kept in config.json beside the settings."""
    write(folder, {"family": FAMILY, "model": model.config.to_dict(), **about}, model.state_dict())


def write(folder: Path, config: Mapping[str, Any], weights: Mapping[str, Tensor]) -> None:
    """Write config.json, with the schema's version, and model.safetensors; each appears whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    text = json.dumps({"schema_version": SCHEMA_VERSION, **config}, indent=2, ensure_ascii=False) + "\n"
    write_atomically(folder / WEIGHTS_FILE, safetensors.torch.save(tensors))
    write_atomically(folder / CONFIG_FILE, text.encode())


def weights_file(folder: Path) -> Path:
    """The file that holds a checkpoint's weights, whatever is wrong with its config."""
    with suppress(BadInput):
        return folder / family_of(read_config(folder)).WEIGHTS_FILE
    return next((folder / name for name in WEIGHTS_FILES if (folder / name).exists()), folder / WEIGHTS_FILE)


def content_hash(folder: Path) -> str:
    """SHA-256 over config.json and the weights, in hex: the same for the same model, wherever it lies."""
    digest = hashlib.sha256()
    for path in (folder / CONFIG_FILE, weights_file(folder)):
        with _open_file(path) as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


Stamp = tuple[tuple[int, int], ...]


def stamp(folder: Path) -> Stamp:
    """Another one when a checkpoint's files have changed: their sizes, and when they were last written to."""
    found = []
    for name in (CONFIG_FILE, *WEIGHTS_FILES):
        with suppress(OSError):
            stat = (folder / name).stat()
            found.append((stat.st_size, stat.st_mtime_ns))
    return tuple(found)


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that a reader, or a crash, sees the old content or the new and nothing between."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
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


_IN_THE_MAKING = re.compile(r"\..+\.[a-z0-9_]{8}\.tmp|\..+\.(safetensors|jsonl?|csv|png)\.[a-z0-9_]{8}")


def remove_leftovers(folder: Path) -> None:
    """Remove from a folder what `write_atomically` had begun there when its process was killed, an hour ago or longer.

    The second form of their names is that of before they ended in .tmp. What cannot be removed stays.
    """
    with suppress(OSError):
        for place in folder.iterdir():
            if _IN_THE_MAKING.fullmatch(place.name):
                with suppress(OSError):
                    if time.time() - place.stat().st_mtime > LEFT_BEHIND:
                        place.unlink()


def read_config(folder: Path) -> dict[str, Any]:
    """The content of a folder's config.json; raises BadInput when it is missing, huge or no JSON object."""
    try:
        with _open_file(folder / CONFIG_FILE) as file:
            data = file.read(_MOST_CONFIG_BYTES + 1)
    except OSError:
        raise BadInput(f"The file {CONFIG_FILE} is missing or unreadable; put it beside the weights.") from None
    if len(data) > _MOST_CONFIG_BYTES:
        raise BadInput(f"The file {CONFIG_FILE} is over 1 MiB; it should hold a few settings.")
    try:
        settings = json.loads(data)
    except (ValueError, RecursionError):
        raise BadInput(f"The file {CONFIG_FILE} is not valid JSON; restore it.") from None
    if not isinstance(settings, dict):
        raise BadInput(f"The file {CONFIG_FILE} has to hold a JSON object.")
    return settings


def _skeleton(family: Family, settings: Mapping[str, Any]) -> TokenizerModule:
    """The model without its weights: shapes only, no memory."""
    with torch.device("meta"):
        model = family.build(settings)
    if (parameters := sum(tensor.numel() for tensor in model.state_dict().values())) > MOST_PARAMETERS:
        raise BadInput(
            f"The config describes a model of {parameters:,} parameters; at most {MOST_PARAMETERS:,} are read."
        )
    return model


def _shapes(model: TokenizerModule) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in model.state_dict().items()}


_Table = dict[str, tuple[list[int], str]]  # name -> shape and dtype of each tensor in a file


def _missing(path: Path) -> BadInput:
    if pickles := _pickles_in(path.parent):
        return _not_ours(path.parent / pickles[0])
    return BadInput(f"The file {path.name} is missing or unreadable; put it beside {CONFIG_FILE}.")


def _not_ours(weights: Path) -> BadInput:
    name = display_name(weights.name)
    if weights.suffix.lower() not in PICKLES:
        return BadInput(f"The weights {name} lie there without a config; convert them with python -m vqvae.convert.")
    return BadInput(
        f"The weights are a pickle, {name}, which may hold code to run; convert it with python -m vqvae.convert."
    )


def _damaged(name: str) -> BadInput:
    return BadInput(f"The file {name} is cut off or not in the safetensors format; copy it again.")


def _open_file(path: Path) -> BufferedReader:
    """Open a regular file; raises FileNotFoundError for a pipe, which would be waited for, a device or a folder."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise FileNotFoundError(errno.ENOENT, "It is no regular file", str(path))
    return path.open("rb")


def _read_weights(path: Path) -> bytes:
    try:
        with _open_file(path) as file:
            return file.read()
    except OSError:
        raise _missing(path) from None


def _read_table(path: Path) -> _Table:
    """What a weights file says it holds, without reading the weights."""
    try:
        _open_file(path).close()
        with safe_open(path, "pt") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            return {name: (list(part.get_shape()), part.get_dtype()) for name, part in slices.items()}
    except FileNotFoundError:
        raise _missing(path) from None
    except (SafetensorError, OSError, ValueError):
        raise _damaged(path.name) from None


def _renamed(family: Family, found: _Table) -> _Table:
    renamed = {family.renamed(name): entry for name, entry in found.items()}
    if len(renamed) < len(found):
        raise BadInput("The weights hold one tensor under two names; save them again.")
    return renamed


def _check_table(found: _Table, expected: dict[str, torch.Size]) -> None:
    for fault in _table_faults(found, expected):
        raise BadInput(fault)


def _table_faults(found: _Table, expected: dict[str, torch.Size]) -> Iterator[str]:
    """Tensors that are missing, unknown, of another shape or of a type that is not read."""
    for name in expected:
        if name not in found:
            yield f"The weights lack the tensor {name!r} that the config calls for; save them again."
    for name in sorted(found):  # a file lists them in any order, and each time in another
        if name not in expected:
            yield f"The weights hold a tensor {shown(name)} that the config does not know; correct the config."
    for name, (shape, dtype) in sorted(found.items()):
        if name not in expected:
            continue
        wanted = list(expected[name])
        if shape != wanted and [*shape, 1, 1] != wanted:  # a matrix is a 1×1 convolution
            yield f"The tensor {name!r} has shape {shown(shape)} and the config calls for {wanted}; correct one."
        if dtype not in _FLOATS:
            yield f"The tensor {name!r} is of type {dtype} and has to be F32, F16 or BF16; save it as float32."


def _checked_tensors(data: bytes, family: Family, expected: dict[str, torch.Size]) -> dict[str, Tensor]:
    try:
        entries = deserialize(data)
        table = {name: (list(entry["shape"]), entry["dtype"]) for name, entry in entries}
        _check_table(_renamed(family, table), expected)
        found = {family.renamed(name): tensor.float() for name, tensor in safetensors.torch.load(data).items()}
    except SafetensorError:
        raise _damaged(family.WEIGHTS_FILE) from None
    tensors = {name: tensor.view(expected[name]) for name, tensor in found.items()}
    for name, tensor in sorted(tensors.items()):
        if not _is_finite(tensor):
            raise BadInput(f"The tensor {name!r} has values that are not finite; train or save the model again.")
    return tensors
