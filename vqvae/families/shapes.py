"""Reading an architecture from the names and shapes of its tensors."""

from collections.abc import Mapping

import torch

from vqvae.errors import BadInput, shown

Shapes = Mapping[str, torch.Size]


def extent(shapes: Shapes, name: str, axis: int) -> int:
    """How long a tensor is along one of its axes; raises BadInput where there is no such tensor or axis."""
    if name not in shapes:
        raise BadInput(f"The weights lack the tensor {name!r}; save the whole model's state_dict.")
    shape = shapes[name]
    if axis >= len(shape):
        raise BadInput(f"The tensor {name!r} has shape {shown(list(shape))} and needs more axes; save it again.")
    return shape[axis]


def count(shapes: Shapes, prefix: str, *, start: int = 0) -> int:
    """How many parts are numbered without a gap behind a prefix: 2 in "down.0.bias", "down.1.bias" behind "down."."""
    numbers = {name.removeprefix(prefix).split(".", 1)[0] for name in shapes if name.startswith(prefix)}
    there = 0
    while str(start + there) in numbers:
        there += 1
    return there
