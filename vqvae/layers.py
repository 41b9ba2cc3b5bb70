"""The parts that encoder and decoder share.

No norm and no attention over space: what a cell changes stays within the convolutions' reach, exactly.
"""

from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """x + conv1×1(relu(conv3×3(relu(x)))), the block of van den Oord et al. 2017, §4.1; reach: one position.

    The last convolution starts at zero, so that a deep stack without norms starts as the identity (Zhang et al. 2019,
    Fixup).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.spread = nn.Conv2d(channels, channels, 3, padding=1)
        self.mix = nn.Conv2d(channels, channels, 1)
        for parameter in self.mix.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.mix(self.spread(x.relu()).relu())


def residual_stack(channels: int, blocks: int) -> nn.Sequential:
    """`blocks` residual blocks in a row; none is the identity."""
    return nn.Sequential(*(ResidualBlock(channels) for _ in range(blocks)))
