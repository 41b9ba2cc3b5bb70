"""A visitor who edits without a browser: the page's WebSocket and the editor's, and a grid that is the visitor's own.

As in the browser the grid lies with whoever paints it: a server that ends takes nothing of it along.
"""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException
from websockets.typing import Origin, Subprotocol

from explorer.base.wire import pack
from explorer.editing.edits import UNPAINTED

STREAMLIT = Subprotocol("streamlit")
PATIENCE = 120  # seconds for an answer
AGAIN = 0.3  # seconds until a server that does not answer is asked again
Message = tuple[dict[str, Any], dict[str, np.ndarray]]  # header and arrays
GONE = (OSError, WebSocketException, TimeoutError)


class Fault(Exception):
    """What a page says went wrong in it."""


@dataclass(eq=False)
class Tab:
    """One page of the app, open in a session of its own."""

    url: str
    cookies: dict[str, str] = field(default_factory=dict)
    socket: ClientConnection | None = None
    listening: asyncio.Task[None] | None = None

    async def open(self, page: str, query: str = "") -> Message | None:
        """Run a page, which stays open; what it says to an editor, if it has one. Raises Fault, and what is in GONE."""
        await self.ask("/")
        self.socket = await self.connect("/_stcore/stream", subprotocols=[STREAMLIT])
        return await self.go(page, query, back=False)

    async def go(self, page: str, query: str, *, back: bool = True) -> Message | None:
        """As `open`, in the session that there is; `back`: by the browser's history, so that the address counts."""
        assert self.socket is not None
        await self._stop_listening()
        message = BackMsg()
        message.rerun_script.page_name, message.rerun_script.query_string = page, query
        message.rerun_script.is_history_navigation = back
        await self.socket.send(message.SerializeToString())
        said = await self._run(self.socket)
        self.listening = asyncio.create_task(_keep_up(self.socket))
        return said

    async def _stop_listening(self) -> None:
        if self.listening is not None:
            self.listening.cancel()
            await asyncio.wait([self.listening])
            self.listening = None

    async def ask(self, path: str) -> bytes:
        """What is at a path."""
        request = urllib.request.Request(f"{self.url}{path}", headers=self._headers())

        def read() -> tuple[bytes, list[str]]:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return answer.read(), answer.headers.get_all("Set-Cookie") or []

        content, said = await asyncio.to_thread(read)
        self._keep(said)
        return content

    async def connect(self, path: str, **options: Any) -> ClientConnection:
        """A WebSocket, as a page of the app opens one."""
        address = self.url.replace("http", "ws", 1) + path
        socket = await connect(
            address,
            origin=Origin(self.url),
            additional_headers=self._headers(),
            max_size=None,
            open_timeout=PATIENCE,
            ping_interval=None,  # the server asks; one that is slow is not gone
            **options,
        )
        assert socket.response is not None
        self._keep(socket.response.headers.get_all("Set-Cookie"))
        return socket

    def _headers(self) -> dict[str, str]:
        return {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())} if self.cookies else {}

    def _keep(self, said: list[str]) -> None:
        self.cookies |= dict(cookie.split(";")[0].split("=", 1) for cookie in said)

    @staticmethod
    async def _run(socket: ClientConnection) -> Message | None:
        found, kind = None, None
        while kind != "script_finished":
            told = ForwardMsg()
            told.ParseFromString(await asyncio.wait_for(socket.recv(decode=False), PATIENCE))
            kind = told.WhichOneof("type")
            element = told.delta.new_element
            match element.WhichOneof("type") if kind == "delta" else None:
                case "exception":
                    raise Fault(element.exception.message)
                case "bidi_component" if b'"live": ' in element.bidi_component.bytes[:200_000]:
                    found = unpacked(element.bidi_component.bytes)
        return found

    async def close(self) -> None:
        await self._stop_listening()
        if self.socket is not None:
            await self.socket.close()


async def _keep_up(socket: ClientConnection) -> None:
    try:
        async for _ in socket:
            pass
    except WebSocketException:  # whoever edits notices by themselves
        pass


def unpacked(message: bytes) -> Message:
    """The browser's side of the wire."""
    start = 4 + int.from_bytes(message[:4], "little")
    header = json.loads(message[4:start])
    arrays = {}
    for entry in header.pop("arrays"):
        dtype, count = np.dtype(entry["dtype"]), int(np.prod(entry["shape"]))
        arrays[entry["name"]] = np.frombuffer(message, dtype, count, start + entry["offset"]).reshape(entry["shape"])
    return header, arrays


