from __future__ import annotations

from typing import Annotated, Any

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.errors import InvalidRequest
from app.validation import as_invalid


class Options(BaseModel):
    model_config = ConfigDict(strict=True)

    mode: str


class Body(BaseModel):
    model_config = ConfigDict(strict=True)

    query: Annotated[str, Field(pattern=r"\S")] = "q"
    texts: Annotated[list[str], Field(min_length=1, max_length=2)] = ["a"]
    options: Options | None = None
    filters: dict[str, str | bool | int | float] = {}
    name: Annotated[str, Field(pattern="^[a-z]+$")] = "n"
    count: int = 1


def refused(**fields: Any) -> InvalidRequest:
    with pytest.raises(ValidationError) as caught:
        Body(**fields)
    return as_invalid(caught.value)


@pytest.mark.parametrize(
    ("fields", "text", "limit"),
    [
        ({"query": ""}, "query: input should not be empty or blank", None),
        ({"query": 7}, "query: input should be a valid string", None),
        ({"texts": []}, "texts: list should have at least 1 item, not 0", 1),
        ({"texts": ["a"] * 3}, "texts: list should have at most 2 items, not 3", 2),
        ({"options": []}, "options: input should be an object", None),
        ({"options": {}}, "options.mode: field required", None),
        ({"filters": []}, "filters: input should be an object", None),
        ({"name": "A"}, "name: string should match pattern '^[a-z]+$'", None),
    ],
)
def test_a_refusal_speaks_of_json_and_names_no_class(
    fields: dict[str, Any], text: str, limit: int | None
) -> None:
    error = refused(**fields)
    assert (str(error), error.limit) == (text, limit)


def test_a_field_that_accepts_several_types_names_them_all() -> None:
    error = refused(filters={"a": [1]})
    assert str(error) == "filters.a: input should be a valid string, boolean, integer or number"
    assert error.field == "filters.a"


def test_errors_of_two_fields_are_not_joined() -> None:
    assert str(refused(query=7, count="x")) == "query: input should be a valid string"
    assert str(refused(filters={"a": None, "b": None})).startswith("filters.a: ")
