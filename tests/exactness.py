"""What it means for an adapter to be exact, and weights at which every part of a network shows."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vqvae import checkpoint
from vqvae.families import vqgan
from vqvae.families.vqgan import VQGAN
from vqvae.tokenizer import Encoding

Network = Callable[[Tensor], Tensor]


def random_weights(shapes: Mapping[str, tuple[int, ...]], *, seed: int = 0) -> dict[str, Tensor]:
    """Float32, sized so that signals keep their size; norms and biases are not one and zero, codes not of one length.

    The last convolution is small, so that most pixels come to lie within the range and a clamp hides nothing.
    """
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for name, shape in shapes.items():
        noise = torch.randn(shape, generator=generator)
        if name.endswith("embedding.weight"):
            weights[name] = noise * torch.rand(shape[0], 1, generator=generator).mul(1.5).add(0.3)
        elif len(shape) == 1:
            weights[name] = 0.3 * noise + ("norm" in name and name.endswith("weight"))
        else:
            weights[name] = noise * (0.2 if name == "decoder.conv_out.weight" else 1.2) / noise[0].numel() ** 0.5
    return weights


def randomise_(module: nn.Module, *, seed: int = 0) -> None:
    """Give a module of somebody else's `random_weights`, in place, and make it ready to serve."""
    shapes = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    module.load_state_dict(random_weights(shapes, seed=seed))
    module.eval().requires_grad_(False)


def converted(folder: Path, weights: Mapping[str, Tensor], **said: Any) -> VQGAN:
    """What the converter makes of named tensors, written and opened again."""
    assert vqgan.recognises({name: tensor.shape for name, tensor in weights.items()})
    shapes = {name: tensor.shape for name, tensor in weights.items()}
    settings = vqgan.settings_of(shapes, **({"config": None, "metric": None, "pixels": None} | said))
    named = ((vqgan.canonical(name), tensor) for name, tensor in weights.items())
    kept = {name: vqgan.adjusted(name, tensor) for name, tensor in named if name is not None}
    checkpoint.write(folder, {"family": "vqgan", "model": settings}, kept)
    model = checkpoint.load(folder)
    assert isinstance(model, VQGAN)
    return model


def assert_exact(ours: VQGAN, images: Tensor, *, indices: Tensor, decode: Network, within: float = 1e-9) -> Encoding:
    """The authors' indices of the images, and, in float64, the authors' pixels of any vectors at all.

    `decode` takes float64 [B, D, h, w] and gives pixels in [0, 1], not clamped. Returns our encoding.
    """
    encoding = ours.encode(images)
    assert torch.equal(encoding.grid.flatten(), indices.flatten())
    assert len(indices.unique()) > 5  # or a wrong metric would not show
    assert torch.equal(ours.lookup(encoding.indices), encoding.quantized)
    twice = ours.double()
    assert all(tensor.dtype == torch.float64 for tensor in twice.state_dict().values())
    for vectors in (twice.lookup(encoding.indices), torch.randn_like(encoding.embedding, dtype=torch.float64)):
        theirs = decode(vectors)
        assert ((theirs > 0) & (theirs < 1)).double().mean() > 0.25
        error = (twice.decode(vectors) - theirs.clamp(0, 1)).abs().max().item()
        assert error < within, error
    return encoding
