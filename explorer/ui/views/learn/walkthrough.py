"""The walkthrough: the picture with its cell, and the cell's way through the model step by step."""

import numpy as np
import streamlit as st

from explorer.images.reconstruction import decibels
from explorer.learn import charts
from explorer.learn.steps import fact, source_of, steps, tell
from explorer.learn.walk import light_up
from explorer.ui import cache, exports, store, widgets
from explorer.ui.components import picker, strip, tiles
from explorer.ui.picture_choice import saved_as
from explorer.ui.session import Session
from explorer.ui.views.learn import lesson
from explorer.ui.views.learn.opened import Lesson

NEAREST_SHOWN = 14  # codes


def show(opened: Lesson) -> None:
    """The picture on the left, the steps on the right."""
    left, right = st.container(key="walk").columns([1, 2.1], gap="large")
    with left.container(key="walk_picture"):
        choose_cell(opened)
    with right:
        show_steps(opened)


# --- the cell ---------------------------------------------------------------------------------------------------------


def choose_cell(opened: Lesson) -> None:
    """The picture to click in, the cell in numbers, and the blend."""
    model, picture, walk = opened.model, opened.picture, opened.walk
    session = store.read()
    row, column = walk.cell
    pixels = picture.pixels
    if session.learn.lights_up:
        gaps = cache.all_gaps(model, picture)
        pixels = light_up(pixels, gaps, stride=model.stride)
    picker.show(
        pixels,
        cell=walk.cell,
        rows=opened.rows,
        columns=opened.columns,
        stride=model.stride,
        key="learn-picture",
        apply=lambda cell: store.read().with_cell(cell),
    )
    exports.figure("learn-picture", label="The picture", of=(saved_as(session.picture, model),))
    with st.container(horizontal=True):
        st.number_input(
            "Row",
            0,
            opened.rows - 1,
            width=110,
            **widgets.bound("learn-row", row, lambda row: store.read().with_cell((row, column))),
        )
        st.number_input(
            "Column",
            0,
            opened.columns - 1,
            width=110,
            **widgets.bound("learn-column", column, lambda column: store.read().with_cell((row, column))),
        )
    st.toggle(
        "Light up cells that nearly took another code",
        **widgets.bound("learn-light", session.learn.lights_up, lambda on: store.read().on("learn", lights_up=on)),
    )
    if model.inputs == 1:
        st.caption("This decoder has one input, the codes: there is no embedding to blend in.")
        return
    st.slider(
        "Blend of the embedding",
        0,
        100,
        format="%d%%",
        help="How far the decoder's second input lies on the way from the codes to the embedding: 0% is the codes "
        "alone.",
        **widgets.bound("learn-blend", round(100 * walk.weight), with_percent),
    )


def with_percent(percent: int) -> Session:
    """The session at a blend; at none the embedding is off, and the blend is kept for when it is on again."""
    session = store.read()
    return session.with_blend(percent / 100 or session.blend, uses_embedding=percent > 0)


# --- the steps --------------------------------------------------------------------------------------------------------


def show_steps(opened: Lesson) -> None:
    """The strip of steps, and the open one with the lines of the model that do it."""
    walk, session = opened.walk, store.read()
    stations = steps(opened.model.tokenizer)
    number = next((number for number, step in enumerate(stations) if step.name == session.learn.step), 0)
    tile = cache.tiles_of(opened.model, [walk.code])[0]
    strip.show(
        [
            strip.Card(step.name, step.title, fact(step.name, walk), lesson.drawing(step.name, walk, tile))
            for step in stations
        ],
        opened=stations[number].name,
        key="learn-strip",
        apply=lambda name: store.read().on("learn", step=name),
    )
    step = stations[number]
    lesson.heading(number + 1, step.title, tell(step.name, walk))
    VIEWS[step.name](opened)
    for function in step.functions:
        lesson.source(source_of(function))


def show_patch(opened: Lesson) -> None:
    walk = opened.walk
    lesson.views(walk, [(walk.original, "With those around it", "")], alone=walk.patch(walk.original), of=named(opened))


def show_embedding(opened: Lesson) -> None:
    bars(opened, opened.walk.embedding, "The embedding, number by number")


