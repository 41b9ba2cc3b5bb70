"""What families of one grid have in common whose codes are the rows of a codebook, chosen by Euclidean distance."""

from torch import Tensor

from vqvae.images import pad_to_multiple
from vqvae.quantizer import VectorQuantizer
from vqvae.tokenizer import Encoding, Level, Sizes, Spec, TokenizerModule


class OneCodebook(TokenizerModule):
    """A `Tokenizer` with one codebook and a decoder of one input; a family says `embed` and `draw`."""

    def __init__(self, family: str, *, codes: int, dim: int, stride: int, reach: int | None) -> None:
        super().__init__()
        self.quantizer = VectorQuantizer(codes, dim)
        self.spec = Spec(family, (Level("grid", codes, dim, "euclidean", stride),), reach, 1, Sizes(stride))

    def embed(self, images: Tensor) -> Tensor:
        """[B, 3, H, W] in [0, 1], H and W multiples of f -> what the quantizer is given, [B, D, h, w]."""
        raise NotImplementedError

    def draw(self, vectors: Tensor) -> Tensor:
        """[B, D, h, w] -> [B, 3, h·f, w·f] in [0, 1]."""
        raise NotImplementedError

    def encode(self, images: Tensor) -> Encoding:
        """[B, 3, H, W] in [0, 1] -> Encoding; padded by reflection to the next multiple of the stride."""
        embedding = self.embed(pad_to_multiple(images, self.spec.stride))
        indices = self.quantizer.nearest(embedding)
        return Encoding(indices=(indices,), embedding=embedding, quantized=self.quantizer.lookup(indices))

    def lookup(self, indices: tuple[Tensor, ...]) -> Tensor:
        """([B, h, w] int64 in 0…K−1,) -> quantized [B, D, h, w]."""
        (grid,) = indices
        return self.quantizer.lookup(grid)

    def vectors(self, level: int, codes: Tensor) -> Tensor:
        """[N] int64 in 0…K−1 -> [N, D]."""
        codebook = self.quantizer.codebook
        return codebook[codes.to(codebook.device)]

    def decode(self, quantized: Tensor, embedding: Tensor | None = None) -> Tensor:
        """[B, D, h, w] -> [B, 3, h·f, w·f] in [0, 1]; the embedding, where there is one, replaces the codes."""
        return self.draw(quantized if embedding is None else embedding)
