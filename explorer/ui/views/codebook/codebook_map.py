"""The map of codes: PCA at once, UMAP when it is ready; click a code, or gather many with box and lasso."""

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from explorer.base.folders import cache_folder
from explorer.base.open_model import OpenModel
from explorer.codebook import charts, projection
from explorer.codebook.projection import Projection, ProjectionSettings
from explorer.codebook.projection_job import start_job
from explorer.ui import cache, jobs, store, widgets
from explorer.ui.components import tiles
from explorer.ui.image_set import UsedSet
from explorer.ui.session import DEFAULT_LAYOUT, Session

CHART = "codebook-map"
COLOURS = ("decoded colour", "log usage", "isolation")
COLOURS_OF_MANY = ("log usage",)  # what a very large codebook can be coloured by at once
MOST_PATCHES = 50_000
OTHER = "#9aa0a3"  # labels beyond the palette, and codes that no image uses
LABEL_COLOURS = ("#4c78a8", "#f58518", "#54a24b", "#e45756", "#72b7b2", "#b279a2", "#ff9da6", "#9d755d", "#eeca3b")


def show(model: OpenModel, used: UsedSet, session: Session, bar: DeltaGenerator) -> None:
    """Draw the map and what is selected on it; its controls go into the bar."""
    with bar:
        session = _controls(model, used, session)
    placed = _projection(model, session.codebook.map_layout)
    counts = used.index.counts
    colours, title = _colours(model, used, session.codebook.map_colour)
    background = None
    if session.codebook.map_patches:
        sample = cache.patch_sample(model, used.key, MOST_PATCHES, used.images, used.index)
        places = projection.embed_patches(model.codebook, placed, sample.vectors)
        tints = cache.colours_of(model, sample.codes[None])[0]
        background = (places, [f"rgb({red},{green},{blue})" for red, green, blue in tints.tolist()])
    st.plotly_chart(
        charts.codebook_map(
            placed.points,
            counts,
            colours=colours,
            colour_title=title,
            hover=cache.hover_texts(model, used.key, counts),
            background=background,
        ),
        key=CHART,
        on_select=_open_clicked,
        selection_mode=("points", "box", "lasso"),
        config=widgets.PLOT,
    )
    st.caption(
        "Click a code to open it; box or lasso (top right) gathers many. Dots grow with usage; dead codes are hollow."
    )
    gathered = np.array(widgets.selected_points(widgets.said(CHART)), dtype=np.int64)
    gathered = gathered[gathered < len(counts)]
    if len(gathered) > 1:
        _show_gathered(model, counts, gathered)


def _controls(model: OpenModel, used: UsedSet, session: Session) -> Session:
    """Colour, patches and layout; returns the session with what the person chose."""
    small = model.codes <= min(cache.MOST_DECODED, cache.MOST_COMPARED)
    colours = list(COLOURS if small else COLOURS_OF_MANY)
    if len(cache.counts_by_label(used.key, used.index)) > 1:
        colours.append("label")
    colour = session.codebook.map_colour if session.codebook.map_colour in colours else colours[0]

    def reset() -> None:
        store.write(store.read().on("codebook", map_layout=DEFAULT_LAYOUT))

    st.selectbox(
        "Coloured by",
        colours,
        width=165,
        format_func="By {}".format,
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
    with st.popover("", icon=":material/tune:", help="Layout: UMAP or PCA, neighbours, distance, metric, seed"):
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


def _projection(model: OpenModel, settings: ProjectionSettings) -> Projection:
    """The wanted layout where it is stored or just made; else PCA, while a worker computes it."""
    codebook = model.codebook.array
    if settings.method == "pca":
        return cache.pca(model)
    if said := cache.damage(model, projection.SHIPPED_FILE):
        widgets.warn(said)
    key = cache.projection_key(model, settings)
    stored = projection.load_projection([model.folder, cache_folder()], key, codes=len(codebook))
    if stored is not None:
        return stored
    job = start_job(codebook, settings, cache_folder())
    if job.result is not None:  # made just now, or it could not be kept on disk, and says so
        if job.result.remark:
            widgets.warn(job.result.remark)
        return job.result.projection
    jobs.follow(job, "PCA for now. UMAP", key="umap")
    if job.state in ("failed", "cancelled"):
        reason = f"UMAP failed: {job.message}" if job.state == "failed" else "UMAP was cancelled."
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption(widgets.plain(f"{reason} This is PCA."))
            st.button("Try again", on_click=partial(_start_again, codebook, settings))
    return cache.pca(model)


def _start_again(codebook: np.ndarray, settings: ProjectionSettings) -> None:
    start_job(codebook, settings, cache_folder(), again=True)


def _open_clicked() -> None:
    """A click on one code opens its dossier; a box or lasso of many does not."""
    chosen = widgets.selected_points(widgets.said(CHART))
    if len(chosen) == 1:
        store.keep(store.read().on("codebook", code=chosen[0]))


def _colours(model: OpenModel, used: UsedSet, by: str) -> tuple[np.ndarray | list[str], str | None]:
    counts = used.index.counts
    if by == "log usage":
        return np.log10(counts + 1.0), "log10 (cells + 1)"
    if by == "isolation":
        return cache.nearest_distances(model), "distance to the nearest code"
    if by == "label":
        return _label_colours(used), None
    return cache.css_colours(model), None


def _label_colours(used: UsedSet) -> list[str]:
    """The colour of the label in whose images each code is used most, by share; a legend is drawn above the map."""
    labelled = cache.counts_by_label(used.key, used.index)
    names = sorted(labelled, key=lambda name: -int(labelled[name].sum()))
    table = np.stack([labelled[name] for name in names])
    share = table / np.maximum(1, table.sum(1, keepdims=True))
    palette = [*LABEL_COLOURS[: len(names)], *[OTHER] * (len(names) - len(LABEL_COLOURS))]
    others = [f"{len(names) - len(LABEL_COLOURS)} others"] if len(names) > len(LABEL_COLOURS) else []
    widgets.legend(
        list(zip([*(name or "no label" for name in names[: len(LABEL_COLOURS)]), *others], palette, strict=False))
    )
    return [
        palette[number] if used_at_all else OTHER
        for number, used_at_all in zip(share.argmax(0), share.any(0), strict=True)
    ]


def _show_gathered(model: OpenModel, counts: np.ndarray, codes: np.ndarray) -> None:
    """The codes in a box or lasso: their tiles, their usage together, and downloads."""
    share = counts[codes].sum() / max(1, counts.sum())
    st.markdown(f"**{len(codes):,} codes**, {counts[codes].sum():,} cells, {share:.1%} of all")
    part = codes[: tiles.MOST_TILES]
    picked = tiles.show(
        cache.tiles_of(model, part),
        ids=part.tolist(),
        key="gathered",
        label="Gathered codes",
        titles=[f"Code {code} · {counts[code]:,} cells" for code in part],
        height=130,
    )
    if picked is not None:
        store.write(store.read().on("codebook", code=picked))
        st.rerun()
    rows = [{"code": int(code), "cells": int(counts[code])} for code in codes]
    with st.container(horizontal=True):
        st.download_button("CSV", lambda: _to_csv(rows), file_name="codes.csv", mime="text/csv", on_click="ignore")
        st.download_button(
            "JSON", lambda: json.dumps(rows), file_name="codes.json", mime="application/json", on_click="ignore"
        )


def _to_csv(rows: list[dict[str, int]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, ["code", "cells"])
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
