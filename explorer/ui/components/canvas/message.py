"""What the browser asks of the canvas: checked like any upload, and turned into a typed value."""

from __future__ import annotations

from dataclasses import dataclass

from explorer.base import untrusted
from explorer.base.cell import Cell
from explorer.ui.session import Panel, View


@dataclass(frozen=True)
class Request:
    """What the person asks of the canvas; the whole of it every time, so that the newest alone counts."""

    sequence: int = 0  # grows by one with each request of one mounted canvas
    content: str = ""  # the key of the picture it speaks of; a request for another picture is stale
    settled: bool = True  # nothing is being dragged
    complete: bool = False  # the canvas has the pictures that do not change, and needs only the new one
    blend: float = 1.0
    uses_embedding: bool = True
    cell: Cell | None = None
    view: View = "side"
    panel: Panel = "error"

    @classmethod
    def parse(cls, message: object) -> Request | None:
        """A message from the browser -> Request, or None when any part of it is not what a canvas sends."""
        if not isinstance(message, dict):
            return None
        try:
            return cls(
                sequence=untrusted.whole(message["sequence"], 1 << 53),
                content=untrusted.text(message["content"]),
                settled=untrusted.flag(message["settled"]),
                complete=untrusted.flag(message["complete"]),
                blend=untrusted.number(message["blend"], 0, 1),
                uses_embedding=untrusted.flag(message["uses_embedding"]),
                cell=untrusted.cell(message["cell"]),
                view=untrusted.one_of(View, message["view"]),
                panel=untrusted.one_of(Panel, message["panel"]),
            )
        except (KeyError, TypeError, ValueError):
            return None
