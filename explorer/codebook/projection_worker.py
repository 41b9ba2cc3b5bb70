"""The process that makes a map: from the files in a folder to a stored projection in it.

    python -m explorer.codebook.projection_worker FOLDER

is how `projection_job` starts it.
"""

import json
import os
import shutil
import sys
import threading
from contextlib import suppress
from pathlib import Path

import numpy as np

from explorer.codebook.projection import ProjectionSettings, pca, projection_key, save_projection, umap

CODEBOOK_FILE, SETTINGS_FILE, PROGRESS_FILE, LOG_FILE = "codebook.npy", "settings.json", "progress.json", "log"


def serve(exchange: Path) -> None:
    """The worker: from the files in `exchange` to a stored projection in it."""
    threading.Thread(target=end_with_parent, args=(exchange,), daemon=True).start()
    if hasattr(os, "nice"):
        os.nice(10)  # whoever looks at the app comes first
    codebook = np.load(exchange / CODEBOOK_FILE, allow_pickle=False)
    settings = ProjectionSettings.from_dict(json.loads((exchange / SETTINGS_FILE).read_bytes()))

    def progress(done: int, total: int, stage: str = "") -> None:
        draft = exchange / f"{PROGRESS_FILE}.draft"
        draft.write_text(json.dumps({"done": done, "total": total, "stage": stage}), encoding="utf-8")
        with suppress(PermissionError):  # on Windows a file that the parent is reading is not replaced; the next is
            draft.replace(exchange / PROGRESS_FILE)

    projection = pca(codebook) if settings.method == "pca" else umap(codebook, settings, progress=progress)
    save_projection(exchange, projection_key(codebook, settings), projection)


def end_with_parent(exchange: Path) -> None:
    """Standard input is a pipe that nobody writes to: it ends when the parent does, however that died."""
    os.read(0, 1)  # not sys.stdin, whose lock would be in the way of an orderly exit
    for _ in range(100):  # the other thread may put a file back in the middle of it
        shutil.rmtree(exchange, ignore_errors=True)
        if not exchange.exists():
            break
    os._exit(1)


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
