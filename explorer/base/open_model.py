"""An open model: what pages and commands are handed, wherever it came from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

from explorer.base.folders import cache_folder
from vqvae import checkpoint
from vqvae.errors import BadInput, shown
from vqvae.plugin import Request, fingerprint, on_device
from vqvae.search import Codebook
from vqvae.served import Served, tensors
from vqvae.snapshots import name_of
from vqvae.tokenizer import Spec, Tokenizer


@dataclass(frozen=True, eq=False)
class OpenModel:
    """A tokenizer with what is known of it. One is shared by all who look at it, and never written to.

    It may have several levels, or a row of tokens: `codes`, `stride` and `codebook` are of its one grid, and raise
    BadInput where it has none.
    """

    name: str
    tokenizer: Tokenizer
    fingerprint: str  # SHA-256 in hex: the same for the same weights and settings
    device: str
    summary: str  # one line, may be empty
    parameters: int | None  # weights of encoder, codebook and decoder; None where that is not known
    argument: str  # what names it to a command: --checkpoint NAME, or --tokenizer FILE.py:FUNCTION
    folder: Path  # where its usage, its meter's data and its map lie, where it has them
    settings: Mapping[str, Any]  # the content of its config.json; empty for code of one's own
    opened_from: Path | Request | None = None  # a checkpoint's folder, or what names code of one's own

    def __reduce__(self) -> tuple[Callable[..., OpenModel], tuple[Any, ...]]:
        """Another process opens it again where it lies; what lies nowhere is sent as it is."""
        if self.opened_from is None:
            return partial(OpenModel, **{field.name: getattr(self, field.name) for field in fields(self)}), ()
        return _reopened, (self.opened_from, self.device, self.fingerprint)

    @property
    def spec(self) -> Spec:
        return self.tokenizer.spec

    @property
    def codes(self) -> int:
        """K."""
        return self.spec.grid.codes

    @property
    def stride(self) -> int:
        """f, pixels a cell along each side."""
        return self.spec.stride

    @property
    def inputs(self) -> Literal[1, 2]:
        """How many inputs the decoder has."""
        return self.spec.inputs

    @cached_property
    def codebook(self) -> Codebook:
        """All codes of the grid, once for all who look at them."""
        _ = self.spec.grid
        return Codebook.of(self.tokenizer)


def with_grid(model: OpenModel) -> OpenModel:
    """The model as it is, for whoever needs a grid of cells; raises BadInput where it has none, or several levels."""
    _ = model.spec.grid
    return model


def open_folder(folder: Path) -> OpenModel:
    """Open a checkpoint's folder, of any number of levels; raises BadInput with the first thing that is wrong.

    One that a training overwrites meanwhile is opened once more: the fingerprint has to be that of the weights.
    """
    for _ in range(2):
        stamp = checkpoint.stamp(folder)
        model = _open_as_it_is(folder)
        if checkpoint.stamp(folder) == stamp:
            return model
    raise BadInput(f"The checkpoint {shown(folder.name)} is being written; open it again in a moment.")


def on_another_device(model: OpenModel, device: str) -> OpenModel:
    """A copy of an open model whose tokenizer computes on a device; images and results stay on the CPU.

    Raises BadInput where there is no such device.
    """
    return replace(model, tokenizer=on_device(model.tokenizer, device), device=device)


def for_workers_on(model: OpenModel, device: str) -> OpenModel:
    """An open model that computes on a device once another process opens it, and here where it did before."""
    again = model.opened_from
    return replace(
        model, device=device, opened_from=replace(again, device=device) if isinstance(again, Request) else again
    )


def _reopened(opened_from: Path | Request, device: str, fingerprint: str) -> OpenModel:
    """Open what another process has open; raises BadInput where it has changed since."""
    if isinstance(opened_from, Request):
        model = open_plugin(opened_from)
    else:
        model = open_folder(opened_from)
        model = on_another_device(model, device) if device != model.device else model
    if model.fingerprint != fingerprint:
        raise BadInput(f"The model {shown(model.name)} has changed since the work began; start it again.")
    return model


def _open_as_it_is(folder: Path) -> OpenModel:
    tokenizer = checkpoint.load(folder)
    settings = checkpoint.read_config(folder)
    name = name_of(folder)
    return OpenModel(
        name=name,
        tokenizer=tokenizer,
        fingerprint=checkpoint.content_hash(folder),
        device="cpu",
        summary=checkpoint.summary_of(settings),
        parameters=sum(tensor.numel() for tensor in tokenizer.state_dict().values()),
        argument=f"--checkpoint {name}",
        folder=folder,
        settings=settings,
        opened_from=folder.absolute(),
    )


def open_plugin(request: Request) -> OpenModel:
    """Open code of one's own, which runs; what is measured of it is kept in the cache. Raises BadInput."""
    model = of_tokenizer(
        request.load(),
        name=Path(request.named).name,
        argument=f"--tokenizer {request.named}",
        summary=f"Code of one's own, {request.named}",
    )
    return replace(model, opened_from=request.absolute())


def of_tokenizer(
    tokenizer: Served, *, name: str, argument: str = "--tokenizer FILE.py:FUNCTION", summary: str = ""
) -> OpenModel:
    """A tokenizer that is no checkpoint, as an open model; what is measured of it is kept in the cache."""
    known_by = fingerprint(tokenizer)
    return OpenModel(
        name=name,
        tokenizer=tokenizer,
        fingerprint=known_by,
        device=str(tokenizer.device),
        summary=summary,
        parameters=sum(tensor.numel() for _, tensor in tensors(tokenizer)),
        argument=argument,
        folder=cache_folder() / f"tokenizer-{known_by[:16]}",
        settings={},
    )
