"""Files on their way to a page: never more than there is room for, each refusal in a sentence, let go once taken."""

import numpy as np
import pytest
from streamlit.proto.Common_pb2 import FileURLs
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.uploaded_file_manager import DeletedFile, UploadedFile, UploadedFileRec
from streamlit.testing.v1 import AppTest

from explorer.base.room import Room
from explorer.ui.store import SESSION_KEY
from explorer.ui.transport import uploads
from tests.browser import ROOT
from tests.toys import assert_one_sentence
from vqvae.errors import BadInput
from vqvae.images import to_png

MOST, MOST_OF_ALL = 100, 150  # bytes


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> MemoryUploadedFileManager:
    """Streamlit's own, bounded."""
    monkeypatch.setattr(MemoryUploadedFileManager, "add_file", MemoryUploadedFileManager.add_file)
    monkeypatch.setattr(uploads, "MOST_UPLOAD_BYTES", MOST)
    room = Room(MOST_OF_ALL)
    monkeypatch.setattr(uploads, "room", lambda: room)
    uploads.install()
    return MemoryUploadedFileManager("/here")


def give(manager: MemoryUploadedFileManager, session: str, name: str, size: int) -> UploadedFile | None:
    """Upload a file; what the page gets of it."""
    manager.add_file(session, UploadedFileRec(name, name, "image/png", bytes(size)))
    found = manager.get_files(session, [name])
    return UploadedFile(found[0], FileURLs()) if found else None


def held(manager: MemoryUploadedFileManager) -> int:
    return sum(len(file.data) for files in manager.file_storage.values() for file in files.values())


def refusal(file: UploadedFile | None) -> str:
    assert file is not None
    with pytest.raises(BadInput) as refused:
        uploads.content(file)
    return assert_one_sentence(str(refused.value))


def test_a_visitor_has_so_many_bytes_waiting_and_of_what_is_more_only_the_name(manager: MemoryUploadedFileManager):
    fits, more, small = (give(manager, "one", name, size) for name, size in (("a", 60), ("b", 41), ("c", 40)))
    assert fits is not None and uploads.content(fits) == bytes(60)
    assert "b was not taken: upload at most" in refusal(more).replace("“", "").replace("”", "")
    assert small is not None and uploads.content(small) == bytes(40)
    assert held(manager) == MOST


def test_all_visitors_share_what_there_is_with_what_is_open_already(manager: MemoryUploadedFileManager):
    assert give(manager, "one", "a", 90) and held(manager) == 90
    assert "finds no room" in refusal(give(manager, "two", "b", 61))
    assert uploads.room().admit(manager, 30)
    assert "finds no room" in refusal(give(manager, "two", "c", 31))
    third = give(manager, "two", "d", 30)
    assert third is not None and uploads.content(third) == bytes(30)


def test_names_alone_do_not_pile_up_either(manager: MemoryUploadedFileManager, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(uploads, "MOST_FILES", 3)
    assert [give(manager, "one", name, 0) is not None for name in "abcd"] == [True, True, True, False]
    assert give(manager, "two", "a", 0)


def test_what_was_let_go_is_not_given_again(manager: MemoryUploadedFileManager):
    file = give(manager, "one", "a", 1)
    assert uploads.still_there([DeletedFile("b"), file, DeletedFile("a")]) == [file]


def test_installed_twice_it_is_there_once(manager: MemoryUploadedFileManager):
    before = MemoryUploadedFileManager.add_file
    uploads.install()
    assert MemoryUploadedFileManager.add_file is before


def test_what_the_gallery_took_no_longer_waits(monkeypatch: pytest.MonkeyPatch):
    removed = []
    remove = MemoryUploadedFileManager.remove_file

    def noted(manager: MemoryUploadedFileManager, session_id: str, file_id: str) -> None:
        removed.append(len(manager.file_storage[session_id][file_id].data))
        remove(manager, session_id, file_id)

    monkeypatch.setattr(MemoryUploadedFileManager, "remove_file", noted)
    app = AppTest.from_file(str(ROOT / "pages" / "reconstruct.py"), default_timeout=120).run()
    data = to_png(np.zeros((16, 16, 3), np.uint8))
    app.file_uploader[0].upload("mine.png", data, "image/png").run()
    assert not app.exception and not app.error
    assert removed == [len(data)]
    assert app.session_state[SESSION_KEY].uploads[-1].data == data


def test_what_found_no_room_is_said_where_it_was_uploaded():
    app = AppTest.from_file(str(ROOT / "pages" / "reconstruct.py"), default_timeout=120).run()
    app.file_uploader[0].upload("mine.png", b"", uploads.TOO_MUCH).run()
    assert "was not taken: upload at most 100 MB at once" in app.error[0].value.replace("\\", "")
    assert not app.session_state[SESSION_KEY].uploads
