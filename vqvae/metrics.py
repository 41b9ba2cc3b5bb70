"""How close two pictures are, how many bits a grid of codes takes, and how evenly codes are used."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

_SIGMA, _RADIUS = 1.5, 5
WINDOW = 2 * _RADIUS + 1  # pixels along a side of the window of `ssim`


def psnr(images: Tensor, others: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB, per image: [B, 3, H, W] twice, in [0, 1] -> [B]; inf where they are equal."""
    return -10 * (images - others).square().flatten(1).mean(1).log10()


def ssim(images: Tensor, others: Tensor) -> Tensor:
    """Structural similarity, per image: [B, C, H, W] twice, in [0, 1] -> [B] in (−1, 1]; H, W ≥ 11.

    Wang et al. 2004, with their Gaussian window (σ = 1.5, 11 pixels), averaged over channels and over the places where
    the window lies whole inside the image, as scikit-image does.
    """
    channels = images.shape[1]
    offsets = torch.arange(-_RADIUS, _RADIUS + 1, device=images.device, dtype=images.dtype)
    window = torch.exp(-offsets.square() / (2 * _SIGMA**2))
    window = (window / window.sum()).expand(channels, 1, -1)

    def local_mean(x: Tensor) -> Tensor:
        x = F.conv2d(x, window[..., None], groups=channels)
        return F.conv2d(x, window[..., None, :], groups=channels)

    mean, other_mean = local_mean(images), local_mean(others)
    variance = local_mean(images.square()) - mean.square()
    other_variance = local_mean(others.square()) - other_mean.square()
    covariance = local_mean(images * others) - mean * other_mean
    c1, c2 = 0.01**2, 0.03**2
    similarity = ((2 * mean * other_mean + c1) * (2 * covariance + c2)) / (
        (mean.square() + other_mean.square() + c1) * (variance + other_variance + c2)
    )
    return similarity.flatten(1).mean(1)


def perplexity(counts: Tensor) -> float:
    """exp of the entropy of usage: counts [K] -> 1…K; K means that all codes are used equally, 0 that none was used."""
    total = counts.sum()
    if total == 0:
        return 0.0
    share = counts[counts > 0].double() / total
    return math.exp(-(share * share.log()).sum().item())


def bits(height: int, width: int, codes: int) -> float:
    """What a grid of h × w indices takes when each code costs the same: h·w·log2 K."""
    return height * width * math.log2(codes)
