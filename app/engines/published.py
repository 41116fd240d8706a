"""A model that comes with graphs in full precision runs as it is, without the reference."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import NamedTuple

from app.engines import LoadedModel, processors
from app.engines.backend import Choice, GraphReader, reason_of
from app.engines.backends import converters
from app.engines.benchmark import SLICE_TOKENS
from app.engines.converted_model import Card, opened, read_card, verify
from app.engines.describing import NotDescribed, describe
from app.engines.graphs import Graphs
from app.engines.hub import source_folder
from app.engines.kinds import refuse_other_kinds
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
    folder = source_folder(spec)
    if folder is None or spec.trust_remote_code:
        return None
    by_backend = {backend: backend.published(folder) for backend in readers(spec)}
    # ONNX before OpenVINO's own format: each backend reads it.
    for backend, graphs in reversed(by_backend.items()):
        if FULL_PRECISION in graphs:
            card = own_card(folder) or described(spec, folder)
            return Published(folder, card, backend, graphs[FULL_PRECISION])
    return None


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
