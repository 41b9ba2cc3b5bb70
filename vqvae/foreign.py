"""What other people's files hold: named tensors out of pickles and safetensors, settings out of YAML and JSON.

Names are flattened with dots, so that a wrapper (`{"state_dict": {"first_stage_model.encoder…": …}}`) is a prefix like
any other. Nothing is run, and every file is judged by its first bytes before it is read.
"""

import json
import os
import stat
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors import SafetensorError, safe_open
from torch import Tensor

from vqvae import pickles
from vqvae.errors import BadInput, shown
from vqvae.images import display_name

WEIGHTS_SUFFIXES = (".safetensors", ".ckpt", ".pt", ".pth", ".bin")
MOST_PARAMETERS = 500_000_000
MOST_TENSORS = 20_000
MOST_SETTINGS_BYTES, MOST_YAML_BYTES = 1 << 20, 128 << 10  # PyYAML reads about 200 KiB a second
_MOST_YAML_EVENTS, _MOST_YAML_DEPTH, _MOST_YAML_SCALAR = 10_000, 30, 4096
_MOST_HEADER_BYTES = 16 << 20  # of a safetensors file
_MOST_DEPTH = 8  # of dicts in dicts
_FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
_MAGIC = {  # what other files with such suffixes begin with
    b"version https://git-lfs": "a Git LFS pointer of {size:,} bytes; fetch the file itself (git lfs pull)",
    b"\x1f\x8b": "a gzip archive; unpack it first",
    b"BZh": "a bzip2 archive; unpack it first",
    b"\xfd7zXZ": "an xz archive; unpack it first",
    b"7z\xbc\xaf": "a 7z archive; unpack it first",
    b"Rar!": "a RAR archive; unpack it first",
    b"\x28\xb5\x2f\xfd": "a zstd archive; unpack it first",
    b"\x89HDF": "an HDF5 file; save the weights with torch.save or safetensors",
    b"GGUF": "a GGUF file of a quantized model; use the original weights",
    b"\x93NUMPY": "a NumPy array without names; save the weights with torch.save or safetensors",
    b"%PDF": "a PDF; download the weights themselves",
    b"\x89PNG": "a picture; name the file with the weights",
}


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Every tensor in a file, under its dotted name; not yet read from disk where the format allows it.

    Raises BadInput, in one sentence, for what is no file of weights or would run something.
    """
    name, size = display_name(path.name), check_is_file(path)
    try:
        with path.open("rb") as file:
            head = file.read(512)
        if not head:
            raise BadInput(f"{name} is empty; copy it again.")
        for magic, what in _MAGIC.items():
            if head.startswith(magic):
                raise BadInput(f"{name} is {what.format(size=size)}.")
        if head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<":
            raise BadInput(f"{name} is a web page (HTML or XML), not weights; download the file itself.")
        if head[257:262] == b"ustar":
            raise BadInput(f"{name} is a tar archive; unpack it first.")
        if head[8:9] == b"{" and 2 <= (header := struct.unpack("<Q", head[:8])[0]) <= size:
            if header > _MOST_HEADER_BYTES:
                raise BadInput(f"{name} has a header of {header >> 20:,} MiB, more than any tokenizer's; use another.")
            return _read_safetensors(path)
        return dict(_flat(pickles.load(path), name))
    except OSError as fault:
        raise BadInput(f"{name} cannot be read ({fault.strerror or 'unreadable'}); check its permissions.") from None


def check_is_file(path: Path) -> int:
    """The size of a regular file with a name that torch can open; raises BadInput for anything else."""
    name = display_name(path.name)
    try:
        str(path).encode()
        status = path.stat()
    except UnicodeEncodeError:
        raise BadInput(f"The name of the file {name} is not valid UTF-8; rename it.") from None
    except (OSError, ValueError):
        raise BadInput(f"{name} is missing or unreadable; check the path.") from None
    if not stat.S_ISREG(status.st_mode):
        raise BadInput(f"{name} is no regular file; name a file of weights or a folder that holds one.")
    return status.st_size


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        with safe_open(path, "pt") as file:
            names = list(file.keys())
            if len(names) > MOST_TENSORS:
                raise BadInput(f"{display_name(path.name)} holds {len(names):,} tensors, more than any tokenizer has.")
            return {name: file.get_tensor(name) for name in names}
    except BadInput:
        raise
    except (SafetensorError, ValueError, TypeError, AttributeError):
        raise BadInput(
            f"{display_name(path.name)} is cut off or not in the safetensors format; copy it again."
        ) from None


def _flat(tree: Any, file: str) -> Iterator[tuple[str, Tensor]]:
    """Tensors below nested dicts, by their dotted names; each dict is visited once, however often it is referred to."""
    if not isinstance(tree, dict):
        raise BadInput(f"{file} holds {_kind(tree)} and no named weights; save the model's state_dict().")
    visited, names, waiting = {id(tree)}, 0, [("", tree, 0)]
    while waiting:
        prefix, branch, depth = waiting.pop()
        for key, value in dict.items(branch):  # not branch.items(): a file can set attributes of an OrderedDict
            name = f"{prefix}{key}" if isinstance(key, str | int) else ""
            if isinstance(value, Tensor) and name:
                names += 1
                if names > MOST_TENSORS:
                    raise BadInput(f"{file} holds over {MOST_TENSORS:,} tensors, more than any tokenizer has.")
                yield name, value
            elif isinstance(value, dict) and name and depth < _MOST_DEPTH and id(value) not in visited:
                visited.add(id(value))
                waiting.append((f"{name}.", value, depth + 1))


def _kind(value: object) -> str:
    return "a single tensor" if isinstance(value, Tensor) else f"a {type(value).__name__}"


def checked(name: str, tensor: Tensor) -> Tensor:
    """The tensor as float32 with memory of its own; raises BadInput unless it is dense, real, and finite."""
    if tensor.layout != torch.strided or tensor.is_meta or tensor.is_quantized:
        raise BadInput(f"The tensor {shown(name)} is sparse, quantized or without numbers; save it dense.")
    if tensor.dtype not in _FLOATS:
        kind = str(tensor.dtype).removeprefix("torch.")
        raise BadInput(f"The tensor {shown(name)} is of type {kind} and weights are real floats; save it as float32.")
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise BadInput(f"The tensor {shown(name)} repeats a smaller one (it was expanded); save it with contiguous().")
    plain = tensor.detach().to(torch.float32, copy=True, memory_format=torch.contiguous_format).resolve_neg()
    if not plain.isfinite().all():
        raise BadInput(f"The tensor {shown(name)} has values that are not finite in float32; use another checkpoint.")
    return plain


# Settings


def read_settings(path: Path) -> dict[str, Any]:
    """The content of a YAML or JSON file, plain values only; raises BadInput."""
    name, is_json = display_name(path.name), path.suffix.lower() == ".json"
    most = MOST_SETTINGS_BYTES if is_json else MOST_YAML_BYTES
    if check_is_file(path) > most:
        raise BadInput(f"{name} is over {most >> 10:,} KiB; it should hold a few settings.")
    try:
        with path.open("rb") as file:
            data = file.read(most)
    except OSError as fault:
        raise BadInput(f"{name} cannot be read ({fault.strerror or 'unreadable'}); check its permissions.") from None
    settings = _json(data, name) if is_json else _yaml(data, name)
    if not isinstance(settings, dict):
        raise BadInput(f"{name} has to hold settings by name; give the model's config.")
    return settings


def _json(data: bytes, name: str) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise BadInput(f"{name} is not valid JSON; restore it.") from None


def _yaml(data: bytes, name: str) -> Any:
    try:
        _check_yaml(data, name)
        return yaml.safe_load(data)
    except BadInput:
        raise
    except (yaml.YAMLError, ValueError, TypeError, OverflowError, RecursionError, AttributeError):
        raise BadInput(f"{name} is not valid YAML; restore it.") from None


def _check_yaml(data: bytes, name: str) -> None:
    """Go through the events, before anything is built of them: no tags, no aliases, nothing deep or long."""
    depth = 0
    for count, event in enumerate(yaml.parse(data, Loader=yaml.SafeLoader)):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if count > _MOST_YAML_EVENTS or depth > _MOST_YAML_DEPTH:
            raise BadInput(f"{name} is too long or nested too deep for a few settings; leave the rest out.")
        if isinstance(event, yaml.AliasEvent):
            raise BadInput(f"{name} uses aliases (*{shown(event.anchor)[1:-1]}); write the values out.")
        if getattr(event, "tag", None) is not None:
            tag = shown(event.tag.replace("tag:yaml.org,2002:", "!!"), longest=80)
            raise BadInput(f"{name} has the tag {tag}, and only plain values are read; remove it.")
        if isinstance(event, yaml.ScalarEvent) and len(event.value) > _MOST_YAML_SCALAR:
            raise BadInput(f"{name} has a value of {len(event.value):,} characters; settings are short.")


def section(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of the tokenizer alone, with the name of its class as `target`.

    taming's and latent diffusion's YAML nests them: `model.params`, and in a full model `first_stage_config.params`.
    """
    inner = settings.get("model", settings)
    for _ in range(3):
        if not isinstance(inner, dict):
            return dict(settings)
        params = inner.get("params")
        if not isinstance(params, dict):
            return dict(inner)
        stage = params.get("first_stage_config")
        if not isinstance(stage, dict):
            return {**params, **({"target": str(inner["target"])} if "target" in inner else {})}
        inner = stage
    return dict(settings)


