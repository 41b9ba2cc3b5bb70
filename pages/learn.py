"""Learn: one cell of the person's own picture, followed through the model, and five things to try."""

import numpy as np
import streamlit as st

from explorer.base.open_model import OpenModel
from explorer.codebook.tiles import mean_colours
from explorer.editing.edits import RULES
from explorer.images.pictures import Picture
from explorer.images.reconstruction import EncodedPicture, decibels, render
from explorer.learn import charts
from explorer.learn.answers import BYPASS, CLASSIC, TRAINED, Listening, answers
from explorer.learn.steps import fact, source_of, steps, tell
from explorer.learn.tasks import (
    TASKS,
    Check,
    check_half,
    check_ignored,
    check_margin,
    check_rare,
    check_sky,
    edit_effect,
)
from explorer.learn.walk import Walk, cell_inside, follow, light_up
from explorer.ui import cache, store, widgets
from explorer.ui.components import picker, strip, tiles
from explorer.ui.page import guarded, open_page
from explorer.ui.picture_choice import choose_picture, open_chosen
from explorer.ui.session import Session
from explorer.ui.views.learn import lesson, training
from vqvae.checkpoint import CheckpointInfo
from vqvae.errors import BadInput

NEAREST_SHOWN = 14  # codes
PLOT = {"displayModeBar": False}  # small charts: the wheel scrolls the page


@guarded
def main() -> None:
    model = open_page("Learn", "One cell of your picture, followed through the model.")
    lesson.style()
    session = store.write(choose_picture(store.read()))
    show_walkthrough(model, open_chosen(session, model))
    training.show()


@st.fragment
@guarded
def show_walkthrough(model: OpenModel, picture: Picture) -> None:
    """The picture with its cell, the steps, what they mean, and what to try."""
    session = store.read()
    encoded = cache.encode(model, picture)
    rows, columns = encoded.indices.shape
    cell = cell_inside(session.cell, rows=rows, columns=columns)
    weight = session.weight_for(2) if model.inputs == 2 else 0.0
    walk = follow(model.tokenizer, model.codebook, encoded, picture, cell, weight=weight)
    left, right = st.container(key="walk").columns([1, 2.1], gap="large")
    with left.container(key="walk_picture"):
        choose_cell(model, picture, encoded, walk, session)
    with right:
        show_steps(model, walk, session)
    here = cache.listening(model, picture)
    show_answers(walk, encoded, picture, here)
    show_tasks(model, picture, encoded, walk, here)


# --- the cell ---------------------------------------------------------------------------------------------------------


def choose_cell(model: OpenModel, picture: Picture, encoded: EncodedPicture, walk: Walk, session: Session) -> None:
    """The picture to click in, the cell in numbers, and the blend."""
    row, column = walk.cell
    pixels = picture.pixels
    if session.learn.lights_up:
        gaps = cache.all_gaps(model, picture)
        pixels = light_up(pixels, gaps, stride=model.stride)
    picker.show(
        pixels,
        cell=walk.cell,
        rows=walk.rows,
        columns=walk.columns,
        stride=model.stride,
        key="learn-picture",
        apply=lambda cell: store.read().with_cell(cell),
    )
    with st.container(horizontal=True):
        st.number_input(
            "Row",
            0,
            walk.rows - 1,
            width=110,
            **widgets.bound("learn-row", row, lambda row: store.read().with_cell((row, column))),
        )
        st.number_input(
            "Column",
            0,
            walk.columns - 1,
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
        help="How much of what quantization lost the decoder's second input carries: 0% is the codes alone.",
        **widgets.bound("learn-blend", round(100 * walk.weight), with_percent),
    )


def with_percent(percent: int) -> Session:
    """The session at a blend; at none the embedding is off, and the blend is kept for when it is on again."""
    session = store.read()
    return session.with_blend(percent / 100 or session.blend, uses_embedding=percent > 0)


# --- the steps --------------------------------------------------------------------------------------------------------


def show_steps(model: OpenModel, walk: Walk, session: Session) -> None:
    """The strip of steps, and the open one with the lines of the model that do it."""
    stations = steps(model.tokenizer)
    number = next((number for number, step in enumerate(stations) if step.name == session.learn.step), 0)
    tile = cache.tiles_of(model, [walk.code])[0]
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
    VIEWS[step.name](model, walk)
    for function in step.functions:
        lesson.source(source_of(function))


