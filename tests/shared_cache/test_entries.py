"""Keys are digests, and a value is used only if a replica could have written it."""

from __future__ import annotations

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.rerank.cache import TextScore
from app.shared_cache.entries import LAYOUT, InvalidValue, decode, encode, namespace


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(0, 2**32 - 1), st.booleans())
def test_a_score_comes_back_as_it_was(logit: float, tokens: int, truncated: bool) -> None:
    score = TextScore(logit, tokens, truncated)
    assert decode(encode(score)) == score
    assert len(encode(score)) == 13


def test_a_count_that_has_no_room_is_the_largest_that_has() -> None:
    assert decode(encode(TextScore(1.0, 2**40, truncated=True))).tokens == 2**32 - 1


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"0.5",
        encode(TextScore(1.0, 1, truncated=False)) + b"x",
        LAYOUT.pack(math.nan, 1, 0),
        LAYOUT.pack(math.inf, 1, 0),
        LAYOUT.pack(-math.inf, 1, 1),
        LAYOUT.pack(1.0, 1, 2),
        struct.pack(">d", 1.0),
        "0.5",
        None,
        7,
        [b"x" * 13],
    ],
)
def test_what_no_replica_has_written_is_refused(value: object) -> None:
    with pytest.raises(InvalidValue):
        decode(value)


@given(st.binary(max_size=20))
def test_whatever_is_read_is_a_finite_score_or_refused(value: bytes) -> None:
    try:
        score = decode(value)
    except InvalidValue:
        return
    assert math.isfinite(score.logit)


def test_each_fact_makes_another_namespace_that_does_not_show_it() -> None:
    names = {namespace("m", "r1", 512), namespace("m", "r1", "512"), namespace("m", "r1512")}
    assert len(names) == 3
    assert namespace("m", None) == namespace("m", None)
    assert all(name.startswith(b"rerankd:1:") and len(name) == 27 for name in names)
