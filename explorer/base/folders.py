"""Where things are kept on this machine."""

import os
from pathlib import Path

from vqvae.errors import BadInput
from vqvae.places import checkpoints_folder as checkpoints_folder  # programs that people saved find it here
from vqvae.remote import is_address

_NAME = "vqvae-explorer"


def cache_folder() -> Path:
    """For what can be computed again: $VQVAE_EXPLORER_CACHE, or a folder where the system keeps such things."""
    return _folder("VQVAE_EXPLORER_CACHE", "XDG_CACHE_HOME", ".cache")


def user_data_folder() -> Path:
    """For what the person made: $VQVAE_EXPLORER_DATA, or a folder where the system keeps such things."""
    return _folder("VQVAE_EXPLORER_DATA", "XDG_DATA_HOME", ".local/share")


def _folder(own: str, shared: str, below_home: str) -> Path:
    """The XDG base directory specification: an empty variable, or a relative path in a shared one, is no answer.

    Raises BadInput where the own one names an address, which would be taken for a path.
    """
    if named := os.environ.get(own):
        if is_address(named):
            raise BadInput(f"{own} is {named}, an address; name a folder on this computer.")
        return Path(named).expanduser()
    base = Path(os.environ.get(shared) or "")
    return (base if base.is_absolute() else Path.home() / below_home) / _NAME
