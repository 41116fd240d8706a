"""All parameters of a training run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

# Lower weights for sources with nearly verbatim pairs, or with negatives that are often relevant.
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
    # Steps of the learning rate schedule; training stops while the rate is still high.
    steps: int = 1800
    stop: int = 700
    warmup: int = 40
    groups: int = 8
    negatives: int = 7
    # Groups per forward pass: few are faster on a CPU, many on a GPU.
    together: int = 2
    lengths: tuple[int, ...] = (96, 128, 160, 224, 320)
    # Lower layers that are not trained, with closed gates.
    frozen: int = 3
    layer_rate: float = 3e-5
    head_rate: float = 5e-4
    gate_rate: float = 1e-2
    # Query to document, document to query.
    gates: tuple[float, float] = (-3.0, -2.0)
    decay: float = 0.01
    # Added to the teacher's logit of a positive.
    gold: float = 3.0
    # Decay of the running mean of the weights; the mean is the result.
    average: float = 0.99
    # Share of the way from the start to the trained weights: with 1, other sources become worse.
    share: float = 0.5
    # The last queries of each source are not used for training.
    held_out: int = 300
    # Sources that are used only for the comparison.
    apart: tuple[str, ...] = ("clapnq", "pubmedqa", "vagov")
    save_every: int = 25
    weights: Mapping[str, float] = field(default_factory=lambda: WEIGHTS)

    def trainable(self, queries: int) -> int:
        """The number of queries of a source for training; the rest are held out."""
        return max(queries - self.held_out, queries // 2)
