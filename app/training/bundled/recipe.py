"""What a training run depends on, in one value."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

# Sources whose pairs are nearly verbatim, or whose negatives are often right, count less.
WEIGHTS: Mapping[str, float] = MappingProxyType(
    {
        "aws_docs": 1.0,
        "clapnq": 1.0,
        "fairytaleqa": 1.0,
        "lfrqa": 2.0,
        "medquad": 1.0,
        "multihop_small": 0.1,
        "nq_oracle": 1.0,
        "pubmedqa": 0.6,
        "qamr": 0.7,
        "tldr_pages": 0.2,
        "vagov": 0.6,
    }
)


@dataclass(frozen=True)
class Recipe:
    seed: int = 0
    # The learning rate is planned for so many steps; training stops while it is still high.
    steps: int = 1800
    stop: int = 700
    warmup: int = 40
    groups: int = 8
    negatives: int = 7
    # Groups in one forward pass: few are faster on a CPU, many on a GPU.
    together: int = 2
    lengths: tuple[int, ...] = (96, 128, 160, 224, 320)
    # Lower layers that stay as they are, with their gates shut.
    frozen: int = 3
    layer_rate: float = 3e-5
    head_rate: float = 5e-4
    gate_rate: float = 1e-2
    # Query to document, document to query.
    gates: tuple[float, float] = (-3.0, -2.0)
    decay: float = 0.01
    # What the label adds to the teacher's logit of a positive.
    gold: float = 3.0
    # Of the running mean of the weights, which is what is kept.
    average: float = 0.99
    # Of the way from the start to the trained weights: with all of it, other sources get worse.
    share: float = 0.5
    # The last queries of each source are never trained on.
    held_out: int = 300
    # Sources that are only used to compare.
    apart: tuple[str, ...] = ("clapnq", "pubmedqa", "vagov")
    save_every: int = 25
    weights: Mapping[str, float] = field(default_factory=lambda: WEIGHTS)

    def trainable(self, queries: int) -> int:
        """How many of a source's queries may be trained on; the rest are held out."""
        return max(queries - self.held_out, queries // 2)
