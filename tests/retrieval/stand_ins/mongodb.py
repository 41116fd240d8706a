"""A replica set of MongoDB with vector search, as its manual of 8.x describes the commands."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count
from typing import Annotated, Any, Literal

from bson.int64 import Int64
from pydantic import Field, StrictBool, StrictFloat, StrictInt, StrictStr

from tests.retrieval.stand_ins.mongodb_wire import Command, speaking
from tests.retrieval.stand_ins.serving import Strict, Undocumented, cosine

Value = StrictStr | StrictBool | StrictInt | StrictFloat
Document = dict[str, Any]
# What a driver adds to any command.
COMMON = {"$db", "lsid", "$clusterTime", "$readPreference", "txnNumber", "maxTimeMS"}
FIRST_BATCH = 101
MAX_CANDIDATES = 10_000
FAILED, NO_NAMESPACE, EXISTS = 8, 26, 48


class Refused(Exception):
    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class Equal(Strict):
    value: Value = Field(alias="$eq")


class Both(Strict):
    parts: list[dict[str, Equal]] = Field(alias="$and", min_length=2)


class VectorSearch(Strict):
    index: str
    path: str
    query_vector: list[float] = Field(alias="queryVector", min_length=1)
    candidates: int = Field(alias="numCandidates", ge=1, le=MAX_CANDIDATES)
    limit: int = Field(ge=1)
    filter: Both | dict[str, Equal] | None = None


class VectorField(Strict):
    type: Literal["vector"]
    path: str
    dimensions: int = Field(alias="numDimensions", ge=1, le=8192)
    similarity: Literal["cosine", "euclidean", "dotProduct"]


class FilterField(Strict):
    type: Literal["filter"]
    path: str


class Definition(Strict):
    fields: list[Annotated[VectorField | FilterField, Field(discriminator="type")]]

    @property
    def vector(self) -> VectorField:
        return next(field for field in self.fields if isinstance(field, VectorField))

    @property
    def filters(self) -> set[str]:
        return {field.path for field in self.fields if isinstance(field, FilterField)}


class SearchIndex(Strict):
    name: str
    type: Literal["vectorSearch"]
    definition: Definition


class Update(Strict):
    q: dict[str, str]
    u: Document
    upsert: Literal[True]
    multi: Literal[False] = False


class Delete(Strict):
    q: dict[str, dict[str, list[str]]]
    limit: Literal[0]


class MongoDB:
    """`queryable` says whether indexes are ready at once."""

    def __init__(self, *, queryable: bool = True) -> None:
        self.collections: dict[str, dict[Any, Document]] = {}
        self.indexes: dict[str, dict[str, SearchIndex]] = {}
        self.commands: list[str] = []
        self.queryable = queryable
        self.address = ""
        self._cursors: dict[int, list[Document]] = {}
        self._numbers = count(1)

    @contextmanager
    def serving(self) -> Iterator[int]:
        with speaking(self.answer) as port:
            self.address = f"127.0.0.1:{port}"
            yield port

    def answer(self, command: Command) -> Mapping[str, Any]:
        name = next(iter(command))
        self.commands.append(name)
        actions: dict[str, Callable[[Any, Command], Mapping[str, Any]]] = {
            "hello": self._hello,
            "ismaster": self._hello,
            "create": self._create,
            "createSearchIndexes": self._create_indexes,
            "aggregate": self._aggregate,
            "find": self._find,
            "getMore": self._more,
            "update": self._update,
            "delete": self._delete,
            "drop": self._drop,
            "endSessions": lambda *_: {},
        }
        if name not in actions:
            raise Undocumented(f"no such command: {name}")
        options = {key: value for key, value in command.items() if key not in {name, *COMMON}}
        try:
            return {**actions[name](command[name], options), "ok": 1.0}
        except Refused as refused:
            return {"ok": 0.0, "code": refused.code, "errmsg": str(refused)}

    def _hello(self, _: Any, __: Command) -> Mapping[str, Any]:
        return {
            "helloOk": True,
            "ismaster": True,
            "isWritablePrimary": True,
            "secondary": False,
            "setName": "rs0",
            "setVersion": 1,
            "hosts": [self.address],
            "me": self.address,
            "primary": self.address,
            "minWireVersion": 0,
            "maxWireVersion": 27,
            "maxBsonObjectSize": 16_777_216,
            "maxMessageSizeBytes": 48_000_000,
            "maxWriteBatchSize": 100_000,
            "logicalSessionTimeoutMinutes": 30,
            "localTime": datetime.now(UTC),
            "readOnly": False,
        }

    def _create(self, name: str, options: Command) -> Mapping[str, Any]:
        only(options)
        if name in self.collections:
            raise Refused(EXISTS, "Collection already exists.")
        self.collections[name] = {}
        return {}

    def _create_indexes(self, name: str, options: Command) -> Mapping[str, Any]:
        only(options, "indexes")
        if name not in self.collections:
            raise Refused(NO_NAMESPACE, f"Collection '{name}' does not exist.")
        (index,) = [SearchIndex.model_validate(each) for each in options["indexes"]]
        self.indexes.setdefault(name, {})[index.name] = index
        return {"indexesCreated": [{"id": "6524096020da840844a4c4a7", "name": index.name}]}

    def _aggregate(self, name: str, options: Command) -> Mapping[str, Any]:
        only(options, "pipeline", "cursor")
        match options["pipeline"]:
            case [{"$listSearchIndexes": {"name": str(index)}}]:
                return self._cursor(name, self._listed(name, index))
            case [
                {"$vectorSearch": dict(stage)},
                {"$addFields": {**added}},
                {"$unset": str(left_out)},
            ]:
                (score,) = added
                if added[score] != {"$meta": "vectorSearchScore"}:
                    raise Undocumented("the score of a vector search is metadata")
                best = self._nearest(name, VectorSearch.model_validate(stage))
                rows = [{**document, score: value} for value, document in best]
                for row in rows:
                    row.pop(left_out, None)
                return self._cursor(name, rows)
        raise Undocumented(f"no such pipeline: {options['pipeline']}")

    def _listed(self, name: str, wanted: str) -> list[Document]:
        index = self.indexes.get(name, {}).get(wanted)
        if index is None:
            return []
        definition = index.definition.model_dump(by_alias=True)
        return [
            {
                "id": "6524096020da840844a4c4a7",
                "name": index.name,
                "type": index.type,
                "status": "READY" if self.queryable else "BUILDING",
                "queryable": self.queryable,
                "latestDefinition": definition,
            }
        ]

    def _nearest(self, name: str, stage: VectorSearch) -> list[tuple[float, Document]]:
        """Of an index that does not exist, nothing."""
        if stage.candidates < stage.limit:
            raise Refused(FAILED, '"numCandidates" must be greater than or equal to "limit"')
        index = self.indexes.get(name, {}).get(stage.index)
        if index is None:
            return []
        vector = index.definition.vector
        if vector.path != stage.path:
            raise Refused(FAILED, f"{stage.path} is not indexed as vector")
        if vector.dimensions != len(stage.query_vector):
            raise Refused(
                FAILED,
                f"vector field is indexed with {vector.dimensions} dimensions but queried with "
                f"{len(stage.query_vector)}",
            )
        parts = stage.filter.parts if isinstance(stage.filter, Both) else [stage.filter or {}]
        for path in (path for part in parts for path in part):
            if path not in index.definition.filters:
                raise Refused(FAILED, f"Path '{path}' needs to be indexed as filter")
        scored = [
            ((1 + cosine(stage.query_vector, document[stage.path])) / 2, document)
            for document in self.collections[name].values()
            if len(document.get(stage.path, ())) == vector.dimensions
            and all(holds(part, document) for part in parts)
        ]
        return sorted(scored, key=lambda pair: -pair[0])[: stage.limit]

    def _find(self, name: str, options: Command) -> Mapping[str, Any]:
        only(options, "filter", "projection", "limit", "singleBatch")
        rows = list(self.collections.get(name, {}).values())
        for field, condition in options.get("filter", {}).items():
            if condition != {"$exists": False}:
                raise Undocumented("no such filter")
            rows = [row for row in rows if field not in row]
        fields = {"_id", *options.get("projection", {})}
        kept = [{key: row[key] for key in row if key in fields} for row in rows]
        return self._cursor(name, kept[: options.get("limit") or None])

    def _cursor(self, name: str, rows: Sequence[Document]) -> Mapping[str, Any]:
        number = next(self._numbers) if rows[FIRST_BATCH:] else 0
        self._cursors[number] = list(rows[FIRST_BATCH:])
        batch = list(rows[:FIRST_BATCH])
        return {"cursor": {"id": Int64(number), "ns": f"test.{name}", "firstBatch": batch}}

    def _more(self, number: int, options: Command) -> Mapping[str, Any]:
        only(options, "collection", "batchSize")
        rows = self._cursors.pop(int(number))
        following = int(number) if rows[FIRST_BATCH:] else 0
        self._cursors[following] = rows[FIRST_BATCH:]
        namespace = f"test.{options['collection']}"
        batch = {"id": Int64(following), "ns": namespace, "nextBatch": rows[:FIRST_BATCH]}
        return {"cursor": batch}

    def _update(self, name: str, options: Command) -> Mapping[str, Any]:
        only(options, "updates", "ordered")
        rows = self.collections.setdefault(name, {})
        updates = [Update.model_validate(each) for each in options["updates"]]
        for update in updates:
            rows[update.q["_id"]] = update.u
        return {"n": len(updates), "nModified": len(updates)}

    def _delete(self, name: str, options: Command) -> Mapping[str, Any]:
        only(options, "deletes", "ordered")
        rows, before = self.collections.get(name, {}), len(self.collections.get(name, {}))
        for each in options["deletes"]:
            for wanted in Delete.model_validate(each).q["_id"]["$in"]:
                rows.pop(wanted, None)
        return {"n": before - len(rows)}

    def _drop(self, name: str, options: Command) -> Mapping[str, Any]:
        only(options)
        self.collections.pop(name, None)
        self.indexes.pop(name, None)
        return {}


def only(options: Command, *documented: str) -> None:
    unknown = set(options) - set(documented)
    if unknown:
        raise Undocumented(f"options that are not documented: {unknown}")


def holds(part: dict[str, Equal], document: Document) -> bool:
    """A list holds a value if any of its members is equal."""
    for path, equal in part.items():
        value: Any = document
        for step in path.split("."):
            value = value.get(step) if isinstance(value, dict) else None
        members = value if isinstance(value, list) else [value]
        if not any(type(each) is type(equal.value) and each == equal.value for each in members):
            return False
    return True
