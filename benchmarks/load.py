"""Many visitors edit at a person's pace, each in a session of the app of its own: who waits, who sees a wrong pixel.

python -m benchmarks.load [--visitors 60] [--seconds 60] [--pace 0.4] [--rounds 1]

Starts the app by itself. A visitor opens the Edit page as a browser does, takes the session's token from what the page
says, and paints over the editor's socket: a press on a random cell, and a release. Latency is from the press to the new
pixels. Every picture that was on a screen after a release is compared with a decode of its grid in this process, after
the clock has stopped. With several rounds the visitors leave after each, and the server's memory is printed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException
from websockets.typing import Origin, Subprotocol

from benchmarks.edit_latency import CHECKPOINTS
from benchmarks.server import cpu_seconds, memory
from explorer.base.wire import pack
from explorer.editing.edits import UNPAINTED, Edit, LiveDecoder
from explorer.images.pictures import open_picture
from explorer.images.reconstruction import encode_picture
from explorer.images.samples import SAMPLES, find
from tests.browser import serve_app
from vqvae import checkpoint
from vqvae.images import to_pixels

CHECKPOINT = "photos"
STREAMLIT = Subprotocol("streamlit")
PATIENCE = 60  # seconds for an answer
HELD = 0.08  # seconds from press to release
PICTURES = [sample.name for sample in SAMPLES[:6]]


@dataclass
class Visit:
    """What one visitor met with."""

    picture: str
    waits: list[float] = field(default_factory=list)  # seconds from a press to its pixels
    failed: int = 0
    screens: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)  # grid [h, w], pixels [H, W, 3]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__.splitlines()[0])
    parser.add_argument("--visitors", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=60, help="of editing, in each round")
    parser.add_argument("--pace", type=float, default=0.4, help="edits a second of each visitor")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--size", type=int, default=256)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        os.environ["VQVAE_EXPLORER_CACHE"] = made
        os.environ["STREAMLIT_SERVER_DISCONNECTED_SESSION_TTL"] = "5"
        with serve_app(CHECKPOINTS, Path(made) / "log") as url:
            for number in range(1, options.rounds + 1):
                _round(url, number, options)


def _round(url: str, number: int, options: argparse.Namespace) -> None:
    before = cpu_seconds()
    visits, seconds = asyncio.run(_visit_all(url, options))
    cpu = cpu_seconds() - before
    waits = np.array([wait for visit in visits for wait in visit.waits])
    wrong, screens = _wrong(visits, options.size)
    p50, p95, worst = 1000 * np.quantile(waits, [0.5, 0.95, 1]) if len(waits) else (0, 0, 0)
    time.sleep(12)  # sessions end, and with them what they held
    print(
        f"round {number}: {options.visitors} sessions × {options.pace} edits/s, {len(waits)} edits in {seconds:.0f} s; "
        f"failed {sum(visit.failed for visit in visits)}, wrong pictures {wrong} of {screens}; press to pixels p50 "
        f"{p50:.0f} ms, p95 {p95:.0f} ms, worst {worst:.0f} ms; server CPU {cpu:.1f} s; "
        f"memory {memory():.0f} MiB",
        flush=True,
    )


async def _visit_all(url: str, options: argparse.Namespace) -> tuple[list[Visit], float]:
    """All visits, and how many seconds they edited."""
    visits = [Visit(PICTURES[number % len(PICTURES)]) for number in range(options.visitors)]
    gate = asyncio.Semaphore(4)  # people do not all come in one second
    async with AsyncExitStack() as tabs:
        opened = await asyncio.gather(*(_open_page(url, visit, options.size, gate, tabs) for visit in visits))
        started = time.perf_counter()
        await asyncio.gather(
            *(
                _edit(url, visit, page, options, seed)
                for seed, (visit, page) in enumerate(zip(visits, opened, strict=True))
            )
        )
        return visits, time.perf_counter() - started


async def _keep_up(page: ClientConnection) -> None:
    async for _ in page:
        pass


async def _open_page(
    url: str, visit: Visit, size: int, gate: asyncio.Semaphore, tabs: AsyncExitStack
) -> tuple[dict[str, Any], dict[str, np.ndarray]] | None:
    """Run the Edit page, which stays open, and find what it says to the editor; None where it cannot be had."""
    message = BackMsg()
    message.rerun_script.page_name = "edit"
    message.rerun_script.query_string = f"picture={visit.picture}&size={size}"
    try:
        async with gate:
            address = _socket(url, "/_stcore/stream")
            page = await tabs.enter_async_context(
                connect(address, subprotocols=[STREAMLIT], origin=Origin(url), max_size=None)
            )
            await page.send(message.SerializeToString())
            found = await _said_to_editor(page)
        listening = asyncio.create_task(_keep_up(page))
        tabs.callback(listening.cancel)
        return found
    except (OSError, WebSocketException, TimeoutError):
        visit.failed += 1
        return None


async def _said_to_editor(page: ClientConnection) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What the page says to the editor, once it has run."""
    found, kind = None, None
    while found is None or kind != "script_finished":
        told = ForwardMsg()
        told.ParseFromString(await asyncio.wait_for(page.recv(decode=False), PATIENCE))
        kind = told.WhichOneof("type")
        if kind == "delta" and told.delta.new_element.WhichOneof("type") == "bidi_component":
            data = told.delta.new_element.bidi_component.bytes
            found = _unpack(data) if b'"live": ' in data[:200_000] else found
    return found


