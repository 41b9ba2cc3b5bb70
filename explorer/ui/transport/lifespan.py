"""What the server loads at its start, while the browser still connects: modules, a model and its first picture."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from streamlit.logger import get_logger


@asynccontextmanager
async def lifespan(app: Any) -> AsyncIterator[None]:
    """Load in a thread of its own: nobody who comes earlier waits for more than what they need."""
    threading.Thread(target=warm_up, name="warm up", daemon=True).start()
    yield


def warm_up() -> None:
    """Load what the first page of a first visitor needs; whatever fails is said there, to them."""
    try:
        from explorer.images.samples import find
        from explorer.ui import cache
        from explorer.ui.session import Session

        session = Session()
        model = cache.open_model(cache.ROOT / session.checkpoint)
        sample = find(session.picture)
        if sample is not None:
            picture = cache.open_picture(
                sample.name, session.working_size, model.spec.sizes.only, sample.read(), sample.file
            )
            cache.encode(model, picture)
    except Exception as fault:
        get_logger(__name__).debug("Nothing was loaded ahead: %s", fault)
