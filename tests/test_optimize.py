from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.cli import main
from app.engines.backends import BACKENDS
from tests import models


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return models.bert(tmp_path_factory.mktemp("small") / "small-bert")


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("engines")


def test_the_table_says_of_each_engine_how_fast_and_how_faithful_it_is(
    small: Path, engines: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["optimize", str(small), "--engines", str(engines)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["engine", "dtype", "pairs/s", "ratio", "tau"]
    assert [line.split()[:2] for line in lines[1:3]] == [
        ["torch", "float32"],
        ["openvino", "float32"],
    ]
    assert lines[1].split()[3:5] == ["1.00", "1.0000"]
    assert sum(line.endswith(" chosen") for line in lines) == 1


def test_what_was_done_before_is_only_read(
    small: Path, engines: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["optimize", str(small), "--engines", str(engines), "--json"]
    assert main(arguments) == 0
    first = json.loads(capsys.readouterr().out)
    assert {result["engine"] for result in first} == {*BACKENDS} - {"native"}  # too small
    assert main(arguments) == 0
    assert json.loads(capsys.readouterr().out) == first


def test_a_model_that_is_not_there_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["optimize", "/nowhere/model", "--engines", str(tmp_path)])
    assert ended.value.code == 1
    assert "model folder /nowhere/model does not exist" in capsys.readouterr().err


def test_a_model_with_a_chat_template_has_nothing_to_convert(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["optimize", str(models.qwen3(tmp_path / "chat")), "--engines", str(tmp_path)])
    assert ended.value.code == 1
    assert "chat runs on torch without a conversion" in capsys.readouterr().err
