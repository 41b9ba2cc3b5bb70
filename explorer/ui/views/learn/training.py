"""The chapter "Training, seen": what a training is made of, and a small one to start, watch, compare and keep."""

from __future__ import annotations

import html
from dataclasses import replace
from functools import cache as once
from pathlib import Path
from typing import Any

import streamlit as st

from explorer.images.samples import SAMPLES
from explorer.learn import lab_charts
from explorer.learn.comparing import compared, figures
from explorer.learn.fixed_map import SETTLED, FixedMap
from explorer.learn.keeping import as_zip, check_name, keep
from explorer.learn.lab import (
    BASE,
    HELD_OUT,
    MODEL,
    MOST_COMMITMENT,
    PRESETS,
    STEPS,
    LabSettings,
    held_out_picture,
    preset_of,
)
from explorer.learn.lab_run import USUAL_PACE, Course, Run, Training
from explorer.learn.steps import Source
from explorer.learn.training_steps import PARTS, lines_of
from explorer.training.curves import COLOURS
from explorer.ui import cache, exports, jobs, store, widgets
from explorer.ui.components.film import Lane
from explorer.ui.page import guarded
from explorer.ui.session import Session
from explorer.ui.views.training import board
from vqvae.errors import BadInput
from vqvae.images import to_pixels
from vqvae.model import VQVAE
from vqvae.words import counted

_STYLE = Path(__file__).parent / "training.css"
_JOB = "training"
_LOOK_EVERY = 0.5  # seconds
_NAMES = lab_charts.NAMES


@st.fragment
@guarded
def show() -> None:
    """The whole chapter; it is the same whatever model is open."""
    st.html(_STYLE)
    board.style()
    st.html("<h2 class='walk'>Training, seen <span>what it is made of, and a small one to watch</span></h2>")
    _show_parts()
    st.html("<h3 class='lab'>Train one yourself</h3>")
    trainings = store.live().trainings
    form, stage = st.container(key="stack_lab").columns([1, 2.9], gap="large")
    with form:
        _show_form(trainings)
    with stage:
        if not trainings:
            _show_promise(store.read().learn.lab)
            return
        running = trainings[-1].job.state == "running"
        with st.container(key="lab_board"):
            st.fragment(_show_board, run_every=_LOOK_EVERY if running else None)(trainings, running)
        if not running:
            _show_keeping(trainings)


# --- the explained parts ----------------------------------------------------------------------------------------------


def _show_parts() -> None:
    """Each part with its equation and its lines of the trainer."""
    for part, tab in zip(PARTS, st.tabs([part.title for part in PARTS]), strict=True):
        with tab:
            told, lines = st.container(key=f"stack_{part.name}").columns([1, 1.25], gap="large")
            with told:
                st.html(f"<p class='lab-part'>{html.escape(part.text)}</p>")
                st.latex(part.equation)
            with lines:
                for snippet in part.snippets:
                    _show_lines(lines_of(snippet))


def _show_lines(shown: Source | None) -> None:
    """Some of the trainer's own lines, and where they stand."""
    if shown is None:
        st.caption("The lines that do this cannot be shown: they do not stand in a file of Python.")
        return
    lines = f"line {shown.first}" if shown.first == shown.last else f"lines {shown.first}–{shown.last}"
    st.html(f"<p class='lab-source'><b>{html.escape(shown.name)}</b> {html.escape(shown.file)}, {lines}</p>")
    st.code(shown.text, language="python", wrap_lines=True)


# --- the switches -----------------------------------------------------------------------------------------------------