# Folders


@dataclass(frozen=True)
class Source:
    """Where weights lie, and their settings if these lie beside them."""

    weights: Path
    config: Path | None


def find_source(path: Path) -> Source:
    """A file of weights, or the one in a folder with its config; raises BadInput where it is not clear which."""
    if not path.is_dir():
        check_is_file(path)
        return Source(path, None)
    found: list[str] = []
    configs: list[str] = []
    try:
        with os.scandir(path) as entries:
            for count, entry in enumerate(entries):
                if count > 10_000:
                    raise BadInput(f"The folder {display_name(path.name)} has over 10,000 entries; name the file.")
                suffix = os.path.splitext(entry.name)[1].lower()
                found += [entry.name] * (suffix in WEIGHTS_SUFFIXES)
                configs += [entry.name] * (entry.name == "config.json" or suffix in (".yaml", ".yml"))
    except OSError as fault:
        reason = fault.strerror or "unreadable"
        raise BadInput(f"The folder {display_name(path.name)} cannot be read ({reason}); check it.") from None
    weights = _inside(path, _one_of(sorted(found), path))
    config = "config.json" if "config.json" in configs else configs[0] if len(configs) == 1 else None
    return Source(weights, _inside(path, config) if config else None)


_USUAL = ("diffusion_pytorch_model", "model", "pytorch_model")


def _one_of(found: list[str], folder: Path) -> str:
    if not found:
        raise BadInput(
            f"The folder {display_name(folder.name)} holds no file of weights ({', '.join(WEIGHTS_SUFFIXES)}); "
            "name the folder or the file that does."
        )
    usual = [stem + suffix for stem in _USUAL for suffix in WEIGHTS_SUFFIXES if stem + suffix in found]
    if len(found) == 1 or usual:
        return (usual or found)[0]
    few = ", ".join(display_name(name) for name in found[:3])
    raise BadInput(f"The folder {display_name(folder.name)} holds several files of weights ({few}); name the one.")


def _inside(folder: Path, name: str) -> Path:
    """A file of a folder; a link may lead to the folder's own files, or into the blobs beside a hub's snapshots."""
    path = folder / name
    try:
        real, home = path.resolve(), folder.resolve()
    except (OSError, RuntimeError):
        raise BadInput(f"{display_name(name)} is a link that leads nowhere; copy the file itself.") from None
    if not real.is_relative_to(home) and not real.is_relative_to(home.parent.parent / "blobs"):
        raise BadInput(f"{display_name(name)} is a link out of its folder; name the file that it leads to.")
    return path
