"""Images as files of codes: a NumPy .npz with arrays `level0`, `level1` … (int64 [h, w]) and `size` (height, width).

Such a file may come from anywhere. Nothing in it is unpickled, and nothing is allocated before its size is known.
"""

from __future__ import annotations

import io
import math
import zipfile
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vqvae.errors import BadInput, shown
from vqvae.images import LONGEST_SIDE, MOST_PIXELS
from vqvae.tokenizer import Spec, Tokenizer

MOST_BYTES = 128 << 20  # of all arrays together: 40 megapixels at a stride of 2 are 80 MB
_MOST_MEMBERS = 64
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


@dataclass(frozen=True, eq=False)
class Codes:
    """The indices of one image, and its size."""

    indices: tuple[Tensor, ...]  # [1, h_i, w_i] int64 for each level
    size: tuple[int, int]  # height and width in pixels, before it was padded


def encode(tokenizer: Tokenizer, image: Tensor) -> Codes:
    """[1, 3, H, W] in [0, 1] -> its codes; raises BadInput for a size that the tokenizer does not take."""
    height, width = image.shape[-2:]
    only = tokenizer.spec.sizes.only
    if only and only != (height, width):
        raise BadInput(
            f"This tokenizer encodes images of {only[0]} × {only[1]} pixels (height × width), "
            f"and this one has {height} × {width}; resize it."
        )
    return Codes(tokenizer.encode(image).indices, (height, width))


def decode(tokenizer: Tokenizer, codes: Codes) -> Tensor:
    """The image of checked codes, and of these alone: [1, 3, H, W] in [0, 1]."""
    height, width = codes.size
    return tokenizer.decode(tokenizer.lookup(codes.indices))[..., :height, :width]


def to_bytes(codes: Codes) -> bytes:
    """A compressed .npz file."""
    grids = {f"level{number}": grid[0].cpu().numpy() for number, grid in enumerate(codes.indices)}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, size=np.array(codes.size, np.int64), **grids)
    return buffer.getvalue()


def from_bytes(data: bytes, spec: Spec) -> Codes:
    """The codes in a .npz file, checked against a tokenizer; raises BadInput at the first thing that is wrong.

    A file without `size` stands for an image that fills its grid.
    """
    arrays = _arrays(data)
    names = [f"level{number}" for number in range(len(spec.levels))]
    for name in names:
        if name not in arrays:
            raise BadInput(f"The file lacks the array {name!r}; this tokenizer has {len(names)} level(s).")
    for name in arrays:
        if name not in (*names, "size"):
            raise BadInput(f"The file holds an array {shown(name)} that this tokenizer does not know; remove it.")
    for name, level in zip(names, spec.levels, strict=True):
        grid = arrays[name]
        if grid.ndim != 2 or not grid.size:
            raise BadInput(f"The array {name!r} has the shape {list(grid.shape)} and has to be a grid [h, w].")
        if grid.min() < 0 or grid.max() >= level.codes:
            least, most = grid.min(), grid.max()
            raise BadInput(
                f"The array {name!r} has codes from {least:,} to {most:,}; they are 0 to {level.codes - 1:,}."
            )
    size = _size([arrays[name].shape for name in names], arrays.get("size"), spec)
    return Codes(tuple(torch.from_numpy(arrays[name].astype(np.int64))[None] for name in names), size)


def _size(shapes: list[tuple[int, ...]], stated: np.ndarray | None, spec: Spec) -> tuple[int, int]:
    """Height and width of the image, where all grids and what the file says of it agree."""
    filled = spec.sizes.only
    for number, (shape, level) in enumerate(zip(shapes, spec.levels, strict=True)):
        if level.stride is None:
            if shape[0] != 1:
                raise BadInput(f"The array 'level{number}' has the shape {list(shape)} and has to be a row [1, n].")
            continue
        pixels = shape[0] * level.stride, shape[1] * level.stride
        if filled is None and any(side % spec.sizes.multiple for side in pixels):
            raise BadInput(
                f"The grids do not fill whole steps of {spec.sizes.multiple} pixels; encode the image again."
            )
        if filled is not None and pixels != filled:
            raise BadInput(
                f"The array 'level{number}' has the shape {list(shape)} and has to be "
                f"{[side // level.stride for side in filled]}, as the other arrays or the tokenizer want it."
            )
        filled = pixels
    if filled is None:
        raise BadInput("This tokenizer does not say how large its images are, and cannot decode a file.")
    if max(filled) > LONGEST_SIDE or math.prod(filled) > MOST_PIXELS:
        raise BadInput(f"The codes stand for {filled[0]:,} × {filled[1]:,} pixels; that is too large to decode.")
    if stated is None:
        return filled
    height, width = stated.tolist() if stated.shape == (2,) else (0, 0)
    if not all(0 <= whole - side < spec.sizes.multiple for side, whole in zip((height, width), filled, strict=True)):
        raise BadInput(f"The array 'size' does not fit grids of {filled[0]:,} × {filled[1]:,} pixels; encode again.")
    return height, width


def _arrays(data: bytes) -> dict[str, np.ndarray]:
    """The arrays of whole numbers in a .npz file."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            if len(members) > _MOST_MEMBERS or sum(member.file_size for member in members) > MOST_BYTES:
                raise BadInput(
                    f"The file unpacks to over {MOST_BYTES >> 20} MiB or {_MOST_MEMBERS} arrays; it is no image."
                )
            return {member.filename.removesuffix(".npy"): _array(archive, member) for member in members}
    except BadInput:
        raise
    except Exception:  # zipfile and its decompressors raise whatever damaged bytes lead them to
        raise BadInput("The file is damaged, or not in NumPy's .npz format; write it with encode.") from None


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    """What `np.load` gives, without trusting the header's shape or unpickling anything."""
    with archive.open(member) as file:
        content = io.BytesIO(file.read(member.file_size))  # no more than the archive's table says
    try:
        read_header: Any = _HEADERS[np.lib.format.read_magic(content)]
        shape, by_columns, dtype = read_header(content)
    except (ValueError, KeyError):
        raise BadInput(f"The file's {shown(member.filename)} is no NumPy array; write it with encode.") from None
    if dtype.kind not in "iu":
        what = "pickled objects" if dtype.hasobject else str(dtype)
        raise BadInput(
            f"The array {shown(member.filename)} holds {shown(what)[1:-1]}, and codes are whole numbers (int64)."
        )
    rest = content.getbuffer()[content.tell() :]
    if any(side < 0 for side in shape) or math.prod(shape) * dtype.itemsize != len(rest):
        raise BadInput(f"The array {shown(member.filename)} is cut off; write it again.")
    return np.frombuffer(rest, dtype).reshape(shape, order="F" if by_columns else "C")
