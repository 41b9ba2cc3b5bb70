"""An engine over a toy model, what it asks of its app, and requests to it."""

from __future__ import annotations

from typing import Any

import numpy as np

from explorer.base.open_model import OpenModel
from explorer.codebook import tiles
from explorer.editing.answer import CodeMap
from explorer.editing.edits import Painting, unpainted
from explorer.editing.engine import EditEngine
from explorer.editing.requests import EditRequest, PaletteChoice
from explorer.editing.starts import Start
from explorer.images.pictures import Picture, open_picture
from explorer.images.reconstruction import encode_picture
from explorer.index.read import Index
from explorer.inputs.neighbours import Neighbourhoods
from tests.toys import toy_model, toy_pixels
from vqvae.images import to_png
from vqvae.tokenizer import Tokenizer


class ToySources:
    """Everything computed when it is asked for."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer

    def tiles(self, codes: np.ndarray | list[int]) -> np.ndarray:
        return tiles.code_tiles(self.tokenizer, np.asarray(codes, np.int64))

    def code_map(self) -> CodeMap:
        codes = self.tokenizer.spec.grid.codes
        return CodeMap(np.arange(2 * codes, dtype=np.float32).reshape(codes, 2), np.zeros((codes, 3), np.uint8))

    def sample_index(self) -> Index:
        raise AssertionError("No test asks for it.")

    def neighbourhoods(self) -> Neighbourhoods | None:
        return None

    def starred(self) -> frozenset[int]:
        return frozenset({1, 3})


def toy_picture(height: int = 150, width: int = 170) -> Picture:
    return open_picture(to_png(toy_pixels(height, width)), "toy.png", working_size=256)


def toy_engine(
    tokenizer: Tokenizer | None = None, picture: Picture | None = None, *, content: str = "a toy"
) -> EditEngine:
    """The picture is no multiple of the stride on either side."""
    tokenizer = tokenizer or toy_model(channels=(4, 8))
    picture = picture or toy_picture()
    model = OpenModel(
        name="toy",
        tokenizer=tokenizer,
        fingerprint="0" * 64,
        device="cpu",
        summary="",
        parameters=None,
        argument="--checkpoint toy",
        folder=None,  # type: ignore[arg-type]
        settings={},
    )
    return EditEngine(
        model=model,
        picture=picture,
        picture_name="toy",
        saved_as="toy-toy",
        content=content,
        working_size=256,
        start=Start(),
        other=None,
        base=encode_picture(tokenizer, picture).encoding,
        sources=ToySources(tokenizer),
    )


def asking(engine: EditEngine, painting: Painting | None = None, **changes: Any) -> EditRequest:
    """What an editor that has everything asks of an engine."""
    values: dict[str, Any] = {
        "sequence": 1,
        "content": engine.content,
        "mode": "edit",
        "settled": True,
        "complete": True,
        "painting": painting or unpainted(engine.base),
        "document": None,
        "loaded": 0,
        "blend": 1.0,
        "uses_embedding": True,
        "rule": "follow",
        "cell": None,
        "code": 0,
        "overlay": "none",
        "palette": PaletteChoice(),
        "animation": None,
        "has": frozenset(),
    }
    return EditRequest(**(values | changes))


def painted(engine: EditEngine, *cells: tuple[int, int, int]) -> Painting:
    """The engine's grid with other codes in some cells: (row, column, code) each."""
    painting = unpainted(engine.base)
    indices = painting.indices.copy()
    for row, column, code in cells:
        indices[row, column] = code
    return Painting(indices, painting.painted)
