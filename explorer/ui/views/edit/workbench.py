"""What the editor computes for one grid that is being edited, kept between requests so that each costs little."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from torch import Tensor

from explorer.base.cell import Cell
from explorer.base.figure import Figure
from explorer.base.folders import user_data_folder
from explorer.base.open_model import OpenModel
from explorer.codebook import notes
from explorer.editing import animation, palette, probes
from explorer.editing.edits import Edit, LiveDecoder, Painting, edited_cells, unedited
from explorer.editing.palette import Suggestion
from explorer.editing.probes import Margins
from explorer.editing.recipe import Recipe
from explorer.editing.starts import Start
from explorer.images.pictures import Picture
from explorer.images.reconstruction import Quality, compare
from explorer.ui import cache, image_set, store
from explorer.ui.components.canvas.editor import Animation, CodeMap, CodesOnly, Grid, Marks, Numbered, Palette, Unedited
from explorer.ui.components.canvas.message import AnimationRequest, PaletteChoice
from explorer.ui.session import Overlay
from vqvae.images import to_pixels
from vqvae.tokenizer import Encoding

T = TypeVar("T")

MOST_BENCHES = 4  # per visitor
ALL_TILES_UP_TO = 4096  # codes: so many tiles are sent at once, with more only those that are shown
OFFERED = 48  # codes in the palette
TRIED_OUT = 12  # codes that are decoded in place
FRAME_MS = 220


@dataclass(frozen=True, eq=False)
class DecodedEdit:
    """An edit as it is now, decoded."""

    edit: Edit
    level: float
    decoded: Tensor  # [1, 3, h·f, w·f] in [0, 1]
    pixels: np.ndarray  # uint8 [H, W, 3]


@dataclass(eq=False)
class Workbench:
    """One base grid, its decoder with a memory, and the last answer to each kind of question."""

    model: OpenModel
    picture: Picture
    content: str  # names checkpoint, picture and start
    working_size: int
    start: Start
    other: Picture | None  # the second picture of a mix
    base: Encoding
    live: LiveDecoder
    without: LiveDecoder  # the same with the embedding off
    seen: DecodedEdit | None = None
    answers: dict[str, tuple[Any, Numbered[Any]]] = field(default_factory=dict)  # question -> what it hangs on, answer
    numbers: int = field(default_factory=lambda: random.getrandbits(40))  # not those of a bench before a restart

    @classmethod
    def find(cls, content: str) -> Workbench | None:
        """This visitor's bench for a content, if there is one."""
        return store.live().workbenches.get(content)

    @classmethod
    def keep(cls, bench: Workbench) -> Workbench:
        """Remember a bench, and forget the oldest of many."""
        benches = store.live().workbenches
        benches[bench.content] = bench
        while len(benches) > MOST_BENCHES:
            benches.pop(next(iter(benches)))
        return bench

    def look(self, draft: Painting, *, level: float, rule: Any, settled: bool = True) -> DecodedEdit:
        """Decode a draft; only what changed since the last one is decoded again.

        While the level is dragged, which changes all cells, a preview has to do.
        """
        edit = draft.edit(level=level, rule=rule)
        dragged = not settled and self.seen is not None and level != self.seen.level
        decoded = self.live.preview(edit) if dragged else self.live.decode(edit)
        self.seen = DecodedEdit(edit, level, decoded, self._crop(decoded))
        return self.seen

    def last(self) -> DecodedEdit:
        """The newest edit that was looked at."""
        assert self.seen is not None  # `look` comes first
        return self.seen

    def unedited(self) -> Numbered[Unedited]:
        """The unedited grid, decoded at the level at hand."""
        return self._once("unedited", self.last().level, lambda: Unedited(self._plain()))

    def _plain(self) -> np.ndarray:
        seen = self.last()
        untouched = unedited(self.base, weight=seen.level, rule=seen.edit.rule)
        if np.array_equal(untouched.indices, seen.edit.indices) and np.array_equal(untouched.weight, seen.edit.weight):
            return seen.pixels
        return self._crop(LiveDecoder(self.model.tokenizer, self.base).decode(untouched))

    def _crop(self, decoded: Tensor) -> np.ndarray:
        height, width = self.picture.pixels.shape[:2]
        return to_pixels(decoded[..., :height, :width])[0]

    def _once(self, question: str, depends: Any, compute: Callable[[], T]) -> Numbered[T]:
        """An answer, computed again only when what it depends on changes."""
        if question not in self.answers or self.answers[question][0] != depends:
            self.numbers += 1
            self.answers[question] = (depends, Numbered(self.numbers, compute()))
        return self.answers[question][1]

    # --- what the browser has to have once

    def grid(self) -> Grid:
        margins = self.margins()
        base = self.base.grid[0].numpy()
        codes = np.arange(self.model.codes)
        known = codes if self.all_known else np.unique(np.concatenate([base, margins.runner_up]))
        tiles = cache.tiles_of(self.model, known)
        return Grid(self.picture.pixels, base, margins.runner_up, known, tiles)

    def tiles(self, codes: np.ndarray | list[int]) -> np.ndarray | None:
        """What the codes look like; None where the browser has the tiles of all codes."""
        return None if self.all_known else cache.tiles_of(self.model, codes)

    @property
    def all_known(self) -> bool:
        return self.model.codes <= ALL_TILES_UP_TO

    def margins(self) -> Margins:
        return self._once("margins", None, lambda: probes.margins(self.model.codebook, self.base)).value

    def codes_only(self) -> Numbered[CodesOnly]:
        """The grid as it is edited, decoded with the embedding off."""
        edit = self.last().edit
        return self._once("codes only", edit.indices.tobytes(), lambda: CodesOnly(self._bare(edit)))

    def codes_only_quality(self) -> Quality:
        """How close that is to the picture."""
        pixels = self.codes_only()
        return self._once("quality", pixels.number, lambda: compare(self.picture.pixels, pixels.value.pixels)).value

    def _bare(self, edit: Edit) -> np.ndarray:
        return self._crop(self.without.decode(edit.with_weight(0)))

    def figures(self) -> list[Figure]:
        """The edit against the unedited reconstruction."""
        seen = self.last()
        return probes.edit_figures(
            edited_cells(self.base, seen.edit), probes.difference(self.unedited().value.pixels, seen.pixels)
        )

    # --- marks

    def marks(self, overlay: Overlay, cell: Cell | None, *, settled: bool) -> Numbered[Marks] | None:
        """What is to be marked on the grid; what takes long waits until nothing is being drawn."""
        if overlay == "margin":
            return self._once("margin", None, self._margin)
        if overlay == "cycle" and settled:
            return self._once("cycle", self._state(), self._cycle)
        if overlay == "influence" and settled:
            return self._once("influence", (self._state(), cell), lambda: self._influence(cell))
        return self.answers.get(overlay, (None, None))[1]

    def _margin(self) -> Marks:
        margins = self.margins()
        figures = "; ".join(f"{figure.label.lower()} {figure.value}" for figure in margins.figures)
        sentence = f"Bright cells nearly took their runner-up: {figures}."
        return Marks("margin", np.rint(255 * margins.fragility).astype(np.uint8), sentence)

    def _cycle(self) -> Marks:
        seen = self.last()
        check = probes.cycle_check(self.model.tokenizer, self.base, seen.edit, seen.decoded)
        marks = np.select([check.returned, check.edited, check.drifted], [1, 2, 3], 0).astype(np.uint8)
        return Marks(
            "cycle", marks, f"{check.sentence} Green came back, red was smoothed away, yellow changed by itself."
        )

    def _influence(self, cell: Cell | None) -> Marks:
        if cell is None:
            return Marks("influence", np.zeros((1, 1), np.uint8), "Choose a cell to see which pixels it reaches.")
        seen = self.last()
        counts = np.bincount(self.base.grid.flatten().numpy(), minlength=self.model.codes)
        found = probes.influence(self.model.tokenizer, self.base, seen.edit, cell, counts=counts)
        scale = 255 / max(1.0, float(found.change.max()))
        corner = (found.window.top, found.window.left)
        return Marks("influence", np.rint(scale * found.change).astype(np.uint8), found.sentence, corner)

    # --- the palette

    def palette(self, choice: PaletteChoice, *, code: int, cell: Cell | None, settled: bool) -> Numbered[Palette]:
        """The codes that the person wants to choose from; during a stroke the list stays as it is."""
        if not settled and "palette" in self.answers:
            return self.answers["palette"][1]
        depends: tuple[Any, ...] = (choice,)
        if choice.kind == "picture":  # by count when it was opened: a list that moves under the hand helps no one
            depends = (choice, np.unique(self.last().edit.indices).tobytes())
        elif choice.kind == "plausible":
            depends = (choice, cell, self.last().edit.indices.tobytes())
        elif choice.kind == "alternatives":
            depends = (choice, cell, self._state())
        elif choice.kind == "near":
            depends = (choice, code)
        elif choice.kind == "starred":
            depends = (choice, notes.load(user_data_folder(), self.model.fingerprint).starred)
        return self._once("palette", depends, lambda: self._palette(choice, code, cell))

    def _palette(self, choice: PaletteChoice, code: int, cell: Cell | None) -> Palette:
        codebook = self.model.codebook
        indices = self.last().edit.indices
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
            starred = sorted(notes.load(user_data_folder(), self.model.fingerprint).starred)
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
        elif cell is None:
            note = "Choose a cell first: press on it, or go there with the arrow keys."
        elif choice.kind == "plausible":
            index, name = image_set.sample_index(self.model), store.read().picture
            own = index.names.index(name) if name in index.names else None  # it does not vote for its own codes
            suggestions = palette.plausible(index, indices, cell, OFFERED, without=own)
            note = "By how often codes stand side by side in the sample photos."
        elif choice.kind == "alternatives":
            return self._alternatives(cell)
        return self._offer(choice.kind, suggestions, note)

    def _offer(self, kind: str, suggestions: list[Suggestion], note: str) -> Palette:
        codes = [suggestion.code for suggestion in suggestions]
        return Palette(kind, codes, [suggestion.meaning for suggestion in suggestions], note, self.tiles(codes))

    def _alternatives(self, cell: Cell) -> Palette:
        tokenizer = self.model.tokenizer
        suggestions = palette.top_candidates(self.model.codebook, self.base, cell, TRIED_OUT)
        codes = np.array([suggestion.code for suggestion in suggestions])
        found = palette.alternatives(tokenizer, self.base, self.last().edit, cell, codes)
        labels = [suggestion.meaning for suggestion in suggestions]
        note = f"The picture around row {cell[0]}, column {cell[1]}, with each code there; a click puts it in."
        return Palette("alternatives", codes.tolist(), labels, note, self.tiles(codes), found.pixels)

    def code_map(self) -> Numbered[CodeMap]:
        """The codes in the plane: UMAP where the checkpoint carries it, else PCA."""
        return self._once("map", None, self._code_map)

    def _code_map(self) -> CodeMap:
        codes = self.model.codes
        placed = cache.best_projection(self.model)
        colours = np.full((codes, 3), 128, np.uint8)
        if codes <= cache.MOST_DECODED:
            colours = cache.colours_of(self.model, np.arange(codes)[None])[0]
        return CodeMap(placed.points, colours)

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

    def animate(self, request: AnimationRequest, *, level: float, rule: Any) -> Animation:
        """The steps of the history as a moving picture."""
        shape = self.base.grid.shape[1:]
        grids = [Painting(frame.indices.reshape(shape), frame.painted.reshape(shape)) for frame in request.frames]
        height, width = self.picture.pixels.shape[:2]
        edits = [grid.edit(level=level, rule=rule) for grid in grids]
        frames = animation.edit_frames(self.model.tokenizer, self.base, edits, size=(height, width))
        data = animation.animate(frames, form=request.form, milliseconds=FRAME_MS)
        name = f"{self.model.name}-{self.picture.key[:8]}-edit.{request.form}"
        return Animation(data, name, f"image/{request.form}")

    def _state(self) -> tuple[bytes, bytes, str]:
        edit = self.last().edit
        return edit.indices.tobytes(), edit.weight.tobytes(), edit.rule
