"""A run of `python -m vqvae.train`, followed by its log: which one, how it stands, what it draws, what it is set to."""

from __future__ import annotations

import html
import os
import time
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import streamlit as st

from explorer.training import logged
from explorer.training.curves import COLOURS
from explorer.ui import cache, navigation, store, typed_path, widgets
from explorer.ui.components.film import Lane
from explorer.ui.page import guarded
from explorer.ui.session import LONGEST_RUN
from explorer.ui.views.training import board
from vqvae.checkpoint import CheckpointInfo
from vqvae.errors import BadInput
from vqvae.formats import KINDS
from vqvae.snapshots import snapshots_of
from vqvae.training.log import Log
from vqvae.training.settings import TrainingConfig

LOOK_EVERY = 2.0  # seconds
_PATH = "training-path"
_START = """python -m vqvae.train PHOTOS \\
  --out checkpoints/mine \\
  --val HELD_OUT_PHOTOS"""
_MEANINGS = {each.name: each.metadata["meaning"] for each in fields(TrainingConfig) if each.metadata}


@guarded
def show() -> None:
    """The whole page, below its title."""
    board.style()
    runs = cache.runs_with_logs()
    form, place = st.container(key="stack_training").columns([1, 2.9], gap="large")
    with form:
        chosen = _choose(runs)
    if not chosen:
        with place:
            _show_nothing()
            st.fragment(_look_for_one, run_every=LOOK_EVERY)()
        return
    try:
        folder = _place(chosen, runs)
        log = cache.read_log(folder)
    except BadInput as refusal:
        with place:
            widgets.refuse(str(refusal))
            _show_nothing()
        return
    with form:
        _offer(folder)
        _show_settings(log)
        with st.expander("Start a run", icon=":material/terminal:"):
            _show_command()
    with place, st.container(key="training_board"):
        goes_on = logged.state_of(log, now=time.time()) == "running"
        st.fragment(_show_run, run_every=LOOK_EVERY if goes_on else None)(folder, goes_on)


def _choose(runs: list[Path]) -> str:
    """The run to follow: one among the checkpoints, or the path of a folder; empty where there is none."""
    session = store.read()
    named = session.training.run
    names = [run.name for run in runs]
    chosen = named or (names[0] if names else "")
    options = names if not chosen or chosen in names else [chosen, *names]
    if options:
        st.selectbox(
            "Run",
            options,
            format_func=_named,
            help="The checkpoints that have a log; the one that was written to last comes first.",
            **widgets.bound("training-run", chosen, lambda run: store.read().on("training", run=run or "")),
        )
    typed_path.field(
        "Follow a run in another folder",
        what="what was given to --out",
        example="checkpoint",
        key=_PATH,
        on_change=_add,
    )
    if session.training.refusal:
        widgets.refuse(session.training.refusal)
        store.keep(store.read().on("training", refusal=""))
    return chosen


def _place(run: str, runs: Sequence[Path] = ()) -> Path:
    """The folder of a run, by its name among some or by its path; a home that is not there stays as it was typed.

    Raises BadInput for a path that visitors may not name.
    """
    for one in runs:
        if one.name == run:
            return one
    return Path(os.path.expanduser(typed_path.checked(run)))


def _named(run: str) -> str:
    return widgets.shown(run) if len(run) < 40 else f"…{widgets.shown(run)[-38:]}"


def _add() -> None:
    """Follow the run in the folder that was typed; what is wrong with it is said in place."""
    typed = widgets.take_text(_PATH).strip()[:LONGEST_RUN]
    if not typed:
        return
    try:
        folder = _place(typed)
        cache.read_log(folder)
    except BadInput as fault:
        widgets.put_back_text(_PATH, typed)
        store.keep(store.read().on("training", refusal=str(fault)))
        return
    store.write(store.read().with_typed_run(str(folder.absolute())))


def _show_nothing() -> None:
    where = widgets.plain(" or ".join(map(str, cache.roots())))
    st.info(
        f"No run with a log is in {where} yet. `python -m vqvae.train` writes one beside the "
        "checkpoint that it trains: start a run, and its curves and samples are here while it goes on."
    )
    _show_command()


