"""The security headers: on every answer, and as strict as they say."""

import asyncio
import base64
import hashlib

from starlette.responses import PlainTextResponse
from starlette.types import Message

from explorer.ui.transport import headers


def answered(before: dict[str, str], kind: str = "http") -> list[Message]:
    """What is sent for a request, behind the middleware."""
    sent: list[Message] = []

    async def app(scope, receive, send):
        if scope["type"] == "http":
            await PlainTextResponse("hello", headers=before)(scope, receive, send)
        else:
            await send({"type": "websocket.accept", "headers": []})

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": f"{kind}.request"}

    asyncio.run(headers.SecurityHeaders(app)({"type": kind}, receive, send))
    return sent


def test_every_answer_says_them_once_whatever_was_said_before():
    start, body = answered({"referrer-policy": "unsafe-url", "x-mine": "stays"})
    said = [(name.decode(), value.decode()) for name, value in start["headers"]]
    for name, value in headers.HEADERS.items():
        assert [one for other, one in said if other == name.lower()] == [value]
    assert ("x-mine", "stays") in said and body["body"] == b"hello"


def test_a_socket_is_left_as_it_is():
    assert answered({}, "websocket") == [{"type": "websocket.accept", "headers": []}]


def test_scripts_come_from_the_app_alone_and_no_text_becomes_one():
    scripts = headers.POLICY["script-src"].split()
    assert "'self'" in scripts and not {"*", "https:", "data:", "'unsafe-inline'"} & set(scripts)
    assert headers.POLICY["object-src"] == "'none'" and headers.POLICY["default-src"] == "'self'"


def test_scripts_within_a_page_are_named_by_their_hash_and_those_it_loads_are_not():
    page = '<script>let a = 1;\n</script><script type="module" src="x.js"></script><script type="module">b()</script>'
    digests = [base64.b64encode(hashlib.sha256(body).digest()).decode() for body in (b"let a = 1;\n", b"b()")]
    assert headers.inline_scripts(page) == [f"'sha256-{digest}'" for digest in digests]
