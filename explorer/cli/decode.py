"""python -m explorer decode CHECKPOINT codes.npz -o out.png: the image that codes stand for."""

import argparse
import io
from pathlib import Path
from typing import Any

import numpy as np

from explorer.cli.shared import add_model, find_tokenizer, written
from vqvae import code_file
from vqvae.errors import BadInput
from vqvae.images import to_pixels, to_png
from vqvae.places import check_file
from vqvae.remote import located

MOST_FILE_BYTES = code_file.MOST_BYTES


def run(options: argparse.Namespace) -> int:
    """Decode a file of codes, and nothing but the codes, to an image of the size that was encoded.

    As .npy it is float32 [H, W, 3] in [0, 1], as .png it is rounded to 8 bits.
    """
    check_file(options.out)
    tokenizer = find_tokenizer(options)
    with options.codes.open("rb") as file:
        data = file.read(MOST_FILE_BYTES + 1)
    if len(data) > MOST_FILE_BYTES:
        raise BadInput(f"The file {options.codes.name} is over {MOST_FILE_BYTES >> 20} MiB; it holds no codes.")
    image = code_file.decode(tokenizer, code_file.from_bytes(data, tokenizer.spec))
    height, width = image.shape[-2:]
    print(f"{height} × {width} pixels (height × width)")
    if options.out.suffix.lower() == ".png":
        written(options.out, to_png(to_pixels(image)[0]))
    else:
        buffer = io.BytesIO()
        np.save(buffer, image[0].movedim(0, -1).contiguous().float().numpy(), allow_pickle=False)
        written(options.out, buffer.getvalue())
    return 0


def _image_file(text: str) -> Path:
    if not text.lower().endswith((".npy", ".png")):
        raise argparse.ArgumentTypeError("it has to be a file that ends in .npy or .png")
    return located(text)


def add_to(commands: Any) -> None:
    parser = commands.add_parser("decode", help="draw the image that a file of codes holds", description=run.__doc__)
    parser.set_defaults(run=run)
    add_model(parser)
    parser.add_argument("codes", type=located, help="a file that the command encode wrote")
    parser.add_argument("-o", "--out", type=_image_file, required=True, help="where to write the image, .npy or .png")