def _look_for_one() -> None:
    """Draw the page again once there is a run."""
    if cache.runs_with_logs():
        st.rerun()


def _show_command() -> None:
    """How to start a run, and what it leaves."""
    st.code(_START, language=None, wrap_lines=True)
    said = (
        f"PHOTOS is {KINDS}. Stop it with Ctrl-C, go on with --resume; --help names every setting. "
        "log.csv, log.jsonl and samples/ lie beside the checkpoint, and TensorBoard's files where that is installed."
    )
    st.caption(widgets.plain(said))


@guarded
def _show_run(folder: Path, went_on: bool) -> None:
    """How the run stands; drawn again every few seconds while it goes on."""
    log = cache.read_log(folder)
    now = time.time()
    if went_on and logged.state_of(log, now=now) != "running":
        st.rerun()
    with st.container():  # always one element each: what follows keeps its place, and is not drawn anew
        stands = logged.verdict(log, now=now)
        widgets.verdict(stands.grade, stands.sentence)
        for told in (logged.codes_in_use(log), logged.bypass(log)):
            if told:
                widgets.verdict(told.grade, told.sentence)
    widgets.figure_row(logged.figures(log))
    validated = log.last("val_psnr_off") is not None
    with st.container():
        if validated:
            widgets.legend([("Training", logged.TRAINING), ("Validation photos", logged.VALIDATION)])
        elif not log.rows:
            st.caption("The first figures are there after a few steps.")
        else:
            said = "PSNR is of crops in training; with --val PATH photos that it never learns from are measured."
            st.caption(widgets.plain(said))
    board.show(logged.charts(log), _film(log), columns=3, key="training", of=(folder.name,))


def _film(log: Log) -> board.Film | None:
    """The samples, to scrub through; None before there are some."""
    frames = logged.alike(cache.read_samples(step, path) for step, path in logged.chosen_sheets(log.sheets))
    if not frames:
        return None
    held_out = log.start.get("samples") == "validation"
    return board.Film(
        [Lane("", COLOURS[0], frames)],
        frames[-1].original,
        title="Originals",
        heading="Samples",
        aside="of validation photos, never learned from" if held_out else "of photos that it learns from",
        caption="PSNR is of these pictures, drawn by the moving average of the weights, which is what is saved.",
    )


def _offer(folder: Path) -> None:
    """Open what the run has come to, where it is among the checkpoints that can be opened; and its snapshots."""
    session, name = store.read(), folder.name
    sound = [entry.folder for entry in cache.find_checkpoints() if isinstance(entry, CheckpointInfo)]
    if folder in sound and session.checkpoint != name:
        st.button(
            "Open its model",
            icon=":material/open_in_new:",
            help="On all pages, as it was last saved.",
            key="training-open",
            on_click=_open,
            args=(name,),
        )
    if snapshots_of(folder) and st.button(
        "See its snapshots",
        icon=":material/burst_mode:",
        help="What it drew at each step, and which codes it took, on Compare.",
        key="training-snapshots",
    ):
        run = name if folder.parent in cache.roots() else str(folder)
        store.write(store.read().on("training", run=run).on("compare", view="snapshots"))
        navigation.go("compare")


def _open(name: str) -> None:
    store.write(store.read().with_checkpoint(name))


def _show_settings(log: Log) -> None:
    """What it is trained with; the meaning of each is a hover away."""
    rows = logged.settings_table(log)
    if not rows:
        return
    with st.expander("Settings", icon=":material/tune:"):
        entries = "".join(
            f'<div title="{html.escape(_MEANINGS.get(name, ""))}"><dt>{widgets.escaped(name.replace("_", " "))}</dt>'
            f"<dd>{widgets.escaped(value)}</dd></div>"
            for name, value in rows
        )
        scrolled = 'class="training-settings" tabindex="0" role="group" aria-label="Settings of the run"'
        st.html(f'<div {scrolled}><dl class="facts">{entries}</dl></div>')
