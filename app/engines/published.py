"""A model that comes with graphs in full precision runs as it is, without the reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from app.engines import LoadedModel, processors
from app.engines.backend import Choice, GraphReader, reason_of
from app.engines.backends import converters
from app.engines.benchmark import SLICE_TOKENS
from app.engines.converted_model import Card, opened, read_card, verify
from app.engines.describing import NotDescribed, describe
from app.engines.graphs import Graphs, first_existing
from app.engines.hub import fetch, source_folder
from app.engines.kinds import refuse_other_kinds
from app.engines.rounding import ROUNDED
from app.engines.spec import ModelSpec
from app.errors import InvalidSetting, LoadFailed

FULL_PRECISION = "float32"


class Published(NamedTuple):
    folder: Path
    card: Card
    backend: GraphReader
    graphs: Graphs


class Unusable(Exception):
    """A model comes with graphs, and they are not those of a reranker."""


def readers(spec: ModelSpec) -> list[GraphReader]:
    """The backends that run graphs which a model comes with."""
    return [
        backend
        for backend in converters()
        if isinstance(backend, GraphReader) and backend.refuses(spec) is None
    ]


def find_published(spec: ModelSpec) -> Published | None:
    """Raises Damaged where the digests of a model's own card say so."""
    if spec.trust_remote_code:
        return None
    # ONNX before OpenVINO's own format: each backend reads it.
    by_backend = [(backend, backend.publishable()) for backend in reversed(readers(spec))]
    fetch(spec, alternatives([names for _, names in by_backend]))
    folder = source_folder(spec)
    for backend, names in by_backend:
        graphs = first_existing(folder, names).get(FULL_PRECISION) if folder else None
        if folder and graphs:
            card = own_card(folder) or described(spec, folder)
            return Published(folder, card, backend, graphs)
    return None


def alternatives(publishable: Sequence[Mapping[str, Sequence[str]]]) -> list[list[str]]:
    """Files of a model hub, of each list one: a single graph in full precision is enough."""
    whole = [name for names in publishable for name in names[FULL_PRECISION]]
    return [whole, *(list(names.get(ROUNDED, ())) for names in publishable)]


def own_card(folder: Path) -> Card | None:
    card = read_card(folder)
    if card is not None:
        verify(folder, card, list(card.digests))
    return card


def described(spec: ModelSpec, folder: Path) -> Card:
    refuse_other_kinds(spec)
    try:
        return describe(folder)
    except NotDescribed as error:
        raise Unusable(str(error)) from error


def open_published(spec: ModelSpec, published: Published) -> LoadedModel:
    """In full precision, and without a measurement."""
    threads = spec.threads or processors.available()
    choice = Choice(FULL_PRECISION, max(SLICE_TOKENS), threads, threads)
    open_engine = partial(published.backend.open_graphs, published.graphs)
    try:
        return opened(spec, published.folder, published.card, open_engine, choice)
    except InvalidSetting:
        raise
    except (LoadFailed, ValueError) as error:
        raise Unusable(reason_of(error.__cause__ or error)) from error
