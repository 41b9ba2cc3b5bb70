"""JSON objects that carry a checksum of what they say, so that a changed byte is found out."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

CHECKSUM = "checksum"


def sealed(said: Mapping[str, Any]) -> dict[str, Any]:
    """What is to be written: what is said, with SHA-256 over it in hex as its first entry."""
    return {CHECKSUM: _checksum(said), **said}


def unsealed(found: Any) -> dict[str, Any]:
    """What was said, from what `json.loads` gave; one without a checksum is taken as it is.

    Raises ValueError where it is no object, or not what its checksum was taken of.
    """
    if not isinstance(found, dict):
        raise ValueError("It is no object.")
    said = {name: value for name, value in found.items() if name != CHECKSUM}
    if CHECKSUM in found and found[CHECKSUM] != _checksum(said):
        raise ValueError("It is not what its checksum was taken of.")
    return said


def _checksum(said: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
