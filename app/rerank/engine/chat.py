"""Causal rerankers: the pair goes through a chat template, with the instruction as its system."""

from __future__ import annotations

from typing import Any

from sentence_transformers import CrossEncoder

from app.errors import LoadFailed
from app.rerank.engine.encoders import MIN_ROOM, WholeEncoder, bare_tokenizer, default_prompt

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
BY_FAMILY = {"qwen3": QWEN3}
PROBES = ("instruction one", "instruction two")


def install_template(model: CrossEncoder) -> None:
    """Give a causal reranker its family's template where its own cannot carry a pair."""
    module: Any = model[0]
    problem = module.input_formatter.pair_roles_failure()
    names_both = all(role in str(module.processor.chat_template) for role in ("query", "document"))
    if problem is None and names_both:
        return
    template = BY_FAMILY.get(module.config.model_type)
    if template is None:
        raise LoadFailed(
            "its chat template has no place for a query and a document: "
            "add a chat_template.jinja that renders both roles"
        )
    module.processor.chat_template = template


def chat_encoder(model: CrossEncoder, max_tokens: int) -> WholeEncoder:
    install_template(model)
    module: Any = model[0]
    formatter = module.input_formatter
    default = default_prompt(model)

    def render(query: str, document: str, instruction: str | None) -> str:
        messages = [formatter.pair_to_messages((query, document))]
        if prompt := instruction or default:
            messages = formatter.prepend_prompt_to_messages(messages, prompt)
        return str(module.processor.apply_chat_template(messages[0], tokenize=False))

    first, second = (render("q", "d", probe) for probe in PROBES)
    encoder = WholeEncoder(
        bare_tokenizer(model), render, max_tokens, takes_instruction=first != second
    )
    frame = encoder.bare(None)
    if frame + MIN_ROOM > max_tokens:
        raise LoadFailed(f"max_length {max_tokens} leaves no room beside {frame} template tokens")
    return encoder
