"""python -m explorer.projection --checkpoint NAME: the map of a checkpoint's codes, put beside the model."""

import argparse
import sys
import time
from pathlib import Path

from explorer.codebook.projection import SHIPPED_FILE, ProjectionSettings, projection_key, to_bytes, umap
from vqvae import checkpoint
from vqvae.errors import BadInput
from vqvae.search import Codebook
from vqvae.words import counted


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m explorer.projection", description="Compute the UMAP of a checkpoint's codebook and ship it."
    )
    parser.add_argument("--checkpoint", required=True, help="a name in checkpoints/, or a checkpoint's folder")
    options = parser.parse_args(arguments)
    folder = Path(options.checkpoint)
    if not folder.is_dir():
        folder = Path("checkpoints") / options.checkpoint
    try:
        started = time.process_time()
        codebook = Codebook.of(checkpoint.load(folder)).array
        settings = ProjectionSettings()
        projection = umap(codebook, settings)
        path = folder / SHIPPED_FILE
        checkpoint.write_atomically(path, to_bytes(projection_key(codebook, settings), projection))
    except (BadInput, OSError) as refusal:
        print(f"error: {refusal}", file=sys.stderr)
        return 2
    seconds = time.process_time() - started
    print(f"{path}: {projection.settings.method} of {counted(len(codebook), 'code')} in {seconds:.0f} CPU-seconds")
    return 0
