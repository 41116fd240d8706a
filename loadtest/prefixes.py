"""A causal reranker with and without the shared computation of what stands before the documents.

    python -m loadtest.prefixes

The model is a Qwen3 of random weights, a sixth as wide and deep as Qwen3-Reranker-0.6B, run by
torch in this process. Tokens are drawn by chance: only their numbers matter.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.random import Generator
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from app.engines import Ids, Pair
from app.engines.spec import ModelSpec
from app.engines.torch.engine import TorchEngine
from app.engines.torch.reference import load_reference
from loadtest import report, service
from loadtest.report import Table
from loadtest.turns import Ratio, take_turns

VOCABULARY = 1_000
# Template, instruction and a short query of Qwen3-Reranker.
PREFIX_TOKENS = 90
SPREAD_TOKENS = 20
TEMPLATE = "{% for message in messages %}{{ message.role }} {{ message.content }} {% endfor %}yes"
SHARED, WHOLE = "shared", "whole"


@dataclass(frozen=True, slots=True)
class Load:
    documents: int
    tokens: int

    def __str__(self) -> str:
        return f"{self.documents} documents of about {self.tokens} tokens"


LOADS = (Load(10, 100), Load(50, 100), Load(10, 250), Load(50, 250))


def write_model(folder: Path) -> None:
    words = {f"w{number}": number for number in range(VOCABULARY - 3)} | {
        "yes": VOCABULARY - 3,
        "no": VOCABULARY - 2,
        "[PAD]": VOCABULARY - 1,
    }
    tokenizer = Tokenizer(WordLevel(words, unk_token="w0"))
    tokenizer.pre_tokenizer = Whitespace()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]")  # type: ignore[no-untyped-call]
    fast.chat_template = TEMPLATE
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=VOCABULARY,
        hidden_size=512,
        intermediate_size=1_536,
        num_hidden_layers=8,
        num_attention_heads=8,
        num_key_value_heads=4,
        head_dim=64,
        max_position_embeddings=1_024,
    )
    Qwen3ForCausalLM(config).save_pretrained(folder)


def open_engine() -> TorchEngine:
    with TemporaryDirectory() as folder:
        write_model(Path(folder))
        spec = ModelSpec(folder, device=service.device(), dtype="auto")
        return load_reference(spec).engine


def pairs_of(load: Load, chance: Generator, *, shared: bool) -> list[Pair]:
    """Those of one request; what they share is named, or it is not."""

    def tokens(count: int) -> Ids:
        return chance.integers(0, VOCABULARY - 3, count).astype(np.int32)

    prefix = tokens(PREFIX_TOKENS)
    lengths = load.tokens + chance.integers(-SPREAD_TOKENS, SPREAD_TOKENS, load.documents)
    split = len(prefix) if shared else 0
    return [Pair(np.concatenate([prefix, tokens(length)]), split) for length in lengths]


def pairs_per_second(engine: TorchEngine, load: Load, number: int, *, shared: bool) -> float:
    pairs = pairs_of(load, np.random.default_rng(number), shared=shared)
    started = time.perf_counter()
    engine.score(pairs)
    return len(pairs) / (time.perf_counter() - started)


def measure(engine: TorchEngine, load: Load, rounds: int) -> dict[str, list[float]]:
    contenders: dict[str, Callable[[int], float]] = {
        name: partial(pairs_per_second, engine, load, shared=name == SHARED)
        for name in (WHOLE, SHARED)
    }
    for contender in contenders.values():
        contender(rounds)  # warm
    return take_turns(contenders, rounds)


def tabulate(rates: dict[str, dict[str, list[float]]]) -> Table:
    rows = [
        [
            load,
            f"{median(each[WHOLE]):.0f}",
            f"{median(each[SHARED]):.0f}",
            str(Ratio.of(each[SHARED], each[WHOLE])),
        ]
        for load, each in rates.items()
    ]
    return Table([f"{PREFIX_TOKENS} tokens before", "whole, pairs/s", "shared", "ratio"], rows)


def draw(rates: dict[str, dict[str, list[float]]]) -> Figure:
    figure, (panel,) = report.panels(1)
    panel.barh(list(rates), [Ratio.of(each[SHARED], each[WHOLE]).median for each in rates.values()])
    panel.invert_yaxis()
    panel.set_xlabel("pairs a second, shared to whole")
    return figure


def main() -> None:
    options = report.flags(__doc__).parse_args()
    engine, rounds = open_engine(), 1 if options.quick else 9
    rates = {str(load): measure(engine, load, rounds) for load in LOADS}
    report.publish("prefixes", options, {"rates": rates}, tabulate(rates), draw(rates))


if __name__ == "__main__":
    main()
