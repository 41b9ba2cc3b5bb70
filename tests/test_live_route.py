"""The editor's socket: what it answers, and all that it closes on with a code and nothing else."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient, WebSocketTestSession
from starlette.websockets import WebSocketDisconnect

from explorer.base.wire import pack
from explorer.editing.engine import EditEngine
from explorer.editing.requests import EditRequest
from explorer.ui.transport import route, visitors
from explorer.ui.transport.visitors import MOST_ENGINES, Visitor
from tests.browser import assert_same
from tests.test_engine import Screen, decoded, random_requests
from tests.toy_engine import asking, painted, toy_engine

HERE = "http://testserver"  # as the test client calls the host


@pytest.fixture
def visitor() -> Visitor:
    return Visitor()


@pytest.fixture
def engine(visitor: Visitor) -> EditEngine:
    return visitor.keep(toy_engine())


def client(base: str = "") -> TestClient:
    return TestClient(Starlette(routes=route.routes(base)), base_url=HERE)


@contextmanager
def opened(token: object, *, origin: str | None = HERE, base: str = "") -> Iterator[WebSocketTestSession]:
    """A socket that has said its token."""
    headers = {} if origin is None else {"origin": origin}
    with client(base).websocket_connect(route.url_path(base), headers=headers) as socket:
        socket.send_text(json.dumps({"token": token}))
        yield socket


def message(request: EditRequest) -> bytes:
    """A request as the browser sends it."""
    header = {name: value for name, value in asdict(request).items() if name not in ("painting", "document")}
    header |= {"cell": request.cell and list(request.cell), "has": list(request.has)}
    assert request.painting is not None
    arrays = {"grid": request.painting.indices.astype(np.uint16), "weights": request.painting.painted}
    return pack(header, {name: array.reshape(-1) for name, array in arrays.items()})


def closed_with(socket: WebSocketTestSession) -> int:
    """The code with which it is closed, before anything else comes."""
    with pytest.raises(WebSocketDisconnect) as end:
        while True:
            said = socket.receive()
            if said["type"] == "websocket.close":
                raise WebSocketDisconnect(said["code"])
            raise AssertionError(f"It said {said!r:.80}")
    return end.value.code


# --- what it answers


def test_a_painter_sees_the_right_pixels(visitor: Visitor, engine: EditEngine):
    screen, size = Screen(), engine.picture.pixels.shape[:2]
    with opened(visitor.token) as socket:
        assert socket.receive_text() == "ready"
        for request in random_requests(engine, 25, 3):
            socket.send_bytes(message(asking_with(request, screen.has)))
            header = screen.take(socket.receive_bytes(), size)
            while header["sequence"] < request.sequence or header.get("more"):
                header = screen.take(socket.receive_bytes(), size)
            if not header["preview"]:
                assert_same(screen.pixels, decoded(engine, request))
    assert visitor.newest[engine.content].sequence == 25


def asking_with(request: EditRequest, has: set[int]) -> EditRequest:
    return replace(request, has=frozenset(has))


def test_of_what_comes_while_it_decodes_the_newest_alone_is_answered(visitor: Visitor, engine: EditEngine):
    with opened(visitor.token) as socket:
        socket.receive_text()
        for sequence in range(1, 31):
            socket.send_bytes(message(asking(engine, painted(engine, (0, 0, sequence % 8)), sequence=sequence)))
        answered = [0]
        while answered[-1] < 30:
            header = json_of(socket.receive_bytes())
            if not header.get("more"):
                answered.append(header["sequence"])
    assert answered == sorted(set(answered))
    assert len(answered) < 31
    np.testing.assert_array_equal(
        engine.last().pixels, decoded(engine, asking(engine, painted(engine, (0, 0, 30 % 8))))
    )


def json_of(answer: bytes) -> dict[str, Any]:
    header: dict[str, Any] = json.loads(answer[4 : 4 + int.from_bytes(answer[:4], "little")])
    return header


def test_the_palette_comes_after_the_picture(visitor: Visitor, engine: EditEngine):
    with opened(visitor.token) as socket:
        socket.receive_text()
        socket.send_bytes(message(asking(engine, painted(engine, (2, 2, 5)))))
        first, second = json_of(socket.receive_bytes()), json_of(socket.receive_bytes())
    assert "palette" not in first and "figures" in first
    assert second["more"] and second["palette"]["kind"] == "picture"


@pytest.mark.parametrize("base", ["", "tools", "/deep/er/"])
def test_it_lies_below_the_path_of_the_app(base: str, visitor: Visitor, engine: EditEngine):
    assert route.url_path(base) == {"": "/live/edit", "tools": "/tools/live/edit"}.get(base, "/deep/er/live/edit")
    with opened(visitor.token, base=base) as socket:
        assert socket.receive_text() == "ready"


# --- who may not


@pytest.mark.parametrize("token", ["", "x", None, 7, ["a"], {"a": 1}, "é" * 40], ids=repr)
def test_a_foreign_token_is_closed_on(token: object, visitor: Visitor):
    with opened(token) as socket:
        assert closed_with(socket) == route.NO_TOKEN


@pytest.mark.parametrize("first", ["", "[]", "{", "3", "[" * 900, "[" * 5000, '{"token": "' + "a" * 2000 + '"}'])
def test_what_is_no_token_at_all_is_closed_on(first: str):
    with client().websocket_connect(route.PATH, headers={"origin": HERE}) as socket:
        socket.send_text(first)
        assert closed_with(socket) == route.NO_TOKEN
    with client().websocket_connect(route.PATH, headers={"origin": HERE}) as socket:
        socket.send_bytes(first.encode())
        assert closed_with(socket) == route.NO_TOKEN


@pytest.mark.parametrize(
    "origin",
    [
        None,
        "",
        "null",
        "http://elsewhere",
        "http://testserver.elsewhere",
        "http://testserver:81",
        "http://testserver@elsewhere",
        "file://testserver",
        "testserver",
        "http://[testserver",
        "http://[nowhere]",
    ],
)
def test_pages_of_others_are_closed_on_even_with_a_token(origin: str | None, visitor: Visitor, engine: EditEngine):
    with opened(visitor.token, origin=origin) as socket:
        assert closed_with(socket) == route.FOREIGN_ORIGIN


def test_a_token_ends_with_its_session():
    token = Visitor().token
    gc.collect()
    assert visitors.find(token) is None
    with opened(token) as socket:
        assert closed_with(socket) == route.NO_TOKEN


def test_so_does_a_socket_that_is_open_then():
    visitor = Visitor()
    request = message(asking(visitor.keep(toy_engine())))
    with opened(visitor.token) as socket:
        socket.receive_text()
        del visitor
        gc.collect()
        socket.send_bytes(request)
        assert closed_with(socket) == route.NO_TOKEN


def test_an_older_socket_of_a_session_gives_way(visitor: Visitor, engine: EditEngine):
    with opened(visitor.token) as older:
        older.receive_text()
        with opened(visitor.token) as newer:
            newer.receive_text()
            older.send_bytes(message(asking(engine)))
            assert closed_with(older) == route.REPLACED
            newer.send_bytes(message(asking(engine)))
            assert json_of(newer.receive_bytes())["sequence"] == 1


# --- what it does not take


GOOD = {
    **{"sequence": 1, "content": "a toy", "mode": "edit", "settled": True, "complete": True, "loaded": 0, "blend": 1},
    **{"uses_embedding": True, "rule": "follow", "cell": None, "code": 0, "overlay": "none", "has": []},
    **{"palette": {"kind": "picture", "text": "", "place": None}, "animation": None},
}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"sequence": -1}, route.BAD_MESSAGE),
        ({"blend": 9}, route.BAD_MESSAGE),
        ({"code": 8}, route.BAD_MESSAGE),
        ({"palette": 3}, route.BAD_MESSAGE),
        ({"animation": {"form": "gif", "frames": []}}, route.BAD_MESSAGE),
        ({"grid": "AAAA", "weights": None, "mode": "learn"}, route.BAD_MESSAGE),
        ({"content": "another"}, route.GONE),
        ({"content": None}, route.GONE),
        ({"content": ["a toy"]}, route.GONE),
    ],
    ids=repr,
)
def test_a_message_with_a_fault_closes_it(changes: dict[str, Any], code: int, visitor: Visitor, engine: EditEngine):
    with opened(visitor.token) as socket:
        socket.receive_text()
        socket.send_bytes(pack(GOOD, {}))
        assert json_of(socket.receive_bytes())["sequence"] == 1
        while not json_of(socket.receive_bytes()).get("more"):
            pass
        socket.send_bytes(pack(GOOD | changes, {}))
        assert closed_with(socket) == code


@pytest.mark.parametrize("data", [b"", b"\xff" * 8, b"\x02\0\0\0[]"], ids=repr)
def test_what_is_no_message_closes_it(data: bytes, visitor: Visitor, engine: EditEngine):
    with opened(visitor.token) as socket:
        socket.receive_text()
        socket.send_bytes(data)
        assert closed_with(socket) == route.BAD_MESSAGE


def test_text_closes_it_too(visitor: Visitor, engine: EditEngine):
    with opened(visitor.token) as socket:
        socket.receive_text()
        socket.send_text("{}")
        assert closed_with(socket) == route.BAD_MESSAGE


def test_a_message_that_is_too_large_closes_it(visitor: Visitor, engine: EditEngine):
    with opened(visitor.token) as socket:
        socket.receive_text()
        socket.send_bytes(bytes(route.MOST_BYTES + 1))
        assert closed_with(socket) == route.TOO_LARGE


def test_messages_without_rest_close_it(visitor: Visitor, engine: EditEngine, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(route, "AT_ONCE", 5)
    monkeypatch.setattr(route, "MOST_A_SECOND", 1)
    with opened(visitor.token) as socket:
        socket.receive_text()
        for _ in range(8):
            socket.send_bytes(message(asking(engine)))
        with pytest.raises(WebSocketDisconnect) as end:
            while True:
                socket.receive_bytes()
    assert end.value.code == route.TOO_FAST


def test_a_socket_that_says_nothing_is_closed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(route, "PATIENCE", 0.1)
    started = time.monotonic()
    with client().websocket_connect(route.PATH, headers={"origin": HERE}) as socket:
        assert closed_with(socket) == route.NO_TOKEN
    assert time.monotonic() - started < 30


def test_the_oldest_of_many_grids_is_forgotten(visitor: Visitor):
    for number in range(MOST_ENGINES + 2):
        engine = visitor.keep(toy_engine(content=str(number)))
        visitor.newest[engine.content] = asking(engine)
    assert list(visitor.engines) == list(visitor.newest) == [str(number) for number in range(2, MOST_ENGINES + 2)]
