"""The dialects: formats of requests and answers. To add one, add a file and a line in the list.

The first dialect that recognises a request handles it. `shared` recognises every request and must
be the last.
"""

from __future__ import annotations

from collections.abc import Sequence

from app.api.dialects import (
    cohere_v1,
    cohere_v2,
    infinity,
    jina,
    llamacpp,
    mixedbread,
    native,
    nim,
    sglang,
    shared,
    siliconflow,
    tei,
    vllm,
    voyage,
    weaviate,
    xinference,
)
from app.api.dialects.dialect import Dialect

DIALECTS: Sequence[Dialect] = (
    cohere_v2.DIALECT,
    nim.DIALECT,
    vllm.DIALECT,
    tei.DIALECT,
    mixedbread.DIALECT,
    llamacpp.DIALECT,
    voyage.DIALECT,
    infinity.DIALECT,
    weaviate.DIALECT,
    native.DIALECT,
    cohere_v1.DIALECT,
    xinference.DIALECT,
    siliconflow.DIALECT,
    jina.DIALECT,
    sglang.DIALECT,
    shared.DIALECT,
)
