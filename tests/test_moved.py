"""Programs that people saved on the Edit page go on to run: what they import is found under the name it had then."""

import subprocess
import sys
from importlib import import_module

import pytest

from explorer import MOVED


@pytest.mark.parametrize("former", MOVED)
def test_a_module_has_its_former_name_too(former: str) -> None:
    assert import_module(former) is import_module(MOVED[former])


def test_the_imports_of_a_saved_program_run_in_a_process_of_their_own() -> None:
    program = "\n".join(
        [
            "from explorer.edits import Edit, LiveDecoder, unedited",
            "from explorer.folders import checkpoints_folder",
            "from explorer.pictures import open_picture",
            "from explorer.reconstruction import encode_picture",
            "from explorer.starts import Start, begin",
            "from explorer.recipe import parse, render",
            "import explorer.editing.edits",
            "assert explorer.editing.edits.Edit is Edit",
        ]
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_module_that_never_was_is_not_found() -> None:
    with pytest.raises(ModuleNotFoundError):
        import_module("explorer.nothing")
