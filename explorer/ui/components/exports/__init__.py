"""What a figure or a table can be taken away as, in a quiet row below it: pictures are made in the browser."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import streamlit as st

from explorer.ui import widgets
from explorer.ui.components.sources import PAPER, script

Form = Literal["png", "svg", "csv"]

_FOLDER = Path(__file__).parent
_mount = st.components.v2.component(
    "vqvae_explorer_exports",
    css=(_FOLDER / "exports.css").read_text(encoding="utf-8"),
    js=script(PAPER, _FOLDER / "exports.js"),
)


def show(
    forms: Sequence[Form], *, key: str, of: str, label: str, file: str, shows_label: bool, written: Callable[[], str]
) -> None:
    """Draw the row.

    of: the key of what is exported, in which the browser looks for a figure. label: what it is called. file: the name
    of the files, without an ending. written: the table as CSV; it is made when it is asked for.
    """
    data: dict[str, object] = {"forms": list(forms), "of": of, "label": label, "file": file, "named": shows_label}
    asked = widgets.said(key).get("asked")
    if "csv" in forms and isinstance(asked, int) and not isinstance(asked, bool):
        data["csv"] = {"asked": asked, "text": written()}
    _mount(key=key, data=data, width="content" if shows_label else "stretch", on_asked_change=lambda: None)
