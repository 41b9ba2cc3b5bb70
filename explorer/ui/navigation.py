"""The list of pages, and how a link straight to one of them opens on a server that has just started."""

from pathlib import Path

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from vqvae.places import project_folder

_FOLDER = project_folder() / "pages"
_ICON = Path(__file__).parent / "static" / "icon.png"
_announced = False  # whether this server has heard of the list below


def run() -> None:
    """Draw the navigation and the page that is open."""
    _announce().run()


def ensure() -> None:
    """Start over with the navigation, if this page was opened without it.

    Until `st.navigation` was called once in a server, Streamlit takes the folder `pages` for the older kind of
    multipage app and runs the page of a link without app.py.
    """
    if not _announced:
        _announce()
        st.rerun()


def url_path(page: str) -> str:
    """Where a page lies on this server, by its file's name; the first page lies at the root."""
    base = st.get_option("server.baseUrlPath").strip("/")
    return f"/{base}/{page}" if base else f"/{page}"


def _announce() -> StreamlitPage:
    global _announced
    _announced = True
    st.set_page_config(page_title="VQ-VAE Explorer", page_icon=str(_ICON), layout="wide")
    return st.navigation(
        [
            st.Page(_FOLDER / "reconstruct.py", title="Reconstruct", icon=":material/compare:", default=True),
            st.Page(_FOLDER / "codebook.py", title="Codebook", icon=":material/grid_on:"),
            st.Page(_FOLDER / "edit.py", title="Edit", icon=":material/brush:"),
            st.Page(_FOLDER / "inputs.py", title="Inputs", icon=":material/call_merge:"),
            st.Page(_FOLDER / "compare.py", title="Compare", icon=":material/balance:"),
            st.Page(_FOLDER / "training.py", title="Training", icon=":material/monitoring:"),
            st.Page(_FOLDER / "learn.py", title="Learn", icon=":material/school:"),
        ]
    )
