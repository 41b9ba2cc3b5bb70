"""How the server is: /healthz for whoever starts and stops it, /metrics for whoever watches over many.

Neither says anything of a visitor. /metrics is there only where the environment switches it on.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from streamlit import runtime

import explorer
from explorer.ui.transport import counts, uploads, visitors

HEALTH, METRICS = "/healthz", "/metrics"
SWITCH = "VQVAE_EXPLORER_METRICS"  # environment: anything but "" or "0"
PREFIX = "vqvae_explorer_"


@dataclass
class State:
    """What came of loading the first visitor's model."""

    name: str = ""
    fingerprint: str = ""
    fault: str = ""  # why there is none, in a sentence
    ended: bool = False


state = State()  # written by `lifespan`


@dataclass(frozen=True)
class Metric:
    """A figure as Prometheus takes it."""

    name: str
    kind: str  # "counter" or "gauge"
    meaning: str
    value: float


def routes(base: str = "") -> list[BaseRoute]:
    """The routes, at their paths below `server.baseUrlPath`."""
    below = f"/{base.strip('/')}" if base.strip("/") else ""
    is_on = os.environ.get(SWITCH, "0") not in ("", "0")
    return [Route(below + HEALTH, _health), Route(below + METRICS, _metrics if is_on else _no_metrics)]


def _health(request: Request) -> Response:
    """200 once a first visitor is served at once, and 503 before that; the body says with what."""
    said = {
        "status": "ok" if state.ended else "starting",
        "version": explorer.__version__,
        "model": {"name": state.name, "sha256": state.fingerprint} if state.name else None,
        "fault": state.fault or None,
        "sessions": sessions(),
    }
    return JSONResponse(said, 200 if state.ended else 503, {"Cache-Control": "no-store"})


def _metrics(request: Request) -> Response:
    return PlainTextResponse(text(metrics()), media_type="text/plain; version=0.0.4")


def _no_metrics(request: Request) -> Response:
    """Where they are not switched on; Streamlit would answer with its page, and 200."""
    return PlainTextResponse("Not Found", 404)


def sessions() -> int:
    """How many visitors there are."""
    return visitors.number() if runtime.exists() else 0


def metrics() -> list[Metric]:
    """All figures."""
    memory = peak_bytes()
    counted = counts.so_far()
    return [
        Metric("sessions", "gauge", "Visitors whose session is kept.", sessions()),
        Metric("upload_bytes", "gauge", "Of the pictures that visitors have open.", uploads.room().taken),
        Metric("start_time_seconds", "gauge", "When the server started, in seconds since 1970.", counts.STARTED),
        *(
            [Metric("peak_memory_bytes", "gauge", "The most memory that the process has held.", memory)]
            if memory
            else []
        ),
        *(Metric(name, "counter", COUNTED[name], counted.get(name, 0)) for name in COUNTED),
    ]


COUNTED = {
    "edits_total": "Pictures that editors were answered with over a socket.",
    "edits_seconds_total": "Seconds that these took, with their wait for one another.",
    "sockets_total": "Sockets that editors opened.",
    "sockets_refused_total": "Sockets that were closed for what they said, or for where they came from.",
}


def text(figures: Iterable[Metric]) -> str:
    """Prometheus' text form, version 0.0.4."""
    lines = []
    for one in figures:
        name = PREFIX + one.name
        lines += [f"# HELP {name} {one.meaning}", f"# TYPE {name} {one.kind}", f"{name} {one.value:.17g}"]
    return "\n".join(lines) + "\n"


def peak_bytes() -> int | None:
    """The most memory that the process has held; None where the system does not say."""
    try:
        import resource
    except ImportError:
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most
