"""The metrics against scikit-image and against sums done by hand."""

import math

import pytest
import torch

from tests.toys import toy_images
from vqvae.metrics import WINDOW, bits, perplexity, psnr, ssim


@pytest.mark.parametrize(("height", "width"), [(11, 11), (17, 32), (40, 23)])
def test_ssim_is_scikit_images(height: int, width: int) -> None:
    from skimage.metrics import structural_similarity

    images = toy_images(3, height, width, seed=1)
    others = (images + 0.2 * toy_images(3, height, width, seed=2)).clamp(0, 1)
    expected = [
        structural_similarity(
            a.movedim(0, -1).double().numpy(),
            b.movedim(0, -1).double().numpy(),
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=1,
            channel_axis=-1,
        )
        for a, b in zip(images, others, strict=True)
    ]
    torch.testing.assert_close(ssim(images, others), torch.tensor(expected).float(), rtol=0, atol=2e-5)


def test_ssim_of_an_image_with_itself_is_one() -> None:
    images = toy_images(2, WINDOW, WINDOW)
    torch.testing.assert_close(ssim(images, images), torch.ones(2))


def test_psnr_by_hand() -> None:
    black = torch.zeros(2, 3, 4, 5)
    grey = torch.stack([torch.full((3, 4, 5), 0.1), torch.full((3, 4, 5), 0.5)])
    torch.testing.assert_close(psnr(black, grey), torch.tensor([20.0, -20 * math.log10(0.5)]))


def test_psnr_is_per_image_and_infinite_where_they_are_equal() -> None:
    images = toy_images(2, 4, 5)
    others = images.clone()
    others[1, 0, 0, 0] += 0.5
    first, second = psnr(images, others).tolist()
    assert first == math.inf
    assert second == pytest.approx(-10 * math.log10(0.25 / 60), rel=1e-4)


def test_perplexity_of_equal_use_is_the_number_of_codes() -> None:
    assert perplexity(torch.full((37,), 5)) == pytest.approx(37)


def test_perplexity_of_one_code_is_one_and_of_nothing_zero() -> None:
    assert perplexity(torch.tensor([0, 9, 0])) == 1.0
    assert perplexity(torch.zeros(8, dtype=torch.int64)) == 0.0


def test_perplexity_by_hand() -> None:
    # shares 1/2, 1/4, 1/4: 1.5 bits
    assert perplexity(torch.tensor([2, 1, 1, 0])) == pytest.approx(2**1.5)


def test_perplexity_does_not_lose_large_counts() -> None:
    assert perplexity(torch.tensor([1 << 40, 1 << 40])) == pytest.approx(2, rel=1e-6)


def test_bits_of_a_grid() -> None:
    assert bits(8, 6, 1024) == 480
    assert bits(8, 6, 1) == 0
