"""The encoder of a model that sentence-transformers has loaded."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sentence_transformers import CrossEncoder
from tokenizers import Tokenizer

from app.engines import Encoder
from app.engines.chat import ChatEncoder
from app.engines.encoders import MIN_ROOM, NO_LIMIT, SplitEncoder, Template
from app.engines.spec import ModelSpec
from app.errors import InvalidSetting, LoadFailed

# As the Qwen3-Reranker authors trained it; their repositories ship a plain chat template instead.
QWEN3 = """\
<|im_start|>system
Judge whether the Document meets the requirements based on the Query and the Instruct provided. \
Note that the answer can only be "yes" or "no".<|im_end|>
<|im_start|>user
<Instruct>: {{ (messages | selectattr("role", "eq", "system") | map(attribute="content") | first) \
or "Given a web search query, retrieve relevant passages that answer the query" }}
<Query>: {{ messages | selectattr("role", "eq", "query") | map(attribute="content") | first }}
<Document>: {{ messages | selectattr("role", "eq", "document") | map(attribute="content") | first \
}}<|im_end|>
<|im_start|>assistant
<think>

</think>

"""
TEMPLATE_BY_FAMILY = {"qwen3": QWEN3}
PROBE_INSTRUCTIONS = ("instruction one", "instruction two")


def encoder_of(model: CrossEncoder, spec: ModelSpec) -> Encoder:
    limit = _token_limit(model, spec)
    model.max_seq_length = limit
    if "message" in getattr(model[0], "modality_config", {}):
        return chat_encoder(model, limit)
    tokenizer = bare_tokenizer(model)
    template = Template.of(tokenizer)
    if template is None:
        raise LoadFailed(
            f"model {spec.label} does not join query and document by special tokens alone"
        )
    if limit < template.specials + MIN_ROOM:
        raise InvalidSetting(
            f"max_length {limit} leaves no room beside {template.specials} markers"
        )
    encoder = SplitEncoder(tokenizer, template, limit, default_prompt(model))
    _verify(encoder, model)
    return encoder


def _token_limit(model: CrossEncoder, spec: ModelSpec) -> int:
    own = min(model.max_seq_length or NO_LIMIT, _positions(model))
    if not spec.max_length:
        return own
    if spec.max_length > own:
        raise InvalidSetting(
            f"max_length {spec.max_length} exceeds the {own} tokens that {spec.label} can take"
        )
    return spec.max_length


def _positions(model: CrossEncoder) -> int:
    """How long a sequence the weights allow; the RoBERTa family counts from behind its padding."""
    positions = int(getattr(model.config, "max_position_embeddings", NO_LIMIT))
    for module in model.modules():
        table, padding = getattr(module, "position_embeddings", None), None
        if isinstance(table, torch.nn.Embedding):
            padding = getattr(module, "padding_idx", None)
        if isinstance(padding, int):
            return positions - padding - 1
    return positions


def _verify(encoder: SplitEncoder, model: CrossEncoder) -> None:
    """Joined ids must be the very ids that sentence-transformers would make."""
    pairs = [
        ("A question?", "Its answer, in 12 words."),
        ("naïve 東京", "  x\n" + "long text " * 999),
    ]
    for query, document in pairs:
        ours = encoder.encode(query, [document], instruction=None, cut="right")[0].pair.ids
        theirs = model.preprocess([(query, document)])["input_ids"][0].numpy()
        if not np.array_equal(ours, theirs):
            raise LoadFailed("the tokenizer splits a pair in another way than its two parts")


def bare_tokenizer(model: CrossEncoder) -> Tokenizer:
    """A copy of the model's own that neither pads nor cuts."""
    tokenizer = Tokenizer.from_str(model.tokenizer.backend_tokenizer.to_str())
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def default_prompt(model: CrossEncoder) -> str:
    return (model.prompts or {}).get(model.default_prompt_name or "") or ""


def install_template(model: CrossEncoder) -> None:
    """Give a causal reranker its family's template where its own cannot carry a pair."""
    module: Any = model[0]
    problem = module.input_formatter.pair_roles_failure()
    names_both = all(role in str(module.processor.chat_template) for role in ("query", "document"))
    if problem is None and names_both:
        return
    template = TEMPLATE_BY_FAMILY.get(module.config.model_type)
    if template is None:
        raise LoadFailed(
            "its chat template does not render a query and a document: "
            "add a chat_template.jinja that renders both roles"
        )
    module.processor.chat_template = template


def chat_encoder(model: CrossEncoder, max_tokens: int) -> ChatEncoder:
    install_template(model)
    module: Any = model[0]
    formatter = module.input_formatter
    default = default_prompt(model)

    def render(query: str, document: str, instruction: str | None) -> str:
        messages = [formatter.pair_to_messages((query, document))]
        if prompt := instruction or default:
            messages = formatter.prepend_prompt_to_messages(messages, prompt)
        return str(module.processor.apply_chat_template(messages[0], tokenize=False))

    first, second = (render("q", "d", probe) for probe in PROBE_INSTRUCTIONS)
    encoder = ChatEncoder(
        bare_tokenizer(model), render, max_tokens, takes_instruction=first != second
    )
    frame = encoder.bare(None)
    if frame + MIN_ROOM > max_tokens:
        raise InvalidSetting(
            f"max_length {max_tokens} leaves no room beside {frame} template tokens"
        )
    return encoder