def show_patch(model: OpenModel, walk: Walk) -> None:
    lesson.views(walk, [(walk.original, "With those around it", "")], alone=walk.patch(walk.original))


def show_embedding(model: OpenModel, walk: Walk) -> None:
    bars(walk, walk.embedding, "The embedding, number by number")


def show_distances(model: OpenModel, walk: Walk) -> None:
    lesson.label("All codes by their distance to the embedding")
    st.plotly_chart(charts.distance_curve(walk.order, walk.distances), key="learn-distances", config=PLOT)
    nearest = walk.order[:NEAREST_SHOWN]
    tiles.show(
        cache.tiles_of(model, nearest),
        ids=nearest.tolist(),
        key="learn-nearest",
        label="The nearest codes",
        titles=[f"Code {code} · distance {walk.distances[place]:.3f}" for place, code in enumerate(nearest)],
        captions=[f"{distance:.2f}" for distance in walk.distances[:NEAREST_SHOWN]],
        selected=walk.code,
        side=40,
    )


def show_code(model: OpenModel, walk: Walk) -> None:
    tile, vector = st.columns([1, 4])
    with tile:
        lesson.label("Decoded alone")
        st.image(
            cache.tiles_of(model, [walk.code])[0],
            caption=f"Code {walk.code}",
            width=110,
            output_format="PNG",
        )
    with vector:
        bars(walk, walk.quantized, "The code's vector; in grey the embedding", behind=walk.embedding)


def show_residual(model: OpenModel, walk: Walk) -> None:
    bars(walk, walk.residual, "The residual, on the scale of the embedding")


def show_inputs(model: OpenModel, walk: Walk) -> None:
    if walk.inputs == 1:
        bars(walk, walk.quantized, "The only input: the quantized vector")
        return
    first, second = st.columns(2)
    with first:
        bars(walk, walk.quantized, "First input: the quantized vector")
    with second:
        bars(walk, walk.fed, "Second input; in grey the whole residual", behind=walk.residual)


def show_output(model: OpenModel, walk: Walk) -> None:
    entries = [(walk.original, "Original", ""), (walk.off, "Codes alone", f"{decibels(walk.psnr(walk.off))} dB")]
    if walk.inputs == 2:
        if 0 < walk.weight < 1:
            entries.append((walk.now, f"Blend {walk.weight:.0%}", f"{decibels(walk.psnr(walk.now))} dB"))
        entries.append((walk.on, "Embedding on", f"{decibels(walk.psnr(walk.on))} dB"))
    lesson.views(walk, entries)


VIEWS = {
    "patch": show_patch,
    "embedding": show_embedding,
    "distances": show_distances,
    "code": show_code,
    "residual": show_residual,
    "inputs": show_inputs,
    "output": show_output,
}


def bars(walk: Walk, values: np.ndarray, title: str, *, behind: np.ndarray | None = None) -> None:
    """A vector of the cell under a heading, on the axis that all its vectors share."""
    lesson.label(title)
    figure = charts.vector_bars(values, largest=lesson.scale_of(walk), behind=behind)
    st.plotly_chart(figure, key=f"learn-bars-{title}", config=PLOT)


# --- the whole picture ------------------------------------------------------------------------------------------------


def show_answers(walk: Walk, encoded: EncodedPicture, picture: Picture, here: Listening) -> None:
    """Four questions, answered with the figures of this picture, also from the shipped checkpoints that are there."""
    others = {}
    for info in cache.find_checkpoints():
        inputs = {TRAINED: 2, CLASSIC: 1, BYPASS: 2}.get(info.name)
        if not isinstance(info, CheckpointInfo) or inputs is None:
            continue
        opened = open_other(info)
        if opened is not None and opened.inputs == inputs:
            others[info.name] = cache.listening(opened, picture)
    st.html("<h2 class='walk'>What this means <span>with the figures of this picture</span></h2>")
    lesson.answers(answers(walk, encoded.indices, pixels=picture.pixels, here=here, others=others))


