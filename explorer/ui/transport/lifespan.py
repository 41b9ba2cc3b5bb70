"""What the server loads at its start, while the browser still connects: modules, a model and its first picture.

And what it lets go of while it runs: the sessions of those who left.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Set
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any

from streamlit import runtime
from streamlit.logger import get_logger
from streamlit.runtime.memory_session_storage import MemorySessionStorage
from streamlit.runtime.session_manager import SessionManager

from explorer.base.collector import pass_over_what_is_loaded
from explorer.base.open_model import OpenModel
from explorer.base.tidy import tidy
from explorer.ui.transport import health, outbox, uploads, visitors
from vqvae.errors import BadInput

LOOK_EVERY = 10  # seconds, for sessions whose time is over
TIDY_AFTER, TIDY_EVERY = 20.0, 3600.0  # seconds; at the start the disk is read for whoever waits for a page


@asynccontextmanager
async def lifespan(app: Any) -> AsyncIterator[None]:
    """Load in a thread of its own: nobody who comes earlier waits for more than what they need."""
    outbox.install()
    uploads.install()
    ended = threading.Event()
    threading.Thread(target=_warm_up, name="warm up", daemon=True).start()
    threading.Thread(target=_keep_tidy, args=(ended,), name="tidy", daemon=True).start()
    looking = asyncio.create_task(_let_go())
    yield
    looking.cancel()
    ended.set()


async def _let_go() -> None:
    held: set[str] = set()
    while True:
        await asyncio.sleep(LOOK_EVERY)
        if runtime.exists():
            held = let_go(runtime.get_instance()._session_mgr, held)


def let_go(manager: SessionManager, held: Set[str] = frozenset()) -> set[str]:
    """End the sessions of visitors who did not come back within `disconnectedSessionTTL`, with all that they hold.

    Streamlit ends them only when one more visitor leaves. What then is still there is garbage that the collector passes
    over, as it does with whatever was there when it was last told to. Returns the names of those that are there even
    so, `held` by somebody: Streamlit itself holds the last one until somebody comes. They are not looked for again.
    """
    if isinstance(storage := getattr(manager, "_session_storage", None), MemorySessionStorage):
        storage._cache.expire()  # type: ignore[attr-defined]
    known = {info.session.id for info in manager.list_sessions()}
    if visitors.sessions() - known - held:
        pass_over_what_is_loaded()
    return visitors.sessions() - known


def _keep_tidy(ended: threading.Event) -> None:
    """Tidy the app's folders up once its start is over, and every hour until it ends."""
    pause = TIDY_AFTER
    while not ended.wait(pause):
        tidy()
        pause = TIDY_EVERY


def _warm_up() -> None:
    """Have ready what a first visitor is shown; whatever fails is said there, to them."""
    try:
        model = warm_up()
        health.state.name, health.state.fingerprint = model.name, model.fingerprint
    except Exception as fault:
        health.state.fault = str(fault) if isinstance(fault, BadInput) else f"{type(fault).__name__} at the start."
        get_logger(__name__).debug("Nothing was loaded ahead: %s", fault)
    finally:
        health.state.ended = True


def warm_up() -> OpenModel:
    """The first model, with the caches full of what the first page, and the editor, need of it; raises BadInput."""
    import_module("pandas")  # a second of work that Streamlit does when it is first handed a dictionary

    from explorer.images.samples import SAMPLES, find
    from explorer.ui import cache, page  # noqa: F401  with the page all that pages import
    from explorer.ui.session import Session

    session = Session()
    model = cache.open_model(cache.ROOT / session.checkpoint)
    sample = find(session.picture)
    assert sample is not None
    picture = cache.open_picture(sample.name, session.working_size, model.spec.sizes.only, sample.read(), sample.file)
    cache.encode(model, picture)
    if model.codes <= cache.MOST_DECODED:
        cache.tiles_of(model, list(range(model.codes)))
    cache.find_checkpoints()
    for shown in SAMPLES:
        cache.thumbnail(shown.name, shown.read(), shown.file)
    pass_over_what_is_loaded()
    return model
