"""Work that other processes can be given: it lies in a module that they find, too."""

import os
import threading

from vqvae.errors import BadInput

BAD = 99


class Slow:
    """Takes longer for the first number than for all others, and says which process did it."""

    def __call__(self, number: int) -> tuple[int, int]:
        threading.Event().wait(0.5 if number == 0 else 0)
        if number == BAD:
            raise BadInput("That is no number.")
        return number, os.getpid()


def threads(_: int) -> int:
    """With how many torch computes."""
    import torch

    return torch.get_num_threads()
