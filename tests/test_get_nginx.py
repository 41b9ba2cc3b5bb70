"""When nginx is installed for the tests: never where a person would be asked for a password."""

import os
import subprocess

import pytest

from tests import get_nginx


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was run, on a machine of Debian's without nginx, of somebody who is not root; nothing is."""
    ran: list[str] = []

    def run(words: list[str], **_: object) -> "subprocess.CompletedProcess[bytes]":
        ran.append(" ".join(words))
        return subprocess.CompletedProcess(words, 0)

    monkeypatch.setattr(get_nginx.subprocess, "run", run)
    monkeypatch.setattr(get_nginx.shutil, "which", lambda name, path="": None if name == "nginx" else f"/bin/{name}")
    monkeypatch.setattr(os, "geteuid", lambda: 1000, raising=False)
    monkeypatch.delenv("CI", raising=False)
    return ran


def test_nobody_is_asked_for_a_password_and_the_tests_go_on(
    commands: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert get_nginx.main() == 0
    assert not commands
    assert "are skipped" in capsys.readouterr().err


def test_root_installs_it(commands: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0, raising=False)
    assert get_nginx.main() == 0  # though it was not to be had
    assert [words.split(" -qq")[0] for words in commands] == [
        "env RUNLEVEL=1 apt-get update",
        "env RUNLEVEL=1 apt-get install",
    ]


def test_ci_installs_it_and_fails_without_it(commands: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    assert get_nginx.main() == 2
    assert len(commands) == 2 and all(words.startswith("sudo -n ") for words in commands)
    monkeypatch.setattr(get_nginx, "installed_nginx", lambda: "/nginx" if len(commands) > 2 else None)
    assert get_nginx.main() == 0


def test_a_system_without_sudo_is_no_fault(commands: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    monkeypatch.setattr(get_nginx.shutil, "which", lambda name, path="": "/bin/apt-get" if name == "apt-get" else None)
    assert get_nginx.main() == 2
    assert not commands
