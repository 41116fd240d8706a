"""The model before training: the layers of all-MiniLM-L6-v2, and word weights from counts."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from app.engines.torch.duet import Duet, DuetConfig

PIECES = (
    (r"^encoder\.layer\.", "layers."),
    (r"attention\.self\.", ""),
    (r"attention\.output\.dense", "mix"),
    (r"attention\.output\.LayerNorm", "mix_norm"),
    (r"intermediate\.dense", "up"),
    (r"output\.dense", "down"),
    (r"output\.LayerNorm", "down_norm"),
    (r"^embeddings\.LayerNorm", "norm"),
    (r"^embeddings\.word_embeddings", "word"),
)


SHAPE = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "max_position_embeddings",
)


def rename(name: str) -> str:
    for pattern, short in PIECES:
        name = re.sub(pattern, short, name)
    return name


def from_bert(base: Path) -> Duet:
    """A model with closed gates, equal to the bi-encoder in `base`; its head is not set yet."""
    config = json.loads((base / "config.json").read_text())
    model = Duet(DuetConfig(**{name: config[name] for name in SHAPE}))
    states = load_file(base / "model.safetensors")
    kind = states.pop("embeddings.token_type_embeddings.weight")[0]
    position = states.pop("embeddings.position_embeddings.weight") + kind
    ours = {rename(name): value for name, value in states.items()}
    ours = {name: value for name, value in ours.items() if name in model.state_dict()}
    missing, _ = model.load_state_dict({**ours, "position.weight": position}, strict=False)
    blank = [name for name in missing if not name.startswith(("gates", "evidence.", "head."))]
    if blank:
        raise ValueError(f"{base} lacks {blank}")
    return model


def pair_tokenizer(base: Path) -> PreTrainedTokenizerFast:
    """The tokenizer of the base, which encodes a pair as two `[CLS] … [SEP]` parts."""
    rules = json.loads((base / "tokenizer.json").read_text())
    rules["truncation"] = rules["padding"] = None
    single = rules["post_processor"]["single"]
    second = json.loads(json.dumps(single).replace('"A"', '"B"').replace('_id": 0', '_id": 1'))
    rules["post_processor"]["pair"] = single + second
    special = {
        f"{name}_token": f"[{name.upper()}]" for name in ("cls", "sep", "pad", "unk", "mask")
    }
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=Tokenizer.from_str(json.dumps(rules)),
        model_max_length=512,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        **special,
    )


def shares(texts: Sequence[str], tokenizer: PreTrainedTokenizerFast) -> Tensor:
    """The share of the texts that contain each token."""
    counts = torch.zeros(tokenizer.vocab_size, dtype=torch.float64)
    for row in tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]:
        counts[list(set(row))] += 1
    return counts / len(texts)


def word_weights(
    collections: Sequence[tuple[Sequence[str], Sequence[str]]],
    tokenizer: PreTrainedTokenizerFast,
) -> Tensor:
    """Inverse frequency of each token in passages or in queries, by the more frequent of the two.

    Question words ("what", "how") are rare in passages but carry no information.
    """
    passages = [shares(texts, tokenizer) for texts, _ in collections]
    queries = [shares(texts, tokenizer) for _, texts in collections]
    share = torch.maximum(torch.stack(passages).mean(0), torch.stack(queries).mean(0))
    floor = 1 / sum(len(texts) for texts, _ in collections)
    return torch.log(1 + (1 - share + floor) / (share + floor)).float()
