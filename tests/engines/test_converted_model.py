"""A converted model is kept: whole, checked for damage, and never another model's."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from app.engines import converted_model, processors
from app.engines.converted_model import converted_folder, digest_of, fingerprint, written_aside
from app.engines.loading import load
from app.engines.probe import QUESTIONS, passages
from app.engines.spec import ModelSpec
from app.errors import LoadFailed
from tests import models
from tests.engines.ranking import scores
from tests.logged import fields_logged


def folder_of(spec: ModelSpec) -> Path:
    folder = converted_folder(spec)
    assert folder is not None
    return folder


def flip(file: Path) -> None:
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 1
    file.write_bytes(raw)


def empty(file: Path) -> None:
    file.write_bytes(b"")


@pytest.mark.parametrize(
    ("name", "harm"),
    [
        ("openvino/int8.bin", flip),
        ("openvino/int8.xml", empty),
        ("tokenizer.json", Path.unlink),
        ("card.json", empty),
    ],
)
def test_what_was_damaged_is_made_anew(
    bert: ModelSpec, name: str, harm: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    spec = replace(bert, dtype="int8")
    before = scores(load(spec), QUESTIONS[0], passages())
    harm(folder_of(spec) / name)
    after = scores(load(spec), QUESTIONS[0], passages())
    assert len(fields_logged(caplog, "converted_model_damaged")) == 1
    assert after == before
    assert scores(load(spec), QUESTIONS[0], passages()) == before
    assert len(fields_logged(caplog, "converted_model_damaged")) == 1


def test_other_users_may_read_what_was_converted(bert: ModelSpec, tmp_path: Path) -> None:
    """An image is built by root, and its service runs as another user."""
    load(bert)
    (tmp_path / "file").touch()
    usual = (tmp_path / "file").stat().st_mode
    files = [file for file in folder_of(bert).rglob("*") if file.is_file()]
    assert len(files) > 10
    assert [file.name for file in files if file.stat().st_mode != usual] == []


def test_what_may_not_be_read_is_made_anew(
    bert: ModelSpec, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Simulated, because root may read all files."""
    before = scores(load(bert), QUESTIONS[0], passages())
    denied = [folder_of(bert) / "tokenizer.json"]

    def digest_if_allowed(file: Path) -> str:
        if file in denied:
            denied.remove(file)
            raise PermissionError(errno.EACCES, "Permission denied")
        return digest_of(file)

    monkeypatch.setattr(converted_model, "digest_of", digest_if_allowed)
    assert scores(load(bert), QUESTIONS[0], passages()) == before
    (fields,) = fields_logged(caplog, "converted_model_damaged")
    assert fields["reason"] == "tokenizer.json cannot be read: Permission denied"


def test_another_kind_of_processor_is_measured_with_the_same_files(
    bert: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    here = processors.kind()
    monkeypatch.setattr(processors, "kind", lambda: "elsewhere")
    load(bert, steps.append)
    assert not [step for step in steps if step.startswith("converting")]
    assert "measuring openvino int8" in steps
    results = {file.name for file in folder_of(bert).glob("benchmark-*.json")}
    assert results == {"benchmark-elsewhere.json", f"benchmark-{here}.json"}
    steps.clear()
    load(bert, steps.append, again=True)
    assert "converting for openvino" in steps


def test_a_folder_half_written_is_never_seen(
    fresh: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("app.engines.converting.write_card", fail)
    with pytest.raises(KeyboardInterrupt):
        load(fresh)
    assert fresh.engines is not None
    assert list(fresh.engines.iterdir()) == []


def test_what_a_killed_process_left_is_removed_and_what_another_writes_is_not(
    tmp_path: Path,
) -> None:
    for name in (".new-old", ".new-now"):
        (tmp_path / name / "model").mkdir(parents=True)
    os.utime(tmp_path / ".new-old", (0, 0))
    with written_aside(tmp_path / "model") as aside:
        (aside / "file").write_text("all of it")
        assert not (tmp_path / "model").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".new-now", "model"]
    assert (tmp_path / "model" / "file").read_text() == "all of it"


def test_another_process_may_be_faster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def rename(*_: object) -> None:
        (tmp_path / "model").mkdir()
        raise OSError("Directory not empty")

    monkeypatch.setattr(Path, "replace", rename)
    with written_aside(tmp_path / "model"):
        pass
    assert (tmp_path / "model").is_dir()


def test_a_new_folder_that_cannot_take_its_name_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "file").write_text("old")

    def rename(*_: object) -> None:
        raise OSError("Input/output error")

    monkeypatch.setattr(Path, "replace", rename)
    with pytest.raises(OSError, match="Input/output"), written_aside(tmp_path / "model"):
        pass
    assert (tmp_path / "model" / "file").read_text() == "old"


def test_a_full_disk_is_no_verdict_on_a_model_and_the_next_start_converts_it(
    fresh: ModelSpec, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """OpenVINO says "iostream error", as of any other reason to give up on a model."""

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("basic_ios::clear: iostream error")

    with monkeypatch.context() as patch:
        patch.setattr("app.engines.openvino.adaptation.ov.save_model", fail)
        assert load(replace(fresh, engine="auto")).engine.name == "torch"
        (fields,) = fields_logged(caplog, "model_not_converted")
        assert fields["reason"].startswith("float.xml cannot be written")
        with pytest.raises(LoadFailed, match=r"model cannot be converted: float\.xml cannot"):
            load(fresh)
    assert load(fresh).engine.name == "openvino"


def test_another_model_under_the_same_path_is_converted_anew(tmp_path: Path) -> None:
    source = models.bert(tmp_path / "model")
    before = fingerprint(source)
    assert fingerprint(source) == before
    flip(source / "model.safetensors")
    assert fingerprint(source) != before


def test_where_nothing_can_be_kept_the_model_serves_all_the_same(
    bert: ModelSpec, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("not a folder")
    model = load(replace(bert, engines=tmp_path / "file" / "engines"))
    assert model.engine.name == "openvino"
    assert len(scores(model, "a question", ["one", "two"])) == 2
    assert len(fields_logged(caplog, "converted_model_not_kept")) == 1
