"""What a training run depends on, in one value."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

# Sources whose pairs are nearly verbatim, or whose negatives are often right, speak more softly.
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
    steps: int = 1800  # that the pace is laid out for
    stop: int = 700  # after this one; the pace has not died down then
    warmup: int = 40
    groups: int = 8
    negatives: int = 7
    together: int = 2  # groups in one forward pass: a CPU likes few, a GPU many
    lengths: tuple[int, ...] = (96, 128, 160, 224, 320)
    frozen: int = 3  # lower layers that stay as they are, and shut
    layer_rate: float = 3e-5
    head_rate: float = 5e-4
    gate_rate: float = 1e-2
    gates: tuple[float, float] = (-3.0, -2.0)  # query to document, document to query
    decay: float = 0.01
    gold: float = 3.0  # what the label adds to the teacher's logit of a positive
    average: float = 0.99  # of the running mean of the weights, which is what is kept
    share: float = 0.5  # of the way from the start to what was trained; all of it knows less else
    held_out: int = 300  # last queries of each source, never trained on
    apart: tuple[str, ...] = ("clapnq", "pubmedqa", "vagov")  # sources that only judge
    save_every: int = 25
    weights: Mapping[str, float] = field(default_factory=lambda: WEIGHTS)

    def trainable(self, queries: int) -> int:
        """How many of a source's queries may be trained on; the rest are held out."""
        return max(queries - self.held_out, queries // 2)
