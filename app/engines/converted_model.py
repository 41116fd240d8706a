"""A converted model in a folder of its own: all that is needed to serve it without the original.

The folder holds a folder for each backend, the tokenizer, a card, and what was measured on each
kind of processor. It is written aside and renamed, so that it is whole or not there; digests show
what was damaged since.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from hashlib import blake2b, file_digest
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError
from tokenizers import Tokenizer

from app.durable import rename, sync_tree
from app.engines import Engine, LoadedModel, processors
from app.engines.backend import Choice, Converter, GraphReader, reason_of
from app.engines.backends import BACKENDS, REFERENCE
from app.engines.benchmark import Result
from app.engines.encoders import SplitEncoder, Template
from app.engines.graphs import Graphs, first_existing
from app.engines.hub import source_folder
from app.engines.layout import Layout
from app.engines.spec import ModelSpec
from app.errors import InvalidSetting, LoadFailed

# Of the folder, and of what is done to a model on its way there: with another number, each model
# is converted again.
FORMAT = 5
MODEL_SUFFIXES = frozenset(
    {".json", ".txt", ".model", ".safetensors", ".bin", ".jinja", ".py"}
    | {".onnx", ".onnx_data", ".xml"}
)
TOKENIZER, CARD = "tokenizer.json", "card.json"
NOT_INSTALLED = "not installed"
UNFINISHED, REPLACED = ".new-", ".replaced"
MAX_UNFINISHED_SECONDS = 3600


OpenEngine = Callable[[Layout, Choice], Engine]


class Card(BaseModel):
    """What a converted model needs beside its files, and their digests."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    architecture: str
    max_tokens: int
    prompt: str
    before: list[int]
    between: list[int]
    after: list[int]
    second_type_from: int
    layout: Layout
    digests: dict[str, str]


class Damaged(Exception):
    """A file of the folder is not what was written, or cannot be read."""


def converted_folder(spec: ModelSpec) -> Path | None:
    """Where the converted model is, or would be; None as long as the model itself is not here."""
    source = source_folder(spec)
    if source is None or spec.engines is None or spec.trust_remote_code:
        return None
    name = spec.name.replace("/", "--") if not spec.is_folder else Path(spec.source).resolve().name
    return spec.engines / f"{name}-{fingerprint(source)}"


def fingerprint(source: Path) -> str:
    """Of the model's content, and of the packages that read, convert and run it."""
    digest = blake2b(digest_size=8)
    packages = [package for backend in BACKENDS.values() for package in backend.packages]
    for name in (*packages, "tokenizers"):
        digest.update(f"{name} {installed(name)} ".encode())
    digest.update(f"format {FORMAT}".encode())
    for file in sorted(source.rglob("*")):
        if file.is_file() and file.suffix in MODEL_SUFFIXES:
            digest.update(f"{file.relative_to(source)} {content(file)}".encode())
    return digest.hexdigest()


def installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return NOT_INSTALLED


def content(file: Path) -> str:
    """Its digest, which a model hub's cache uses as the name of a link's target."""
    if file.is_symlink() and file.resolve().parent.name == "blobs":
        return file.resolve().name
    return digest_of(file)


def digest_of(file: Path) -> str:
    with file.open("rb") as stream:
        return file_digest(stream, "blake2b").hexdigest()


