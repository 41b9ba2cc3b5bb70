"""Versions are found while the path of modules is changed, as Streamlit does with each run of a page."""

import sys
import threading
from importlib.metadata import version

from explorer.base import versions as module
from explorer.base.versions import PACKAGES, versions


def test_they_are_those_that_are_installed_while_others_change_the_path() -> None:
    ended = threading.Event()

    def change() -> None:
        while not ended.is_set():
            sys.path.insert(0, "/nowhere")
            sys.path.remove("/nowhere")

    expected = {name: version(name) for name in PACKAGES}
    changing = threading.Thread(target=change)
    changing.start()
    try:
        for _ in range(30):
            module._installed.cache_clear()
            assert {name: versions()[name] for name in PACKAGES} == expected
    finally:
        ended.set()
        changing.join()
