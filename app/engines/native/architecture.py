"""Which models the library can run, and where their weights are. No library is imported here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.engines.rounding import Floats

Config = Mapping[str, Any]
Tensors = Mapping[str, Floats]

# So many numbers of a row share a scale, and so many columns of weights are stored together.
GROUP, PANEL = 128, 32
# Gates that are shut: torch/duet.py.
SHUT = -1e4


@dataclass(frozen=True, slots=True)
class Family:
    """The names of tensors. Those of a layer have its number in the place of braces."""

    embeddings: str
    word: str
    position: str
    types: str
    norm: str
    layer: str
    parts: Mapping[str, str]
    # From the first token to the score; () where a tail computes it.
    head: tuple[str, ...]
    # Positions are counted from behind the id of the padding.
    padded_positions: bool = False
    # Positions start again at the second part, and gates lie between the parts.
    in_two_parts: bool = False


BERT_PARTS = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "mixed": "attention.output.dense",
    "mixed_norm": "attention.output.LayerNorm",
    "up": "intermediate.dense",
    "down": "output.dense",
    "down_norm": "output.LayerNorm",
}
DUET_PARTS = {
    **{name: name for name in ("query", "key", "value", "up", "down", "down_norm")},
    "mixed": "mix",
    "mixed_norm": "mix_norm",
}
BERT_EMBEDDINGS = ("word_embeddings", "position_embeddings", "token_type_embeddings", "LayerNorm")
BERT = Family(
    "bert.embeddings.",
    *BERT_EMBEDDINGS,
    "bert.encoder.layer.{}.",
    BERT_PARTS,
    ("bert.pooler.dense", "classifier"),
)
ROBERTA = Family(
    "roberta.embeddings.",
    *BERT_EMBEDDINGS,
    "roberta.encoder.layer.{}.",
    BERT_PARTS,
    ("classifier.dense", "classifier.out_proj"),
    padded_positions=True,
)
DUET = Family("", "word", "position", "", "norm", "layers.{}.", DUET_PARTS, (), in_two_parts=True)
FAMILIES = {
    "BertForSequenceClassification": BERT,
    "RobertaForSequenceClassification": ROBERTA,
    "XLMRobertaForSequenceClassification": ROBERTA,
    "Duet": DUET,
}


def family_of(config: Config) -> Family | None:
    return FAMILIES.get((config.get("architectures") or [""])[0])


def reason_against(config: Config) -> str | None:
    """Why the library cannot run a model of this configuration."""
    family = family_of(config)
    if family is None:
        name = (config.get("architectures") or ["a model without an architecture"])[0]
        return f"{name} is not one of {', '.join(FAMILIES)}"
    labels = len(config.get("id2label") or (0, 1))
    if family.head and labels != 1:
        return f"it has {labels} labels"
    for name, needed in (("hidden_act", "gelu"), ("position_embedding_type", "absolute")):
        value = config.get(name) or needed
        if value != needed:
            return f"its {name} is {value}, not {needed}"
    return reason_against_sizes(config)


def reason_against_sizes(config: Config) -> str | None:
    width, heads = config["hidden_size"], config["num_attention_heads"]
    for name, size, unit in (
        ("hidden_size", width, GROUP),
        ("intermediate_size", config["intermediate_size"], GROUP),
        ("size of a head", width // heads, PANEL),
    ):
        if size % unit:
            return f"its {name} is {size}, not a multiple of {unit}"
    return None


def first_position(config: Config, family: Family) -> int:
    return int(config.get("pad_token_id", 1)) + 1 if family.padded_positions else 0


def layers_apart(gates: Floats | None) -> int:
    """So many lower layers have shut gates only: in them the parts do not see each other."""
    if gates is None:
        return 0
    shut = [bool((each <= SHUT).all()) for each in gates]
    return next((number for number, each in enumerate(shut) if not each), len(shut))
