"""python -m explorer render RECIPE [IMAGE]: the picture that a recipe describes."""

import argparse
from pathlib import Path
from typing import Any

from explorer.cli.shared import CommandParser, add_model_option, find_model, written
from explorer.editing import bundle, recipe
from explorer.images.pictures import open_picture
from vqvae.images import to_png
from vqvae.places import check_file, checkpoints_folders
from vqvae.remote import located


def run(options: argparse.Namespace) -> int:
    """Draw the picture that a recipe describes, to the very pixels that the Edit page showed."""
    check_file(options.out)
    with options.recipe.open("rb") as file:
        opened = bundle.unpack(file.read(bundle.MOST_BYTES + 1))
    made = opened.recipe
    if not options.checkpoint and not options.tokenizer:
        options.checkpoint = str(recipe.find_checkpoint(made, checkpoints_folders()))
    model = find_model(options)
    recipe.check_checkpoint(made, model.fingerprint)
    size, only = made.working_size, model.spec.sizes.only
    if options.image:
        images = [options.image, options.second] if options.second else [options.image]
        pictures = [open_picture(image.read_bytes(), image.name, working_size=size, only=only) for image in images]
    else:
        pictures = [found.picture for found in bundle.pictures_of(opened, only=only)]
    pixels = recipe.render(model.tokenizer, made, pictures)
    written(options.out, to_png(pixels))
    return 0


def _png_file(text: str) -> Path:
    if not text.lower().endswith(".png"):
        raise argparse.ArgumentTypeError("it has to be a file that ends in .png")
    return located(text)


def add_to(commands: Any) -> None:
    parser: CommandParser = commands.add_parser(
        "render", help="draw the picture that a recipe describes", description=run.__doc__
    )
    parser.set_defaults(run=run)
    parser.add_argument("recipe", type=located, help="a recipe, or a zip of it and its picture, saved on the Edit page")
    parser.add_argument("image", type=located, nargs="?", help="the image that it was made with, unless the zip has it")
    parser.add_argument("second", type=located, nargs="?", help="the second image, if the recipe mixes two")
    parser.add_argument("-o", "--out", type=_png_file, required=True, help="where to write the picture, as PNG")
    add_model_option(parser, otherwise=" (default: found by the recipe)")