@dataclass(eq=False)
class Painter:
    """Someone who paints on a picture, and sees what comes back."""

    url: str
    picture: str
    size: int
    random: np.random.Generator
    tab: Tab = field(init=False)
    socket: ClientConnection = field(init=False)
    header: dict[str, Any] = field(init=False)  # what the page said
    grid: np.ndarray | None = None  # [h, w], as it was painted
    pixels: np.ndarray = field(init=False)  # [H, W, 3], as it is on the screen
    has: set[int] = field(default_factory=set)
    sequence: int = 0
    screens: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)  # grid and pixels after each stroke
    back_after: list[float] = field(default_factory=list)  # seconds that it took each time to see their grid again

    def __post_init__(self) -> None:
        self.tab = Tab(self.url)

    async def come(self) -> None:
        """Open the page, and the editor's socket; the grid is the picture's own where nothing was painted yet."""
        self._take(await self.tab.open("edit", f"picture={self.picture}&size={self.size}"))
        await self.open_socket()

    async def choose(self, picture: str, size: int) -> None:
        """Paint on another picture, in the same session."""
        self.picture, self.size, self.grid = picture, size, None
        self._take(await self.tab.go("edit", f"picture={picture}&size={size}"))

    def _take(self, said: Message | None) -> None:
        assert said is not None, "the page shows no editor"
        self.header, arrays = said
        self.pixels, self.has = arrays["decoded"].copy(), {self.header["decoded_number"]}
        self.sequence = max(self.sequence, self.header["sequence"])
        if self.grid is None:
            self.grid = arrays["base"].astype(np.int64)

    async def open_socket(self) -> None:
        """Open the editor's socket, in place of the one before."""
        self.socket = await self.tab.connect(self.header["live"]["path"])
        await self.socket.send(json.dumps({"token": self.header["live"]["token"]}))
        assert await asyncio.wait_for(self.socket.recv(), PATIENCE) == "ready"

    async def stroke(self) -> None:
        """Press on a cell, drag over the next, let go; each is answered. Comes back where the server is gone."""
        assert self.grid is not None
        rows, columns = self.grid.shape
        row, column = self.random.integers(rows), self.random.integers(columns - 1)
        code = self.random.integers(self.header["codes"])
        try:
            for settled, cell in ((False, column), (True, column + 1)):
                self.grid[row, cell] = code
                await self.see(settled=settled)
        except GONE:
            self.grid[row, column : column + 2] = code
            await self.come_back()
        self.screens.append((self.grid.copy(), self.pixels.copy()))

    async def see(self, *, settled: bool) -> None:
        """Send the grid, and take in what comes of it."""
        self.sequence += 1
        await self.socket.send(self._request(settled))
        answered: dict[str, Any] = {"sequence": -1}
        while answered["sequence"] < self.sequence or answered.get("more"):
            answered, parts = unpacked(bytes(await asyncio.wait_for(self.socket.recv(), PATIENCE)))
            if "decoded" in parts:
                top, left = answered.get("window", (0, 0))
                height, width = parts["decoded"].shape[:2]
                self.pixels[top : top + height, left : left + width] = parts["decoded"]
                self.has = {answered["decoded_number"]}

    def _request(self, settled: bool) -> bytes:
        assert self.grid is not None
        request = {
            **self.header["asked"],
            **{"sequence": self.sequence, "content": self.header["content"], "mode": "edit", "settled": settled},
            **{"complete": True, "loaded": 0, "has": sorted(self.has), "animation": None},
            "palette": {"kind": "picture", "text": "", "place": None},
        }
        weights = np.full(self.grid.size, UNPAINTED, np.int16)
        return pack(request, {"grid": self.grid.reshape(-1).astype(np.uint16), "weights": weights})

    async def come_back(self) -> None:
        """As a browser does: ask until there is an answer, have the page run, and send the grid."""
        gone = time.monotonic()
        while True:
            try:
                await self.leave()
                await self.tab.ask("/_stcore/health")
                await self.come()
                await self.see(settled=True)
                break
            except GONE:
                if time.monotonic() - gone > PATIENCE:
                    raise
                await asyncio.sleep(AGAIN)
        self.back_after.append(time.monotonic() - gone)

    async def leave(self) -> None:
        await self.socket.close()
        await self.tab.close()
