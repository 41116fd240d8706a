"""The model is loaded while the service is made."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from app.compose import loading
from app.compose.loading import load_ahead
from app.errors import LoadFailed
from app.settings import load


@pytest.fixture
def may_end() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def test_the_model_loads_in_a_thread_that_nobody_waits_for(
    monkeypatch: pytest.MonkeyPatch, may_end: threading.Event
) -> None:
    begun = threading.Event()
    threads = []

    def slow(_: Any, *, at_once: bool) -> tuple[Any, bool]:
        threads.append(threading.current_thread())
        begun.set()
        assert may_end.wait(10)
        return "model", at_once

    monkeypatch.setattr(loading, "load_soon", slow)
    wait = load_ahead(load({}))
    assert begun.wait(10)
    may_end.set()
    model: Any
    model, is_open = wait()
    assert (model, is_open) == ("model", True)
    assert threads[0].daemon


def test_why_it_cannot_be_loaded_reaches_whoever_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(_: Any, *, at_once: bool) -> None:
        raise LoadFailed("no such model")

    monkeypatch.setattr(loading, "load_soon", failing)
    wait = load_ahead(load({}))
    with pytest.raises(LoadFailed, match="no such model"):
        wait()
