"""Code of one's own that the person who started the app named."""

import os
import sys
from pathlib import Path

from vqvae.plugin import Request, requested


def request() -> Request | None:
    """What `streamlit run app.py -- --tokenizer FILE:FUNCTION`, or the environment, asks for; raises BadInput.

    Streamlit leaves the arguments after the two dashes in sys.argv.
    """
    return requested(sys.argv[1:], os.environ)


def name() -> str | None:
    """What it is called in the picker; None where there is none."""
    asked = request()
    return None if asked is None else Path(asked.named).name
