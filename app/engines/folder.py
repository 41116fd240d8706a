"""A converted model in a folder of its own: all that is needed to serve it without torch.

A folder is written aside and renamed, so that it is whole or not there; what was damaged since is
noticed by its digests.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import blake2b, file_digest
from importlib.metadata import version
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError
from tokenizers import Tokenizer

from app.durable import rename, sync_tree
from app.engines.contest import Result
from app.engines.encoders import SplitEncoder, Template
from app.engines.layout import Layout

FORMAT = 2  # of the folder, and of what is done to a model on its way there
LIBRARIES = ("openvino", "torch", "transformers", "sentence-transformers", "tokenizers")
MODEL_FILES = (".json", ".txt", ".model", ".safetensors", ".bin", ".jinja", ".py")
TOKENIZER, CARD = "tokenizer.json", "card.json"
UNFINISHED, REPLACED = ".new-", ".replaced"
HOUR = 3600


class Card(BaseModel):
    """What is known of a converted model."""

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
    """A file of the folder is not what was written."""


def fingerprint(source: Path) -> str:
    """Of the model's content, and of the libraries that read and convert it."""
    digest = blake2b(digest_size=8)
    for name in LIBRARIES:
        digest.update(f"{name} {version(name)} ".encode())
    digest.update(f"format {FORMAT}".encode())
    for file in sorted(source.rglob("*")):
        if file.is_file() and file.suffix in MODEL_FILES:
            digest.update(f"{file.relative_to(source)} {content(file)}".encode())
    return digest.hexdigest()


def content(file: Path) -> str:
    """Its digest; a model hub's cache has it as the name of what a link leads to."""
    if file.is_symlink() and file.resolve().parent.name == "blobs":
        return file.resolve().name
    return digest_of(file)


def digest_of(file: Path) -> str:
    with file.open("rb") as stream:
        return file_digest(stream, "blake2b").hexdigest()


@contextmanager
def written_aside(folder: Path) -> Iterator[Path]:
    """A new folder, which becomes `folder` once all is in it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    remove_left_over(folder.parent)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=UNFINISHED) as made:
        aside = Path(made) / folder.name
        aside.mkdir()
        yield aside
        sync_tree(aside)
        replaced = Path(made) / REPLACED
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
    """What was converted before, and found on other kinds of processor, if it is whole."""
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
        if time.time() - folder.stat().st_mtime > HOUR:
            shutil.rmtree(folder, ignore_errors=True)


def write_card(
    folder: Path,
    *,
    architecture: str,
    encoder: SplitEncoder,
    layout: Layout,
) -> None:
    template = encoder.template
    (folder / TOKENIZER).write_text(encoder.tokenizer.to_str())
    files = sorted(file for file in folder.iterdir() if file.name != CARD)
    card = Card(
        architecture=architecture,
        max_tokens=encoder.max_tokens,
        prompt=encoder.prompt,
        before=template.before.tolist(),
        between=template.between.tolist(),
        after=template.after.tolist(),
        second_type_from=template.second_type_from,
        layout=layout,
        digests={file.name: digest_of(file) for file in files},
    )
    (folder / CARD).write_text(card.model_dump_json(indent=1))


def read_card(folder: Path) -> Card | None:
    """None where there is no such folder."""
    try:
        return Card.model_validate_json((folder / CARD).read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValidationError as error:
        raise Damaged(f"{CARD} cannot be read") from error


def verify(folder: Path, card: Card, names: Sequence[str]) -> None:
    for name in names:
        file = folder / name
        if not file.is_file() or digest_of(file) != card.digests.get(name):
            raise Damaged(f"{name} is missing or changed")


def encoder_of(folder: Path, card: Card, max_length: int) -> SplitEncoder:
    before, between, after = (
        np.asarray(part, dtype=np.int32) for part in (card.before, card.between, card.after)
    )
    return SplitEncoder(
        Tokenizer.from_file(str(folder / TOKENIZER)),
        Template(before, between, after, card.second_type_from),
        max_length or card.max_tokens,
        card.prompt,
    )


def read_results(folder: Path, kind: str) -> list[Result] | None:
    """What a contest on this kind of processor found, or None where none was held."""
    file = folder / f"contest-{kind}.json"
    try:
        return [Result(**row) for row in json.loads(file.read_text())]
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, TypeError) as error:
        raise Damaged(f"{file.name} cannot be read") from error


def write_results(folder: Path, kind: str, results: Sequence[Result]) -> None:
    """Into a folder that is still written aside."""
    rows = [one._asdict() for one in results]
    (folder / f"contest-{kind}.json").write_text(json.dumps(rows, indent=1))
