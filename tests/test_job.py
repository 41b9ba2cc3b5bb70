"""Long work: what becomes of its result, of a stop and of a fault; and a visitor's jobs, kept by name and drawn."""

from __future__ import annotations

import gc
import threading
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from explorer.base.job import Cancelled, Job, Line, Progress, turn
from explorer.ui import jobs, store
from explorer.ui.jobs import MOST_JOBS
from explorer.ui.store import LIVE_KEY, Live
from tests.toys import Heard, until
from vqvae.errors import BadInput

PATIENCE = 30.0  # seconds, for a thread to do next to nothing


def ended(job: Job[Any]) -> Job[Any]:
    """The job, when its thread has ended."""
    assert job.wait(PATIENCE)
    assert job.state != "running"
    return job


class Counting:
    """Work of so many steps that takes each only when it is let; it keeps how many it took, or it does not."""

    def __init__(self, steps: int, *, keeps: bool = True) -> None:
        self.steps, self.keeps = steps, keeps
        self._let, self._taken = threading.Semaphore(0), threading.Semaphore(0)

    def __call__(self, progress: Progress) -> int:
        for step in range(1, self.steps + 1):
            assert self._let.acquire(timeout=PATIENCE)
            try:
                progress(step, self.steps)
            except Cancelled:
                if not self.keeps:
                    raise
                return step
            finally:
                self._taken.release()
        return self.steps

    def let(self, steps: int = 1) -> None:
        for _ in range(steps):
            self._let.release()
            assert self._taken.acquire(timeout=PATIENCE)


