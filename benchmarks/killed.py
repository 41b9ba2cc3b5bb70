"""How long visitors are without the app when their process is killed: python -m benchmarks.killed

    python -m benchmarks.killed [--visitors 40] [--processes 2]

Runs the app as deploy/ has it: what its image holds, in several processes behind its proxy, so nginx has to be there.
All visitors paint, each with a picture of 128 pixels and a stroke every 0.2 seconds or so, through a WebSocket of
their own; then the process that most of them are with is killed. Time is from when somebody's stroke finds nobody there
until they see their own grid again, from another process, and from the kill until the last of them does; the others
paint on meanwhile. A stroke is lost where what is on the screen after it is not what its grid decodes to, here.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from explorer.ui.transport import visitors
from tests.browser import nobody_at
from tests.crowd import Served, Show, serve_processes, wrong


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.killed", description=__doc__.splitlines()[0])
    parser.add_argument("--visitors", type=int, default=40)
    parser.add_argument("--processes", type=int, default=2, help="two or more")
    options = parser.parse_args()
    if options.processes < 2 or options.visitors < 1:
        parser.error("it takes a visitor, and a process to go on to")
    any_number = {visitors.MOST_VISITORS: "0"}
    with (
        tempfile.TemporaryDirectory() as made,
        serve_processes(Path(made), options.processes, **any_number) as served,
        ThreadPoolExecutor(1) as pool,
    ):
        show = Show(served.url, options.visitors)
        painting = pool.submit(asyncio.run, show.run())
        try:
            _kill(served, show, painting)
        finally:
            show.killed.set()  # or they would paint for ever
            painting.result()
    strokes = sum(len(painter.screens) for painter in show.painters)
    print(f"strokes: {strokes:,}, of which {wrong(show.painters):,} were lost")


def _kill(served: Served, show: Show, painting: Future[None]) -> None:
    """Kill a process once all are painting, and wait until all of its visitors are back; prints what that took."""
    while not show.painting.wait(0.2):
        _see_to(painting)
    by_process = {
        process: [painter for painter in show.painters if served.of(painter.tab.cookies) is process]
        for process in served.processes
    }
    killed, struck = max(by_process.items(), key=lambda item: len(item[1]))
    print(
        f"{len(show.painters)} visitors on {len(served.processes)} processes, all there after {show.came_within:.1f} s"
    )
    killed.kill()
    began = time.monotonic()
    with nobody_at(killed.port):
        while not all(painter.back_after for painter in struck):
            _see_to(painting)
            time.sleep(0.02)
        last = time.monotonic() - began
    waits = [wait for painter in struck for wait in painter.back_after]
    print(
        f"one process is killed: its {len(struck)} visitors are back after {statistics.median(waits):.1f} s (median), "
        f"{max(waits):.1f} s (slowest), the last of them {last:.1f} s after the kill"
    )


def _see_to(painting: Future[None]) -> None:
    """Raise what went wrong with those who paint, rather than wait for them."""
    if painting.done():
        painting.result()


if __name__ == "__main__":
    main()
