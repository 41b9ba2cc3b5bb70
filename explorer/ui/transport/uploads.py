"""Files on their way from a browser to a page: bounded for each visitor and for all of them, and let go once taken.

Streamlit keeps every file that a visitor uploads until their session ends, however many there are. Here a file for
which there is no room is kept as its name alone, so that the page which it is for can say so in place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache, wraps

from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.uploaded_file_manager import DeletedFile, UploadedFile, UploadedFileRec

from explorer.base.environment import whole_number
from explorer.base.room import Room
from explorer.ui.session import MOST_UPLOAD_BYTES
from vqvae.errors import BadInput
from vqvae.images import display_name

MOST_BYTES = "VQVAE_EXPLORER_UPLOAD_BYTES"  # environment: of all visitors' files together
MOST_BYTES_OTHERWISE = 2 << 30
MOST_FILES = 500  # of a visitor, waiting to be taken; of more there is not even the name
TOO_MUCH, FULL = "too much at once", "full"  # in place of the type of a file that is not kept

Add = Callable[[MemoryUploadedFileManager, str, UploadedFileRec], None]


@cache
def room() -> Room:
    """For the pictures of all visitors together; raises BadInput where the environment says no number."""
    return Room(whole_number(MOST_BYTES, MOST_BYTES_OTHERWISE))


def install() -> None:
    """Have every manager of uploads in this process keep to the bounds; once is enough."""
    if not hasattr(MemoryUploadedFileManager.add_file, "__wrapped__"):
        add = MemoryUploadedFileManager.add_file
        MemoryUploadedFileManager.add_file = _within_bounds(add)  # type: ignore[method-assign, assignment]


def _within_bounds(add: Add) -> Add:
    @wraps(add)
    def added(manager: MemoryUploadedFileManager, session_id: str, file: UploadedFileRec) -> None:
        waiting = {session: sum(len(one.data) for one in files) for session, files in _files(manager).items()}
        if len(_files(manager).get(session_id, ())) >= MOST_FILES:
            return
        if waiting.get(session_id, 0) + len(file.data) > MOST_UPLOAD_BYTES:
            file = file._replace(data=b"", type=TOO_MUCH)
        elif sum(waiting.values()) + room().taken + len(file.data) > room().most:
            file = file._replace(data=b"", type=FULL)
        add(manager, session_id, file)

    return added


def _files(manager: MemoryUploadedFileManager) -> dict[str, list[UploadedFileRec]]:
    """What each session has waiting."""
    return {session: list(files.values()) for session, files in list(manager.file_storage.items())}


def still_there(files: Iterable[UploadedFile | DeletedFile]) -> list[UploadedFile]:
    """Those that were not let go: a field may say once more what it was given, while the page is being drawn anew."""
    return [file for file in files if isinstance(file, UploadedFile)]


def content(file: UploadedFile) -> bytes:
    """What is in a file; raises BadInput, in a sentence for the page, where there was no room for it."""
    if file.type == TOO_MUCH:
        most = MOST_UPLOAD_BYTES >> 20
        raise BadInput(f"{display_name(file.name)} was not taken: upload at most {most} MB at once.")
    if file.type == FULL:
        raise no_room(file.name)
    return file.getvalue()


def no_room(name: str) -> BadInput:
    """What is said of a file where all visitors together have too much open."""
    return BadInput(f"{display_name(name)} finds no room: too many visitors' pictures are open; try later.")


def let_go(file: UploadedFile) -> None:
    """Forget a file that was taken: a script or a callback of the session that it came to asks."""
    context = get_script_run_ctx()
    if context is not None and isinstance(context.uploaded_file_mgr, MemoryUploadedFileManager):
        context.uploaded_file_mgr.remove_file(context.session_id, file.file_id)
