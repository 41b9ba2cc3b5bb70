"""Which paths visitors may name: any, those in some folders, or none; and that nothing else on a page takes one."""

import os
import re
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from explorer.ui import cache, model_choice, typed_path
from explorer.ui.session import Session
from explorer.ui.store import SESSION_KEY
from tests.browser import ROOT
from tests.harness import at_rest
from tests.toy_runs import write_run
from tests.toys import assert_one_sentence, toy_model, write_toy_photos
from vqvae import checkpoint
from vqvae.errors import BadInput


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The one folder that visitors may name, with photos and a run; beside it there are others."""
    for place in ("allowed", "allowed not", "elsewhere"):
        write_toy_photos(tmp_path / place / "photos")
        write_run(tmp_path / place / "run")
    checkpoint.save(tmp_path / "checkpoints" / "photos", toy_model(), {})
    monkeypatch.setattr(cache, "ROOT", tmp_path / "checkpoints")
    monkeypatch.setattr(cache, "MORE_ROOTS", [])
    monkeypatch.setenv(typed_path.ROOTS, str(tmp_path / "allowed"))
    return tmp_path / "allowed"


def refused(path: object) -> str:
    with pytest.raises(BadInput) as refusal:
        typed_path.checked(str(path))
    assert_one_sentence(str(refusal.value))
    return str(refusal.value)


def test_any_path_may_be_named_where_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for said in (None, "", " "):
        monkeypatch.setenv(typed_path.ROOTS, said) if said is not None else monkeypatch.delenv(typed_path.ROOTS, False)
        assert typed_path.may_be() and "type the path" in model_choice.no_paths()
        assert [typed_path.checked(text) for text in ("/etc", "~/x", "'a b'", "\0")] == ["/etc", "~/x", "'a b'", "\0"]


def test_what_lies_in_the_folders_may_be_named_however_it_is_written(root: Path) -> None:
    for text in (
        root,
        f"{root}/",
        f"{root}/photos",
        f"'{root}/photos'",
        f"{root}/run/../photos",
        f"{root}/{{0..9}}.tar",
    ):
        assert Path(typed_path.checked(str(text))).is_relative_to(root)
    (root.parent / "link").symlink_to(root / "photos")
    assert typed_path.checked(str(root.parent / "link")) == str(root / "photos")


def test_nothing_else_may_and_whether_it_is_there_is_not_said(root: Path) -> None:
    (root / "way out").symlink_to(root.parent / "elsewhere")
    for text in (root.parent, f"{root} not", f"{root}/../elsewhere", f"{root}/way out/photos", "~", "", ".", "\0", "/"):
        assert str(root) in refused(text)
    there, gone = root.parent / "elsewhere", root.parent / "elsewherf"
    assert refused(there) == refused(gone).replace("elsewherf", "elsewhere")


def test_several_folders_may_be_said_and_one_that_is_a_link(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root.parent / "link").symlink_to(root.parent / "elsewhere")
    monkeypatch.setenv(typed_path.ROOTS, os.pathsep.join([str(root), "", str(root.parent / "link")]))
    assert typed_path.checked(str(root / "run")) and typed_path.checked(str(root.parent / "elsewhere" / "run"))
    assert refused(root.parent).endswith(f"name a path in {root} or {root.parent / 'elsewhere'}.")


@pytest.mark.parametrize("said", ["none", "None", os.pathsep])
def test_where_there_are_no_folders_nothing_may_be_named(
    said: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(typed_path.ROOTS, said)
    assert not typed_path.may_be() and "type the path" not in model_choice.no_paths()
    for text in (root, "none", "/", ".", "\0"):
        refused(text)


def on_page(name: str, session: Session) -> AppTest:
    app = AppTest.from_file(str(ROOT / "pages" / f"{name}.py"), default_timeout=120)
    app.session_state[SESSION_KEY] = session
    return at_rest(app.run())


PAGES = {  # with a field for a path, and what asks for it
    "codebook": (Session(), "Add a set by its path"),
    "inputs": (Session().on("inputs", view="reliance", tested_on="set"), "Images"),
    "compare": (Session().on("compare", models=("photos", "photos"), measured_on="set", view="table"), "Images"),
    "compare snapshots": (Session().on("compare", view="snapshots"), "Snapshots in a folder"),
    "training": (Session(), "Follow a run in another folder"),
}


@pytest.mark.parametrize("page", PAGES)
def test_each_field_says_which_folder_it_takes_and_refuses_any_other(page: str, root: Path) -> None:
    session, label = PAGES[page]
    app = on_page(page.split()[0], session)
    assert not app.exception
    (field,) = [one for one in app.text_input if one.label == label]
    assert field.help.startswith(f"A path in {root}: ")
    for place in ("photos", "run", "nothing"):
        field = next(one for one in app.text_input if one.label == label)
        at_rest(field.set_value(str(root.parent / "elsewhere" / place)).run())
        assert not app.exception
        assert [error.value.replace("\\", "") for error in app.error if "name a path in" in error.value], place


@pytest.mark.parametrize("page", PAGES)
def test_no_field_takes_a_path_where_none_may_be_named(page: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(typed_path.ROOTS, "none")
    session, label = PAGES[page]
    session = session.on("inputs", tested_on="picture").on("compare", measured_on="picture")
    app = on_page(page.split()[0], session)
    assert not app.exception
    assert label not in [one.label for one in app.text_input]
    offered = [option.content for group in app.get("button_group") for option in group.proto.options]
    assert "A set by its path" not in offered


def test_a_set_in_the_folder_is_read(root: Path) -> None:
    app = on_page("inputs", PAGES["inputs"][0])
    at_rest(app.text_input[0].set_value(str(root / "photos")).run())
    assert not app.exception and not app.error
    assert "images" in " ".join(one.value for one in app.caption)


@pytest.mark.parametrize("said", ["none", "the root"])
def test_a_link_follows_no_run_elsewhere(said: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(typed_path.ROOTS, said if said == "none" else str(root))
    app = AppTest.from_file(str(ROOT / "pages" / "training.py"), default_timeout=120)
    app.query_params["run"] = str(root.parent / "elsewhere" / "run")
    at_rest(app.run())
    assert not app.exception
    assert "cannot be opened" in app.main.error[0].value
    if said != "none":
        app = AppTest.from_file(str(ROOT / "pages" / "training.py"), default_timeout=120)
        app.query_params["run"] = str(root / "run")
        assert not at_rest(app.run()).error


def test_no_other_field_asks_for_a_path() -> None:
    """A text field is for a path, which one place draws and checks, or for the name of a small training."""
    sources = [*(ROOT / "explorer").rglob("*.py"), *(ROOT / "pages").glob("*.py")]
    found = {path.name for path in sources if re.search(r"\.text_input\(", path.read_text(encoding="utf-8"))}
    assert found == {"typed_path.py", "training.py"}
    opening = {path.name for path in sources if "find_sequence(" in path.read_text(encoding="utf-8")}
    assert opening == {"cache.py", "snapshots.py"}
