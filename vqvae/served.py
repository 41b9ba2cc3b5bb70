"""Other people's code, called with care: under inference mode, on its own device, and what it raises in one sentence.

`Served` puts a tokenizer that somebody wrote behind the contract: tensors come and go on the CPU, nothing that is
given or returned shares memory with its weights, and whatever it raises or returns by mistake becomes a BadInput.
"""

from __future__ import annotations

import inspect
import sys
import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from types import FunctionType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vqvae.errors import BadInput, shown
from vqvae.preview import Part, Previewer, Whole, previewer_of
from vqvae.tokenizer import Encoding, Spec, Tokenizer
from vqvae.window import Window

_METHODS = ("encode", "lookup", "vectors", "decode")
_MOST_OBJECTS = 10_000  # looked at in search of weights
_INSTALLED = tuple(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib"))


class Served:
    """A `Tokenizer` as the app calls it, whoever wrote it. Floats come back as float32, indices as int64."""

    def __init__(self, tokenizer: object, *, device: torch.device | None = None, code: str = "") -> None:
        """Wrap what a person calls a tokenizer; raises BadInput where it is none.

        On a `device` its modules are moved there; without one they stay where they are. `code` is the hash of the
        file that made it.
        """
        self.tokenizer: Tokenizer = _checked_tokenizer(tokenizer)
        self.spec: Spec = self.tokenizer.spec
        self.code = code
        if device is not None:
            for module in modules(tokenizer):
                call("Moving the model", partial(module.to, device))
        self.device = device or device_of(tokenizer)
        self.strict = False  # once it was tried out: what it gives for any picture is checked, too

    def encode(self, images: Tensor) -> Encoding:
        with torch.inference_mode():
            encoding = call("encode", self.tokenizer.encode, self.sent(images))
            if not isinstance(encoding, Encoding):
                raise BadInput(f"encode returns {_kind(encoding)} and has to return a vqvae.tokenizer.Encoding.")
            if not isinstance(encoding.indices, tuple):
                raise BadInput(f"encode's indices are {_kind(encoding.indices)} and have to be a tuple, one a level.")
        indices = tuple(_returned("encode's indices", grid, floats=False) for grid in encoding.indices)
        embedding = _returned("encode's embedding", encoding.embedding)
        quantized = _returned("encode's quantized", encoding.quantized)
        if self.strict:
            self._check_indices(indices, images)
            _check_finite("encode's embedding", embedding)
            _check_finite("encode's quantized", quantized)
        return Encoding(indices=indices, embedding=embedding, quantized=quantized)

    def _check_indices(self, indices: tuple[Tensor, ...], images: Tensor) -> None:
        """Raise BadInput unless there is a grid of each level, of the size that the image has, and codes that are."""
        if len(indices) != len(self.spec.levels):
            raise BadInput(f"encode gives indices of {len(indices)} levels, and there are {len(self.spec.levels)}.")
        for level, grid in zip(self.spec.levels, indices, strict=True):
            if grid.ndim != 3 or not grid.numel():
                raise BadInput(f"encode's indices have shape {list(grid.shape)}, and it has to be [B, h, w].")
            if int(grid.min()) < 0 or int(grid.max()) >= level.codes:
                raise BadInput(
                    f"encode's indices run from {int(grid.min())} to {int(grid.max())}, and codes from 0 to "
                    f"{level.codes - 1}."
                )
            multiple = self.spec.sizes.multiple
            if level.stride is not None:
                padded = [-(-side // multiple) * multiple // level.stride for side in images.shape[-2:]]
                if list(grid.shape[-2:]) != padded:
                    raise BadInput(
                        f"encode gives a grid of {grid.shape[-2]} × {grid.shape[-1]} cells for this image, and it has "
                        f"to be {padded[0]} × {padded[1]}."
                    )

    def lookup(self, indices: tuple[Tensor, ...]) -> Tensor:
        with torch.inference_mode():
            quantized = call("lookup", self.tokenizer.lookup, tuple(self.sent(grid) for grid in indices))
        return _returned("lookup", quantized)

    def vectors(self, level: int, codes: Tensor) -> Tensor:
        with torch.inference_mode():
            rows = call("vectors", self.tokenizer.vectors, level, self.sent(codes))
        return _returned("vectors", rows)

    def decode(self, quantized: Tensor, embedding: Tensor | None = None) -> Tensor:
        """As the contract says; derivatives by what it is given can be asked for, and by nothing else are."""
        derived = quantized.requires_grad or (embedding is not None and embedding.requires_grad)
        derived &= torch.is_grad_enabled()
        with torch.enable_grad() if derived else torch.inference_mode():
            second = None if embedding is None else self.sent(embedding)
            images = call("decode", self.tokenizer.decode, self.sent(quantized), second)
        drawn = _returned("decode", images, derived=derived)
        if self.strict:
            _check_finite("decode", drawn.detach())
        return drawn

    def pixels_of(self, quantized: Tensor, embedding: Tensor | None = None) -> Tensor:
        """As `decode`, before the pixels are clamped; only for a tokenizer that offers that (`offers_unclamped`)."""
        draw = self.tokenizer.pixels_of  # type: ignore[attr-defined]
        with torch.inference_mode():
            second = None if embedding is None else self.sent(embedding)
            drawn = _returned("pixels_of", call("pixels_of", draw, self.sent(quantized), second))
        if self.strict:
            _check_finite("pixels_of", drawn)
        return drawn

    @property
    def previewer(self) -> Previewer | None:
        """What the tokenizer offers for previews, called with the same care; None where it offers none."""
        inner = previewer_of(self.tokenizer)
        return None if inner is None else ServedPreviewer(self, inner)

    def sent(self, tensor: Tensor) -> Tensor:
        """A copy on the device: whoever gets it may write into it."""
        return tensor.to(self.device, copy=True)


@dataclass(frozen=True, eq=False)
class ServedPreviewer:
    """A `Previewer` as the app calls it: pixels come back to the CPU, what it keeps stays where it is."""

    served: Served
    inner: Previewer

    def whole(self, quantized: Tensor, embedding: Tensor | None = None) -> Whole:
        found = self._called("whole", quantized, embedding)
        if not isinstance(found, Whole):
            raise BadInput(f"whole returns {_kind(found)} and has to return a vqvae.preview.Whole.")
        return Whole(self._checked("whole", found.pixels), found.statistics)

    def part(
        self, quantized: Tensor, embedding: Tensor | None = None, *, statistics: object, changed: Tensor
    ) -> Part | None:
        found = self._called("part", quantized, embedding, statistics=statistics, changed=changed.clone())
        if found is None:
            return None
        if not isinstance(found, Part):
            raise BadInput(f"part returns {_kind(found)} and has to return a vqvae.preview.Part, or None.")
        pixels, window = self._checked("part", found.pixels), found.window
        scale = self.served.spec.stride
        if not isinstance(window, Window) or pixels.shape[1:] != (3, window.rows * scale, window.columns * scale):
            raise BadInput(f"part returns pixels of shape {list(pixels.shape)}, and its window is {shown(window)}.")
        return Part(pixels, window)

    def _called(self, name: str, quantized: Tensor, embedding: Tensor | None, **said: object) -> Any:
        with torch.inference_mode():
            second = None if embedding is None else self.served.sent(embedding)
            return call(name, partial(getattr(self.inner, name), **said), self.served.sent(quantized), second)

    def _checked(self, name: str, pixels: object) -> Tensor:
        drawn = _returned(name, pixels)
        if self.served.strict:
            _check_finite(name, drawn)
        return drawn


def call(name: str, function: Callable[..., Any], *arguments: object) -> Any:
    """What the function returns; what it raises becomes a BadInput that quotes it in short."""
    try:
        return function(*arguments)
    except BadInput:
        raise
    except (Exception, SystemExit) as fault:
        raise BadInput(f"{name} raises {quoted(fault)}; correct it.") from fault


def quoted(fault: BaseException, *, longest: int = 140) -> str:
    """The type and the message of what was raised: one short line."""
    try:
        words = "".join(letter if letter.isprintable() else " " for letter in str(fault)).split()
    except Exception:  # a message that cannot even be made
        words = []
    message = " ".join(words).rstrip(".")
    if len(message) > longest:
        message = f"{message[: longest - 1]}…"
    return f"{type(fault).__name__} (“{message}”)" if message else type(fault).__name__


def modules(root: object) -> list[nn.Module]:
    """The torch modules that an object can reach, but for those inside of another one.

    It reaches its attributes, its class's, and what its functions are bound to, close over and name.
    """
    found = [part for part in _reachable(root) if isinstance(part, nn.Module)]
    inner = {id(child) for module in found for child in module.modules() if child is not module}
    return [module for module in found if id(module) not in inner]


def tensors(root: object) -> Iterator[tuple[str, Tensor]]:
    """Name and value of every tensor that an object can reach, each once: states of its modules, then tensors alone.

    The order is the same in each run of the same code.
    """
    seen: set[int] = set()
    alone = 0
    for place, module in enumerate(modules(root)):
        for name, value in module.state_dict(keep_vars=True).items():
            if isinstance(value, Tensor) and id(value) not in seen:
                seen.add(id(value))
                yield f"{place}.{name}", value.detach()
    for part in _reachable(root):
        value = torch.from_numpy(part) if isinstance(part, np.ndarray) and part.dtype.kind in "biuf" else part
        if isinstance(value, Tensor) and id(part) not in seen:
            seen.add(id(part))
            yield f"tensor {alone}", value.detach()
            alone += 1


def device_of(root: object) -> torch.device:
    """Where an object's weights lie; the CPU if it has none."""
    return next((tensor.device for _, tensor in tensors(root)), torch.device("cpu"))


def dtype_of(root: object) -> torch.dtype:
    """The type of number that an object's modules compute in; float32 if it has none."""
    weights = (weight for module in modules(root) for weight in module.parameters())
    return next((weight.dtype for weight in weights if weight.is_floating_point()), torch.float32)


def _reachable(root: object) -> Iterator[object]:
    """The object and what it holds, each once, from the outside in."""
    queue, seen = [root], {id(root)}
    for part in queue:
        yield part
        for inner in _held_by(part):
            if id(inner) not in seen and len(queue) < _MOST_OBJECTS:
                seen.add(id(inner))
                queue.append(inner)


def _held_by(part: object) -> list[object]:
    if isinstance(part, str | bytes | int | float | Tensor | np.ndarray | type) or inspect.ismodule(part):
        return []
    if isinstance(part, dict):
        return list(part.values())
    if isinstance(part, list | tuple):
        return list(part)
    if isinstance(part, partial):
        return [part.func, *part.args, *part.keywords.values()]
    if inspect.ismethod(part):
        return [part.__self__, part.__func__]
    if inspect.isfunction(part):
        return _held_by_function(part)
    return [*_attributes(part), *_class_attributes(type(part))]


def _attributes(part: object) -> list[object]:
    attributes = getattr(part, "__dict__", {})
    if isinstance(part, nn.Module):  # its parameters, buffers and hooks are told by its state
        public = [value for name, value in attributes.items() if not name.startswith("_")]
        return [*public, *part._modules.values()]
    return list(attributes.values())


def _class_attributes(cls: type) -> list[object]:
    """Methods and values of a class and those it derives from, as far as they come with no package."""
    files = {base: getattr(sys.modules.get(base.__module__), "__file__", None) for base in cls.__mro__}
    own = [base for base, file in files.items() if base.__module__ == "__main__" or (file and not _installed(file))]
    return [value for base in own for value in vars(base).values()]


def _installed(file: str) -> bool:
    return file.startswith(_INSTALLED)


def _held_by_function(function: FunctionType) -> list[object]:
    """What it closes over, its defaults, and the globals that it names; not of functions that come with a package."""
    if _installed(function.__code__.co_filename):
        return []
    try:
        names = inspect.getclosurevars(function)
    except ValueError:  # a cell that is still empty
        return []
    return [*names.nonlocals.values(), *names.globals.values(), *(function.__defaults__ or ())]


def _checked_tokenizer(tokenizer: object) -> Any:
    """The object itself, if it has what a tokenizer has."""
    missing = [name for name in ("spec", *_METHODS) if not hasattr(tokenizer, name)]
    if missing:
        names = ", ".join(repr(name) for name in missing)
        raise BadInput(f"What came is {_kind(tokenizer)} and no tokenizer: it lacks {names}; vqvae.adapt makes one.")
    for name in _METHODS:
        if not callable(getattr(tokenizer, name)):
            raise BadInput(f"The tokenizer's {name!r} is {_kind(getattr(tokenizer, name))} and has to be a method.")
    spec = tokenizer.spec  # type: ignore[attr-defined]
    if not isinstance(spec, Spec):
        raise BadInput(f"The tokenizer's 'spec' is {_kind(spec)} and has to be a vqvae.tokenizer.Spec.")
    return tokenizer


def _returned(name: str, value: object, *, floats: bool = True, derived: bool = False) -> Tensor:
    """A copy on the CPU, float32 or int64, detached unless `derived`; raises BadInput where it is no such tensor."""
    if not isinstance(value, Tensor):
        raise BadInput(f"{name} gives {_kind(value)} and has to give a tensor.")
    if value.is_floating_point() != floats or value.is_complex() or value.dtype == torch.bool:
        wanted = "floats" if floats else "whole numbers (int64)"
        raise BadInput(f"{name} has numbers of type {_dtype(value)}, and they have to be {wanted}.")
    return (value if derived else value.detach()).to("cpu", torch.float32 if floats else torch.int64, copy=True)


def _check_finite(name: str, tensor: Tensor) -> None:
    """Raise BadInput where a tensor holds NaN or infinity."""
    if not tensor.isfinite().all():
        raise BadInput(f"{name} gives values that are not finite; correct it.")


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _kind(value: object) -> str:
    """What something is, with its article, for a message."""
    if value is None:
        return "nothing (None)"
    name = shown(type(value).__name__).strip("'")
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"
