"""What a model's configuration says of its tokens, read without transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from app.engines.converted_model import TOKENIZER, Card, read_tokenizer
from app.engines.encoders import MIN_ROOM, NO_LIMIT, Template
from app.engines.graphs import OPTIONAL_INPUT
from app.engines.hub import read_json
from app.engines.layout import Layout

CONFIG, TOKENIZER_CONFIG = "config.json", "tokenizer_config.json"
PROMPTS = "config_sentence_transformers.json"
# They count positions from behind the id of the padding.
PADDED_POSITIONS = frozenset(
    {"camembert", "data2vec-text", "ibert", "longformer", "mpnet", "roberta"}
    | {"roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl", "xmod"}
)
DEFAULT_PADDING = 1
# Their models read whose token each is, if the configuration does not name what they read.
TYPED_TOKENIZERS = frozenset({"BertTokenizer", "DebertaTokenizer", "DebertaV2Tokenizer"})


class NotDescribed(Exception):
    """The files do not say how a pair becomes tokens."""


def describe(folder: Path) -> Card:
    """The card of a model whose files are published by a hub, without digests."""
    config, own = read_json(folder / CONFIG), read_json(folder / TOKENIZER_CONFIG)
    architecture = (config.get("architectures") or [""])[0]
    if architecture.endswith("ForCausalLM"):
        raise NotDescribed(f"{architecture} renders a chat template")
    if not (folder / TOKENIZER).is_file():
        raise NotDescribed(f"it has no {TOKENIZER}")
    try:
        tokenizer = read_tokenizer(folder)
    except Exception as error:  # the library has no class of its own
        raise NotDescribed(f"its {TOKENIZER} cannot be read") from error
    template = Template.of(tokenizer)
    limit = token_limit(config, own)
    if template is None or limit < template.specials + MIN_ROOM:
        raise NotDescribed("it does not join query and document by special tokens alone")
    return Card(
        architecture=architecture,
        max_tokens=limit,
        prompt=prompt_of(folder),
        before=template.before.tolist(),
        between=template.between.tolist(),
        after=template.after.tolist(),
        second_type_from=template.second_type_from,
        layout=layout_of(tokenizer, config, own),
        digests={},
    )


def token_limit(config: dict[str, Any], own: dict[str, Any]) -> int:
    positions = int(config.get("max_position_embeddings") or NO_LIMIT)
    if config.get("model_type") in PADDED_POSITIONS:
        padding = config.get("pad_token_id")
        positions -= (DEFAULT_PADDING if padding is None else int(padding)) + 1
    return int(min(own.get("model_max_length") or NO_LIMIT, positions))


def prompt_of(folder: Path) -> str:
    config = read_json(folder / PROMPTS)
    return str((config.get("prompts") or {}).get(config.get("default_prompt_name")) or "")


def layout_of(tokenizer: Tokenizer, config: dict[str, Any], own: dict[str, Any]) -> Layout:
    token = own.get("pad_token")
    name = token.get("content") if isinstance(token, dict) else token
    pad = tokenizer.token_to_id(name) if isinstance(name, str) else config.get("pad_token_id")
    return Layout(
        pad=int(pad or 0),
        pad_type=int(own.get("pad_token_type_id") or 0),
        left=own.get("padding_side") == "left",
        typed=is_typed(own),
    )


def is_typed(own: dict[str, Any]) -> bool:
    if names := own.get("model_input_names"):
        return OPTIONAL_INPUT in names
    return str(own.get("tokenizer_class")).removesuffix("Fast") in TYPED_TOKENIZERS
