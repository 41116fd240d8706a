from __future__ import annotations

import json
from statistics import mean

import pytest
from tokenizers import Tokenizer

from app.engines.spec import BUNDLED_FOLDER
from loadtest.workload import KINDS, SHORT, WORDS, Kind, Texts, mixture


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_file(str(BUNDLED_FOLDER / "tokenizer.json"))


def test_each_word_is_one_token(tokenizer: Tokenizer) -> None:
    encoded = tokenizer.encode_batch(WORDS, add_special_tokens=False)
    assert {len(encoding.ids) for encoding in encoded} == {1}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_pair_has_the_tokens_of_its_kind_on_average_and_lengths_differ(
    kind: Kind, tokenizer: Tokenizer
) -> None:
    lengths = [
        len(encoding.ids) for encoding in tokenizer.encode_batch(Texts(kind, 1).request(1000).pairs)
    ]
    assert mean(lengths) == pytest.approx(kind.tokens, rel=0.05)
    assert max(lengths) > 2 * min(lengths)
    assert max(lengths) <= 512


def test_no_request_is_like_another_and_a_seed_gives_the_same_ones() -> None:
    texts, again = Texts(SHORT, 1), Texts(SHORT, 1)
    first, second = texts.request(3), texts.request(3)
    assert not set(first.documents) & set(second.documents)
    assert (again.request(3), again.request(3)) == (first, second)


def test_the_body_is_what_every_contender_understands() -> None:
    request = Texts(SHORT, 1).request(2)
    assert json.loads(request.body) == {
        "query": request.query,
        "documents": list(request.documents),
    }


def test_of_ten_mixed_requests_one_is_large_at_a_place_that_varies() -> None:
    make = mixture(seed=1)
    tens = [[len(make().documents) for _ in range(10)] for _ in range(5)]
    assert all(sorted(ten) == [10] * 9 + [200] for ten in tens)
    assert len({ten.index(200) for ten in tens}) > 1
