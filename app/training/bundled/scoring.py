"""Scores many pairs: batches of similar lengths, in half precision."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from app.engines.torch.duet import Duet
from app.engines.torch.evidence import Parts

Texts = tuple[str, str]


def batches(
    model: Duet,
    tokenizer: PreTrainedTokenizerFast,
    pairs: Sequence[Texts],
    *,
    length: int,
    tokens: int = 8192,
) -> Iterator[tuple[list[int], dict[str, Tensor]]]:
    """Padded batches of about `tokens` tokens, longest first, with the indexes of their pairs."""
    queries, documents = [query for query, _ in pairs], [text for _, text in pairs]
    encoded = tokenizer(queries, documents, truncation="longest_first", max_length=length)
    sizes = [len(ids) for ids in encoded["input_ids"]]
    order = sorted(range(len(pairs)), key=lambda index: -sizes[index])
    while order:
        count = max(1, tokens // sizes[order[0]])
        indexes, order = order[:count], order[count:]
        rows = {name: [values[index] for index in indexes] for name, values in encoded.items()}
        padded = tokenizer.pad(rows, return_tensors="pt")
        yield indexes, {name: tensor.to(model.device) for name, tensor in padded.items()}


@torch.inference_mode()
def evidence_of(
    model: Duet, tokenizer: PreTrainedTokenizerFast, pairs: Sequence[Texts], *, length: int = 288
) -> Tensor:
    evidence = torch.zeros(len(pairs), model.head.line.in_features)
    for indexes, batch in batches(model, tokenizer, pairs, length=length):
        parts = Parts(batch["attention_mask"], batch["token_type_ids"])
        words = model.word(batch["input_ids"])
        states = model.encode(words, parts)
        evidence[indexes] = model.weigh(batch["input_ids"], words, states, parts).float().cpu()
    return evidence


@torch.inference_mode()
def mean_state(
    model: Duet, tokenizer: PreTrainedTokenizerFast, pairs: Sequence[Texts], *, length: int = 224
) -> Tensor:
    """The mean state of a token in the last layer: it is common to all and carries no "
    "information."""
    total, count = torch.zeros(model.config.hidden_size), 0.0
    for _, batch in batches(model, tokenizer, pairs, length=length):
        parts = Parts(batch["attention_mask"], batch["token_type_ids"])
        states = model.encode(model.word(batch["input_ids"]), parts)[-1].float()
        total += (states * parts.any[..., None]).sum((0, 1)).cpu()
        count += parts.any.sum().item()
    return total / max(count, 1)


@torch.inference_mode()
def score(
    model: Duet, tokenizer: PreTrainedTokenizerFast, pairs: Sequence[Texts], *, length: int = 512
) -> NDArray[np.float64]:
    logits = np.zeros(len(pairs))
    for indexes, batch in batches(model, tokenizer, pairs, length=length):
        logits[indexes] = model(**batch).logits[:, 0].float().cpu().numpy()
    return logits
