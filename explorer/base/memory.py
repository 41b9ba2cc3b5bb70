"""How much memory a piece of torch's work takes."""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.autograd.profiler import profile

_one_at_a_time = threading.Lock()  # torch has one profiler


def peak_bytes(work: Callable[[], object], device: str = "cpu") -> int | None:
    """What all tensors that the work made took at once, at most, in bytes; None where torch cannot tell.

    Counted is what torch's own allocator gave out meanwhile: on the CPU to this thread, told by torch's profiler, which
    slows the work down; on CUDA to the whole process. Memory that was there before, as that of the weights, and what
    NumPy and other libraries take, is not counted. Raises what the work raises.
    """
    kind = torch.device(device).type
    if kind == "cuda":
        return _on_cuda(work, device)
    return _on_cpu(work) if kind == "cpu" else None


def _on_cpu(work: Callable[[], object]) -> int | None:
    with _one_at_a_time:
        profiler = profile(profile_memory=True)
        try:
            profiler.__enter__()
        except RuntimeError:  # somebody else profiles this program
            work()
            return None
        try:
            work()
        finally:
            profiler.__exit__(None, None, None)
        result: Any = profiler.kineto_results
    told = [event for event in result.events() if event.name() == "[memory]"]
    taken = np.cumsum([event.nbytes() for event in sorted(told, key=lambda event: event.start_ns())])
    return int(taken.max(initial=0))


def _on_cuda(work: Callable[[], object], device: str) -> int:
    with _one_at_a_time:
        torch.cuda.synchronize(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        work()
        torch.cuda.synchronize(device)
        return max(0, torch.cuda.max_memory_allocated(device) - before)
