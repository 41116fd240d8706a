"""Small models that were converted, or are about to be."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from app.engines.loading import load
from app.engines.spec import ModelSpec
from tests import models


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    folder = tmp_path_factory.mktemp("converted")
    model = models.bert(folder / "model")
    spec = ModelSpec(str(model), device="cpu", engine="openvino", engines=folder / "engines")
    load(spec)
    return spec


@pytest.fixture
def bert(converted: ModelSpec, tmp_path: Path) -> ModelSpec:
    """A converted model of one's own."""
    assert converted.engines is not None
    shutil.copytree(converted.engines, tmp_path / "engines")
    return replace(converted, engines=tmp_path / "engines")


@pytest.fixture
def fresh(converted: ModelSpec, tmp_path: Path) -> ModelSpec:
    """A model that was not converted yet."""
    return replace(converted, engines=tmp_path / "engines")
