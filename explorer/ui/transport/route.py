"""The editor's own route: a WebSocket that takes edits and gives pixels, beside the reruns of the page.

One request is in flight on a socket, and of those that come meanwhile the newest counts. A socket has to say its
session's token first, and comes from the app's own pages; whatever is wrong closes it, with a code and nothing else.
"""

from __future__ import annotations

import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from explorer.base.turns import edits
from explorer.base.wire import unpack
from explorer.editing.answer import Answer
from explorer.editing.engine import EditEngine
from explorer.editing.requests import EditRequest
from explorer.ui.transport import counts, visitors
from vqvae.errors import BadInput

PATH = "/live/edit"
BAD_MESSAGE, NO_TOKEN, FOREIGN_ORIGIN, REPLACED, GONE, TOO_FAST = 4400, 4401, 4403, 4409, 4410, 4429
TOO_LARGE, FAULT = 1009, 1011
REFUSALS = (BAD_MESSAGE, NO_TOKEN, FOREIGN_ORIGIN, TOO_FAST, TOO_LARGE)
PATIENCE = 10  # seconds within which the token has to come
PAUSE = 0.15  # seconds that a hand has to hold a slider still until figures are measured
MOST_BYTES = 8 << 20  # of a message: 2^18 cells take 1.6 MB
MOST_A_SECOND, AT_ONCE = 120, 240  # messages; a browser that waits for its answers sends a tenth of it

_long = ThreadPoolExecutor(1, "palettes")  # what takes longer than a decode: palettes, marks


def routes(base: str = "") -> list[BaseRoute]:
    """The route, at its path below `server.baseUrlPath`."""
    return [WebSocketRoute(url_path(base), serve)]


def url_path(base: str) -> str:
    """Where the route lies, for an app below such a path."""
    return f"/{base.strip('/')}{PATH}" if base.strip("/") else PATH


async def serve(socket: WebSocket) -> None:
    """Answer one socket until either side ends it."""
    await socket.accept()
    counts.add("sockets_total")
    code = FOREIGN_ORIGIN
    with suppress(WebSocketDisconnect):
        if from_here(socket):
            code = await _serve(socket)
        counts.add("sockets_refused_total", code in REFUSALS)
        with suppress(RuntimeError):  # it was closed by the other side meanwhile
            await socket.close(code)


def from_here(socket: WebSocket) -> bool:
    """Whether a page of this very app opened it; a browser always says where it comes from."""
    try:
        origin = urlsplit(socket.headers.get("origin", ""))
    except ValueError:  # as of a bracket that is not closed
        return False
    host = socket.headers.get("host", "")
    return origin.scheme in ("http", "https") and bool(host) and origin.netloc.lower() == host.lower()


async def _serve(socket: WebSocket) -> int:
    """Why it is to be closed."""
    try:
        first = await asyncio.wait_for(socket.receive(), PATIENCE)
    except TimeoutError:
        return NO_TOKEN
    visitor = visitors.find(_token(first.get("text")))
    if visitor is None:
        return NO_TOKEN
    await socket.send_text("ready")
    visitor.sockets += 1
    line = _Line(socket, visitor.token, visitor.sockets)
    del visitor  # only the session keeps it
    answering = asyncio.create_task(line.answer_all())
    try:
        return await line.listen()
    finally:
        answering.cancel()
        if line.later is not None:
            line.later.cancel()
        with suppress(asyncio.CancelledError):
            await answering


def _token(message: str | None) -> object:
    if message is None or len(message) > 1000:
        return None
    try:
        said = json.loads(message)
    except (ValueError, RecursionError):
        return None
    return said.get("token") if isinstance(said, dict) else None


