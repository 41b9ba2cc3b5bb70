"""The editor: a decoded picture to paint on with codes; the browser owns the grid, Python answers with pixels."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

import numpy as np
import streamlit as st

from explorer.base.figure import Figure
from explorer.base.verdict import Verdict
from explorer.editing.edits import RULES
from explorer.ui import widgets
from explorer.ui.components.canvas.message import EditRequest
from explorer.ui.components.wire import pack, script
from explorer.ui.session import SavedEdit, Session

T = TypeVar("T", covariant=True)

_FOLDER = Path(__file__).parent
_BOXES = _FOLDER.parent / "boxes.js"
_SCRIPTS = (  # each may use those before it
    *("parts", "placement", "tools", "selection", "history", "atlas", "drafts"),
    *("catalogue", "sight", "selected", "palette", "model", "exchange", "hand", "input"),
    *(
        "view_parts",
        "view_bar",
        "view_tools",
        "view_palette",
        "view_history",
        "view_answer",
        "view_marks",
        "view_stage",
    ),
    *("view_keys", "offers", "connection", "editor"),
)
_mount = st.components.v2.component(
    "vqvae_explorer_editor",
    css="\n".join((_FOLDER / name).read_text() for name in ("canvas.css", "editor.css", "drafts.css")),
    js=script(_BOXES, *(_FOLDER / f"{name}.js" for name in _SCRIPTS)),
)


@dataclass(frozen=True, eq=False)
class Grid:
    """What an edit starts from, as the browser has to have it once."""

    original: np.ndarray  # uint8 [H, W, 3]
    base: np.ndarray  # int64 [h, w]
    runner_up: np.ndarray  # int64 [h, w], the code that came second at each cell
    tile_codes: np.ndarray  # int64 [N], codes that have a tile
    tiles: np.ndarray  # uint8 [N, f, f, 3]


@dataclass(frozen=True, eq=False)
class Numbered(Generic[T]):
    """An answer with a number of its own, so that the browser can say which it has."""

    number: int
    value: T


@dataclass(frozen=True, eq=False)
class Unedited:
    """What the decoder makes of the grid without any edit."""

    pixels: np.ndarray  # uint8 [H, W, 3]


@dataclass(frozen=True, eq=False)
class Palette:
    """Codes to paint with, in order."""

    kind: str
    codes: list[int]
    labels: list[str]  # why each is here
    note: str  # a sentence, or empty
    tiles: np.ndarray | None  # uint8 [N, f, f, 3]; None: the browser has them
    pictures: np.ndarray | None = None  # uint8 [N, s, s, 3], shown in place of the tiles


@dataclass(frozen=True, eq=False)
class CodeMap:
    """The map of codes, to pick from."""

    points: np.ndarray  # float32 [K, 2], any range
    colours: np.ndarray  # uint8 [K, 3]


@dataclass(frozen=True, eq=False)
class Marks:
    """Something that is marked on the grid."""

    kind: str
    values: np.ndarray  # uint8: for each cell of the grid, or for each pixel from a corner on
    sentence: str
    corner: tuple[int, int] = (0, 0)  # row and column of the first cell


@dataclass(frozen=True, eq=False)
class Animation:
    """A file to save."""

    data: bytes
    name: str
    mime: str


@dataclass(frozen=True, eq=False)
class CodesOnly:
    """What the decoder makes of the grid as it is edited, with the embedding off."""

    pixels: np.ndarray  # uint8 [H, W, 3]


Mode = Literal["edit", "inputs"]
Part = Unedited | CodesOnly | Palette | CodeMap | Marks


def read_request(key: str, *, codes: int) -> EditRequest | None:
    """What the person last asked of the editor with this key, if it was ever drawn and the message is sound."""
    return EditRequest.parse(widgets.said(key).get("request"), codes=codes)


def show(
    session: Session,
    request: EditRequest | None,
    *,
    key: str,
    mode: Mode,
    blends: tuple[float, float],
    content: str,
    about: dict[str, str | int],
    inputs: int,
    stride: int,
    codes: int,
    code: int,
    grid: Callable[[], Grid],
    sketch: SavedEdit,
    decoded: np.ndarray,
    numbered: Sequence[Numbered[Part]],
    figures: list[list[Figure]],
    sentence: str,
    verdict: Verdict | None,
    animation: Animation | None,
) -> None:
    """Draw the editor.

    decoded: uint8 [H, W, 3], what the decoder makes of the sketch. `content` names checkpoint, picture and start: while
    the browser holds them already, the grid is not sent again, and of the numbered parts only those that it lacks.
    """
    ours = request is not None and request.content == content
    index_type = np.uint16 if codes <= 1 << 16 else np.uint32
    header: dict[str, Any] = {
        "sequence": request.sequence if request else 0,
        "content": content,
        "about": about,
        "mode": mode,
        "blends": blends,
        "answers": ours and request is not None and request.draft is not None,
        "stride": stride,
        "inputs": inputs,
        "codes": codes,
        "asked": {
            "blend": session.blend,
            "uses_embedding": session.embedding_on(inputs),
            "rule": session.edit.rule,
            "cell": session.cell,
            "code": code,
            "overlay": session.edit.overlay,
        },
        "rules": RULES,
        "verdict": [verdict.grade, verdict.sentence, verdict.details] if verdict else None,
        "load": sketch.load,
        "sentence": sentence,
        "figures": [[[figure.label, figure.value, figure.meaning] for figure in group] for group in figures],
    }
    arrays = {"decoded": decoded}
    tiles: list[tuple[np.ndarray, np.ndarray]] = []
    complete = ours and request is not None and request.complete
    if not complete:
        whole = grid()
        header["document"] = sketch.document
        arrays["original"] = whole.original
        arrays |= {"base": whole.base.astype(index_type), "runner_up": whole.runner_up.astype(index_type)}
        tiles.append((whole.tile_codes, whole.tiles))
    if sketch.load > (request.loaded if ours and request else 0):
        arrays |= {"load_indices": sketch.draft.indices.astype(index_type), "load_weights": sketch.draft.painted}
    for part in numbered:
        if complete and request is not None and part.number in request.has:
            continue
        match part.value:
            case Unedited(pixels):
                header["unedited_number"] = part.number
                arrays["unedited"] = pixels
            case CodesOnly(pixels):
                header["codes_only_number"] = part.number
                arrays["codes_only"] = pixels
            case Palette() as palette:
                header["palette"] = {
                    "number": part.number,
                    "kind": palette.kind,
                    "codes": palette.codes,
                    "labels": palette.labels,
                    "note": palette.note,
                }
                if palette.tiles is not None:
                    tiles.append((np.array(palette.codes, np.int64), palette.tiles))
                if palette.pictures is not None:
                    arrays["palette_pictures"] = palette.pictures
            case CodeMap() as code_map:
                header["map_number"] = part.number
                arrays |= {"map_points": _fitted(code_map.points), "map_colours": code_map.colours}
            case Marks() as marks:
                header["overlay"] = {
                    "number": part.number,
                    "kind": marks.kind,
                    "sentence": marks.sentence,
                    "corner": marks.corner,
                }
                arrays["overlay_values"] = marks.values
    if tiles:
        arrays["tile_codes"] = np.concatenate([codes_of for codes_of, _ in tiles]).astype(index_type)
        arrays["tiles"] = np.concatenate([pictures for _, pictures in tiles])
    if animation is not None:
        header |= {"animation_name": animation.name, "animation_mime": animation.mime}
        arrays["animation"] = np.frombuffer(animation.data, np.uint8)
    _mount(key=key, data=pack(header, arrays), on_request_change=lambda: None)


def _fitted(points: np.ndarray) -> np.ndarray:
    """Points [K, 2] to uint16 over their own range, with a margin; equal coordinates come to the middle."""
    low, high = points.min(0), points.max(0)
    apart = np.where(high > low, high - low, 1)
    places = np.where(high > low, (points - low) / apart, 0.5)
    return np.rint((0.04 + 0.92 * places) * 65535).astype(np.uint16)
