"""What every page opens with: the sidebar, the checkpoint picker and the loaded tokenizer."""

import gc
import html
from pathlib import Path

import streamlit as st

from explorer.base.open_model import OpenModel
from explorer.ui import cache, navigation, store, widgets
from explorer.ui.session import Session
from vqvae.checkpoint import BrokenCheckpoint, CheckpointInfo
from vqvae.errors import BadInput
from vqvae.model import FAMILY
from vqvae.tokenizer import METRICS

FAMILIES = {FAMILY: "VQ-VAE Explorer"}  # what else than its own name a family is called
_STYLE = Path(__file__).parent / "page.css"
_settled: set[str] = set()  # pages whose modules the garbage collector has been told of


def open_page(title: str, subtitle: str) -> OpenModel:
    """Draw what all pages share and load the chosen checkpoint; where there is none, say so and end the page."""
    navigation.ensure()
    st.html(_STYLE)
    session = store.read()
    with st.sidebar:
        found = cache.find_checkpoints()
        sound = [entry for entry in found if isinstance(entry, CheckpointInfo)]
        broken = [entry for entry in found if isinstance(entry, BrokenCheckpoint)]
        if sound:
            session = store.write(_pick(session, sound))
            opened, failed = _open(session, sound)
            broken += failed
            if opened:
                if opened.name != session.checkpoint:
                    st.caption(f"Shown in its place: {widgets.plain(opened.name)}")
                _describe(opened)
        _list_broken(broken)
    st.html(f"<header class='page'><h1>{html.escape(title)}</h1><p>{html.escape(subtitle)}</p></header>")
    if not sound or opened is None:
        st.info(
            f"There is no checkpoint to open. Put a folder with config.json and model.safetensors into "
            f"{widgets.plain(str(cache.ROOT))}, or train one: `python -m vqvae.train DATA --out checkpoints/mine`"
        )
        st.stop()
    _settle(title)
    return opened


def _settle(title: str) -> None:
    """Have the garbage collector pass over what is loaded by the time that a page is first opened.

    Streamlit collects after every run of a page or a fragment; with torch and plotly that is a tenth of a second, most
    of what a stroke in the editor cost. Modules never become garbage.
    """
    if title not in _settled:
        _settled.add(title)
        gc.collect()
        gc.freeze()


def _pick(session: Session, sound: list[CheckpointInfo]) -> Session:
    names = [entry.name for entry in sound]
    if session.checkpoint not in names:
        st.warning(f"There is no checkpoint named {widgets.plain(session.checkpoint[:60])} here.")
        session = session.with_checkpoint("photos" if "photos" in names else names[0])
    st.selectbox(
        "Checkpoint",
        names,
        **widgets.bound("checkpoint-choice", session.checkpoint, lambda name: store.read().with_checkpoint(name)),
    )
    return session


def _open(session: Session, sound: list[CheckpointInfo]) -> tuple[OpenModel | None, list[BrokenCheckpoint]]:
    """The chosen checkpoint, or when its weights turn out bad the next one that opens; and those that did not."""
    failed: list[BrokenCheckpoint] = []
    for info in sorted(sound, key=lambda entry: entry.name != session.checkpoint):
        try:
            return cache.open_model(info.folder), failed
        except (BadInput, OSError) as fault:
            failed.append(BrokenCheckpoint(info.name, info.folder, str(fault)))
    return None, failed


def _describe(model: OpenModel) -> None:
    if model.summary:
        st.caption(widgets.plain(model.summary))
    facts = [
        ("Family", FAMILIES.get(model.spec.family, model.spec.family), "Whose architecture and weights these are."),
        ("f", str(model.stride), "Stride: each cell of the latent grid stands for f × f pixels."),
        ("K", f"{model.codes:,}", "Codes in the codebook."),
        ("D", str(model.spec.grid.dim), "Numbers in each code, and in the embedding of each cell."),
        ("Metric", model.spec.grid.metric.capitalize(), f"Each cell takes {METRICS[model.spec.grid.metric]}."),
        (
            "Decoder inputs",
            str(model.inputs),
            "Two: the quantized vectors and the continuous embedding. One: the classic VQ-VAE.",
        ),
    ]
    if model.parameters is not None:
        meaning = "Weights of encoder, codebook and decoder together."
        facts.insert(4, ("Parameters", f"{model.parameters / 1e6:.1f} M", meaning))
    widgets.facts(facts)


def _list_broken(broken: list[BrokenCheckpoint]) -> None:
    for entry in broken:
        st.warning(f"**{widgets.plain(entry.name)}** cannot be opened. {widgets.plain(entry.reason)}")
