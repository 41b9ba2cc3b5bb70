"""What one visitor has chosen and made: a frozen value, nested by page, changed only by pure transitions."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, get_args
from urllib.parse import quote, unquote

from explorer.base.cell import Cell
from explorer.codebook.matching import Kind, Side
from explorer.codebook.projection import ProjectionSettings
from explorer.compare.rate import Count
from explorer.editing.edits import Painting, Rule
from explorer.editing.recipe import Recipe
from explorer.editing.requests import Overlay
from explorer.editing.starts import Start
from explorer.images.pictures import WORKING_SIZES
from explorer.inputs.blending import CellOrder, Through
from explorer.inputs.sensitivity import Reading
from explorer.learn.lab import HEALTHY, LabSettings
from explorer.learn.steps import NAMES as STEP_NAMES
from explorer.learn.tasks import NAMES as TASK_NAMES

PageName = Literal["reconstruct", "codebook", "edit", "inputs", "compare", "training", "learn"]
View = Literal["side", "slider"]
Panel = Literal["error", "codes"]
CodebookView = Literal["wall", "map", "usage"]
PatchOrder = Literal["nearest", "spread"]
InputsView = Literal["blend", "pair", "reliance"]
Curve = Literal["psnr", "ssim"]
TestedOn = Literal["picture", "samples", "set"]
Closeness = Literal["psnr", "ssim", "colour_difference"]
PairView = Literal["swap", "between"]
CompareView = Literal["pictures", "table", "rate", "codebooks", "inputs", "snapshots"]
CodebooksView = Literal["health", "matched"]
MatchOrder = Literal["overlap", "use"]
Layout = Literal["side", "one", "difference"]
Layer = Literal["picture", "error", "codes"]

DEFAULT_LAYOUT = ProjectionSettings()
FROM_PICTURE = Start()
MOST_UPLOADS, MOST_UPLOAD_BYTES = 24, 100 << 20
MOST_SAVED_EDITS, MOST_SAVED_BYTES = 24, 32 << 20
MOST_GUESSES = 200
LONGEST_RUN = 1000  # characters of a run's path
MOST_TYPED = 50  # of these paths
MOST_NAMED_SETS = 50  # of images
FEWEST_COMPARED, MOST_COMPARED = 2, 4  # models
LOWEST_BLEND, HIGHEST_BLEND = -0.5, 1.5  # below 0 and above 1 is extrapolation
_ESCAPED = "backslashreplace"  # a folder's name need not be Unicode, and an address has to be


# --- what a visitor brings and makes ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Upload:
    """A file that the visitor gave; its name is for showing only."""

    name: str
    data: bytes

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of its bytes, by which it is the chosen picture."""
        return hashlib.sha256(self.data).hexdigest()


@dataclass(frozen=True)
class NamedSet:
    """A set of images that can be chosen: where it lies, and what to call it."""

    source: str
    under: str
    label: str

    @property
    def place(self) -> str:
        """Names the set in the session."""
        return self.source + self.under


@dataclass(frozen=True, eq=False)
class SavedEdit:
    """A person's edit of one grid: the grid, and the history that led there as the browser wrote it."""

    content: str  # names the checkpoint, the picture and the start that it is of
    painting: Painting
    document: str | None = None
    load: int = 0  # grows with each recipe that is opened over it
    refusal: str = ""  # why the last one was not, until the person paints on

    @property
    def size(self) -> int:
        """In bytes, about."""
        return self.painting.indices.nbytes + self.painting.painted.nbytes + len(self.document or "")


# --- what was chosen on each page -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ReconstructPage:
    """How the picture and its reconstruction are laid out."""

    view: View = "side"
    panel: Panel = "error"


@dataclass(frozen=True)
class CodebookPage:
    """Which code is open, how the codes are shown, and over which images their usage is counted."""

    code: int | None = None  # whose dossier is open; None is the most used one
    view: CodebookView = "wall"
    least_cells: int | None = None  # that a code has, to be shown; None: 1 where nearly all codes are unused, else 0
    only_starred: bool = False  # codes are shown
    only_in_picture: bool = False  # codes of the chosen picture are shown
    wall_order: str = "usage"
    wall_page: int = 1  # of a very large codebook
    map_colour: str = "decoded colour"
    map_patches: bool = False
    map_layout: ProjectionSettings = DEFAULT_LAYOUT
    usage_by_powers: bool = True  # of ten, on both axes of the curve
    usage_ranks: tuple[int, int] | None = None  # first and last whose codes are shown, as they were typed
    usage_typed: bool = False  # these ranks count, and not what was drawn on the curve since
    patch_order: PatchOrder = "nearest"  # of a code's patches
    image_set: str = ""  # the place of the set whose usage is shown; empty is the bundled samples
    shown_set: str = ""  # the place of the set that was shown last: while another is indexed it stays
    named_sets: tuple[NamedSet, ...] = ()  # that this visitor added
    set_refusal: str = ""  # why a set could not be added, until it was said
    stars_changed: bool = False  # until the page has run again with them
    note_refusal: str = ""  # why a note could not be kept, until it was said


