"""The snapshots of one run: what it drew and which codes it took at each step, to scrub through."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from explorer.compare import sequence
from explorer.compare.sequence import Asked, Change, Member, Moment, Run, Way
from explorer.images.pictures import Picture
from explorer.images.reading import unreadable_in_words
from explorer.images.sets import ImageSet
from explorer.training.curves import COLOURS, Chart, Line, rows_of
from explorer.ui import cache, exports, jobs, picture_choice, store, typed_path, widgets
from explorer.ui.components import curves, film
from explorer.ui.components.film import Grid, Lane
from explorer.ui.model_choice import no_paths
from explorer.ui.page import guarded
from explorer.ui.picture_choice import picture_titles
from explorer.ui.session import LONGEST_RUN
from explorer.ui.views.compare.columns import with_model
from explorer.ui.views.compare.images import choose_images
from vqvae.errors import BadInput
from vqvae.places import is_bare
from vqvae.words import counted

JOB, FILM = "snapshots", "snapshots-film"
LOOK_EVERY = 1.5  # seconds
_PATH = "snapshots-path"
WHAT = (
    "Snapshots are whole checkpoints that a training keeps on its way, so that you can see what it drew, and which "
    "codes it took, at each step."
)
COMMAND = """python -m vqvae.train PHOTOS \\
  --out checkpoints/mine \\
  --keep-every 500"""


@dataclass(frozen=True, eq=False)
class Shot:
    """A moment as a frame of the film."""

    step: int
    off: np.ndarray
    on: np.ndarray | None
    psnr_off: float | None
    psnr_on: float | None


@guarded
def show(picture: Picture, row: DeltaGenerator) -> None:
    """Choose a run, then its way from the first snapshot to the last; what figures are of is asked for in the row."""
    runs, named = cache.runs_with_snapshots(), store.read().training.run
    run, missing = _find(runs, named)
    if run is None:
        if missing:
            widgets.warn(missing)
        _show_nothing()
        return
    images = choose_images(row)
    _choose(run, runs)
    _say_refusal()
    if missing:
        widgets.warn(f"{missing} Shown in its place: {run.name}.")
    if images is None:
        return
    session = store.read()
    alone = images.source == "picture"
    asked = Asked(
        picture,
        round(session.blend, 4) or 1.0,
        None if alone else images,
        min(sequence.MOST_IMAGES, session.compare.measured_most),
        session.working_size,
    )
    members = sequence.shown_of(run, picture)
    running = _follow(members, asked)
    st.fragment(_show_way, run_every=LOOK_EVERY if running else None)(run, members, asked, images)


# --- which run --------------------------------------------------------------------------------------------------------


def _find(runs: Sequence[str], named: str) -> tuple[Run | None, str]:
    """The run that is named, or else the first one with snapshots; and why it is not the one that is named."""
    missing, typed = "", store.read().training.typed
    for name in dict.fromkeys([*([named] if named else []), *runs]):
        if not is_bare(name) and name not in typed:
            missing = no_paths()
            continue
        try:
            return cache.find_sequence(name, by_path=name in typed), missing
        except BadInput as refusal:
            missing = missing or str(refusal)
    return None, missing


def _choose(run: Run, runs: Sequence[str]) -> None:
    """Another run: one among the checkpoints, or in a folder whose path is typed."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.selectbox(
            "Run",
            runs if run.name in runs else [run.name, *runs],
            format_func=lambda name: widgets.shown(name) if len(name) < 40 else f"…{widgets.shown(name)[-38:]}",
            label_visibility="collapsed",
            width=260,
            **widgets.bound("snapshots-run", run.name, lambda name: store.read().on("training", run=name or "")),
        )
        if typed_path.may_be():
            with st.popover("Another folder", icon=":material/folder_open:"):
                _ask_for_path()


def _ask_for_path() -> None:
    typed_path.field(
        "Snapshots in a folder",
        what="a run's folder, or one whose sub-folders are checkpoints with a number each, such as step-1000, "
        "ckpt_2000 or epoch3",
        example="run",
        width=320,
        key=_PATH,
        on_change=_add,
    )


