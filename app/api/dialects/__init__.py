"""The dialects: formats of requests and answers. To add one: a file beside these, a line below.

The first that recognises a request gets it. `shared` recognises every request, so it is the last.
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
    native.DIALECT,
    cohere_v1.DIALECT,
    xinference.DIALECT,
    siliconflow.DIALECT,
    jina.DIALECT,
    sglang.DIALECT,
    shared.DIALECT,
)
