"""The tokenizer of a converted model, without the model."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app.compose.loading import load_encoder, spec_of
from app.engines import Encoder, LoadedModel, loading
from app.errors import LoadFailed
from app.settings import Settings, load
from tests import models
from tests.logged import fields_logged

TEXTS = ["", "book", "Books are lent for four weeks.", "книга", "book " * 500]
OPENS_LITTLE = """
import sys
from app.compose.loading import load_encoder
from app.settings import load
load_encoder(load({}, model=sys.argv[1], device="cpu", engine="openvino", engines=sys.argv[2]))
print([name for name in ("torch", "openvino", "sentence_transformers") if name in sys.modules])
"""


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds a model, and what it was converted to."""
    folder = tmp_path_factory.mktemp("converted")
    models.bert(folder / "model")
    load_model(settings(folder))
    return folder


@pytest.fixture
def own(converted: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(converted, tmp_path / "own"))


def settings(folder: Path, **more: Any) -> Settings:
    ours = {"device": "cpu", "engine": "openvino", "engines": folder / "engines", **more}
    return load({}, model=str(folder / "model"), **ours)


def load_model(settings: Settings) -> LoadedModel:
    return loading.load(spec_of(settings))


def counted(encoder: Encoder) -> list[int]:
    encoded = encoder.encode("how long", TEXTS, instruction=None, cut="right")
    return [encoder.max_tokens, *(text.whole for text in encoded)]


def no_model(*_: object) -> None:
    raise AssertionError("the model was opened")


def test_tokens_are_counted_as_the_model_counts_them(converted: Path) -> None:
    whole = load_model(settings(converted))
    assert counted(load_encoder(settings(converted))) == counted(whole.encoder)
    shorter = settings(converted, max_length=20)
    assert counted(load_encoder(shorter)) == counted(load_model(shorter).encoder)


def test_a_model_that_was_converted_is_not_opened_to_count_tokens(converted: Path) -> None:
    paths = [str(converted / name) for name in ("model", "engines")]
    command = [sys.executable, "-c", OPENS_LITTLE, *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_model_that_was_not_converted_is_opened_as_ever(tmp_path: Path) -> None:
    models.bert(tmp_path / "model")
    as_it_is = settings(tmp_path, engine="torch")
    assert counted(load_encoder(as_it_is)) == counted(load_model(as_it_is).encoder)
    assert not (tmp_path / "engines").exists()


def test_a_tokenizer_that_was_damaged_is_not_trusted(
    own: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (file,) = (own / "engines").rglob("tokenizer.json")
    file.write_text(file.read_text().replace('"max_length"', '"length"') + " ")
    with monkeypatch.context() as patch:
        patch.setattr("app.engines.loading.load", no_model)
        with pytest.raises(AssertionError, match="the model was opened"):
            load_encoder(settings(own))
    (fields,) = fields_logged(caplog, "converted_model_damaged")
    assert fields["reason"] == "tokenizer.json is missing or changed"


def test_a_length_that_the_model_cannot_take_is_refused_all_the_same(converted: Path) -> None:
    with pytest.raises(LoadFailed, match="max_length 9999 exceeds the 64 tokens"):
        load_encoder(settings(converted, max_length=9999))
