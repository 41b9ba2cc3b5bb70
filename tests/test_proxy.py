"""The reverse proxy of deploy/ before servers that only say who they are: who is sent where, and what is kept out."""

import socket
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import HTTPError

import pytest
from websockets.sync.client import connect
from websockets.sync.server import Server as SocketServer
from websockets.sync.server import serve

from tests.browser import nobody_at
from tests.proxy import COOKIE, serve_proxy

UPLOAD = "/_stcore/upload_file/a-session/a-file"


class Who(BaseHTTPRequestHandler):
    """Says the port of the server, the host that was asked for, and by whom and how."""

    def do_GET(self) -> None:
        asked: Counter[str] = self.server.asked  # type: ignore[attr-defined]
        asked[self.path] += 1
        told = (self.headers[name] for name in ("Host", "X-Forwarded-For", "X-Forwarded-Proto"))
        body = " ".join([str(self.server.server_address[1]), *told]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", "default-src 'self'")
        if "/static/" in self.path:
            self.send_header("Cache-Control", "public, immutable, max-age=31536000")
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def log_message(self, *_: object) -> None:
        pass


class Servers:
    """Some that are there, and can be stopped and started again at their ports."""

    def __init__(self, count: int) -> None:
        self.asked: Counter[str] = Counter()
        self.running: dict[int, ThreadingHTTPServer] = {}
        self.gone: dict[int, ExitStack] = {}
        self.ports = [self.start(0) for _ in range(count)]

    def start(self, port: int) -> int:
        if held := self.gone.pop(port, None):
            held.close()
        server = ThreadingHTTPServer(("127.0.0.1", port), Who)
        server.asked = self.asked  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        self.running[server.server_port] = server
        return server.server_port

    def stop(self, port: int) -> None:
        server = self.running.pop(port)
        server.shutdown()
        server.server_close()
        self.gone[port] = ExitStack()
        self.gone[port].enter_context(nobody_at(port))  # another test is given another one


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    started = Servers(3)
    yield started
    for port in list(started.running):
        started.stop(port)
    for held in started.gone.values():
        held.close()


@pytest.fixture(scope="module")
def proxy(servers: Servers) -> Iterator[str]:
    with serve_proxy(servers.ports) as url:
        yield url


class Visitor:
    """Someone with a cookie."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.place = ""
        self.headers: dict[str, str] = {}

    def ask(self, path: str = "/", **more: object) -> str:
        request = urllib.request.Request(f"{self.url}{path}", **more)  # type: ignore[arg-type]
        if self.place:
            request.add_header("Cookie", f"{COOKIE}={self.place}")
        with urllib.request.urlopen(request, timeout=20) as answer:
            self.headers = dict(answer.headers)
            if said := answer.headers.get("Set-Cookie"):
                self.place = said.split(";")[0].removeprefix(f"{COOKIE}=")
            return str(answer.read().decode())

    def server(self) -> int:
        return int(self.ask().split()[0])


def refusal(url: str, path: str, **more: object) -> int:
    """The code with which something is refused."""
    with pytest.raises(HTTPError) as refused:
        Visitor(url).ask(path, **more)
    refused.value.close()
    return refused.value.code


def test_who_is_new_comes_anywhere_and_stays_there(servers: Servers, proxy: str) -> None:
    visitors = [Visitor(proxy) for _ in range(30)]
    first = [visitor.server() for visitor in visitors]
    assert set(first) == set(servers.ports)
    for _ in range(3):
        assert [visitor.server() for visitor in visitors] == first
    said = visitors[0].headers["Set-Cookie"]
    assert "HttpOnly" in said and "SameSite=Lax" in said
    assert visitors[0].headers["Content-Security-Policy"] == "default-src 'self'"  # the app's own headers come through
    assert visitors[0].ask().split()[1] == proxy.removeprefix("http://")  # the host is what the browser asked for


def test_whose_server_is_gone_finds_one_other_and_stays_with_it_when_theirs_is_back(
    servers: Servers, proxy: str
) -> None:
    visitors = [Visitor(proxy) for _ in range(30)]
    before = [visitor.server() for visitor in visitors]
    gone = servers.ports[0]
    servers.stop(gone)
    for visitor in visitors:  # the several requests with which a page comes back may all have the cookie of before
        assert len({again(visitor).server() for _ in range(4)}) == 1
    after = [visitor.server() for visitor in visitors]
    assert all(now == then for now, then in zip(after, before, strict=True) if then != gone)
    fled = {now for now, then in zip(after, before, strict=True) if then == gone}
    assert fled == set(servers.ports[1:])  # not all to one
    servers.start(gone)
    assert [visitor.server() for visitor in visitors] == after


def again(visitor: Visitor) -> Visitor:
    """The same visitor, before an answer has changed their cookie."""
    copy = Visitor(visitor.url)
    copy.place = visitor.place
    return copy


@pytest.mark.parametrize("cookie", ["", "x", "1", "0" * 32, "0" * 32 + ".9", "0" * 32 + ".1x", "a.1, b", "../.1"])
def test_a_cookie_that_is_none_of_ours_is_no_harm(cookie: str, servers: Servers, proxy: str) -> None:
    visitor = Visitor(proxy)
    visitor.place = cookie
    assert visitor.server() in servers.ports
    assert len(visitor.place) == 34


@pytest.mark.parametrize("path", ["/metrics", "/tools/vq/metrics", "/_stcore/metrics"])
def test_figures_are_for_those_within(path: str, servers: Servers, proxy: str) -> None:
    assert refusal(proxy, path) == 404
    assert not servers.asked[path]


def test_other_hosts_are_not_ours(servers: Servers, proxy: str) -> None:
    before = servers.asked.total()
    for host in ("elsewhere", "localhost.elsewhere", "127.0.0.1.elsewhere:80"):
        assert refusal(proxy, "/", headers={"Host": host}) == 421
    assert servers.asked.total() == before


def test_a_body_may_be_as_large_as_an_upload(proxy: str) -> None:
    for path in (UPLOAD, f"/tools/vq{UPLOAD}"):
        assert Visitor(proxy).ask(path, method="PUT", data=bytes(20 << 20))
    assert refusal(proxy, UPLOAD, method="PUT", data=bytes(22 << 20)) == 413
    assert refusal(proxy, "/", method="PUT", data=bytes(64 << 10)) == 413  # nowhere else


def test_an_upload_finds_another_server_where_its_own_is_gone(servers: Servers, proxy: str) -> None:
    visitor = Visitor(proxy)
    gone = visitor.server()
    servers.stop(gone)
    assert int(visitor.ask(UPLOAD, method="PUT", data=bytes(1 << 20)).split()[0]) in set(servers.ports) - {gone}
    servers.start(gone)


def test_who_holds_uploads_open_keeps_nobody_elses_out(servers: Servers) -> None:
    one, another, third = addresses()
    with serve_proxy(servers.ports, UPLOADS="2", ALL_UPLOADS="3") as proxy, ExitStack() as held:
        for _ in range(2):
            held.enter_context(Held(proxy, one))
        assert put(proxy, one) == 429
        assert Visitor(proxy).ask("/")
        assert put(proxy, another) == 200
        held.enter_context(Held(proxy, another))
        assert put(proxy, third) == 429  # of everybody together
        held.close()
        assert any(put(proxy, one) == 200 or time.sleep(0.02) for _ in range(500))  # once it is noticed that they left


def addresses() -> tuple[str, str, str]:
    """Three of this machine's own."""
    if sys.platform != "linux":
        pytest.skip("this system has one address of its own")
    return "127.0.0.1", "127.0.0.2", "127.0.0.3"


class Held:
    """An upload that has begun and does not end, from an address of this machine."""

    def __init__(self, url: str, address: str) -> None:
        self.socket = socket.create_connection(at(url), 20, (address, 0))
        head = f"PUT {UPLOAD} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {20 << 20}\r\nExpect: 100-continue\r\n\r\n"
        self.socket.sendall(head.encode())
        assert self.socket.recv(99).startswith(b"HTTP/1.1 100")  # it waits for the body
        self.socket.sendall(bytes(1 << 20))

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self.socket.close()


def put(url: str, address: str) -> int:
    """What comes of an upload from an address of this machine."""
    connection = HTTPConnection(*at(url), 20, source_address=(address, 0))
    with closing(connection):
        connection.request("PUT", UPLOAD, bytes(1000), {"Host": "localhost"})
        return connection.getresponse().status


def at(url: str) -> tuple[str, int]:
    """The address and the port of the proxy."""
    return "127.0.0.1", int(url.rpartition(":")[2])


def test_what_never_changes_is_asked_for_once(servers: Servers, proxy: str) -> None:
    for _ in range(5):
        visitor = Visitor(proxy)
        assert visitor.ask("/static/js/index.abc.js")
        assert not visitor.place  # and is nobody's
    assert servers.asked["/static/js/index.abc.js"] == 1
    for _ in range(2):
        assert Visitor(proxy).ask("/app/static/inter.woff2")
    assert servers.asked["/app/static/inter.woff2"] == 2


def test_any_host_is_ours_where_that_is_said(servers: Servers) -> None:
    with serve_proxy(servers.ports, HOSTS="_") as proxy:
        assert Visitor(proxy).ask("/", headers={"Host": "elsewhere"})


def test_who_asks_without_rest_is_refused_but_for_what_never_changes(servers: Servers) -> None:
    with serve_proxy(servers.ports, RATE="1", BURST="5") as proxy:
        answers = [answer_of(proxy, "/") for _ in range(60)]
        assert answers.count(200) >= 6 and answers.count(429) >= 1
        assert {answer_of(proxy, "/static/js/index.js") for _ in range(60)} == {200}


def test_the_address_of_a_visitor_is_what_a_trusted_proxy_says_and_nobody_else(servers: Servers) -> None:
    one, another, _ = addresses()
    said = {"X-Forwarded-For": "198.51.100.7, 203.0.113.9", "X-Forwarded-Proto": "https"}
    with serve_proxy(servers.ports) as proxy:
        assert told(proxy, another, said) == f"{another} http"
    with serve_proxy(servers.ports, TRUSTED=f"192.0.2.0/24 {another}", RATE="1", BURST="5") as proxy:
        assert told(proxy, one, said) == f"{one} http"
        assert told(proxy, another, said) == "203.0.113.9 https"  # what the one before that was told is its own word
        assert told(proxy, another, {}) == f"{another} http"
        many = [told(proxy, another, {"X-Forwarded-For": f"203.0.113.{number}"}) for number in range(60)]
        assert many == [f"203.0.113.{number} http" for number in range(60)]  # each has what one may have
        assert "429" in [told(proxy, one, {"X-Forwarded-For": f"203.0.113.{number}"}) for number in range(60)]


def told(url: str, address: str, headers: dict[str, str]) -> str:
    """What a server is told of who asks from an address of this machine, and how; the status where that is refused."""
    connection = HTTPConnection(*at(url), 20, source_address=(address, 0))
    with closing(connection):
        connection.request("GET", "/", headers={"Host": "localhost", **headers})
        answer = connection.getresponse()
        return " ".join(answer.read().decode().split()[2:]) if answer.status == 200 else str(answer.status)


def answer_of(url: str, path: str) -> int:
    try:
        Visitor(url).ask(path)
    except HTTPError as refused:
        refused.close()
        return refused.code
    return 200


def test_sockets_come_through_and_say_where_they_are() -> None:
    def echo(socket: object) -> None:
        for message in socket:  # type: ignore[attr-defined]
            socket.send(message)  # type: ignore[attr-defined]

    with ExitStack() as stack:
        there: SocketServer = stack.enter_context(serve(echo, "127.0.0.1", 0))
        threading.Thread(target=there.serve_forever, daemon=True).start()
        gone = stack.enter_context(nobody_at())
        url = stack.enter_context(serve_proxy([there.socket.getsockname()[1], gone]))
        for cookie in (None, f"{COOKIE}={'0' * 32}.1", f"{COOKIE}={'0' * 32}.2"):  # of no one, this one, and one gone
            with connect(
                url.replace("http", "ws") + "/live/edit", additional_headers={"Cookie": cookie} if cookie else None
            ) as socket:
                assert socket.response is not None
                assert socket.response.headers["Set-Cookie"].split(";")[0].endswith(".1")
                for message in ("a", bytes(1 << 20)):
                    socket.send(message)
                    assert socket.recv() == message
        there.shutdown()


def test_its_script_needs_no_more_than_a_plain_shell() -> None:
    script = (Path(__file__).parents[1] / "deploy" / "proxy.sh").read_text()
    assert script.startswith("#!/bin/sh\n")
    assert "[[" not in script and "envsubst" not in script
