"""The steps of the browser's history: each thing that was chosen is one, and what is only moved about in it is none."""

from pathlib import Path

import streamlit as st

from explorer.ui.address import STEPS

_mount = st.components.v2.component(
    "vqvae_explorer_steps",
    js=(Path(__file__).parent / "steps.js").read_text(encoding="utf-8"),
)


def watch() -> None:
    """Have the browser make a step of a new page, or of a change to one of the STEPS, and of nothing else."""
    _mount(key="steps", data=list(STEPS))
