"""What a visitor's session holds is bounded, and so is how many there are; what one left behind is let go of."""

import asyncio
import gc
import runpy
import time
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from streamlit.runtime.memory_session_storage import MemorySessionStorage
from streamlit.testing.v1 import AppTest

from explorer.base.collector import pass_over_what_is_loaded
from explorer.base.open_model import OpenModel
from explorer.editing.edits import Painting
from explorer.editing.engine import EditEngine
from explorer.images.pictures import Picture
from explorer.ui import session as session_module
from explorer.ui import store
from explorer.ui.session import MOST_NAMED_SETS, NamedSet, SavedEdit, Session
from explorer.ui.transport import lifespan, uploads, visitors
from explorer.ui.transport.visitors import Visitor
from tests.conftest import ROOT
from tests.test_engine import random_requests
from tests.toy_engine import toy_engine, toy_picture
from tests.toys import assert_one_sentence, toy_model


def arrays_in(thing: Any, seen: set[int]) -> Iterator[tuple[int, int]]:
    """Where each array in a thing lies, and how many bytes it has; what engines share is not looked into."""
    if id(thing) in seen or isinstance(thing, OpenModel | Picture | torch.nn.Module):
        return
    seen.add(id(thing))
    if isinstance(thing, torch.Tensor):
        yield thing.untyped_storage().data_ptr(), thing.untyped_storage().nbytes()
    elif isinstance(thing, np.ndarray):
        whole = thing
        while isinstance(whole.base, np.ndarray):
            whole = whole.base
        yield whole.__array_interface__["data"][0], whole.nbytes
    elif isinstance(thing, dict):
        for part in [*thing.keys(), *thing.values()]:
            yield from arrays_in(part, seen)
    elif isinstance(thing, list | tuple | set | frozenset):
        for part in thing:
            yield from arrays_in(part, seen)
    elif is_dataclass(thing):
        for field in fields(thing):
            yield from arrays_in(getattr(thing, field.name), seen)
    if hasattr(thing, "__dict__") and not isinstance(thing, type):
        yield from arrays_in(vars(thing), seen)


def held(engine: EditEngine) -> int:
    """The bytes of all arrays that an engine holds, each once."""
    return sum(dict(arrays_in(engine, set())).values())


@pytest.mark.parametrize("side", [48, 400])
def test_an_engine_holds_no_more_than_it_says_however_long_it_is_used(side: int) -> None:
    engine = toy_engine(toy_model(channels=(4, 8), embedding_dim=64), toy_picture(side, side))
    most = []
    for part in range(3):
        for request in random_requests(engine, 20, part):
            answer = engine.answer(request)
            engine.codes_only()
            engine.more(answer, request)
        most.append(held(engine))
        assert most[-1] <= engine.size
    assert max(most[1:]) <= 1.5 * most[0]
    assert engine.size < 4 * max(most) + (2 << 20)  # and that is no idle word


def test_a_visitors_engines_are_bounded_in_bytes_and_the_newest_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    visitor = Visitor()
    one = toy_engine(content="0").size
    monkeypatch.setattr(visitors, "MOST_ENGINE_BYTES", 2 * one)
    for number in range(4):
        visitor.keep(toy_engine(content=str(number)))
    assert list(visitor.engines) == ["2", "3"]
    monkeypatch.setattr(visitors, "MOST_ENGINE_BYTES", 1)
    visitor.keep(toy_engine(content="4"))
    assert list(visitor.engines) == ["4"]


def test_kept_edits_are_bounded_in_bytes_and_the_newest_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    painting = Painting(np.zeros((8, 8), np.int64), np.zeros((8, 8), np.int16))
    monkeypatch.setattr(session_module, "MOST_SAVED_BYTES", 3000)
    session = Session()
    for number in range(4):
        session = session.with_saved_edit(SavedEdit(str(number), painting, document="x" * 500))
    assert [kept.content for kept in session.edit.saved_edits] == ["2", "3"]  # of 1,140 bytes each
    session = session.with_saved_edit(SavedEdit("large", painting, document="x" * 9000))
    assert [kept.content for kept in session.edit.saved_edits] == ["large"]


def test_named_sets_are_bounded_and_the_chosen_one_is_among_them() -> None:
    session = Session()
    for number in [*range(MOST_NAMED_SETS), 0, *range(MOST_NAMED_SETS, 2 * MOST_NAMED_SETS)]:
        session = session.with_named_set(NamedSet(f"/photos/{number}", "", "Photos"))
        assert session.codebook.image_set in [kept.place for kept in session.codebook.named_sets]
    assert [kept.place for kept in session.codebook.named_sets] == [
        f"/photos/{number}" for number in range(MOST_NAMED_SETS, 2 * MOST_NAMED_SETS)
    ]


