"""What the browser asks of the comparison: checked like any upload, and turned into a typed value."""

from __future__ import annotations

from dataclasses import dataclass

from explorer.base import untrusted
from explorer.base.cell import Cell
from explorer.ui.session import MOST_COMPARED, Layer, Layout

MOST_GAIN = 64


@dataclass(frozen=True)
class Held:
    """What the browser has of one column."""

    content: str  # names model and picture
    weight: float  # the blend of the pixels that it has
    coloured: bool  # it has the colours of the codes, too


@dataclass(frozen=True)
class Request:
    """What the person asks of the comparison; the whole of it every time, so that the newest alone counts."""

    sequence: int = 0  # grows by one with each request of one mounted comparison
    content: str = ""  # the key of the picture it speaks of; a request for another picture is stale
    anchor: str = ""  # names the model whose grid `cell` is of
    settled: bool = True  # nothing is being dragged
    original: bool = False  # the browser has the picture
    held: tuple[Held, ...] = ()
    blend: float = 1.0
    uses_embedding: bool = True
    cell: Cell | None = None
    layout: Layout = "side"
    layers: tuple[Layer, ...] = ("picture",)
    layer: Layer = "picture"
    shown: int = 0
    pair: tuple[int, int] = (1, 0)
    signed: bool = True
    gain: int = 8

    def holds(self, content: str) -> Held | None:
        """What the browser has of a column, if it has it."""
        return next((held for held in self.held if held.content == content), None)

    @classmethod
    def parse(cls, message: object) -> Request | None:
        """A message from the browser -> Request, or None when any part of it is not what a comparison sends."""
        if not isinstance(message, dict):
            return None
        try:
            layers = [untrusted.one_of(Layer, layer) for layer in untrusted.list_of(message["layers"], 3)]
            one, other = (untrusted.whole(n, MOST_COMPARED + 1) for n in untrusted.list_of(message["pair"], 2))
            if not layers or len(set(layers)) < len(layers):
                return None
            return cls(
                sequence=untrusted.whole(message["sequence"], 1 << 53),
                content=untrusted.text(message["content"]),
                anchor=untrusted.text(message["anchor"], 1000),
                settled=untrusted.flag(message["settled"]),
                original=untrusted.flag(message["original"]),
                held=tuple(_held(one) for one in untrusted.list_of(message["held"], MOST_COMPARED)),
                blend=untrusted.number(message["blend"], 0, 1),
                uses_embedding=untrusted.flag(message["uses_embedding"]),
                cell=untrusted.cell(message["cell"]),
                layout=untrusted.one_of(Layout, message["layout"]),
                layers=tuple(layers),
                layer=untrusted.one_of(Layer, message["layer"]),
                shown=untrusted.whole(message["shown"], MOST_COMPARED + 1),
                pair=(one, other),
                signed=untrusted.flag(message["signed"]),
                gain=untrusted.whole(message["gain"], MOST_GAIN + 1),
            )
        except (KeyError, TypeError, ValueError):
            return None


def _held(said: object) -> Held:
    if not isinstance(said, dict):
        raise TypeError
    return Held(
        content=untrusted.text(said["content"]),
        weight=untrusted.number(said["weight"], 0, 1),
        coloured=untrusted.flag(said["coloured"]),
    )
