"""The engine that is chosen while the service answers already."""

from __future__ import annotations

import asyncio
import signal
from asyncio.subprocess import Process
from pathlib import Path
from typing import Any

import pytest

from app.compose import model
from app.compose.choosing import choose_engine
from app.compose.loading import spec_of
from app.compose.model import open_chosen
from app.engines import loading
from app.engines.loading import benchmark_results
from app.engines.spec import ModelSpec
from app.events import Event, ModelLoaded
from app.settings import Settings, load
from tests import models
from tests.logged import fields_logged


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return models.bert(tmp_path_factory.mktemp("tiny"))


def settings(folder: Path, engines: Path) -> Settings:
    return load({}, model=str(folder), device="cpu", engines=engines)


@pytest.mark.anyio
async def test_another_process_measures_and_the_model_opens_with_what_it_chose(
    tiny: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    ours, events = settings(tiny, tmp_path / "engines"), list[Event]()
    async with open_chosen(ours, events.append, None) as served:
        assert served is not None
        results = benchmark_results(spec_of(ours))
        measured = {(result.engine, result.dtype) for result in results}
        assert (served.card.engine, served.card.dtype) in measured
        assert (served.card.choosing_engine, served.successor) == (False, None)
        assert events[-1] == ModelLoaded(served.card.load_seconds, served.card)
    steps = [fields["step"] for fields in fields_logged(caplog, "choosing_engine")]
    assert "measuring torch float32" in steps


@pytest.mark.anyio
async def test_what_cannot_be_kept_is_chosen_for_this_process(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = list[Path | None]()

    async def choose(spec: ModelSpec) -> bool:
        folders.append(spec.engines)
        loading.load(spec)
        return True

    monkeypatch.setattr(model, "choose_engine", choose)
    (tmp_path / "file").touch()
    unkept = settings(tiny, tmp_path / "file" / "engines")
    async with open_chosen(unkept, lambda _: None, None) as served:
        assert served is not None
        assert served.card.choosing_engine is False
        (folder,) = folders
        assert folder is not None
        assert folder.is_dir()
    assert not folder.exists()


@pytest.mark.anyio
async def test_a_process_that_fails_is_logged_with_its_last_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    unknown = ModelSpec(device="cpu", engine="unheard_of", engines=tmp_path)
    assert await choose_engine(unknown) is False
    (fields,) = fields_logged(caplog, "engine_not_chosen")
    assert fields == {"status": 1, "reason": "KeyError: 'unheard_of'"}


@pytest.mark.anyio
async def test_the_process_ends_with_the_service(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = asyncio.get_running_loop().create_future()
    start = asyncio.create_subprocess_exec

    async def noticed(*command: Any, **options: Any) -> Process:
        process = await start(*command, **options)
        started.set_result(process)
        return process

    monkeypatch.setattr(asyncio, "create_subprocess_exec", noticed)
    choosing = asyncio.create_task(choose_engine(spec_of(settings(tiny, tmp_path / "engines"))))
    process = await started
    choosing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await choosing
    assert process.returncode == -signal.SIGKILL


@pytest.mark.anyio
async def test_a_model_that_could_not_be_kept_is_not_called_chosen(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    as_it_is = ModelSpec(str(models.bert(tmp_path)), device="cpu", engine="torch", engines=tmp_path)
    assert await choose_engine(as_it_is) is False
    (fields,) = fields_logged(caplog, "engine_not_chosen")
    assert fields == {"status": 1, "reason": "what was measured could not be kept"}
