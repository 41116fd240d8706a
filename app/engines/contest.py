"""All engines of a model, measured against the model in full precision."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from app.engines import Engine, processors
from app.engines.backend import Choice, Converter, GraphReader, reason_of
from app.engines.backends import REFERENCE, converters
from app.engines.benchmark import SLICE_TOKENS, Lists, Result, measure, stream_counts
from app.engines.converted_model import OpenEngine
from app.engines.graphs import first_existing
from app.engines.layout import Layout
from app.engines.published import Published
from app.engines.spec import ModelSpec

logger = logging.getLogger(__name__)

Step = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Entrant:
    """An engine that takes part; `file` is that of the model itself, if it came with it."""

    backend: Converter
    dtype: str
    open: OpenEngine
    file: str = ""


def usable(spec: ModelSpec) -> list[Converter]:
    return [backend for backend in converters() if backend.refuses(spec) is None]


def entrants(spec: ModelSpec, published: Published | None, folder: Path) -> Iterator[Entrant]:
    """Each backend with what the model came with, and with what was converted."""
    for backend in usable(spec):
        dtypes = backend.dtypes()
        if published and isinstance(backend, GraphReader):
            there = first_existing(published.folder, backend.publishable())
            for dtype, graphs in there.items():
                if dtype in dtypes:
                    file = graphs.body.relative_to(published.folder).as_posix()
                    yield Entrant(backend, dtype, partial(backend.open_graphs, graphs), file)
        own = folder / backend.name
        for dtype in dtypes:
            if (own / backend.files(dtype)[0]).is_file():
                yield Entrant(backend, dtype, partial(backend.open, own))


def contest(
    spec: ModelSpec,
    taking_part: Iterator[Entrant],
    layout: Layout,
    pairs: Lists,
    reference: Sequence[Sequence[float]],
    step: Step,
) -> Iterator[Result]:
    """All but the reference itself. What fails takes no part."""
    threads = spec.threads or processors.available()
    for entrant in taking_part:
        backend, dtype = entrant.backend.name, entrant.dtype
        step(f"measuring {backend} {dtype}{f' ({entrant.file})' if entrant.file else ''}")
        try:
            result = measure(by_streams(entrant, layout, threads), pairs, reference)
        except Exception as error:  # noqa: BLE001 (a library may raise anything)
            fields = {"backend": backend, "dtype": dtype, "reason": reason_of(error)}
            logger.warning("measuring_failed", extra={"fields": fields})
        else:
            yield result._replace(file=entrant.file)
    if REFERENCE.refuses(spec) is None:
        for dtype in REFERENCE.dtypes():
            if dtype != spec.dtype:
                step(f"measuring {REFERENCE.name} {dtype}")
                engine = REFERENCE.load(replace(spec, dtype=dtype)).engine
                yield measure([engine], pairs, reference)


def by_streams(entrant: Entrant, layout: Layout, threads: int) -> Iterator[Engine]:
    """The engine with each number of streams, opened one after the other."""
    for streams in stream_counts(threads):
        yield entrant.open(layout, Choice(entrant.dtype, SLICE_TOKENS[-1], streams, threads))
