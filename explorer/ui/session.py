"""What one visitor has chosen: a frozen value under one key of st.session_state, changed only by pure transitions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import streamlit as st

from explorer.base.cell import Cell
from explorer.codebook.projection import ProjectionSettings
from explorer.editing.edits import Draft, Rule
from explorer.editing.starts import Start
from explorer.images.pictures import WORKING_SIZES
from explorer.inputs.blending import CellOrder, Through

View = Literal["side", "slider"]
Panel = Literal["error", "codes"]
Overlay = Literal["none", "margin", "influence", "cycle", "blend"]
InputsView = Literal["blend", "pair", "reliance"]
TestedOn = Literal["picture", "samples", "set"]
PairView = Literal["swap", "between"]
CodebookView = Literal["wall", "map", "usage"]

SESSION_KEY = "session"
QUERY = ("checkpoint", "size", "blend", "code", "picture")  # what of the address is ours
DEFAULT_LAYOUT = ProjectionSettings()
FROM_PICTURE = Start()
MOST_DRAFTS = 24
LOWEST_BLEND, HIGHEST_BLEND = -0.5, 1.5  # below 0 and above 1 is extrapolation


@dataclass(frozen=True)
class Upload:
    """A file that the visitor gave; its name is for showing only."""

    name: str
    data: bytes


@dataclass(frozen=True)
class Session:
    """Everything that a page needs to draw itself again."""

    checkpoint: str = "photos"
    picture: str = "chelsea"  # a sample's name, or the SHA-256 of an upload
    working_size: int = 256  # pixels on the long side
    uses_embedding: bool = True  # of a decoder with two inputs
    feeds_embedding: bool = False  # to a decoder with one input, in place of the codes: not what it was trained on
    blend: float = 1.0  # how much of the residual the decoder gets while the embedding is on, in [−0.5, 1.5]
    cell: Cell | None = None
    view: View = "side"
    panel: Panel = "error"
    rule: Rule = "follow"  # what an edited cell's embedding is
    brush: int | None = None  # the code that is painted with; None is the most used one of the grid
    overlay: Overlay = "none"  # what is marked on the grid that is edited
    start: Start = FROM_PICTURE  # what an edit starts from
    inputs_view: InputsView = "blend"
    curve: Literal["psnr", "ssim"] = "psnr"  # quality at every blend, by this measure
    tested_on: TestedOn = "picture"  # by the reliance test
    tested_path: str = ""  # where the folder, tar or zip lies that it is tested on
    second: str = ""  # the picture beside the chosen one, by name; empty is any other
    pair_view: PairView = "swap"
    through: Through = "embeddings"  # the way from one picture to the other
    cell_order: CellOrder = "reading"  # in which cells are switched on it
    code: int | None = None  # whose dossier is open; None is the most used one
    codebook_view: CodebookView = "wall"
    image_set: str = ""  # where the set of images lies whose usage is shown; empty is the bundled samples
    wall_order: str = "usage"
    map_colour: str = "decoded colour"
    map_patches: bool = False
    map_layout: ProjectionSettings = DEFAULT_LAYOUT
    step: str = "patch"  # of the walkthrough, which is open
    tried: frozenset[str] = frozenset()  # tasks of the walkthrough that were done
    tried_rule: Rule = "follow"  # of the edit that they ask for
    lights_up: bool = False  # the cells of the picture that nearly took another code

    def embedding_on(self, inputs: int) -> bool:
        """Whether a decoder with so many inputs is given the embedding."""
        return self.uses_embedding if inputs == 2 else self.feeds_embedding

    def weight_for(self, inputs: int) -> float:
        """The blend that a decoder with so many inputs gets."""
        return self.blend if self.embedding_on(inputs) else 0.0

    def with_checkpoint(self, name: str) -> Session:
        return self if name == self.checkpoint else replace(self, checkpoint=name, cell=None, code=None, brush=None)

    def with_picture(self, picture: str) -> Session:
        return self if picture == self.picture else replace(self, picture=picture, cell=None)

    def with_working_size(self, pixels: int) -> Session:
        if pixels not in WORKING_SIZES or pixels == self.working_size:
            return self
        return replace(self, working_size=pixels, cell=None)

    def with_blend(self, blend: float, *, uses_embedding: bool, inputs: int = 2) -> Session:
        blend = min(HIGHEST_BLEND, max(LOWEST_BLEND, blend))
        if inputs == 2:
            return replace(self, blend=blend, uses_embedding=uses_embedding)
        return replace(self, blend=blend, feeds_embedding=uses_embedding)

    def with_blend_within(self, lowest: float, highest: float) -> Session:
        """The same where the slider ends at these blends: 0 and 1, or beyond, where nothing was trained."""
        return replace(self, blend=min(highest, max(lowest, self.blend)))

    def with_cell(self, cell: Cell | None) -> Session:
        return replace(self, cell=cell)

    def with_painting(self, *, rule: Rule, brush: int, overlay: Overlay) -> Session:
        return replace(self, rule=rule, brush=brush, overlay=overlay)

    def with_rule(self, rule: Rule) -> Session:
        return replace(self, rule=rule)

    def with_start(self, start: Start) -> Session:
        return self if start == self.start else replace(self, start=start, cell=None)

    def with_inputs_view(self, view: InputsView | None) -> Session:
        return replace(self, inputs_view=view or self.inputs_view)

    def with_curve(self, measure: Literal["psnr", "ssim"] | None) -> Session:
        return replace(self, curve=measure or self.curve)

    def with_tested_on(self, on: TestedOn | None) -> Session:
        return replace(self, tested_on=on or self.tested_on)

    def with_pair_view(self, view: PairView | None) -> Session:
        return replace(self, pair_view=view or self.pair_view)

    def with_code(self, code: int | None) -> Session:
        return replace(self, code=code)

    def with_codebook_view(self, view: CodebookView) -> Session:
        return replace(self, codebook_view=view)

    def with_wall_order(self, order: str) -> Session:
        return replace(self, wall_order=order)

    def with_map(self, *, colour: str, patches: bool, layout: ProjectionSettings) -> Session:
        return replace(self, map_colour=colour, map_patches=patches, map_layout=layout)

    def with_step(self, step: str) -> Session:
        return replace(self, step=step)

    def with_tried(self, *tasks: str) -> Session:
        """The same with these tasks done, whatever is done already."""
        return self if self.tried.issuperset(tasks) else replace(self, tried=self.tried.union(tasks))

    def with_tried_rule(self, rule: Rule) -> Session:
        return replace(self, tried_rule=rule)

    def with_lights_up(self, lights_up: bool) -> Session:
        return replace(self, lights_up=lights_up)

    def with_image_set(self, source: str) -> Session:
        return replace(self, image_set=source)

    def with_layout(self, *, view: View, panel: Panel) -> Session:
        return replace(self, view=view, panel=panel)

    def to_query(self) -> dict[str, str]:
        """What matters of it, for the address: an upload cannot be linked to."""
        query = {"checkpoint": self.checkpoint, "size": str(self.working_size), "blend": f"{self.weight_for(2):g}"}
        if self.code is not None:
            query["code"] = str(self.code)
        return query if is_upload(self.picture) else query | {"picture": self.picture}

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
            session = session.with_code(int(code))
        try:
            blend = float(query["blend"])
        except (KeyError, ValueError):
            return session
        if blend == 0:
            return session.with_blend(session.blend, uses_embedding=False)
        return session.with_blend(blend, uses_embedding=True) if LOWEST_BLEND <= blend <= HIGHEST_BLEND else session


def is_upload(picture: str) -> bool:
    """Whether a picture's name is the SHA-256 of an upload rather than a sample's name."""
    return len(picture) == 64


def read() -> Session:
    """This visitor's session; a new one starts as the link says."""
    if SESSION_KEY not in st.session_state:
        st.session_state[SESSION_KEY] = Session.from_query(st.query_params.to_dict())
    return st.session_state[SESSION_KEY]