@dataclass(frozen=True)
class EditPage:
    """What edits start from, how they are painted, and what became of them; the editor on Inputs shares it."""

    rule: Rule = "follow"  # what an edited cell's embedding is
    brush: int | None = None  # the code that is painted with; None is the most used one of the grid
    overlay: Overlay = "none"  # what is marked on the grid that is edited
    start: Start = FROM_PICTURE  # what an edit starts from
    saved_edits: tuple[SavedEdit, ...] = ()  # newest last; the browser keeps older ones
    recipe: Recipe | None = None  # to be laid over its grid, once its checkpoint and picture are open
    recipes_opened: int = 0

    def saved_edit_of(self, content: str) -> SavedEdit | None:
        return next((sketch for sketch in self.saved_edits if sketch.content == content), None)


@dataclass(frozen=True)
class InputsPage:
    """What is compared with what, and how: one picture, two, or a test of the decoder's inputs."""

    view: InputsView = "blend"
    curve: Curve = "psnr"  # quality at every blend, by this measure
    curve_mark: str = ""  # names the edit and the blend that it was asked for last
    curve_drawn: str = ""  # names the newest one that is whole
    shows_band: bool = False  # of the sample photos, on it
    second: str = ""  # the picture beside the chosen one, by name; empty is any other
    pair_view: PairView = "swap"
    through: Through = "embeddings"  # the way from one picture to the other
    cell_order: CellOrder = "reading"  # in which cells are switched on it
    tested_on: TestedOn = "picture"  # by the reliance test
    tested_path: str = ""  # where the set lies that it is tested on
    tested_most: int = 100  # images of a set
    tested_partners: int = 4  # other images, and random orders, for each of them
    tested_seed: int = 0  # of what is drawn at random
    shows_maps: bool = False  # of how much each input counts, cell by cell
    maps_by: Reading = "size"  # the change that they are for


@dataclass(frozen=True)
class ComparePage:
    """Which models are compared, by what, and on which images."""

    models: tuple[str, ...] = ()  # names, in the order of their columns; too few: the open one is first, any are next
    view: CompareView = "pictures"
    layout: Layout = "side"  # of the pictures
    layers: tuple[Layer, ...] = ("picture", "error")  # that every column shows, side by side
    layer: Layer = "picture"  # that the one large picture shows
    shown: int = 1  # the column that it is of; 0 is the original
    pair: tuple[int, int] = (1, 0)  # the columns whose difference is shown, A − B
    signed: bool = True  # that difference; else its size alone
    gain: int = 8  # by which it is amplified
    measured_on: TestedOn = "picture"
    measured_path: str = ""  # where the set lies
    measured_most: int = 100  # images of a set
    codebooks_view: CodebooksView = "health"
    matched_pair: tuple[int, int] = (1, 2)  # the columns whose codes are matched
    matched_kind: Kind | None = None  # the matches that are shown; None: all
    matched_order: MatchOrder = "overlap"
    matched_page: int = 1  # of very many matches
    matched_open: tuple[Side, int] | None = None  # whose match is open: a code of one of the two; None: the first one
    matched_part: int | None = None  # of several codes that stand for one: the one that is shown; None: the largest
    reference: int = 1  # the column that the others are held against in the table
    against: int = 2  # the one whose images that differ most from it are listed
    inputs_asked: str = ""  # names the set, and the settings, that the reliance of all columns was asked for on
    closeness: Closeness = "psnr"  # of a point over its bits
    bits_by: Count = "fixed"  # how the bits are counted that codecs are given, too
    counts_headers: bool = True  # of the codecs' files


@dataclass(frozen=True)
class Guessed:
    """What a person guessed before a figure was shown."""

    name: str  # of the answer or claim
    of: str  # names the model and the picture whose figure it is
    value: float | str | None  # None: they had it shown without a guess


