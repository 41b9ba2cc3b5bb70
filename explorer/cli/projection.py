"""python -m explorer.projection --checkpoint NAME: the map of a checkpoint's codes, put beside the model."""

import argparse
import sys
import time

from explorer.cli.shared import Pace, Stopped, stoppable
from explorer.codebook.projection import SHIPPED_FILE, ProjectionSettings, projection_key, to_bytes, umap
from vqvae import checkpoint
from vqvae.errors import BadInput
from vqvae.places import check_file, find_checkpoint, said_of
from vqvae.search import Codebook
from vqvae.words import counted


def main(arguments: list[str] | None = None, *, prog: str = "python -m explorer.projection") -> int:
    parser = argparse.ArgumentParser(prog=prog, description="Compute the UMAP of a checkpoint's codebook and ship it.")
    either = parser.add_mutually_exclusive_group(required=True)
    either.add_argument(
        "name", nargs="?", metavar="checkpoint", help="a name in checkpoints/, or a checkpoint's folder"
    )
    either.add_argument("--checkpoint", help="the same, in place of the argument")
    options = parser.parse_args(arguments)
    try:
        folder = find_checkpoint(options.checkpoint or options.name)
        path = folder / SHIPPED_FILE
        check_file(path)
        started = time.process_time()
        codebook = Codebook.of(checkpoint.load(folder)).array
        settings = ProjectionSettings()
        pace = Pace(100, unit="%", stopped="Stopped; nothing was written. The same command starts anew.")
        with stoppable(pace), pace.bar:
            projection = umap(codebook, settings, progress=pace)
        checkpoint.remove_leftovers(folder)
        checkpoint.write_atomically(path, to_bytes(projection_key(codebook, settings), projection))
    except (BadInput, OSError) as refusal:
        print(f"error: {said_of(refusal)}", file=sys.stderr)
        return 2
    except Stopped as stop:
        print(stop, file=sys.stderr)
        return 128 + stop.number
    seconds = time.process_time() - started
    print(f"{path}: {projection.settings.method} of {counted(len(codebook), 'code')} in {seconds:.0f} CPU-seconds")
    return 0
