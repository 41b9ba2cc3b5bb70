"""The gallery: pictures to choose from by their thumbnail, and pasting one from the clipboard."""

import base64
import binascii
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from explorer.ui import widgets
from explorer.ui.components.sources import png_url

MOST_BYTES = 20 << 20  # of a pasted picture, as of an upload

_FOLDER = Path(__file__).parent
_mount = st.components.v2.component(
    "vqvae_explorer_gallery",
    css=(_FOLDER / "gallery.css").read_text(),
    js=(_FOLDER / "gallery.js").read_text(),
)


@dataclass(frozen=True)
class Thumbnail:
    """A picture to choose: what to call it, and a small PNG of it."""

    name: str
    title: str
    png: bytes


@dataclass(frozen=True)
class Choice:
    """What the person just did: chose a thumbnail by name, or pasted a picture. At most one of the two is set."""

    picked: str | None = None
    pasted: bytes | None = None


def read_choice(key: str) -> Choice:
    """What the person did since the last run, known before the gallery is drawn again."""
    state = widgets.said(key)
    picked = state.get("picked")
    return Choice(picked if isinstance(picked, str) else None, _decoded(state.get("pasted")))


def show(thumbnails: list[Thumbnail], *, chosen: str, key: str) -> None:
    """Draw the gallery with one thumbnail marked as chosen."""
    entries = [
        {
            "name": entry.name,
            "title": entry.title,
            "source": png_url(entry.png),
        }
        for entry in thumbnails
    ]
    _mount(
        key=key,
        data={"entries": entries, "chosen": chosen},
        on_picked_change=lambda: None,
        on_pasted_change=lambda: None,
    )


def _decoded(pasted: object) -> bytes | None:
    """Base64 text from the browser -> bytes; anything else is nothing."""
    if not isinstance(pasted, str) or len(pasted) > MOST_BYTES * 4 // 3 + 4:
        return None
    try:
        return base64.b64decode(pasted, validate=True)
    except (binascii.Error, ValueError):
        return None
