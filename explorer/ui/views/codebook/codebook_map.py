"""The map of codes: PCA at once, UMAP when it is ready; click a code, or gather many with box and lasso."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from explorer.base.folders import cache_folder
from explorer.base.open_model import OpenModel
from explorer.base.tables import as_csv
from explorer.codebook import dots, projection
from explorer.codebook.dots import Scale
from explorer.codebook.projection import Projection, ProjectionSettings
from explorer.codebook.projection_job import find_job, start_job
from explorer.ui import cache, exports, jobs, store, widgets
from explorer.ui.components import dots as dot_map
from explorer.ui.components import tiles
from explorer.ui.components.dots import Dots
from explorer.ui.image_set import UsedSet
from explorer.ui.session import DEFAULT_LAYOUT, Session
from explorer.ui.views.codebook import filling, filters, wall
from vqvae.words import counted

MAP = "codebook-map"
COLOURS = ("decoded colour", "log usage", "isolation")
IN_WORDS = {"isolation": "distance to nearest code"}  # of a colour whose name, which sessions keep, does not say it
MOST_PATCHES = 50_000
MOST_TILED = 4096  # codes on the map whose tiles go with it, to be shown where they are pointed at
OTHER = "#9aa0a3"  # labels beyond the palette, and codes that no image uses
LABEL_COLOURS = ("#4c78a8", "#f58518", "#54a24b", "#e45756", "#72b7b2", "#b279a2", "#ff9da6", "#9d755d", "#eeca3b")


def show(model: OpenModel, used: UsedSet, session: Session, bar: DeltaGenerator, shown: np.ndarray) -> None:
    """Draw the codes that are shown, bool [K], and what is gathered on the map; its controls go into the bar."""
    with bar:
        session = _controls(used, session)
    counts = used.index.counts
    filters.explain(session, counts, shown)
    settings = session.codebook.map_layout
    made = cache.pca(model) if settings.method == "pca" else _made(model, settings)
    placed = made or cache.pca(model)
    colours_slot, layout_slot = st.empty(), st.empty()
    codes = dots.drawing_order(counts, np.flatnonzero(shown))
    colours, scale = _colours(model, used, session.codebook.map_colour, codes, colours_slot)
    behind = None
    if session.codebook.map_patches:
        sample = cache.patch_sample(model, used.key, MOST_PATCHES, used.images, used.index)
        places = projection.embed_patches(model.codebook, placed, sample.vectors)
        behind = places, cache.colours_of(model, sample.codes[None])[0]
    usage = cache.code_usage(used.key, used.index)
    outline = dot_map.show(
        Dots(
            codes=codes,
            points=placed.points[codes],
            colours=colours,
            radii=dots.radii(counts, codes),
            counts=counts[codes],
            ranks=usage.ranks[codes],
            own_distance=usage.own_distance[codes],
            nearest=wall.nearest_known(model, codes),
            tiles=_tiles(model, codes),
        ),
        key=MAP,
        label="Map of the codes",
        cells=max(1, int(counts.sum())),
        ranked=int(np.count_nonzero(counts)),
        scale=scale,
        behind=behind,
        remembered_as=model.fingerprint,
    )
    of = (model.name, used.label, settings.method if made else "pca")
    exports.figure(MAP, label="Map of the codes", of=of, rows=lambda: dots.rows(codes, placed.points, counts))
    st.caption(
        "Click a code to open it; box and lasso gather many. By keyboard, B at two codes gathers the box between them. "
        "Dots grow with usage; codes unused in these images are hollow and are drawn behind the others."
    )
    if made is None:
        with layout_slot.container():
            _make_layout(model, settings)
    if outline:
        gathered = np.sort(codes[dots.inside(placed.points[codes], outline)])
        _show_gathered(model, used, gathered)


def _controls(used: UsedSet, session: Session) -> Session:
    """Colour, patches and layout; returns the session with what the person chose."""
    colours = list(COLOURS)
    if len(cache.counts_by_label(used.key, used.index)) > 1:
        colours.append("label")
    colour = session.codebook.map_colour if session.codebook.map_colour in colours else colours[0]

    def reset() -> None:
        store.write(store.read().on("codebook", map_layout=DEFAULT_LAYOUT))

    st.selectbox(
        "Coloured by",
        colours,
        width=222,
        format_func=lambda by: f"By {IN_WORDS.get(by, by)}",
        label_visibility="collapsed",
        **widgets.bound("map-colour", colour, lambda chosen: store.read().on("codebook", map_colour=chosen)),
    )
    st.toggle(
        "Patches",
        help="Also place a sample of real patches, each in its code's colour.",
        **widgets.bound(
            "map-patches", session.codebook.map_patches, lambda on: store.read().on("codebook", map_patches=on)
        ),
    )
    with st.popover("Layout", icon=":material/tune:", help="UMAP or PCA, neighbours, distance, metric, seed"):
        _layout(session.codebook.map_layout, lambda layout: store.read().on("codebook", map_layout=layout))
        st.button("Reset", on_click=reset)
    return session.on("codebook", map_colour=colour)


def _layout(now: ProjectionSettings, apply: Callable[[ProjectionSettings], Session]) -> None:
    def setting(name: str, value: Any, parse: Callable[[Any], Any] = lambda chosen: chosen) -> dict[str, Any]:
        """A widget that changes one setting; one that was switched off, which is None, changes nothing."""
        return widgets.bound(
            f"map-{name}",
            value,
            lambda chosen: apply(now if chosen is None else replace(now, **{name: parse(chosen)})),
        )

    st.segmented_control("Method", ["UMAP", "PCA"], **setting("method", now.method.upper(), str.lower))
    st.slider("Neighbours", 2, 100, help="Few show fine structure.", **setting("neighbours", now.neighbours))
    st.slider(
        "Minimum distance",
        0.0,
        0.99,
        help="How tightly UMAP packs.",
        **setting("minimum_distance", now.minimum_distance),
    )
    st.segmented_control("Metric", ["Euclidean", "Cosine"], **setting("metric", now.metric.capitalize(), str.lower))
    st.number_input(
        "Seed", 0, 2**31 - 1, help="The same seed gives the same map on one machine.", **setting("seed", now.seed, int)
    )


def _made(model: OpenModel, settings: ProjectionSettings) -> Projection | None:
    """The wanted layout where it is stored, or was made just now and could not be, which is said."""
    key = cache.projection_key(model, settings)
    if said := cache.damage(model, projection.SHIPPED_FILE):
        widgets.warn(said)
    stored = projection.load_projection([model.folder, cache_folder()], key, codes=model.codes)
    if stored is not None:
        return stored
    job = find_job(key, cache_folder())
    if job is None or job.result is None:
        return None
    if job.result.remark:
        widgets.warn(job.result.remark)
    return job.result.projection


def _make_layout(model: OpenModel, settings: ProjectionSettings) -> None:
    """Have a layout made, once the browser has the map: its worker would take the cores from it."""
    job = find_job(cache.projection_key(model, settings), cache_folder())
    if job is None:
        st.fragment(_start_later, run_every=jobs.LOOK_EVERY)(count(), model, settings)
    elif job.state == "running":
        jobs.follow(job, "PCA for now. UMAP", key="umap")
    elif job.state == "done":  # this very moment
        st.rerun()
    else:
        reason = f"UMAP failed: {job.message}" if job.state == "failed" else "UMAP was cancelled."
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption(widgets.plain(f"{reason} This is PCA."))
            st.button("Try again", on_click=_start_again, args=(model.codebook.array, settings, model.name))


def _start_again(codes: np.ndarray, settings: ProjectionSettings, name: str) -> None:
    start_job(codes, settings, cache_folder(), name=name, again=True)


def _start_later(looks: Iterator[int], model: OpenModel, settings: ProjectionSettings) -> None:
    """Start the worker at the second look: the browser asks for that one, so it has what was sent before."""
    st.progress(0.0, "PCA for now. UMAP: Starting")
    if next(looks):
        start_job(model.codebook.array, settings, cache_folder(), name=model.name)
        st.rerun()


def _tiles(model: OpenModel, codes: np.ndarray) -> np.ndarray | None:
    """The tiles to show where dots are pointed at, where there are not too many and all of them were decoded."""
    tile_store = cache.tile_store(model)
    if len(codes) > MOST_TILED or not tile_store.fill(codes, seconds=filling.AT_ONCE):
        return None
    return tile_store.of(codes)


def _colours(
    model: OpenModel, used: UsedSet, by: str, codes: np.ndarray, slot: DeltaGenerator
) -> tuple[np.ndarray, Scale | None]:
    """The colour of each of the codes, uint8 [N, 3], and what it stands for; grey until it is known."""
    first = codes[::-1]  # those that lie on top, which are used
    if by == "log usage":
        colours, low, high = dots.shades(np.log10(used.index.counts[codes] + 1.0))
        return colours, Scale("log10 (cells + 1)", low, high)
    if by == "isolation":
        what, name = "Measuring how far the codes are from one another", f"distances-{model.fingerprint[:16]}"
        filling.fill(cache.nearest_store(model), first, what=what, name=name, slot=slot)
        colours, low, high = dots.shades(wall.nearest_known(model, codes))
        return colours, Scale("distance to the nearest code", low, high)
    if by == "label":
        with slot.container():
            return _label_colours(used)[codes], None
    colour_store = cache.colour_store(model)
    name = f"colours-{model.fingerprint[:16]}"
    filling.fill(colour_store, first, what="Decoding the colours", name=name, slot=slot)
    return colour_store.known(codes, unknown=dots.UNKNOWN), None


def _label_colours(used: UsedSet) -> np.ndarray:
    """The colour of the label in whose images each code is used most, by share: uint8 [K, 3], with a legend above."""
    labelled = cache.counts_by_label(used.key, used.index)
    names = sorted(labelled, key=lambda name: -int(labelled[name].sum()))
    table = np.stack([labelled[name] for name in names])
    share = table / np.maximum(1, table.sum(1, keepdims=True))
    palette = [*LABEL_COLOURS[: len(names)], *[OTHER] * (len(names) - len(LABEL_COLOURS))]
    others = [f"{len(names) - len(LABEL_COLOURS)} others"] if len(names) > len(LABEL_COLOURS) else []
    widgets.legend(
        list(zip([*(name or "no label" for name in names[: len(LABEL_COLOURS)]), *others], palette, strict=False))
    )
    colours = np.array([list(bytes.fromhex(colour[1:])) for colour in [*palette, OTHER]], np.uint8)
    return colours[np.where(share.any(0), share.argmax(0), len(palette))]


def _show_gathered(model: OpenModel, used: UsedSet, codes: np.ndarray) -> None:
    """The codes in a box or lasso: their tiles, their usage together, and downloads."""
    counts = used.index.counts
    share = counts[codes].sum() / max(1, counts.sum())
    cells = counted(int(counts[codes].sum()), "cell")
    st.markdown(f"**{counted(len(codes), 'code')}**, {cells}, {share:.1%} of all")
    if not len(codes):
        return
    part = codes[: tiles.MOST_TILES]
    tile_store = cache.tile_store(model)
    name = f"tiles-{model.fingerprint[:16]}"
    filling.fill(tile_store, part, what="Decoding the codes", name=name, slot=st.empty())
    of = (model.name, used.label)
    tiles.show(
        tile_store.known(part, unknown=wall.GREY),
        ids=part.tolist(),
        key="gathered",
        label="Gathered codes",
        titles=wall.titles(model, used, part),
        faint=counts[part] == 0,
        height=130,
        opens=True,
        of=of,
    )
    rows = [{"code": int(code), "cells": int(counts[code])} for code in codes]
    with st.container(horizontal=True):
        st.download_button(
            "CSV",
            lambda: as_csv(("code", "cells"), rows),
            file_name=f"{exports.saved_as('Gathered codes', *of)}.csv",
            mime="text/csv",
            on_click="ignore",
        )
        st.download_button(
            "JSON",
            lambda: json.dumps(rows),
            file_name=f"{exports.saved_as('Gathered codes', *of)}.json",
            mime="application/json",
            on_click="ignore",
        )
