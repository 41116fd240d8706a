"""The bodies of requests to Elasticsearch 8 and OpenSearch 2, as far as a store needs them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from tests.retrieval.stand_ins.serving import Strict


class TextField(Strict):
    type: Literal["text"]


class KeywordField(Strict):
    type: Literal["keyword"]
    ignore_above: int | None = None


class LongField(Strict):
    type: Literal["long"]


class DenseVector(Strict):
    type: Literal["dense_vector"]
    dims: int = Field(ge=1, le=4096)
    index: Literal[True]
    similarity: Literal["cosine"]


class Method(Strict):
    name: Literal["hnsw"]
    engine: Literal["lucene"]
    space_type: Literal["cosinesimil"]


class KnnVector(Strict):
    type: Literal["knn_vector"]
    dimension: int = Field(ge=1, le=16_000)
    method: Method


FieldType = Annotated[
    TextField | KeywordField | LongField | DenseVector | KnnVector, Field(discriminator="type")
]


class Template(Strict):
    match_mapping_type: Literal["string", "long", "double", "boolean"]
    mapping: KeywordField


class Mappings(Strict):
    date_detection: Literal[False]
    dynamic_templates: list[dict[str, Template]] = Field(default=[])
    properties: dict[str, FieldType]


class IndexSettings(Strict):
    knn: Literal[True]


class Settings(Strict):
    index: IndexSettings | None = None


class CreateIndex(Strict):
    settings: Settings
    mappings: Mappings


class Search(Strict):
    size: int = Field(ge=0, le=10_000)
    query: dict[str, Any] | None = None
    knn: dict[str, Any] | None = None
    sort: list[Literal["_doc"]] | None = None
    source: list[str] | dict[Literal["excludes"], list[str]] = Field(alias="_source")


class NextPage(Strict):
    scroll: str
    scroll_id: str


class ClearScroll(Strict):
    scroll_id: str


class Near(Strict):
    field: str
    query_vector: list[float]
    k: int
    num_candidates: int = Field(le=10_000)
    filter: list[dict[str, Any]] = Field(default=[])


class NearOfOpenSearch(Strict):
    vector: list[float]
    k: int
    filter: dict[Literal["bool"], dict[Literal["must"], list[dict[str, Any]]]] | None = None
