"""What is computed about a tokenizer; Streamlit stands in `explorer.ui` alone.

For programs there are a few names, those of explorer/library.py: open_model, index_images, unedited, draw,
reliance, compare_models.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any

import vqvae  # noqa: F401 - before torch: it says how torch's threads wait, which cannot be said once torch is loaded

if TYPE_CHECKING:
    from explorer.library import (
        Edit,
        IndexedSet,
        OpenModel,
        compare_models,
        draw,
        index_images,
        open_model,
        reliance,
        unedited,
    )

__version__ = "0.1.0"
__all__ = [
    "Edit",
    "IndexedSet",
    "OpenModel",
    "compare_models",
    "draw",
    "index_images",
    "open_model",
    "reliance",
    "unedited",
]

MOVED = {  # modules that programs saved on the Edit page import by the names that they had then
    "explorer.edits": "explorer.editing.edits",
    "explorer.folders": "explorer.base.folders",
    "explorer.pictures": "explorer.images.pictures",
    "explorer.recipe": "explorer.editing.recipe",
    "explorer.reconstruction": "explorer.images.reconstruction",
    "explorer.starts": "explorer.editing.starts",
}


class _Moved(MetaPathFinder, Loader):
    """Finds a module under its former name: it is the very same module."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(fullname, self) if fullname in MOVED else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return import_module(MOVED[spec.name])

    def exec_module(self, module: ModuleType) -> None:
        pass  # it was executed under its own name


sys.meta_path.append(_Moved())


def __getattr__(name: str) -> Any:
    """What programs need, imported when it is asked for: importing this package costs nothing."""
    if name in __all__:
        return getattr(import_module("explorer.library"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
