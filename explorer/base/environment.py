"""Numbers that whoever runs the app says in its environment."""

from __future__ import annotations

import os

from vqvae.errors import BadInput, shown

_MOST_DIGITS = 15


def whole_number(name: str, otherwise: int) -> int:
    """The whole number, 0 or more, that a variable of the environment says; `otherwise` where it says nothing.

    Raises BadInput for anything else.
    """
    said = os.environ.get(name, "").strip()
    if not said:
        return otherwise
    if not (said.isascii() and said.isdecimal() and len(said) <= _MOST_DIGITS):
        raise BadInput(f"{name} is {shown(said)}; it has to be a whole number, or be left out.")
    return int(said)
