"""Paths that visitors type: which they may, the field for one, and what is read of it.

Whoever serves the app to others says in the environment which folders they may name. Commands read whatever they are
told to, and what was indexed by a command can be chosen by everybody.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import streamlit as st

from explorer.images.sets import typed_path
from vqvae.errors import BadInput, in_short, shown

ROOTS = "VQVAE_EXPLORER_SETS"  # environment: folders with os.pathsep between them, or NONE; any path where it is empty
NONE = "none"


def roots() -> tuple[str, ...] | None:
    """The folders that visitors may name, with what is in them; an empty tuple: nothing, None: anything."""
    said = os.environ.get(ROOTS, "").strip()
    if not said:
        return None
    named = () if said.lower() == NONE else said.split(os.pathsep)
    return tuple(os.path.realpath(os.path.expanduser(root.strip())) for root in named if root.strip())


def may_be() -> bool:
    """Whether there is anything that visitors may name; else no field asks for a path."""
    return roots() != ()


def field(label: str, *, what: str, example: str, **options: Any) -> None:
    """A field for the path of `what`, for example /path/to/`example`; nothing where visitors may name nothing.

    options: of st.text_input.
    """
    if (among := roots()) == ():
        return
    where = f"in {_listed(among)}" if among else "on this computer"
    folder = in_short(among[0], longest=30) if among else "/path/to"
    st.text_input(label, placeholder=f"{folder}/{example}", help=f"A path {where}: {what}.", **options)


def checked(text: str) -> str:
    """What a visitor typed, or a link says, as it may be read: as it stands where anything may be named.

    Raises BadInput, the same whether something is there or not, where this is not to be read.
    """
    among = roots()
    if among is None:
        return text
    with suppress(ValueError, OSError):  # a path that no file system takes
        place = os.path.realpath(typed_path(text))  # links in it followed: one may lead elsewhere
        if any(Path(place).is_relative_to(root) for root in among):
            return place
    if not among:
        raise BadInput(f"{shown(text)} cannot be opened: here no folder can be named by its path.")
    raise BadInput(f"{shown(text)} cannot be opened here; name a path in {_listed(among)}.")


def _listed(folders: Sequence[str]) -> str:
    return " or ".join(in_short(folder) for folder in folders)
