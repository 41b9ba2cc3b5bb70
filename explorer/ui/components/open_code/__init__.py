"""Which code is open: told to every wall and map of the page, which tell which code is picked on them.

It is a component of its own, so that a click makes the dossier run again and neither wall nor map: they are not sent
anew, and whatever they were scrolled or zoomed to stays.
"""

from collections.abc import Callable
from pathlib import Path

import streamlit as st

from explorer.ui import widgets

_FOLDER = Path(__file__).parent
SHARED = _FOLDER / "shared.js"  # for walls and maps: `openedCode`, `onOpened`, `pickCode`
_mount = st.components.v2.component(
    "vqvae_explorer_open_code",
    js="\n".join((_FOLDER / name).read_text(encoding="utf-8") for name in ("shared.js", "open_code.js")),
)


def show(code: int, *, codes: int, key: str, then: Callable[[int], object]) -> None:
    """Say that a code is open; when another one of 0…codes − 1 is picked, `then` is told before the next run."""

    def picked() -> None:
        chosen = widgets.said(key).get("picked")
        if isinstance(chosen, int) and not isinstance(chosen, bool) and 0 <= chosen < codes:
            then(chosen)

    _mount(key=key, data={"code": code}, on_picked_change=picked)
