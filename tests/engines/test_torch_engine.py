from __future__ import annotations

from pathlib import Path

import pytest
import torch

from app.engines import LoadedModel, OutOfMemory
from app.engines.loading import load
from app.engines.spec import ModelSpec
from tests import models
from tests.engines.ranking import scores


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return models.bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="module")
def loaded(folder: Path) -> LoadedModel:
    return load(ModelSpec(str(folder), device="cpu"))


def score(loaded: LoadedModel, *texts: str) -> list[float]:
    return scores(loaded, "a query", texts)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
        MemoryError(),
    ],
    ids=["cuda", "cpu", "python"],
)
def test_memory_that_runs_out_is_told_from_other_faults(
    loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(torch.nn.Module, "__call__", fail)
    with pytest.raises(OutOfMemory):
        score(loaded, "a")


def test_another_fault_is_passed_on(loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("device-side assert triggered")

    monkeypatch.setattr(torch.nn.Module, "__call__", fail)
    with pytest.raises(RuntimeError, match="device-side assert"):
        score(loaded, "a")


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_keeps_the_order_and_nearly_the_scores(
    folder: Path, loaded: LoadedModel, dtype: str
) -> None:
    texts = ["Books are lent for four weeks.", "x", "The library opens at nine and closes at six."]
    half = load(ModelSpec(str(folder), device="cpu", dtype=dtype))
    assert half.engine.dtype == dtype
    exact, near = score(loaded, *texts), score(half, *texts)
    assert near == pytest.approx(exact, abs=0.1)
    assert sorted(range(3), key=near.__getitem__) == sorted(range(3), key=exact.__getitem__)


def test_a_processor_keeps_no_count_of_its_memory(loaded: LoadedModel) -> None:
    assert loaded.engine.memory() == 0