def _socket(url: str, path: str) -> str:
    return url.replace("http", "ws", 1) + path


def _unpack(message: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The browser's side of the wire."""
    start = 4 + int.from_bytes(message[:4], "little")
    header = json.loads(message[4:start])
    arrays = {}
    for entry in header.pop("arrays"):
        dtype, count = np.dtype(entry["dtype"]), int(np.prod(entry["shape"]))
        arrays[entry["name"]] = np.frombuffer(message, dtype, count, start + entry["offset"]).reshape(entry["shape"])
    return header, arrays


async def _edit(
    url: str,
    visit: Visit,
    page: tuple[dict[str, Any], dict[str, np.ndarray]] | None,
    options: argparse.Namespace,
    seed: int,
) -> None:
    """Paint at a person's pace until the time is over."""
    if page is None:
        return
    header, arrays = page
    live = header["live"]
    try:
        async with connect(_socket(url, live["path"]), origin=Origin(url), max_size=None) as socket:
            await socket.send(json.dumps({"token": live["token"]}))
            await socket.recv()
            await _paint(socket, visit, header, arrays, options, np.random.default_rng(seed))
    except (OSError, WebSocketException, TimeoutError):
        visit.failed += 1


async def _paint(
    socket: ClientConnection,
    visit: Visit,
    header: dict[str, Any],
    arrays: dict[str, np.ndarray],
    options: argparse.Namespace,
    random: np.random.Generator,
) -> None:
    """Press, release, wait."""
    grid, pixels = arrays["base"].copy(), arrays["decoded"].copy()
    has, sequence = {header["decoded_number"]}, header["sequence"]
    until = time.perf_counter() + options.seconds
    await asyncio.sleep(random.exponential(1 / options.pace))
    while time.perf_counter() < until:
        grid[random.integers(grid.shape[0]), random.integers(grid.shape[1])] = random.integers(header["codes"])
        for settled in (False, True):
            sequence += 1
            asked = time.perf_counter()
            await socket.send(_request(header, grid, sequence, settled=settled, has=has))
            answered: dict[str, Any] = {"sequence": -1}
            while answered["sequence"] < sequence or answered.get("more"):
                answered, parts = _unpack(bytes(await asyncio.wait_for(socket.recv(), PATIENCE)))
                if "decoded" in parts:
                    top, left = answered.get("window", (0, 0))
                    height, width = parts["decoded"].shape[:2]
                    pixels[top : top + height, left : left + width] = parts["decoded"]
                    has = {answered["decoded_number"]}
            if not settled:
                visit.waits.append(time.perf_counter() - asked)
                await asyncio.sleep(HELD)
        visit.screens.append((grid.copy(), pixels.copy()))
        await asyncio.sleep(random.exponential(1 / options.pace))


def _request(header: dict[str, Any], grid: np.ndarray, sequence: int, *, settled: bool, has: set[int]) -> bytes:
    request = {
        **header["asked"],
        **{"sequence": sequence, "content": header["content"], "mode": "edit", "settled": settled, "complete": True},
        **{"loaded": 0, "has": sorted(has), "palette": {"kind": "picture", "text": "", "place": None}},
        "animation": None,
    }
    weights = np.full(grid.size, UNPAINTED, np.int16)
    return pack(request, {"grid": grid.reshape(-1), "weights": weights})


def _wrong(visits: list[Visit], size: int) -> tuple[int, int]:
    """How many pictures are not what their grid decodes to, and how many there were."""
    model = checkpoint.load(CHECKPOINTS / CHECKPOINT)
    wrong = looked_at = 0
    for name in PICTURES:
        sample = find(name)
        assert sample is not None
        picture = open_picture(sample.read(), sample.file, working_size=size)
        base = encode_picture(model, picture).encoding
        height, width = picture.pixels.shape[:2]
        for visit in visits:
            live = LiveDecoder(model, base)
            for grid, pixels in visit.screens if visit.picture == name else ():
                edit = Edit(grid.astype(np.int64), np.ones(grid.shape, np.float32))
                expected = to_pixels(live.decode(edit)[..., :height, :width])[0]
                wrong += bool(np.abs(expected.astype(int) - pixels).max() > 1)
                looked_at += 1
    return wrong, looked_at


if __name__ == "__main__":
    main()
