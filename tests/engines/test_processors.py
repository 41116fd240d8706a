from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.engines.processors import abilities, available, kind, limit

HOST = len(os.sched_getaffinity(0))
# Some lines of what `sysctl hw.optional.arm` prints.
APPLE_M1 = """\
hw.optional.arm.FEAT_FHM: 1
hw.optional.arm.FEAT_DotProd: 1
hw.optional.arm.FEAT_PAuth2: 0
hw.optional.arm.FEAT_BF16: 0
hw.optional.arm.FEAT_I8MM: 0
hw.optional.arm.FEAT_LSE2: 1
"""
APPLE_M3 = """\
hw.optional.arm.FEAT_FHM: 1
hw.optional.arm.FEAT_DotProd: 1
hw.optional.arm.FEAT_PAuth2: 1
hw.optional.arm.FEAT_BF16: 1
hw.optional.arm.FEAT_I8MM: 1
hw.optional.arm.FEAT_SME: 0
"""


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


def test_an_arm_processor_of_linux_is_known_by_what_it_can(tmp_path: Path) -> None:
    description = tmp_path / "cpuinfo"
    description.write_text("Features\t: fp asimd asimdhp asimddp sha512\nCPU part\t: 0xd0c\n")
    assert abilities(description) == {"asimddp"}


def program(path: Path, output: str, code: int = 0) -> Path:
    path.write_text(
        f'#!/bin/sh\n[ "$*" = hw.optional.arm ] || exit 2\ncat <<.\n{output}.\nexit {code}\n'
    )
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (APPLE_M1, {"asimddp"}),
        (APPLE_M3, {"asimddp", "bf16", "i8mm"}),
        ("", set()),
    ],
)
def test_an_apple_processor_is_known_by_what_it_can(
    tmp_path: Path, output: str, expected: set[str]
) -> None:
    sysctl = program(tmp_path / "sysctl", output)
    assert abilities(tmp_path / "absent", sysctl) == expected
    assert kind(tmp_path / "absent", sysctl).split("-")[1:] == sorted(expected)


def test_a_processor_that_nothing_describes_can_nothing_special(tmp_path: Path) -> None:
    assert abilities(tmp_path / "absent", tmp_path / "absent") == frozenset()
    failing = program(tmp_path / "sysctl", "", code=1)
    assert abilities(tmp_path / "absent", failing) == frozenset()
