"""The command as its users run it, over a small real model and a real service."""

from __future__ import annotations

import asyncio
import errno
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from httpx import AsyncClient
from pydantic_core import from_json

from app.bulk import folder
from app.cli import main
from app.commands.batch import SOME_ROWS_FAILED
from app.engines import LoadedModel, loading
from app.engines.contest import Step
from app.engines.spec import ModelSpec
from tests.desk import Desk

pytestmark = pytest.mark.anyio

LONG = "The library opens at nine and closes at six. " * 12
ROWS: list[dict[str, Any]] = [
    {
        "id": "books",
        "query": "how long may I keep a book",
        "documents": [LONG, "Books are lent for four weeks.", "", "The Danube runs through."],
    },
    {
        "id": 7,
        "query": "which river",
        "documents": [{"id": "r", "text": "The Danube runs through ten lands."}, LONG[5:], "Books"],
        "top_n": 2,
    },
]
Batch = Callable[..., int]


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    return write(tmp_path / "in.jsonl", ROWS)


@pytest.fixture
def batch(model: Path, rows: Path, tmp_path: Path) -> Batch:
    """Runs `rerankd batch IN OUT` with a small model; an ending by exception gives its code."""

    def run(*words: object, source: Path = rows, out: Path = tmp_path / "out") -> int:
        flags = ("--model", model, "--engine", "torch", "--device", "cpu")
        try:
            return main(["batch", *map(str, (source, out, *words, *flags))])
        except SystemExit as ended:
            return int(ended.code or 0)

    return run


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def results(out: Path) -> list[dict[str, Any]]:
    shards = sorted(out.glob("part-*.jsonl"))
    return [from_json(line) for shard in shards for line in shard.read_text().splitlines()]


async def served(desk: Desk, options: dict[str, Any], **settings: Any) -> list[dict[str, Any]]:
    """What `/rerank` answers to each row."""

    async def ask(client: AsyncClient, row: dict[str, Any]) -> dict[str, Any]:
        answer = (await client.post("/rerank", json=options | row)).raise_for_status().json()
        return {"id": row["id"], "results": answer["results"], "usage": answer["usage"]}

    async with desk.open(**settings) as client:
        return [await ask(client, row) for row in ROWS]


