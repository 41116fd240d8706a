"""Keys and values as the server keeps them: digests and figures, never a text.

Others can write to the server too, so a value is checked before it is used.
"""

from __future__ import annotations

import math
import struct
from hashlib import blake2b

from app.rerank.cache import TextScore

# The layout of a value is part of the name: replicas with another layout do not read it.
PREFIX = b"rerankd:1:"
LAYOUT = struct.Struct("<dIB")
MAX_TOKENS = 2**32 - 1


class InvalidValue(ValueError):
    """The server returned what no replica has written."""


def namespace(*facts: object) -> bytes:
    """The beginning of all keys of one model: with other facts, nothing is shared."""
    digest = blake2b(repr(facts).encode("utf-8", "surrogatepass"), digest_size=8)
    return PREFIX + digest.hexdigest().encode() + b":"


def encode(score: TextScore) -> bytes:
    return LAYOUT.pack(score.logit, min(score.tokens, MAX_TOKENS), score.truncated)


def decode(value: object) -> TextScore:
    if not isinstance(value, bytes) or len(value) != LAYOUT.size:
        raise InvalidValue
    logit, tokens, truncated = LAYOUT.unpack(value)
    if not math.isfinite(logit) or truncated > 1:
        raise InvalidValue
    return TextScore(logit, tokens, bool(truncated))
