"""What a component's module is made of, and pictures as URLs."""

import base64
from pathlib import Path

_UNPACK = Path(__file__).parent / "wire.js"
PAPER = Path(__file__).parent / "paper.js"  # for components that draw figures, which can be saved


def script(*paths: Path) -> str:
    """A component's JavaScript with `unpack` beside it; Streamlit takes one module, so the files are joined here."""
    return "\n".join(path.read_text(encoding="utf-8") for path in (*paths, _UNPACK))


def png_url(png: bytes) -> str:
    """A PNG file as a URL that holds it."""
    return "data:image/png;base64," + base64.b64encode(png).decode()
