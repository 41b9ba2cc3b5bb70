"""Quality at every blend, of what the editor holds: its grid, start, rule and painted blends; followed at rest."""

import hashlib

import streamlit as st

from explorer.editing.edits import Edit, Painting, Rule, edited_cells, inputs_of, unpainted
from explorer.editing.engine import EditEngine
from explorer.editing.starts import Kind
from explorer.images.reconstruction import Quality, compare
from explorer.inputs import blending, charts
from explorer.inputs.blending import Curve
from explorer.ui import exports, jobs, store, widgets
from explorer.ui.page import guarded
from explorer.ui.views.edit.editing import Editing
from explorer.ui.views.inputs import sample_band
from vqvae.words import counted

JOB = "curve"
_NO_PICTURE = (
    "These codes were made from no picture: nothing is left to blend in, so the curve is flat unless cells are edited "
    "by the rule keep. It compares them with the picture chosen above."
)
STARTS: dict[Kind, str] = {
    "picture": "",
    "one code": _NO_PICTURE,
    "random": _NO_PICTURE,
    "mix": "The grid is from two pictures, and compared with the one chosen above.",
}


def follow(editing: Editing) -> None:
    """Once the hand rests, have the curve drawn again if the editor holds something else than it is of."""
    if not editing.settled:
        return
    seen, marked = editing.seen, store.read().inputs.curve_mark
    mark = f"{name_of(editing.engine, seen.painting, seen.edit.rule)}-{editing.level:g}"
    if mark != marked:
        store.keep(store.read().on("inputs", curve_mark=mark))
        if marked:
            st.rerun()


def name_of(engine: EditEngine, painting: Painting, rule: Rule) -> str:
    """Names the curve of a painting by its content; the rule counts where cells are edited."""
    edited = (painting.indices != engine.base.grid[0].numpy()).any()
    content = hashlib.sha256(painting.indices.tobytes() + painting.painted.tobytes())
    return f"{JOB}-{engine.content}-{content.hexdigest()[:16]}-{rule if edited else 'unedited'}"


@st.fragment
@guarded
def show(engine: EditEngine) -> None:
    """Quality at every blend, for what the editor holds and for the sample photos."""
    session = store.read()
    drawn, model = session.inputs.curve, engine.model
    measures = {"psnr": "PSNR", "ssim": "SSIM"}
    with st.container(horizontal=True, vertical_alignment="center"):
        st.html("<h2 class='code'>Quality at every blend</h2>")
        measure = st.segmented_control(
            "Measure",
            list(measures),
            format_func=measures.__getitem__,
            label_visibility="collapsed",
            **widgets.bound("curve-measure", drawn, lambda chosen: store.read().on("inputs", curve=chosen or drawn)),
        )
        band = sample_band.choose(model)
    saved, level, rule = session.edit.saved_edit_of(engine.content), session.weight_for(model.inputs), session.edit.rule
    painting = saved.painting if saved else unpainted(engine.base)
    edit = painting.edit(level=level, rule=rule)
    quality = quality_of(engine, edit)
    if remarks := " ".join(filter(None, (STARTS[engine.start.kind], own_blends(engine, painting, edit)))):
        st.caption(remarks)
    if quality.ssim is None and measure == "ssim":
        st.caption("The picture is too small for SSIM, so this is PSNR.")
        measure = "psnr"
    place = st.container()
    curve = measured(engine, painting, rule)
    shown = charts.blend_curve(
        curve, band, now=level, quality=quality, before=before(engine), measure=measure or "psnr"
    )
    with place:
        if band is not None and band.unreadable_in_words:
            st.caption(widgets.plain(f"Not in the band: {band.unreadable_in_words}"))
        exports.chart(
            shown,
            key="blend-curve",
            label="Quality at every blend",
            of=(engine.saved_as,),
            rows=lambda: charts.blend_rows(curve, band),
            config=exports.STILL,
        )


def quality_of(engine: EditEngine, edit: Edit) -> Quality:
    """How close an edit comes to the picture: of the pixels that the editor shows where it shows this one."""
    height, width = engine.picture.pixels.shape[:2]
    if (seen := engine.seen) is not None and seen.exact and _same(seen.edit, edit):
        return compare(engine.picture.pixels, seen.pixels)
    fed = inputs_of(engine.model.tokenizer, engine.base, edit)
    return compare(engine.picture.pixels, blending.decoded(engine.model.tokenizer, fed)[:height, :width])


def _same(one: Edit, other: Edit) -> bool:
    same = (one.indices == other.indices).all() and (one.weight == other.weight).all()
    return bool(same) and one.rule == other.rule


def own_blends(engine: EditEngine, painting: Painting, edit: Edit) -> str:
    """What of the grid is not as the encoder left it, and which blends do not vary."""
    edited, painted = int(edited_cells(engine.base, edit).sum()), int(painting.has_own_blend.sum())
    cells = engine.base.grid[0].numel()
    parts = []
    if edited:
        parts.append(f"{edited:,} of {counted(cells, 'cell')} {'is' if edited == 1 else 'are'} edited.")
    if painted:
        own = counted(painted, "cell keeps its", "cells keep their")
        parts.append(f"{own} painted blend; that of all others varies along the curve.")
    return " ".join(parts)


def measured(engine: EditEngine, painting: Painting, rule: Rule) -> Curve | None:
    """The curve where there is one; else it is made beside the page, and the strokes go before."""
    key, made = name_of(engine, painting, rule), jobs.shelf(JOB)
    jobs.forget_others(key, prefix=f"{JOB}-")
    if jobs.find(key) is None and made.find(key) is None:
        tokenizer, base, original = engine.model.tokenizer, engine.base, engine.picture.pixels
        started = jobs.start(
            key,
            lambda progress: blending.curve(tokenizer, base, original, painting=painting, rule=rule, progress=progress),
        )
        started.wait(0.05)
    job = jobs.find(key)
    state = job.state if job else "done"  # first: what was made is there by the time that it has ended
    if job is not None and job.result is not None:
        made.put(key, job.result)
    found: Curve | None = made.find(key)
    if found is not None:
        store.keep(store.read().on("inputs", curve_drawn=key))
    elif job is not None and state == "running":
        jobs.follow(job, "Decoding at every blend", key=key)
    elif job is not None:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption(widgets.plain(job.message or "The curve was stopped."))
            st.button("Draw it", on_click=jobs.forget, args=(key,))
    return found


def before(engine: EditEngine) -> Curve | None:
    """The newest whole curve of this grid, whatever was painted on it then."""
    drawn = store.read().inputs.curve_drawn
    of_this_grid = drawn.startswith(f"{JOB}-{engine.content}-")
    return jobs.shelf(JOB).find(drawn) if of_this_grid else None
