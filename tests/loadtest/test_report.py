from __future__ import annotations

import argparse
from pathlib import Path

import pytest
from pydantic_core import from_json

from loadtest import machine, report
from loadtest.report import Table


def test_a_table_is_markdown_with_figures_to_the_right() -> None:
    table = Table(["name", "pairs/s"], [["rerankd", "282"], ["a much longer name", "9"]])
    assert str(table).splitlines() == [
        "| name               | pairs/s |",
        "| ------------------ | ------: |",
        "| rerankd            |     282 |",
        "| a much longer name |       9 |",
    ]


def test_a_result_is_printed_and_written_with_its_machine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = argparse.Namespace(out=tmp_path / "new", where=machine.describe())
    drawn, _ = report.panels(1)
    report.publish("peers", options, {"pairs": [1.5]}, Table(["name"], [["us"]]), drawn)
    assert "| us   |" in capsys.readouterr().out
    record = from_json((tmp_path / "new" / "peers.json").read_bytes())
    assert record["pairs"] == [1.5]
    assert record["machine"]["packages"]["torch"]
    assert record["command"].startswith("python -m loadtest.peers")
    assert (tmp_path / "new" / "peers.png").read_bytes().startswith(b"\x89PNG")


def test_the_machine_is_told_in_one_sentence() -> None:
    where = machine.describe() | {"cores": 2, "cpu": "AMD EPYC", "date": "2026-11-21"}
    assert machine.sentence(where).startswith("2026-11-21, 2 cores of AMD EPYC (")
