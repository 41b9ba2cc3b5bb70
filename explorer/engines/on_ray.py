"""Work by the workers of Ray, on this machine or on a cluster: Ray Data hands it out and takes the results in.

Ray is an optional extra, and is imported and started where work begins.
"""

from __future__ import annotations

import logging
import math
import os
import pickle
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from queue import Empty, Full, Queue
from typing import Any, Generic, TypeVar

import explorer
from explorer.base.job import POLL
from explorer.engines import patiently, pieces_of
from vqvae.errors import BadInput, shown

R = TypeVar("R")

RETRIES = 9  # of work whose worker has died; each image that an index is to pass over takes two, the first one three
SEVERAL = 2  # threads: convolutions give the same bits with any number of them but one, which adds up in another order
LAST_WORDS = 10.0  # seconds that Ray has for ending work, before it is ended itself
_STORE_BYTES = 256 << 20  # of results on their way, on this machine; what is more goes to disk
_QUIET = {  # Ray says and sends what nobody asked for otherwise
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_SCHEDULER_EVENTS": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_ENABLE_AUTO_CONNECT": "0",  # or what still asks for it after its end would start it again
}


class OnRay:
    """The workers of Ray: each is a process that opens the model once, and gets one piece after another to work on.

    It computes on one thread, or on two where this process would on several: the last bits of a convolution hang on
    that. Where it dies it is started anew, and what it was at is done again, several times. Ray starts with the first
    work and ends with this process; where it runs in this process already, it is used as it is.
    """

    def __init__(self, address: str | None = None, workers: int | None = None, *, device: str | None = None) -> None:
        """address: of a cluster that runs, or None for workers on this machine.

        workers: by default as many as have cores for their threads, but for one, or as there are GPUs.
        device: with cuda each worker has a GPU of its own.

        Raises BadInput where Ray is not installed.
        """
        if find_spec("ray") is None:
            raise BadInput("Ray is not installed; the command pip install .[scale] installs it.")
        if device not in (None, "cpu", "cuda"):
            raise BadInput(f"Ray gives each worker a GPU of its own; say cuda in place of {shown(device)}.")
        self._address, self._wanted, self._gpus = address, workers, int(device == "cuda")

    def each(
        self,
        runs: Sequence[range],
        work: Callable[[range], Iterable[R]],
        *,
        at_once: int,
        waiting: Callable[[], object] = patiently,
    ) -> Generator[R, None, None]:
        """As Engine says; raises BadInput too where Ray cannot be started, and where workers die at the same work."""
        pieces = pieces_of(runs, at_once)
        if not pieces:
            return
        started = self._start()
        try:
            dataset = self._dataset(pieces, work)
            with closing(_awaited(partial(_rows, dataset), waiting, end=_ending(dataset))) as rows:
                for row in rows:
                    yield from _opened(row)
        except BaseException:
            if started:
                _stop()  # the workers would go on with what they are at
            raise

    def _dataset(self, pieces: Sequence[range], work: Callable[[range], Iterable[R]]) -> Any:
        """Pieces with the work on them, as a Dataset of Ray: one block, one row, for each. Nothing is done yet."""
        import pyarrow
        import ray
        from ray import cloudpickle
        from ray.data import ActorPoolStrategy, DataContext

        share = self._share(len(pieces))
        with warnings.catch_warnings():
            # Ray itself sets what it calls deprecated; from Ray 2.64 on it is to be told of retries in another way.
            warnings.simplefilter("ignore", DeprecationWarning)
            context = DataContext.get_current().copy()
            context.execution_options.preserve_order = True
            context.enable_progress_bars = context.print_on_execution_start = False
            with DataContext.current(context):
                blocks = [pyarrow.table({"pickled": [cloudpickle.dumps(piece)]}) for piece in pieces]
                return ray.data.from_arrow(blocks).map_batches(
                    _Worker,
                    fn_constructor_args=(cloudpickle.dumps(work), _threads()),
                    batch_size=1,
                    batch_format="pyarrow",
                    compute=ActorPoolStrategy(size=share.workers),
                    num_cpus=share.cpus,
                    num_gpus=self._gpus,
                    max_task_retries=RETRIES,
                )

    def _start(self) -> bool:
        """Start Ray, or join the cluster; whether that had not been done before. Raises BadInput."""
        for name, value in _QUIET.items():
            os.environ.setdefault(name, value)
        with _own_signals(), _said_by_none():
            import ray
            import ray.data

            if ray.is_initialized():
                return False
            logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # faults come as what they are
            ray._private.worker._worker_logs_enabled = False  # which are for standard output, with what Ray itself says
            cpus = self._workers_here() * _threads() + 1  # cores that Ray counts with, so that each worker has its own
            here: dict[str, Any] = {"num_cpus": cpus, "object_store_memory": _STORE_BYTES}
            try:
                ray.init(
                    self._address or "local",
                    include_dashboard=False,
                    log_to_driver=False,
                    logging_level=logging.CRITICAL,
                    job_config=ray.job_config.JobConfig(_py_driver_sys_path=[str(Path(explorer.__file__).parents[1])]),
                    **({} if self._address else here),
                )
            except (ConnectionError, RuntimeError, ValueError, OSError) as fault:
                what = f"reached at {shown(self._address)}" if self._address else "started here"
                why = str(fault).strip().partition("\n")[0].rstrip(".")
                raise BadInput(f"Ray could not be {what} ({why}).") from None
        return True

    def _workers_here(self) -> int:
        return self._wanted or max(1, ((os.cpu_count() or 1) - 1) // _threads())

    def _share(self, pieces: int) -> _Share:
        """How the machines are shared out; raises BadInput where there are not enough GPUs."""
        import ray

        there = ray.cluster_resources()
        cpus, gpus = there.get("CPU", 1.0), int(there.get("GPU", 0))
        usual = gpus if self._gpus else (int(cpus) - 1) // _threads()
        workers = min(pieces, self._wanted or max(1, usual))
        if self._gpus and workers > gpus:
            raise BadInput(f"Ray has {gpus} GPUs for {workers} workers; name no more workers, or leave --device out.")
        return _Share(workers, cores_each(cpus, workers, _threads()))


def cores_each(cpus: float, workers: int, threads: int) -> float:
    """How many of all cores each worker takes: one a thread, and less where there are too few for that.

    One is left: where actors take every core, the scheduler waits for ever (ray-project/ray#44687). From one on it is a
    whole number, as Ray asks.
    """
    each = (cpus - 1 if cpus > 1 else cpus / 2) / workers
    return float(min(threads, math.floor(each))) if each >= 1 else math.floor(each * 1000) / 1000


@dataclass(frozen=True)
class _Share:
    workers: int
    cpus: float  # of each: cores


class _Worker(Generic[R]):
    """What runs in a worker: work that came as a pickle, opened with the first piece that it is to be done on.

    Whatever is raised goes back as a result, so that it arrives as what it was.
    """

    def __init__(self, pickled: bytes, threads: int) -> None:
        self._pickled, self._threads = pickled, threads
        self._work: Callable[[range], Iterable[R]] | None = None

    def __call__(self, batch: Any) -> Any:
        import pyarrow

        done = [self._done(piece) for piece in batch["pickled"].to_pylist()]
        return pyarrow.table({"pickled": pyarrow.array(done, pyarrow.large_binary())})

    def _done(self, piece: bytes) -> bytes:
        import torch
        from ray import cloudpickle

        try:
            if self._work is None:
                self._work = pickle.loads(self._pickled)
                torch.set_num_threads(self._threads)
            return bytes(cloudpickle.dumps(_Outcome(list(self._work(pickle.loads(piece))))))
        except Exception as fault:
            with suppress(Exception):
                return bytes(cloudpickle.dumps(_Outcome(fault=fault)))
            return bytes(cloudpickle.dumps(_Outcome(fault=RuntimeError(f"{type(fault).__name__}: {fault}"))))


def _threads() -> int:
    """On how many threads a worker computes."""
    import torch

    return min(SEVERAL, torch.get_num_threads())


def _rows(dataset: Any) -> Iterator[bytes]:
    """The rows of a Dataset in order, which are computed now; raises BadInput where workers died at the same work."""
    import ray

    try:
        for batch in dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
            yield from batch["pickled"].to_pylist()
    except ray.exceptions.RayError as fault:
        raise BadInput(
            f"Ray's workers ended {RETRIES + 1} times at the same images ({type(fault).__name__}); they may have run "
            "out of memory: name fewer with --workers."
        ) from None


def _ending(dataset: Any) -> Callable[[], None]:
    """What ends the work on a Dataset, whoever waits for its rows meanwhile.

    Ray itself ends it where rows are waited for, once the next one is there. Where it was shut down before that, the
    process ended in the middle of its own last words.
    """
    import ray

    executors: list[Any] = []
    create = dataset._create_executor

    def created() -> Any:
        executors.append(create())
        return executors[-1]

    dataset._create_executor = created

    def end() -> None:
        for executor in executors:
            with suppress(ray.exceptions.RayError):  # whoever was lost has ended
                executor.shutdown(force=True)

    return end


@dataclass(frozen=True)
class _Outcome(Generic[R]):
    results: Sequence[R] = ()
    fault: Exception | None = None


def _opened(row: bytes) -> Sequence[Any]:
    outcome: _Outcome[Any] = pickle.loads(row)
    if outcome.fault is not None:
        raise outcome.fault
    return outcome.results


@dataclass(frozen=True)
class _Last:
    """The end of results, and what ended them."""

    fault: BaseException | None


def _awaited(
    rows: Callable[[], Iterator[bytes]], waiting: Callable[[], object], *, end: Callable[[], None]
) -> Generator[bytes, None, None]:
    """What comes out of an iterator that is run in a thread of its own, and `waiting` called while nothing does.

    end: makes the iterator end, where this is left before.
    """
    arrived: Queue[bytes | _Last] = Queue(1)
    left = threading.Event()

    def offer(item: bytes | _Last) -> None:
        while not left.is_set():
            with suppress(Full):
                return arrived.put(item, timeout=POLL)

    def take() -> None:
        fault: BaseException | None = None
        try:
            for row in rows():
                offer(row)
                if left.is_set():
                    return
        except BaseException as raised:
            fault = raised
        offer(_Last(fault))

    taking = threading.Thread(target=take, name="results", daemon=True)
    taking.start()
    try:
        while True:
            try:
                item = arrived.get(timeout=POLL)
            except Empty:
                waiting()
                continue
            if not isinstance(item, _Last):
                yield item
            elif item.fault is None:
                return
            else:
                raise item.fault
    finally:
        left.set()
        end()
        taking.join(LAST_WORDS)


def _stop() -> None:
    import ray

    with _own_signals():
        ray.shutdown()


@contextmanager
def _said_by_none() -> Iterator[None]:
    """What the code of Ray that is not Python writes to standard error while it starts goes nowhere."""
    sys.stderr.flush()
    with open(os.devnull, "wb") as nowhere:
        kept = os.dup(2)
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep the handlers of signals: Ray puts one of its own in place of that for SIGTERM."""
    here = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)} if here else {}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
