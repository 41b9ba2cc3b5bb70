"""A map in the making: one low-priority worker process at a time, shared by whoever asks for the same map."""

import json
import os
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import Literal

import numpy as np

from explorer.codebook.projection import (
    Progress,
    Projection,
    ProjectionSettings,
    checked_codebook,
    load_projection,
    projection_key,
    save_projection,
)
from explorer.codebook.projection_worker import CODEBOOK_FILE, LOG_FILE, PROGRESS_FILE, SETTINGS_FILE

JobState = Literal["running", "done", "failed", "cancelled"]


class ProjectionJob:
    """A map in the making, in a process of its own; `start_job` is how to get one.

    `state` is "running" (also while it waits for another job's worker), "done", "failed" or "cancelled". `message` is a
    sentence for a person, empty while all is well. `projection` is there once the state is "done".
    """

    def __init__(self, codebook: np.ndarray, settings: ProjectionSettings, folder: Path) -> None:
        self.key = projection_key(codebook, settings)
        self.settings = settings
        self.folder = folder
        self.state: JobState = "running"
        self.message = ""
        self.projection: Projection | None = None
        self._progress = Progress("Waiting for another map", 0.0)
        self._exchange: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        # A daemon, so that a server that ends does not wait for it; the worker then sees its parent go, and ends too.
        self._thread = threading.Thread(target=self._run, args=(codebook,), name="projection", daemon=True)

    @property
    def progress(self) -> Progress:
        """How far it is, from the file that the worker writes."""
        if self.state == "done":
            return Progress("Done", 1.0)
        if exchange := self._exchange:
            with suppress(OSError):  # not written yet, or tidied away
                self._progress = Progress(**json.loads((exchange / PROGRESS_FILE).read_bytes()))
        return self._progress

    def cancel(self) -> None:
        """End it, for every session that shares it; a finished job stays as it is."""
        self._finish("cancelled", "The map was cancelled.")
        with self._lock:
            if self._process:
                self._process.kill()

    def wait(self, timeout: float | None = None) -> bool:
        """Whether all has ended within `timeout` seconds, with the worker gone and its files removed."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _finish(self, state: JobState, message: str = "", projection: Projection | None = None) -> None:
        with self._lock:
            if self.state == "running":
                self.projection, self.message, self.state = projection, message, state

    def _run(self, codebook: np.ndarray) -> None:
        with _one_worker:
            try:
                if self.state == "running":
                    self._work(codebook)
            except Exception as failure:  # there is nobody to raise it to: the person has to be told
                self._finish("failed", _failure(f"{type(failure).__name__}: {failure}"))

    def _work(self, codebook: np.ndarray) -> None:
        codes = len(codebook)
        if kept := load_projection([self.folder], self.key, codes=codes):  # made while this job waited
            self._finish("done", projection=kept)
            return
        with tempfile.TemporaryDirectory(prefix="vqvae-projection-", ignore_cleanup_errors=True) as name:
            exchange = self._exchange = Path(name)
            self._progress = Progress("Starting", 0.0)
            np.save(exchange / CODEBOOK_FILE, codebook, allow_pickle=False)
            (exchange / SETTINGS_FILE).write_text(json.dumps(self.settings.to_dict()))
            code = self._run_worker(exchange)
            if code != 0:
                self._finish("failed", _failure(_last_words(exchange / LOG_FILE, code)))
                return
            projection = load_projection([exchange], self.key, codes=codes)
        if projection is None:
            self._finish("failed", _failure("the worker left no result"))
            return
        try:
            save_projection(self.folder, self.key, projection)
            self._finish("done", projection=projection)
        except OSError as failure:
            reason = _one_line(failure.strerror or type(failure).__name__)
            self._finish("done", f"The map is ready but could not be kept on disk: {reason}.", projection)

    def _run_worker(self, exchange: Path) -> int:
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
            with self._lock:
                self._process = process
                if self.state != "running":
                    process.kill()
            code = process.wait()
            with self._lock:
                self._process = None
        return code


_one_worker = threading.Lock()
_jobs: dict[tuple[Path, str], ProjectionJob] = {}  # those that run, and the last that ended
_jobs_lock = threading.Lock()
_ENDED_JOBS_KEPT = 32
_WORKER_ENVIRONMENT = {
    "NUMBA_NUM_THREADS": "1",
    "NUMBA_THREADING_LAYER": "workqueue",  # always there, and safe where one thread of the process enters it
    "OMP_NUM_THREADS": "1",
}


def start_job(
    codebook: np.ndarray, settings: ProjectionSettings, folder: Path, *, again: bool = False
) -> ProjectionJob:
    """Make a map in a worker process and keep it in `folder`, or join the job that is already making it.

    Ask `load_projection` first. May be called at every rerun: a job that has ended is given back as it is, so that one
    that failed or was cancelled does not begin anew by itself; `again` is for the person who asks for that. Raises
    BadInput for a codebook with values that are not finite.
    """
    codebook = checked_codebook(codebook)
    place = (folder.resolve(), projection_key(codebook, settings))
    with _jobs_lock:
        if place not in _jobs or (again and _jobs[place].state != "running"):
            ended = [known for known, job in _jobs.items() if job.state != "running"]
            for known in ended[: max(0, len(ended) - _ENDED_JOBS_KEPT)]:
                del _jobs[known]
            _jobs[place] = ProjectionJob(codebook.copy(), settings, folder)
            _jobs[place]._thread.start()
        return _jobs[place]


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
    lines = log.read_text(errors="replace").split("\n")
    return next((line for line in reversed(lines) if line.strip()), f"its worker ended with status {code}")