@pytest.fixture
def session_state(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A visitor's state without a page."""
    state: dict[str, Any] = {}
    monkeypatch.setattr("streamlit.session_state", state)
    return state


def test_a_job_runs_beside_and_keeps_its_result() -> None:
    work = Counting(3)
    job = Job(work)
    assert (job.state, job.done, job.fraction, job.result) == ("running", 0, 0, None)
    assert not job.wait(0)
    work.let(2)
    assert (job.state, job.done, job.total, job.result) == ("running", 2, 3, None)
    assert job.fraction == 2 / 3
    work.let()
    assert (ended(job).state, job.result) == ("done", 3)
    assert (job.done, job.total, job.fraction, job.message) == (3, 3, 1, "")
    job.stop()
    assert job.state == "done"


@pytest.mark.parametrize("keeps", [True, False])
def test_a_stopped_job_ends_after_the_step_at_hand_and_has_what_the_work_keeps(keeps: bool) -> None:
    work = Counting(100, keeps=keeps)
    job = Job(work)
    work.let(4)
    job.stop()
    assert job.state == "running" and job.stopping
    work.let()
    assert (ended(job).state, job.result) == ("cancelled", 5 if keeps else None)
    assert (job.done, job.message) == (5, "")


def test_a_job_that_was_stopped_too_late_is_done() -> None:
    steps = threading.Semaphore(0)

    def work(progress: Progress) -> str:
        progress(1, 1)
        assert steps.acquire(timeout=PATIENCE)
        return "all of it"

    job = Job(work)
    while job.done == 0:
        job.wait(0.01)
    job.stop()
    steps.release()
    assert (ended(job).state, job.result) == ("done", "all of it")


def test_work_says_its_stages() -> None:
    job = ended(Job(lambda progress: progress(1, 2, "Baking")))
    assert (job.state, job.stage, job.fraction) == ("done", "Baking", 0.5)


@pytest.mark.parametrize(("done", "total", "fraction"), [(0, 0, 0), (3, 0, 0), (5, 4, 1)])
def test_how_far_it_is_can_always_be_drawn(done: int, total: int, fraction: float) -> None:
    assert ended(Job(lambda progress: progress(done, total))).fraction == fraction


@pytest.mark.parametrize("fault", [BadInput("That folder holds no images."), OSError("That disk is full.")])
def test_a_refusal_is_told_in_its_own_words(fault: Exception) -> None:
    def work(progress: Progress) -> int:
        raise fault

    job = ended(Job(work))
    assert (job.state, job.message, job.result) == ("failed", str(fault), None)


@pytest.mark.parametrize("fault", [KeyError("secret"), ZeroDivisionError(), MemoryError(), ValueError("[3, 4]")])
def test_a_fault_that_nobody_expected_is_named_plainly_and_goes_to_the_log(
    fault: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[BaseException | None] = []
    monkeypatch.setattr("threading.excepthook", lambda case: logged.append(case.exc_value))

    def work(progress: Progress) -> int:
        raise fault

    job = ended(Job(work))
    assert job.message == f"It could not be finished: {type(fault).__name__}."
    assert (job.state, job.result) == ("failed", None)
    assert logged == [fault]


def test_whoever_waits_for_their_turn_says_so_and_can_be_stopped() -> None:
    lock = threading.Lock()
    heard = Heard(stop_at=0)
    with lock, pytest.raises(Cancelled), turn(lock, heard, "Waiting"):
        raise AssertionError("It was not its turn.")
    assert (heard.steps, heard.stages) == ([(0, 0)], ["Waiting"])
    with pytest.raises(KeyError), turn(lock, heard):
        assert lock.locked()
        raise KeyError
    assert not lock.locked()
    assert len(heard.steps) == 1


# --- one at a time ----------------------------------------------------------------------------------------------------


class InLine:
    """Work that takes its turn in a line, and goes on until it is let go."""

    def __init__(self, line: Line, size: int, order: list[int]) -> None:
        self.go_on = threading.Event()

        def work(progress: Progress) -> None:
            with line.turn(size, f"the work of {size}", progress):
                order.append(size)
                while not self.go_on.wait(0.01):
                    progress(1, 2, "Working")

        self.job = Job(work)


def test_the_smallest_is_next_and_of_equals_what_came_first() -> None:
    line, order = Line(), []
    first = InLine(line, 50, order)
    until(lambda: first.job.stage == "Working")
    others = []
    for size in (70, 20, 90, 20, 40):
        others.append(InLine(line, size, order))
        until(lambda: others[-1].job.stage)  # they come one after another
    for work in (first, *others):
        work.go_on.set()
    for work in (first, *others):
        assert ended(work.job).state == "done"
    assert order == [50, 20, 20, 40, 70, 90]


def test_whoever_waits_is_told_what_for_and_how_many_are_before() -> None:
    line, order = Line(), []
    first = InLine(line, 50, order)
    until(lambda: first.job.stage == "Working")
    large = InLine(line, 70, order)
    until(lambda: large.job.stage == "Waiting for the work of 50, next in line")
    small = InLine(line, 60, order)
    until(lambda: small.job.stage == "Waiting for the work of 50, next in line")
    until(lambda: large.job.stage == "Waiting for the work of 50, number 2 in line")
    small.job.stop()  # while it waits
    assert ended(small.job).state == "cancelled"
    until(lambda: large.job.stage == "Waiting for the work of 50, next in line")
    first.job.stop()  # while it works
    until(lambda: large.job.stage == "Working")
    large.go_on.set()
    assert ended(large.job).state == "done" and order == [50, 70]


# --- shared jobs ------------------------------------------------------------------------------------------------------


def test_a_job_ends_once_nobody_wants_it_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("explorer.base.job.PATIENCE", 0.3)
    wants = {"one": True, "two": True}
    job = Job(lambda progress: [progress(0, 0) or threading.Event().wait(0.01) for _ in range(100_000)])
    alone = Job(lambda progress: [progress(0, 0) or threading.Event().wait(0.01) for _ in range(100)])
    for who in wants:
        job.want(who, lambda who=who: wants[who])
    assert not job.wait(0.8) and job.wanted() and job.wanted(but_for="one")
    wants["one"] = False
    assert job.wanted() and not job.wanted(but_for="two")
    assert not job.wait(0.8)  # one of them is enough
    wants["two"] = False
    assert ended(job).state == "cancelled" and job.abandoned
    assert ended(alone).state == "done" and not alone.abandoned  # whose maker said nothing waits for it


def test_a_job_outlives_a_short_absence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("explorer.base.job.PATIENCE", 30)
    job = Job(lambda progress: [progress(0, 0) or threading.Event().wait(0.01) for _ in range(50)])
    job.want("one", lambda: False)
    assert ended(job).state == "done" and not job.abandoned


# --- jobs by name -----------------------------------------------------------------------------------------------------


def test_a_job_is_found_by_its_name_until_it_is_forgotten(session_state: dict[str, Any]) -> None:
    assert jobs.find("one") is None
    one = jobs.start("one", lambda progress: 1)
    two = jobs.start("two", lambda progress: 2)
    assert jobs.find("one") is one
    assert (ended(one).result, ended(two).result) == (1, 2)
    jobs.forget("one")
    assert jobs.find("one") is None and jobs.find("two") is two
    jobs.forget("one")  # nothing to forget is no fault


@pytest.mark.parametrize("again", [False, True])
def test_a_job_that_is_replaced_or_forgotten_is_stopped(again: bool, session_state: dict[str, Any]) -> None:
    work = Counting(100)
    first = jobs.start("one", work)
    if again:
        jobs.start("one", lambda progress: -1)
    else:
        jobs.forget("one")
    work.let()
    assert ended(first).result == 1
    second = jobs.find("one")
    assert (second is not None) == again
    if second:
        assert ended(second).result == -1 and not second.stopping


def test_the_oldest_of_too_many_jobs_is_stopped_and_forgotten(session_state: dict[str, Any]) -> None:
    work = Counting(100)
    oldest = jobs.start("oldest", work)
    for number in range(MOST_JOBS):
        assert jobs.find("oldest") is oldest and not oldest.stopping
        jobs.start(str(number), lambda progress: 0)
    assert jobs.find("oldest") is None
    assert all(jobs.find(str(number)) for number in range(MOST_JOBS))
    work.let()
    assert ended(oldest).result == 1
    for job in store.live().jobs.values():
        ended(job)


def test_of_jobs_of_a_kind_all_but_one_are_stopped_and_forgotten(session_state: dict[str, Any]) -> None:
    work = [Counting(100) for _ in range(3)]
    started = [jobs.start(name, one) for name, one in zip(("index-a", "index-b", "other"), work, strict=True)]
    jobs.forget_others("index-b", prefix="index")
    assert [job.stopping for job in started] == [True, False, False]
    assert list(store.live().jobs) == ["index-b", "other"]
    jobs.forget_others("index-c", prefix="index")
    assert list(store.live().jobs) == ["other"]
    jobs.forget("other")
    for one, job in zip(work, started, strict=True):
        one.let()
        assert ended(job).result == 1


# --- on a page --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "most"), [("anything", 32), ("rates", 8), ("reported", 4)])
def test_of_what_jobs_made_the_newest_is_kept_and_less_of_what_is_large(kind: str, most: int) -> None:
    jobs.shelf.clear()
    for number in range(40):
        jobs.shelf(kind).put(str(number), number)
    assert [number for number in range(40) if jobs.shelf(kind).find(str(number)) is not None] == list(range(40))[-most:]


def page() -> None:
    import streamlit as st

    from explorer.ui import jobs

    job = jobs.find("count")
    if job:
        jobs.follow(job, "Counting", key="count", unit="sheep")
    st.text(f"{job.state} {job.result}" if job else "no job")


def test_a_page_shows_how_far_a_job_is_stops_it_and_then_shows_the_result() -> None:
    app = AppTest.from_function(page)
    assert app.run().text[0].value == "no job" and not app.button
    work = Counting(2000)
    app.session_state[LIVE_KEY] = Live(jobs={"count": Job(work)})
    work.let(1500)
    app.run()
    assert app.get("progress")[0].proto.text == "Counting: 1,500 of 2,000 sheep"
    assert app.get("progress")[0].proto.value == 75
    app.button[0].click().run()
    job = app.session_state[LIVE_KEY].jobs["count"]
    assert job.stopping and app.button[0].disabled
    work.let()
    ended(job)
    app.run()
    assert not app.exception and not app.button
    assert app.text[0].value == "cancelled 1501"


def test_a_page_shows_the_stage_of_a_job_that_has_stages() -> None:
    go_on = threading.Event()

    def work(progress: Progress) -> None:
        progress(0, 0)
        while not go_on.wait(0.01):
            progress(1, 4, "Loading")

    app = AppTest.from_function(page)
    app.session_state[LIVE_KEY] = Live(jobs={"count": (job := Job(work))})
    while not job.stage:
        job.wait(0.01)
    app.run()
    assert (app.get("progress")[0].proto.text, app.get("progress")[0].proto.value) == ("Counting: Loading", 25)
    go_on.set()
    ended(job)


def shared_page() -> None:
    import streamlit as st

    from explorer.ui import jobs
    from explorer.ui.store import live

    live().page = (st.session_state["page"], "model")
    if st.session_state["page"] == "Codebook":
        jobs.follow(st.session_state["job"], "Map", key="umap")


def visit(job: Job, page: str = "Codebook") -> AppTest:
    app = AppTest.from_function(shared_page)
    app.session_state["job"], app.session_state["page"] = job, page
    return app.run()


def labels(app: AppTest) -> list[str]:
    return [button.label for button in app.button]


def test_who_stops_a_shared_job_stops_it_for_themselves_alone() -> None:
    work = Counting(100)
    first, second = visit(job := Job(work)), visit(job)
    first.button[0].click().run()
    assert not job.stopping and labels(first) == ["Follow it"] and labels(second) == ["Stop"]
    assert "goes on for another visitor" in first.caption[0].value
    first.button[0].click().run()
    assert labels(first) == ["Stop"]
    first.button[0].click().run()
    second.button[0].click().run()  # the last one who wanted it
    assert job.stopping
    work.let()
    assert ended(job).state == "cancelled"


def test_a_shared_job_is_wanted_until_the_last_visitor_leaves_the_page() -> None:
    work = Counting(100)
    first, second = visit(job := Job(work)), visit(job)
    assert job.wanted()
    first.session_state["page"] = "Edit"
    first.run()
    assert job.wanted()
    second.session_state["page"] = "Learn"
    second.run()
    assert not job.wanted()
    first.session_state["page"] = "Codebook"
    first.run()
    assert job.wanted()
    other = Counting(100)
    first.session_state["job"] = Job(other)  # another layout of the map
    first.run()
    assert not job.wanted() and first.session_state["job"].wanted()
    for one, counting in ((job, work), (first.session_state["job"], other)):
        one.stop()
        counting.let()
        ended(one)


def test_a_shared_job_is_not_wanted_by_a_visitor_whose_connection_or_session_has_ended(
    session_state: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    connected = {"": True}
    monkeypatch.setattr(jobs, "_connected", connected.__getitem__)
    monkeypatch.setattr("streamlit.fragment", lambda look, run_every: lambda *arguments: None)
    work = Counting(100)
    jobs.follow(job := Job(work), "Map", key="umap")
    assert job.wanted()
    connected[""] = False
    assert not job.wanted()
    connected[""] = True
    assert job.wanted()
    session_state.clear()  # Streamlit forgets the session
    gc.collect()
    assert not job.wanted()
    job.stop()
    work.let()
    ended(job)
