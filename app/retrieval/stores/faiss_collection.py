"""A collection of the FAISS store, on disk and in memory.

On disk, a collection is a folder. Its `current.json` names the version to be searched, which is a
folder with two files. An ingest writes a new version and then replaces `current.json`: if it is
killed, the old version stays. A version is never changed, so a search needs no lock.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from pydantic_core import to_json

from app.durable import sync_tree, write_bytes
from app.errors import NoStore, UpstreamFailed
from app.retrieval.store import Candidate

if TYPE_CHECKING:
    import faiss

CURRENT = "current.json"
INDEX, PASSAGES = "index.faiss", "passages.jsonl"
VERSION_NAME = re.compile(r"^[0-9a-f]{32}$")
BLOCK_PASSAGES = 4096

Vectors = NDArray[np.float32]
PASSAGE = TypeAdapter(Candidate)


class Chunk(NamedTuple):
    passage: Candidate
    vector: Vectors


class Version(BaseModel):
    """What `current.json` holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    name: str = Field(pattern=VERSION_NAME.pattern)
    vector_size: int = Field(ge=1)
    passages: int = Field(ge=0)
    index_sha256: str
    passages_sha256: str


class Column(NamedTuple):
    """The values of a name in the metadata of all passages, as numbers that compare fast."""

    codes: NDArray[np.int32]
    code_by_value: Mapping[tuple[bool, Any], int]


@dataclass(slots=True)
class Collection:
    """A version in memory."""

    version: Version
    index: faiss.Index
    passages: Sequence[Candidate]
    columns: dict[str, Column] = field(default_factory=dict)

    def matches(self, filters: Mapping[str, Any]) -> NDArray[np.bool_]:
        mask = np.ones(len(self.passages), dtype=bool)
        for name, value in filters.items():
            codes, code_by_value = self._column(name)
            # No passage has the code of a value that no passage has.
            mask &= codes == code_by_value.get(comparable(value), -2)
        return mask

    def _column(self, name: str) -> Column:
        if name in self.columns:
            return self.columns[name]
        codes = np.full(len(self.passages), -1, dtype=np.int32)
        code_by_value: dict[tuple[bool, Any], int] = {}
        for position, passage in enumerate(self.passages):
            value = passage.metadata.get(name)
            if isinstance(value, str | int | float):
                codes[position] = code_by_value.setdefault(comparable(value), len(code_by_value))
        column = Column(codes, code_by_value)
        if code_by_value:
            self.columns[name] = column
        return column

    def search(self, vector: Vectors, k: int, filters: Mapping[str, Any]) -> list[Candidate]:
        """FAISS compares only the vectors that match the filters, so no match is lost."""
        import faiss  # noqa: PLC0415 (an extra)

        parameters, count = faiss.SearchParameters(), len(self.passages)
        if filters:
            mask = self.matches(filters)
            count = int(mask.sum())
            bitmap = np.packbits(mask, bitorder="little")
            # The stubs of the library have the arguments of C++.
            parameters.sel = faiss.IDSelectorBitmap(bitmap)  # type: ignore[arg-type, call-arg]
        if not count:
            return []
        scores, positions = self.index.search(vector, min(k, count), params=parameters)
        return [
            replace(self.passages[position], score=float(score))
            for position, score in zip(positions[0], scores[0], strict=True)
            if position >= 0
        ]


def comparable(value: str | float) -> tuple[bool, str | float]:
    """In Python `True` equals 1, but not in JSON."""
    return isinstance(value, bool), value


def use_single_core() -> None:
    """In the calling thread. More cores make a single query slower, and the engine needs them."""
    import faiss  # noqa: PLC0415 (an extra)

    faiss.omp_set_num_threads(1)


def unit_vectors(vectors: Sequence[Sequence[float]]) -> Vectors:
    """Of length one, so that the inner product is the cosine. A vector of zeros stays."""
    array = np.array(vectors, dtype=np.float64)
    lengths = np.linalg.norm(array, axis=1, keepdims=True)
    return np.ascontiguousarray(array / np.where(lengths, lengths, 1.0), dtype=np.float32)


def failed(reason: str) -> UpstreamFailed:
    return UpstreamFailed(f"faiss: {reason}", upstream="faiss")


def damaged(folder: Path) -> UpstreamFailed:
    return failed(
        f"the collection {folder.name} is damaged: delete its folder in {folder.parent.name}, and "
        "run `rerankd ingest` again"
    )


def read_version(folder: Path) -> Version:
    try:
        return Version.model_validate_json((folder / CURRENT).read_bytes())
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NoStore(
            f"faiss: there is no collection {folder.name} in {folder.parent.name} yet: "
            "`rerankd ingest` makes it",
            upstream="faiss",
        ) from error
    except ValueError as error:
        raise damaged(folder) from error


def load(folder: Path) -> Collection:
    """An ingest may delete a version while it is read; then there is a newer one."""
    version = read_version(folder)
    while True:
        try:
            return load_version(folder, version)
        except FileNotFoundError as error:
            newer = read_version(folder)
            if newer == version:
                raise damaged(folder) from error
            version = newer


def load_version(folder: Path, version: Version) -> Collection:
    import faiss  # noqa: PLC0415 (an extra)

    index_file, passages_file = (folder / version.name / name for name in (INDEX, PASSAGES))
    checksums = sha256_of(index_file), sha256_of(passages_file)
    if checksums != (version.index_sha256, version.passages_sha256):
        raise damaged(folder)
    try:
        index = faiss.read_index(str(index_file))
        with passages_file.open("rb") as lines:
            passages = [PASSAGE.validate_json(line) for line in lines]
    except (RuntimeError, ValueError) as error:
        if not index_file.exists():
            raise FileNotFoundError(index_file) from error
        raise damaged(folder) from error
    sizes = index.d, index.ntotal, len(passages)
    if sizes != (version.vector_size, version.passages, version.passages):
        raise damaged(folder)
    return Collection(version, index, passages)


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def save(folder: Path, chunks: Sequence[Chunk], vector_size: int) -> Version:
    """A new version beside the current one takes its role at once; older ones are deleted."""
    import faiss  # noqa: PLC0415 (an extra)

    aside = folder / uuid4().hex
    aside.mkdir()
    try:
        index, remaining = faiss.IndexFlatIP(vector_size), iter(chunks)
        with (aside / PASSAGES).open("wb") as lines:
            while block := list(islice(remaining, BLOCK_PASSAGES)):
                index.add(np.stack([chunk.vector for chunk in block]))
                lines.writelines(to_json(chunk.passage) + b"\n" for chunk in block)
        faiss.write_index(index, str(aside / INDEX))
        sync_tree(aside)
        version = Version(
            name=aside.name,
            vector_size=vector_size,
            passages=len(chunks),
            index_sha256=sha256_of(aside / INDEX),
            passages_sha256=sha256_of(aside / PASSAGES),
        )
        write_bytes(folder / CURRENT, to_json(version, indent=2) + b"\n")
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    for path in folder.iterdir():
        if path.name != aside.name and VERSION_NAME.match(path.name):
            shutil.rmtree(path, ignore_errors=True)
    return version
