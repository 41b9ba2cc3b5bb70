"""What several tests need: where the project lies, and the app running in a server of its own."""

import os
import shutil
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from torch import nn

from tests.browser import DEEP_LINK_NOISE, ROOT, drawn, launch, serve_app

CHECKPOINTS = ROOT / "checkpoints"
PATIENCE = 60_000  # ms; the machines that run this are small and shared


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
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = launch(playwright)
        yield chromium
        chromium.close()


@pytest.fixture
def blank_page(browser: Browser) -> Iterator[Page]:
    """An empty tab; whatever the browser complains of in it fails the test."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, accept_downloads=True)
    opened = context.new_page()
    opened.set_default_timeout(PATIENCE)
    expect.set_options(timeout=PATIENCE)
    faults: list[str] = []
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    yield opened
    context.close()
    assert not [fault for fault in faults if DEEP_LINK_NOISE not in fault]


@pytest.fixture
def page(blank_page: Page, app_url: str) -> Page:
    """The first page, drawn."""
    blank_page.goto(app_url)
    drawn(blank_page)
    return blank_page


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
