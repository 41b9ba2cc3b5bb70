"""Processes that train one model, each on its share of every batch: torchrun --nproc-per-node N -m vqvae.train …

A run of n processes with `--batch B` is the run of one process with `--batch n·B`, but for the order in which numbers
are added up. The crops and the blends of a batch depend on the seed, the step and their places in the batch, and each
process makes those at its own places: there is one seed, and what it means to a process goes with its rank. So a run
may also go on with another number of processes, and is still the same run. Gradients are means over the whole batch,
and so are the figures in the log; what the codes count and add up is added up over all in every step; what is drawn at
random, the start of the codebook and the restarts of its dead codes, the first process draws and sends to all. It alone
logs, saves and speaks.

PyTorch's process group is joined before anything else, so that a fault of any process is said once and ends all.
Lightning Fabric (requirements-scale.txt) then gives each its device, spreads the model, and sends and adds up tensors:
on CUDA one GPU each, by NCCL, else by Gloo. A single process, ALONE, needs none of it.
"""

import gc
import hashlib
import importlib
import io
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any, Protocol, cast

import torch
from torch import Tensor, distributed, nn

from vqvae.errors import BadInput
from vqvae.plugin import checked_device


@dataclass(frozen=True)
class Ending:
    """How the work of a process ended."""

    code: int  # its exit status
    sentence: str = ""  # what is said of it; empty where all went well
    abrupt: bool = False  # in the middle of a step, where the others wait for what does not come


class Ended(Exception):
    """The work has ended, in another process too."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending.sentence)
        self.ending = ending


class Drifted(Exception):
    """The processes do not hold the same model any more; the message says so."""


class Ranks(Protocol):
    """The processes that train together, as one of them sees them. Each has to call what they do together."""

    rank: int  # 0…size−1; the first logs, saves and speaks
    size: int

    def share(self, batch: int) -> range:
        """The places in a batch of so many images that are this process's."""

    def device(self, name: str | None) -> torch.device:
        """Where this process computes, by what --device says; raises BadInput for what is not there."""

    def spread(self, model: nn.Module) -> Callable[..., Any]:
        """The forward pass of a model, such that `backward` gives it the gradients of all; it is the first's model."""

    def backward(self, loss: Tensor, *, share: int, batch: int) -> None:
        """Back-propagate a mean over `share` images of a batch; gradients become those of the mean over all of it."""

    def total(self, tensor: Tensor) -> Tensor:
        """The sum over all processes."""

    def sent(self, tensor: Tensor) -> Tensor:
        """The first process's tensor."""

    def gathered(self, vectors: Tensor) -> Tensor:
        """[N, D] of each -> those of all, in the order of the ranks."""

    def means(self, figures: Mapping[str, tuple[float, int]]) -> dict[str, float]:
        """Means over all processes of means over so many images; NaN for none. Begins with `agree`."""

    def agree(self) -> None:
        """Go on only where all can; raises Ended where one of the others has ended."""

    def same(self, words: str) -> bool:
        """Whether all processes were given the same words."""

    def check(self, tensors: Iterable[Tensor]) -> None:
        """Raise Drifted unless all processes hold the same numbers."""

    def tell(self, sentence: str) -> None:
        """Say a sentence on standard error; what several processes say, once. From any thread."""

    def speaking(self) -> AbstractContextManager[Any]:
        """While a text is printed that each of the processes would print."""

    def stopping(self, asked: Callable[[], bool]) -> Callable[[], bool]:
        """Whether to stop after this step; all learn it in the same one, whoever was asked."""

    def settled(self, work: Callable[[], Ending]) -> int:
        """Do the whole work and say once how it ended; the exit status, the same for all."""