def open_other(info: CheckpointInfo) -> OpenModel | None:
    """Another checkpoint; None where it cannot be opened."""
    try:
        return cache.open_model(info.folder)
    except (BadInput, OSError):
        return None


# --- things to try ----------------------------------------------------------------------------------------------------


def show_tasks(model: OpenModel, picture: Picture, encoded: EncodedPicture, walk: Walk, here: Listening) -> None:
    """Five tasks, each with how it stands; what was done once stays done."""
    heading = st.container()
    left, right = st.container(key="walk_try").columns(2, gap="large")
    with left:
        counts, sample = usage(model, encoded)
        session = pick_code(model, counts, sample)
        choose_rule(model, session)
    checks = check_tasks(model, picture, encoded, walk, here, session, counts, sample)
    news = [task for task in TASKS if checks[task.name].done and task.name not in session.learn.tried]
    session = store.keep(session.with_tried(*(task.name for task in news)))
    for task in news:
        st.toast(f"Done: {task.title}", icon=":material/check_circle:")
    with right:
        lesson.tasks([(task, checks[task.name], task.name in session.learn.tried) for task in TASKS])
    number = sum(task.name in session.learn.tried for task in TASKS)
    heading.html(f"<h2 class='walk'>Try this <span>{number} of {len(TASKS)} done</span></h2>")


def usage(model: OpenModel, encoded: EncodedPicture) -> tuple[np.ndarray, str]:
    """How often each code is used, [K], and by what: by the training photos where that is known."""
    training = cache.training_usage(model)
    if training is not None:
        return training.counts, f"the {training.images:,} training photos"
    return np.bincount(encoded.indices.ravel(), minlength=model.codes), "this picture"


def pick_code(model: OpenModel, counts: np.ndarray, sample: str) -> Session:
    """The wall of codes, by usage; of a very large codebook both ends of it."""
    order = np.argsort(-counts, kind="stable")
    if len(order) > tiles.MOST_TILES:
        order = np.concatenate([order[: tiles.MOST_TILES // 2], order[-tiles.MOST_TILES // 2 :]])
    session = store.read()
    st.html(f"<p class='label'>Codes <span>· the most used by {sample} first</span></p>")
    picked = tiles.show(
        cache.tiles_of(model, order),
        ids=order.tolist(),
        key="learn-wall",
        label="All codes",
        titles=[f"Code {code} · {counts[code]:,} cells" for code in order],
        selected=session.codebook.code,
        side=22,
        height=240,
    )
    return session if picked is None else store.write(session.on("codebook", code=picked))


def choose_rule(model: OpenModel, session: Session) -> None:
    """What becomes of the cell's embedding when the picked code is put there."""
    st.segmented_control(
        "Put the picked code into the cell, and let its embedding",
        list(RULES),
        format_func=str.capitalize,
        help=" ".join(RULES.values()),
        disabled=model.inputs == 1,
        **widgets.bound(
            "learn-rule", session.learn.tried_rule, lambda rule: store.read().on("learn", tried_rule=rule or "follow")
        ),
    )


def check_tasks(
    model: OpenModel,
    picture: Picture,
    encoded: EncodedPicture,
    walk: Walk,
    here: Listening,
    session: Session,
    counts: np.ndarray,
    sample: str,
) -> dict[str, Check]:
    """How each task stands, by its name."""
    tokenizer, code = model.tokenizer, session.codebook.code
    if code is not None and code >= len(counts):
        code = None
    colour = effect = None
    if code is not None:
        colour = mean_colours(cache.tiles_of(model, [code]))[0]
        effect = edit_effect(
            tokenizer, encoded.encoding, walk.cell, code, rule=session.learn.tried_rule, weight=walk.weight
        )
    gaps = cache.all_gaps(model, picture)
    now = render(tokenizer, encoded, picture, weight=walk.weight).quality.psnr
    return {
        "sky": check_sky(code, colour),
        "rare": check_rare(code, counts, sample=sample),
        "margin": check_margin(walk.gap, gaps, chosen=session.cell == walk.cell),
        "half": check_half(now, here, weight=walk.weight),
        "ignore": check_ignored(code, effect, inputs=model.inputs),
    }


main()
