from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.engines.processors import available, kind, limit

HOST = len(os.sched_getaffinity(0))


def test_without_a_limit_all_that_the_process_may_use_are_ours(tmp_path: Path) -> None:
    assert available(tmp_path) == HOST


@pytest.mark.parametrize(
    ("content", "expected"), [("max 100000", None), ("150000 100000", 1.5), ("800000 100000", 8.0)]
)
def test_a_containers_limit_is_read(tmp_path: Path, content: str, expected: float | None) -> None:
    (tmp_path / "cpu.max").write_text(content)
    assert limit(tmp_path) == expected


def test_the_older_form_of_the_limit_is_read(tmp_path: Path) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("100000\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert available(tmp_path) == 1


def test_less_than_one_processor_still_makes_one_thread(tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("50000 100000")
    assert available(tmp_path) == 1


def test_a_processor_is_known_by_what_it_can(tmp_path: Path) -> None:
    description = tmp_path / "cpuinfo"
    description.write_text("flags : fpu avx2 avx512_vnni sse\nbogomips : 1\n")
    assert kind(description).endswith("-avx2-avx512_vnni")
    description.unlink()
    assert "avx" not in kind(description)
