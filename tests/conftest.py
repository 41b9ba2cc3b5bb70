"""What several tests need: where the project lies, and the app running in a server of its own."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CHECKPOINTS = ROOT / "checkpoints"


@contextmanager
def serve_app(checkpoints: Path, log: Path) -> Iterator[str]:
    """Run the app over a folder of checkpoints, and give its address once it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless=true", f"--server.port={port}"]
    environment = {**os.environ, "VQVAE_EXPLORER_CHECKPOINTS": str(checkpoints)}
    with log.open("wb") as output:
        server = subprocess.Popen(
            [*command, "--server.fileWatcherType=none"], cwd=ROOT, env=environment, stdout=output, stderr=output
        )
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(f"http://localhost:{port}/_stcore/health", timeout=1).close()
                break
            except (urllib.error.URLError, OSError):
                assert server.poll() is None, log.read_text()
                time.sleep(0.25)
        yield f"http://localhost:{port}"
    finally:
        server.terminate()
        server.wait(20)


@pytest.fixture(scope="session")
def app_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app on a copy of the shipped checkpoints, with a broken one among them."""
    folder = tmp_path_factory.mktemp("checkpoints")
    for shipped in sorted(CHECKPOINTS.iterdir()):
        if (shipped / "config.json").exists():
            shutil.copytree(shipped, folder / shipped.name)
    broken = folder / "broken <b>one</b>"
    broken.mkdir()
    (broken / "config.json").write_text("{}")
    with serve_app(folder, tmp_path_factory.mktemp("log") / "streamlit.log") as url:
        yield url
