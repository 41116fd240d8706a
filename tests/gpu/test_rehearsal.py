from __future__ import annotations

from tests.gpu import engine, precision
from tests.gpu.plan import Plan

REHEARSAL = Plan("cpu", small=True)


def test_a_rehearsal_compares_every_family_with_float32_on_the_cpu() -> None:
    results = precision.check(REHEARSAL)
    compared = results["tau, largest difference of a logit"]
    assert set(compared) == {"bundled", "bert", "xlm-roberta", "modernbert", "qwen3"}
    assert all(by_dtype == {"float32": (1.0, 0.0)} for by_dtype in compared.values())
    assert results["below the bar"] == []


def test_a_rehearsal_measures_the_engine_and_predict() -> None:
    results = engine.measure(REHEARSAL)
    assert set(results["short"]["pairs/s"]) == {"predict float32", "float32, slices of 8192"}
    assert min(results["short"]["pairs/s"].values()) > 0
