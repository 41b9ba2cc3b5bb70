"""What a training of these models is made of: each part in plain words, its equation, and its very lines of code."""

import ast
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from explorer.learn.steps import Source, source_of
from vqvae.model import VQVAE
from vqvae.quantizer import CodebookLearner
from vqvae.training.trainer import Trainer, draw_blend


@dataclass(frozen=True)
class Snippet:
    """Some statements of a function: those that hold these texts, and what stands between them."""

    function: Callable[..., Any]
    holding: tuple[str, ...]


@dataclass(frozen=True)
class Part:
    """A part of the training."""

    name: str  # short, stable
    title: str
    text: str  # two or three sentences
    equation: str  # LaTeX
    snippets: tuple[Snippet, ...]


PARTS = (
    Part(
        "straight-through",
        "Straight-through gradient",
        "Which code is nearest changes in jumps, so the choice has no slope that the encoder could learn from. "
        "Forward, the decoder gets the code; backward, the gradient is handed on to the embedding as if nothing had "
        "been chosen. "
        "It is an estimate: the true slope is zero wherever the choice stays the same.",
        r"\begin{gathered} k = \arg\min_j \lVert z_e - e_j \rVert \\"
        r" \tilde z_q = z_e + \operatorname{sg}[\,e_k - z_e\,] \qquad"
        r" \frac{\partial \tilde z_q}{\partial z_e} := 1 \end{gathered}",
        (Snippet(VQVAE.forward, ("embedding, codes =", "(codes - embedding).detach()")),),
    ),
    Part(
        "commitment",
        "Commitment loss",
        "The mean square distance from each embedding to the code that it took is added to the loss, times a weight β. "
        "The code is held still in it, so it pulls the embedding towards the code, never the code to the embedding. "
        "A small β lets embeddings wander; a large one can pin them to the few codes that they began with.",
        r"\begin{aligned} L = {}& \lVert \hat x - x \rVert^2 + \gamma\,(1 - \operatorname{SSIM}(\hat x, x)) \\"
        r" &+ \beta\,\lVert z_e - \operatorname{sg}[e_k] \rVert^2 \end{aligned}",
        (Snippet(Trainer.train_step_, ("commitment = (", "config.commitment * commitment")),),
    ),
    Part(
        "averages",
        "EMA codebook",
        "No gradient moves the codes. Each is the moving average of the embeddings that took it: the sum of them over "
        "their number, both of which forget a little at each step (λ = 0.98 here).",
        r"\begin{aligned} n_k &\leftarrow \lambda n_k + (1 - \lambda)\,N_k \\"
        r" m_k &\leftarrow \lambda m_k + (1 - \lambda)\!\!\sum_{i:\,k_i = k}\!\! z_{e,i} \\"
        r" e_k &= m_k \,/\, n_k \end{aligned}",
        (Snippet(CodebookLearner.update_, ("self.counts.lerp_", "self.sums / self.counts")),),
    ),
    Part(
        "restarts",
        "Restarts of hardly used codes",
        "A code that no embedding takes stays where it is: its sum and its number shrink alike. Every few steps the "
        "codes that took less than a set part of an equal share are put onto embeddings of the batch at hand, drawn "
        "at random. The lines below call them dead; on the Codebook page a code is dead only when no cell of the whole "
        "training set took it.",
        r"n_k < \tau\,\bar n \;\Rightarrow\; e_k \leftarrow z_{e,i},\quad i \text{ drawn at random}",
        (
            Snippet(CodebookLearner.restart_dead_, ("dead = self.counts <", "self.sums[dead] =")),
            Snippet(Trainer.train_step_, ("config.restart_every",)),
        ),
    ),
    Part(
        "dropout",
        "Embedding dropout",
        "How much of the residual the decoder's second input carries, its blend w, is drawn for each picture: nothing "
        "for half of a batch, all for an eighth, something between for the rest. So the decoder has to draw from the "
        "codes alone half of the time. With w = 1 always, nothing makes it learn that.",
        r"\hat x = \operatorname{Decoder}\bigl(z_q,\; z_q + w\,(z_e - z_q)\bigr)",
        (
            Snippet(draw_blend, ("config.embedding_dropout", "weight[: int(batch * config.codes_only_share)] = 0")),
            Snippet(VQVAE.forward, ("weight * (embedding - codes)",)),
        ),
    ),
)


def lines_of(snippet: Snippet) -> Source | None:
    """A snippet's lines as they are in the file; where it does not hold such statements any more, the whole function.

    None where there is no source to be read.
    """
    whole = source_of(snippet.function)
    if whole is None:
        return None
    found = [_statement(whole.text, text) for text in snippet.holding]
    places = [place for place in found if place is not None]
    if len(places) < len(snippet.holding):
        return whole
    first, last = min(place[0] for place in places), max(place[1] for place in places)
    text = textwrap.dedent("\n".join(whole.text.splitlines()[first - 1 : last]))
    return Source(whole.name, whole.file, whole.first + first - 1, whole.first + last - 1, text)


def _statement(source: str, text: str) -> tuple[int, int] | None:
    """The first and the last line, from 1, of the shortest statement of a function that holds a text."""
    body = ast.walk(ast.parse(source).body[0])
    holding = [
        (node.lineno, node.end_lineno or node.lineno)
        for node in body
        if isinstance(node, ast.stmt)
        and not isinstance(node, ast.FunctionDef)
        and not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))  # a docstring
        and text in (ast.get_source_segment(source, node) or "")
    ]
    return min(holding, key=lambda place: place[1] - place[0], default=None)
