"""The chat template of a causal reranker: its own, or that of its family."""

from __future__ import annotations

from typing import Any

from sentence_transformers import CrossEncoder

from app.errors import LoadFailed

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
