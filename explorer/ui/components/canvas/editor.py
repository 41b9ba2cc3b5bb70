"""The editor: a decoded picture to paint on with codes; the browser owns the grid, Python answers with pixels."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import streamlit as st

from explorer.editing.answer import Answer
from explorer.editing.requests import EditRequest
from explorer.ui import widgets
from explorer.ui.components.sources import PAPER, script

_FOLDER = Path(__file__).parent
_BOXES = _FOLDER.parent / "boxes.js"
_SCRIPTS = (  # each may use those before it
    *("parts", "placement", "tools", "selection", "history", "atlas", "drafts"),
    *("catalogue", "sight", "selected", "palette", "model", "transport", "exchange", "hand", "input"),
    *(
        "view_parts",
        "view_bar",
        "view_tools",
        "view_palette",
        "view_history",
        "view_answer",
        "view_marks",
        "view_stage",
    ),
    *("view_way", "view_keys", "offers", "connection", "editor"),
)
_mount = st.components.v2.component(
    "vqvae_explorer_editor",
    css="\n".join((_FOLDER / name).read_text(encoding="utf-8") for name in ("canvas.css", "editor.css", "drafts.css")),
    js=script(_BOXES, PAPER, *(_FOLDER / f"{name}.js" for name in _SCRIPTS)),
)


def read_request(key: str, *, codes: int) -> EditRequest | None:
    """What the person last asked of the editor with this key, if it was ever drawn and the message is sound."""
    return EditRequest.parse(widgets.said(key).get("request"), codes=codes)


def show(answer: Answer, request: EditRequest, more: Mapping[str, Any], *, key: str, codes: int) -> None:
    """Draw the editor with an answer to a request, and with what else the page has to say in the header."""
    _mount(
        key=key,
        data=replace(answer, header={**answer.header, **more}).pack(
            request.has if request.complete else (), codes=codes
        ),
        on_request_change=lambda: None,
    )
