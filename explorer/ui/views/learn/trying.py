"""Things to try on the open model and picture: the codes to pick from, and each task with how it stands."""

import numpy as np
import streamlit as st

from explorer.base.open_model import OpenModel
from explorer.codebook.tiles import mean_colours
from explorer.editing.edits import RULES
from explorer.images.reconstruction import EncodedPicture, render
from explorer.learn.tasks import (
    TASKS,
    Check,
    Ground,
    check_half,
    check_ignored,
    check_margin,
    check_rare,
    check_sky,
    edit_effect,
    why_not,
)
from explorer.ui import cache, store, widgets
from explorer.ui.components import tiles
from explorer.ui.session import Session
from explorer.ui.views.learn import lesson
from explorer.ui.views.learn.opened import Lesson
from vqvae.words import counted


def show(opened: Lesson) -> None:
    """The tasks that can be done here, each with how it stands; what was done once stays done."""
    model = opened.model
    heading = st.container()
    left, right = st.container(key="walk_try").columns(2, gap="large")
    counts, sample = usage(model, opened.encoded)
    codes = on_the_wall(counts)
    with left:
        session = pick_code(model, counts, sample, codes)
        choose_rule(model, session)
    ground = ground_of(opened, counts, codes)
    reasons = {task.name: why_not(task.name, ground) for task in TASKS}
    offered = [task for task in TASKS if reasons[task.name] is None]
    checks = check_tasks(opened, session, counts, sample, ground)
    news = [task for task in offered if checks[task.name].done and task.name not in session.learn.tried]
    if news:
        session = store.write(session.with_tried(*(task.name for task in news)))
    for task in news:
        st.toast(f"Done: {task.title}", icon=":material/check_circle:")
    with right:
        lesson.tasks([(task, checks[task.name], task.name in session.learn.tried) for task in offered])
        lesson.list_not_offered([(task, reason) for task in TASKS if (reason := reasons[task.name])])
    number = sum(task.name in session.learn.tried for task in offered)
    with heading:
        lesson.chapter("Try this", f"{number} of {len(offered)} done · the address of this page keeps it")


def usage(model: OpenModel, encoded: EncodedPicture) -> tuple[np.ndarray, str]:
    """How often each code is used, [K], and by what: by the training photos where that is known."""
    training = cache.training_usage(model)
    if training is not None:
        return training.counts, f"the {training.images:,} training photos"
    return np.bincount(encoded.indices.ravel(), minlength=model.codes), "this picture"


def on_the_wall(counts: np.ndarray) -> np.ndarray:
    """The codes, the most used first; of a very large codebook both ends of it."""
    order = np.argsort(-counts, kind="stable")
    if len(order) > tiles.MOST_TILES:
        order = np.concatenate([order[: tiles.MOST_TILES // 2], order[-tiles.MOST_TILES // 2 :]])
    return order


def ground_of(opened: Lesson, counts: np.ndarray, codes: np.ndarray) -> Ground:
    """What the tasks can be done with."""
    model, picture = opened.model, opened.picture
    colours = mean_colours(cache.tiles_of(model, codes))
    return Ground(
        inputs=model.inputs,
        codes=codes,
        colours=colours,
        counts=counts,
        gaps=cache.all_gaps(model, picture),
        half=cache.half_way(model, picture),
        ignored=cache.ignored_edit(model, picture, codes, colours),
    )


def pick_code(model: OpenModel, counts: np.ndarray, sample: str, codes: np.ndarray) -> Session:
    """The wall of codes."""
    session = store.read()
    st.html(f"<p class='label'>Codes <span>· the most used by {sample} first</span></p>")
    picked = tiles.show(
        cache.tiles_of(model, codes),
        ids=codes.tolist(),
        key="learn-wall",
        label="All codes",
        titles=[f"Code {code} · {counted(counts[code], 'cell')}" for code in codes],
        selected=session.codebook.code,
        side=22,
        height=240,
        of=(model.name,),
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


def check_tasks(opened: Lesson, session: Session, counts: np.ndarray, sample: str, ground: Ground) -> dict[str, Check]:
    """How each task stands, by its name."""
    model, walk, code = opened.model, opened.walk, session.codebook.code
    if code is not None and code >= len(counts):
        code = None
    colour = effect = None
    if code is not None:
        colour = mean_colours(cache.tiles_of(model, [code]))[0]
        if ground.ignored:
            rule = session.learn.tried_rule
            encoding = opened.encoded.encoding
            effect = edit_effect(model.tokenizer, encoding, walk.cell, code, rule=rule, weight=walk.weight)
    here = cache.listening(model, opened.picture)
    now = render(model.tokenizer, opened.encoded, opened.picture, weight=walk.weight).quality.psnr
    return {
        "sky": check_sky(code, colour),
        "rare": check_rare(code, counts, sample=sample),
        "margin": check_margin(walk.gap, ground.gaps, chosen=session.cell == walk.cell),
        "half": check_half(now, here, weight=walk.weight),
        "ignore": check_ignored(code, effect),
    }
