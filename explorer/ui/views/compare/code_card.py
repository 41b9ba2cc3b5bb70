"""A code's dossier in short: what it decodes to, how often it is used, what the other model has there, and patches."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from urllib.parse import urlencode

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from explorer.base.open_model import OpenModel
from explorer.codebook import dossier
from explorer.codebook.matching import Grids, Side
from explorer.compare.records import Compared, Row
from explorer.images.pictures import Picture
from explorer.images.sets import ImageSet
from explorer.ui import cache, exports, store, widgets
from explorer.ui.components import tiles
from explorer.ui.views.codebook import filling
from explorer.ui.views.codebook.dossier import usage_figures
from explorer.ui.views.compare.columns import Column
from vqvae.errors import BadInput
from vqvae.words import counted

GREY = 128  # of a tile that is not known
MOST_BESIDE = 5  # codes of the other model that are named
MOST_PARTS = 12  # of a code that is split, beside its dossier
MOST_PATCHES = 8
MOST_AVERAGED = 24  # images in which the mean colours of codes are taken that cannot be decoded alone
MOST_LOOKED_AT = 4  # images that are encoded again to find the nearest patches
PATCH_SIDE = 56  # CSS pixels


@dataclass(frozen=True, eq=False)
class Subject:
    """One of the two models whose codes are matched."""

    column: Column
    compared: Compared
    rows: tuple[Row, ...]  # the images that both could do
    grids: Grids
    cells: np.ndarray  # int64 [K]: how many cells have each code there
    images: ImageSet
    size: int  # of an image, pixels on the long side
    only: tuple[int, int] | None  # height and width of all images, where one of the models asks for it

    @property
    def name(self) -> str:
        """With its number, for people."""
        return f"{self.column.name} ({self.column.number})"

    @property
    def chip(self) -> str:
        """Its number in its colour, as HTML."""
        return f'<em class="model-number" style="--own:{self.column.colour}">{self.column.number}</em>'

    @property
    def model(self) -> OpenModel:
        assert self.column.model is not None
        return self.column.model

    @cached_property
    def is_single(self) -> bool:
        """Whether it has one grid and no other level, so that a code alone can be decoded."""
        return len(self.compared.spec.levels) == 1

    @cached_property
    def colours(self) -> np.ndarray:
        """The mean colour of what each code covers, in some of the images: float64 [K, 3]; NaN where none of it."""
        some = np.linspace(0, len(self.rows) - 1, min(MOST_AVERAGED, len(self.rows))).round().astype(int).tolist()
        grids = [self.grids.indices[place] for place in some]
        content = (self.compared.fingerprint, self.size, *(self.rows[place].digest for place in some))
        try:
            return cache.colours_of_cells(
                content,
                self.grids.codes,
                self.grids.stride,
                lambda: [self.picture(place).pixels for place in some],
                grids,
            )
        except BadInput:  # an image is no longer there
            return np.full((self.grids.codes, 3), np.nan)

    def picture(self, place: int) -> Picture:
        """An image, as it was measured; raises BadInput."""
        return cache.picture_of(self.images.identity, self.rows[place].name, self.size, self.only, self.images)

    def known_tiles(self, codes: np.ndarray, side: int, slot: DeltaGenerator) -> np.ndarray:
        """What codes decode to, uint8 [N, side, side, 3]; grey where that is not known, or not yet.

        A code of one of several levels draws nothing alone: it has the mean colour of what it covers.
        """
        if not self.is_single:
            colours = np.nan_to_num(self.colours[codes], nan=GREY).round().astype(np.uint8)
            return np.broadcast_to(colours[:, None, None], (len(codes), side, side, 3))
        known = cache.tile_store(self.model)
        name = f"tiles-{self.model.fingerprint[:16]}"
        filling.fill(known, codes, what=f"Decoding the codes of {self.column.name}", name=name, slot=slot)
        found = known.known(codes, unknown=GREY)
        place = np.arange(side) * found.shape[1] // side
        return found[:, place][:, :, place]


def choose_part(subject: Subject, own: tuple[int, ...], *, side: Side) -> int:
    """Which of several codes that stand for one is shown: the one that was opened, else the largest; draws them."""
    if len(own) == 1:
        return own[0]
    chosen = store.read().compare.matched_part
    part = chosen if chosen in own else own[0]
    shown = own[:MOST_PARTS]
    rest = f" <span>· the largest {MOST_PARTS} of them</span>" if len(own) > MOST_PARTS else ""
    st.html(f"<p class='card-label'>{len(own)} codes together{rest}</p>")
    picked = tiles.show(
        subject.known_tiles(np.array(shown, np.int64), subject.grids.stride, st.empty()),
        ids=shown,
        key=f"parts-{side}",
        label=f"Codes of {subject.name} that stand for one of the other model",
        titles=[f"Code {code} · {counted(int(subject.cells[code]), 'cell')}" for code in shown],
        captions=[str(code) for code in shown],
        selected=part,
        side=40,
    )
    if picked in shown and picked != part:
        part = picked
        store.write(store.read().on("compare", matched_part=part))
    return part


def show(
    subject: Subject,
    code: int,
    *,
    beside: list[tuple[int, float]],
    other: Subject,
    closest: bool,
    data: str,
    side: Side,
) -> None:
    """Everything about a code in short. beside: what the other model has where this code is, and the share of each."""
    name = widgets.escaped(subject.column.name)
    address = "codebook?" + urlencode({"checkpoint": subject.column.name, "code": code})
    number = f"{subject.chip}<h3>{'Closest:' if closest else 'Code'} {code}</h3>"
    words = f'aria-label="Its page: code {code} of {name}" target="_blank" rel="noopener"'
    link = f'<a href="{widgets.escaped(address)}" {words}>Its page</a>' if subject.is_single else ""
    st.html(f'<div class="card-head">{number}<span>{name}</span>{link}</div>')
    with st.container(horizontal=True, gap="small", vertical_alignment="center", key=f"look_{side}"):
        of_it = "What a field of" if subject.is_single else "The mean colour of what"
        alt = f"{of_it} code {code} of {subject.column.name} {'decodes to' if subject.is_single else 'covers'}"
        tile = subject.known_tiles(np.array([code]), subject.grids.stride, st.empty())[0]
        st.image(tile, alt=alt, width=72, output_format="PNG")
        training = cache.training_usage(subject.model) if subject.is_single else None
        widgets.figure_row(usage_figures(subject.cells, code, label=data, images=len(subject.rows), training=training))
    exports.figure(f"look_{side}", label=f"Code {code} of {subject.column.name}")
    _show_beside(other, beside, side)
    _show_patches(subject, code, side)


def _show_beside(other: Subject, beside: list[tuple[int, float]], side: Side) -> None:
    st.html(f"<p class='card-label'>What {other.chip} {widgets.escaped(other.column.name)} has there</p>")
    found = np.array([code for code, _ in beside], np.int64)
    tiles.show(
        other.known_tiles(found, other.grids.stride, st.empty()),
        ids=found.tolist(),
        key=f"beside-{side}",
        label=f"What {other.name} has there",
        titles=[f"Code {code} of {other.name} has {share:.1%} of its pixels" for code, share in beside],
        captions=[f"{share:.0%}" for _, share in beside],
        side=40,
    )


def _show_patches(subject: Subject, code: int, side: Side) -> None:
    """The cells that are nearest to it, in those images that have most of it."""
    most = [int((grid == code).sum()) for grid in subject.grids.indices]
    chosen = sorted(np.argsort(most, kind="stable")[::-1][:MOST_LOOKED_AT].tolist())
    chosen = [place for place in chosen if most[place]]
    try:
        pictures = [subject.picture(place) for place in chosen]
        if subject.is_single:
            encoded = [cache.encode(subject.model, picture) for picture in pictures]
            found = dossier.nearest_cells(subject.model.codebook, encoded, code, most=MOST_PATCHES)
        else:
            found = dossier.some_cells([subject.grids.indices[place] for place in chosen], code, most=MOST_PATCHES)
    except (BadInput, RuntimeError, MemoryError) as fault:
        widgets.refuse(f"The patches cannot be shown. {fault}")
        return
    names = [subject.rows[place].name for place in chosen]
    images = sum(number > 0 for number in most)
    where = f"{'nearest, ' if subject.is_single else ''}from {counted(len(chosen), 'image')}"
    where += f" of {images:,} with it" if images > len(chosen) else ""
    st.html(f"<p class='card-label'>Patches <span>· {where}</span></p>")
    cells = list(zip(found.row.tolist(), found.column.tolist(), strict=True))
    tiles.show(
        dossier.patch_pictures([pictures[image].pixels for image in found.image], cells, stride=subject.grids.stride),
        ids=range(len(cells)),
        key=f"patches-{side}",
        label=f"Patches of code {code} of {subject.name}",
        titles=[
            f"{names[image]} · row {row}, column {column}"
            + (f" · distance {distance:.3f}" if np.isfinite(distance) else "")
            for image, row, column, distance in zip(found.image, found.row, found.column, found.distance, strict=True)
        ],
        frame=dossier.patch_frame(),
        side=PATCH_SIDE,
        scaling="smooth",
    )
