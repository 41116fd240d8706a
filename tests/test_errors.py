from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from typing import Any

import pytest

from app import errors
from app.bulk.problems import RunFailed, Unusable
from app.bulk.rows import BadRow
from app.errors import ServiceError

ARGUMENTS: dict[type[ServiceError], dict[str, Any]] = {
    errors.InvalidRequest: {"field": "query", "limit": 3},
    errors.Refused: {"retry_after": 2.5},
    errors.UpstreamFailed: {"upstream": "cohere", "status": 500},
}


def kinds(root: type[ServiceError]) -> Iterator[type[ServiceError]]:
    yield root
    for kind in root.__subclasses__():
        if kind.__module__ == errors.__name__:
            yield from kinds(kind)


def example(kind: type[ServiceError]) -> ServiceError:
    arguments = {
        name: value
        for root, named in ARGUMENTS.items()
        if issubclass(kind, root)
        for name, value in named.items()
    }
    return kind("what went wrong", **arguments)


EXAMPLES = [
    *map(example, kinds(ServiceError)),
    BadRow("id: is missing", "id"),
    Unusable("no such file"),
    RunFailed("the engine is broken"),
]


@pytest.mark.parametrize("again", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy])
@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_an_error_keeps_all_that_it_says_from_process_to_process(
    error: ServiceError, again: Any
) -> None:
    other = again(error)
    assert type(other) is type(error)
    assert (str(other), other.args, vars(other)) == (str(error), error.args, vars(error))


def test_the_examples_are_the_whole_tree() -> None:
    assert len(EXAMPLES) > 20