class Alone:
    """One process: what it has is all there is."""

    rank, size = 0, 1

    def share(self, batch: int) -> range:
        return range(batch)

    def device(self, name: str | None) -> torch.device:
        if name is None:
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
        return checked_device(name)

    def spread(self, model: nn.Module) -> Callable[..., Any]:
        return model

    def backward(self, loss: Tensor, *, share: int, batch: int) -> None:
        loss.backward()

    def total(self, tensor: Tensor) -> Tensor:
        return tensor

    def sent(self, tensor: Tensor) -> Tensor:
        return tensor

    def gathered(self, vectors: Tensor) -> Tensor:
        return vectors

    def means(self, figures: Mapping[str, tuple[float, int]]) -> dict[str, float]:
        return {name: mean for name, (mean, _) in figures.items()}

    def agree(self) -> None:
        pass

    def same(self, words: str) -> bool:
        return True

    def check(self, tensors: Iterable[Tensor]) -> None:
        pass

    def tell(self, sentence: str) -> None:
        print(sentence, file=sys.stderr)

    def speaking(self) -> AbstractContextManager[Any]:
        return nullcontext()

    def stopping(self, asked: Callable[[], bool]) -> Callable[[], bool]:
        return asked

    def settled(self, work: Callable[[], Ending]) -> int:
        ending = work()
        if ending.sentence:
            print(ending.sentence, file=sys.stderr)
        return ending.code


ALONE = Alone()


@contextmanager
def joined() -> Iterator[Ranks]:
    """The processes that torchrun has started, this one among them; ALONE where it is the only one."""
    if not _several():
        yield ALONE
        return
    # Its functions have the group as a default, and would keep it for ever, were they imported once there is one.
    importlib.import_module("torch.distributed.nn.functional")
    distributed.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    together = Together()
    try:
        yield together
    finally:
        together.leave()


def _several() -> bool:
    return distributed.is_available() and distributed.is_torchelastic_launched() and int(os.environ["WORLD_SIZE"]) > 1


