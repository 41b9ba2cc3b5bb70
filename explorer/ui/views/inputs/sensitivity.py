"""Maps of how much the picture changes with each input, cell by cell; measured beside the page when asked for."""

from functools import partial
from weakref import ref

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from explorer.base.open_model import OpenModel
from explorer.images.pictures import Picture
from explorer.inputs import charts, sensitivity
from explorer.inputs.sensitivity import Reading, SensitivityMap, percent, scaled
from explorer.ui import cache, exports, jobs, store, widgets
from explorer.ui.picture_choice import saved_as

JOB = "maps"
LONGEST = 240.0  # seconds, until the person asks for more
READINGS: dict[Reading, str] = {"size": "its own size", "unit": "one unit"}


def show(model: OpenModel, picture: Picture) -> None:
    """Cell by cell, how much the picture changes with each input; made when it is asked for."""
    st.html("<h2 class='code'>Cell by cell</h2>")
    st.caption(
        "How much a cell's own pixels change for a small change of each input, by automatic differentiation, on the "
        "picture chosen above and at the blend of the view Blend. Yellow cells change most; the first two maps share a "
        "scale, in shares of full brightness. In the third, red cells are those where the codes count more, blue where "
        "the embedding does, each step a factor of two. Point at a cell for its value and standard error."
    )
    session = store.read()
    weight, shows_maps = session.weight_for(model.inputs), session.inputs.shows_maps
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.toggle(
            "Show the maps",
            **widgets.bound("reliance-maps", shows_maps, lambda on: store.read().on("inputs", shows_maps=on)),
        )
        if not shows_maps:
            jobs.forget_others("", prefix=f"{JOB}-")
            return
        reading = choose_reading()
    found = measured(model, picture, weight)
    if found is not None:
        st.caption(widgets.plain(f"{meaning(found, reading)} {certainty(found)}"))
        show_maps(found, reading, of=saved_as(session.picture, model))


def choose_reading() -> Reading:
    """How large a change of each input the maps are for."""
    reading = store.read().inputs.maps_by
    st.segmented_control(
        "Each input changes by",
        list(READINGS),
        format_func=lambda name: f"By {READINGS[name]}",
        label_visibility="collapsed",
        **widgets.bound("maps-by", reading, lambda chosen: store.read().on("inputs", maps_by=chosen or reading)),
    )
    return reading


def measured(model: OpenModel, picture: Picture, weight: float) -> SensitivityMap | None:
    """The maps as far as they are, with how far that is: a job beside the page, which can be stopped and go on."""
    key = _key(model, picture, weight)
    jobs.forget_others(key, prefix=f"{JOB}-")
    made = jobs.shelf(JOB)
    if jobs.find(key) is None and made.find(key) is None:
        begin(key, model, picture, weight)
    job = jobs.find(key)
    state = job.state if job else "done"  # first: what was made is there by the time that it has ended
    if job is not None and job.result is not None:
        made.put(key, job.result)
    found: SensitivityMap | None = made.find(key)
    if job is not None and state == "running":
        jobs.follow(job, "Following small changes through the decoder", key=key)
    elif job is not None and state == "failed":
        st.info(widgets.plain(job.message))
    elif found is None or not found.finished:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption("Not finished: below is what was measured." if found else "Stopped before there was anything.")
            st.button("Go on", key=f"on-{key}", on_click=partial(_go_on, key, ref(model), picture, weight))
    return found


def _key(model: OpenModel, picture: Picture, weight: float) -> str:
    return f"{JOB}-{model.fingerprint[:16]}-{picture.key[:16]}-{weight:g}"


def median_ratio(model: OpenModel, picture: Picture) -> float | None:
    """The median over the cells of log2(codes / embedding), each at its own size; None where no maps are shown."""
    session = store.read()
    found = jobs.shelf(JOB).find(_key(model, picture, session.weight_for(model.inputs)))
    if not session.inputs.shows_maps or found is None or not found.finished:
        return None
    ratio = found.ratio("size")
    return None if ratio is None else float(np.median(ratio))


