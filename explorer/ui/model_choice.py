"""Which model is open: the picker in the sidebar, what is known of the model, and what cannot be opened and why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from explorer.base.open_model import OpenModel, with_grid
from explorer.ui import cache, doctor_panel, plugin, store, typed_path, widgets
from explorer.ui.session import Session
from vqvae.checkpoint import BrokenCheckpoint, CheckpointInfo
from vqvae.errors import BadInput
from vqvae.families import TITLES
from vqvae.places import is_bare, is_snapshot
from vqvae.tokenizer import METRICS
from vqvae.words import counted

DEFAULT = "photos"  # opened where there is no such model as the link says


@dataclass(frozen=True)
class Choice:
    """A model that can be opened."""

    name: str
    open: Callable[[], OpenModel]
    folder: Path | None = None  # of a checkpoint


def choose_model(session: Session) -> OpenModel | None:
    """Draw the picker and what it says of the model; the model, or None where none can be opened."""
    choices, broken = found()
    if session.checkpoint not in [choice.name for choice in choices] and (one := snapshot(session.checkpoint)):
        choices.append(one)
    opened = None
    if choices:
        session = store.settle(_pick(session, [choice.name for choice in choices], [entry.name for entry in broken]))
        opened, failed = _open(session, choices)
        broken = failed + broken
        if opened:
            if failed:  # the one that was chosen was tried first
                st.caption(f"Shown in its place: {widgets.plain(opened.name)}")
            _describe(opened)
    list_broken(broken)
    return opened


def found() -> tuple[list[Choice], list[BrokenCheckpoint]]:
    """What can be opened, and what looks as if it could and cannot."""
    entries = cache.find_checkpoints()
    sound = [Choice(entry.name, _opener(entry), entry.folder) for entry in entries if isinstance(entry, CheckpointInfo)]
    return _plugin() + sound, [entry for entry in entries if isinstance(entry, BrokenCheckpoint)]


def snapshot(name: str) -> Choice | None:
    """What opens a run's snapshot, RUN@STEP, or the run itself in a folder that this visitor typed; else None.

    Whether there is one is seen then. The name may be a link's, so a path is only what was typed in this session.
    """
    typed = store.read().training.typed
    run = name.rpartition("@")[0] if is_snapshot(name) else ""
    by_path = name in typed or run in typed
    if not by_path and not is_bare(run):
        return None
    return Choice(name, lambda: cache.open_model(cache.find_named(name, by_path=by_path)))


def no_paths() -> str:
    """What is said of a link that names a folder by its path."""
    return "A link opens no folder by its path" + (
        "; type the path on Compare, under Snapshots." if typed_path.may_be() else "."
    )


def _plugin() -> list[Choice]:
    """Code of one's own, where the command line or the environment names some."""
    name = plugin.name()
    return [] if name is None else [Choice(name, cache.open_plugin)]


def _opener(entry: CheckpointInfo) -> Callable[[], OpenModel]:
    return lambda: cache.open_model(entry.folder)


def _pick(session: Session, names: list[str], broken: list[str]) -> Session:
    if session.checkpoint not in names:
        name = widgets.plain(session.checkpoint[:60])
        if session.checkpoint in broken:
            st.warning(f"The checkpoint {name} cannot be opened; another is shown.")
        elif store.is_linked("checkpoint"):  # whose own folder lacks our default has not asked for it
            st.warning(f"There is no checkpoint named {name} here.")
        linked = session.learn.linked_cell  # the link's cell is meant all the same
        session = session.with_checkpoint(DEFAULT if DEFAULT in names else names[0]).on("learn", linked_cell=linked)
    st.selectbox(
        "Model" if plugin.name() else "Checkpoint",
        names,
        **widgets.bound("checkpoint-choice", session.checkpoint, lambda name: store.read().with_checkpoint(name)),
    )
    return session


def _open(session: Session, choices: list[Choice]) -> tuple[OpenModel | None, list[BrokenCheckpoint]]:
    """The chosen model, or when it turns out bad the next one that opens; and those that did not."""
    failed: list[BrokenCheckpoint] = []
    for choice in sorted(choices, key=lambda choice: choice.name != session.checkpoint):
        try:
            return with_grid(choice.open()), failed
        except (BadInput, OSError) as fault:
            folder = choice.folder or cache.ROOT / choice.name
            failed.append(BrokenCheckpoint(choice.name, folder, str(fault)))
    return None, failed


def _describe(model: OpenModel) -> None:
    if model.summary:
        st.caption(widgets.plain(model.summary))
    spec, grid = model.spec, model.spec.grid
    facts = [
        ("Family", TITLES.get(spec.family, spec.family), "Whose architecture this is."),
        ("f", str(model.stride), "Stride: each cell of the latent grid stands for f × f pixels."),
        ("K", f"{model.codes:,}", "Codes in the codebook."),
        ("D", str(grid.dim), "Numbers in each code, and in the embedding of each cell."),
        ("Metric", grid.metric.capitalize(), f"Which code a cell takes: {METRICS[grid.metric]}."),
    ]
    if model.parameters:
        count = f"{model.parameters / 1e6:.1f} M" if model.parameters >= 1_000_000 else f"{model.parameters:,}"
        facts.append(("Parameters", count, "Weights of encoder, codebook and decoder together."))
    two = "Two: the quantized vectors and the continuous embedding. One: the classic VQ-VAE."
    reach = (
        "A cell can change the whole picture: the decoder normalises over it, or attends to all of it."
        if spec.reach is None
        else "How many cells further, on each side, a changed cell can change the picture."
    )
    facts.append(("Decoder inputs", str(model.inputs), two))
    facts.append(
        (
            "Reach",
            "whole picture" if spec.reach is None else counted(spec.reach, "cell"),
            reach,
        )
    )
    if model.device != "cpu":
        facts.append(("Device", model.device.upper(), "Where the model computes."))
    widgets.facts(facts)
    if st.button("Examine", icon=":material/stethoscope:", type="tertiary", help=doctor_panel.WHAT, key="examine"):
        doctor_panel.show_model(model)


def list_broken(broken: list[BrokenCheckpoint]) -> None:
    """What cannot be opened, in one line that unfolds; a folder can be examined for all that is wrong with it."""
    if not broken:
        return
    what = f"**{widgets.plain(broken[0].name)}**" if len(broken) == 1 else counted(len(broken), "model")
    with st.expander(f"{what} cannot be opened", icon=":material/warning:"):
        for number, entry in enumerate(broken):
            st.caption(f"**{widgets.plain(entry.name)}**  \n{widgets.plain(entry.reason)}")
            if entry.command:
                st.code(widgets.shown(entry.command), language="sh", wrap_lines=True)
            if entry.folder.is_dir() and st.button(
                "Examine",
                icon=":material/stethoscope:",
                type="tertiary",
                help=doctor_panel.WHAT,
                key=f"examine-{number}",
            ):
                doctor_panel.show_folder(entry)
