"""What tests of pages in Streamlit's own harness share."""

from streamlit.testing.v1 import AppTest

from explorer.base.job import Job
from explorer.ui.store import LIVE_KEY


def at_rest(app: AppTest) -> AppTest:
    """The page as it is once what it waits for has been made.

    It runs again after all of that, also where a job ended just after the page had looked at it.
    """
    seen: set[int] = set()
    while new := [job for job in jobs_of(app).values() if job.state == "running" or id(job) not in seen]:
        for job in new:
            assert job.wait(120)
        seen |= set(map(id, new))
        app.run()
    return app


def jobs_of(app: AppTest) -> dict[str, Job]:
    return app.session_state[LIVE_KEY].jobs if LIVE_KEY in app.session_state else {}
