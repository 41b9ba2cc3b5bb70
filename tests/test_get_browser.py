"""Which browser the browser tests take, on each system, and what is tried where there is none."""

import subprocess
from pathlib import Path

import pytest

from tests import get_browser
from tests.get_browser import BROWSER_VARIABLE, installed_browser


def make(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return str(path)


def test_what_is_on_the_path_comes_first_and_chromium_before_the_others(tmp_path: Path) -> None:
    environ = {"PATH": str(tmp_path / "bin"), "HOME": str(tmp_path)}
    assert installed_browser(system="linux", environ=environ, root=tmp_path) is None
    application = make(tmp_path / "Applications" / "Google Chrome.app" / "Contents" / "MacOS" / "Google Chrome")
    assert installed_browser(system="linux", environ=environ, root=tmp_path) is None
    assert installed_browser(system="darwin", environ=environ, root=tmp_path / "none") == application
    for name in ("chromium-browser", "microsoft-edge", "google-chrome", "chromium"):
        found = make(tmp_path / "bin" / name)
        for system in ("linux", "darwin"):
            assert installed_browser(system=system, environ=environ, root=tmp_path) == found
    assert installed_browser(system="linux", environ={**environ, BROWSER_VARIABLE: "/mine"}) == "/mine"


@pytest.mark.parametrize("name", get_browser.APPLICATIONS)
@pytest.mark.parametrize("folder", ["Applications", "home/Applications"])
def test_macos_has_applications(name: str, folder: str, tmp_path: Path) -> None:
    made = make(tmp_path / folder / f"{name}.app" / "Contents" / "MacOS" / name)
    environ = {"PATH": "", "HOME": str(tmp_path / "home")}
    assert installed_browser(system="darwin", environ=environ, root=tmp_path) == made


@pytest.mark.parametrize("program", get_browser.PROGRAMS)
@pytest.mark.parametrize("variable", ["PROGRAMFILES", "PROGRAMFILES(X86)", "LOCALAPPDATA"])
def test_windows_has_programs(program: str, variable: str, tmp_path: Path) -> None:
    made = make(tmp_path / variable / program)
    environ = {name: str(tmp_path / name) for name in ("PROGRAMFILES", "LOCALAPPDATA", variable)}
    assert installed_browser(system="win32", environ=environ, root=tmp_path) == made


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was run, on a machine without a browser; nothing is."""
    ran: list[str] = []

    def run(words: list[str], **_: object) -> "subprocess.CompletedProcess[bytes]":
        ran.append(" ".join(words[words.index("playwright") :] if "playwright" in words else words))
        return subprocess.CompletedProcess(words, 0)

    monkeypatch.setattr(
        get_browser, "installed_browser", lambda: "/chromium" if "apt-get install" in str(ran) else None
    )
    monkeypatch.setattr(get_browser, "works", lambda _: False)
    monkeypatch.setattr(get_browser.subprocess, "run", run)
    monkeypatch.setattr(get_browser.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(get_browser.os, "geteuid", lambda: 0)
    return ran


def test_a_browser_that_is_there_is_taken(commands: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(get_browser, "installed_browser", lambda: "/chrome")
    assert get_browser.main() == 0
    assert commands == []


def test_playwrights_own_is_taken_where_it_works(commands: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(get_browser, "works", lambda _: bool(commands))
    assert get_browser.main() == 0
    assert commands == ["playwright install chromium"]
    assert get_browser.main() == 0
    assert len(commands) == 1


@pytest.mark.parametrize(("user", "before"), [(0, ""), (1000, "sudo ")])
def test_debians_is_the_last_resort(
    user: int, before: str, commands: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(get_browser.os, "geteuid", lambda: user)
    assert get_browser.main() == 0
    assert commands == [
        "playwright install chromium",
        f"{before}apt-get update -qq",
        f"{before}apt-get install -qq -y chromium",
    ]


def test_where_nothing_helps_it_says_what_to_do(
    commands: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(get_browser.shutil, "which", lambda name: None)
    assert get_browser.main() == 2
    assert commands == ["playwright install chromium"]
    assert "install Chrome, Chromium or Edge" in capsys.readouterr().err


def test_this_machine_has_one_that_works() -> None:
    assert get_browser.works(installed_browser())