def _show_form(trainings: list[Training]) -> None:
    """What the next training is set to, and what starts it."""
    settings = store.read().learn.lab
    running = bool(trainings) and trainings[-1].job.state == "running"
    preset = preset_of(settings)
    st.segmented_control(
        "Preset",
        [preset.name for preset in PRESETS],
        format_func=lambda name: next(preset.title for preset in PRESETS if preset.name == name),
        disabled=running,
        **widgets.bound("lab-preset", preset.name if preset else None, _with_preset),
    )
    st.html(f"<p class='lab-promise'>{html.escape(preset.promise if preset else 'Switches of your own.')}</p>")
    for name, label, meaning in (
        (
            "restarts",
            "Restarts of hardly used codes",
            f"Every {BASE.restart_every} steps, codes that hardly any cell takes are put onto embeddings.",
        ),
        ("kmeans", "K-means start", "The codebook starts as the centres of embeddings; else as random numbers."),
        (
            "dropout",
            "Embedding dropout",
            "Half of each batch is drawn from the codes alone; else all of it gets the whole embedding.",
        ),
    ):
        st.toggle(label, help=meaning, disabled=running, **_setting(name))
    st.number_input(
        "Commitment weight β",
        0.0,
        MOST_COMMITMENT,
        step=0.01,
        format="%.2f",
        help="How strongly embeddings are pulled towards the codes that they took.",
        disabled=running,
        **_setting("commitment"),
    )
    st.selectbox(
        "Steps",
        STEPS,
        format_func=lambda steps: f"{steps:,}",
        help="More steps, more learned. The learning rate falls to zero towards the last of them.",
        disabled=running,
        **_setting("steps"),
    )
    st.number_input(
        "Seed",
        0,
        9999,
        help="Of all random numbers of a training. The same seed and switches on the same machine: the same training.",
        disabled=running,
        **_setting("seed"),
    )
    st.caption(f"{_expected(settings.steps).capitalize()}.")
    _show_starts(trainings, running)


def _show_starts(trainings: list[Training], running: bool) -> None:
    """The buttons that start a training, by what there is already."""
    shown = len(_with_something(trainings))
    with st.container(horizontal=True):
        if not (running or shown):
            st.button("Start", type="primary", on_click=_start, args=(0,), key="lab-start")
            return
        beside = "Start B again" if len(trainings) == 2 else "Start as B, beside A"
        st.button(beside, type="primary", disabled=running, on_click=_start, args=(1,), key="lab-start-b")
        if shown == 2:
            st.button("Make B the new A", disabled=running, on_click=_promote, key="lab-promote")
        st.button(
            "Start over",
            disabled=running,
            on_click=_start,
            args=(0,),
            key="lab-start",
            help="Start a new A and forget what is shown.",
        )


def _setting(name: str) -> dict[str, Any]:
    """Bind a widget to a setting of the next training."""
    return widgets.bound(
        f"lab-{name}",
        getattr(store.read().learn.lab, name),
        lambda value: _with_settings(replace(store.read().learn.lab, **{name: value})),
    )


def _with_preset(name: str | None) -> Session:
    """The switches of a preset; the steps and the seed stay as they are."""
    now = store.read().learn.lab
    chosen = next((preset.settings for preset in PRESETS if preset.name == name), now)
    return _with_settings(replace(chosen, steps=now.steps, seed=now.seed))


def _with_settings(settings: LabSettings) -> Session:
    return store.read().on("learn", lab=settings)


def _start(place: int) -> None:
    """Start a training as A (0) or B (1); what stood there, or after it, is forgotten."""
    trainings = store.live().trainings
    run = Run(store.read().learn.lab)
    trainings[:] = [*_with_something(trainings)[:place], Training(run, jobs.start(_JOB, run.work))]


def _promote() -> None:
    """Let B be the run that the next one is compared with."""
    del store.live().trainings[0]


def _with_something(trainings: list[Training]) -> list[Training]:
    """Those that have come to anything: one that was stopped while it waited has not."""
    return [training for training in trainings if training.run.seen().snapshots]


# --- what is seen -----------------------------------------------------------------------------------------------------


