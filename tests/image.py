"""The app as in its image, without a container: what the Dockerfile copies, on a disk that takes nothing but its cache.

What cannot be had here is the image's own Python and that it runs as another user.
"""

import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from tests.browser import ROOT

DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()
COMPOSE = ROOT / "deploy" / "compose.yaml"
UNSHARE = ("unshare", "--mount", "sh", "-c")
# The app's root file system is read-only but for its cache and its temporary folder.
ALONE = """
mount --make-rprivate / && mount --bind "$CACHE" "$CACHE" && mount -t tmpfs tmpfs "$TMPDIR" || exit 9
for place in "$APP" $(awk '$2 !~ "^/(dev|proc|sys|run)(/|$)" { print $2 }' /proc/mounts); do
  case "$place" in "$CACHE" | "$TMPDIR") continue ;; esac
  mountpoint -q "$place" || mount --bind "$place" "$place"
  mount -o remount,bind,ro "$place" || exit 9
done
cd "$APP"
if touch written "$HOME/../written" 2>/dev/null; then echo "It can be written to"; exit 9; fi
exec "$@"
"""


def copied() -> list[str]:
    """What the Dockerfile copies from the project's folder into the image that is run."""
    last = DOCKERFILE[DOCKERFILE.rindex("\nFROM ") :]
    return [source for words in re.findall(r"^COPY (?!--)(.+)$", last, re.MULTILINE) for source in words.split()[:-1]]


def environment_of_image() -> dict[str, str]:
    """What the Dockerfile says of the environment."""
    (block,) = re.findall(r"^ENV (PATH=(?:.*\\\n)*.*)$", DOCKERFILE, re.MULTILINE)
    return dict(word.split("=", 1) for word in block.replace("\\\n", " ").split())


def composed() -> dict:
    """compose.yaml, where nothing is set but the secret of the cookies."""
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", COMPOSE.read_text())
    found: dict = yaml.safe_load(re.sub(r"\$\{COOKIE_SECRET:\?[^}]*\}", "a long random text", text))
    return found


def make_image(folder: Path) -> Path:
    """The folder /app of the image."""
    app = folder / "app"
    ignored = shutil.ignore_patterns("__pycache__", "training.safetensors")
    for name in copied():
        place = app / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, place, ignore=ignored)
        else:
            shutil.copyfile(ROOT / name, place)
    return app


def can_be_alone() -> bool:
    """Whether file systems can be made read-only for a process: root can, where it may."""
    return (
        shutil.which("unshare") is not None
        and subprocess.run([*UNSHARE, "mount --make-rprivate /"], capture_output=True).returncode == 0
    )


class Process:
    """One process of the app."""

    def __init__(self, app: Path, cache: Path, port: int, log: Path, **settings: str) -> None:
        self.port, self.log = port, log
        (temporary := log.with_suffix(".tmp")).mkdir()
        kept = {name: os.environ[name] for name in ("PATH", "OMP_NUM_THREADS") if name in os.environ}
        composed_environment = composed()["services"]["app1"]["environment"]
        environment = kept | environment_of_image() | composed_environment
        environment = {name: str(value or "").replace("/cache", str(cache)) for name, value in environment.items()}
        environment |= {
            **{"PATH": kept["PATH"], "APP": str(app), "CACHE": str(cache), "TMPDIR": str(temporary)},
            **{"STREAMLIT_SERVER_PORT": str(port), "STREAMLIT_SERVER_ADDRESS": "127.0.0.1"},
            **settings,
        }
        command = [sys.executable, "-m", *re.findall(r'^CMD \["(.*)"\]$', DOCKERFILE, re.MULTILINE)[-1].split('", "')]
        if can_be_alone():
            command = [*UNSHARE, ALONE, "sh", *command]
        with log.open("wb") as output:
            self.process = subprocess.Popen(command, cwd=app, env=environment, stdout=output, stderr=output)

    def wait(self) -> None:
        """Until a first visitor would be served at once."""
        for _ in range(480):
            assert self.process.poll() is None, self.log.read_text()
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=5).close()
                return
            except OSError:
                time.sleep(0.25)
        raise TimeoutError(self.log.read_text())

    def kill(self) -> None:
        """End it at once, as a fault or the system would."""
        self.process.kill()
        self.process.wait(20)


@contextmanager
def serve_image(folder: Path, ports: list[int], **settings: str) -> Iterator[list[Process]]:
    """Run a process of the app at each of these ports, all with the same cache.

    settings: of the environment, in place of what compose.yaml says.
    """
    app, cache = make_image(folder), folder / "cache"
    cache.mkdir()
    processes = [Process(app, cache, port, folder / f"{port}.log", **settings) for port in ports]
    try:
        for process in processes:
            process.wait()
        yield processes
    finally:
        for process in processes:
            process.kill()