@dataclass(frozen=True)
class LearnPage:
    """How far the walkthrough is."""

    step: str = "patch"  # of the walkthrough, which is open
    linked_cell: Cell | None = None  # that a link names, until its grid is open
    shows_all: bool = False  # figures are there at once, with nothing to guess
    guesses: tuple[Guessed, ...] = ()  # newest last; what is guessed is shown
    tried: frozenset[str] = frozenset()  # tasks that were done
    tried_rule: Rule = "follow"  # of the edit that they ask for
    lab: LabSettings = HEALTHY  # of the next small training
    lights_up: bool = False  # the cells of the picture that nearly took another code

    def guess_of(self, name: str, of: str) -> Guessed | None:
        return next((guess for guess in self.guesses if (guess.name, guess.of) == (name, of)), None)


@dataclass(frozen=True)
class TrainingPage:
    """Which run is followed, there and among the snapshots on Compare."""

    run: str = ""  # a checkpoint's name, or the path of a folder; empty is the one that was written to last
    typed: tuple[str, ...] = ()  # paths of runs that this visitor typed, newest last: a link alone opens none
    refusal: str = ""  # why a folder could not be opened, until it was said


# --- the whole --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Session:
    """Everything that a page needs to draw itself again; at its top what the pages share."""

    checkpoint: str = "photos"
    picture: str = "chelsea"  # a sample's name, or the SHA-256 of an upload
    missing: str = ""  # the picture that was asked for and is not here, until another one is chosen
    working_size: int = 256  # pixels on the long side
    uses_embedding: bool = True  # of a decoder with two inputs
    feeds_embedding: bool = False  # to a decoder with one input, in place of the codes: not what it was trained on
    blend: float = 1.0  # how much of the residual the decoder gets while the embedding is on, in [−0.5, 1.5]
    cell: Cell | None = None
    uploads: tuple[Upload, ...] = ()  # newest last
    refused: tuple[str, ...] = ()  # why files that were just given are not among them, until a picture is chosen
    made_room: int = 0  # of the oldest of them, for those that were just given
    fields_filled: int = 0  # upload fields that gave what they held, each followed by an empty one
    reconstruct: ReconstructPage = ReconstructPage()
    codebook: CodebookPage = CodebookPage()
    edit: EditPage = EditPage()
    inputs: InputsPage = InputsPage()
    compare: ComparePage = ComparePage()
    training: TrainingPage = TrainingPage()
    learn: LearnPage = LearnPage()

    def embedding_on(self, inputs: int) -> bool:
        """Whether a decoder with so many inputs is given the embedding."""
        return self.uses_embedding if inputs == 2 else self.feeds_embedding

    def weight_for(self, inputs: int) -> float:
        """The blend that a decoder with so many inputs gets."""
        return self.blend if self.embedding_on(inputs) else 0.0

    def upload(self, digest: str) -> Upload | None:
        return next((upload for upload in self.uploads if upload.digest == digest), None)

    def on(self, page: PageName, **changes: Any) -> Session:
        """Change what was chosen on one page: `session.on("edit", rule="carry", brush=3)`.

        Raises TypeError for a page, or a choice on it, that there is not.
        """
        if page not in get_args(PageName):
            raise TypeError(f"There is no page named {page!r}.")
        pages = {page: replace(getattr(self, page), **changes)}
        return replace(self, **pages)

    def with_checkpoint(self, name: str) -> Session:
        """Another checkpoint has another grid, and other codes."""
        if name == self.checkpoint:
            return self
        return replace(self, checkpoint=name, cell=None).on("codebook", code=None).on("edit", brush=None)

    def with_picture(self, picture: str) -> Session:
        if picture == self.picture:
            return self
        return replace(self, picture=picture, missing="", refused=(), made_room=0).on_another_grid()

    def without_picture(self) -> Session:
        """The chosen picture is not here: the first one that there is at all stands in for it."""
        return replace(self.with_picture(type(self).picture), missing=self.picture)

    def with_working_size(self, pixels: int) -> Session:
        if pixels not in WORKING_SIZES or pixels == self.working_size:
            return self
        return replace(self, working_size=pixels).on_another_grid()

    def with_blend(self, blend: float, *, uses_embedding: bool, inputs: int = 2) -> Session:
        blend = min(HIGHEST_BLEND, max(LOWEST_BLEND, blend))
        if inputs == 2:
            return replace(self, blend=blend, uses_embedding=uses_embedding)
        return replace(self, blend=blend, feeds_embedding=uses_embedding)

    def with_blend_within(self, lowest: float, highest: float) -> Session:
        """Move the blend to where the slider ends, if it lies beyond: at 0 and 1, or further, where no one trained."""
        return replace(self, blend=min(highest, max(lowest, self.blend)))

    def with_cell(self, cell: Cell | None) -> Session:
        return replace(self, cell=cell)

    @property
    def anchor(self) -> str:
        """The compared model whose grid the chosen cell is of: the open one where it is compared, else the first."""
        models = self.compare.models
        return self.checkpoint if self.checkpoint in models or not models else models[0]

    @property
    def compared_cell(self) -> Cell | None:
        """The cell of `anchor` that is chosen, or that a link names."""
        return self.cell or self.learn.linked_cell

    def with_compared_cell(self, cell: Cell | None) -> Session:
        """Choose a cell of `anchor`. One that is not the open model's waits, as a link's does: its grid is another."""
        own = self.anchor == self.checkpoint
        return self.with_cell(cell if own else None).on("learn", linked_cell=None if own else cell)

    def with_typed_run(self, path: str) -> Session:
        """Follow the run in a folder whose path was typed; the oldest of too many is forgotten."""
        typed = (*(other for other in self.training.typed if other != path), path)
        return self.on("training", run=path, typed=typed[-MOST_TYPED:])

    def with_compared(self, models: Sequence[str]) -> Session:
        """Other columns; the chosen cell stays as long as its model is the one that cells are of."""
        session = self.on("compare", models=tuple(models)[:MOST_COMPARED])
        return session if session.anchor == self.anchor else session.on_another_grid()

    def on_another_grid(self) -> Session:
        """No cell is selected, and none that a link named is waited for: it was one of the other picture."""
        return self.with_cell(None).on("learn", linked_cell=None)

    def with_linked_cell(self, *, rows: int, columns: int) -> Session:
        """Select the cell that the link named, if the open grid has it; a link is followed once."""
        linked = self.learn.linked_cell
        if linked is None:
            return self
        session = self.on("learn", linked_cell=None)
        return session.with_cell(linked) if linked[0] < rows and linked[1] < columns else session

    def with_upload(self, upload: Upload) -> Session:
        """Add a file and choose it; the oldest of too many is forgotten."""
        return self.having(upload).with_picture(upload.digest)

    def having(self, upload: Upload) -> Session:
        """Add a file, whatever is chosen; the oldest of too many, or of too many bytes, are forgotten."""
        uploads = {kept.digest: kept for kept in self.uploads} | {upload.digest: upload}
        newest = list(uploads.values())[-MOST_UPLOADS:]
        while len(newest) > 1 and sum(len(kept.data) for kept in newest) > MOST_UPLOAD_BYTES:
            newest.pop(0)
        return replace(self, uploads=tuple(newest))

    def without_upload(self, digest: str) -> Session:
        """Forget a file; where it is the chosen picture, the first one that there is at all is."""
        session = replace(self, uploads=tuple(upload for upload in self.uploads if upload.digest != digest))
        return session.with_picture(type(self).picture) if digest == self.picture else session

    def with_refused(self, reasons: Sequence[str], *, made_room: int = 0) -> Session:
        return replace(self, refused=tuple(reasons), made_room=made_room)

    def with_field_emptied(self) -> Session:
        return replace(self, fields_filled=self.fields_filled + 1)

    def with_named_set(self, images: NamedSet) -> Session:
        """Add a set of images and choose it; the oldest of too many is forgotten."""
        sets = {kept.place: kept for kept in self.codebook.named_sets} | {images.place: images}
        return self.on("codebook", named_sets=tuple(sets.values())[-MOST_NAMED_SETS:], image_set=images.place)

    def with_start(self, start: Start) -> Session:
        """Another start is another grid."""
        return self if start == self.edit.start else self.on_another_grid().on("edit", start=start)

    def with_saved_edit(self, sketch: SavedEdit) -> Session:
        """Keep an edit as the newest, in place of what was kept of its grid.

        The oldest of too many, or of too many bytes, are forgotten: the browser has them, and the newest always stays.
        """
        others = (kept for kept in self.edit.saved_edits if kept.content != sketch.content)
        newest = [*others, sketch][-MOST_SAVED_EDITS:]
        while len(newest) > 1 and sum(kept.size for kept in newest) > MOST_SAVED_BYTES:
            newest.pop(0)
        return self.on("edit", saved_edits=tuple(newest))

    def with_recipe(self, recipe: Recipe) -> Session:
        """Take a recipe's rule, and have it wait until the grid that it is of is open."""
        opened = self.edit.recipes_opened + 1
        return self.on("edit", rule=recipe.rule, recipe=recipe, recipes_opened=opened)

    def with_tried(self, *tasks: str) -> Session:
        """Add tasks that were done; what was done once stays done."""
        tried = self.learn.tried.union(tasks)
        return self if tried == self.learn.tried else self.on("learn", tried=tried)

    def with_guess(self, guess: Guessed) -> Session:
        """Add a guess; what it is of is shown from then on. The oldest of too many is forgotten."""
        others = (kept for kept in self.learn.guesses if (kept.name, kept.of) != (guess.name, guess.of))
        return self.on("learn", guesses=(*others, guess)[-MOST_GUESSES:])

    def to_query(self) -> dict[str, str]:
        """What matters of it, for the address; an upload is found by it in the browser that has it."""
        query = {"checkpoint": self.checkpoint, "size": str(self.working_size), "blend": f"{self.weight_for(2):g}"}
        query["picture"] = self.picture
        if self.codebook.code is not None:
            query["code"] = str(self.codebook.code)
        if cell := self.cell or self.learn.linked_cell:
            query["cell"] = f"{cell[0]},{cell[1]}"
        if self.compare.models:
            query["models"] = ",".join(quote(name, safe=" @", errors=_ESCAPED) for name in self.compare.models)
        if self.compare.view != type(self.compare).view:
            query["view"] = self.compare.view
        if self.compare.measured_on == "samples":  # a path is nothing for a link
            query["on"] = self.compare.measured_on
        if self.training.run:
            query["run"] = self.training.run
        if self.learn.step != type(self.learn).step:
            query["step"] = self.learn.step
        if self.learn.tried:
            query["tried"] = ",".join(sorted(self.learn.tried))
        return {name: value.encode(errors=_ESCAPED).decode() for name, value in query.items()}

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> Session:
        """A session as a link describes it; whatever is missing or makes no sense is left at its default."""
        session = cls()
        if checkpoint := query.get("checkpoint"):
            session = session.with_checkpoint(checkpoint)
        if picture := query.get("picture"):
            session = session.with_picture(picture)
        if (size := query.get("size", "")).isdecimal() and len(size) < 7:
            session = session.with_working_size(int(size))
        if (code := query.get("code", "")).isdecimal() and len(code) < 7:
            session = session.on("codebook", code=int(code))
        if re.fullmatch(r"\d{1,4},\d{1,4}", cell := query.get("cell", ""), re.ASCII):
            row, column = map(int, cell.split(","))
            session = session.on("learn", linked_cell=(row, column))
        if models := query.get("models"):
            names = dict.fromkeys(unquote(name)[:LONGEST_RUN] for name in models.split(",") if name)
            session = session.on("compare", models=tuple(names)[:MOST_COMPARED])
        if (view := query.get("view")) in get_args(CompareView):
            session = session.on("compare", view=view)
        if query.get("on") == "samples":
            session = session.on("compare", measured_on="samples")
        if (run := query.get("run", "")) and len(run) <= LONGEST_RUN and run.isprintable():
            session = session.on("training", run=run)
        if (step := query.get("step")) in STEP_NAMES:
            session = session.on("learn", step=step)
        session = session.with_tried(*TASK_NAMES.intersection(query.get("tried", "").split(",")))
        try:
            blend = float(query["blend"])
        except (KeyError, ValueError):
            return session
        if blend == 0:
            return session.with_blend(session.blend, uses_embedding=False)
        return session.with_blend(blend, uses_embedding=True) if LOWEST_BLEND <= blend <= HIGHEST_BLEND else session

    def following(self, query: Mapping[str, str]) -> Session:
        """The session as an address describes it, which the visitor went back to; what no address says stays."""
        there = type(self).from_query(query)
        session = self.with_checkpoint(there.checkpoint).with_picture(there.picture)
        session = session.with_working_size(there.working_size).with_tried(*there.learn.tried)
        session = session.with_blend(there.blend, uses_embedding=there.uses_embedding).with_cell(None)
        session = session.on("codebook", code=there.codebook.code).on("training", run=there.training.run)
        session = session.on("compare", models=there.compare.models, view=there.compare.view)
        if "samples" in (self.compare.measured_on, there.compare.measured_on):  # a set of one's own no address says
            session = session.on("compare", measured_on=there.compare.measured_on)
        return session.on("learn", step=there.learn.step, linked_cell=there.learn.linked_cell)


def is_upload(picture: str) -> bool:
    """Whether a picture's name is the SHA-256 of an upload rather than a sample's name."""
    return len(picture) == 64