def _show_promise(settings: LabSettings) -> None:
    """Before the first training: what will happen, and how long it takes."""
    title = next(sample.title for sample in SAMPLES if sample.name == HELD_OUT)
    st.info(
        f"Nothing has been trained yet. A small model with {_parameters():,} weights and {MODEL.codes} codes will "
        f"learn from crops of {BASE.crop} × {BASE.crop} pixels of {len(SAMPLES) - 1} sample photos, beside this page "
        f"and on one core; the twelfth, “{title}”, is held out to measure it on. {settings.steps:,} steps take "
        f"{_expected(settings.steps)}. You will see "
        "its loss, how well it draws with the embedding and without, how many codes it uses, and how they move. Stop "
        "it whenever you like: what it learned by then stays. Where others train on this server at the same time you "
        "may have to wait for a core."
    )


@guarded
def _show_board(trainings: list[Training], running: bool) -> None:
    """How the trainings stand; drawn again twice a second while one runs."""
    newest = trainings[-1]
    if running and newest.job.state != "running":
        st.rerun()
    with st.container(key="lab_status"):
        _show_status(newest, _NAMES[len(trainings) - 1] if len(trainings) > 1 else "")
    courses = [training.run.seen() for training in trainings]
    if not courses[0].snapshots:
        return
    with st.container():  # always one element: what follows keeps its place, and is not drawn anew
        if len(courses) == 2:
            exports.table(
                lambda: _rows(courses),
                key="lab-figures",
                label="Runs A and B",
                of=("small training",),
                markup=_table(courses),
            )
            st.html(f"<p class='lab-compared'>{html.escape(compared(*courses))}</p>")
            widgets.legend(list(zip([f"Run {name}" for name in _NAMES], COLOURS, strict=True)))
        else:
            widgets.figure_row(figures(courses[0]))
    _show_course([course for course in courses if course.snapshots], running)


def _show_status(training: Training, name: str) -> None:
    run, job = training.run, training.job
    who = f"Run {name}: " if name else ""
    if job.state == "running":
        left = run.seconds_left()
        step = f"step {job.done:,} of {job.total:,}" + (f", {_about(left)} left" if left is not None else "")
        said = "stopping" if job.stopping else job.stage or step
        with st.container(horizontal=True, vertical_alignment="center"):
            st.progress(job.fraction, f"{who}{said}" if who else said.capitalize())
            st.button("Stop", key="lab-stop", on_click=job.stop, disabled=job.stopping)
        return
    if job.state == "failed":
        widgets.refuse(job.message)
        return
    done = run.seen().step
    said = who + (
        f"{counted(done, 'step was', 'steps were')} done when it was stopped."
        if job.state == "cancelled"
        else f"{counted(done, 'step')}, done."
    )
    st.html(f"<p class='lab-done'>{html.escape(said)}</p>")


def _show_course(courses: list[Course], running: bool) -> None:
    """The curves, and the codes on their map and the held-out picture: the newest while it runs, then all there was to
    scrub through.

    See `FixedMap.of_run` for the map.
    """
    lanes = []
    now = courses[-1].snapshots[-1].step
    for number, course in enumerate(courses):
        live = running and number == len(store.live().trainings) - 1
        shots = [lab_charts.newest(course.snapshots, now)] if running else course.snapshots
        plane = FixedMap.of_run(course.snapshots, ended=not live)
        lanes.append(Lane(_NAMES[number] if len(courses) == 2 else "", COLOURS[number], shots, plane))
    when = f"step {SETTLED} (before that, of now)" if running else "the end"
    shares = " and ".join(f"{lane.plane.share:.0%}" for lane in lanes if lane.plane)
    caption = (
        f"Each dot is a code; its size grows with the share of cells that take it, and one that hardly any takes is "
        f"hollow. In grey, the cells of the held-out picture. The map is the plane in which codes and cells of "
        f"{when} vary most; it holds {shares} of their spread."
        + (" Each run has a map of its own: their spaces cannot be compared place by place." if len(lanes) == 2 else "")
    )
    shown = board.Film(
        lanes,
        _original(),
        title="Held-out picture",
        heading="Codebook and held-out picture",
        aside="the map stays, the codes move",
        caption=caption,
    )
    board.show(lab_charts.charts(courses), shown, key="lab", of=("small training",))


