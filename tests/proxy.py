"""The reverse proxy of deploy/ before servers of a test: the nginx that is installed, with the settings as they are."""

import os
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError

import pytest

from tests.browser import ROOT, free_port
from tests.get_nginx import installed_nginx

COOKIE = "vqvae_explorer_place"


@contextmanager
def serve_proxy(ports: Sequence[int], **settings: str) -> Iterator[str]:
    """Run the proxy before servers at these ports of this machine, and give its address once it answers.

    settings: as proxy.sh has them. Skips the test where there is no nginx, but fails it in CI, which gets one.
    """
    nginx = installed_nginx()
    if nginx is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("there is no nginx; python -m tests.get_nginx gets it")
    port = free_port()
    with tempfile.TemporaryDirectory() as state:
        Path(state).chmod(0o755)  # root's nginx has workers that are nobody
        environment = {
            "PATH": os.pathsep.join([os.environ["PATH"], str(Path(nginx).parent)]),
            "SERVERS": " ".join(f"127.0.0.1:{server}" for server in ports),
            "HOSTS": "localhost 127.0.0.1",
            "LISTEN": f"127.0.0.1:{port}",
            "STATE": state,
            **settings,
        }
        log = Path(state) / "log"
        with log.open("wb") as output:
            proxy = subprocess.Popen(["sh", ROOT / "deploy" / "proxy.sh"], env=environment, stderr=output)
        try:
            url = f"http://localhost:{port}"
            for _ in range(200):
                assert proxy.poll() is None, log.read_text()
                if _answers(url):
                    break
                time.sleep(0.05)
            else:
                raise TimeoutError(log.read_text())
            yield url
            assert proxy.poll() is None, log.read_text()
        finally:
            proxy.terminate()
            proxy.wait(20)


def _answers(url: str) -> bool:
    """Whether the proxy is there: what it refuses by itself needs no server."""
    try:
        urllib.request.urlopen(f"{url}/metrics", timeout=5).close()
    except HTTPError as refused:
        refused.close()
        return refused.code == 404
    except OSError:
        pass
    return False
