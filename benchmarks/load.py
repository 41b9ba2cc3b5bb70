"""Many visitors edit at a person's pace, each in a session of the app of its own: who waits, who sees a wrong pixel.

python -m benchmarks.load [--visitors 60] [--seconds 60] [--pace 0.4] [--rounds 1]
python -m benchmarks.load --visitors 1 5 20 40    # and what 20, 200 and 2,000 of them take, by the rule that it prints

Starts the app by itself. A visitor opens the Edit page as a browser does, takes the session's token from what the page
says, and paints over the editor's socket: a press on a random cell, and a release. Latency is from the press to the new
pixels. Every picture that was on a screen after a release is compared with a decode of its grid in this process, after
the clock has stopped. With several rounds the visitors leave after each, and the server's memory is printed. Bytes are
those of the messages on both sockets, before the compression of the one of the page.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import tempfile
import time
import urllib.request
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
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
from benchmarks.timing import print_columns
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
    opened: int = 0  # bytes that the page took to open
    down: int = 0  # bytes that edits were answered with,
    up: int = 0  # and that they sent
    screens: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)  # grid [h, w], pixels [H, W, 3]


@dataclass(frozen=True)
class Level:
    """What so many visitors at once took of the server."""

    visitors: int
    edits: int
    seconds: float  # of editing
    opening_cpu: float  # seconds of CPU time until all pages were open
    editing_cpu: float  # seconds of CPU time of the edits
    opened: float  # bytes per visitor
    down: float  # bytes per edit
    up: float  # bytes per edit
    p95: float  # milliseconds from a press to its pixels
    memory: float  # MiB, with all of them there


ASKED_ABOUT = (20, 200, 2000)  # visitors
BUSY = 0.5  # of a core: Python runs on one, and what is left takes the peaks


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__.splitlines()[0])
    parser.add_argument("--visitors", type=int, nargs="+", default=[60], help="at once; several numbers, in turn")
    parser.add_argument("--seconds", type=float, default=60, help="of editing, in each round")
    parser.add_argument("--pace", type=float, default=0.4, help="edits a second of each visitor")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--size", type=int, default=256)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        os.environ["VQVAE_EXPLORER_CACHE"] = made
        os.environ["STREAMLIT_SERVER_DISCONNECTED_SESSION_TTL"] = "5"
        with serve_app(CHECKPOINTS, Path(made) / "log") as url:
            _wait_until_ready(url)
            idle = memory()
            levels = [
                _round(url, number, visitors, options)
                for visitors in options.visitors
                for number in range(1, options.rounds + 1)
            ]
    if len(levels) > 1:
        _print_extrapolated(levels, idle, options.pace)


def _wait_until_ready(url: str) -> None:
    for _ in range(240):
        try:
            urllib.request.urlopen(f"{url}/healthz", timeout=5).close()
            return
        except OSError:
            time.sleep(0.5)


def _round(url: str, number: int, visitors: int, options: argparse.Namespace) -> Level:
    visits, level = asyncio.run(_visit_all(url, visitors, options))
    waits = np.array([wait for visit in visits for wait in visit.waits])
    wrong, screens = _wrong(visits, options.size)
    p50, p95, worst = 1000 * np.quantile(waits, [0.5, 0.95, 1]) if len(waits) else (0, 0, 0)
    time.sleep(12)  # sessions end, and with them what they held
    print(
        f"round {number}: {visitors} sessions × {options.pace} edits/s, {len(waits)} edits in {level.seconds:.0f} s; "
        f"failed {sum(visit.failed for visit in visits)}, wrong pictures {wrong} of {screens}; press to pixels p50 "
        f"{p50:.0f} ms, p95 {p95:.0f} ms, worst {worst:.0f} ms; server CPU {level.opening_cpu:.1f} s to open "
        f"and {level.editing_cpu:.1f} s to edit; memory {level.memory:.0f} MiB, {memory():.0f} MiB once they have left",
        flush=True,
    )
    return replace(level, p95=float(p95))


def _print_extrapolated(levels: list[Level], idle: float, pace: float) -> None:
    """The levels side by side, and by a rule that is said what more visitors would take."""
    print()
    print_columns(
        (
            *("visitors", "CPU s to open", "MiB to open", "CPU s an edit", "KiB down", "KiB up"),
            *("cores busy", "p95, ms", "memory, MiB"),
        ),
        [
            (
                f"{level.visitors}",
                f"{level.opening_cpu / level.visitors:.2f}",
                f"{level.opened / (1 << 20):.2f}",
                f"{level.editing_cpu / max(1, level.edits):.3f}",
                f"{level.down / 1024:.1f}",
                f"{level.up / 1024:.1f}",
                f"{level.editing_cpu / level.seconds:.2f}",
                f"{level.p95:.0f}",
                f"{level.memory:.0f}",
            )
            for level in levels
        ],
    )
    first, last = levels[0], max(levels, key=lambda level: level.visitors)
    cpu = last.editing_cpu / max(1, last.edits)
    carried = max(1, math.floor(BUSY / (pace * cpu)))
    each = max(0.0, (last.memory - first.memory) / max(1, last.visitors - first.visitors))
    print(
        f"A process has a core and is kept {BUSY:.0%} busy: at {cpu:.3f} CPU s an edit and {pace} edits/s it carries\n"
        f"{carried} visitors. Idle it has {idle:.0f} MiB, and {each:.1f} MiB more with each of them.\n"
    )
    rows = []
    for visitors in ASKED_ABOUT:
        processes = math.ceil(visitors / carried)
        rows.append(
            (
                f"{visitors:,}",
                f"{processes}",
                f"{(processes * idle + visitors * each) / 1024:.1f}",
                f"{visitors * pace * last.down * 8 / 1e6:.1f}",
                f"{2 * visitors:,}",
                f"{visitors * last.opening_cpu / last.visitors / processes:.0f}",
            )
        )
    print_columns(
        ("visitors", "processes, cores", "memory, GiB", "Mbit/s out", "sockets", "CPU s a core if all open at once"),
        rows,
    )


async def _visit_all(url: str, visitors: int, options: argparse.Namespace) -> tuple[list[Visit], Level]:
    """All visits, and what they took; how long they waited is for the caller to see."""
    visits = [Visit(PICTURES[number % len(PICTURES)]) for number in range(visitors)]
    cpu = [cpu_seconds()]
    gate = asyncio.Semaphore(4)  # people do not all come in one second
    async with AsyncExitStack() as tabs:
        opened = await asyncio.gather(*(_open_page(url, visit, options.size, gate, tabs) for visit in visits))
        cpu.append(cpu_seconds())
        started = time.perf_counter()
        await asyncio.gather(
            *(
                _edit(url, visit, page, options, seed)
                for seed, (visit, page) in enumerate(zip(visits, opened, strict=True))
            )
        )
        cpu.append(cpu_seconds())
        edits = sum(len(visit.waits) for visit in visits)
        return visits, Level(
            visitors=visitors,
            edits=edits,
            seconds=time.perf_counter() - started,
            opening_cpu=cpu[1] - cpu[0],
            editing_cpu=cpu[2] - cpu[1],
            opened=sum(visit.opened for visit in visits) / visitors,
            down=sum(visit.down for visit in visits) / max(1, edits),
            up=sum(visit.up for visit in visits) / max(1, edits),
            p95=0,
            memory=memory(),
        )


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
            found = await _said_to_editor(page, visit)
        listening = asyncio.create_task(_keep_up(page))
        tabs.callback(listening.cancel)
        return found
    except (OSError, WebSocketException, TimeoutError):
        visit.failed += 1
        return None


async def _said_to_editor(page: ClientConnection, visit: Visit) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What the page says to the editor, once it has run."""
    found, kind = None, None
    while found is None or kind != "script_finished":
        told = ForwardMsg()
        data = await asyncio.wait_for(page.recv(decode=False), PATIENCE)
        visit.opened += len(data)
        told.ParseFromString(data)
        kind = told.WhichOneof("type")
        if kind == "delta" and told.delta.new_element.WhichOneof("type") == "bidi_component":
            component = told.delta.new_element.bidi_component.bytes
            found = _unpack(component) if b'"live": ' in component[:200_000] else found
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
            request = _request(header, grid, sequence, settled=settled, has=has)
            visit.up += len(request)
            await socket.send(request)
            answered: dict[str, Any] = {"sequence": -1}
            while answered["sequence"] < sequence or answered.get("more"):
                answer = bytes(await asyncio.wait_for(socket.recv(), PATIENCE))
                visit.down += len(answer)
                answered, parts = _unpack(answer)
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
