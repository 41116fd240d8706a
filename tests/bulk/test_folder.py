from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.bulk.folder import Folder, opened
from app.bulk.manifest import differences
from app.bulk.problems import Unusable

MANIFEST = {"input": "abc", "model": {"dtype": "float32", "engine": "torch"}, "rows": {}}
FAILURE = {"line": 3, "id": "c", "field": "query", "reason": "bad"}


def names(folder: Folder) -> list[str]:
    return sorted(path.name for path in folder.path.iterdir() if not path.name.startswith("."))


def begin(folder: Folder) -> None:
    folder.prepare()
    folder.begin_or_continue(MANIFEST)


def test_a_run_leaves_results_failed_rows_a_manifest_and_a_summary(tmp_path: Path) -> None:
    with opened(tmp_path / "out", "jsonl") as folder:
        begin(folder)
        folder.write(0, [{"id": "a"}, {"id": "b"}], [FAILURE])
        folder.write(1, [{"id": "d"}], [])
        assert [folder.is_done(block) for block in range(3)] == [True, True, False]
        summary = folder.finish(4)
        folder.tidy()
    assert summary == {"rows": 4, "ranked": 3, "failed": 1}
    assert folder.summary() == summary
    assert names(folder) == [
        "failed.jsonl",
        "manifest.json",
        "part-000000.jsonl",
        "part-000001.jsonl",
        "summary.json",
    ]
    assert folder.shard(0).read_text() == '{"id":"a"}\n{"id":"b"}\n'
    assert json.loads((folder.path / "failed.jsonl").read_text()) == FAILURE


def test_failed_rows_of_a_block_that_was_not_finished_are_forgotten(tmp_path: Path) -> None:
    with opened(tmp_path, "jsonl") as folder:
        begin(folder)
        folder.write(0, [], [FAILURE])
        folder.shard(0).unlink()  # the kill came before it
        folder.write(0, [{"id": "c"}], [])
        assert folder.finish(1) == {"rows": 1, "ranked": 1, "failed": 0}


def test_a_run_without_failed_rows_has_no_file_of_them(tmp_path: Path) -> None:
    with opened(tmp_path, "jsonl") as folder:
        begin(folder)
        folder.write(0, [{"id": "a"}], [])
        folder.finish(1)
    assert not (tmp_path / "failed.jsonl").exists()


def test_a_run_with_other_values_is_refused_and_each_difference_is_named(tmp_path: Path) -> None:
    with opened(tmp_path, "jsonl") as folder:
        begin(folder)
        folder.begin_or_continue(MANIFEST)
        other = {
            "input": "abd",
            "model": {"dtype": "int8", "engine": "torch"},
            "rows": {"top_n": 3},
        }
        with pytest.raises(Unusable) as refused:
            folder.begin_or_continue(other)
    assert str(refused.value) == (
        f"{tmp_path} holds a run with other values: input was abc, is abd; model.dtype was "
        "float32, is int8; rows.top_n was nothing, is 3. Use another folder, or begin again with "
        "--restart"
    )


def test_a_long_value_is_shortened() -> None:
    (difference,) = differences({"query": "x" * 100}, {"query": "y"})
    assert difference == f"query was {'x' * 60}…, is y"


@pytest.mark.parametrize(
    ("content", "says"),
    [("{torn", "cannot be read"), ('{"version": 99}', "another version of rerankd")],
)
def test_a_manifest_that_cannot_be_used_is_named(tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / "manifest.json").write_text(content)
    with opened(tmp_path, "jsonl") as folder, pytest.raises(Unusable, match=says):
        folder.begin_or_continue(MANIFEST)


def test_restarting_removes_what_a_run_wrote_and_nothing_else(tmp_path: Path) -> None:
    with opened(tmp_path, "jsonl") as folder:
        begin(folder)
        folder.write(0, [{"id": "a"}], [FAILURE])
        folder.finish(2)
        (tmp_path / "notes.txt").write_text("mine")
        folder.clear()
    assert names(folder) == ["notes.txt"]


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(Unusable, match="is not empty"), opened(tmp_path, "jsonl"):
        pass


def test_a_folder_of_a_run_that_was_killed_before_its_manifest_is_used(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "manifest.json.new").write_text("{")
    with opened(tmp_path, "jsonl") as folder:
        begin(folder)
    assert folder.manifest.exists()


def test_two_processes_do_not_write_to_the_same_folder(tmp_path: Path) -> None:
    with (
        opened(tmp_path, "jsonl"),
        pytest.raises(Unusable, match="another process"),
        opened(tmp_path, "jsonl"),
    ):
        pass


def test_a_path_that_is_no_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unusable, match="cannot be written"), opened(tmp_path / "file", "jsonl"):
        pass
