"""Previews of full-size VQGANs, in which a cell reaches everywhere, beside the whole decode: what one takes, and how
far it is off. python -m benchmarks.preview [--sizes 256 512]
"""

import argparse
import sys

import torch
from torch import Tensor

from benchmarks.timing import Timing, clock_name, compare, print_table
from vqvae.families.steps import StepwisePreviewer
from vqvae.families.vqgan import VQGAN, VQGANConfig
from vqvae.tokenizer import prepare
from vqvae.window import Window, patched

NETWORKS = {
    "taming's VQGAN, f16": VQGANConfig(),
    "MoVQ of Kandinsky, f8": VQGANConfig(
        codes=16384,
        embedding_dim=4,
        latent_channels=4,
        channels=(128, 256, 256, 512),
        encoder_attention=(3,),
        decoder_attention=(3,),
        spatial_norm=True,
    ),
}
CELLS_AROUND = 3  # of the crop of codes that is decoded by itself, for comparison


class OneCell:
    """A grid of random codes, one of them changed."""

    def __init__(self, config: VQGANConfig, size: int) -> None:
        torch.manual_seed(0)
        self.model = prepare(VQGAN(config))  # weights as they are drawn: what takes how long is the same
        self.side = size // config.stride
        grid = torch.randint(config.codes, (1, self.side, self.side))
        self.before = self.model.lookup((grid,))
        self.changed = torch.zeros(self.side, self.side, dtype=torch.bool)
        self.changed[self.side // 2, self.side // 2] = True
        self.after = self.model.lookup((torch.where(self.changed, (grid + 1) % config.codes, grid),))
        self.previewer: StepwisePreviewer = self.model.previewer
        self.whole = self.previewer.whole(self.before)

    def part(self) -> tuple[Tensor, Window]:
        """The preview's pixels, and where they belong."""
        part = self.previewer.part(self.after, statistics=self.whole.statistics, changed=self.changed)
        assert part is not None
        return part.pixels, part.window

    def times(self) -> list[Timing]:
        at = self.previewer.split(self.side, self.side)
        return compare(
            {"whole decode": lambda: self.model.decode(self.after)},
            {
                "whole decode, statistics kept": lambda: self.previewer.whole(self.after),
                "trunk": lambda: self.previewer.trunk(self.after, at=at),
                "preview of one cell": self.part,
            },
        )

    def print_errors(self) -> None:
        """What the edit changes and what each way is off by, the mean over pixels within the window and outside."""
        scale = self.model.spec.stride
        pixels, window = self.part()
        exact = self.model.decode(self.after)
        inside = torch.zeros(exact.shape[-2:], dtype=torch.bool)
        window.of(inside, scale=scale)[:] = True
        crop = window.grown(CELLS_AROUND, rows=self.side, columns=self.side)
        alone = window.relative_to(crop).of(self.model.decode(crop.of(self.after)), scale=scale)
        print(f"{f'{window.rows} × {window.columns} cells drawn':<36}{'within':>10}{'outside':>9}")
        for name, picture in (
            ("the edit's own size", self.whole.pixels),
            ("preview", patched(self.whole.pixels, pixels, window, scale=scale)),
            ("crop of the codes decoded alone", patched(self.whole.pixels, alone, window, scale=scale)),
        ):
            off = (picture - exact).abs().mean((0, 1))
            print(f"  {name:<34}{off[inside].mean():>10.5f}{off[~inside].mean():>9.5f}")
        print(flush=True)


@torch.inference_mode()
def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.preview", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512])
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    print(f"One thread, {clock_name()}; random weights.\n")
    for name, config in NETWORKS.items():
        for size in options.sizes:
            edit = OneCell(config, size)
            print_table(f"{name}, {size} px", edit.times())
            edit.print_errors()
    return 0


if __name__ == "__main__":
    sys.exit(main())
