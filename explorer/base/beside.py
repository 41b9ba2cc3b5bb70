"""The small files beside a model: arrays with a line or two about them, under a checksum, so that damage is found out.

They are in the safetensors format, which would not notice a changed bit. The checksum, SHA-256 over everything that the
file says, is one more entry of its metadata; files made before there was one are read without it.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save

from vqvae.checkpoint import remove_leftovers, write_atomically

USAGE, FED, NEIGHBOURS = "usage.safetensors", "fed.safetensors", "neighbours.safetensors"
MAP = "codebook.projection.safetensors"
_MADE_BY = {
    USAGE: "python -m explorer usage PHOTOS",
    FED: "python -m explorer fed PHOTOS",
    NEIGHBOURS: "python -m explorer fed PHOTOS",
    MAP: "python -m explorer.projection",
}
CHECKSUM = "checksum"
_DTYPES: dict[str, np.dtype] = {
    **{f"F{8 * size}": np.dtype(f"<f{size}") for size in (2, 4, 8)},
    **{f"U{8 * size}": np.dtype(f"<u{size}") for size in (1, 2, 4, 8)},
    "I64": np.dtype("<i8"),
}
_MOST_HEADER_BYTES = 1 << 16
_MOST_BYTES = 1 << 28

Form = tuple[np.dtype, tuple[int, ...]]  # dtype and shape


@dataclass(frozen=True, eq=False)
class Contents:
    """What a file holds."""

    arrays: dict[str, np.ndarray]
    about: dict[str, str]


def to_bytes(arrays: Mapping[str, np.ndarray], about: Mapping[str, str]) -> bytes:
    """The bytes of a file, with its checksum; the same for the same content."""
    whole = {name: np.asarray(array, order="C") for name, array in arrays.items()}  # the format takes a view's memory
    packed = save(whole, {**about, CHECKSUM: checksum(whole, about)})
    end = 8 + int.from_bytes(packed[:8], "little")
    entries = json.loads(packed[8:end])
    entries["__metadata__"] = dict(sorted(entries["__metadata__"].items()))  # which the library puts in any order
    header = json.dumps(entries).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + packed[end:]


def write(path: Path, arrays: Mapping[str, np.ndarray], about: Mapping[str, str]) -> None:
    """Write a file with its checksum, whole or not at all."""
    remove_leftovers(path.parent)
    write_atomically(path, to_bytes(arrays, about))


def read(path: Path, forms: Mapping[str, Form]) -> Contents | None:
    """What a file holds; None where there is none, it is damaged, or its arrays are others than those asked for."""
    most = _MOST_HEADER_BYTES + sum(dtype.itemsize * int(np.prod(shape)) for dtype, shape in forms.values())
    try:
        found = _read(path, most)
    except (OSError, ValueError):
        return None
    held = {name: (array.dtype, array.shape) for name, array in found.arrays.items()}
    return found if held == dict(forms) else None


def read_any(path: Path) -> Contents | None:
    """What a file with a checksum holds, whatever its arrays are; None where there is none, or it is damaged."""
    try:
        found = _read(path, _MOST_BYTES)
    except (OSError, ValueError):
        return None
    return found if CHECKSUM in found.about else None


def damage(folder: Path, file: str, argument: str) -> str:
    """What to say of a file beside a model that is damaged, in one sentence; nothing of a sound one or of none.

    `argument` names the model to a command.
    """
    try:
        _read(folder / file, _MOST_BYTES)
    except ValueError:
        return (
            f"The file {file} beside the model is damaged and is not used; {_MADE_BY[file]} {argument} makes it anew."
        )
    except OSError:
        pass
    return ""


def all_damage(folder: Path, argument: str) -> list[str]:
    """What to say of each damaged file beside a model."""
    return [said for file in _MADE_BY if (said := damage(folder, file, argument))]


def of_set(identity: str) -> dict[str, str]:
    """What a file says of the set of images that it is of, where that is known."""
    return {"set": identity} if identity else {}


def checksum(arrays: Mapping[str, np.ndarray], about: Mapping[str, str]) -> str:
    """SHA-256, in hex, over arrays with their names, types and shapes, and what is said about them."""
    said = {name: text for name, text in about.items() if name != CHECKSUM}
    digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode() + b"\n")
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(json.dumps([name, array.dtype.str, array.shape]).encode() + b"\n")
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _read(path: Path, most: int) -> Contents:
    """Raises OSError where there is no such file, and ValueError where it is damaged or none of these."""
    if not path.is_file():
        raise FileNotFoundError(path)
    with path.open("rb") as file:
        data = file.read(most + 1) if path.stat().st_size <= most else b""
    if not 0 < len(data) <= most:
        raise ValueError("The file is empty, or larger than any of these.")
    try:
        entries = deserialize(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        about = {str(name): str(text) for name, text in (header.get("__metadata__") or {}).items()}
        arrays = {
            name: np.frombuffer(bytearray(entry["data"]), _DTYPES[entry["dtype"]]).reshape(entry["shape"])
            for name, entry in entries
        }
    except (SafetensorError, KeyError) as fault:
        raise ValueError("The file is damaged.") from fault
    if CHECKSUM in about and about[CHECKSUM] != checksum(arrays, about):
        raise ValueError("The content is not what the checksum was taken of.")
    return Contents(arrays, about)