def _rows(courses: list[Course]) -> list[dict[str, str]]:
    return [
        {"run": name} | {one.label: one.value for one in figures(course)}
        for name, course in zip(_NAMES, courses, strict=True)
    ]


def _table(courses: list[Course]) -> str:
    """The figures of two trainings under one another."""
    columns = list(zip(*map(figures, courses), strict=True))
    heads = "".join(
        f"<th scope='col' tabindex='0' data-tip='{html.escape(a.meaning)}'>{html.escape(a.label)}</th>"
        for a, _ in columns
    )
    rows = "".join(
        f"<tr><th scope='row'><i style='background:{COLOURS[number]}'></i>{_NAMES[number]}</th>"
        + "".join(f"<td>{html.escape(pair[number].value)}</td>" for pair in columns)
        + "</tr>"
        for number in range(2)
    )
    return f"<table class='lab-figures'><thead><tr><td></td>{heads}</tr></thead><tbody>{rows}</tbody></table>"


# --- keeping it -------------------------------------------------------------------------------------------------------


def _show_keeping(trainings: list[Training]) -> None:
    """Save what was learned as a checkpoint, or download it."""
    courses = {_NAMES[number]: training.run.seen() for number, training in enumerate(trainings)}
    courses = {name: course for name, course in courses.items() if course.weights is not None}
    if not courses:
        return
    board.label("Keep it as a checkpoint")
    with st.container(horizontal=True, vertical_alignment="bottom", key="lab_keep"):
        which = next(iter(courses))
        if len(courses) > 1:
            which = st.segmented_control("Run", list(courses), default=list(courses)[-1], key="lab-which") or which
        name = st.text_input("Name", "mine", key="lab-name", width=220).strip()
        pressed = st.button("Keep", key="lab-keep", help="Save it into the folder of checkpoints, for every page.")
        try:
            check_name(name)
            refusal = ""
        except BadInput as fault:
            refusal = str(fault)
        st.download_button(
            "Download as zip",
            b"" if refusal else as_zip(courses[which], name),
            f"{name}.zip",
            "application/zip",
            disabled=bool(refusal),
            on_click="ignore",
            key="lab-zip",
        )
    if pressed and not refusal:
        refusal = _keep(courses[which], name)
    if refusal:
        widgets.refuse(refusal)
    elif kept := store.live().kept:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.success(f"Kept as {widgets.plain(kept)}: it stands among the checkpoints.", icon=":material/check:")
            if st.button("Open it", key="lab-open"):
                store.write(store.read().with_checkpoint(kept))
                st.rerun()


def _keep(course: Course, name: str) -> str:
    """Keep a training's result and draw the page again with it in the picker; else why it could not be kept."""
    refusal = ""
    for root in cache.homes():
        try:
            keep(course, root, name, beside=cache.roots())
        except BadInput as fault:
            return str(fault)
        except OSError as fault:  # the next may take it; if none does, the first was meant
            reason = fault.strerror or type(fault).__name__
            refusal = refusal or f"{root} cannot be written to ({reason}); download the zip instead."
        else:
            store.live().kept = name
            st.rerun()
    return refusal


# --- figures of the lab itself ----------------------------------------------------------------------------------------


@once
def _original() -> Any:
    """The held-out picture, uint8 [H, W, 3]."""
    return to_pixels(held_out_picture())[0]


@once
def _parameters() -> int:
    """Weights of encoder, codebook and decoder of the small model."""
    return sum(tensor.numel() for tensor in VQVAE(MODEL).state_dict().values())


def _expected(steps: int) -> str:
    """How long so many steps will take, by what is known of this machine."""
    if Run.latest_pace is None:
        return f"{_about(steps * USUAL_PACE)} on a core that is free"
    return f"{_about(steps * Run.latest_pace)} at the pace of the last training here"


def _about(seconds: float) -> str:
    """A time in words, as exactly as it is known."""
    if seconds < 10:
        return "a few seconds"
    if seconds < 100:
        return f"about {round(seconds, -1):.0f} seconds"
    return f"about {seconds / 60:.0f} minutes"