class _Line:
    """One socket: what it asked for last, and what came of it."""

    def __init__(self, socket: WebSocket, token: str, number: int) -> None:
        self.socket = socket
        self.token = token
        self.number = number
        self.waiting: bytes | None = None  # the newest message that was not looked at
        self.news = asyncio.Event()
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.later: asyncio.Task[None] | None = None  # what takes longer than a picture
        self.rate = _Rate(MOST_A_SECOND, AT_ONCE)

    async def listen(self) -> int:
        """Take messages in until one is wrong or the answering has ended; returns the code to close with."""
        while True:
            receiving = asyncio.ensure_future(self.socket.receive())
            waited_for: set[asyncio.Future] = {receiving, self.ended}
            await asyncio.wait(waited_for, return_when=asyncio.FIRST_COMPLETED)
            if self.ended.done():
                receiving.cancel()
                return self.ended.result()
            message = receiving.result()
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message.get("code", 1000))
            data = message.get("bytes")
            if data is None:
                return BAD_MESSAGE
            if len(data) > MOST_BYTES:
                return TOO_LARGE
            if not self.rate.allows():
                return TOO_FAST
            self.waiting = data
            self.news.set()

    async def answer_all(self) -> None:
        """Answer the newest message, again and again."""
        try:
            while True:
                await self.news.wait()
                self.news.clear()
                if self.waiting is not None:
                    data, self.waiting = self.waiting, None
                    if self.later is not None:
                        self.later.cancel()
                    await self._answer(data)
        except _Wrong as wrong:
            self.ended.set_result(wrong.code)
        except (WebSocketDisconnect, RuntimeError):  # the other side is gone
            self.ended.set_result(GONE)
        except Exception:
            self.ended.set_result(FAULT)
            raise

    async def _answer(self, data: bytes) -> None:
        engine, request = self._read(data)
        try:
            with counts.timed("edits"):
                answer = await asyncio.wrap_future(edits.submit(lambda: engine.answer(request)))
            await self.socket.send_bytes(answer.pack(request.has, codes=engine.model.codes))
            if request.settled or request.mode == "inputs":
                self.later = asyncio.create_task(self._answer_more(engine, answer, request))
        except BadInput as refusal:  # of a model that turns out wrong: the page says it in place
            raise _Wrong(GONE) from refusal

    async def _answer_more(self, engine: EditEngine, answer: Answer, request: EditRequest) -> None:
        """What takes longer than a picture, beside the next pictures; void once something newer is asked."""
        if not request.settled:
            await asyncio.sleep(PAUSE)
        with suppress(BadInput, WebSocketDisconnect, RuntimeError):  # the page says the first in place; else it is gone
            more = await asyncio.wrap_future(_long.submit(engine.more, answer, request))
            if more is not None and self.waiting is None:
                await self.socket.send_bytes(more.pack(request.has, codes=engine.model.codes))

    def _read(self, data: bytes) -> tuple[EditEngine, EditRequest]:
        """The engine that is asked, and what; raises _Wrong with the code to close with."""
        visitor = visitors.find(self.token)
        if visitor is None:
            raise _Wrong(NO_TOKEN)
        if visitor.sockets != self.number:
            raise _Wrong(REPLACED)
        try:
            header, arrays = unpack(data)
        except ValueError:
            raise _Wrong(BAD_MESSAGE) from None
        engine = visitor.engines.get(str(header.get("content")))
        if engine is None:
            raise _Wrong(GONE)  # the page is to be asked: it makes one
        message = {**header, "grid": arrays.get("grid"), "weights": arrays.get("weights"), "document": None}
        if isinstance(header.get("palette"), dict):
            message["palette"] = {**header["palette"], "patch": arrays.get("patch")}
        request = EditRequest.parse(message, codes=engine.model.codes)
        if request is None or request.animation is not None:
            raise _Wrong(BAD_MESSAGE)
        visitor.newest[engine.content] = request
        return engine, request


class _Wrong(Exception):
    """Something for which a socket is closed."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@dataclass
class _Rate:
    """So many a second in the long run, and so many at once."""

    a_second: float
    at_once: float

    def __post_init__(self) -> None:
        self.left, self.at = self.at_once, time.monotonic()

    def allows(self) -> bool:
        now = time.monotonic()
        self.left = min(self.at_once, self.left + (now - self.at) * self.a_second)
        self.at = now
        self.left -= 1
        return self.left >= 0
