"""The editor's socket in a real browser: painting takes it, the page follows, and without it everything still works."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, WebSocket, expect

from explorer.editing import recipe as recipes
from tests.browser import act_and_settle, assert_same, at_rest, draw, drawn, serve_app, shown, stroke, until
from tests.conftest import CHECKPOINTS
from tests.test_edit_in_browser import changed_cells, choose, download, history, open_editor, press, render


class Wire:
    """What a tab says over its sockets: the page's own, and the editor's."""

    def __init__(self, page: Page) -> None:
        self.page_says, self.editor_says = 0, 0
        self.closed = 0
        page.on("websocket", self._watch)

    def _watch(self, socket: WebSocket) -> None:
        if socket.url.endswith("/live/edit"):
            socket.on("framesent", lambda _: setattr(self, "editor_says", self.editor_says + 1))
            socket.on("close", lambda _: setattr(self, "closed", self.closed + 1))
        else:
            socket.on("framesent", lambda _: setattr(self, "page_says", self.page_says + 1))


def over_the_socket(page: Page) -> None:
    """The socket is open: the quiet word that it is not is gone."""
    expect(page.locator(".way")).to_be_hidden()
    page.wait_for_timeout(300)


def test_a_stroke_takes_the_socket_and_the_page_follows_when_the_hand_rests(blank_page: Page, app_url: str):
    wire = Wire(blank_page)
    open_editor(blank_page, app_url)
    over_the_socket(blank_page)
    at_rest(blank_page)
    chosen_at = wire.page_says
    choose(blank_page, 700)
    until(blank_page, lambda: wire.page_says > chosen_at)  # the page has followed what was chosen
    at_rest(blank_page)
    page_before, editor_before = wire.page_says, wire.editor_says
    stroke(blank_page, (3, 4), (3, 9))
    assert wire.editor_says > editor_before
    assert wire.page_says == page_before
    assert changed_cells(blank_page) == 6  # the figures come the same way
    assert_same(shown(blank_page), render(download(blank_page, "Recipe (JSON)")))
    until(blank_page, lambda: wire.page_says > page_before)


def test_where_no_socket_gets_through_edits_take_the_page(blank_page: Page, app_url: str):
    blank_page.route_web_socket(re.compile("/live/edit$"), lambda socket: socket.close())
    wire = Wire(blank_page)
    open_editor(blank_page, app_url)
    expect(blank_page.locator(".way")).to_be_visible()
    choose(blank_page, 700)
    stroke(blank_page, (3, 4), (3, 9))
    assert wire.editor_says == 0
    assert changed_cells(blank_page) == 6
    assert_same(shown(blank_page), render(download(blank_page, "Recipe (JSON)")))


def test_a_socket_that_is_lost_is_found_again(blank_page: Page, app_url: str):
    opened = []

    def relay(socket):
        opened.append(socket)
        socket.connect_to_server()

    blank_page.route_web_socket(re.compile("/live/edit$"), relay)
    open_editor(blank_page, app_url)
    over_the_socket(blank_page)
    opened[0].close()
    choose(blank_page, 12)
    stroke(blank_page, (9, 9))
    assert changed_cells(blank_page) == 1
    expect(blank_page.locator(".way")).to_be_hidden()
    assert len(opened) == 2
    stroke(blank_page, (11, 9))
    assert changed_cells(blank_page) == 2


def test_an_answer_about_a_picture_that_was_left_comes_too_late(blank_page: Page, app_url: str):
    late: list[str | bytes] = []
    sockets = []

    def relay(socket):
        sockets.append((socket, socket.connect_to_server()))

    blank_page.route_web_socket(re.compile("/live/edit$"), relay)
    open_editor(blank_page, app_url)
    over_the_socket(blank_page)
    choose(blank_page, 12)
    [(socket, server)] = sockets
    server.on_message(lambda answer: late.append(answer))
    draw(blank_page, (3, 4), (3, 9))
    blank_page.locator(".gallery [role=option]").nth(1).click()
    expect(blank_page.locator(".stage .pixels")).to_have_attribute("height", "256")  # the second sample is a square
    at_rest(blank_page)
    assert late
    server.on_message(lambda answer: socket.send(answer))
    for answer in late:
        socket.send(answer)
    stroke(blank_page, (2, 2), (2, 5))
    assert changed_cells(blank_page) == 4


def test_what_went_over_the_socket_is_there_on_another_page_at_once(blank_page: Page, app_url: str):
    open_editor(blank_page, app_url)
    over_the_socket(blank_page)
    choose(blank_page, 12)
    act_and_settle(blank_page, lambda: blank_page.locator(".amount input").fill("0.4"))
    stroke(blank_page, (4, 4), (4, 8))
    edited = shown(blank_page)
    blank_page.get_by_test_id("stSidebarNav").get_by_text("Reconstruct").click()
    expect(blank_page.locator(".amount output")).to_have_text("40 %")
    blank_page.get_by_test_id("stSidebarNav").get_by_text("Edit").click()
    expect(history(blank_page)).to_have_count(2)
    expect(blank_page.locator(".canvas")).to_have_attribute("data-settled", "true")
    np.testing.assert_array_equal(shown(blank_page), edited)
    act_and_settle(blank_page, lambda: press(blank_page, "Control+z"))
    assert changed_cells(blank_page) == 0


@pytest.fixture(scope="module")
def below(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app at a path of its own, as behind a proxy."""
    folder = tmp_path_factory.mktemp("below")
    shutil.copytree(CHECKPOINTS / "photos", folder / "photos")
    with serve_app(folder, Path(folder) / "log", below="/tools/vq") as url:
        yield url


def test_it_works_below_a_path(blank_page: Page, below: str):
    wire = Wire(blank_page)
    blank_page.goto(f"{below}/edit")
    drawn(blank_page)
    over_the_socket(blank_page)
    choose(blank_page, 700)
    stroke(blank_page, (3, 4), (3, 9))
    assert wire.editor_says > 0
    made = recipes.parse(download(blank_page, "Recipe (JSON)"))
    assert {(cell.row, cell.column, cell.code) for cell in made.cells} == {(3, column, 700) for column in range(4, 10)}
