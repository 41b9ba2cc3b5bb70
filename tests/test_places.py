import errno
import os
from pathlib import Path

import pytest

from explorer.base import folders
from explorer.ui import cache, model_choice
from explorer.ui.session import Session
from tests.toys import assert_one_sentence, toy_model
from vqvae import checkpoint, places
from vqvae.errors import BadInput
from vqvae.places import (
    check_file,
    check_folder,
    checkpoints_folder,
    checkpoints_folders,
    find_checkpoint,
    project_folder,
)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory, with the checkpoints in another place."""
    monkeypatch.setenv(places.CHECKPOINTS_VARIABLE, str(tmp_path / "kept"))
    for made in ("kept/mine", "kept/deep/er", "work/mine", "work/theirs"):
        (tmp_path / made).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path


# Which checkpoint is meant


def test_the_folder_of_checkpoints_is_the_projects_own_unless_another_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(places.CHECKPOINTS_VARIABLE, "")
    assert checkpoints_folder() == Path(__file__).parents[1] / "checkpoints"
    monkeypatch.setenv(places.CHECKPOINTS_VARIABLE, "/else/where")
    assert checkpoints_folder() == folders.checkpoints_folder() == Path("/else/where")
    monkeypatch.setenv(places.CHECKPOINTS_VARIABLE, "~/where")
    assert checkpoints_folder() == Path.home() / "where"


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("mine", "kept/mine"),  # though the working directory has one of that name
        ("./mine", "work/mine"),
        ("mine/", "work/mine"),
        ("theirs", "work/theirs"),
        (".", "work"),
        ("..", ""),
        ("deep/er", "kept/deep/er"),
        ("~/work/mine", "work/mine"),
    ],
)
def test_a_bare_name_is_a_checkpoint_first_and_anything_else_a_path(
    name: str, meant: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(here))
    assert find_checkpoint(name).resolve() == (here / meant).resolve()


def test_an_installed_app_also_finds_what_was_trained_where_it_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(places.CHECKPOINTS_VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    assert checkpoints_folders() == (checkpoints_folder(),)
    for name in ("mine", "photos"):
        (tmp_path / "checkpoints" / name).mkdir(parents=True)
    assert checkpoints_folders() == (checkpoints_folder(), tmp_path / "checkpoints")
    assert find_checkpoint("mine") == tmp_path / "checkpoints" / "mine"
    assert find_checkpoint("photos") == checkpoints_folder() / "photos"
    with pytest.raises(BadInput) as refusal:
        find_checkpoint("none")
    assert f"in {checkpoints_folder()} or {tmp_path / 'checkpoints'};" in assert_one_sentence(refusal)
    monkeypatch.setenv(places.CHECKPOINTS_VARIABLE, str(tmp_path))
    assert checkpoints_folders() == (tmp_path,)
    monkeypatch.delenv(places.CHECKPOINTS_VARIABLE)
    monkeypatch.chdir(checkpoints_folder().parent)
    assert checkpoints_folders() == (checkpoints_folder(),)


def test_without_a_working_directory_there_are_the_projects_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone() -> str:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))

    monkeypatch.delenv(places.CHECKPOINTS_VARIABLE, raising=False)
    monkeypatch.setattr(os, "getcwd", gone)
    assert checkpoints_folders() == (checkpoints_folder(),)


@pytest.mark.parametrize("installed", [False, True])
def test_the_project_is_where_its_app_is(installed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "__file__", str(tmp_path / "vqvae" / "places.py"))
    if installed:
        (tmp_path / "vqvae_explorer").mkdir()
        (tmp_path / "vqvae_explorer" / "app.py").touch()
    assert project_folder() == (tmp_path / "vqvae_explorer" if installed else tmp_path)


@pytest.mark.parametrize("name", ["none", "no/ne", "x" * 5000, "a\x00b"])
def test_a_name_without_a_folder_is_refused(name: str, here: Path) -> None:
    with pytest.raises(BadInput) as refusal:
        find_checkpoint(name)
    assert "There is no checkpoint" in assert_one_sentence(refusal)


@pytest.mark.parametrize(
    "name", ["../work/theirs", "./mine", "theirs", "~/work/mine", "..", "", "deep/er", "{here}/work/mine"]
)
def test_a_name_that_is_no_path_leads_to_a_checkpoint_only(
    name: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(here))
    assert find_checkpoint("mine", by_path=False).resolve() == here / "kept" / "mine"
    name = name.format(here=here)
    said = {}
    for each in (name, f"{name}@1"):
        with pytest.raises(BadInput) as refusal:
            find_checkpoint(each, by_path=False)
        said[each] = assert_one_sentence(refusal)
    assert all("There is no checkpoint" in one for one in said.values())  # whether or not there is such a folder


# Whether there is room for an output


def everything(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


def test_a_trial_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "old.png").write_text("old")
    before = everything(tmp_path)
    check_file(tmp_path / "old.png")
    check_file(tmp_path / "a/b/new.png")
    check_folder(tmp_path)
    check_folder(tmp_path / "c/d")
    assert everything(tmp_path) == before
    assert (tmp_path / "old.png").read_text() == "old"


@pytest.mark.parametrize("place", ["file/new.png", "file/a/b/new.png", "dangling/new.png", "x" * 5000 + "/new.png"])
def test_a_place_that_cannot_be_is_refused_for_a_file_and_for_a_folder(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "dangling").symlink_to("nowhere/at/all")
    for check, path in ((check_file, tmp_path / place), (check_folder, (tmp_path / place).parent)):
        with pytest.raises(BadInput) as refusal:
            check(path)
        assert "Nothing can be written" in assert_one_sentence(refusal)


def test_a_folder_is_no_file_and_a_device_is_not_tried(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is a folder; name a file in it"):
        check_file(tmp_path)
    check_file(Path(os.devnull))


def test_a_name_that_utf8_cannot_write_is_refused(tmp_path: Path) -> None:
    for check in (check_file, check_folder):
        with pytest.raises(BadInput, match="not valid UTF-8"):
            check(tmp_path / os.fsdecode(b"m\xff.png"))


def test_a_full_disk_is_found_out_before_the_work(full_disk: Path) -> None:
    with pytest.raises(BadInput, match="no space left on device"):
        check_file(full_disk / "new.png")
    with pytest.raises(BadInput, match="no space left on device"):
        check_folder(full_disk / "new")


def test_a_folder_that_may_only_be_read_is_found_out_before_the_work(read_only_disk: Path) -> None:
    with pytest.raises(BadInput, match="read-only file system"):
        check_folder(read_only_disk / "new")


def test_what_the_system_says_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(places.tempfile, "TemporaryFile", refuse)
    with pytest.raises(BadInput, match=r"\(permission denied\)"):
        check_file(tmp_path / "new.png")


def test_the_app_offers_the_checkpoints_of_both_folders_and_the_first_of_two_with_one_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("a/both", "a/shipped", "b/both", "b/mine"):
        checkpoint.save(tmp_path / place, toy_model(), {})
    monkeypatch.setattr(cache, "ROOT", tmp_path / "a")
    monkeypatch.setattr(cache, "MORE_ROOTS", [tmp_path / "b"])
    found = {entry.name: entry.folder for entry in cache.find_checkpoints()}
    assert found == {"both": tmp_path / "a/both", "shipped": tmp_path / "a/shipped", "mine": tmp_path / "b/mine"}


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Checkpoints that came with the app, which was started in a folder that has none."""
    monkeypatch.delenv(places.CHECKPOINTS_VARIABLE, raising=False)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    folder = tmp_path / "shipped"
    checkpoint.save(folder / "photos", toy_model(), {})
    monkeypatch.setattr(cache, "ROOT", folder)
    monkeypatch.setattr(cache, "MORE_ROOTS", [])
    return folder


