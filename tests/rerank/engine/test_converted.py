"""Models that were converted: they score as before, start without torch, and notice damage."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.errors import LoadFailed
from app.rerank.engine import LoadedModel, processors
from app.rerank.engine.contest import tau
from app.rerank.engine.folder import fingerprint, written_aside
from app.rerank.engine.loading import contest, converted, load
from app.rerank.engine.openvino_engine import Stream
from app.rerank.engine.probe import QUESTIONS, lists, passages
from app.rerank.engine.spec import ModelSpec
from tests import models

FAMILIES = ("bert", "xlm-roberta", "modernbert")
WITHOUT_TORCH = """
import sys
from pathlib import Path
from app.rerank.engine.loading import load
from app.rerank.engine.spec import ModelSpec
model = load(ModelSpec(sys.argv[1], device="cpu", engine="openvino", engines=Path(sys.argv[2])))
print(model.engine.name, "torch" in sys.modules, "sentence_transformers" in sys.modules)
"""


def scores(model: LoadedModel, question: str, texts: list[str]) -> list[float]:
    encoded = model.encoder.encode(question, texts, instruction=None, cut="right")
    return model.engine.score([one.pair for one in encoded])


@pytest.fixture(scope="module", params=FAMILIES)
def spec(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    """A model of the family, converted."""
    folder = tmp_path_factory.mktemp(request.param)
    made = models.FAMILIES[request.param](folder / "model")
    spec = ModelSpec(str(made), device="cpu", engine="openvino", engines=folder / "engines")
    load(spec)
    return spec


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    folder = tmp_path_factory.mktemp("made")
    model = models.bert(folder / "model")
    spec = ModelSpec(str(model), device="cpu", engine="openvino", engines=folder / "engines")
    load(spec)
    return spec


@pytest.fixture
def bert(made: ModelSpec, tmp_path: Path) -> ModelSpec:
    """A converted model of one's own."""
    assert made.engines is not None
    shutil.copytree(made.engines, tmp_path / "engines")
    return replace(made, engines=tmp_path / "engines")


@pytest.fixture
def fresh(made: ModelSpec, tmp_path: Path) -> ModelSpec:
    """A model that was not converted yet."""
    return replace(made, engines=tmp_path / "engines")


def folder_of(spec: ModelSpec) -> Path:
    folder = converted(spec)
    assert folder is not None
    return folder


def test_the_same_numbers_come_out_in_full_precision(spec: ModelSpec) -> None:
    ours = load(replace(spec, dtype="float32"))
    theirs = load(replace(spec, engine="torch"))
    assert ours.engine.dtype == "float32"
    for question in QUESTIONS[:3]:
        texts = [*passages(), "one", "", "long " * 600]
        assert np.allclose(
            scores(ours, question, texts), scores(theirs, question, texts), atol=1e-4
        )


def test_a_score_does_not_depend_on_what_else_is_in_the_batch(spec: ModelSpec) -> None:
    model = load(replace(spec, dtype="int8"))
    together = scores(model, QUESTIONS[0], passages())
    alone = [scores(model, QUESTIONS[0], [text])[0] for text in passages()]
    assert np.allclose(together, alone, atol=0.02 * float(np.ptp(together)))


def test_the_contest_says_of_each_engine_how_fast_and_how_faithful_it_is(spec: ModelSpec) -> None:
    results = contest(spec)
    assert [(one.engine, one.dtype) for one in results[:2]] == [
        ("torch", "float32"),
        ("openvino", "float32"),
    ]
    assert ("openvino", "int8") in [(one.engine, one.dtype) for one in results]
    assert all(one.pairs_per_second > 0 for one in results)
    assert results[1].agreement == pytest.approx(1, abs=1e-3)


