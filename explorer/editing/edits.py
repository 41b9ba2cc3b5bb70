"""An edit: a grid of indices and how much of the embedding goes with each cell, and what the decoder makes of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from vqvae.model import has_fast_bf16
from vqvae.preview import previewer_of
from vqvae.tokenizer import Encoding, Tokenizer
from vqvae.window import Window, patched, reached, redecode

Rule = Literal["follow", "carry", "keep"]

RULES: dict[Rule, str] = {
    "follow": "An edited cell's embedding becomes its new code: the picture shows what the code says and nothing else.",
    "carry": "An edited cell keeps what quantization lost of the old one: old residual, new code.",
    "keep": "An edited cell's embedding stays the encoder's own: watch how far the decoder ignores the new code.",
}


UNPAINTED = -32768  # where no blend was painted: the cell has the level that all others have


@dataclass(frozen=True, eq=False)
class Edit:
    """What a person made of a grid; the whole of it, not the steps."""

    indices: np.ndarray  # [h, w] int64 in 0…K−1
    weight: np.ndarray  # [h, w] float32, the blend of each cell: 0 the code alone, 1 its whole embedding
    rule: Rule = "follow"

    def with_weight(self, weight: float) -> Edit:
        """Set one blend for all cells."""
        return replace(self, weight=np.full_like(self.weight, weight))

    def with_code(self, code: int, rows: slice | int, columns: slice | int) -> Edit:
        """Give a rectangle of cells, or one cell, a code in 0…K−1."""
        indices = self.indices.copy()
        indices[rows, columns] = code
        return replace(self, indices=indices)


@dataclass(frozen=True, eq=False)
class Painting:
    """A grid as a person left it; its blend is kept as it was painted, so that the level below can still be moved."""

    indices: np.ndarray  # [h, w] int64 in 0…K−1
    painted: np.ndarray  # [h, w] int16, blend in percent, or UNPAINTED

    @classmethod
    def of(cls, edit: Edit, *, level: float) -> Painting:
        """An edit whose cells at the level were not painted; other blends are rounded to whole percents."""
        percent = np.rint(100 * edit.weight).astype(np.int16)
        return cls(edit.indices, np.where(edit.weight == np.float32(level), np.int16(UNPAINTED), percent))

    @property
    def has_own_blend(self) -> np.ndarray:
        """The cells whose blend was painted: bool [h, w]."""
        return self.painted != UNPAINTED

    def equals(self, other: Painting) -> bool:
        """Whether all cells are as in another one."""
        return np.array_equal(self.indices, other.indices) and np.array_equal(self.painted, other.painted)

    def edit(self, *, level: float, rule: Rule) -> Edit:
        """The edit at a level, the blend where none was painted."""
        weight = np.where(self.has_own_blend, self.painted / np.float32(100), np.float32(level)).astype(np.float32)
        return Edit(self.indices, weight, rule)


@dataclass(frozen=True, eq=False)
class DecoderInputs:
    """The decoder's two inputs, each [1, D, h, w]."""

    quantized: Tensor
    embedding: Tensor


def unedited(base: Encoding, *, weight: float = 0.0, rule: Rule = "follow") -> Edit:
    """The encoder's own grid, at one blend."""
    indices = base.grid[0].numpy()
    return Edit(indices, np.full(indices.shape, weight, np.float32), rule)


def unpainted(base: Encoding) -> Painting:
    """Nothing painted yet."""
    indices = base.grid[0].numpy()
    return Painting(indices, np.full(indices.shape, UNPAINTED, np.int16))


def edited_cells(base: Encoding, edit: Edit) -> np.ndarray:
    """Which cells have another code than the encoder gave them: [h, w] bool."""
    return edit.indices != base.grid[0].numpy()


def inputs_of(tokenizer: Tokenizer, base: Encoding, edit: Edit) -> DecoderInputs:
    """What the decoder is given for an edit of a base [1, D, h, w].

    At a cell with a new code q in place of q₀, with the embedding z, the second input is lerp(q, z′, blend), where the
    rule says what z′ is: follow q, carry q + (z − q₀), keep z. At all other cells z′ = z.
    """
    return inputs_of_grids(tokenizer, base, torch.from_numpy(edit.indices)[None], edit)


def inputs_of_grids(tokenizer: Tokenizer, base: Encoding, grids: Tensor, edit: Edit) -> DecoderInputs:
    """What an edit's blend and rule give with each of some whole grids [N, h, w] in place of its own: [N, D, h, w].

    A lookup may look at a cell's neighbours, so grids are looked up whole.
    """
    quantized = tokenizer.lookup((grids,))
    embedding = base.embedding
    edited = (grids != base.grid)[:, None]
    if edit.rule == "follow":
        embedding = torch.where(edited, quantized, embedding)
    elif edit.rule == "carry":
        embedding = torch.where(edited, quantized + (embedding - base.quantized), embedding)
    weight = torch.from_numpy(edit.weight)[None, None]
    return DecoderInputs(quantized, quantized.lerp(embedding, weight))