def _add() -> None:
    """Show the snapshots in the folder that was typed; what is wrong with it is said in place."""
    typed = widgets.take_text(_PATH).strip()[:LONGEST_RUN]
    if not typed:
        return
    try:
        place = typed_path.checked(typed)
        cache.find_sequence(place, by_path=True)
    except BadInput as fault:
        widgets.put_back_text(_PATH, typed)
        store.keep(store.read().on("training", refusal=str(fault)))
        return
    store.write(store.read().with_typed_run(place))


def _say_refusal() -> None:
    if said := store.read().training.refusal:
        widgets.refuse(said)
        store.keep(store.read().on("training", refusal=""))


def _show_nothing() -> None:
    st.info(f"{WHAT} This command makes one every 500 steps:")
    st.code(COMMAND, language=None, wrap_lines=True)
    if typed_path.may_be():
        st.caption(
            "A folder of checkpoints from somewhere else can be opened by its path, too: its sub-folders need a "
            "number each, such as step-1000, ckpt_2000 or epoch3."
        )
        _ask_for_path()
    _say_refusal()


# --- how far it is ----------------------------------------------------------------------------------------------------


def _follow(members: Sequence[Member], asked: Asked) -> bool:
    """Measure what was not yet, beside the page; whether that goes on."""
    kept = cache.moments()
    left = len(sequence.left_of(members, asked, kept))
    if not left:
        return False
    told = repr((asked.key, [(str(member.folder), member.stamp) for member in members]))
    key = f"{JOB}-{hashlib.sha256(told.encode(errors='backslashreplace')).hexdigest()[:16]}"
    jobs.forget_others(key, prefix=f"{JOB}-")
    job = jobs.find(key) or jobs.start(key, lambda progress: sequence.measure_all(members, asked, kept, progress))
    jobs.follow(job, "Opening one snapshot after the other", key=key, unit="snapshots")
    if job.state == "failed":
        widgets.refuse(job.message)
    ended = job.state in ("cancelled", "done")
    if ended and (left := len(sequence.left_of(members, asked, kept))):  # asked again: it may just have ended
        stopped = job.state == "cancelled"
        said = f"{counted(left, 'snapshot is', 'snapshots are')} not opened yet."
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption(f"Stopped: {said}" if stopped else said, width="content")
            what = "Go on" if stopped else "Try again"
            st.button(what, key="snapshots-go-on", on_click=jobs.forget, args=(key,))
    return job.state == "running"


# --- the way ----------------------------------------------------------------------------------------------------------


@guarded
def _show_way(run: Run, members: tuple[Member, ...], asked: Asked, images: ImageSet) -> None:
    """What is known so far: curves, and the film that they follow."""
    way = sequence.way_of(members, asked, cache.moments())
    if not way.moments:
        if way.gaps:
            widgets.refuse(f"None of the snapshots can be shown. {way.gaps[-1][0].name}: {way.gaps[-1][1].reason}")
        return
    drawn, of = charts(way, asked), (Path(run.name).name, picture_choice.named(store.read().picture))
    curves.show(drawn, columns=4, follows=FILM, key="snapshots-curves")
    exports.figure("snapshots-curves", label="Curves of the snapshots", of=of, rows=lambda: rows_of(drawn))
    title = picture_titles().get(store.read().picture, "Original")

    def taken(step: int, column: int) -> None:
        _take(run, step, column)

    film.show(
        [lane_of(way)],
        original=asked.picture.pixels,
        title=title,
        on=f"Blend {asked.weight:.0%}",
        unit=run.unit,
        taken=taken,
        columns=len(store.read().compare.models),
        key=FILM,
    )
    exports.figure(FILM, label="The snapshot that is shown", of=of)
    if widgets.said(FILM).get("taken"):
        st.rerun()  # the columns are in the sidebar; the whole page brings the address in line, too
    st.caption(widgets.plain(_said(run, members, way, asked)))


def _take(run: Run, step: int, column: int) -> None:
    """Put a snapshot into a column, or into the first with the last one beside it; what the browser says is checked."""
    member, session = run.member(step), store.read()
    if member is None or not 0 <= column <= len(session.compare.models):
        return
    if column:
        store.keep(with_model(session, column, member.name))
    else:
        session = with_model(with_model(session, 1, member.name), 2, run.members[-1].name)
        store.keep(session.on("compare", view="pictures"))


