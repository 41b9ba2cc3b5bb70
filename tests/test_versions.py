"""Versions are found while the path of modules is changed, as Streamlit does with each run of a page."""

import importlib.metadata
import sys
from importlib.metadata import FastPath, version
from pathlib import Path

import numpy as np
import pytest

from explorer.base import versions as module
from explorer.base.versions import PACKAGES, versions


def test_they_are_those_that_are_installed_also_when_a_page_ends_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = {name: version(name) for name in PACKAGES}
    packages, page, search = str(Path(np.__file__).parents[1]), "/the/folder/of/a/page", FastPath.search

    def searched(path: FastPath, name: object) -> object:
        if page in sys.path:
            sys.path.remove(page)  # the run of the page that put it there has ended
        return search(path, name)

    monkeypatch.setattr(FastPath, "search", searched)
    for name in PACKAGES:
        module._installed.cache_clear()
        monkeypatch.setattr(sys, "path", [page, packages])
        assert versions()[name] == expected[name]
    monkeypatch.setattr(sys, "path", [page, packages])
    with pytest.raises(importlib.metadata.PackageNotFoundError):  # who goes through the path itself misses a place
        version("torch")
