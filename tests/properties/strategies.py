"""Cases for any subject: JSON values, odd texts, and what is left of bytes or of a document after some damage."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

SEEDS = st.integers(0, (1 << 32) - 1)
ODD_TEXT = st.text(st.characters() | st.sampled_from("\ud800\udcff\0\x1f\u202e\u0301/.%,{}<"), max_size=12)
DIGITS = "0" * 5000  # more than Python makes a number of
NUMBERS = st.one_of(
    st.integers(),
    st.floats(),
    st.sampled_from([0, 1, -1, 255, 1 << 15, 1 << 16, 1 << 31, 1 << 53, 1 << 63, 10**400, -(10**400), 1e308, -0.0]),
)
ATOMS = st.one_of(st.none(), st.booleans(), NUMBERS, ODD_TEXT)
JSON = st.recursive(
    ATOMS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ODD_TEXT, inner, max_size=4),
    max_leaves=6,
)
_EXTREMES = (b"\0", b"\xff", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x80\0\0\0")


def nested(depth: int, value: Any = None) -> Any:
    """A list in a list, so deep."""
    for _ in range(depth):
        value = [value]
    return value


def near(value: Any) -> SearchStrategy[Any]:
    """Values that are nearly this one: beside a bound, of another type, a little longer."""
    if isinstance(value, bool):
        return st.sampled_from([not value, int(value), str(value).lower()])
    if isinstance(value, int | float):
        as_float = [float(value)] if abs(value) < 1e300 else []
        return st.sampled_from([value + 1, value - 1, -value, 2 * value, str(value), [value], *as_float])
    if isinstance(value, str):
        return st.sampled_from([value + "x", value[:-1], value.upper(), f" {value}", "", value + "\0", [value]])
    if isinstance(value, list):
        return st.sampled_from([[*value, *value], value[:-1], value[::-1], [], [value], {}])
    if isinstance(value, dict):
        return st.sampled_from([{}, list(value), [value]])
    return JSON


@st.composite
def changed_json(draw: DrawFn, value: Any, most: int = 3) -> Any:
    """A document in which some parts are exchanged, left out, or have something added to them."""
    changed = copy.deepcopy(value)
    for _ in range(draw(st.integers(1, most))):
        places = _places(changed)
        if not places:
            return draw(JSON)
        inside, key = places[draw(st.integers(0, len(places) - 1))]
        match draw(st.sampled_from(("near", "other", "out", "in"))):
            case "near":
                inside[key] = draw(near(inside[key]))
            case "other":
                inside[key] = draw(JSON)
            case "out":
                del inside[key]
            case "in" if isinstance(inside, dict):
                inside[draw(ODD_TEXT)] = draw(JSON)
            case "in":
                inside.insert(key, draw(JSON))
    return changed


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every part of a document: what it is in, and its name or number there."""
    inside = list(value.items()) if isinstance(value, dict) else list(enumerate(value))
    found = [(value, key) for key, _ in inside]
    return found + [place for _, part in inside if isinstance(part, dict | list) for place in _places(part)]


@st.composite
def damaged(draw: DrawFn, data: bytes, most: int = 4) -> bytes:
    """Bytes with some flipped, overwritten, cut off, left out, put in or doubled; most often near either end."""
    broken = bytearray(data)
    for _ in range(draw(st.integers(1, most))):
        if not broken:
            break
        last = len(broken) - 1
        low, high = draw(st.sampled_from([(0, min(last, 63)), (0, last), (max(0, last - 63), last)]))
        at = draw(st.integers(low, high))
        match draw(st.sampled_from(("flip", "flip", "put", "cut", "out", "in", "double"))):
            case "flip":
                broken[at] ^= 1 << draw(st.integers(0, 7))
            case "put":
                put = draw(st.sampled_from(_EXTREMES))
                broken[at : at + len(put)] = put
            case "cut":
                del broken[at:]
            case "out":
                del broken[at : at + draw(st.integers(1, 40))]
            case "in":
                broken[at:at] = draw(st.binary(min_size=1, max_size=8))
            case "double":
                broken[at:at] = broken[at : at + draw(st.integers(1, 40))]
    return bytes(broken)


def json_texts(document: Any) -> SearchStrategy[bytes]:
    """JSON files that are nearly this document, and others that are hardly JSON."""
    return st.one_of(
        changed_json(document).map(as_json),
        damaged(as_json(document)),
        JSON.map(as_json),
        st.integers(1, 1100).map(lambda depth: b"[" * depth + b"]" * depth),
        st.sampled_from([b"", b"\xff\xfe{}", b"1" + DIGITS.encode(), b"NaN", b"{}" * 2, b"[" * 100_000]),
    )


def as_json(value: Any) -> bytes:
    """A JSON file as Python writes it: NaN, and texts that are not Unicode, are in it."""
    return json.dumps(value).encode()
