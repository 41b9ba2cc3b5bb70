"""Work beside the page: what becomes of its result, of a stop and of a fault."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from explorer.ui import background, store
from explorer.ui.background import MOST_JOBS, Job, Report
from explorer.ui.store import LIVE_KEY, Live
from vqvae.errors import BadInput

PATIENCE = 30.0  # seconds, for a thread to do next to nothing


def ended(job: Job[Any]) -> Job[Any]:
    """The job, when its thread has ended."""
    job.wait(PATIENCE)
    assert job.state == "ended"
    return job


class Counting:
    """Work of so many steps that takes each only when it is let, and gives how many it took."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self._let, self._taken = threading.Semaphore(0), threading.Semaphore(0)

    def __call__(self, report: Report) -> int:
        for step in range(1, self.steps + 1):
            assert self._let.acquire(timeout=PATIENCE)
            go_on = report(step, self.steps)
            self._taken.release()
            if not go_on:
                return step
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
    assert (job.state, job.done, job.result) == ("running", 0, None)
    work.let(2)
    assert (job.state, job.done, job.total, job.result) == ("running", 2, 3, None)
    work.let()
    assert ended(job).result == 3
    assert (job.done, job.total, job.stopped, job.message) == (3, 3, False, "")


def test_a_stopped_job_ends_after_the_step_at_hand_and_keeps_what_it_has() -> None:
    work = Counting(100)
    job = Job(work)
    work.let(4)
    job.stop()
    assert job.state == "running"
    work.let()
    assert ended(job).result == 5
    assert (job.done, job.stopped, job.message) == (5, True, "")


def test_how_far_nothing_is_can_be_drawn() -> None:
    job = ended(Job(lambda report: report(0, 0)))
    assert job.done / job.total == 0


@pytest.mark.parametrize("fault", [BadInput("That folder holds no images."), OSError("That disk is full.")])
def test_a_refusal_is_told_in_its_own_words(fault: Exception) -> None:
    def work(report: Report) -> int:
        raise fault

    job = ended(Job(work))
    assert (job.message, job.result) == (str(fault), None)


@pytest.mark.parametrize("fault", [KeyError("secret"), ZeroDivisionError(), MemoryError(), ValueError("[3, 4]")])
def test_a_fault_that_nobody_expected_is_named_plainly_and_goes_to_the_log(
    fault: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[BaseException | None] = []
    monkeypatch.setattr("threading.excepthook", lambda case: logged.append(case.exc_value))

    def work(report: Report) -> int:
        raise fault

    job = ended(Job(work))
    assert job.message == f"It could not be finished: {type(fault).__name__}."
    assert job.result is None
    assert logged == [fault]


# --- jobs by name -----------------------------------------------------------------------------------------------------


def test_a_job_is_found_by_its_name_until_it_is_forgotten(session_state: dict[str, Any]) -> None:
    assert background.find("one") is None
    background.start("one", lambda report: 1)
    background.start("two", lambda report: 2)
    one, two = background.find("one"), background.find("two")
    assert one is not None and two is not None
    assert (ended(one).result, ended(two).result) == (1, 2)
    background.forget("one")
    assert background.find("one") is None and background.find("two") is two
    background.forget("one")  # nothing to forget is no fault


@pytest.mark.parametrize("again", [False, True])
def test_a_job_that_is_replaced_or_forgotten_is_stopped(again: bool, session_state: dict[str, Any]) -> None:
    work = Counting(100)
    background.start("one", work)
    first = background.find("one")
    assert first is not None
    if again:
        background.start("one", lambda report: -1)
    else:
        background.forget("one")
    work.let()
    assert ended(first).result == 1
    second = background.find("one")
    assert (second is not None) == again
    if second:
        assert ended(second).result == -1 and not second.stopped


def test_the_oldest_of_too_many_jobs_is_stopped_and_forgotten(session_state: dict[str, Any]) -> None:
    work = Counting(100)
    background.start("oldest", work)
    oldest = background.find("oldest")
    assert oldest is not None
    for number in range(MOST_JOBS):
        assert background.find("oldest") is oldest and not oldest.stopped
        background.start(str(number), lambda report: 0)
    assert background.find("oldest") is None
    assert all(background.find(str(number)) for number in range(MOST_JOBS))
    work.let()
    assert ended(oldest).result == 1
    for job in store.live().jobs.values():
        ended(job)


# --- on a page --------------------------------------------------------------------------------------------------------


def page() -> None:
    import streamlit as st

    from explorer.ui import background

    background.follow("count", "Counting")
    job = background.find("count")
    st.text(f"{job.state} {job.result}" if job else "no job")


def test_a_page_shows_how_far_a_job_is_stops_it_and_then_shows_the_result() -> None:
    app = AppTest.from_function(page)
    assert app.run().text[0].value == "no job" and not app.button
    work = Counting(2000)
    app.session_state[LIVE_KEY] = Live(jobs={"count": Job(work)})
    work.let(1500)
    app.run()
    assert app.get("progress")[0].proto.text == "Counting: 1,500 of 2,000"
    assert app.get("progress")[0].proto.value == 75
    app.button[0].click().run()
    job = app.session_state[LIVE_KEY].jobs["count"]
    assert job.stopped and app.button[0].disabled
    work.let()
    ended(job)
    app.run()
    assert not app.exception and not app.button
    assert app.text[0].value == "ended 1501"
