"""Weaviate's schema, objects, batches and GraphQL as its documentation describes them, in memory.

Queries are parsed as GraphQL, and may ask only for what the documentation has.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any, Literal
from uuid import UUID

from graphql import FieldNode, GraphQLSyntaxError, OperationDefinitionNode, parse
from graphql.utilities import value_from_ast_untyped
from pydantic import BaseModel, Field, StringConstraints, ValidationError

from tests.retrieval.stand_ins.serving import (
    StoreRequest,
    StoreResponse,
    Strict,
    Undocumented,
    cosine,
)

ClassName = Annotated[str, StringConstraints(pattern="^[A-Z][_0-9A-Za-z]*$")]
WORD = re.compile(r"\w+")


class Property(Strict):
    name: str = Field(pattern="^[_A-Za-z][_0-9A-Za-z]*$")
    data_type: list[Literal["text", "text[]", "int", "number", "boolean"]] = Field(alias="dataType")
    tokenization: Literal["word", "field"] = "word"
    filterable: bool = Field(True, alias="indexFilterable")
    searchable: bool = Field(True, alias="indexSearchable")


class VectorIndex(Strict):
    distance: Literal["cosine"]


class Class(Strict):
    name: ClassName = Field(alias="class")
    vectorizer: Literal["none"]
    index: VectorIndex = Field(alias="vectorIndexConfig")
    properties: list[Property]


class Object(Strict):
    class_name: ClassName = Field(alias="class")
    id: str
    vector: list[float] | None = None
    properties: dict[str, Any]


class Batch(Strict):
    objects: list[Object] = Field(min_length=1)


class ById(Strict):
    path: list[Literal["id"]]
    operator: Literal["ContainsAny"]
    ids: list[str] = Field(alias="valueTextArray", min_length=1)


class Match(Strict):
    class_name: ClassName = Field(alias="class")
    where: ById


class BatchDelete(Strict):
    match: Match
    output: Literal["minimal"]
    dry_run: Literal[False] = Field(False, alias="dryRun")


class Condition(Strict):
    path: list[str] = Field(min_length=1, max_length=1)
    operator: Literal["Equal", "ContainsAll"]
    text: str | list[str] | None = Field(None, alias="valueText")
    integer: int | None = Field(None, alias="valueInt")
    number: float | None = Field(None, alias="valueNumber")
    boolean: bool | None = Field(None, alias="valueBoolean")


class Where(Strict):
    operator: Literal["And"]
    operands: list[Condition] = Field(min_length=1)


class NearVector(Strict):
    vector: list[float]


class Words(Strict):
    query: str
    properties: list[str]


class Hybrid(Words):
    vector: list[float]


class Arguments(BaseModel):
    model_config = {"extra": "forbid"}

    limit: int = Field(ge=1, le=10_000)
    near: NearVector | None = Field(None, alias="nearVector")
    words: Words | None = Field(None, alias="bm25")
    hybrid: Hybrid | None = None
    where: Where | None = None


class Weaviate:
    def __init__(self) -> None:
        self.classes: dict[str, Class] = {}
        self.objects: dict[str, dict[str, Object]] = {}

    def left_open(self) -> list[str]:
        return []

    def answer(self, request: StoreRequest) -> StoreResponse:
        actions: dict[str, Callable[[StoreRequest], StoreResponse]] = {
            "POST /v1/schema": self._create,
            "GET /v1/schema/": self._describe,
            "DELETE /v1/schema/": self._drop,
            "GET /v1/objects": self._list,
            "POST /v1/batch/objects": self._put,
            "DELETE /v1/batch/objects": self._remove,
            "POST /v1/graphql": self._graphql,
            # Weaviate's own client begins with these.
            "GET /v1/meta": lambda _: StoreResponse(200, {"version": "1.34.0", "modules": {}}),
            "GET /v1/.well-known/ready": lambda _: StoreResponse(200, None),
            "GET /v1/.well-known/openid-configuration": lambda _: StoreResponse(404, None),
        }
        path = re.sub("^/v1/schema/.+", "/v1/schema/", request.path)
        if f"{request.method} {path}" not in actions:
            raise Undocumented("no such path")
        return actions[f"{request.method} {path}"](request)

    def _describe(self, request: StoreRequest) -> StoreResponse:
        return self._schema(request.path.rpartition("/")[2])

    def _drop(self, request: StoreRequest) -> StoreResponse:
        name = request.path.rpartition("/")[2]
        del self.classes[name], self.objects[name]
        return StoreResponse(200, None)

    def _create(self, request: StoreRequest) -> StoreResponse:
        made = Class.model_validate_json(request.body)
        if made.name in self.classes:
            return StoreResponse(422, {"error": [{"message": "class already exists"}]})
        self.classes[made.name], self.objects[made.name] = made, {}
        return self._schema(made.name)

    def _schema(self, name: str) -> StoreResponse:
        if name not in self.classes:
            return StoreResponse(404, None)
        return StoreResponse(200, self.classes[name].model_dump(by_alias=True))

    def _list(self, request: StoreRequest) -> StoreResponse:
        """In the order of ids; `after` is the last id of the page before."""
        params = dict(request.params)
        name, limit = params.pop("class"), int(params.pop("limit"))
        after, include = params.pop("after", ""), params.pop("include", "")
        if params or include not in ("", "vector"):
            raise Undocumented(f"no such parameters: {sorted(params)} {include}")
        rows = [row for key, row in sorted(self.objects[name].items()) if key > after]
        unseen = set() if include else {"vector"}
        shown = [row.model_dump(by_alias=True, exclude=unseen) for row in rows[:limit]]
        return StoreResponse(200, {"objects": shown, "totalResults": len(shown)})

    def _put(self, request: StoreRequest) -> StoreResponse:
        batch = Batch.model_validate_json(request.body)
        return StoreResponse(200, [self._outcome(entry) for entry in batch.objects])

    def _outcome(self, entry: Object) -> dict[str, Any]:
        """The status is 200 even if objects are refused."""
        if str(UUID(entry.id)) != entry.id:
            raise Undocumented("an id is a UUID")
        if entry.class_name not in self.classes:
            raise Undocumented("the class would be made with properties of chance")
        properties = {each.name for each in self.classes[entry.class_name].properties}
        if entry.properties.keys() - properties:
            raise Undocumented("properties would get types of chance")
        held = self.objects[entry.class_name]
        size = next((len(row.vector or ()) for row in held.values()), len(entry.vector or ()))
        if size != len(entry.vector or ()):
            message = f"vector lengths don't match: {size} vs {len(entry.vector or ())}"
            return {"id": entry.id, "result": refused(message)}
        held[entry.id] = entry
        return {"id": entry.id, "result": {"status": "SUCCESS"}}

    def _remove(self, request: StoreRequest) -> StoreResponse:
        body = BatchDelete.model_validate_json(request.body)
        held = self.objects[body.match.class_name]
        gone = [held.pop(name) for name in body.match.where.ids if name in held]
        results = {"matches": len(gone), "limit": 10_000, "successful": len(gone), "failed": 0}
        return StoreResponse(200, {"output": body.output, "results": results})

    def _graphql(self, request: StoreRequest) -> StoreResponse:
        wanted = wanted_by(GraphQL.model_validate_json(request.body).query)
        name = wanted.name.value
        if name not in self.classes:
            return failed(f'Cannot query field "{name}" on type "GetObjectsObj".')
        values = {
            each.name.value: value_from_ast_untyped(each.value) for each in wanted.arguments or ()
        }
        try:
            arguments = Arguments.model_validate(values)
        except ValidationError as error:
            raise Undocumented(str(error)) from error
        assert wanted.selection_set
        fields = [each for each in wanted.selection_set.selections if isinstance(each, FieldNode)]
        return self._get(name, arguments, fields)

    def _get(self, name: str, arguments: Arguments, fields: list[FieldNode]) -> StoreResponse:
        properties = {each.name: each for each in self.classes[name].properties}
        plain = [each.name.value for each in fields if not each.selection_set]
        if unknown := [each for each in plain if each not in properties]:
            return failed(f'Cannot query field "{unknown[0]}" on type "{name}".')
        rows = [
            row
            for row in self.objects[name].values()
            if all(holds(properties, each, row) for each in (arguments.where or NOTHING).operands)
        ]
        try:
            scored = ranked(rows, arguments, properties)
        except ValueError:
            return failed("explorer: get class: vector search: vector lengths don't match")
        shown = [
            {each: row.properties.get(each) for each in plain}
            | {"_additional": {"id": row.id, **additional}}
            for row, additional in scored[: arguments.limit]
        ]
        return StoreResponse(200, {"data": {"Get": {name: shown}}})


class GraphQL(Strict):
    query: str


class Nothing:
    operands: tuple[Condition, ...] = ()


NOTHING = Nothing()


def wanted_by(query: str) -> FieldNode:
    """What stands in `{ Get { ... } }`."""
    try:
        (operation,) = parse(query).definitions
    except GraphQLSyntaxError as error:
        raise Undocumented(str(error)) from error
    assert isinstance(operation, OperationDefinitionNode)
    (get,) = operation.selection_set.selections
    assert isinstance(get, FieldNode)
    assert get.name.value == "Get"
    assert get.selection_set
    (wanted,) = get.selection_set.selections
    assert isinstance(wanted, FieldNode)
    return wanted


def refused(message: str) -> dict[str, Any]:
    return {"status": "FAILED", "errors": {"error": [{"message": message}]}}


def failed(message: str) -> StoreResponse:
    return StoreResponse(200, {"data": None, "errors": [{"message": message, "path": ["Get"]}]})


def holds(properties: dict[str, Property], condition: Condition, row: Object) -> bool:
    """Only whole labels, and values of the type of their property, are compared."""
    (name,) = condition.path
    value, kind = row.properties.get(name), properties[name]
    if not kind.filterable:
        raise Undocumented(f"{name} has no index for filters")
    if condition.operator == "ContainsAll":
        if kind.tokenization != "field" or not isinstance(condition.text, list):
            raise Undocumented(f"{name} would be compared by words")
        return set(condition.text) <= set(value or ())
    wanted = {
        "text": condition.text,
        "int": condition.integer,
        "number": condition.number,
        "boolean": condition.boolean,
    }[kind.data_type[0].removesuffix("[]")]
    if wanted is None:
        raise Undocumented(f"the condition has no value of the type of {name}")
    return bool(value == wanted)


Scored = tuple[Object, dict[str, Any]]


def ranked(
    rows: list[Object], arguments: Arguments, properties: dict[str, Property]
) -> list[Scored]:
    """Each word counts 1, which is not BM25, but gives an order; hybrid adds the cosine."""
    chosen = [each for each in (arguments.near, arguments.words, arguments.hybrid) if each]
    if len(chosen) != 1:
        raise Undocumented("a search has one operator")
    if near := arguments.near:
        distances = [(1 - cosine(near.vector, row.vector or []), row) for row in rows]
        best = sorted(distances, key=lambda pair: pair[0])
        return [(row, {"distance": distance, "score": "0"}) for distance, row in best]
    operator = arguments.hybrid or arguments.words
    assert operator
    if any(not properties[name].searchable for name in operator.properties):
        raise Undocumented("the property has no index of words")
    scores = [(shared(operator, row), row) for row in rows]
    if arguments.hybrid:
        vector = arguments.hybrid.vector
        scores = [(score + cosine(vector, row.vector or []), row) for score, row in scores]
    else:
        scores = [(score, row) for score, row in scores if score]
    best = sorted(scores, key=lambda pair: -pair[0])
    return [(row, {"distance": None, "score": str(score)}) for score, row in best]


def shared(operator: Words, row: Object) -> float:
    text = " ".join(str(row.properties.get(name)) for name in operator.properties)
    return float(len(words(operator.query) & words(text)))


def words(text: str) -> set[str]:
    return set(WORD.findall(text.lower()))