def lane_of(way: Way) -> Lane:
    """The moments as frames, with their grids where they have some."""
    shots = [
        Shot(member.step, one.off, one.on, one.picture_off.psnr, one.picture_on.psnr if one.picture_on else None)
        for member, one in way.moments
    ]
    before = [None, *(one for _, one in way.moments)]
    grids = [
        Grid(one.colours, _changed(earlier, one), f"{change.cells:.0%} of cells changed" if change else "")
        for (_, one), earlier, change in zip(way.moments, before, way.changes, strict=False)
        if one.colours is not None
    ]
    stride = way.moments[-1][1].spec.levels[0].stride or 1
    return Lane(
        "", COLOURS[0], shots, grids=grids, stride=stride, gaps=[(member.step, gap.reason) for member, gap in way.gaps]
    )


def _changed(before: Moment | None, after: Moment) -> np.ndarray:
    return np.zeros(after.indices.shape, bool) if before is None else before.indices != after.indices


def charts(way: Way, asked: Asked) -> tuple[Chart, ...]:
    """Quality, how the codes are used, and what changes from one snapshot to the next, over the steps."""
    moments = [one for _, one in way.moments]
    steps = [member.step for member, _ in way.moments]
    last = max(1, *steps, *(member.step for member, _ in way.gaps))
    of = "the images" if asked.images else "the picture"

    def line(name: str, values: Sequence[float | None], *, second: bool = False) -> Line:
        known = [(step, value) for step, value in zip(steps, values, strict=True) if value is not None]
        known = [(step, value) for step, value in known if np.isfinite(value)]
        return Line(name, COLOURS[second], False, [step for step, _ in known], [float(value) for _, value in known])

    def lines(*found: Line) -> tuple[Line, ...]:
        return tuple(one for one in found if one.steps)

    on = [one.on_quality for one in moments]
    changes: list[Change | None] = list(way.changes)
    return (
        Chart(
            "PSNR",
            "dB",
            lines(
                line("codes", [one.off_quality.psnr for one in moments]),
                line("blend", [one.psnr if one else None for one in on], second=True),
            ),
            last,
            meaning=f"Peak signal-to-noise ratio in dB of {of}: from the codes alone, and with the embedding at "
            f"the blend of {asked.weight:.0%}.",
        ),
        Chart(
            "SSIM",
            "",
            lines(
                line("codes", [one.off_quality.ssim for one in moments]),
                line("blend", [one.ssim if one else None for one in on], second=True),
            ),
            last,
            digits=3,
            meaning=f"Structural similarity of {of}, from the codes alone and with the embedding: 1 is the same, 0 "
            "unrelated.",
        ),
        Chart(
            "Codes",
            "",
            lines(
                line("used", [float(one.used) for one in moments]),
                line("perplexity", [one.perplexity for one in moments], second=True),
            ),
            last,
            digits=0,
            meaning=f"Of {moments[-1].codes:,} codes, those that any of the {moments[-1].cells:,} cells of {of} took; "
            "and their perplexity, how many they would be if all were used equally.",
        ),
        Chart(
            "Change",
            "%",
            lines(
                line("cells", [100 * one.cells if one else None for one in changes]),
                line("codes", [100 * one.moved if one else None for one in changes], second=True),
            ),
            last,
            top=100.0 if any(one and one.moved <= 1 for one in changes) else None,
            meaning="Since the snapshot before: the share of the picture's cells that took another code; and how far "
            "the middle one of the codes moved, in percent of how long codes are.",
        ),
    )


def _said(run: Run, members: Sequence[Member], way: Way, asked: Asked) -> str:
    """What the figures are of, and what is left out."""
    images = asked.images
    said = [
        f"Curves are of {images.label}, means over its images; Change, and what stands below, are of the picture."
        if images
        else "Curves are of this picture."
    ]
    if len(members) < len(run.members):
        said.append(f"Shown are {len(members)} of {len(run.members):,} snapshots, evenly over the run.")
    moment = way.moments[-1][1]
    if images and moment.unreadable:
        said.append(unreadable_in_words(moment.unreadable, min(len(images.names), asked.most, sequence.MOST_IMAGES)))
    if way.gaps:
        said.append(f"{counted(len(way.gaps), 'snapshot')} cannot be shown: the slider says why there.")
    said.append("A dot marks a cell whose code is another one than in the snapshot before.")
    return " ".join(said)
