"""The process that a small training runs in: one thread, one core, last in line, and no one else's random numbers.

    python -m explorer.learn.lab_worker

is how `lab_run` starts it. In the process of the app it would take the lock of the interpreter and the cores from those
who edit; and torch, given two threads on two busy cores, took ninety times as long for a step as with one.

It is told its settings in a line of JSON, and then, a line each, to go on for a moment or to end. It answers each with
one message: a file in the safetensors format, after its length in eight bytes.
"""

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from typing import IO

import numpy as np
import safetensors.numpy
import safetensors.torch

from explorer.learn.lab import Lab, News, Snapshot, on_sample_photos
from vqvae.errors import BadInput
from vqvae.training.settings import TrainingConfig

GO_ON, END = b"on\n", b"end\n"
MOMENT = 0.25  # seconds; so soon is a training stopped, and so soon does it stand back
Message = dict[str, np.ndarray]
_ARRAYS = ("codebook", "shares", "embeddings", "off", "on")


def serve(orders: IO[bytes], answers: IO[bytes]) -> None:
    """The worker: it ends when it is told to, or when nobody is there any more."""
    lab = on_sample_photos(TrainingConfig.from_dict(json.loads(orders.readline())))
    news = lab.run()
    for order in iter(orders.readline, b""):
        if order == END:
            send(answers, outcome(lab))
            return
        try:
            send(answers, moment(news))
        except BadInput as refusal:
            send(answers, {"refusal": np.frombuffer(str(refusal).encode(), np.uint8)})


def moment(news: Iterator[News], *, seconds: float = MOMENT) -> Message:
    """Some steps more: for so long, up to a snapshot, or to the end."""
    measures: list[tuple[float, ...]] = []
    until = time.monotonic() + seconds
    message: Message = {}
    for one in news:
        if one.measures:
            measures.append(one.measures)
        if one.snapshot is not None:
            message = packed(one.snapshot)
        if message or time.monotonic() > until:
            break
    return message | ({"measures": np.array(measures, np.float32)} if measures else {})


def outcome(lab: Lab) -> Message:
    """What a training has come to: the last snapshot, and the weights as a checkpoint's file."""
    weights = safetensors.torch.save(lab.weights())
    return packed(lab.snapshot()) | {"weights": np.frombuffer(weights, np.uint8)}


def packed(snapshot: Snapshot) -> Message:
    """A snapshot as arrays; `unpacked` is the way back."""
    numbers = np.array([snapshot.step, snapshot.psnr_off, snapshot.psnr_on])
    return {"numbers": numbers} | {name: getattr(snapshot, name) for name in _ARRAYS}


def unpacked(message: Mapping[str, np.ndarray]) -> Snapshot | None:
    """The snapshot in a message, where there is one."""
    if "numbers" not in message:
        return None
    step, off, on = message["numbers"].tolist()
    return Snapshot(step=int(step), psnr_off=off, psnr_on=on, **{name: message[name] for name in _ARRAYS})


def send(answers: IO[bytes], message: Message) -> None:
    data = safetensors.numpy.save(message)
    answers.write(len(data).to_bytes(8, "little") + data)
    answers.flush()


def receive(answers: IO[bytes]) -> Message | None:
    """The next message; None where there will be none."""
    length = int.from_bytes(answers.read(8), "little")
    data = answers.read(length) if length else b""
    return safetensors.numpy.load(data) if length and len(data) == length else None


if __name__ == "__main__":
    if hasattr(os, "nice"):
        os.nice(5)  # whoever looks at the app comes first
    told = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever some library prints is no answer
    serve(sys.stdin.buffer, told)