def show_distances(opened: Lesson) -> None:
    walk = opened.walk
    lesson.label("All codes by their distance to the embedding")
    exports.chart(
        charts.distance_curve(walk.order, walk.distances),
        key="learn-distances",
        label="All codes by their distance",
        of=named(opened),
        rows=lambda: [
            {"rank": rank, "code": code, "distance": distance}
            for rank, (code, distance) in enumerate(zip(walk.order.tolist(), walk.distances.tolist(), strict=True), 1)
        ],
        config=exports.BARE,
    )
    nearest = walk.order[:NEAREST_SHOWN]
    tiles.show(
        cache.tiles_of(opened.model, nearest),
        ids=nearest.tolist(),
        key="learn-nearest",
        label="The nearest codes",
        titles=[f"Code {code} · distance {walk.distances[place]:.3f}" for place, code in enumerate(nearest)],
        captions=[f"{distance:.2f}" for distance in walk.distances[:NEAREST_SHOWN]],
        selected=walk.code,
        side=40,
        of=named(opened),
    )


def show_code(opened: Lesson) -> None:
    walk = opened.walk
    tile, vector = st.columns([1, 4])
    with tile:
        lesson.label("Decoded alone")
        with st.container(key="learn-code"):
            st.image(
                cache.tiles_of(opened.model, [walk.code])[0],
                caption=f"Code {walk.code}",
                alt=f"What code {walk.code} decodes to",
                width=110,
                output_format="PNG",
            )
        exports.figure("learn-code", label=f"Code {walk.code}", of=(opened.model.name,))
    with vector:
        bars(opened, walk.quantized, "The quantized vector; in grey the embedding", behind=walk.embedding)


def show_residual(opened: Lesson) -> None:
    bars(opened, opened.walk.residual, "The residual, on the scale of the embedding")


def show_inputs(opened: Lesson) -> None:
    walk = opened.walk
    if walk.inputs == 1:
        bars(opened, walk.quantized, "The only input: the quantized vector")
        return
    first, second = st.columns(2)
    with first:
        bars(opened, walk.quantized, "First input, quantized")
    with second:
        bars(opened, walk.second, "Second input, embedding; in grey the first", behind=walk.quantized)
    if walk.passed is not None:
        bars(opened, walk.passed, f"What the decoder is told by embedding − quantized: {len(walk.passed)} numbers")


def show_output(opened: Lesson) -> None:
    walk = opened.walk
    entries = [(walk.original, "Original", ""), (walk.off, "Codes alone", f"{decibels(walk.psnr(walk.off))} dB")]
    if walk.inputs == 2:
        if 0 < walk.weight < 1:
            entries.append((walk.now, f"Blend {walk.weight:.0%}", f"{decibels(walk.psnr(walk.now))} dB"))
        entries.append((walk.on, "Embedding on", f"{decibels(walk.psnr(walk.on))} dB"))
    lesson.views(walk, entries, of=named(opened))


VIEWS = {
    "patch": show_patch,
    "embedding": show_embedding,
    "distances": show_distances,
    "code": show_code,
    "residual": show_residual,
    "inputs": show_inputs,
    "output": show_output,
}


def bars(opened: Lesson, values: np.ndarray, title: str, *, behind: np.ndarray | None = None) -> None:
    """A vector of the cell under a heading, on the axis that all its vectors share."""
    lesson.label(title)
    exports.chart(
        charts.vector_bars(values, largest=lesson.scale_of(opened.walk), behind=behind),
        key=f"learn-bars-{title}",
        label=title.partition(";")[0],
        of=named(opened),
        rows=lambda: vector_rows(values, behind),
        config=exports.BARE,
    )


def vector_rows(values: np.ndarray, behind: np.ndarray | None) -> list[dict[str, float]]:
    """The numbers of a vector [D], and of the one behind it."""
    rows = [{"number": number, "value": value} for number, value in enumerate(values.tolist())]
    if behind is None:
        return rows
    return [row | {"in grey": value} for row, value in zip(rows, behind.tolist(), strict=True)]


def named(opened: Lesson) -> tuple[str, str]:
    """What files of the cell are of: the picture and the model, and the cell."""
    row, column = opened.walk.cell
    return saved_as(store.read().picture, opened.model), f"cell {row} {column}"
