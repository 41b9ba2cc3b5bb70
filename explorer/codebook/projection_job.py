"""A map in the making: one low-priority worker process at a time, shared by whoever asks for the same map.

Small maps come first: that of 1,024 codes takes seconds, that of 262,144 many minutes. What nobody wants any more ends.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from explorer.base.job import POLL, Job, Line, Progress
from explorer.base.tidy import EXCHANGE
from explorer.codebook.projection import (
    Projection,
    ProjectionSettings,
    checked_codebook,
    load_projection,
    projection_key,
    save_projection,
)
from explorer.codebook.projection_worker import CODEBOOK_FILE, LOG_FILE, PROGRESS_FILE, SETTINGS_FILE
from vqvae.places import reason_of
from vqvae.words import counted


@dataclass(frozen=True, eq=False)
class MadeMap:
    """A map that a job made."""

    projection: Projection
    remark: str = ""  # why it could not be kept on disk, where it could not


def start_job(
    codebook: np.ndarray, settings: ProjectionSettings, folder: Path, *, name: str = "", again: bool = False
) -> Job[MadeMap]:
    """Make a map in a worker process and keep it in `folder`, or join the job that is already making it.

    Ask `load_projection` first. May be called at every rerun: a job that has ended is given back as it is, so that one
    that failed or was cancelled does not begin anew by itself; `again` is for the person who asks for that. One that
    ended because nobody wanted it (see `Job.want`) does. `name` is the model's, for those who wait for this map to be
    made before theirs. Raises BadInput for a codebook with values that are not finite.
    """
    codebook = checked_codebook(codebook)
    place = (folder.resolve(), projection_key(codebook, settings))

    def work(progress: Progress) -> MadeMap:
        try:
            return make_map(own, settings, folder, name=name, progress=progress)
        finally:
            with _jobs_lock:
                if job.abandoned and _jobs.get(place) is job:
                    del _jobs[place]  # whoever comes back to it begins anew

    with _jobs_lock:
        if place not in _jobs or (again and _jobs[place].state != "running") or _jobs[place].abandoned:
            ended = [known for known, job in _jobs.items() if job.state != "running"]
            for known in ended[: max(0, len(ended) - _ENDED_JOBS_KEPT)]:
                del _jobs[known]
            own = codebook.copy()
            job = _jobs[place] = Job(work)
        return _jobs[place]


def find_job(key: str, folder: Path) -> Job[MadeMap] | None:
    """The job that makes, or has just made, the map with that key in `folder`; None where none was started.

    One that ended because nobody wanted it is none.
    """
    with _jobs_lock:
        job = _jobs.get((folder.resolve(), key))
        return None if job is not None and job.abandoned else job


def make_map(
    codebook: np.ndarray, settings: ProjectionSettings, folder: Path, *, name: str = "", progress: Progress
) -> MadeMap:
    """Make a map in a worker process of its own, when no other is at work, and keep it in `folder`.

    Raises Cancelled, and ChildProcessError with a sentence for a person.
    """
    key, codes = projection_key(codebook, settings), len(codebook)
    what = f"the map of {name or 'a model'} with {counted(codes, 'code')}"
    with _one_worker.turn(codes, what, progress):
        if kept := load_projection([folder], key, codes=codes):  # made while this one waited
            return MadeMap(kept)
        try:
            with tempfile.TemporaryDirectory(prefix=EXCHANGE, ignore_cleanup_errors=True) as own:
                exchange = Path(own)
                np.save(exchange / CODEBOOK_FILE, codebook, allow_pickle=False)
                (exchange / SETTINGS_FILE).write_text(json.dumps(settings.to_dict()), encoding="utf-8")
                code = _run_worker(exchange, progress)
                projection = load_projection([exchange], key, codes=codes)
                reason = _last_words(exchange / LOG_FILE, code) if code else "the worker left no result"
        except OSError as failure:
            raise ChildProcessError(_failure(f"{type(failure).__name__}: {failure}")) from failure
    if code or projection is None:
        raise ChildProcessError(_failure(reason))
    try:
        save_projection(folder, key, projection)
    except OSError as failure:
        why = f"The map could not be kept in {folder} ({reason_of(failure)})"
        return MadeMap(projection, f"{why}; it stays in memory until the app ends.")
    return MadeMap(projection)


def _run_worker(exchange: Path, progress: Progress) -> int:
    """Let the worker work, telling the progress that it writes down; returns its exit status. Raises Cancelled."""
    with (exchange / LOG_FILE).open("wb") as log:
        process = subprocess.Popen(
            _worker_command(exchange),
            cwd=Path(__file__).parents[2],
            env={**os.environ, **_WORKER_ENVIRONMENT},
            stdin=subprocess.PIPE,  # stays open for as long as we live: that is how the worker knows
            stdout=subprocess.DEVNULL,
            stderr=log,
        )
    with process:
        try:
            while True:
                progress(**_told(exchange))
                with suppress(subprocess.TimeoutExpired):
                    return process.wait(POLL)
        finally:
            process.kill()  # one that has ended is left alone


def _told(exchange: Path) -> dict[str, Any]:
    """How far the worker says that it is."""
    try:
        told: dict[str, Any] = json.loads((exchange / PROGRESS_FILE).read_bytes())
    except OSError:  # not written yet
        return {"done": 0, "total": 100, "stage": "Starting"}
    return told


_one_worker = Line()
_jobs: dict[tuple[Path, str], Job[MadeMap]] = {}  # those that run, and the last that ended
_jobs_lock = threading.Lock()
_ENDED_JOBS_KEPT = 32
_WORKER_ENVIRONMENT = {
    "NUMBA_NUM_THREADS": "1",
    "NUMBA_THREADING_LAYER": "workqueue",  # always there, and safe where one thread of the process enters it
    "OMP_NUM_THREADS": "1",
}


def _worker_command(exchange: Path) -> list[str]:
    return [sys.executable, "-m", "explorer.codebook.projection_worker", str(exchange)]


def _failure(reason: str) -> str:
    return f"The map could not be computed: {_one_line(reason)}."


def _one_line(text: str) -> str:
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(printable.split())[:200].rstrip(" .")


def _last_words(log: Path, code: int) -> str:
    if code < 0:
        return f"its worker was ended by signal {-code}"
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    return next((line for line in reversed(lines) if line.strip()), f"its worker ended with status {code}")
