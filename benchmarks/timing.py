"""Measure several ways of doing a thing side by side, so that the noise of a shared machine hits all of them alike."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch

Variants = Mapping[str, Callable[[], object]]  # what it is called -> a call that does it once

FEWEST_ROUNDS = 5


@dataclass(frozen=True)
class Timing:
    """How long one variant took."""

    name: str
    milliseconds: float  # the fastest of the rounds
    ratio: float  # to the fastest bare variant of the same run


def compare(bare: Variants, measured: Variants, *, seconds: float = 2.0) -> list[Timing]:
    """Time all variants in turns, round by round, for about `seconds` of wall time and at least five rounds.

    Each variant's time is its fastest round: whatever else the machine does only ever adds. `bare` holds the variants
    that the ratios are to; with several of them, to the fastest.
    """
    variants = {**bare, **measured}
    clock = _clock()
    fastest = dict.fromkeys(variants, float("inf"))
    for call in variants.values():  # warm up: memory is allocated, kernels are chosen
        call()
    finish = time.perf_counter() + seconds
    rounds = 0
    while rounds < FEWEST_ROUNDS or time.perf_counter() < finish:
        for name, call in variants.items():
            started = clock()
            call()
            fastest[name] = min(fastest[name], clock() - started)
        rounds += 1
    baseline = min(fastest[name] for name in bare)
    return [Timing(name, 1000 * taken, taken / baseline) for name, taken in fastest.items()]


def print_table(heading: str, timings: list[Timing]) -> None:
    """Name, milliseconds and ratio of each timing, in columns that stay aligned from table to table."""
    print(f"{heading:<36}{'ms':>10}{'ratio':>9}")
    for timing in timings:
        print(f"  {timing.name:<34}{timing.milliseconds:>10.2f}{timing.ratio:>8.2f}×")
    print(flush=True)


def print_columns(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table whose columns are as wide as what they hold, each line as Markdown has it."""
    lines = [heads, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for number, line in enumerate(lines):
        print("| " + " | ".join(one.rjust(width) for one, width in zip(line, widths, strict=True)) + " |")
        if number == 0:
            print("|" + "|".join("-" * (width + 1) + ":" for width in widths) + "|")
    print(flush=True)


def clock_name() -> str:
    """Which time `compare` takes with the number of threads that torch is set to."""
    return "CPU time" if torch.get_num_threads() == 1 else "wall time"


def _clock() -> Callable[[], float]:
    # CPU time leaves out the other processes' turns; with more threads it would add up their work and hide the gain.
    return time.process_time if torch.get_num_threads() == 1 else time.perf_counter