def keep(session: Session) -> Session:
    """Keep a session, and leave the address as it is: for the many small changes of a drag."""
    st.session_state[SESSION_KEY] = session
    return session


def write(session: Session) -> Session:
    """Keep a session and bring the address in line with it."""
    keep(session)
    query = session.to_query()
    ours = {name: st.query_params.get(name) for name in QUERY if name in st.query_params}
    if ours != query:
        for name in ours.keys() - query.keys():
            del st.query_params[name]
        st.query_params.update(query)
    return session


def uploads() -> dict[str, Upload]:
    """This visitor's files by SHA-256, newest last."""
    return st.session_state.setdefault("uploads", {})


@dataclass(frozen=True, eq=False)
class Sketch:
    """A person's edit of one grid: the grid, and the history that led there as the browser wrote it."""

    draft: Draft
    document: str | None = None
    load: int = 0  # grows with each recipe that is opened over it


def sketches() -> dict[str, Sketch]:
    """This visitor's edits by the content that they are of, newest last; the browser keeps older ones."""
    return st.session_state.setdefault("sketches", {})


def keep_sketch(content: str, sketch: Sketch) -> None:
    kept = sketches()
    kept.pop(content, None)
    kept[content] = sketch
    while len(kept) > MOST_DRAFTS:
        kept.pop(next(iter(kept)))
