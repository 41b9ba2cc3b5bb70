"""A visitor's small training: the worker that does it, what has been seen of it so far, and how long it takes."""

from __future__ import annotations

import json
import math
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from explorer.base.job import POLL, Cancelled, Job, Progress, turn
from explorer.learn.lab import MEASURES, LabSettings, Snapshot
from explorer.learn.lab_worker import END, GO_ON, Message, receive, unpacked
from vqvae.errors import BadInput
from vqvae.training.settings import TrainingConfig, training_settings

MOST_AT_ONCE = 4  # trainings of all visitors
USUAL_PACE = 0.03  # seconds a step, on a core that has nothing else to do
WAITING = "Waiting for a core: other trainings run"
STARTING = "Starting"
_PROJECT = Path(__file__).parents[2]
_LONGEST_END = 60.0  # seconds after which a worker that was told to end is given up

# One core is left to those who look at the app; whoever comes later waits, and can stop to wait.
_places = threading.Semaphore(max(1, min(MOST_AT_ONCE, (os.cpu_count() or 1) - 1)))


@dataclass(frozen=True, eq=False)
class Course:
    """What has been seen of a training so far."""

    settings: LabSettings
    measures: np.ndarray  # float32 [steps, 3], as MEASURES
    snapshots: tuple[Snapshot, ...]  # oldest first
    weights: bytes | None  # a checkpoint's file, once it has ended

    @property
    def step(self) -> int:
        """Steps that were done."""
        return len(self.measures)

    def measure(self, name: str) -> np.ndarray:
        """float32 [steps]: loss, perplexity, or used (codes)."""
        return self.measures[:, MEASURES.index(name)]


class Run:
    """A training of one visitor. `work` is for a job; the rest may be asked at any time, from any thread."""

    latest_pace: ClassVar[float | None] = None  # seconds a step, of the last training on this machine

    def __init__(self, settings: LabSettings) -> None:
        self.settings = settings
        self.config: TrainingConfig = settings.to_config()
        self._measures = np.empty((self.config.steps, len(MEASURES)), np.float32)
        self._done = 0
        self._snapshots: list[Snapshot] = []
        self._weights: bytes | None = None
        self._began: float | None = None
        self._lock = threading.Lock()

    def seen(self) -> Course:
        """What there is by now."""
        with self._lock:
            return Course(self.settings, self._measures[: self._done].copy(), tuple(self._snapshots), self._weights)

    def work(self, progress: Progress) -> Self:
        """Train to the end, or until stopped: what was learned by then stays. Raises BadInput, ChildProcessError."""

        def wait() -> None:
            progress(self._done, self.config.steps, "" if self._done else STARTING)

        with turn(_places, progress, WAITING), _Worker(self.config) as worker:
            try:
                while self._done < self.config.steps:
                    worker.order(GO_ON)
                    self._take(worker.answer(wait))
                    wait()
            except Cancelled:
                pass  # the job has heard it; what there is by now is asked for next
            worker.order(END)
            while self._weights is None:
                self._take(worker.answer(lambda: None, longest=_LONGEST_END))
        return self

    def seconds_left(self) -> float | None:
        """How long it still takes at the pace so far; None before there is one."""
        with self._lock:
            if not self._done or self._began is None:
                return None
            return (time.monotonic() - self._began) / self._done * (self.config.steps - self._done)

    def _take(self, message: Message) -> None:
        if "refusal" in message:
            raise BadInput(message["refusal"].tobytes().decode())
        with self._lock:
            if self._began is None:
                self._began = time.monotonic()  # the first message is the snapshot before the first step
            rows = message.get("measures", self._measures[:0])
            self._measures[self._done : self._done + len(rows)] = rows
            self._done += len(rows)
            if len(rows):
                Run.latest_pace = (time.monotonic() - self._began) / self._done
            snapshot = unpacked(message)
            if snapshot is not None and (not self._snapshots or snapshot.step > self._snapshots[-1].step):
                self._snapshots.append(snapshot)
            if "weights" in message:
                self._weights = message["weights"].tobytes()


@dataclass(frozen=True, eq=False)
class Training:
    """A run, and the job that does it."""

    run: Run
    job: Job[Run]


class _Worker:
    """The process of a training: orders go in, each is answered by one message; it ends with the block."""

    def __init__(self, config: TrainingConfig) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-m", "explorer.learn.lab_worker"],
            cwd=_PROJECT,
            env={**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
        )
        self._answers: queue.Queue[Message | None] = queue.Queue()
        threading.Thread(target=self._listen, name="lab-answers", daemon=True).start()
        self.order(json.dumps(training_settings(config)).encode() + b"\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: object) -> None:
        self._process.kill()  # one that has ended is left alone
        self._process.wait()
        assert self._process.stdin is not None
        with suppress(OSError):  # what it was still to be told
            self._process.stdin.close()
        self._log.close()

    def order(self, line: bytes) -> None:
        assert self._process.stdin is not None
        with suppress(OSError):  # one that has died says so by not answering
            self._process.stdin.write(line)
            self._process.stdin.flush()

    def answer(self, wait: Callable[[], None], *, longest: float = math.inf) -> Message:
        """The next answer; `wait` is called while there is none. Raises ChildProcessError where none will come."""
        until = time.monotonic() + longest
        while time.monotonic() < until:
            try:
                message = self._answers.get(timeout=POLL)
            except queue.Empty:
                wait()
                continue
            if message is None:
                break
            return message
        raise ChildProcessError(f"The training has broken off: {self._last_words()}. What it had learned is lost.")

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as answers:
            while (message := receive(answers)) is not None:
                self._answers.put(message)
        self._answers.put(None)

    def _last_words(self) -> str:
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        words = lines[-1] if lines else "its process ended without a word"
        return "".join(letter if letter.isprintable() else " " for letter in words)[:200].rstrip(" .")
