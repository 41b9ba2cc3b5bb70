"""What a browser sends: each byte of it becomes a typed value, or is refused; and what is well formed is understood."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace
from typing import Any, get_args

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from explorer.base import untrusted, wire
from explorer.editing.animation import Form
from explorer.editing.edits import UNPAINTED, Painting, Rule
from explorer.editing.requests import EditRequest, Mode, Overlay, PaletteKind
from explorer.images.pictures import WORKING_SIZES
from explorer.ui.address import SMALL, STEPS, Address
from explorer.ui.components import canvas, comparison, dots, gallery, picker, tiles
from explorer.ui.components.comparison.message import MOST_GAIN
from explorer.ui.session import HIGHEST_BLEND, LOWEST_BLEND, MOST_COMPARED, CompareView, Layer, Layout, Session
from explorer.ui.transport import route
from explorer.ui.transport.visitors import Visitor
from tests.properties.law import Law
from tests.properties.strategies import JSON, ODD_TEXT, as_json, changed_json, damaged, json_texts, nested
from tests.test_editor_messages import CODES, MESSAGE
from tests.test_ui_values import MESSAGE as CANVAS

SEQUENCES = st.integers(0, (1 << 53) - 1)
CELLS = st.none() | st.tuples(st.integers(0, 65535), st.integers(0, 65535)).map(list)
COMPARISON: dict[str, Any] = {
    "sequence": 1,
    "content": "a",
    "anchor": "photos",
    "settled": True,
    "original": False,
    "held": [{"content": "b", "weight": 0.5, "coloured": True}],
    "blend": 1,
    "uses_embedding": True,
    "cell": [1, 2],
    "layout": "side",
    "layers": ["picture", "error"],
    "layer": "codes",
    "shown": 1,
    "pair": [1, 0],
    "signed": False,
    "gain": 8,
}
DEEP = st.integers(900, 1100).map(nested)


# --- requests


@st.composite
def sound_requests(draw: DrawFn) -> dict[str, Any]:
    """What an editor sends, with arrays as the wire gives them."""
    blends = st.just(UNPAINTED) | st.integers(-50, 150)
    cells = draw(st.lists(st.tuples(st.integers(0, CODES - 1), blends), max_size=5))
    return {
        **MESSAGE,
        "sequence": draw(SEQUENCES),
        "content": draw(st.text(max_size=200)),
        "mode": draw(st.sampled_from(get_args(Mode))),
        "settled": draw(st.booleans()),
        "complete": draw(st.booleans()),
        "grid": np.array([code for code, _ in cells], np.uint16),
        "weights": np.array([blend for _, blend in cells], np.int16),
        "document": draw(st.none() | st.text(max_size=20)),
        "loaded": draw(SEQUENCES),
        "blend": draw(st.floats(-0.5, 1.5) | st.integers(0, 1)),
        "uses_embedding": draw(st.booleans()),
        "rule": draw(st.sampled_from(get_args(Rule))),
        "cell": draw(CELLS),
        "code": draw(st.integers(0, CODES - 1)),
        "overlay": draw(st.sampled_from(get_args(Overlay))),
        "palette": {
            "kind": draw(st.sampled_from(get_args(PaletteKind))),
            "text": draw(st.text(max_size=20)),
            "place": draw(st.none() | st.tuples(st.floats(0, 1), st.floats(0, 1)).map(list)),
        },
        "animation": None,
        "has": draw(st.lists(SEQUENCES, max_size=16)),
    }


def a_sound_request_is_understood(case: dict[str, Any]) -> bool:
    as_text = {name: base64.b64encode(case[name].tobytes()).decode() for name in ("grid", "weights")}
    read = [EditRequest.parse({**case, **arrays}, codes=CODES) for arrays in ({}, as_text)]
    for request in read:
        assert request and request.painting and request.has == set(case["has"])
        assert request.painting.indices.tolist() == case["grid"].tolist()
        assert request.painting.painted.tolist() == case["weights"].tolist()
        for name in (
            "sequence",
            "content",
            "mode",
            "settled",
            "complete",
            "document",
            "loaded",
            "blend",
            "rule",
            "code",
        ):
            assert getattr(request, name) == case[name]
        assert (request.cell and list(request.cell)) == case["cell"] and request.overlay == case["overlay"]
        assert (request.palette.place and list(request.palette.place)) == case["palette"]["place"]
        assert request.palette.text == case["palette"]["text"]
        _check_request(request)
    return True


def _check_request(request: EditRequest) -> None:
    """Every field has its type, and lies in its bounds."""
    assert all(type(value) is int and value >= 0 for value in (request.sequence, request.loaded, *request.has))
    assert type(request.content) is str and len(request.content) <= 200
    assert request.mode in get_args(Mode) and request.rule in get_args(Rule) and request.overlay in get_args(Overlay)
    assert all(type(flag) is bool for flag in (request.settled, request.complete, request.uses_embedding))
    assert type(request.blend) is float and -0.5 <= request.blend <= 1.5 and math.isfinite(request.level)
    assert request.cell is None or all(type(part) is int and 0 <= part < 1 << 16 for part in request.cell)
    assert 0 <= request.code < CODES and len(request.has) <= 16
    frames = () if request.animation is None else request.animation.frames
    assert request.animation is None or request.animation.form in get_args(Form)
    for painting in (request.painting, *frames):
        if isinstance(painting, Painting):
            assert painting.indices.ndim == 1 and painting.indices.shape == painting.painted.shape
            assert not painting.indices.size or 0 <= painting.indices.min() <= painting.indices.max() < CODES
            own = painting.painted[painting.has_own_blend]
            assert not own.size or -50 <= own.min() <= own.max() <= 150
    patch = request.palette.patch
    assert patch is None or patch.pixels.shape[0] == patch.pixels.shape[1] >= 1


def any_request_is_typed_or_none(message: Any) -> bool:
    request = EditRequest.parse(message, codes=CODES)
    if request is not None:
        _check_request(request)
    return request is not None


def any_question_is_typed_or_none(message: Any) -> bool:
    """The requests of the canvas and of the comparison."""
    asked = canvas.Request.parse(message)
    if asked:
        assert type(asked.blend) is float and 0 <= asked.blend <= 1 and type(asked.sequence) is int
        assert asked.cell is None or len(asked.cell) == 2
    compared = comparison.Request.parse(message)
    if compared:
        assert compared.layout in get_args(Layout) and set(compared.layers) <= set(get_args(Layer)) and compared.layers
        assert 0 <= compared.gain <= MOST_GAIN and 0 <= compared.shown <= MOST_COMPARED
        assert all(0 <= one.weight <= 1 and type(one.coloured) is bool for one in compared.held)
        assert len(compared.pair) == 2 and len(compared.held) <= MOST_COMPARED
    return bool(asked or compared)


GALLERY = {"number": 1, "pictures": [{"name": "a.png", "data": "iVBORw0="}], "chosen": None}
OUTLINE = [[0, 0], [1.5, 0], [1, -1]]


def any_word_is_typed_or_nothing(said: Any) -> bool:
    """What the smaller components are told: a tile, a cell, an outline, pictures that come back."""
    tile = tiles._id(said)
    assert tile is None or type(tile) is int
    cell = picker._cell(said, rows=3, columns=4)
    assert cell is None or (0 <= cell[0] < 3 and 0 <= cell[1] < 4)
    outline = dots.outline_of(said)
    assert all(math.isfinite(part) and type(part) is float for corner in outline for part in corner)
    decoded, restored = gallery._decoded(said), gallery._restored(said)
    assert decoded is None or type(decoded) is bytes
    if restored is not None:
        assert type(restored.number) is int and restored.number >= 0
        assert all(type(one.name) is str and type(one.data) is bytes for one in restored.uploads)
    assert all(type(digest) is str for digest in gallery._digests(said))
    lost = gallery._lost(said)
    assert lost is None or type(lost) is str
    return any(found not in (None, []) for found in (tile, cell, outline, decoded, restored))


# --- the wire


@dataclass(frozen=True, eq=False)
class Sent:
    """A header and arrays."""

    header: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]


@st.composite
def sent(draw: DrawFn) -> Sent:
    names = st.text(max_size=8)
    header = st.dictionaries(
        names.filter(lambda name: name != "arrays"),
        st.none()
        | st.booleans()
        | st.integers(-(1 << 53), 1 << 53)
        | st.text(max_size=9)
        | st.lists(st.integers(0, 9)),
        max_size=4,
    )
    one = st.builds(
        lambda dtype, data: np.frombuffer(data[: len(data) // 4 * 4], dtype),
        st.sampled_from(wire._DTYPES),
        st.binary(max_size=24),
    )
    return Sent(draw(header), draw(st.dictionaries(names, one, max_size=wire.MOST_ARRAYS)))


def a_message_is_unpacked_as_it_was_packed(case: Sent) -> bool:
    header, arrays = wire.unpack(wire.pack(case.header, case.arrays))
    assert header == case.header and arrays.keys() == case.arrays.keys()
    for name, array in arrays.items():
        assert array.dtype == case.arrays[name].dtype and array.tobytes() == case.arrays[name].tobytes()
        assert not array.flags.writeable
    return True


@cache
def _live() -> tuple[Visitor, Any]:
    """A visitor with an engine, and their socket."""
    visitor = Visitor()
    engine = SimpleNamespace(content="abc", model=SimpleNamespace(codes=CODES))
    visitor.engines["abc"] = engine  # type: ignore[assignment]
    visitor.sockets = 1
    return visitor, SimpleNamespace(token=visitor.token, number=1)


@st.composite
def packets(draw: DrawFn) -> bytes:
    """Messages of an editor over its socket, and what is nearly one."""
    header = {name: value for name, value in MESSAGE.items() if name not in ("grid", "weights", "document")}
    header |= {"animation": None}
    arrays = {"grid": np.array([0, 7, CODES - 1], np.uint16), "weights": np.array([-50, UNPAINTED, 150], np.int16)}
    whole = wire.pack(header, arrays)
    match draw(st.sampled_from(("damaged", "header", "table", "text", "any"))):
        case "damaged":
            return draw(damaged(whole))
        case "header":
            changed = draw(changed_json(header))
            changed = changed if isinstance(changed, dict) else {}
            changed.pop("arrays", None)
            return _packed({**changed, "arrays": _table(whole)}, whole)
        case "table":
            return _packed({**header, "arrays": draw(changed_json(_table(whole)))}, whole)
        case "text":
            text = draw(json_texts(header) | DEEP.map(lambda value: _deep_text(value, "content")))
            return len(text).to_bytes(4, "little") + text
    return draw(st.binary(max_size=60))


def _deep_text(value: Any, name: str) -> bytes:
    depth = 0
    while value:
        depth, value = depth + 1, value[0]
    return b'{"%s": ' % name.encode() + b"[" * depth + b"]" * depth + b', "arrays": []}'


def _table(message: bytes) -> list[Any]:
    length = int.from_bytes(message[:4], "little")
    table: list[Any] = json.loads(message[4 : 4 + length])["arrays"]
    return table


def _packed(header: Any, message: bytes) -> bytes:
    text = as_json(header)
    text += b" " * (-len(text) % 4)
    return len(text).to_bytes(4, "little") + text + message[4 + int.from_bytes(message[:4], "little") :]


def any_packet_is_a_request_or_closes_the_socket(data: bytes) -> bool:
    visitor, line = _live()
    visitor.newest.clear()
    try:
        engine, request = route._Line._read(line, data)
    except route._Wrong as wrong:
        assert wrong.code in (route.BAD_MESSAGE, route.GONE) and not visitor.newest
        return False
    assert engine is visitor.engines["abc"] and visitor.newest == {"abc": request}
    assert request.document is None and request.animation is None
    _check_request(request)
    return True


@dataclass(frozen=True)
class Opening:
    """What a socket says first, and where it says that it comes from."""

    first: str | None
    origin: str
    host: str


@st.composite
def openings(draw: DrawFn) -> Opening:
    token = _live()[0].token
    firsts = st.one_of(
        st.none(),
        st.just(json.dumps({"token": token})),
        changed_json({"token": token}).map(json.dumps),
        json_texts({"token": token}).map(lambda text: text.decode("latin-1")),
    )
    hosts = st.sampled_from(["here:8501", "[::1]:8501", "HERE:8501", ""])
    origins = st.one_of(
        st.sampled_from(["http", "https", "file", "null", "HTTP"]).flatmap(
            lambda scheme: hosts.map(lambda host: f"{scheme}://{host}")
        ),
        damaged(b"http://[::1]:8501").map(lambda text: text.decode("latin-1")),
        damaged(b"http://here:8501/a?b#c").map(lambda text: text.decode("latin-1")),
        st.text(st.sampled_from("htps:/[]1.@%#?\\é"), max_size=12).map(lambda text: f"http://{text}"),
        st.text(st.characters(max_codepoint=255), max_size=20),
    )
    if draw(st.booleans()):
        host = draw(hosts)
        return Opening(draw(firsts), f"{draw(st.sampled_from(['http', 'https', 'ftp']))}://{host}", host)
    return Opening(draw(firsts), draw(origins), draw(hosts | st.text(st.characters(max_codepoint=255), max_size=9)))


def a_socket_is_let_in_by_its_token_from_here_alone(case: Opening) -> bool:
    token = route._token(case.first)
    visitor = route.visitors.find(token)
    assert (visitor is _live()[0]) == (token == _live()[0].token)
    found = route.from_here(SimpleNamespace(headers={"origin": case.origin, "host": case.host}))  # type: ignore[arg-type]
    scheme, _, place = case.origin.partition("://")
    if scheme in ("http", "https") and case.host and place.lower() == case.host.lower() and place.isascii():
        assert found or set(place) & set("[]/?#@\\\t\r\n")
    if found:
        assert case.host and scheme.strip().lower() in ("http", "https")
        assert place.lower().startswith(case.host.lower())
    return found and visitor is not None


# --- links


@st.composite
def links(draw: DrawFn) -> dict[str, str]:
    """Queries with what links say, nearly that, and anything at all."""
    said = {
        "checkpoint": st.sampled_from(["photos", "../photos", "photos@5", "a,b", ""]) | ODD_TEXT,
        "models": st.sampled_from(["photos,photos-fine", "a%2Cb,c", ",,", "%ED%A0%80", "a,a"]) | ODD_TEXT,
        "picture": st.sampled_from(["coffee", "0" * 64, ""]) | ODD_TEXT,
        "code": st.integers(-5, 1 << 20).map(str) | st.sampled_from(["٣", "²", "1e3", "0x1", "9" * 5000]) | ODD_TEXT,
        "step": st.sampled_from(["patch", "code", "nonsense"]) | ODD_TEXT,
        "run": st.sampled_from(["photos", "/etc/passwd", "x" * 1001]) | ODD_TEXT,
        "size": st.sampled_from([*map(str, WORKING_SIZES), "129", "٢٥٦", "-256"]) | ODD_TEXT,
        "blend": st.floats().map(str)
        | st.sampled_from(["0", "1", "0.50", "1e-9", "-0", "1_0", "nan", "inf"])
        | ODD_TEXT,
        "cell": st.tuples(st.integers(-1, 20000), st.integers(0, 99)).map(lambda cell: f"{cell[0]},{cell[1]}")
        | st.sampled_from(["1,2,3", "1, 2", "٣,٣"])
        | ODD_TEXT,
        "tried": st.sampled_from(["sky", "sky,horse,nothing"]) | ODD_TEXT,
        "view": st.sampled_from(get_args(CompareView)) | ODD_TEXT,
        "on": st.sampled_from(["samples", "picture"]) | ODD_TEXT,
    }
    chosen = draw(st.lists(st.sampled_from([*said]), unique=True, max_size=6))
    query = {name: draw(said[name]) for name in chosen}
    return query | draw(st.dictionaries(ODD_TEXT, ODD_TEXT, max_size=1))


def a_link_is_a_session_that_says_it_again(query: dict[str, str]) -> bool:
    session = Session.from_query(query)
    assert LOWEST_BLEND <= session.blend <= HIGHEST_BLEND and session.working_size in WORKING_SIZES
    assert session.codebook.code is None or 0 <= session.codebook.code < 10**6
    assert len(session.compare.models) <= MOST_COMPARED and session.compare.view in get_args(CompareView)
    said = session.to_query()
    assert Session.from_query(said).to_query() == said
    assert set(said) <= {*STEPS, *SMALL} and all(type(value.encode()) is bytes for value in said.values())
    address = Address.opened(query, said)
    assert set(address.says) <= {*STEPS, *SMALL} and address.changed(said) == address
    other = session.with_checkpoint("another").on("codebook", code=5).to_query()
    changed = address.changed(other)
    assert changed.means == other
    assert changed.says.get("checkpoint", "another") == "another"
    there = Session().following(query).to_query()
    assert Session.from_query(there).to_query() == there
    return bool(address.says)


def anything_is_checked_to_its_type(value: Any) -> bool:
    """The checks themselves: each returns a value of its type within its bounds, or raises one of two errors."""
    found = []
    for check in (
        lambda: untrusted.whole(value, 10),
        lambda: untrusted.number(value, -1, 1),
        lambda: untrusted.flag(value),
        lambda: untrusted.text(value, 5),
        lambda: untrusted.cell(value),
        lambda: untrusted.one_of(Rule, value),
        lambda: untrusted.list_of(value, 3),
        lambda: untrusted.array(value, np.dtype("<u2"), most=3),
    ):
        try:
            found.append(check())
        except (ValueError, TypeError):
            found.append(None)
    whole, number, flag, text, cell, name, many, array = found
    assert whole is None or (type(whole) is int and 0 <= whole < 10)
    assert number is None or (type(number) is float and -1 <= number <= 1)
    assert flag is None or type(flag) is bool
    assert text is None or (type(text) is str and len(text) <= 5)
    assert cell is None or all(type(part) is int and 0 <= part < 1 << 16 for part in cell)
    assert name is None or name in get_args(Rule)
    assert many is None or (type(many) is list and len(many) <= 3)
    assert array is None or (array.dtype == np.dtype("<u2") and array.size <= 3 + 1)
    return any(one is not None for one in found)


LAWS = (
    Law("a sound request is understood", sound_requests(), a_sound_request_is_understood),
    Law("any request is typed or none", changed_json(MESSAGE) | JSON | DEEP, any_request_is_typed_or_none),
    Law(
        "any question of a canvas is typed or none",
        st.one_of(changed_json(CANVAS), changed_json(COMPARISON), JSON, DEEP),
        any_question_is_typed_or_none,
    ),
    Law(
        "any word of a component is typed or nothing",
        st.one_of(changed_json(GALLERY), changed_json(OUTLINE), changed_json([1, 2]), JSON, DEEP),
        any_word_is_typed_or_nothing,
    ),
    Law("a message is unpacked as it was packed", sent(), a_message_is_unpacked_as_it_was_packed),
    Law("any packet is a request or closes the socket", packets(), any_packet_is_a_request_or_closes_the_socket),
    Law(
        "a socket is let in by its token, from here alone",
        st.deferred(openings),
        a_socket_is_let_in_by_its_token_from_here_alone,
    ),
    Law("a link is a session that says it again", links(), a_link_is_a_session_that_says_it_again),
    Law("anything is checked to its type", JSON | DEEP, anything_is_checked_to_its_type),
)
