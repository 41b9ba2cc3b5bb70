"""What several tests need: where the project lies, and the app running in a server of its own."""

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from torch import nn

from tests.browser import CHROMIUM, DEEP_LINK_NOISE, PATIENCE, ROOT, WINDOW, at_rest, drawn, is_at_home, serve_app
from tests.disks import fill, make_read_only, small_disk
from tests.toys import write_toy_photos
from vqvae.training.settings import training_settings

CHECKPOINTS = ROOT / "checkpoints"
FORBIDDEN = "Content Security Policy"  # is in all that a browser says of what a policy forbids


def skip(*_: object) -> None:
    pytest.skip("this system has no such files")


if not hasattr(os, "mkfifo"):
    os.mkfifo = skip  # type: ignore[assignment]


@pytest.fixture(scope="session", autouse=True)
def own_folders(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Nothing that a test computes or notes goes into the folders of whoever runs it."""
    os.environ["VQVAE_EXPLORER_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    os.environ["VQVAE_EXPLORER_DATA"] = str(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def app_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app on a copy of the shipped checkpoints, with a broken one among them."""
    folder = tmp_path_factory.mktemp("checkpoints")
    for shipped in sorted(CHECKPOINTS.iterdir()):
        if (shipped / "config.json").exists():
            shutil.copytree(shipped, folder / shipped.name, ignore=shutil.ignore_patterns("training.safetensors"))
    broken = folder / "broken <b>one"
    broken.mkdir()
    (broken / "config.json").write_text("{}")
    with serve_app(folder, tmp_path_factory.mktemp("log") / "streamlit.log") as url:
        yield url


@pytest.fixture(scope="session")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowserContext]:
    """Chromium with a profile on disk: Streamlit's scripts are loaded and compiled once, not for each test anew."""
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch_persistent_context(
            tmp_path_factory.mktemp("profile"), viewport=WINDOW, accept_downloads=True, **CHROMIUM
        )
        opened.set_default_timeout(PATIENCE)
        expect.set_options(timeout=PATIENCE)
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def browser(profile: BrowserContext) -> Browser:
    """The same Chromium, for windows that are not like the others: no wider than a phone, or touched."""
    assert profile.browser
    return profile.browser


@pytest.fixture
def context(profile: BrowserContext) -> Iterator[BrowserContext]:
    """Tabs of a browser that knows what the app is made of, and nothing that anybody did in it.

    What any of them asks of another server, and what the app's own policy forbids it, fails the test.
    """
    faults: list[str] = []

    def watch(tab: Page) -> None:
        tab.on("request", lambda request: note(f"asked {request.url}") if not is_at_home(request.url) else None)
        tab.on("websocket", lambda socket: note(f"asked {socket.url}") if not is_at_home(socket.url) else None)
        tab.on("console", lambda message: note(message.text) if FORBIDDEN in message.text else None)

    note = faults.append
    profile.on("page", watch)
    yield profile
    profile.remove_listener("page", watch)
    idle, *tabs = profile.pages
    for tab in tabs:
        tab.close()
    profile.set_offline(False)
    devtools = profile.new_cdp_session(idle)
    devtools.send("Storage.clearDataForOrigin", {"origin": "*", "storageTypes": "all"})
    devtools.detach()
    assert not faults


@pytest.fixture
def blank_page(context: BrowserContext) -> Iterator[Page]:
    """An empty tab; whatever the browser complains of in it fails the test."""
    opened = context.new_page()
    faults: list[str] = []
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    yield opened
    shown = set() if opened.is_closed() else set(opened.evaluate("() => [...document.images].map((one) => one.src)"))
    opened.close()
    assert not [fault for fault in faults if DEEP_LINK_NOISE not in fault and not is_replaced(fault, shown)]


def is_replaced(fault: str, shown: set[str]) -> bool:
    """Whether it is only of a picture that Streamlit had replaced by another before the browser came to fetch it."""
    _, lost, picture = fault.partition("Image source error - ")
    return bool(lost) and picture not in shown


@pytest.fixture
def page(blank_page: Page, app_url: str) -> Page:
    """The first page, drawn to its end, with its gallery, which takes what is dropped or pasted."""
    blank_page.goto(app_url)
    drawn(blank_page)
    expect(blank_page.get_by_role("option").first).to_be_visible()
    at_rest(blank_page)  # a dialog that a click opens while a run is under way goes with the run that follows
    return blank_page


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of toy photos, to train on."""
    return write_toy_photos(tmp_path / "photos")


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """A file with the settings of a toy training."""
    from tests.test_train import TOY

    path = tmp_path / "toy.json"
    path.write_text(json.dumps(training_settings(TOY)))
    return path


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk on which no byte more can be kept."""
    with small_disk(tmp_path / "disk", "256k") as disk:
        fill(disk)
        yield disk


@pytest.fixture
def read_only_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk that nothing can be written to."""
    with small_disk(tmp_path / "disk", "256k") as disk:
        make_read_only(disk)
        yield disk


@pytest.fixture(scope="module")
def taming() -> Iterator[Any]:
    """taming-transformers' own module; what trains, which it imports, is left out."""
    lightning, main = ModuleType("pytorch_lightning"), ModuleType("taming.main")
    lightning.LightningModule = nn.Module  # type: ignore[attr-defined]
    main.instantiate_from_config = lambda config: nn.Linear(2, 2)  # type: ignore[attr-defined]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "pytorch_lightning", lightning)
        patch.setitem(sys.modules, "taming.main", main)
        from taming.models import vqgan as module

        yield module
        patch.delitem(sys.modules, "taming.models.vqgan")
