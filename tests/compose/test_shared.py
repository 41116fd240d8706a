"""Which replicas share scores: those whose scores cannot differ."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.compose import shared
from app.compose.loading import spec_of
from app.compose.shared import namespace_of
from app.engines import LoadedModel, loading
from app.settings import load
from tests import models


def namespace_at(folder: Path, **settings: Any) -> bytes:
    ours = {"device": "cpu", "engine": "torch", "model_name": "m", **settings}
    spec = spec_of(load({}, model=str(folder), **ours))
    return namespace_of(spec, loading.load(spec))


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return models.bert(tmp_path_factory.mktemp("original"))


def test_the_same_model_in_another_folder_is_the_same(original: Path, tmp_path: Path) -> None:
    assert namespace_at(models.bert(tmp_path)) == namespace_at(original)


def test_other_weights_and_other_limits_are_not_the_same(original: Path, tmp_path: Path) -> None:
    trained = models.bert(tmp_path, seed=1)
    shorter = namespace_at(original, max_length=20)
    assert len({namespace_at(original), namespace_at(trained), shorter}) == 3


def test_another_engine_precision_device_revision_or_release_is_not_the_same(
    original: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_of(load({}, model=str(original), device="cpu", engine="torch"))
    model = loading.load(spec)
    names = [namespace_of(spec, model), namespace_of(spec, replace(model, revision="abc"))]
    for attribute, value in (("name", "openvino"), ("dtype", "int8"), ("device", "cuda:1")):
        names.append(namespace_of(spec, with_engine(model, **{attribute: value})))
    monkeypatch.setattr(shared, "__version__", "99.0.0")
    names.append(namespace_of(spec, model))
    assert len(set(names)) == len(names)


def test_the_number_of_a_gpu_makes_no_difference(original: Path) -> None:
    spec = spec_of(load({}, model=str(original), device="cpu", engine="torch"))
    model = loading.load(spec)
    first, second = (with_engine(model, device=f"cuda:{number}") for number in range(2))
    assert namespace_of(spec, first) == namespace_of(spec, second)


class Described:
    """An engine of which only the description counts."""

    def __init__(self, name: str, dtype: str, device: str) -> None:
        self.name, self.dtype, self.device = name, dtype, device


def with_engine(model: LoadedModel, **description: str) -> LoadedModel:
    engine = model.engine
    facts = {"name": engine.name, "dtype": engine.dtype, "device": engine.device, **description}
    described: Any = Described(**facts)
    return replace(model, engine=described)
