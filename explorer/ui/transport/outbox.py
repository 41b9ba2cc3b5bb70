"""What waits to be sent to a browser: nothing that lies within what was thrown away.

When a fragment runs again before its last run was sent, Streamlit throws away what it had drawn and keeps what the
fragments within it had drawn, such as how far a job is. The browser then has no place for these: it says "Cannot set a
node at a delta path", and the page goes blank. The new run draws them again, so they can go, too.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.runtime.forward_msg_queue import ForwardMsgQueue

Path = tuple[int, ...]


def install() -> None:
    """Have every queue of this process keep nothing without its place; once is enough."""
    if not hasattr(ForwardMsgQueue.clear, "__wrapped__"):
        ForwardMsgQueue.clear = _keeping_what_has_a_place(ForwardMsgQueue.clear)  # type: ignore[method-assign]


def _keeping_what_has_a_place(clear: Callable[..., None]) -> Callable[..., None]:
    @wraps(clear)
    def cleared(queue: ForwardMsgQueue, *arguments: Any, **named: Any) -> None:
        before = list(queue._queue)
        clear(queue, *arguments, **named)
        kept = {id(message) for message in queue._queue}
        blocks = [message for message in before if is_block(message)]
        # Perhaps again, by what stands there now.
        made = {path_of(message) for message in blocks if id(message) in kept}
        gone = {path_of(message) for message in blocks} - made
        queue._queue = [message for message in queue._queue if not lies_within(message, gone)]

    return cleared


def is_block(message: ForwardMsg) -> bool:
    """Whether a message makes a place for others."""
    return message.HasField("delta") and message.delta.WhichOneof("type") == "add_block"


def lies_within(message: ForwardMsg, blocks: set[Path]) -> bool:
    """Whether what a message draws lies in one of the blocks, at any depth."""
    path = path_of(message)
    return any(path[:depth] in blocks for depth in range(1, len(path)))


def path_of(message: ForwardMsg) -> Path:
    """Where on the page a message draws; empty where it draws nothing."""
    return tuple(message.metadata.delta_path)
