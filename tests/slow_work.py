"""Work that other processes can be given: it lies in a module that they find, too."""

import os
import threading
from collections.abc import Iterator

from vqvae.errors import BadInput

BAD = 99


class Slow:
    """Takes longer for the first number than for all others, and says which process did it."""

    def __call__(self, run: range) -> Iterator[tuple[int, int]]:
        for number in run:
            threading.Event().wait(0.5 if number == 0 else 0)
            if number == BAD:
                raise BadInput("That is no number.")
            yield number, os.getpid()


def threads(_: range) -> list[int]:
    """With how many torch computes."""
    import torch

    return [torch.get_num_threads()]
