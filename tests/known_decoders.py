"""Decoders whose answer is known by how they are made."""

import torch

from tests.toys import toy_model
from vqvae.model import VQVAE


def known(kind: str) -> VQVAE:
    """A toy whose answer is known by how its stem is made."""
    model = toy_model(decoder_inputs="quantized" if kind == "one input" else "both")
    with torch.no_grad():
        stem = model.decoder.stem
        if kind == "ignores the embedding":
            stem.from_embedding.weight.zero_()  # type: ignore[operator, union-attr]
        elif kind == "bypasses the codebook":
            stem.from_embedding.weight.copy_(stem.from_quantized.weight)  # type: ignore[operator, union-attr, arg-type]
        elif kind == "cannot tell":
            for parameter in stem.parameters():
                parameter.zero_()
    return model
