"""What is computed about a tokenizer; Streamlit stands in `explorer.ui` alone."""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

import vqvae  # noqa: F401 - before torch: it says how torch's threads wait, which cannot be said once torch is loaded

__version__ = "0.1.0"

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
