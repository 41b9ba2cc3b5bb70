"""A tokenizer out of a Python file of one's own: `my_model.py:load`.

The file runs because a person named it, on the command line or in an environment variable; nothing else does it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import sys
from argparse import SUPPRESS, ArgumentParser
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import torch

from vqvae import contract
from vqvae.errors import BadInput, shown
from vqvae.served import Served, call, tensors
from vqvae.tokenizer import Tokenizer

TOKENIZER_VARIABLE = "VQVAE_EXPLORER_TOKENIZER"
DEVICE_VARIABLE = "VQVAE_EXPLORER_DEVICE"
_MOST_FILE_BYTES = 10 << 20


@dataclass(frozen=True)
class Request:
    """A tokenizer that a person asked for by naming a file and a function."""

    named: str  # my_model.py:load
    device: str | None = None  # None: wherever the function puts it

    def load(self) -> Served:
        """The tokenizer; raises BadInput."""
        return load_plugin(self.named, device=self.device)

    def absolute(self) -> Request:
        """As it is named from any folder."""
        path, function = _parsed(self.named)
        return replace(self, named=f"{path}:{function}")


def requested(argv: Sequence[str], environ: Mapping[str, str]) -> Request | None:
    """What `--tokenizer FILE.py:FUNCTION [--device cuda]`, or else the environment, asks for; raises BadInput.

    Other arguments are left to others.
    """
    parser = _Parser(add_help=False, allow_abbrev=False, usage=SUPPRESS)
    parser.add_argument("--tokenizer", default=environ.get(TOKENIZER_VARIABLE) or None)
    parser.add_argument("--device", default=environ.get(DEVICE_VARIABLE) or None)
    options, _ = parser.parse_known_args(list(argv))
    return Request(options.tokenizer, options.device) if options.tokenizer is not None else None


def load_plugin(named: str, *, device: str | None = None) -> Served:
    """Run a file and call its function, `my_model.py:load`, which returns a `Tokenizer`; check what that promises.

    A function with a parameter `device` is given it. On a `device` the model is moved there; images and results stay
    on the CPU. Raises BadInput with one sentence for whatever is wrong.
    """
    served = made_by(named, device=device)
    contract.check(served)
    served.strict = True
    return served


def made_by(named: str, *, device: str | None = None) -> Served:
    """As `load_plugin`, without the check of what the tokenizer promises: for whoever wants to see all its faults."""
    path, function_name = _parsed(named)
    place = None if device is None else checked_device(device)
    code = _read(path)
    with _importable(path.parent):
        module = _imported(path)
        function = getattr(module, function_name, None)
        if not callable(function):
            raise BadInput(f"{path.name} has no function {shown(function_name)}; name one that returns a tokenizer.")
        made = call(f"{path.name}:{function_name}", lambda: function(**_arguments(function, place)))
    inner = made.tokenizer if isinstance(made, Served) else made
    try:
        return Served(inner, device=place, code=hashlib.sha256(function_name.encode() + b"\n" + code).hexdigest())
    except BadInput as refusal:
        raise BadInput(f"{path.name}:{function_name}: {refusal}") from None


def on_device(tokenizer: Tokenizer, device: str) -> Served:
    """Any tokenizer, moved to a device; images and results stay on the CPU. Raises BadInput where there is none."""
    return Served(tokenizer, device=checked_device(device))


def fingerprint(tokenizer: Tokenizer) -> str:
    """SHA-256 over spec, weights and the plug-in file's bytes, in hex: the same in each run, another for other weights.

    Weights are all tensors that the tokenizer can reach: states of its modules, its attributes, and what the callables
    it was adapted from are bound to or close over.
    """
    digest = hashlib.sha256(repr(tokenizer.spec).encode())
    digest.update(getattr(tokenizer, "code", "").encode())
    for name, tensor in tensors(tokenizer):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


class _Parser(ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise BadInput(f"The command line is wrong: {message}.")


def _parsed(named: str) -> tuple[Path, str]:
    file, colon, function = named.rpartition(":")
    if not colon or not file.endswith(".py") or not function.isidentifier():
        raise BadInput(f"{shown(named)} names no tokenizer; write a file and its function, such as my_model.py:load.")
    try:
        return Path(file).expanduser().resolve(), function
    except (OSError, RuntimeError, ValueError):  # links in a circle, no home, a byte that no path has
        raise _no_file(file) from None


def checked_device(device: str) -> torch.device:
    """The device of that name, on which something was computed; raises BadInput for one that is not there."""
    try:
        place = torch.device(device)
        torch.empty(1, device=place)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise BadInput(f"There is no device {shown(device)} here that torch can use; say cpu, or cuda.") from None
    if place.type == "meta":
        raise BadInput("The device 'meta' computes nothing; say cpu, or cuda.")
    return place


def _read(path: Path) -> bytes:
    try:
        if not path.is_file():  # a pipe would be waited for
            raise _no_file(path)
        with path.open("rb") as file:
            code = file.read(_MOST_FILE_BYTES + 1)
    except OSError:
        raise _no_file(path) from None
    if len(code) > _MOST_FILE_BYTES:
        raise BadInput(f"The file {path.name} is over {_MOST_FILE_BYTES >> 20} MiB; it should hold a little code.")
    return code


def _no_file(path: Path | str) -> BadInput:
    return BadInput(f"There is no file {shown(str(path), longest=120)} that can be read; correct the path.")


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Modules beside the file can be imported while it is."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        with suppress(ValueError):  # the file may have changed the path itself
            sys.path.remove(str(folder))


def _imported(path: Path) -> ModuleType:
    """Run the file as a module under a name of its own."""
    name = f"vqvae_plugin_{hashlib.sha256(str(path).encode()).hexdigest()[:16]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # data classes and pickles look their module up there
    try:
        call(path.name, spec.loader.exec_module, module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _arguments(function: Callable[..., Any], device: torch.device | None) -> dict[str, torch.device]:
    try:
        takes_device = "device" in inspect.signature(function).parameters
    except (TypeError, ValueError):
        return {}
    return {"device": device} if takes_device and device is not None else {}
