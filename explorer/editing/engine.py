"""The engine of the editor: one grid that is being edited, and the answer to whatever is asked of it.

What each question costs is kept small: the decoder remembers the last edit, and an answer is computed again only when
what it depends on has changed. It knows nothing of a screen; a socket and the rerun of a page both ask it.
"""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

import numpy as np
from torch import Tensor

from explorer.base.cell import Cell
from explorer.base.figure import Figure
from explorer.base.open_model import OpenModel
from explorer.editing import animation, palette, probes
from explorer.editing.answer import (
    Animation,
    Answer,
    CodeMap,
    CodesOnly,
    Grid,
    Marks,
    Numbered,
    Palette,
    Part,
    Picture,
    Unedited,
)
from explorer.editing.edits import (
    UNPAINTED,
    Decoded,
    Edit,
    LiveDecoder,
    Painting,
    edited_cells,
    inputs_of,
    unedited,
    unpainted,
)
from explorer.editing.palette import Suggestion
from explorer.editing.probes import Margins
from explorer.editing.recipe import Recipe
from explorer.editing.requests import AnimationRequest, EditRequest, Overlay, PaletteChoice
from explorer.editing.starts import Start
from explorer.images import pictures
from explorer.images.reconstruction import Quality, compare
from explorer.index.read import Index
from explorer.inputs import neighbours
from explorer.inputs.manifold import codes_fed
from explorer.inputs.neighbours import Neighbourhoods
from vqvae.errors import BadInput
from vqvae.images import to_pixels
from vqvae.tokenizer import Encoding
from vqvae.window import Window
from vqvae.words import counted

T = TypeVar("T")

ALL_TILES_UP_TO = 4096  # codes: so many tiles are sent at once, with more only those that are shown
MOST_COLOURED = 16_384  # codes that are all decoded to find a colour
_COLOUR = re.compile("#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})", re.IGNORECASE)
OFFERED = 48  # codes in the palette
TRIED_OUT = 12  # codes that are decoded in place
FRAME_MS = 220


class Sources(Protocol):
    """What an engine asks about its model, of whoever keeps it."""

    def tiles(self, codes: np.ndarray | list[int]) -> np.ndarray:
        """What some codes decode to, alone: [N] -> uint8 [N, f, f, 3]."""

    def code_map(self) -> CodeMap:
        """The codes in the plane."""

    def sample_index(self) -> Index:
        """Where the codes are used in the sample photos."""

    def starred(self) -> frozenset[int]:
        """The codes that the person marked."""

    def neighbourhoods(self) -> Neighbourhoods | None:
        """Which codes stood beside which in training, where that was learned; raises BadInput where it is damaged."""


@dataclass(frozen=True, eq=False)
class DecodedEdit:
    """An edit as it is now, decoded."""

    painting: Painting
    edit: Edit
    level: float
    decoded: Tensor  # [1, 3, h·f, w·f] in [0, 1]
    picture: Numbered[Picture]
    exact: bool  # no preview

    @property
    def pixels(self) -> np.ndarray:
        """uint8 [H, W, 3]."""
        return self.picture.value.pixels


