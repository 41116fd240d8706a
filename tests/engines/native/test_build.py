"""For which systems the library is compiled."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from app.engines.native import build


@pytest.mark.parametrize(
    ("system", "machine", "library", "python", "expected"),
    [
        ("Linux", "x86_64", "glibc", "linux-x86_64", "manylinux_2_17_x86_64"),
        ("Linux", "aarch64", "glibc", "linux-aarch64", "manylinux_2_17_aarch64"),
        ("Linux", "aarch64", "", "linux-aarch64", "linux_aarch64"),
        ("Darwin", "arm64", "", "macosx-14.0-arm64", "macosx_11_0_arm64"),
        # A Python for both kinds of Apple's computers; the library is for its processors only.
        ("Darwin", "arm64", "", "macosx-10.9-universal2", "macosx_11_0_arm64"),
    ],
)
def test_a_wheel_names_the_processor_and_the_oldest_system_that_can_run_it(
    monkeypatch: pytest.MonkeyPatch,
    system: str,
    machine: str,
    library: str,
    python: str,
    expected: str,
) -> None:
    answers = {
        "system": lambda: system,
        "machine": lambda: machine,
        "libc_ver": lambda: (library, ""),
    }
    monkeypatch.setattr(build, "platform", SimpleNamespace(**answers))
    monkeypatch.setattr(build, "sysconfig", SimpleNamespace(get_platform=lambda: python))
    assert build.platform_tag() == expected


def test_elsewhere_no_compiler_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    assert build.FLAGS_BY_SYSTEM.get(("Darwin", "x86_64")) is None
    monkeypatch.setattr(build, "FLAGS_BY_ABILITY", {})
    assert build.compiler() is None