def begin(key: str, model: OpenModel, picture: Picture, weight: float) -> None:
    """Start to measure, or go on from what there is."""
    encoding, so_far = cache.encode(model, picture).encoding, jobs.shelf(JOB).find(key)
    tokenizer, codebook = model.tokenizer, model.codebook
    jobs.start(
        key,
        lambda progress: sensitivity.sensitivity_map(
            tokenizer, codebook, encoding, weight=weight, so_far=so_far, seconds=LONGEST, progress=progress
        ),
    )


def _go_on(key: str, model: ref[OpenModel], picture: Picture, weight: float) -> None:
    """What a button does; it holds no model, since Streamlit keeps it after the button is gone."""
    if (shown := model()) is not None:
        begin(key, shown, picture, weight)


def meaning(found: SensitivityMap, reading: Reading) -> str:
    """How large a change the maps are for, in a sentence or two."""
    codes = f"{found.quantized.size:.2f}"
    if found.embedding is None:
        if reading == "unit":
            return f"For a change of one unit a number; one code differs from the mean code by {codes}."
        return f"For a change of the codes as large as one code differs from the mean code: {codes} a number."
    added = f"{found.embedding.size:.2f}"
    if reading == "unit":
        return (
            "Both inputs change by one unit a number, though a code differs from the mean code by "
            f"{codes} and the embedding adds {added} here: this is how sharply the decoder listens, not how much is at "
            "stake."
        )
    if found.embedding.size == 0:
        return "The embedding adds nothing to the codes here, so the codes alone count."
    return (
        f"The codes change as one code differs from the mean code ({codes} a number, root mean square), the embedding "
        f"by as much as it adds to the codes here ({added}): this is how much of the picture is at stake with each."
    )


def certainty(found: SensitivityMap) -> str:
    """How sure the maps are, and from how many probes."""
    inputs = found.inputs
    errors = " and ".join(f"± {percent(one.relative_error)}" for one in inputs)
    probes = " and ".join(f"{one.probes:,}" for one in inputs)
    which = " (codes, embedding)" if len(inputs) == 2 else ""
    bound = f" More than {sensitivity.MOST_PROBES:,} probes are not tried."
    return (
        f"A typical cell is sure to {errors}{which} after {probes} probes; a second map of as many would correlate "
        f"{' and '.join(f'{np.floor(100 * one.reliability) / 100:.2f}' for one in inputs)} with this one."
        + (bound if found.finished and not found.sure else "")
    )


def show_maps(found: SensitivityMap, reading: Reading, *, of: str) -> None:
    """A map of each input, and of the ratio between them."""
    parts = [scaled(one, reading) for one in found.inputs]
    largest = max(float(values.max()) for values, _ in parts)
    with st.container(key="stack_maps"):
        columns = st.columns(3, gap="medium")
    for column, title, (values, errors) in zip(columns, ("Codes", "Embedding"), parts, strict=False):
        heat = charts.sensitivity_heat(values, errors, title=title, largest=largest)
        with column:
            show_map(heat, values, errors, key=f"heat-{title.lower()}", label=f"{title} by {READINGS[reading]}", of=of)
    ratio, ratio_errors = found.ratio(reading), found.ratio_errors
    if ratio is None or ratio_errors is None:
        columns[1].info("This decoder has one input, so there is nothing to compare it with.")
    else:
        heat, label = charts.sensitivity_ratio(ratio, ratio_errors), "Codes over embedding, log2"
        with columns[2]:
            show_map(heat, ratio, ratio_errors, key="heat-ratio", label=f"{label}, by {READINGS[reading]}", of=of)


def show_map(heat: go.Figure, values: np.ndarray, errors: np.ndarray, *, key: str, label: str, of: str) -> None:
    """A map, without plotly's bar of buttons, which would cover the title of so small a chart."""
    exports.chart(
        heat,
        key=key,
        label=label,
        of=(of,),
        rows=lambda: charts.cell_rows(values, errors, title=label),
        config=exports.BARE,
    )