@dataclass(eq=False)
class EditEngine:
    """One base grid, its decoder with a memory, and the last answer to each kind of question."""

    model: OpenModel
    picture: pictures.Picture
    picture_name: str  # in the gallery
    saved_as: str  # what files that are made of it are called, without an ending
    content: str  # names checkpoint, picture and start
    working_size: int
    start: Start
    other: pictures.Picture | None  # the second picture of a mix
    base: Encoding
    sources: Sources
    measure: Callable[[EditEngine, DecodedEdit], dict[str, Any]] | None = None  # what the Inputs page says of an edit
    seen: DecodedEdit | None = None
    _answers: dict[str, tuple[Any, Numbered[Any]]] = field(default_factory=dict)  # question -> what it hangs on, answer
    _numbers: int = field(default_factory=lambda: random.getrandbits(40))  # not those of an engine before a restart
    _lock: threading.RLock = field(default_factory=threading.RLock)  # of the decoder's memory
    _parts_lock: threading.Lock = field(default_factory=threading.Lock)  # of what takes long

    def __post_init__(self) -> None:
        self._live = LiveDecoder(self.model.tokenizer, self.base)
        self._bare = LiveDecoder(self.model.tokenizer, self.base)  # with the embedding off

    @property
    def size(self) -> int:
        """How many bytes it holds at the most, but for what all engines of its model share.

        That is the base, what each of two decoders was given last and what came out, and the answers as pixels.
        """
        numbers, pixels = self.base.embedding.numel(), self.base.grid.numel() * self.model.stride**2
        return 4 * (2 + 2 * 4) * numbers + 60 * pixels + (1 << 20)

    # --- answers

    def answer(self, request: EditRequest) -> Answer:
        """The picture of an edit, at once; what else was asked for gives `more`.

        While something is being drawn or dragged the figures are left out: they would cost as much as the picture.
        """
        with self._lock:
            seen = self.decode(
                self.painting_of(request), level=request.level, rule=request.rule, hurry=not request.settled
            )
            header: dict[str, Any] = {
                "sequence": request.sequence,
                "content": self.content,
                "mode": request.mode,
                "answers": request.painting is not None,
                "preview": not seen.exact,
                "stride": self.model.stride,
                "inputs": self.model.inputs,
                "codes": self.model.codes,
                "asked": {
                    "blend": request.blend,
                    "uses_embedding": request.uses_embedding,
                    "rule": request.rule,
                    "cell": request.cell if self.has_cell(request.cell) else None,
                    "code": request.code,
                    "overlay": request.overlay,
                },
            }
            parts: list[Numbered[Part]] = [answer for _, answer in self._answers.values() if _is_part(answer)]
            if request.mode == "inputs":  # the page measures them, once the hand rests
                header |= {"figures": None, "sentence": None, "verdicts": None}
            elif request.settled:
                parts = [*(part for part in parts if not isinstance(part.value, Unedited)), self.unedited()]
                header |= {"figures": [in_words(self.figures())], "sentence": self.describe()}
            return Answer(header, seen.picture, parts)

    def more(self, answer: Answer, request: EditRequest) -> Answer | None:
        """What takes longer than a picture: palette, marks and animation, as the request has them.

        An answer to be taken in beside the first, without its picture; None where the first had it all.
        """
        with self._parts_lock:
            parts = self._parts_for(request) if request.settled else []
            measured = self.measure(self, self.last()) if request.mode == "inputs" and self.measure else {}
            made = (
                self.animate(request.animation, level=request.level, rule=request.rule) if request.animation else None
            )
            known = {part.number for part in answer.parts}
            news = [part for part in parts if part.number not in known]
            if not news and not measured and made is None:
                return None
            return Answer({**answer.header, "more": True, **measured}, None, news, animation=made)

    def whole_of(self, answer: Answer, request: EditRequest) -> Answer:
        """An answer with everything else that was asked for, in one."""
        more = self.more(answer, request)
        if more is None:
            return answer
        header = {name: value for name, value in more.header.items() if name != "more"}
        kinds = {type(part.value) for part in more.parts}
        kept = [part for part in answer.parts if type(part.value) not in kinds]
        return replace(answer, header=header, parts=[*kept, *more.parts], animation=more.animation)

    def _parts_for(self, request: EditRequest) -> list[Numbered[Part]]:
        seen = self.last()
        parts: list[Numbered[Part]] = []
        if request.mode == "edit":
            parts.append(self.palette(request.palette, code=request.code, cell=request.cell, seen=seen))
            if request.palette.kind == "map":
                parts.append(self.code_map())
        cell = request.cell if self.has_cell(request.cell) else None
        if marks := self.marks(request.overlay, cell, seen=seen):
            parts.append(marks)
        return parts

    def painting_of(self, request: EditRequest) -> Painting:
        """The grid that a request has, as [h, w]; that of before where it has none, or one of another size."""
        shape = self.base.grid.shape[1:]
        if request.painting is None or request.painting.indices.size != shape[0] * shape[1]:
            return self.painting
        return Painting(request.painting.indices.reshape(shape), request.painting.painted.reshape(shape))

    @property
    def painting(self) -> Painting:
        """What was painted last, or the grid as it was at first."""
        return unpainted(self.base) if self.seen is None else self.seen.painting

    def has_cell(self, cell: Cell | None) -> bool:
        rows, columns = self.base.grid.shape[1:]
        return cell is not None and cell[0] < rows and cell[1] < columns

    def decode(self, painting: Painting, *, level: float, rule: Any, hurry: bool = False) -> DecodedEdit:
        """Decode what was painted; only what changed since the last time is decoded again.

        In a hurry, a preview has to do where the level was moved, which changes all cells.
        """
        with self._lock:
            edit, before = painting.edit(level=level, rule=rule), self.seen
            decoded = self._live.answer(edit, settled=not hurry)
            if before is None:
                picture = self._numbered(Picture(self._crop(decoded.pixels)))
            elif decoded.pixels is before.decoded:
                picture = before.picture
            else:
                picture = self._numbered(self._after(before.picture, decoded))
            self.seen = DecodedEdit(painting, edit, level, decoded.pixels, picture, decoded.exact)
            return self.seen

    def _after(self, before: Numbered[Picture], decoded: Decoded) -> Picture:
        """A picture, with where it differs from the one before it; only what may differ is looked at."""
        rows, columns = self._reached(decoded.window)
        pixels = before.value.pixels.copy()
        part = to_pixels(decoded.pixels[..., rows, columns])[0]
        differs = (part != pixels[rows, columns]).any(2)
        pixels[rows, columns] = part
        return Picture(
            pixels, before.number, (_extent(differs.any(1), rows.start), _extent(differs.any(0), columns.start))
        )

    def _reached(self, window: Window | None) -> tuple[slice, slice]:
        """The picture's rows and columns of pixels in a window of cells; all of them where there is none."""
        height, width = self.picture.pixels.shape[:2]
        if window is None:
            return slice(0, height), slice(0, width)
        stride = self.model.stride
        return (
            slice(window.top * stride, min(height, window.bottom * stride)),
            slice(window.left * stride, min(width, window.right * stride)),
        )

    def last(self) -> DecodedEdit:
        """The newest edit that was decoded."""
        assert self.seen is not None  # `decode` comes first
        return self.seen

    def _crop(self, decoded: Tensor) -> np.ndarray:
        height, width = self.picture.pixels.shape[:2]
        return to_pixels(decoded[..., :height, :width])[0]

    def _numbered(self, value: T) -> Numbered[T]:
        self._numbers += 1
        return Numbered(self._numbers, value)

    def _once(self, question: str, depends: Any, compute: Callable[[], T]) -> Numbered[T]:
        """An answer, computed again only when what it depends on changes."""
        known = self._answers.get(question)
        if known is not None and known[0] == depends:
            return known[1]
        value = compute()
        with self._lock:
            numbered = self._numbered(value)
            self._answers[question] = (depends, numbered)
        return numbered

    # --- the grid, and what is compared with it

    def grid(self) -> Grid:
        """What the browser has to have once."""
        margins = self.margins()
        base = self.base.grid[0].numpy()
        codes = np.arange(self.model.codes)
        known = codes if self.all_known else np.unique(np.concatenate([base, margins.runner_up]))
        return Grid(self.picture.pixels, base, margins.runner_up, known, self.sources.tiles(known))

    def tiles(self, codes: np.ndarray | list[int]) -> np.ndarray | None:
        """What the codes look like; None where the browser has the tiles of all codes."""
        return None if self.all_known else self.sources.tiles(codes)

    @property
    def all_known(self) -> bool:
        return self.model.codes <= ALL_TILES_UP_TO

    def margins(self) -> Margins:
        return self._once("margins", None, lambda: probes.margins(self.model.codebook, self.base)).value

    def unedited(self) -> Numbered[Unedited]:
        """The unedited grid, decoded at the level at hand."""
        seen = self.last()
        return self._once("unedited", (seen.level, seen.exact), lambda: Unedited(self._plain(seen)))

    def _plain(self, seen: DecodedEdit) -> np.ndarray:
        untouched = unedited(self.base, weight=seen.level, rule=seen.edit.rule)
        same = np.array_equal(untouched.indices, seen.edit.indices)
        if seen.exact and same and np.array_equal(untouched.weight, seen.edit.weight):
            return seen.pixels
        return self._decoded(untouched)

    def _decoded(self, edit: Edit) -> np.ndarray:
        """An edit decoded as a whole, by no decoder with a memory: uint8 [H, W, 3]."""
        return self._crop(LiveDecoder(self.model.tokenizer, self.base).decode(edit))

    def codes_only(self) -> Numbered[CodesOnly]:
        """The grid as it is edited, decoded with the embedding off."""
        with self._lock:
            edit = self.last().edit
            return self._once("codes only", edit.indices.tobytes(), lambda: CodesOnly(self._without_embedding(edit)))

    def codes_only_quality(self) -> Quality:
        """How close that is to the picture."""
        pixels = self.codes_only()
        return self._once("quality", pixels.number, lambda: compare(self.picture.pixels, pixels.value.pixels)).value

    def _without_embedding(self, edit: Edit) -> np.ndarray:
        return self._crop(self._bare.decode(edit.with_weight(0)))

    def figures(self) -> list[Figure]:
        """The edit against the unedited reconstruction."""
        seen = self.last()
        return probes.edit_figures(
            edited_cells(self.base, seen.edit), probes.difference(self.unedited().value.pixels, seen.pixels)
        )

    def describe(self) -> str:
        """What the decoder is given, in a sentence or two."""
        seen = self.last()
        painted = int((seen.painting.painted != UNPAINTED).sum())
        where = ""
        if painted:
            where = f" {counted(painted, 'cell has a blend of its', 'cells have a blend of their')} own."
        if self.model.inputs == 1:
            moved = f"the codes, moved {seen.level:.0%} of the way to the embedding"
            return f"This decoder has one input: {moved if seen.level else 'the codes'}.{where}"
        if seen.level == 0:
            return f"The decoder gets the codes alone: it draws what your grid says.{where}"
        return f"Where nothing was edited, the decoder also gets {seen.level:.0%} of what quantization lost.{where}"

    # --- marks

    def marks(self, overlay: Overlay, cell: Cell | None, *, seen: DecodedEdit) -> Numbered[Marks] | None:
        """What is to be marked on the grid."""
        if overlay == "margin":
            return self._once("margin", None, self._margin)
        if overlay == "neighbours":
            return self._once("neighbours", _state(seen), lambda: self._neighbours(seen))
        if overlay == "cycle":
            return self._once("cycle", _state(seen), lambda: self._cycle(seen))
        if overlay == "influence":
            return self._once("influence", (_state(seen), cell), lambda: self._influence(seen, cell))
        return None

    def _margin(self) -> Marks:
        margins = self.margins()
        figures = "; ".join(f"{figure.label.lower()} {figure.value}" for figure in margins.figures)
        sentence = f"Bright cells nearly took their runner-up: {figures}."
        return Marks("margin", np.rint(255 * margins.fragility).astype(np.uint8), sentence, scale=probes.MARGIN_SCALE)

    def _neighbours(self, seen: DecodedEdit) -> Marks:
        try:
            learned, why_not = self.sources.neighbourhoods(), neighbours.unknown(self.model.argument)
        except BadInput as damaged:
            learned, why_not = None, str(damaged)
        if learned is None:
            return Marks("neighbours", np.zeros((1, 1), np.uint8), why_not)
        fed = inputs_of(self.model.tokenizer, self.base, seen.edit)
        codes = codes_fed(fed, self.model.codebook, inputs=self.model.inputs)
        found = neighbours.measure(codes, learned, edited=edited_cells(self.base, seen.edit))
        values = np.rint(255 * found.oddness(learned)).astype(np.uint8)
        return Marks("neighbours", values, found.verdict.sentence, scale=probes.NEIGHBOURS_SCALE)

    def _cycle(self, seen: DecodedEdit) -> Marks:
        # Of this edit: a newer one may be there by now.
        pixels = seen.pixels if seen.exact else self._decoded(seen.edit)
        check = probes.cycle_check(self.model.tokenizer, self.base, seen.edit, pixels, self._plain(seen))
        return Marks("cycle", check.marks, check.sentence, chips=probes.CYCLE_CHIPS)

    def _influence(self, seen: DecodedEdit, cell: Cell | None) -> Marks:
        if cell is None:
            return Marks("influence", np.zeros((1, 1), np.uint8), "Choose a cell to see which pixels it reaches.")
        counts = np.bincount(self.base.grid.flatten().numpy(), minlength=self.model.codes)
        found = probes.influence(self.model.tokenizer, self.base, seen.edit, cell, counts=counts)
        values = np.rint(255 / found.full * found.change).astype(np.uint8)
        corner = (found.window.top, found.window.left)
        return Marks("influence", values, found.sentence, corner, scale=found.scale)

    # --- the palette

    def palette(self, choice: PaletteChoice, *, code: int, cell: Cell | None, seen: DecodedEdit) -> Numbered[Palette]:
        """The codes that the person wants to choose from."""
        depends: tuple[Any, ...] = (choice,)
        if choice.kind == "picture":  # by count when it was opened: a list that moves under the hand helps no one
            depends = (choice, np.unique(seen.edit.indices).tobytes())
        elif choice.kind == "plausible":
            depends = (choice, cell, seen.edit.indices.tobytes())
        elif choice.kind == "alternatives":
            depends = (choice, cell, _state(seen))
        elif choice.kind == "near":
            depends = (choice, code)
        elif choice.kind == "starred":
            depends = (choice, self.sources.starred())
        return self._once("palette", depends, lambda: self._palette(choice, code, cell, seen))

    def _palette(self, choice: PaletteChoice, code: int, cell: Cell | None, seen: DecodedEdit) -> Palette:
        codebook = self.model.codebook
        indices = seen.edit.indices
        note = ""
        suggestions: list[Suggestion] = []
        if choice.kind == "picture":
            suggestions = palette.codes_of_picture(indices)
            if len(suggestions) > 4 * OFFERED:
                note = f"The {4 * OFFERED} most used of {len(suggestions):,} codes."
            return self._offer(choice.kind, suggestions[: 4 * OFFERED], note)
        if choice.kind == "near":
            suggestions = palette.nearest(codebook, code, OFFERED)
            note = f"Nearest to code {code}, in the codebook's own distance."
        elif choice.kind == "search":
            found = palette.search(choice.text, len(codebook))
            suggestions = [Suggestion(number, 0, "") for number in found.codes]
            note = found.note
        elif choice.kind == "starred":
            starred = sorted(self.sources.starred())
            suggestions = [Suggestion(number, 0, "starred") for number in starred if number < len(codebook)]
            note = "" if suggestions else "Star codes on the Codebook page, and they are here."
        elif choice.kind == "map":
            if choice.place is None:
                note = "Click a place on the map."
            else:
                points = self.code_map().value.points
                low, high = points.min(0), points.max(0)
                place = low + (np.array(choice.place) - 0.04) / 0.92 * (high - low)
                suggestions = palette.alternatives_of_map(points, (float(place[0]), float(place[1])), OFFERED)
        elif choice.kind == "look":
            suggestions, note = self._by_look(choice)
        elif cell is None or not self.has_cell(cell):
            note = "Choose a cell first: press on it, or go there with the arrow keys."
        elif choice.kind == "plausible":
            index = self.sources.sample_index()
            own = index.names.index(self.picture_name) if self.picture_name in index.names else None
            suggestions = palette.plausible(index, indices, cell, OFFERED, without=own)  # its own codes have no vote
            note = "By how often codes stand side by side in the sample photos."
        elif choice.kind == "alternatives":
            return self._alternatives(cell, seen)
        return self._offer(choice.kind, suggestions, note)

    def _by_look(self, choice: PaletteChoice) -> tuple[list[Suggestion], str]:
        """The codes that look like a patch or a colour, and what that means."""
        tokenizer, codebook = self.model.tokenizer, self.model.codebook
        if choice.patch is not None:
            note = "Nearest to what the encoder makes of your patch."
            return palette.by_patch(tokenizer, codebook, choice.patch.pixels, OFFERED), note
        if not (colour := _COLOUR.fullmatch(choice.text)):
            return [], "Choose a colour, or drop a piece of a picture."
        codes = np.arange(len(codebook))
        note = "By the mean colour of what each code decodes to, alone."
        if len(codes) > MOST_COLOURED:
            codes = np.unique(self.base.grid.numpy())
            note = (
                f"By mean colour, among the {counted(len(codes), 'code')} of this picture: the codebook is too large."
            )
        red, green, blue = (int(part, 16) for part in colour.groups())
        return palette.by_colour(self.sources.tiles(codes), (red, green, blue), OFFERED, codes=codes), note

    def _offer(self, kind: str, suggestions: list[Suggestion], note: str) -> Palette:
        codes = [suggestion.code for suggestion in suggestions]
        return Palette(kind, codes, [suggestion.meaning for suggestion in suggestions], note, self.tiles(codes))

    def _alternatives(self, cell: Cell, seen: DecodedEdit) -> Palette:
        tokenizer = self.model.tokenizer
        suggestions = palette.top_candidates(self.model.codebook, self.base, cell, TRIED_OUT)
        codes = np.array([suggestion.code for suggestion in suggestions])
        found = palette.alternatives(tokenizer, self.base, seen.edit, cell, codes)
        labels = [suggestion.meaning for suggestion in suggestions]
        note = f"The picture around row {cell[0]}, column {cell[1]}, with each code there; a click puts it in."
        return Palette("alternatives", codes.tolist(), labels, note, self.tiles(codes), found.pixels)

    def code_map(self) -> Numbered[CodeMap]:
        """The codes in the plane: UMAP where the checkpoint carries it, else PCA."""
        return self._once("map", None, self.sources.code_map)

    # --- recipes and animations

    def recipe(self) -> Recipe:
        """The newest edit as data."""
        seen = self.last()
        return Recipe.of(
            checkpoint=self.model.name,
            checkpoint_hash=self.model.fingerprint,
            picture=self.picture,
            working_size=self.working_size,
            start=self.start,
            other=self.other,
            base=self.base,
            edit=seen.edit,
            level=seen.level,
        )

    def exact_pixels(self) -> np.ndarray:
        """The newest edit decoded as a whole, uint8 [H, W, 3]: what is saved is never a preview."""
        with self._lock:
            seen = self.last()
            if not seen.exact:
                seen = self.decode(self.painting, level=seen.level, rule=seen.edit.rule)
            return seen.pixels

    def animate(self, request: AnimationRequest, *, level: float, rule: Any) -> Animation:
        """The steps of the history as a moving picture."""
        shape = self.base.grid.shape[1:]
        grids = [Painting(frame.indices.reshape(shape), frame.painted.reshape(shape)) for frame in request.frames]
        height, width = self.picture.pixels.shape[:2]
        edits = [grid.edit(level=level, rule=rule) for grid in grids]
        frames = animation.edit_frames(self.model.tokenizer, self.base, edits, size=(height, width))
        data = animation.animate(frames, form=request.form, milliseconds=FRAME_MS)
        name = f"{self.saved_as}-edit.{request.form}"
        return Animation(data, name, f"image/{request.form}")


def in_words(figures: list[Figure]) -> list[list[str]]:
    """Figures as the browser has them: label, value and meaning."""
    return [[figure.label, figure.value, figure.meaning] for figure in figures]


def _is_part(answer: Numbered[Any]) -> bool:
    return isinstance(answer.value, Unedited | CodesOnly | Palette | CodeMap | Marks)


def _state(seen: DecodedEdit) -> tuple[bytes, bytes, str]:
    return seen.edit.indices.tobytes(), seen.edit.weight.tobytes(), seen.edit.rule


def _extent(true: np.ndarray, start: int) -> slice:
    """From the first true place to the last, counted from a start; one place where none is true."""
    places = np.flatnonzero(true)
    if not len(places):
        return slice(start, start + 1)
    return slice(start + int(places[0]), start + int(places[-1]) + 1)
