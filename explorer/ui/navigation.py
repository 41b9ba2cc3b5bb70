"""The list of pages, and how a link straight to one of them opens on a server that has just started."""

from pathlib import Path
from typing import NoReturn

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from explorer.ui import store
from explorer.ui.transport import visitors
from vqvae.places import project_folder

_FOLDER = project_folder() / "pages"
_ICON = Path(__file__).parent / "static" / "icon.png"
_PAGES = {  # by their files' names: title and icon; the first lies at the root
    "reconstruct": ("Reconstruct", "compare"),
    "codebook": ("Codebook", "grid_on"),
    "edit": ("Edit", "brush"),
    "inputs": ("Inputs", "call_merge"),
    "compare": ("Compare", "balance"),
    "training": ("Training", "monitoring"),
    "learn": ("Learn", "school"),
}
LOOK_EVERY = 4  # seconds, where one waits for room
_announced = False  # whether this server has heard of the list below


def run() -> None:
    """Draw the navigation and the page that is open, for as many visitors as the server takes."""
    page = _announce()
    if store.is_admitted():
        page.run()
    else:
        _wait_for_room()


@st.fragment(run_every=LOOK_EVERY)
def _wait_for_room() -> None:
    """Say that the server is full, and open the page as soon as it is not."""
    if visitors.is_room():
        st.rerun()
    st.info("As many people are here as this server takes. The page opens by itself as soon as somebody leaves.")


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
    return st.navigation([_page(name) for name in _PAGES])


def go(name: str) -> NoReturn:
    """Open another page, by its file's name, with the address as it is; not from a callback."""
    st.switch_page(_page(name), query_params=st.query_params.to_dict())


def _page(name: str) -> StreamlitPage:
    title, icon = _PAGES[name]
    return st.Page(_FOLDER / f"{name}.py", title=title, icon=f":material/{icon}:", default=name == next(iter(_PAGES)))