def test_what_was_converted_starts_without_torch(spec: ModelSpec) -> None:
    command = [sys.executable, "-c", WITHOUT_TORCH, spec.name, str(spec.engines)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["openvino", "False", "False"]


def test_the_very_first_call_is_over_before_several_threads_make_calls(
    bert: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two that are made together can wait for each other for ever, and the whole process with them:
    one start in six, on a busy machine."""
    called, score = [], Stream.score

    def telling(stream: Stream, *given: Any) -> list[float]:
        called.append(threading.get_ident())
        return score(stream, *given)

    monkeypatch.setattr(Stream, "score", telling)
    load(bert)
    assert called == [threading.get_ident()]


def test_texts_are_cut_as_the_model_itself_cuts_them(spec: ModelSpec) -> None:
    ours, theirs = load(spec), load(replace(spec, engine="torch"))
    for text in ("a  b\n", "long words " * 900, "", "東京"):
        one, other = (
            model.encoder.encode("a question", [text], instruction=None, cut="right")[0]
            for model in (ours, theirs)
        )
        assert (one.pair.ids.tolist(), one.pair.split, one.whole) == (
            other.pair.ids.tolist(),
            other.pair.split,
            other.whole,
        )


def test_a_shorter_max_length_is_kept_to_and_a_longer_one_refused(spec: ModelSpec) -> None:
    assert load(replace(spec, max_length=32)).encoder.max_tokens == 32
    with pytest.raises(LoadFailed, match="max_length 4000 exceeds the"):
        load(replace(spec, max_length=4000))


def flip(file: Path) -> None:
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 1
    file.write_bytes(raw)


def empty(file: Path) -> None:
    file.write_bytes(b"")


@pytest.mark.parametrize(
    ("name", "harm"),
    [
        ("int8.bin", flip),
        ("int8.xml", empty),
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
    assert "is damaged" in caplog.text
    assert after == before
    assert scores(load(spec), QUESTIONS[0], passages()) == before
    assert caplog.text.count("is damaged") == 1


def test_another_kind_of_processor_holds_its_own_contest_over_the_same_files(
    bert: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    here = processors.kind()
    monkeypatch.setattr(processors, "kind", lambda: "elsewhere")
    load(bert, steps.append)
    assert not [step for step in steps if step.startswith("converting")]
    assert "measuring openvino int8" in steps
    contests = {one.name for one in folder_of(bert).glob("contest-*.json")}
    assert contests == {"contest-elsewhere.json", f"contest-{here}.json"}
    steps.clear()
    load(bert, steps.append, again=True)
    assert "converting to int8" in steps


def test_a_folder_half_written_is_never_seen(
    fresh: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("app.rerank.engine.making.write_card", fail)
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
    assert sorted(one.name for one in tmp_path.iterdir()) == [".new-now", "model"]
    assert (tmp_path / "model" / "file").read_text() == "all of it"


def test_another_process_may_be_faster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def rename(*_: object) -> None:
        (tmp_path / "model").mkdir()
        raise OSError("Directory not empty")

    monkeypatch.setattr(Path, "rename", rename)
    with written_aside(tmp_path / "model"):
        pass
    assert (tmp_path / "model").is_dir()


def test_code_that_ships_with_a_model_runs_on_torch(fresh: ModelSpec) -> None:
    assert load(replace(fresh, engine="auto", trust_remote_code=True)).engine.name == "torch"


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
    assert "is not kept" in caplog.text


def test_a_model_that_cannot_be_converted_runs_on_torch(
    fresh: ModelSpec, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no such operator")

    monkeypatch.setattr("app.rerank.engine.making.convert", fail)
    model = load(replace(fresh, engine="auto"))
    assert model.engine.name == "torch"
    assert "cannot be converted: no such operator" in caplog.text
    with pytest.raises(LoadFailed, match="engine openvino with dtype auto is not to be had"):
        load(fresh)


def test_a_chat_template_needs_torch(tmp_path: Path) -> None:
    made = models.qwen3(tmp_path / "model")
    spec = ModelSpec(str(made), device="cpu", engine="auto", engines=tmp_path / "engines")
    assert load(spec).engine.name == "torch"
    with pytest.raises(LoadFailed, match="renders a chat template"):
        load(replace(spec, engine="openvino"))


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"engine": "openvino", "device": "mps"}, "engine openvino is for a CPU"),
        ({"engine": "auto", "dtype": "int8", "device": "cuda"}, "dtype int8 is for a CPU"),
        ({"engine": "torch", "dtype": "int8"}, "dtype int8 is openvino's"),
    ],
)
def test_what_cannot_be_is_refused(bert: ModelSpec, asked: dict[str, str], sentence: str) -> None:
    with pytest.raises(LoadFailed, match=sentence):
        load(replace(bert, **asked))  # type: ignore[arg-type]


def test_the_bundled_model_ranks_in_eight_bits_as_in_full_precision(tmp_path: Path) -> None:
    spec = ModelSpec(device="cpu", engine="openvino", dtype="int8", engines=Path(".cache/engines"))
    ours, theirs = load(spec), load(ModelSpec(device="cpu"))
    pairs = lists(theirs.encoder)[:4]
    taus = [tau(theirs.engine.score(one), ours.engine.score(one)) for one in pairs]
    assert sum(taus) / len(taus) > 0.96


def test_a_processor_is_known_by_what_it_can(tmp_path: Path) -> None:
    description = tmp_path / "cpuinfo"
    description.write_text("flags : fpu avx2 avx512_vnni sse\nbogomips : 1\n")
    assert processors.kind(description).endswith("-avx2-avx512_vnni")
    description.unlink()
    assert "avx" not in processors.kind(description)
