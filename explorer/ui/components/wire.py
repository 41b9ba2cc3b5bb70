"""The wire from Python to our components: one packed binary message, header and arrays."""

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np

_UNPACK = Path(__file__).parent / "wire.js"


def pack(header: dict[str, Any], arrays: dict[str, np.ndarray]) -> bytes:
    """JSON header and arrays as one message.

    Layout: uint32 length of the header; the header as UTF-8 JSON, padded with spaces to a multiple of 4; the arrays one
    after the other, each padded to a multiple of 4. `header["arrays"]` lists name, dtype, shape and offset of each,
    counted from the end of the header. Little-endian throughout.
    """
    table, parts, offset = [], [], 0
    for name, array in arrays.items():
        data = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes()
        table.append({"name": name, "dtype": array.dtype.name, "shape": array.shape, "offset": offset})
        padding = -len(data) % 4
        parts += [data, bytes(padding)]
        offset += len(data) + padding
    text = json.dumps({**header, "arrays": table}, ensure_ascii=False, allow_nan=False).encode(
        errors="backslashreplace"
    )
    text += b" " * (-len(text) % 4)
    return b"".join([len(text).to_bytes(4, "little"), text, *parts])


def script(*paths: Path) -> str:
    """A component's JavaScript with `unpack` beside it; Streamlit takes one module, so the files are joined here."""
    return "\n".join(path.read_text() for path in (*paths, _UNPACK))


def png_url(png: bytes) -> str:
    """A PNG file as a URL that holds it."""
    return "data:image/png;base64," + base64.b64encode(png).decode()