@contextmanager
def written_aside(folder: Path) -> Iterator[Path]:
    """A new folder, which becomes `folder` once everything is in it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    remove_left_over(folder.parent)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=UNFINISHED) as temporary:
        aside = Path(temporary) / folder.name
        aside.mkdir()
        yield aside
        sync_tree(aside)
        replaced = Path(temporary) / REPLACED
        with suppress(FileNotFoundError):
            folder.rename(replaced)  # in one step, and removed with what is aside
        try:
            rename(aside, folder)
        except OSError:
            if not folder.is_dir():  # else another process was faster
                with suppress(OSError):
                    replaced.rename(folder)
                raise


def take_over(folder: Path, aside: Path) -> None:
    """What was converted before, and measured on other kinds of processor, if it is whole."""
    try:
        card = read_card(folder)
        if card is None:
            return
        verify(folder, card, list(card.digests))
    except Damaged:
        return
    shutil.copytree(folder, aside, dirs_exist_ok=True)


def remove_left_over(parent: Path) -> None:
    """What a process that was killed could not remove."""
    for folder in parent.glob(f"{UNFINISHED}*"):
        if time.time() - folder.stat().st_mtime > MAX_UNFINISHED_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)


def write_card(
    folder: Path,
    *,
    architecture: str,
    encoder: SplitEncoder,
    layout: Layout,
    files: Sequence[Path],
) -> Card:
    template = encoder.template
    card = Card(
        architecture=architecture,
        max_tokens=encoder.max_tokens,
        prompt=encoder.prompt,
        before=template.before.tolist(),
        between=template.between.tolist(),
        after=template.after.tolist(),
        second_type_from=template.second_type_from,
        layout=layout,
        digests={file.relative_to(folder).as_posix(): digest_of(file) for file in files},
    )
    (folder / CARD).write_text(card.model_dump_json(indent=1))
    return card


def read_card(folder: Path) -> Card | None:
    """None where there is no such folder."""
    try:
        return Card.model_validate_json((folder / CARD).read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValidationError, OSError) as error:
        raise Damaged(f"{CARD} cannot be read") from error


def names_of(card: Card, backend: Converter, dtype: str) -> list[str]:
    """The files that were written and that the dtype needs."""
    names = (f"{backend.name}/{name}" for name in backend.files(dtype))
    return [name for name in names if name in card.digests]


def verify(folder: Path, card: Card, names: Sequence[str]) -> None:
    for name in names:
        file = folder / name
        try:
            is_whole = file.is_file() and digest_of(file) == card.digests.get(name)
        except OSError as error:
            raise Damaged(f"{name} cannot be read: {error.strerror}") from error
        if not is_whole:
            raise Damaged(f"{name} is missing or changed")


def read_tokenizer(folder: Path) -> Tokenizer:
    """It neither pads nor cuts."""
    tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def encoder_of(folder: Path, card: Card, max_length: int) -> SplitEncoder:
    before, between, after = (
        np.asarray(part, dtype=np.int32) for part in (card.before, card.between, card.after)
    )
    return SplitEncoder(
        read_tokenizer(folder),
        Template(before, between, after, card.second_type_from),
        max_length or card.max_tokens,
        card.prompt,
    )


def open_result(spec: ModelSpec, folder: Path, card: Card, best: Result) -> LoadedModel:
    backend = BACKENDS[best.engine]
    if not isinstance(backend, Converter):
        return REFERENCE.load(replace(spec, engine=REFERENCE.name, dtype=best.dtype))
    own = [] if best.file else names_of(card, backend, best.dtype)
    verify(folder, card, [TOKENIZER, *own])
    choice = best.choice(spec.threads or processors.available())
    if not best.file:
        return opened(spec, folder, card, partial(backend.open, folder / backend.name), choice)
    if not isinstance(backend, GraphReader):
        raise Damaged(f"{backend.name} cannot run {best.file}")
    graphs = published_graphs(spec, backend, best)
    return opened(spec, folder, card, partial(backend.open_graphs, graphs), choice)


def published_graphs(spec: ModelSpec, backend: GraphReader, best: Result) -> Graphs:
    """The files of the model itself that were measured."""
    source = source_folder(spec)
    there = first_existing(source, backend.publishable()) if source else {}
    graphs = there.get(best.dtype)
    if source is None or graphs is None or graphs.body != source / best.file:
        raise Damaged(f"{best.file} of the model is missing")
    return graphs


def opened(
    spec: ModelSpec, folder: Path, card: Card, open_engine: OpenEngine, choice: Choice
) -> LoadedModel:
    """The tokenizer is in `folder`."""
    if spec.max_length > card.max_tokens:
        raise InvalidSetting(
            f"max_length {spec.max_length} exceeds the {card.max_tokens} tokens "
            f"that {spec.label} can take"
        )
    choice = replace(choice, state_bytes=spec.state_bytes, state_seconds=spec.state_seconds)
    try:
        engine = open_engine(card.layout, choice)
    except (RuntimeError, MemoryError) as error:
        raise LoadFailed(f"model {spec.label} cannot be opened: {reason_of(error)}") from error
    return LoadedModel(
        name=spec.label,
        revision=spec.revision,
        architecture=card.architecture,
        engine=engine,
        encoder=encoder_of(folder, card, spec.max_length),
        seconds=0.0,
    )


def read_results(folder: Path, kind: str) -> list[Result] | None:
    """What was measured on this kind of processor, or None where nothing was."""
    file = folder / f"benchmark-{kind}.json"
    try:
        return [Result(**row) for row in json.loads(file.read_text())]
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, TypeError, OSError) as error:
        raise Damaged(f"{file.name} cannot be read") from error


def write_results(folder: Path, kind: str, results: Sequence[Result]) -> None:
    """Into a folder that is still written aside."""
    rows = [result._asdict() for result in results]
    (folder / f"benchmark-{kind}.json").write_text(json.dumps(rows, indent=1))