def test_whoever_comes_to_a_full_server_waits_and_whoever_is_there_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    gc.collect()
    here = AppTest.from_file(str(ROOT / "explorer" / "ui" / "main.py"), default_timeout=120).run()
    monkeypatch.setenv(visitors.MOST_VISITORS, str(visitors.number()))
    late = AppTest.from_file(str(ROOT / "explorer" / "ui" / "main.py"), default_timeout=120).run()
    assert "as many people" in late.info[0].value.lower()
    assert store.LIVE_KEY not in late.session_state
    assert not here.run().info and not here.exception
    monkeypatch.setenv(visitors.MOST_VISITORS, str(visitors.number() + 1))
    late.run()
    assert not late.exception and store.LIVE_KEY in late.session_state


@pytest.mark.parametrize("said", ["", "0"])
def test_where_nothing_is_said_any_number_comes(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(visitors.MOST_VISITORS, said)
    kept = [Visitor() for _ in range(300)]
    assert visitors.is_room() and visitors.number() >= len(kept)


@pytest.mark.parametrize("name", [visitors.MOST_VISITORS, uploads.MOST_BYTES])
@pytest.mark.parametrize("said", ["many", "1e3", "-1", "1.5", "9" * 5000, "²"])
def test_a_bound_that_is_no_number_is_a_sentence_at_the_start(
    name: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, said)
    monkeypatch.setattr(uploads, "room", uploads.room.__wrapped__)
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / "app.py"))
    assert isinstance(ended.value.code, str)
    assert_one_sentence(ended.value.code)
    assert name in ended.value.code


class Left:
    """A session, in a circle with what it holds, as Streamlit's are."""

    def __init__(self, name: str) -> None:
        self.id, self.visitor = name, Visitor(session=name)
        self.circle = self


class Manager:
    """Streamlit's own storage, of visitors who left for a moment."""

    def __init__(self, seconds: float) -> None:
        self._session_storage = MemorySessionStorage(ttl_seconds=seconds)  # type: ignore[arg-type]

    def list_sessions(self) -> list[Any]:
        return self._session_storage.list()


def test_a_session_is_let_go_of_though_nobody_else_leaves_and_the_collector_was_told_to_pass_over_it() -> None:
    manager, patient = Manager(0.05), Manager(600)
    gone, here = "a session that is over", "a session that may come back"
    for keeper, name in ((manager, gone), (patient, here)):
        keeper._session_storage.save(SimpleNamespace(session=Left(name)))  # type: ignore[arg-type]
    pass_over_what_is_loaded()
    time.sleep(0.1)
    assert {gone, here} <= visitors.sessions()
    lifespan.let_go(manager)  # type: ignore[arg-type]
    assert gone not in visitors.sessions()
    lifespan.let_go(patient)  # type: ignore[arg-type]
    assert here in visitors.sessions()


def test_what_somebody_holds_is_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    passes: list[None] = []
    monkeypatch.setattr(lifespan, "pass_over_what_is_loaded", lambda: passes.append(None))
    one, manager = Visitor(session="held"), Manager(600)
    held = lifespan.let_go(manager)  # type: ignore[arg-type]
    assert "held" in held and len(passes) == 1
    assert lifespan.let_go(manager, held) == held and len(passes) == 1  # type: ignore[arg-type]
    another = Visitor(session="another")
    assert {one.session, another.session} <= lifespan.let_go(manager, held) and len(passes) == 2  # type: ignore[arg-type]


def test_that_is_looked_after_while_the_server_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    manager, looked = Manager(600), []
    monkeypatch.setattr(lifespan, "LOOK_EVERY", 0.01)
    monkeypatch.setattr(lifespan, "let_go", lambda manager, held: looked.append((manager, held)) or held | {"held"})
    monkeypatch.setattr(lifespan.runtime, "exists", lambda: True)
    monkeypatch.setattr(lifespan.runtime, "get_instance", lambda: SimpleNamespace(_session_mgr=manager))

    async def wait() -> None:
        looking = asyncio.create_task(lifespan._let_go())
        while len(looked) < 2:
            await asyncio.sleep(0.01)
        looking.cancel()

    asyncio.run(wait())
    assert looked[:2] == [(manager, set()), (manager, {"held"})]
