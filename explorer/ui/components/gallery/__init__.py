"""The gallery: pictures to choose from by their thumbnail, pasting one from the clipboard, and the visitor's own ones.

The browser keeps the visitor's own pictures. A reload is a new visit, in which the gallery sends them back.
"""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import streamlit as st

from explorer.base.wire import pack
from explorer.ui import widgets
from explorer.ui.components.sources import png_url, script
from explorer.ui.session import MOST_UPLOADS, Upload

MOST_BYTES = 20 << 20  # of a pasted picture, as of an upload
LONGEST_NAME = 300

_FOLDER = Path(__file__).parent
_mount = st.components.v2.component(
    "vqvae_explorer_gallery",
    css=(_FOLDER / "gallery.css").read_text(encoding="utf-8"),
    js=script(_FOLDER.parent / "boxes.js", _FOLDER / "uploads.js", _FOLDER / "gallery.js"),
)


@dataclass(frozen=True)
class Thumbnail:
    """A picture to choose: what to call it, and a small PNG of it."""

    name: str
    title: str
    png: bytes
    own: bool = False  # the visitor's, to be kept in the browser


@dataclass(frozen=True)
class Restored:
    """Pictures of an earlier visit that the browser had kept."""

    number: int  # of this message in its visit, from 1
    uploads: tuple[Upload, ...]  # oldest first
    chosen: str | None  # the digest of the one that was shown, if one of them was and the link names no other


@dataclass(frozen=True)
class Choice:
    """What the person, or the browser for them, just did. At most one of these is set."""

    picked: str | None = None  # the name of the thumbnail that was chosen
    pasted: bytes | None = None
    forgotten: str | None = None  # the name of an own picture
    restored: Restored | None = None
    lost: str | None = None  # the digest of a picture that was wanted back and that the browser has not kept
    lacking: frozenset[str] = frozenset()  # digests of own pictures that the browser has yet to be given


def read_choice(key: str) -> Choice:
    """What was done since the last run, known before the gallery is drawn again."""
    state = widgets.said(key)
    return Choice(
        _text(state.get("picked")),
        _decoded(state.get("pasted")),
        _text(state.get("forgotten")),
        _restored(state.get("restored")),
        _lost(state.get("lost")),
        _digests(state.get("lacking")),
    )


def show(
    thumbnails: list[Thumbnail],
    *,
    chosen: str,
    wanted: str | None,
    visit: str,
    restored: int,
    files: Sequence[Upload],
    key: str,
) -> None:
    """Draw the gallery with one thumbnail marked as chosen.

    `wanted` is the digest of the picture to show, where only the browser may have that. `visit` names the visit,
    `restored` is the number of the pictures that were just taken back, 0 where there were none, and `files` are for
    the browser to keep.
    """
    entries = [
        {"name": entry.name, "title": entry.title, "source": png_url(entry.png), "own": entry.own}
        for entry in thumbnails
    ]
    header = {
        "entries": entries,
        "chosen": chosen,
        "wanted": wanted,
        "visit": visit,
        "restored": restored,
        "files": [{"digest": upload.digest, "name": upload.name} for upload in files],
    }
    arrays = {f"file {number}": np.frombuffer(upload.data, np.uint8) for number, upload in enumerate(files)}
    _mount(
        key=key,
        data=pack(header, arrays),
        on_picked_change=lambda: None,
        on_pasted_change=lambda: None,
        on_forgotten_change=lambda: None,
        on_restored_change=lambda: None,
        on_lost_change=lambda: None,
        on_lacking_change=lambda: None,
        on_unanswered_change=lambda: None,
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _lost(message: object) -> str | None:
    match message:
        case {"picture": str(digest)}:
            return digest
    return None


def _decoded(data: object) -> bytes | None:
    """Base64 text from the browser -> bytes; anything else is nothing."""
    if not isinstance(data, str) or len(data) > MOST_BYTES * 4 // 3 + 4:
        return None
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        return None


def _restored(message: object) -> Restored | None:
    """What the browser sends back -> Restored; None when any part of it is not what a gallery sends."""
    match message:
        case {"number": int(number), "pictures": list(pictures), "chosen": None | str() as chosen} if (
            not isinstance(number, bool) and number > 0
        ):
            kept = tuple(upload for picture in pictures[:MOST_UPLOADS] if (upload := _upload(picture)))
            return Restored(number, kept, chosen)
    return None


def _upload(picture: object) -> Upload | None:
    match picture:
        case {"name": str(name), "data": str(text)} if (data := _decoded(text)) is not None:
            return Upload(name[:LONGEST_NAME], data)
    return None


def _digests(value: object) -> frozenset[str]:
    if not isinstance(value, list):
        return frozenset()
    return frozenset(digest for digest in value[:MOST_UPLOADS] if isinstance(digest, str))