class Together:
    """Several processes, started by torchrun."""

    def __init__(self) -> None:
        self.rank, self.size = distributed.get_rank(), distributed.get_world_size()
        self._fabric: Any = None  # from `device` on
        self._asked: Callable[[], bool] = lambda: False  # whether this one was asked to stop
        self._stop = False  # whether any was, as all know
        self._untold: list[str] = []
        self._told: set[str] = set()
        self._lock = threading.Lock()

    def leave(self) -> None:
        """Leave the group for good.

        Its threads end with the last that holds it, and a model that is spread does, in cycles. A thread of Gloo that
        outlives Python's interpreter aborts the process, which then counts as failed.
        """
        self._fabric = None
        gc.collect()
        distributed.destroy_process_group()

    def share(self, batch: int) -> range:
        if batch < self.size:
            raise BadInput(f"A batch of {batch} cannot be shared by {self.size} processes; make --batch larger.")
        return range(self.rank * batch // self.size, (self.rank + 1) * batch // self.size)

    def device(self, name: str | None) -> torch.device:
        try:
            from lightning_fabric import Fabric
            from lightning_fabric.strategies import DDPStrategy
        except ImportError:
            raise BadInput(
                "Lightning Fabric is not installed, which several processes need; pip install .[scale] brings it, and "
                "one process does without."
            ) from None
        here = int(os.environ["LOCAL_WORLD_SIZE"])
        device = ALONE.device(name)
        if device.type not in ("cpu", "cuda") or device.index is not None:
            raise BadInput(f"Several processes compute on cpu or on cuda, one GPU each, and not on {device}; name one.")
        if device.type == "cuda" and torch.cuda.device_count() < here:
            raise BadInput(
                f"There are {torch.cuda.device_count()} GPUs for {here} processes; start one for each, or add --device "
                "cpu."
            )
        self._fabric = Fabric(
            accelerator=device.type,
            devices=here,
            num_nodes=self.size // here,
            strategy=DDPStrategy(forward_sync_buffers=False),  # the codebook is one: it would hide that it had drifted
        )
        self._fabric.launch()
        return cast(torch.device, self._fabric.device)

    def spread(self, model: nn.Module) -> Callable[..., Any]:
        # By its strategy: Fabric's own wrapper takes results apart, and cannot where they are frozen dataclasses.
        return cast(nn.Module, self._fabric.strategy.setup_module(model))

    def backward(self, loss: Tensor, *, share: int, batch: int) -> None:
        weight = share * self.size / batch  # 1 where the shares are equal: the mean of their means is that of all
        self._fabric.backward(loss if weight == 1 else weight * loss)

    def total(self, tensor: Tensor) -> Tensor:
        return cast(Tensor, self._fabric.all_reduce(tensor, reduce_op="sum"))

    def sent(self, tensor: Tensor) -> Tensor:
        return cast(Tensor, self._fabric.broadcast(tensor.cpu())).to(tensor.device)

    def gathered(self, vectors: Tensor) -> Tensor:
        lengths = [length for (length,) in self._each(len(vectors))]
        everything = vectors.new_zeros(sum(lengths), *vectors.shape[1:])
        everything.split(lengths)[self.rank].copy_(vectors)
        return self.total(everything)

    def means(self, figures: Mapping[str, tuple[float, int]]) -> dict[str, float]:
        self.agree()
        rows = [[mean * count if count else 0.0, count] for mean, count in figures.values()]
        sums = torch.tensor(rows, dtype=torch.float64)
        distributed.all_reduce(sums)
        return dict(zip(figures, (sums[:, 0] / sums[:, 1]).tolist(), strict=True))

    def agree(self) -> None:
        self._agree(Ending(0))

    def same(self, words: str) -> bool:
        return len(set(self._each(int(hashlib.sha256(words.encode()).hexdigest()[:15], 16)))) == 1

    def check(self, tensors: Iterable[Tensor]) -> None:
        bits = [tensor.detach().view(torch.int32).sum(dtype=torch.int64) for tensor in tensors]
        if len(set(self._each(*torch.stack(bits).tolist()))) > 1:
            raise Drifted("The processes do not hold the same model any more, as on machines of different kinds.")

    def tell(self, sentence: str) -> None:
        with self._lock:
            self._untold.append(sentence)

    def speaking(self) -> AbstractContextManager[Any]:
        return _silence() if self.rank else nullcontext()

    def stopping(self, asked: Callable[[], bool]) -> Callable[[], bool]:
        self._asked = asked
        return lambda: self._stop

    def settled(self, work: Callable[[], Ending]) -> int:
        try:
            ending = self._settled(work)
        except SystemExit:  # from options that make no sense: all were given the same
            self._meet()
            raise
        except RuntimeError as fault:
            if not _lost(fault):
                raise
            ending = Ending(1, "error: Another of the processes was lost; go on from what was saved.", abrupt=True)
            return ending.code if self.rank else _said(ending)
        if ending.abrupt:  # the others cannot be reached: torchrun ends them, or they find the connection closed
            return _said(ending)
        if self.rank == 0:
            _said(ending)
        self._meet()  # whoever leaves with a fault is noticed by torchrun, which then ends the others
        return ending.code

    def _settled(self, work: Callable[[], Ending]) -> Ending:
        try:
            ending = work()
            if not ending.abrupt:
                self._agree(ending)
            return ending
        except Ended as end:
            return end.ending

    def _agree(self, ending: Ending) -> None:
        """Learn how the others are; raises Ended where the work of any has come to an end that is a fault."""
        ended, asked, untold = zip(
            *self._each(bool(ending.sentence), self._asked(), bool(self._untold)),
            strict=True,
        )
        if any(untold):
            self._tell_all()
        if any(ended):
            endings = [each for each in self._each_object(ending) if each.sentence]
            raise Ended(endings[0])
        self._stop = self._stop or any(asked)

    def _tell_all(self) -> None:
        with self._lock:
            mine, self._untold = self._untold, []
        for sentence in sorted({each for said in self._each_object(mine) for each in said} - self._told):
            self._told.add(sentence)
            if self.rank == 0:
                print(sentence, file=sys.stderr)

    def _meet(self) -> None:
        """Wait for all."""
        self._each(0)

    def _each(self, *numbers: int) -> list[tuple[int, ...]]:
        """The numbers of each process, as many from all."""
        mine = torch.tensor(numbers, dtype=torch.int64)
        theirs = [torch.empty_like(mine) for _ in range(self.size)]
        distributed.all_gather(theirs, mine)
        return [tuple(row.tolist()) for row in theirs]

    def _each_object(self, mine: Any) -> list[Any]:
        theirs: list[Any] = [None] * self.size
        distributed.all_gather_object(theirs, mine)
        return theirs


@contextmanager
def _silence() -> Iterator[None]:
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        yield


def _said(ending: Ending) -> int:
    if ending.sentence:
        print(ending.sentence, file=sys.stderr, flush=True)
    return ending.code


def _lost(fault: RuntimeError) -> bool:
    """Whether a fault is that another process is not there any more."""
    words = str(fault).lower()
    return isinstance(fault, distributed.DistError) or any(
        sign in words for sign in ("closed by peer", "reset by peer", "broken pipe", "gloo", "nccl")
    )
