"""What every answer of the server tells the browser not to do: the app's own middleware for security headers.

The policy is as strict as Streamlit's own page allows; each exception says what needs it.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
from pathlib import Path

import streamlit
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

FRAMES = "VQVAE_EXPLORER_FRAME_ANCESTORS"  # environment: the sites whose pages may show the app in a frame


def inline_scripts(page: str) -> list[str]:
    """The scripts that stand in a page itself, as a policy names them: by the hash of each."""
    bodies = re.findall(r"<script(?![^>]*\bsrc=)[^>]*>(.*?)</script>", page, re.DOTALL)
    digests = (hashlib.sha256(body.encode()).digest() for body in bodies)
    return [f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests]


_PAGE = Path(streamlit.__file__).with_name("static") / "index.html"
_SCRIPTS = inline_scripts(_PAGE.read_text(encoding="utf-8"))

POLICY = {
    "default-src": "'self'",
    # blob: is what Streamlit loads components as. Plotly makes the code that draws many points by WebGL as it runs, and
    # one policy holds for all pages: the browser loads a document once and goes from page to page within it.
    "script-src": " ".join(["'self'", *_SCRIPTS, "blob:", "'unsafe-eval'"]),
    "style-src": "'self' 'unsafe-inline'",  # Streamlit makes its styles as it draws, and components bring theirs
    "img-src": "'self' data: blob:",
    "font-src": "'self' data:",
    "media-src": "'self'",
    "connect-src": "'self'",
    "worker-src": "'self' blob:",
    "frame-src": "'none'",
    "object-src": "'none'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": " ".join(["'self'", *os.environ.get(FRAMES, "").split()]),
}
HEADERS = {
    "Content-Security-Policy": "; ".join(f"{what} {whence}" for what, whence in POLICY.items()),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "SAMEORIGIN",  # what frame-ancestors says, for browsers that do not know it
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


class SecurityHeaders:
    """Adds HEADERS to every answer over HTTP, in place of what was said there before."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        await self.app(scope, receive, answer if scope["type"] == "http" else send)