def test_the_app_sees_a_folder_of_checkpoints_that_was_made_since_it_began(shipped: Path) -> None:
    assert cache.roots() == (shipped,)
    assert [entry.name for entry in cache.find_checkpoints()] == ["photos"]
    mine = Path.cwd() / "checkpoints" / "mine"
    checkpoint.save(mine, toy_model(), {})
    assert cache.roots() == (shipped, mine.parent)
    assert {entry.name: entry.folder for entry in cache.find_checkpoints()}["mine"] == mine
    assert cache.find_named("mine") == mine


def test_what_a_person_makes_goes_into_a_folder_of_their_own_first(
    shipped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Path.cwd() / "checkpoints"
    assert cache.homes() == (shipped, here)  # made only where the other takes nothing
    here.mkdir()
    assert cache.homes() == (here, shipped)
    monkeypatch.setenv(places.CHECKPOINTS_VARIABLE, str(shipped))  # and so the app looks nowhere else
    assert cache.homes() == (shipped,)


def test_a_model_that_does_not_open_can_be_examined_in_whichever_folder_it_lies(
    shipped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(folder: Path) -> None:
        raise BadInput("It does not open.")

    mine = Path.cwd() / "checkpoints" / "mine"
    checkpoint.save(mine, toy_model(), {})
    monkeypatch.setattr(cache, "open_model", refuse)
    opened, failed = model_choice._open(Session(checkpoint="mine"), model_choice.found()[0])
    assert opened is None
    assert [entry.folder for entry in failed] == [mine, shipped / "photos"]
