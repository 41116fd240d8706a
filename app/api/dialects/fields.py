"""Field types that the requests of many dialects share."""

from __future__ import annotations

from collections.abc import Sequence
from sys import float_info
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag
from pydantic_core import PydanticKnownError

from app.rerank.query import Document


class Lenient(BaseModel):
    """Types are strict, numbers must be finite, and unknown keys are ignored."""

    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)


def _whole(value: object) -> object:
    """Accept 3.0 as an integer, as JSON does. Numbers beyond the range of floats are infinite."""
    if isinstance(value, int) and abs(value) > float_info.max:
        raise PydanticKnownError("finite_number")
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE = BeforeValidator(_whole)
Whole = Annotated[int, WHOLE]
# None and 0 both mean no limit.
Count = Annotated[int, Field(ge=0), WHOLE] | None
LEAST_URGENT = 999
Priority = Annotated[int, Field(ge=0, le=LEAST_URGENT), WHOLE]
Flag = bool | None
Text = Annotated[str, Field(pattern=r"\S")]
# Only the first error is reported, because collecting all of them can take long.
Texts = Annotated[list[str], Field(min_length=1, fail_fast=True)]


class TextObject(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")

    text: str


def kind_of(value: object) -> str:
    return "<object>" if isinstance(value, dict | BaseModel) else "<string>"


String = TypeVar("String")
Object = TypeVar("Object")
# A tag selects one of the two types, so that an error refers to one of them and not to both.
Either = Annotated[
    Annotated[String, Tag("<string>")] | Annotated[Object, Tag("<object>")],
    Discriminator(kind_of),
]


class QueryObject(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")

    text: Text


QueryOrObject = Either[Text, QueryObject]
TextsOrObjects = Annotated[list[Either[str, TextObject]], Field(min_length=1, fail_fast=True)]


def text_of(value: str | TextObject | QueryObject) -> str:
    return value if isinstance(value, str) else value.text


def documents_of(values: Sequence[str | TextObject], raw: Sequence[Any]) -> list[Document]:
    """Documents that keep the body that the caller sent; `raw` is the list before validation."""
    return [Document(text_of(value), body=body) for value, body in zip(values, raw, strict=True)]


def texts_of(texts: Sequence[str]) -> list[Document]:
    return [Document(text) for text in texts]


def example(body: dict[str, Any]) -> ConfigDict:
    return ConfigDict(strict=True, extra="ignore", json_schema_extra={"examples": [body]})


QUERY = "how long may I keep the book"
DOCUMENTS = ["The library opens at nine.", "Books are lent for four weeks."]
