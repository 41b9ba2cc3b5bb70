"""What waits to be sent: after a fragment's unsent drawing is thrown away, nothing is left that lies in it."""

import pytest
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.runtime.forward_msg_queue import ForwardMsgQueue

from explorer.ui.transport import outbox


def block(*path: int, of: str) -> ForwardMsg:
    message = ForwardMsg()
    message.delta.add_block.allow_empty = True
    message.delta.fragment_id = of
    message.metadata.delta_path.extend(path)
    return message


def text(*path: int, of: str) -> ForwardMsg:
    message = ForwardMsg()
    message.delta.new_element.text.body = str(path)
    message.delta.fragment_id = of
    message.metadata.delta_path.extend(path)
    return message


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> ForwardMsgQueue:
    """The unsent drawing of an outer fragment, with an inner one in it, and of another beside them."""
    monkeypatch.setattr(ForwardMsgQueue, "clear", ForwardMsgQueue.clear)
    outbox.install()
    made = ForwardMsgQueue()
    for message in (
        *(block(0, 1, of="outer"), text(0, 1, 0, of="outer"), block(0, 1, 1, of="outer")),
        *(block(0, 1, 1, 0, of="inner"), text(0, 1, 1, 0, 0, of="inner")),
        *(block(0, 2, of="other"), text(0, 2, 0, of="other")),
    ):
        made.enqueue(message)
    return made


def left(queue: ForwardMsgQueue) -> list[tuple[int, ...]]:
    return [outbox.path_of(message) for message in queue.flush()]


def test_what_lies_in_what_is_thrown_away_goes_with_it_and_the_rest_stays(queue: ForwardMsgQueue) -> None:
    queue.clear(retain_lifecycle_msgs=True, fragment_ids_this_run=["outer"])
    assert left(queue) == [(0, 2), (0, 2, 0)]


def test_what_was_sent_already_has_its_place(queue: ForwardMsgQueue) -> None:
    queue.flush()
    for message in (block(0, 1, 1, 0, of="inner"), text(0, 1, 1, 0, 0, of="inner")):
        queue.enqueue(message)
    queue.clear(retain_lifecycle_msgs=True, fragment_ids_this_run=["outer"])
    assert left(queue) == [(0, 1, 1, 0), (0, 1, 1, 0, 0)]


def test_a_place_that_was_made_again_is_one(queue: ForwardMsgQueue) -> None:
    """Another view of the page may stand where the fragment stood that is asked for once more."""
    for message in (block(0, 1, of="view"), text(0, 1, 0, of="view"), block(0, 1, 1, of=""), text(0, 1, 1, 0, of="")):
        queue.enqueue(message)
    queue.clear(retain_lifecycle_msgs=True, fragment_ids_this_run=["outer"])
    assert {(0, 1), (0, 1, 0), (0, 1, 1), (0, 1, 1, 0)} <= set(left(queue))


def test_an_inner_fragment_that_runs_again_costs_nothing_else(queue: ForwardMsgQueue) -> None:
    queue.clear(retain_lifecycle_msgs=True, fragment_ids_this_run=["inner"])
    assert left(queue) == [(0, 1), (0, 1, 0), (0, 1, 1), (0, 2), (0, 2, 0)]


def test_it_is_put_in_once(queue: ForwardMsgQueue) -> None:
    once = ForwardMsgQueue.clear
    outbox.install()
    assert ForwardMsgQueue.clear is once


def test_without_it_streamlit_keeps_what_has_no_place() -> None:
    """When this fails, Streamlit has mended it, and the module can go."""
    queue = ForwardMsgQueue()
    for message in (block(0, 1, of="outer"), text(0, 1, 0, of="inner")):
        queue.enqueue(message)
    clear = getattr(ForwardMsgQueue.clear, "__wrapped__", ForwardMsgQueue.clear)
    clear(queue, retain_lifecycle_msgs=True, fragment_ids_this_run=["outer"])
    assert [outbox.path_of(message) for message in queue._queue] == [(0, 1, 0)]