def same(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> None:
    """The same in everything; scores to the last bits of a float32."""
    assert len(ours) == len(theirs)
    for row, other in zip(ours, theirs, strict=True):
        scores = [result.pop("relevance_score") for result in row["results"]]
        others = [result.pop("relevance_score") for result in other["results"]]
        assert scores == pytest.approx(others, abs=1e-5)
        assert {key: row[key] for key in other} == other


@pytest.mark.parametrize(
    ("flags", "options", "settings"),
    [
        ((), {}, {}),
        (("--long-documents", "windows"), {}, {"long_documents": "windows"}),
        (("--truncation-direction", "left"), {"truncation_direction": "left"}, {}),
        (("--score", "logit", "--top-n", 1), {"score": "logit", "top_n": 1}, {}),
        (
            ("--min-score", 0.4, "--return-documents"),
            {"min_score": 0.4, "return_documents": True},
            {},
        ),
        (("--instruction", "find it"), {"instruction": "find it"}, {}),
        (("--max-length", 32), {}, {"max_length": 32}),
    ],
)
async def test_a_row_is_ranked_as_the_service_ranks_it(
    desk: Desk,
    batch: Batch,
    tmp_path: Path,
    flags: tuple[object, ...],
    options: dict[str, Any],
    settings: dict[str, Any],
) -> None:
    assert await asyncio.to_thread(batch, *flags) == 0
    same(results(tmp_path / "out"), await served(desk, options, **settings))


def test_a_document_that_may_not_be_cut_fails_its_row(
    batch: Batch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert batch("--no-truncate") == SOME_ROWS_FAILED
    failed = [from_json(line) for line in (tmp_path / "out/failed.jsonl").read_text().splitlines()]
    assert [(row["line"], row["id"], row["field"]) for row in failed] == [
        (1, "books", "documents[0]"),
        (2, 7, "documents[1]"),
    ]
    assert "0 of 2 rows ranked" in capsys.readouterr().out


async def test_a_running_service_gives_the_same(
    desk: Desk, batch: Batch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await asyncio.to_thread(batch) == 0
    async with desk.listening(max_documents=2) as url:
        out = tmp_path / "by-url"
        code = await asyncio.to_thread(batch, "--url", url, "--concurrency", 2, out=out)
    assert code == 0
    same(results(tmp_path / "by-url"), results(tmp_path / "out"))
    assert "p99" in capsys.readouterr().err


def test_a_finished_run_is_not_done_again(
    batch: Batch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert batch() == 0
    (shard,) = (tmp_path / "out").glob("part-*")
    before = shard.stat().st_mtime_ns
    capsys.readouterr()
    assert batch("--json") == 0
    assert shard.stat().st_mtime_ns == before
    assert from_json(capsys.readouterr().out) == {"rows": 2, "ranked": 2, "failed": 0}


def test_another_setting_is_refused_by_name_and_restarting_helps(
    batch: Batch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert batch() == 0
    assert batch("--max-length", 32, "--top-n", 3, "--long-documents", "windows") == 2
    error = capsys.readouterr().err
    assert "model.max_length was 64, is 32" in error
    assert "model.long_documents was cut, is windows" in error
    assert "rows.top_n was nothing, is 3" in error
    assert batch("--max-length", 32, "--restart") == 0


def test_the_rows_have_one_caller_whatever_keys_the_service_has(
    batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So what the model has read for one row is kept for the others."""
    specs: list[ModelSpec] = []
    load = loading.load

    def remember(spec: ModelSpec, step: Step) -> LoadedModel:
        specs.append(spec)
        return load(spec, step)

    monkeypatch.setenv("RERANKD_API_KEYS", "first-secret-key,second-secret-key")
    monkeypatch.setattr(loading, "load", remember)
    assert batch() == 0
    assert [(spec.callers_apart, spec.state_bytes > 0) for spec in specs] == [(False, True)]


def test_parquet_comes_and_goes(batch: Batch, tmp_path: Path) -> None:
    assert batch() == 0
    table = [
        {"id": str(row["id"]), "query": row["query"], "top_n": row.get("top_n"), "documents": texts}
        for row, texts in zip(ROWS, map(texts_of, ROWS), strict=True)
    ]
    source = tmp_path / "in.parquet"
    pq.write_table(pa.Table.from_pylist(table), source)
    assert batch(source=source, out=tmp_path / "table") == 0
    columns = pq.read_table(tmp_path / "table/part-000000.parquet").to_pylist()
    for row, other in zip(columns, results(tmp_path / "out"), strict=True):
        assert row["id"] == str(other["id"])
        assert [(each["index"], each["relevance_score"]) for each in row["results"]] == [
            (each["index"], each["relevance_score"]) for each in other["results"]
        ]


def texts_of(row: dict[str, Any]) -> list[str]:
    return [each["text"] if isinstance(each, dict) else each for each in row["documents"]]


@pytest.mark.parametrize(
    ("flags", "code", "says"),
    [
        (("--score", "calibrated"), 2, "--score calibrated needs --calibration"),
        (("--url", "nowhere"), 2, "--url nowhere: must be like http://host:8000"),
        (("--corpus", "missing.jsonl"), 2, "missing.jsonl: cannot be read"),
        (("--threads", "many"), 2, "setting threads"),
    ],
)
def test_a_wrong_use_is_one_sentence(
    batch: Batch,
    capsys: pytest.CaptureFixture[str],
    flags: tuple[str, ...],
    code: int,
    says: str,
) -> None:
    assert batch(*flags) == code
    assert says in capsys.readouterr().err


def test_a_remote_model_is_refused(rows: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["batch", str(rows), str(tmp_path / "out"), "--model", "http://localhost:8000"])
    assert ended.value.code == 2


def test_a_full_disk_ends_the_run_and_it_continues_later(
    batch: Batch, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(folder, "write_lines", full_disk)
        assert batch() == 1
    assert "No space left on device; the same command continues" in capsys.readouterr().err
    assert batch() == 0


def full_disk(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (("--ray", "--url", "http://localhost:1"), "--url and --ray: choose one of the two"),
        (("--ray-actors", 2), "--ray-actors needs --ray"),
    ],
)
def test_flags_of_a_cluster_that_contradict_others_are_refused(
    batch: Batch, capsys: pytest.CaptureFixture[str], flags: tuple[object, ...], sentence: str
) -> None:
    assert batch(*flags) == 2
    assert sentence in capsys.readouterr().err


def test_without_ray_the_command_says_how_to_install_it(
    batch: Batch, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert batch("--ray") == 1
    assert "ray is missing: pip install 'rerankd[ray]'" in capsys.readouterr().err
