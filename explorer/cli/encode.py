"""python -m explorer encode CHECKPOINT IMAGE -o codes.npz: the codes of an image."""

import argparse
from pathlib import Path
from typing import Any

from explorer.cli.shared import add_model, find_tokenizer, written
from vqvae import code_file
from vqvae.images import read_photo, to_tensor
from vqvae.places import check_file
from vqvae.remote import located
from vqvae.words import counted


def run(options: argparse.Namespace) -> int:
    """Encode an image as it is, without resizing it, and write the codes of every level.

    The file is NumPy's .npz: int64 arrays [h, w] called level0, level1 …, and the image's height and width as size.
    """
    check_file(options.out)
    tokenizer = find_tokenizer(options)
    photo = read_photo(options.image.read_bytes(), options.image.name)
    codes = code_file.encode(tokenizer, to_tensor(photo.image))
    for note in photo.notes:
        print(note)
    for level, grid in zip(tokenizer.spec.levels, codes.indices, strict=True):
        rows, columns = grid.shape[1:]
        print(f"{level.name}: {rows} × {columns} cells, {len(grid.unique()):,} of {counted(level.codes, 'code')}")
    written(options.out, code_file.to_bytes(codes))
    return 0


def _npz_file(text: str) -> Path:
    if not text.lower().endswith(".npz"):
        raise argparse.ArgumentTypeError("it has to be a file that ends in .npz")
    return located(text)


def add_to(commands: Any) -> None:
    parser = commands.add_parser("encode", help="write the codes of an image to a file", description=run.__doc__)
    parser.set_defaults(run=run)
    add_model(parser)
    parser.add_argument("image", type=located, help="a PNG, JPEG, WebP, GIF, BMP or TIFF file of any size")
    parser.add_argument("-o", "--out", type=_npz_file, required=True, help="where to write the codes, as .npz")