@dataclass(frozen=True, eq=False)
class Decoded:
    """An answer of a live decoder."""

    pixels: Tensor  # [1, 3, h·f, w·f] in [0, 1]; not to be written to
    exact: bool  # whether it is the decode of the whole edit; otherwise it is a preview
    window: Window | None  # cells outside of which the answer before has the same pixels; None: any may differ


@dataclass(frozen=True, eq=False)
class _Picture:
    """What was answered, and to what."""

    fed: DecoderInputs
    pixels: Tensor
    exact: bool


_NOWHERE = Window(0, 0, 0, 0)


class LiveDecoder:
    """Decodes one edit after another of the same base, and of each only what it can have changed since the last."""

    def __init__(self, tokenizer: Tokenizer, base: Encoding) -> None:
        self.tokenizer = tokenizer
        self.base = base
        self._previewer = previewer_of(tokenizer) if tokenizer.spec.reach is None else None
        self._statistics: object = None  # the previewer's, of the last exact picture
        self._settled: _Picture | None = None  # the last exact picture
        self._shown: _Picture | None = None  # the last picture

    def decode(self, edit: Edit) -> Tensor:
        """[1, 3, h·f, w·f] in [0, 1], equal to decoding the whole edit; not to be written to."""
        return self.answer(edit, settled=True).pixels

    def preview(self, edit: Edit) -> Tensor:
        """[1, 3, h·f, w·f] in [0, 1], `decode` or nearly that, for while the hand moves; not to be written to."""
        return self.answer(edit, settled=False).pixels

    @torch.inference_mode()
    def answer(self, edit: Edit, *, settled: bool) -> Decoded:
        """The picture of an edit: exact where the hand has `settled`, else a preview where that is cheaper.

        Where a cell reaches everywhere, a preview draws the surroundings of what changed since the last answer and
        leaves the rest as it was (`vqvae.preview`). Where too much changed for that or for a window, as when the blend
        of all cells is dragged, the whole is decoded in bfloat16 if that is faster: within 0.02 of `decode`.
        """
        fed = inputs_of(self.tokenizer, self.base, edit)
        last, shown = self._settled, self._shown
        if last is None or shown is None:
            return self._settle(fed, self._whole(fed), None)
        differs = _changed(shown.fed, fed)
        if not differs.any() and (shown.exact or not settled):
            return Decoded(shown.pixels, shown.exact, _NOWHERE)
        changed = differs if shown is last else _changed(last.fed, fed)
        if not changed.any():  # previews came between
            return self._settle(fed, last.pixels, None)
        window = reached(self.tokenizer, changed)
        if window is not None:
            pixels = redecode(self.tokenizer, fed.quantized, fed.embedding, before=last.pixels, changed=changed)
            return self._settle(fed, pixels, window if shown is last else None)
        preview = None if settled else self._nearly(fed, shown, differs)
        return preview or self._settle(fed, self._whole(fed), None)

    def _nearly(self, fed: DecoderInputs, shown: _Picture, differs: Tensor) -> Decoded | None:
        """A preview of what is not shown yet, where one is cheaper than the exact picture."""
        part = None
        if self._previewer is not None:
            part = self._previewer.part(fed.quantized, fed.embedding, statistics=self._statistics, changed=differs)
        if part is not None:
            pixels = patched(shown.pixels, part.pixels, part.window, scale=self.tokenizer.spec.stride)
            return self._show(fed, pixels, part.window)
        if not has_fast_bf16():
            return None
        with torch.autocast("cpu", torch.bfloat16):
            return self._show(fed, self.tokenizer.decode(fed.quantized, fed.embedding).float(), None)

    def _show(self, fed: DecoderInputs, pixels: Tensor, window: Window | None) -> Decoded:
        self._shown = _Picture(fed, pixels, exact=False)
        return Decoded(pixels, exact=False, window=window)

    def _whole(self, fed: DecoderInputs) -> Tensor:
        if self._previewer is None:
            return self.tokenizer.decode(fed.quantized, fed.embedding)
        whole = self._previewer.whole(fed.quantized, fed.embedding)
        self._statistics = whole.statistics
        return whole.pixels

    def _settle(self, fed: DecoderInputs, pixels: Tensor, window: Window | None) -> Decoded:
        self._settled = self._shown = _Picture(fed, pixels, exact=True)
        return Decoded(pixels, exact=True, window=window)


def _changed(before: DecoderInputs, after: DecoderInputs) -> Tensor:
    """Which cells are fed otherwise: [h, w] bool."""
    changed = (after.quantized != before.quantized) | (after.embedding != before.embedding)
    return changed[0].any(0)
